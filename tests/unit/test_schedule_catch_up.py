"""After an outage: what a hunt still judges by itself, and the gaps that the rest becomes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import gaps, schedule
from shared.contract import hour_key
from shared.gaps import FIRST_START, NO_DATA, SEVERAL, SKIPPED, TOO_OLD
from shared.hunt_specs import parse
from shared.model import HuntSpec, Window
from shared.schedule import due, forget, judged, skipped, touch
from shared.timeline import Gap, HuntRecord, Slot
from tests.unit.house import GUID, WORKSPACE, days_before, hours_of_days, spec
from tests.unit.test_hunt_specs import SPEC, changed, refusal

SETTLE = timedelta(minutes=15)
DAY = timedelta(days=1)


def on(day: int, hour: int = 0) -> datetime:
    return datetime(2026, 3, day, hour, tzinfo=UTC)


def catching(catch_up: int | None, **changes: str) -> HuntSpec:
    return replace(spec(), catch_up=catch_up, **changes)  # type: ignore[arg-type]


def turn(hunt: HuntSpec, record: HuntRecord, now: datetime) -> tuple[HuntRecord, list[str]]:
    """What a turn makes of a record, and the slots that it starts."""
    record = forget(record, now)
    items = due(hunt, record, now, SETTLE)
    for item in items:
        record = judged(record, item, f"{item.key}-r{item.revision}", now)
    return skipped(hunt, record), [item.key for item in items]


def after_an_outage(hunt: HuntSpec, missed: Sequence[str]) -> HuntRecord:
    """The first of March is judged; then these days land while nothing runs."""
    record = touch(hunt, HuntRecord(GUID, WORKSPACE), hours_of_days("20260301"), on(2))
    record, started = turn(hunt, record, on(2, 1))
    assert started == ["20260301"]
    return touch(hunt, record, hours_of_days(*missed), on(9))


MISSED = tuple(days_before("20260308", 7))


def test_everything_that_was_missed_is_judged_newest_first_by_default() -> None:
    record, started = turn(spec(), after_an_outage(spec(), MISSED), on(9, 1))
    assert started == sorted(MISSED, reverse=True)
    assert record.gaps == ()


@pytest.mark.parametrize(("newest", "first_left"), [(1, 8), (3, 6), (7, 2), (40, 2)])
def test_what_catch_up_does_not_reach_is_a_declared_gap(newest: int, first_left: int) -> None:
    hunt = catching(newest)
    record, started = turn(hunt, after_an_outage(hunt, MISSED), on(9, 1))
    assert started == sorted(MISSED, reverse=True)[:newest]
    left = (Gap(on(2), on(first_left), SKIPPED),) if first_left > 2 else ()
    assert record.gaps == left
    assert turn(hunt, record, on(9, 2)) == (record, [])
    assert schedule.open_slots(hunt, record, on(9, 2)) == 0


def test_days_without_data_stay_what_they_are() -> None:
    hunt = catching(2)
    record, started = turn(hunt, after_an_outage(hunt, ("20260303", "20260305", "20260308")),
                           on(9, 1))  # fmt: skip
    assert started == ["20260308"]
    assert record.gaps == (
        Gap(on(2), on(3), NO_DATA), Gap(on(3), on(4), SKIPPED), Gap(on(4), on(5), NO_DATA),
        Gap(on(5), on(6), SKIPPED), Gap(on(6), on(8), NO_DATA),
    )  # fmt: skip


def test_what_is_found_later_is_left_out_as_well_whatever_the_order() -> None:
    hunt = catching(2)
    record, started = turn(hunt, after_an_outage(hunt, ("20260308",)), on(9, 1))
    assert (started, record.gaps) == (["20260308"], (Gap(on(2), on(8), NO_DATA),))
    record = touch(hunt, record, hours_of_days("20260304", "20260307"), on(9, 2))
    record, started = turn(hunt, record, on(9, 3))
    assert started == ["20260307"]
    assert record.gaps == (
        Gap(on(2), on(4), NO_DATA), Gap(on(4), on(5), SKIPPED), Gap(on(5), on(7), NO_DATA)
    )  # fmt: skip


def test_an_older_slot_is_not_judged_because_it_settled_before_the_newest() -> None:
    hunt = replace(catching(1), lookback_days=1)
    record = after_an_outage(hunt, ("20260307",))
    record = touch(hunt, record, hours_of_days("20260308"), on(9) + timedelta(minutes=10))
    assert turn(hunt, record, on(9) + timedelta(minutes=16))[1] == []
    record, started = turn(hunt, record, on(9) + timedelta(minutes=26))
    assert started == ["20260308"]
    assert record.gaps[-1] == Gap(on(7), on(8), SKIPPED)


def test_late_data_of_a_judged_slot_is_revised_however_old() -> None:
    hunt = catching(1)
    record, _ = turn(hunt, after_an_outage(hunt, MISSED), on(9, 1))
    record = touch(hunt, record, ["2026030105"], on(9, 2))
    assert turn(hunt, record, on(9, 4))[1] == ["20260301"]


def test_a_slot_that_was_never_judged_is_not_forgotten_in_silence() -> None:
    record = touch(spec(), after_an_outage(spec(), MISSED), hours_of_days("20260309"), on(10))
    newest = due(spec(), record, on(10, 1), SETTLE)[0]
    record = judged(record, newest, "20260309-r0", on(10, 1))
    later = on(3) + gaps.REMEMBERED + 2 * DAY
    record = forget(record, later)
    assert record.gaps == (Gap(on(2), on(4), TOO_OLD),)
    assert "20260303" not in record.slots and "20260304" in record.slots
    assert not any(item.key == "20260303" for item in due(spec(), record, later, SETTLE))


def test_a_gap_that_waits_for_people_is_kept_and_days_without_data_are_forgotten() -> None:
    hunt = catching(1)
    record, _ = turn(hunt, after_an_outage(hunt, ("20260304", "20260308")), on(9, 1))
    later = forget(record, on(9) + timedelta(days=100))
    assert later.gaps == (Gap(on(4), on(5), SKIPPED),)
    assert later.slots == {}


# --- the YAML -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "newest"),
    [("all", None), ("latest", 1), ("1", 1), ("24", 24), ("840", 840)],
)
def test_a_spec_says_how_far_it_catches_up(line: str, newest: int | None) -> None:
    text = changed("lookback_days", f"catch_up: {line}")
    assert parse(text, "x.yaml", "beaconing").catch_up == newest
    assert parse(SPEC, "x.yaml", "beaconing").catch_up is None


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("newest", "'catch_up' is 'newest'"),
        ("0", "write a number from 1 to 840"),
        ("841", "write a number from 1 to 840"),
        ("true", "must be a whole number"),
        ("[1]", "must be a whole number"),
    ],
)
def test_another_catch_up_is_refused(line: str, says: str) -> None:
    assert says in refusal(changed("lookback_days", f"catch_up: {line}"))


# --- what is found of the time before the first run -----------------------------------------------


def test_older_data_extends_the_line_and_leaves_what_was_filled_alone() -> None:
    record = touch(spec(), HuntRecord(GUID, WORKSPACE), hours_of_days(*MISSED), on(9))
    record, _ = turn(spec(), record, on(9, 1))
    slot = Window(on(4), on(5))
    item = schedule.Due("20260304", slot, slot, 0, by_schedule=True)
    record = judged(record, item, "filled", on(9, 1))
    record = touch(spec(), record, ["2026030105"], on(9, 2))
    assert record.gaps == (Gap(on(1), on(4), FIRST_START), Gap(on(5), on(8), FIRST_START))


# --- gaps -----------------------------------------------------------------------------------------


def a_gap(hour: int, reason: str) -> Gap:
    return Gap(on(1) + hour * timedelta(hours=1), on(1) + (hour + 1) * timedelta(hours=1), reason)


def test_failures_side_by_side_become_one_when_there_are_too_many() -> None:
    record = HuntRecord(GUID, WORKSPACE)
    full = gaps.with_gaps(record, [a_gap(hour, f"run {hour} failed") for hour in range(80)])
    assert len(full.gaps) == gaps.MOST and full.begins is None
    assert full.gaps[0] == Gap(on(1), on(1) + timedelta(hours=31), SEVERAL)
    assert full.gaps[-1].reason == "run 79 failed"


def test_gaps_apart_are_forgotten_from_the_oldest_and_the_line_begins_behind_them() -> None:
    record = HuntRecord(GUID, WORKSPACE)
    apart = [a_gap(2 * hour, NO_DATA) for hour in range(60)]
    full = gaps.with_gaps(record, apart)
    assert full.gaps == tuple(apart[10:])
    assert full.begins == apart[9].end


def test_what_waits_for_people_is_never_merged_with_a_failure() -> None:
    record = HuntRecord(GUID, WORKSPACE)
    mixed = [a_gap(hour, FIRST_START if hour % 2 else SKIPPED) for hour in range(60)]
    assert gaps.with_gaps(record, mixed).gaps == tuple(mixed[10:])


def test_declaring_a_gap_again_changes_its_reason_only() -> None:
    record = gaps.declare(HuntRecord(GUID, WORKSPACE), [Window(on(1), on(5))], FIRST_START)
    record = gaps.declare(record, [Window(on(2), on(3))], NO_DATA)
    again = gaps.declare(record, [Window(on(2), on(3))], NO_DATA)
    assert again == record
    assert record.gaps == (
        Gap(on(1), on(2), FIRST_START), Gap(on(2), on(3), NO_DATA), Gap(on(3), on(5), FIRST_START)
    )  # fmt: skip
    assert [gaps.slots_of(gap, DAY) for gap in record.gaps] == [1, 1, 2]


# --- the rule -------------------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3000)), max_size=25),
    st.booleans(),
    st.sampled_from([None, 1, 2, 5]),
)
def test_judged_slots_and_gaps_tile_the_line_under_every_policy(
    landings: list[tuple[int, int]], hourly: bool, catch_up: int | None
) -> None:
    hunt = catching(catch_up, slot="hour" if hourly else "day")
    step, now, record = schedule.slot_length(hunt), on(10, 12), HuntRecord(GUID, WORKSPACE)
    done: set[str] = set()
    for back, minutes in landings:
        record = touch(hunt, record, [hour_key(now - back * step)], now)
        now += timedelta(minutes=minutes)
        record, started = turn(hunt, record, now)
        done.update(started)
    begin = max([gaps.oldest_slot(now), *([record.begins] if record.begins else [])])
    windows = [schedule.slot_window(key) for key in done]
    judged_parts = [(one.start, one.end) for one in windows if one.start >= begin]
    parts = sorted([*judged_parts, *((gap.start, gap.end) for gap in record.gaps)])
    assert all(one[1] <= other[0] for one, other in pairwise(parts)), parts
    for start, end in [(a[1], b[0]) for a, b in pairwise(parts) if a[1] < b[0]]:
        slots = [start + n * step for n in range(int((end - start) / step))]
        known = {schedule.slot_window(key).start: slot for key, slot in record.slots.items()}
        assert all(schedule.pending(known.get(slot, Slot())) for slot in slots), (start, end)
