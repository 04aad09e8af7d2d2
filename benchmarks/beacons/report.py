"""The outcome as a table for people, and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from benchmarks.beacons.hunt import Findings
from benchmarks.beacons.implants import KINDS
from benchmarks.beacons.scoring import BACKGROUND, Outcome, Truth

Outcomes = Mapping[str, Outcome]
"""Detector -> its counts."""
Cost = Mapping[str, tuple[float, float]]
"""Step -> seconds of wall and of CPU."""


def table(outcomes: Outcomes) -> str:
    """Recall per class, then what else was flagged; a column per detector."""
    kinds = sorted({kind for one in outcomes.values() for kind in one.scored})
    rows = [
        ["recall", *outcomes],
        *([name, *(_share(one.recall(name)) for one in outcomes.values())] for name in KINDS),
        ["mean (without Poisson)", *(_share(one.mean_recall) for one in outcomes.values())],
        [],
        ["false positives per 10,000 scored pairs", *outcomes],
        *(_rates(kind, outcomes, kind) for kind in (BACKGROUND, "hard")),
        _rates("both", outcomes, BACKGROUND, "hard"),
        [],
        ["share below the threshold", *outcomes],
        _below("shared, all", outcomes, "shared"),
        *(_below(kind, outcomes, kind) for kind in kinds if kind.startswith("shared")),
        *(_below(kind, outcomes, kind) for kind in ("rare", "fan-out")),
    ]
    return aligned(rows)


def _rates(told: str, outcomes: Outcomes, *kinds: str) -> list[str]:
    pairs = sum(next(iter(outcomes.values())).scored.get(kind, 0) for kind in kinds)
    return [f"{told} ({pairs:,} pairs)", *(f"{one.rate(*kinds):.2f}" for one in outcomes.values())]


def _below(told: str, outcomes: Outcomes, prefix: str) -> list[str]:
    return [told, *(_share(one.share_below(prefix)) for one in outcomes.values())]


def _share(share: float) -> str:
    return f"{share:.2f}" if share in (0, 1) else f"{share:.3f}"


def costs(seconds: Cost) -> str:
    """Seconds per step."""
    rows = [[step, f"{wall:.1f}", f"{cpu:.1f}"] for step, (wall, cpu) in seconds.items()]
    return aligned([["seconds of one seed, mean", "wall", "CPU"], *rows])


def reasons(seeds: Iterable[tuple[Truth, Findings]]) -> str:
    """Why the hunt misses what it misses: findings below its threshold, and their sub-scores."""
    missed: dict[str, list[Mapping[str, float | None]]] = {}
    for there, findings in seeds:
        for (name, _), keys in there.implants.items():
            made = [findings.by_pair[key] for key in keys if key in findings.by_pair]
            best = max(made, key=lambda one: one.score, default=None)
            if best is None or best.score < findings.found_from:
                missed.setdefault(name, []).append(best.sub_scores if best else {})
    names = sorted({name for rows in missed.values() for row in rows for name in row})
    rows = [["missed", "in all", "no finding", *names]]
    for kind, scores in missed.items():
        told = [row for row in scores if row]
        means = [_mean([row[name] for row in told]) for name in names]
        rows.append([kind, str(len(scores)), str(len(scores) - len(told)), *means])
    return aligned(rows)


def _mean(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    return f"{sum(known) / len(known):.2f}" if known else "-"


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Rows as columns of text: the first to the left, numbers to the right."""
    columns = max(len(row) for row in rows)
    widths = [max(len(row[n]) for row in rows if len(row) > n) for n in range(columns)]
    lines = (
        "  ".join(
            f"{cell:<{widths[0]}}" if n == 0 else f"{cell:>{widths[n]}}"
            for n, cell in enumerate(row)
        )
        for row in rows
    )
    return "\n".join(lines)


def figures(outcomes: Outcomes) -> dict[str, Any]:
    """Counts and shares of each detector, for JSON."""
    return {
        name: {
            "recall": {kind: one.recall(kind) for kind in one.planted},
            "mean_recall": one.mean_recall,
            "per_10000": {kind: one.rate(kind) for kind in one.scored},
            "flagged": one.flagged,
            "scored": one.scored,
        }
        for name, one in outcomes.items()
    }
