"""What a run's canaries tell: which implants would have been seen, on how many hosts."""

from __future__ import annotations

from workbench.report.markup import Html, data_table, el, join
from workbench.report.values import Json, amount, clean, duration, items, number, plural, table

LINES = 12
"""Ways, and cases of each way, that are shown."""


def limit_words(entry: Json) -> list[str]:
    """A line for each way in which an implant may call; none without canaries."""
    told = table(entry.get("limit"))
    return [clean(line, 200) for line in items(told.get("told"))[:LINES]]


def limit(entry: Json) -> Html | None:
    """The same in words, and case by case."""
    told = table(entry.get("limit"))
    hosts = amount(told.get("hosts"))
    if not told:
        return None
    if not hosts:
        return el(
            "p", "No detection limit: no host inside was seen, or canary_hosts is 0.", cls="notice"
        )
    lines = join(el("li", line) for line in limit_words(entry))
    said = f"Made-up implants on {plural(hosts, 'host')}, which no finding is made of, tell "
    return el(
        "div",
        el("p", said, "what this run would have seen at severity Medium or above:"),
        el("ul", lines),
        _cases([table(case) for case in items(told.get("cases"))[:500]]),
    )


def _cases(cases: list[Json]) -> Html:
    """Rows: way and jitter; columns: intervals; cells: the share of hosts."""
    shares = {_key(case): number(case.get("seen")) or 0.0 for case in cases}
    every = sorted({key[2] for key in shares})[:LINES]
    kinds = sorted({key[:2] for key in shares})[: LINES * LINES]
    rows = [
        [f"{way}, jitter {within} %", *(_share(shares.get((way, within, one))) for one in every)]
        for way, within in kinds
    ]
    heads = ("Calls", *(f"every {duration(one)}" for one in every))
    caption = "Share of hosts on which it would have been seen"
    shown = data_table(caption, heads, rows, numeric=range(1, len(heads)))
    return el("details", el("summary", "Case by case"), shown)


def _key(case: Json) -> tuple[str, int, int]:
    within, every = amount(case.get("within_percent")), amount(case.get("every_s"))
    return clean(case.get("way"), 60), within, every


def _share(share: float | None) -> str:
    return "" if share is None else f"{share:.0%}"
