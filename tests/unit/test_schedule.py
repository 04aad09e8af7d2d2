"""Which slots are due: settle, schedule, late data, gaps, and that slots tile the time line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import schedule
from shared.contract import hour_key
from shared.documents import encode
from shared.gaps import FIRST_START, NO_DATA
from shared.model import HuntSpec, HuntStatus, Window
from shared.schedule import due, judged, touch
from shared.timeline import Gap, HuntRecord
from tests.unit.house import GUID, WORKSPACE, day_window, days_before, hours_of_days, spec

SETTLE = timedelta(minutes=15)
HOUR = timedelta(hours=1)
ARRIVAL = spec()
DAILY = spec(arrival=False, schedule="30 1 * * *")
HOURLY = spec(slot="hour")


def at(text: str) -> datetime:
    """E.g. "10 00:05" is that time on the tenth of March."""
    return datetime.strptime(f"2026 03 {text}", "%Y %m %d %H:%M").replace(tzinfo=UTC)


def empty() -> HuntRecord:
    return HuntRecord(GUID, WORKSPACE)


def touched(hunt: HuntSpec, record: HuntRecord, *days: str, when: str) -> HuntRecord:
    return touch(hunt, record, hours_of_days(*days), at(when))


def keys(hunt: HuntSpec, record: HuntRecord, when: str, busy: Iterable[str] = ()) -> list[str]:
    return [item.key for item in due(hunt, record, at(when), SETTLE, set(busy))]


def judge(hunt: HuntSpec, record: HuntRecord, when: str) -> HuntRecord:
    """The record after every due slot got its run."""
    for item in due(hunt, record, at(when), SETTLE):
        record = judged(record, item, f"{item.key}-r{item.revision}", at(when))
    return record


def started(hunt: HuntSpec = ARRIVAL) -> HuntRecord:
    """The ninth is judged at half past midnight, the seventh and eighth are a gap."""
    record = touched(hunt, empty(), "20260307", "20260308", "20260309", when="10 00:05")
    fire = at("10 00:00") if hunt.schedule else None
    record = judge(hunt, replace(record, next_fire=fire), "10 00:30")
    return replace(record, next_fire=None)


# --- the first start ----------------------------------------------------------------------------


@pytest.mark.parametrize("hunt", [ARRIVAL, DAILY])
def test_a_first_start_judges_the_newest_slot_and_declares_the_older_a_gap(hunt: HuntSpec) -> None:
    record = started(hunt)
    assert record.watermark == at("10 00:00")
    assert [key for key, slot in record.slots.items() if slot.revision == 0] == ["20260309"]
    assert record.gaps == (Gap(at("07 00:00"), at("09 00:00"), FIRST_START),)
    assert keys(hunt, replace(record, next_fire=at("10 03:00")), "10 03:00") == []


def test_days_before_the_first_export_are_not_missing() -> None:
    record = touched(ARRIVAL, empty(), "20260309", when="10 00:05")
    assert judge(ARRIVAL, record, "10 00:30").gaps == ()


def test_older_days_that_are_found_after_the_first_start_are_its_gap_too() -> None:
    record = touched(ARRIVAL, empty(), "20260309", when="10 00:05")
    record = judge(ARRIVAL, record, "10 00:30")
    record = touched(ARRIVAL, record, "20260302", "20260308", when="10 00:31")
    assert record.gaps == (Gap(at("02 00:00"), at("09 00:00"), FIRST_START),)
    assert keys(ARRIVAL, record, "11 12:00") == []
    assert schedule.open_slots(ARRIVAL, record, at("11 12:00")) == 0


def test_a_first_start_waits_until_every_slot_is_quiet_but_not_for_ever() -> None:
    record = touched(ARRIVAL, empty(), "20260309", when="10 00:05")
    record = touched(ARRIVAL, record, "20260301", when="10 00:19")
    assert keys(ARRIVAL, record, "10 00:33") == []
    assert keys(ARRIVAL, record, "10 00:34") == ["20260309"]
    for minute in range(20, 60):
        record = touched(ARRIVAL, record, "20260301", when=f"10 00:{minute}")
    assert keys(ARRIVAL, record, "10 01:04") == []
    assert keys(ARRIVAL, record, "10 01:05") == ["20260309"]


# --- settle and schedule ------------------------------------------------------------------------


def test_arrival_waits_for_the_end_of_the_slot_and_for_quiet() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="10 23:50")
    assert keys(ARRIVAL, record, "10 23:59") == []
    assert keys(ARRIVAL, record, "11 00:04") == []
    assert keys(ARRIVAL, record, "11 00:05") == ["20260310"]


def test_a_hunt_may_have_a_settle_time_of_its_own() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="11 00:00")
    slow = replace(ARRIVAL, settle_minutes=90.0)
    assert keys(slow, record, "11 01:29") == []
    assert keys(slow, record, "11 01:30") == ["20260310"]


def test_an_arrival_waits_for_its_whole_window_at_most_four_settle_times() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="11 00:00")
    for minute in range(0, 60, 10):
        record = touched(ARRIVAL, record, "20260301", when=f"11 00:{minute:02d}")
    assert keys(ARRIVAL, record, "11 00:59") == []
    assert keys(ARRIVAL, record, "11 01:00") == ["20260310"]


def test_noise_outside_of_the_window_does_not_matter() -> None:
    short = replace(ARRIVAL, lookback_days=2)
    record = touched(short, started(short), "20260310", when="11 00:00")
    record = touched(short, record, "20260308", "20260311", when="11 00:14")
    assert keys(short, record, "11 00:15") == ["20260310"]
    assert keys(ARRIVAL, record, "11 00:15") == []


def test_a_schedule_judges_what_has_ended_when_it_fires_settled_or_not() -> None:
    record = touched(DAILY, started(DAILY), "20260310", when="11 01:29")
    record = replace(record, next_fire=at("11 01:30"))
    assert keys(DAILY, record, "11 01:29") == []
    assert keys(DAILY, record, "11 01:30") == ["20260310"]
    assert [item.by_schedule for item in due(DAILY, record, at("11 01:30"), SETTLE)] == [True]


def test_a_schedule_alone_does_not_start_by_arrival_and_both_start_by_either() -> None:
    both = replace(DAILY, arrival=True)
    record = touched(DAILY, started(DAILY), "20260310", when="10 23:00")
    record = replace(record, next_fire=at("11 01:30"))
    assert keys(DAILY, record, "11 01:00") == []
    assert keys(both, record, "11 01:00") == ["20260310"]
    noisy = touched(both, record, "20260310", when="11 01:29")
    assert keys(both, noisy, "11 01:29") == []
    assert keys(both, noisy, "11 01:30") == ["20260310"]


def test_no_new_data_no_run() -> None:
    record = replace(started(DAILY), next_fire=at("11 01:30"))
    assert keys(DAILY, record, "11 01:30") == []
    assert keys(ARRIVAL, started(), "12 00:00") == []


@pytest.mark.parametrize("status", ["draft", "disabled"])
def test_drafts_and_disabled_hunts_start_nothing(status: HuntStatus) -> None:
    record = touched(ARRIVAL, started(), "20260310", when="11 00:00")
    hunt = replace(ARRIVAL, status=status)
    assert keys(hunt, record, "11 01:00") == []
    assert schedule.open_slots(hunt, record, at("11 01:00")) == 0
    assert keys(replace(ARRIVAL, status="shadow"), record, "11 01:00") == ["20260310"]


def test_a_busy_slot_waits_for_its_run() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="11 00:00")
    assert keys(ARRIVAL, record, "11 01:00", busy=["20260310"]) == []


@pytest.mark.parametrize(
    ("cron", "expected"),
    [("30 1 * * *", "10 01:30"), ("*/20 * * * *", "10 00:40"), ("0 0 * * 0", "15 00:00")],
)
def test_the_next_fire_is_in_utc_and_later(cron: str, expected: str) -> None:
    assert schedule.next_fire(replace(DAILY, schedule=cron), at("10 00:20")) == at(expected)
    assert schedule.next_fire(ARRIVAL, at("10 00:20")) is None


# --- late data ----------------------------------------------------------------------------------


def test_late_data_revises_its_slot_three_times_with_growing_patience() -> None:
    record, now = started(), at("12 00:00")
    for revision, settles in ((1, 1), (2, 8), (3, 48)):
        record = touch(ARRIVAL, record, ["2026030905"], now)
        early = due(ARRIVAL, record, now + settles * SETTLE - timedelta(seconds=1), SETTLE)
        now += settles * SETTLE
        (item,) = due(ARRIVAL, record, now, SETTLE)
        assert (early, item.key, item.revision) == ([], "20260309", revision)
        record = judged(record, item, f"r{revision}", now)
    record = touch(ARRIVAL, record, ["2026030905"], now)
    assert due(ARRIVAL, record, now + timedelta(days=3), SETTLE) == []
    assert not schedule.pending(record.slots["20260309"])


def test_a_change_is_never_lost_to_a_clock_that_goes_behind() -> None:
    record = started()
    record = touch(ARRIVAL, record, ["2026030905"], at("10 00:01"))
    assert schedule.pending(record.slots["20260309"])
    same = touch(ARRIVAL, started(), ["2026030905"], started().slots["20260309"].judged or at(""))
    assert schedule.pending(same.slots["20260309"])


def test_data_that_came_after_the_run_was_saved_is_judged_again() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="11 00:40")
    (item,) = due(ARRIVAL, record, at("11 00:55"), SETTLE)
    found_again = judged(record, item, "run", at("11 00:20"))
    assert schedule.pending(found_again.slots["20260310"])
    assert not schedule.pending(judged(record, item, "run", at("11 00:55")).slots["20260310"])


def test_the_slot_that_waits_does_not_stop_the_newer_one() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="11 00:00")
    record = judge(ARRIVAL, record, "11 00:15")
    record = touched(ARRIVAL, record, "20260309", when="12 00:00")
    record = touched(ARRIVAL, record, "20260311", when="12 00:00")
    assert keys(ARRIVAL, record, "12 00:15") == ["20260311", "20260309"]


# --- gaps ---------------------------------------------------------------------------------------


def test_days_without_data_become_gaps_and_late_data_closes_them() -> None:
    record = touched(ARRIVAL, started(), "20260314", when="15 00:00")
    record = judge(ARRIVAL, record, "15 00:15")
    first = Gap(at("07 00:00"), at("09 00:00"), FIRST_START)
    assert record.gaps == (first, Gap(at("10 00:00"), at("14 00:00"), NO_DATA))
    record = touched(ARRIVAL, record, "20260312", when="15 01:00")
    record = judge(ARRIVAL, record, "15 01:15")
    left = (Gap(at("10 00:00"), at("12 00:00"), NO_DATA),
            Gap(at("13 00:00"), at("14 00:00"), NO_DATA))  # fmt: skip
    assert record.gaps == (first, *left)


def test_a_slot_whose_run_came_to_nothing_is_a_gap_until_its_next_revision() -> None:
    record, slot = started(), schedule.slot_window("20260309")
    assert schedule.unjudged(record, "another", slot, "failed") == record
    failed = schedule.unjudged(record, "20260309-r0", slot, "failed")
    assert failed.gaps == (*record.gaps, Gap(slot.start, slot.end, "failed"))
    assert schedule.unjudged(failed, "20260309-r0", slot, "failed") == failed
    late = touched(ARRIVAL, failed, "20260309", when="10 01:00")
    assert judge(ARRIVAL, late, "10 02:00").gaps == record.gaps


def test_a_pending_slot_between_two_judged_ones_is_no_gap() -> None:
    record = touched(ARRIVAL, started(), "20260310", when="12 00:05")
    record = touched(ARRIVAL, record, "20260311", when="12 00:00")
    (newer, older) = due(ARRIVAL, record, at("12 00:30"), SETTLE)
    record = judged(record, newer, "a", at("12 00:30"))
    assert (older.key, record.gaps) == ("20260310", started().gaps)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 600)), max_size=25), st.booleans())
def test_judged_slots_and_gaps_tile_the_time_line(
    landings: list[tuple[int, int]], hourly: bool
) -> None:
    hunt = HOURLY if hourly else ARRIVAL
    step, now, record = HOUR * (1 if hourly else 24), at("10 12:00"), empty()
    revisions: dict[str, int] = {}
    for back, minutes in landings:
        record = touch(hunt, record, [hour_key(now - back * step)], now)
        now += timedelta(minutes=minutes)
        for item in due(hunt, record, now, SETTLE):
            assert item.slot.end <= now
            assert item.revision == revisions.get(item.key, -1) + 1 < 4
            revisions[item.key] = item.revision
            record = judged(record, item, "run", now)
    done = [schedule.slot_window(key) for key in revisions]
    parts = sorted([*((w.start, w.end) for w in done), *((g.start, g.end) for g in record.gaps)])
    assert all(one[1] <= other[0] for one, other in pairwise(parts)), parts
    open_slots = {key for key, slot in record.slots.items() if schedule.pending(slot)}
    holes = [(a[1], b[0]) for a, b in pairwise(parts) if a[1] < b[0]]
    for start, end in holes:
        assert all(
            any(schedule.slot_window(key).start == start + n * step for key in open_slots)
            for n in range(int((end - start) / step))
        )
    if record.watermark:
        assert record.watermark == max(window.end for window in done)


# --- windows ------------------------------------------------------------------------------------


def test_the_lookback_ends_on_and_includes_its_day() -> None:
    window = schedule.lookback_window(day_window("20260309"), 21)
    assert window == Window(datetime(2026, 2, 17, tzinfo=UTC), at("10 00:00"))
    assert len(list(days_before("20260309", 21))) == (window.end - window.start).days == 21


@given(st.integers(0, 1_700_000))
def test_each_hour_belongs_to_the_slot_that_holds_it(hours: int) -> None:
    start = datetime(2001, 1, 1, tzinfo=UTC) + hours * HOUR
    for hunt, length in ((ARRIVAL, 24 * HOUR), (HOURLY, HOUR)):
        window = schedule.slot_window(schedule.slot_key(hunt, hour_key(start)))
        assert window.start <= start < window.end
        assert window.end - window.start == length


# --- memory -------------------------------------------------------------------------------------


def test_a_record_forgets_after_35_days_and_stays_small() -> None:
    record, now = started(), at("10 00:30")
    for day in range(150):
        now = at("10 00:30") + timedelta(days=day)
        if day % 2:
            record = touch(ARRIVAL, record, [hour_key(now - 2 * HOUR)], now)
        for item in due(ARRIVAL, record, now + HOUR, SETTLE):
            record = judged(record, item, f"{item.key}-beaconing-contoso-01234567-r0", now + HOUR)
        record = schedule.forget(record, now)
    oldest = min(schedule.slot_window(key).start for key in record.slots)
    assert now - oldest <= timedelta(days=37)
    assert 15 <= len(record.slots) <= 20
    assert 15 <= len(record.gaps) <= 20
    assert len(json.dumps(encode(record))) < 64_000


def test_forgetting_nothing_keeps_the_very_record() -> None:
    record = started()
    assert schedule.forget(record, at("11 00:00")) is record


def test_runs_of_one_workspace_share_a_job_as_soon_as_one_may_start() -> None:
    starts = {"a": at("10 02:00"), "b": at("10 01:00")}
    assert schedule.shares(starts, at("10 00:59")) == []
    assert schedule.shares(starts, at("10 01:00")) == ["a", "b"]
    assert schedule.shares({}, at("10 01:00")) == []


def test_slots_count_as_open_only_while_something_will_be_done_about_them() -> None:
    record = touched(ARRIVAL, empty(), "20260308", "20260309", when="10 00:05")
    assert schedule.open_slots(ARRIVAL, record, at("10 00:06")) == 1
    assert schedule.open_slots(DAILY, record, at("10 00:06")) == 0
    assert schedule.open_slots(ARRIVAL, judge(ARRIVAL, record, "10 00:30"), at("10 00:30")) == 0
    late = touched(ARRIVAL, judge(ARRIVAL, record, "10 00:30"), "20260309", when="10 00:31")
    assert schedule.open_slots(ARRIVAL, late, at("10 00:32")) == 1
