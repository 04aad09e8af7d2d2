"""Which folders a job reads for some hours: every hour once, none that it was not asked for."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyspark", reason="pyspark is not installed")
copies: Any = importlib.import_module("spark.copies")
plan: Any = importlib.import_module("spark.plan")

DAYS = ("20260308", "20260309")
HOURS = tuple(f"{day}{hour:02}" for day in DAYS for hour in range(5))
SOME = st.frozensets(st.sampled_from(HOURS))


def merged(day: str, hours: frozenset[str], stale: frozenset[str]) -> Any:
    inside = sorted(hour for hour in hours if hour[:8] == day)
    outdated = sorted(hour for hour in stale - hours if hour[:8] == day)
    return plan.Merged(day, f"merged/{day}", tuple(inside), tuple(outdated))


@given(copied=SOME, counting=SOME, stale=SOME, wanted=SOME, there=st.sets(st.sampled_from(DAYS)))
def test_each_hour_is_read_once_and_no_other(
    copied: frozenset[str],
    counting: frozenset[str],
    stale: frozenset[str],
    wanted: frozenset[str],
    there: set[str],
) -> None:
    days = tuple(merged(day, counting, stale) for day in sorted(there))
    held = copies.Copies({hour: f"hour/{hour}" for hour in copied}, days)
    chosen = copies.choose(held, wanted)
    by_path = {day.path: [*day.hours, *day.stale] for day in days}
    read = [hour for path in chosen.parts for hour in by_path[path] if hour not in chosen.but]
    for path in chosen.folders:
        read += by_path.get(path, [path.removeprefix("hour/")])
    countable = {hour for day in days for hour in day.hours}
    assert sorted(read) == sorted(chosen.hours) == sorted(wanted & (copied | countable))
    # The filter on hours is paid for only where a merged day holds others.
    assert bool(chosen.parts) == bool(chosen.but)


def whole_day(stale: tuple[str, ...] = ()) -> Any:
    day = plan.Merged(DAYS[0], "merged", tuple(sorted(set(HOURS[:5]) - set(stale))), stale)
    return copies.Copies({hour: f"hour/{hour}" for hour in HOURS[:5]}, (day,))


def test_a_merged_day_is_one_folder() -> None:
    chosen = copies.choose(whole_day(), HOURS)
    assert (chosen.folders, chosen.parts, chosen.hours) == (("merged",), (), HOURS[:5])


def test_a_changed_hour_is_read_from_its_own_copy() -> None:
    chosen = copies.choose(whole_day((HOURS[2],)), HOURS)
    assert chosen.folders == (f"hour/{HOURS[2]}",)
    assert (chosen.parts, chosen.but) == (("merged",), (HOURS[2],))


def test_little_of_a_day_is_read_by_the_hour() -> None:
    chosen = copies.choose(whole_day(), HOURS[:2])
    assert chosen.folders == (f"hour/{HOURS[0]}", f"hour/{HOURS[1]}")
    assert chosen.parts == ()


def test_hours_that_a_merged_day_holds_are_not_copied_again() -> None:
    planned = [plan.Hour(hour, "f", 1, 1, None) for hour in HOURS[:6]]
    assert set(copies.Copies({}, whole_day().merged).stale(planned)) == {HOURS[5]}
    assert set(copies.Copies({HOURS[0]: "x"}, ()).stale(planned)) == set(HOURS[1:6])
