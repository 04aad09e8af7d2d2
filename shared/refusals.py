"""Rows that the sink refuses: are they to blame, or is it? Pure.

A few bad rows are set aside. A sink that takes nothing (a changed data collection rule, a table
without its columns) refuses every row as well: then none is to blame, and the run is held.
"""

from __future__ import annotations

from dataclasses import replace

from shared import messages as m
from shared.model import Doubt, Run

IN_A_ROW = 50
ALL_OF_THEM = 10
"""Rows of a run of which the sink took none; fewer may all be bad."""


def set_aside(run: Run, event: m.RowSetAside) -> Run:
    """The run after one more row was set aside."""
    counts, doubt = replace(run.counts, set_aside=run.counts.set_aside + 1), run.doubt
    if event.refusal:
        doubt = doubt or Doubt(run.cursor, run.counts)
        doubt = replace(doubt, rows=doubt.rows + 1, reason=event.refusal)
    return replace(run, cursor=event.cursor, counts=counts, doubt=doubt, refused_since=None)


def is_the_sink(run: Run, *, ended: bool = False) -> bool:
    """True when so many rows were refused one after another that they are hardly to blame.

    `ended`: there are no more rows.
    """
    most = ALL_OF_THEM if ended and not run.counts.sent else IN_A_ROW
    return run.doubt is not None and run.doubt.rows >= most


def go_back(run: Run, event: m.RowsDoubted) -> Run:
    """Held before the first of the refused rows: none of them is set aside."""
    before = run.doubt or Doubt(run.cursor, run.counts)
    return replace(
        run,
        status="held",
        cursor=before.cursor,
        counts=before.counts,
        doubt=None,
        reason=(
            f"{before.rows} rows were refused one after another, and none of them is set aside: "
            f"{before.reason}"
        ),
        next_at=event.retry_at,
    )
