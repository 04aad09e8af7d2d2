"""`python -m tests.crashpoints`: all pairs of faults of all scripts; violations come last.

`--script cancel` breaks that one alone, `--singles` one request at a time. `--story cancel
"2/19/answer lost"` tells what happens when the answer to the second beat's 19th request is lost.
Progress goes to stderr.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from typing import get_args

from tests.crashpoints.explore import Point, Scenario
from tests.crashpoints.judge import NAMES, Verdict, be_quiet, explorer, judge
from tests.crashpoints.world import Kind

TOLD = 3
"""Violations whose story is told whole."""


def main() -> int:
    """Break everything; 1 when an invariant breaks with it, 130 after Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tests.crashpoints", description=__doc__)
    parser.add_argument("--script", choices=NAMES, action="append", help="this one alone")
    parser.add_argument("--singles", action="store_true", help="no pairs")
    parser.add_argument("--story", nargs="+", help="a script, and one or two beat/request/kind")
    given = parser.parse_args()
    be_quiet()
    if given.story:
        name, *points = given.story
        _tell_story(Scenario(name, tuple(map(_point, points)), ()))
        return 0
    verdict = judge(given.script or NAMES, not given.singles, _progress(time.monotonic()))
    _tell(verdict)
    return (1 if verdict.broken else 0) if verdict.whole else 130


def _progress(began: float) -> Callable[[str, Verdict], None]:
    end = "\r" if sys.stderr.isatty() else "\n"

    def tell(what: str, verdict: Verdict) -> None:
        judged, bad = verdict.counts.total(), len(verdict.broken)
        spent = time.monotonic() - began
        line = f"{what}: {judged:,} scenarios, {bad} violations, {spent:.0f} s"
        print(line, file=sys.stderr, end=end, flush=True)

    return tell


def _tell(verdict: Verdict) -> None:
    for name, count in verdict.counts.items():
        bad = sum(scenario.script == name for scenario in verdict.broken)
        print(f"{name:<8} {count:>9,} scenarios, {bad} violations")
    print(f"{'all':<8} {verdict.counts.total():>9,} scenarios, {len(verdict.broken)} violations")
    for scenario in verdict.broken[:TOLD]:
        print(f"\n{_named(scenario)}")
        _tell_story(scenario)
    for scenario in verdict.broken:
        print(f"{_named(scenario)}: {'; '.join(scenario.broken)}")


def _tell_story(scenario: Scenario) -> None:
    print("\n".join(explorer(scenario.script).story(scenario)))


def _named(scenario: Scenario) -> str:
    points = (f'"{one.beat}/{one.request}/{one.kind}"' for one in scenario.points)
    return f"{scenario.script} {' '.join(points)}"


def _point(text: str) -> Point:
    beat, request, kind = text.split("/")
    for known in get_args(Kind):
        if kind == known:
            return Point(int(beat), int(request), known)
    raise SystemExit(f"{kind!r} is not one of {', '.join(get_args(Kind))}")


if __name__ == "__main__":
    raise SystemExit(main())
