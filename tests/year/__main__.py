"""`python -m tests.year`: what a turn asks for on day 365, beside day 7."""

from __future__ import annotations

import argparse
import logging
import sys
import time
from collections.abc import Iterator, Sequence

from shared.archive import BATCH
from tests.year.world import JOBS, RUNS, TurnCost, Years

YOUNG = 7
ARCHIVE_CALLS, ARCHIVE_ENTRIES = 2 * BATCH + 10, BATCH + 1
"""Of a turn: what is moved is read and deleted one by one."""
DAYS_AT_ONCE = 2
"""Folders that may have aged by the day that is lived: its own, and what the day before left."""


def main(arguments: list[str]) -> int:
    """0 when no turn on the last day asked for more than its twin on day 7, and archiving for no
    more than what ended on the days that aged."""
    options = argparse.ArgumentParser(prog="python -m tests.year", description=__doc__)
    options.add_argument("--days", type=int, default=365)
    options.add_argument("--hours", type=int, default=24, help="hours that are lived of each day")
    given = options.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    began = time.monotonic()
    young, old, years = compare(given.days, given.hours)
    ended = sum("/job-" not in path for path in years.house.ledger.paths() if "done/" in path)
    size, path = years.biggest()
    print(f"{given.days * 200:,} runs in {given.days} days, {time.monotonic() - began:.0f} s")
    print(f"of these in done/: {ended:,}; biggest document: {size:,} bytes, {path}")
    _say("calls a day", [one.calls for one in young], [one.calls for one in old])
    _say("listed entries a day", [one.entries for one in young], [one.entries for one in old])
    print(
        f"archive: {sum(one.archive for one in old):,} calls on the last day, most in a turn "
        f"{max(one.archive for one in old)}; biggest month: {years.biggest_month():,} bytes"
    )
    same = [(one.calls, one.entries) for one in young] == [(one.calls, one.entries) for one in old]
    print("turn by turn the same" if same else "NOT the same turn by turn")
    beyond = list(too_much(old))
    for one in beyond:
        print(f"archiving: {one}")
    return 0 if same and not beyond else 1


def too_much(day: Sequence[TurnCost]) -> Iterator[str]:
    """Which bound archiving broke on a day, in words."""
    calls, entries = (max(one.archive for one in day), max(one.archive_entries for one in day))
    if calls > ARCHIVE_CALLS or entries > ARCHIVE_ENTRIES:
        yield f"a turn made {calls} calls and listed {entries} entries"
    most = DAYS_AT_ONCE * (RUNS + JOBS + 1)
    if (whole := sum(one.archive for one in day)) > 2 * most + 10 * (most // BATCH + 1):
        yield f"{whole} calls on a day, for at most {most} documents"


def compare(days: int, hours: int, by: int = 1) -> tuple[list[TurnCost], list[TurnCost], Years]:
    """What each turn cost on day 7 and on the last day of one ledger; a `by`-th of the hunts."""
    years = Years(by)
    years.write_days(1)
    years.live_hours(1)
    years.settle()  # the cases are there now: on both days they have their incidents already
    years.write_days(YOUNG - 1)
    young = years.live_hours(hours)
    years.settle()
    years.write_days(days - 1)
    return young, years.live_hours(hours), years


def _say(what: str, young: list[int], old: list[int]) -> None:
    ratio = sum(old) / sum(young)
    print(
        f"{what}: day {YOUNG} {sum(young):,}, last day {sum(old):,}, ratio {ratio:.3f}; "
        f"most in a turn {max(young)} and {max(old)}"
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
