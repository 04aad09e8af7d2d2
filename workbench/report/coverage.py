"""What a report says of its own basis, as HTML: runs, what was read and what not, time."""

from __future__ import annotations

from collections.abc import Sequence

from workbench.report.limit import limit
from workbench.report.markup import Html, data_table, el, join, steady
from workbench.report.values import (
    Json,
    amount,
    clean,
    duration,
    hour_ranges,
    items,
    number,
    period,
    table,
    whole,
    words,
    workspace,
)

_HEADS = ("Table", "Blobs", "Lines", "Rows", "Dropped", "Empty blobs", "Unknown columns", "Nulls")


def coverage(runs: Sequence[Json]) -> Html:
    """What each run read, what was missing and what was thrown away."""
    if not runs:
        body: Html = el("p", "No run has reported what it read.", cls="quiet")
    else:
        body = join(_one(entry) for entry in runs)
    return el("section", el("h2", "What was read, and what was not"), body)


def _one(entry: Json) -> Html:
    planned, read = amount(entry.get("hours_planned")), amount(entry.get("hours_read"))
    missing = entry.get("hours_missing")
    share = min(read / planned, 1.0) if planned else 0.0
    said = f"{read:,} of {planned:,} planned hours were there"
    if amount(missing):
        named = hour_ranges(missing)
        said += f"; {amount(missing):,} missing{': ' + named if named else ''}"
    tables = table(entry.get("tables"))
    rows = [_table_row(name, table(facts)) for name, facts in tables.items()]
    parts = [
        el("h3", "Run ", el("code", clean(entry.get("run_id"), 160))),
        el("div", el("span", style=f"width:{share * 100:.1f}%"), cls="meter", aria_hidden="true"),
        el("p", steady(said + ".")),
    ]
    if rows:
        parts.append(data_table("Tables of this run", _HEADS, rows, numeric=range(1, 6)))
    if absent := items(entry.get("tables_absent")):
        names = ", ".join(clean(name, 60) for name in absent[:30])
        parts.append(
            el("p", f"The hunt reads it, but the window has none of it: {names}.", cls="notice")
        )
    if ignored := items(entry.get("ignored_tables")):
        names = ", ".join(clean(name, 60) for name in ignored[:30])
        parts.append(el("p", f"Exported, but no hunt reads it: {names}.", cls="notice"))
    if (told := limit(entry)) is not None:
        parts.append(told)
    return el("div", *parts, cls="coverage")


def _table_row(name: str, facts: Json) -> list[str]:
    counts = [whole(facts.get(key)) for key in ("blobs", "lines", "rows")]
    lost = [_loud(amount(facts.get(key))) for key in ("dropped", "empty_blobs")]
    return [clean(name, 60), *counts, *lost, _unknown(facts), _nulls(table(facts.get("nulls")))]


def _loud(count: int) -> str:
    return el("strong", f"{count:,}") if count else "0"


def _unknown(facts: Json) -> str:
    named = items(facts.get("unknown_columns")) or list(table(facts.get("unknown_columns")))
    if named:
        return ", ".join(clean(name, 45) for name in named[:10])
    return whole(facts.get("unknown_columns"))


def _nulls(shares: Json) -> str:
    """Columns that are null somewhere, the emptiest first; shares of 1 are columns gone dark."""
    held = [(name, number(share) or 0.0) for name, share in shares.items()]
    named = sorted((pair for pair in held if pair[1] > 0), key=lambda pair: (-pair[1], pair[0]))
    texts = [
        f"{clean(name, 45)} {share:.0%}" if share <= 1 else f"{clean(name, 45)} {share:,.0f}"
        for name, share in named[:6]
    ]
    return ", ".join(texts) or "none"


def run_table(runs: Sequence[Json]) -> Html:
    """Every run with its window, outcome and code."""
    if not runs:
        return el("section", el("h2", "Runs"), el("p", "No run was made.", cls="quiet"))
    rows = [
        [
            clean(run.get("hunt"), 80),
            steady(period(run.get("slot"))),
            steady(period(run.get("window"))),
            _status(run),
            whole(run.get("attempt")),
            workspace(run.get("workspace")),
            clean(run.get("code_hash"))[:12],
            clean(run.get("run_id"), 160),
        ]
        for run in runs
    ]
    heads = ("Hunt", "Slot", "Window (UTC)", "Status", "Attempt", "Workspace", "Code", "Run")
    return el("section", el("h2", "Runs"), data_table("Runs", heads, rows, numeric=(4,)))


def _status(run: Json) -> str:
    reason = run.get("reason")
    return clean(run.get("status"), 40) + (f": {clean(reason, 200)}" if reason else "")


def timings(stages: Sequence[Json]) -> Html:
    """Where the time went: one bar, and the numbers under it."""
    spent = [(clean(s.get("stage"), 60), max(number(s.get("seconds")) or 0.0, 0.0)) for s in stages]
    total = sum(seconds for _, seconds in spent)
    if not spent or total <= 0:
        return el("section", el("h2", "Time"), el("p", "No stage was timed.", cls="quiet"))
    bar = join(el("span", style=f"flex-grow:{seconds / total:.4f}") for _, seconds in spent)
    rows = [
        [
            join([el("span", cls="key", aria_hidden="true"), words(stage)]),
            duration(seconds),
            f"{seconds / total:.0%}",
        ]
        for stage, seconds in spent
    ]
    caption = f"{duration(total)} in all, by stage"
    parts = [
        el("h2", "Time"),
        el("div", bar, cls="stages", aria_hidden="true"),
        data_table(caption, ("Stage", "Time", "Share"), rows, numeric=(1, 2)),
    ]
    return el("section", *parts, id="time")
