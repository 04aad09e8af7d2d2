"""A detection limit: the made-up implants that a run would have told of, and on how many hosts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import combinations_with_replacement
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

FOUND = "Medium"
"""Seen is what reaches this severity: from there on incidents are opened."""
MOST_HOSTS = 0.9
"""Share of hosts from which a case counts as seen."""
CASE = ("Way", "EverySeconds", "WithinPercent")
Json = dict[str, Any]
Shares = Mapping[tuple[int, int], float]
"""(seconds, per cent of jitter) -> share of hosts on which it was seen."""


def limit(canaries: DataFrame, severity: Mapping[str, float]) -> Json:
    """What goes into the manifest: hosts, each case's share of hosts, and that in words.

    `canaries` has a row per host and case: Way, EverySeconds, WithinPercent, Score.
    """
    lowest = severity.get(FOUND, min(severity.values()))
    seen = F.count_if(F.col("Score") >= lowest).alias("Seen")
    rows = canaries.groupBy(*CASE).agg(seen, F.count("*").alias("Hosts")).collect()
    found = {tuple(row[name] for name in CASE): row["Seen"] / row["Hosts"] for row in rows}
    hosts = max((row["Hosts"] for row in rows), default=0)
    return {
        "hosts": hosts,
        "cases": [
            {"way": way, "every_s": every, "within_percent": within, "seen": round(share, 3)}
            for (way, every, within), share in sorted(found.items())
        ],
        "told": _told(found),
    }


def _told(found: Mapping[tuple[Any, ...], float]) -> list[str]:
    ways = sorted({way for way, *_ in found})
    return [
        f"{way}: {in_words({(e, w): share for (one, e, w), share in found.items() if one == way})}"
        for way in ways
    ]


def in_words(shares: Shares) -> str:
    """The largest block of intervals, and of jitters from none on, that is seen on most hosts."""
    every, within = (sorted({key[n] for key in shares}) for n in (0, 1))
    best: tuple[int, int, float, str] | None = None
    for first, last in combinations_with_replacement(every, 2):
        span = [one for one in every if first <= one <= last]
        for jitter in within:
            block = [(e, w) for e in span for w in within if w <= jitter]
            share = min(shares[one] for one in block)
            if share >= MOST_HOSTS:
                often, hosts = _span(first, last), _percent(share)
                said = f"every {often}, up to {jitter} % jitter, on {hosts} of hosts"
                best = max(best or (0, 0, 0.0, ""), (len(block), jitter, share, said))
    return best[3] if best else f"nothing on {_percent(MOST_HOSTS)} of hosts"


def _span(first: int, last: int) -> str:
    return _duration(first) if first == last else f"{_duration(first)} to {_duration(last)}"


def _percent(share: float) -> str:
    """Rounded down: all hosts are all."""
    return f"{math.floor(100 * share + 1e-9)} %"


def _duration(seconds: int) -> str:
    for unit, size in (("h", 3_600), ("min", 60)):
        if seconds >= size:
            return f"{seconds / size:g} {unit}"
    return f"{seconds} s"
