"""Each alarm by itself, raised once and ended once; and as people see them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared import alarms, pauses
from shared.alarms import OTHER_ALARMS_MOST, RUN_ALARMS_MOST
from shared.arrivals import Arrivals, Heard, LastHour
from shared.contract import hour_start, workspace_key
from shared.documents import encode
from shared.errors import Transient
from shared.model import Json, Run
from shared.schedule import touch
from shared.timeline import HuntRecord
from shared.told import Alarm, Alarms
from tests.unit import house
from tests.unit.delivering import refuse
from tests.unit.house import TABLE, WORKSPACE, House, a_run, spec
from tests.unit.telling import end

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
KEY = workspace_key(WORKSPACE)
PLACE = f"{KEY}/{TABLE}"


def everything(_alarm: Alarm) -> bool:
    return True


def names(found: Sequence[Alarm]) -> list[str]:
    return [alarm.name for alarm in found]


# --- raised once, ended once ----------------------------------------------------------------------


def test_an_alarm_is_raised_once_keeps_its_since_and_ends_once() -> None:
    one, again = (Alarm("TableDark", "t", NOW + n * HOUR, "silent") for n in (0, 1))
    change = alarms.changed(Alarms(), [one], everything)
    assert (change.raised, change.ended) == ((one,), ())
    change = alarms.changed(change.after, [again], everything)
    assert (change.raised, change.ended, change.after.known) == ((), (), {one.name: one})
    change = alarms.changed(change.after, [], everything)
    assert (change.raised, change.ended, change.after.known) == ((), (one,), {})


def test_what_was_not_looked_at_goes_on() -> None:
    before = Alarms({"HuntLate/a": Alarm("HuntLate", "a", NOW)})
    assert alarms.changed(before, [], lambda alarm: alarm.subject != "a").after == before


def test_the_document_stays_small_whatever_stands_still() -> None:
    text = "é" * 900
    runs = [a_run(id=f"20260309-{n:0120d}", status="held", reason=text) for n in range(400)]
    others = [
        Alarm("ColumnDark", f"{'h' * 48}/{KEY}/{n:0120d}", NOW, "x" * alarms.TEXT, "x" * 80, KEY,
              "h" * 48, NOW)
        for n in range(100)
    ]  # fmt: skip
    change = alarms.changed(Alarms(), [*alarms.held(runs), *others], everything)
    assert len(change.after.known) == RUN_ALARMS_MOST + OTHER_ALARMS_MOST
    assert len(change.raised) == len(change.after.known)
    assert all(len(alarm.reason) == alarms.TEXT for alarm in change.raised)
    assert len(json.dumps(encode(change.after))) < 64_000


# --- runs and hunts -------------------------------------------------------------------------------


def test_a_run_is_late_when_it_was_saved_long_ago_and_has_no_results() -> None:
    old, fresh = NOW - 3 * HOUR, NOW - HOUR
    runs = [
        a_run(id="a", created=old, reason="no capacity"),
        a_run(id="b", created=old, status="assigned"),
        a_run(id="c", created=fresh),
        a_run(id="d", created=old, status="delivering"),
        a_run(id="e", created=old, kind="backfill"),
    ]
    found = alarms.late_runs(runs, NOW, 2 * HOUR)
    assert names(found) == ["RunLate/a", "RunLate/b"]
    assert found[0].since == old and found[0].reason.endswith("more than 2:00:00: no capacity")


def hunt(hours: Sequence[str], at: datetime) -> HuntRecord:
    return touch(spec(), HuntRecord(spec().guid, WORKSPACE), hours, at)


def test_a_hunt_is_late_when_a_slot_was_due_long_ago_and_no_run_took_it_up() -> None:
    settle, bound, landed = timedelta(minutes=15), 2 * HOUR, hour_start("2026031000")
    record = hunt(["2026030901"], landed)
    due_at = landed + settle
    for now, late in ((due_at + bound - HOUR / 60, 0), (due_at + bound, 1)):
        found = alarms.late_hunts([(spec(), record)], (), now, settle, bound)
        assert len(found) == late
    (alarm,) = found
    assert (alarm.subject, alarm.since) == (f"beaconing/{KEY}", landed)
    assert alarm.reason == "slots due for more than 2:00:00 without a run: 1"


def test_a_slot_that_a_run_has_taken_up_or_whose_data_is_new_is_not_late() -> None:
    settle, bound = timedelta(minutes=15), 2 * HOUR
    landed = hour_start("2026031000")
    record = hunt(["2026030901"], landed)
    taken = {key: replace(slot, run="r") for key, slot in record.slots.items()}
    busy = replace(record, slots=taken)
    assert alarms.late_hunts([(spec(), busy)], ["r"], NOW, settle, bound) == []
    news = touch(spec(), record, ["2026030902"], NOW - HOUR)
    assert alarms.late_hunts([(spec(), news)], (), NOW, settle, bound) == []
    off = spec(status="disabled")
    assert alarms.late_hunts([(off, record)], (), NOW, settle, bound) == []


def test_a_hunt_whose_runs_of_the_day_are_used_up_is_late_and_catches_up() -> None:
    home = house.build(runs_a_hunt_a_day="1", late_seconds="3600", coalesce_seconds="0",
                       settle_seconds="60", readback_seconds="0")  # fmt: skip
    home.land(house.hours_of_days("20260308"))
    home.live(1)
    home.land(house.hours_of_days("20260309"))
    home.live(3)
    (late,) = late_rows(home)
    assert (late["Kind"], late["Hunt"]) == ("AlarmRaised", "beaconing")
    home.live(26)
    assert [row["Kind"] for row in late_rows(home)] == ["AlarmRaised", "AlarmEnded"]


def late_rows(home: House) -> list[Json]:
    return [row for row in home.health.rows if row.get("Alarm") == "HuntLate"]


def stops(home: House) -> list[tuple[str, str, str]]:
    return [
        (row["Kind"], row["Alarm"], row["Reason"])
        for row in home.health.rows
        if row.get("Alarm") in ("Paused", "PoolClosed")
    ]


def test_a_pause_is_raised_and_ends_with_who_and_why() -> None:
    home = house.build()
    pauses.ask(home.deployment, "pause", "the pool moves", "ada@contoso.com")
    home.live(1)
    told = "ada@contoso.com: the pool moves"
    assert stops(home) == [("AlarmRaised", "Paused", told)]
    pauses.ask(home.deployment, "resume", "moved", "ada@contoso.com")
    home.live(0.2)
    assert stops(home)[1:] == [("AlarmEnded", "Paused", told)]


def test_a_run_that_waits_for_the_end_of_a_pause_is_not_late() -> None:
    home = house.build(None, settle_seconds="60", coalesce_seconds="1800")
    home.land(house.hours_of_days("20260309"))
    home.live(0.2)
    assert [run.status for run in home.runs().values()] == ["waiting"]
    pauses.ask(home.deployment, "pause", "the pool moves", "")
    home.live(6)
    assert [run.status for run in home.runs().values()] == ["waiting"]
    raised = [row["Alarm"] for row in home.health.rows if row["Kind"] == "AlarmRaised"]
    assert "Paused" in raised and "RunLate" not in raised


def test_a_pool_that_takes_no_jobs_is_raised_and_ends() -> None:
    home = house.two_quick_hunts()
    home.land(house.hours_of_days("20260309"))
    home.wire.hook = refuse("engine.submit", Transient("no capacity"))
    home.live(2)
    assert [one[:2] for one in stops(home)] == [("AlarmRaised", "PoolClosed")]
    assert "no capacity" in stops(home)[0][2]
    home.wire.hook = lambda *_: None
    home.live(2)
    assert [one[:2] for one in stops(home)[1:]] == [("AlarmEnded", "PoolClosed")]


# --- what comes in --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("newest", "pause", "dark"),
    [
        ("2026031006", 1.0, False),
        ("2026031005", 1.0, False),  # ended at 06:00, six hours ago
        ("2026031004", 1.0, True),
        ("2026030912", 8.0, False),
        ("2026030910", 8.0, True),
    ],
)
def test_a_table_is_dark_after_the_bound_and_three_times_its_usual_pause(
    newest: str, pause: float, dark: bool
) -> None:
    held = Arrivals(tables={PLACE: LastHour(newest, pause)})
    found = alarms.dark_tables(held, {PLACE}, NOW, 6 * HOUR)
    assert names(found) == ([f"TableDark/{PLACE}"] if dark else [])
    assert alarms.dark_tables(held, set(), NOW, 6 * HOUR) == []
    assert all(alarm.since == hour_start(newest) + HOUR for alarm in found)


@pytest.mark.parametrize(
    ("hours", "missing"),
    [
        ({}, False),
        ({"2026031001": Heard(0, 9)}, False),
        ({"2026031001": Heard(0, 9), "2026031003": Heard(0, 2)}, True),
        ({"2026031001": Heard(0, 9), "2026031003": Heard(1, 2)}, False),
        ({"2026031001": Heard(5, 0), "2026031002": Heard(0, 2), "2026031003": Heard(0, 2)}, True),
    ],
)
def test_events_are_missing_when_sweeps_alone_find_blobs_in_two_hours(
    hours: dict[str, Heard], missing: bool
) -> None:
    found = alarms.events_missing(Arrivals(hours=hours))
    assert names(found) == (["EventsMissing/exports"] if missing else [])


def silent(home: House) -> list[tuple[str, str]]:
    return [
        (row["Kind"], row["Alarm"])
        for row in home.health.rows
        if row.get("Alarm") in ("EventsMissing", "TableDark")
    ]


def test_a_broken_subscription_and_a_dark_table_are_raised_and_ended() -> None:
    home = house.build()
    for hour in ("00", "01", "02"):
        home.land([f"20260310{hour}"], event=False)
        home.live(1)
    assert silent(home) == [("AlarmRaised", "EventsMissing")]
    home.land(["2026031003"])
    home.live(0.5)
    assert silent(home)[1:] == [("AlarmEnded", "EventsMissing")]
    home.live(12)
    assert silent(home)[2:] == [("AlarmRaised", "TableDark")]
    home.land(["2026031015"])
    home.live(1)
    assert silent(home)[3:] == [("AlarmEnded", "TableDark")]


def test_where_events_are_not_expected_nobody_misses_them() -> None:
    home = house.build(events="none")
    for hour in ("00", "01", "02"):
        home.land([f"20260310{hour}"], event=False)
        home.live(1)
    assert silent(home) == []


# --- what a run could read ------------------------------------------------------------------------


def covered(**coverage: object) -> Run:
    return a_run(status="done", coverage={"hours_planned": 1, **coverage})


@pytest.mark.parametrize(
    ("coverage", "told"),
    [
        ({"days_with_data": 21, "first_data": "2026-02-17T03:00:00Z"}, ""),
        ({"days_with_data": 4, "first_data": "2026-03-06T23:59:00Z"}, ""),
        ({"days_with_data": 3, "first_data": "2026-03-06T00:00:00Z"}, "1 of the 4 days"),
        ({"days_with_data": 19, "first_data": "2026-01-01T00:00:00Z"}, "2 of the 21 days"),
        ({"days_with_data": 0, "first_data": None}, "no data at all"),
        ({"days_with_data": 2, "first_data": None}, ""),
        ({"days_with_data": 2, "first_data": "2026-03-06"}, ""),
        ({}, ""),
    ],
)
def test_days_are_missing_between_the_first_data_and_the_end(coverage: Json, told: str) -> None:
    found = alarms.of_coverage(covered(**coverage))
    assert [alarm.kind for alarm in found] == (["DayMissing"] if told else [])
    assert all(told in alarm.reason for alarm in found)


def test_a_column_is_dark_when_it_is_null_in_every_row() -> None:
    nulls = {"DestinationIp": 1.0, "SourceIp": 0.9999, "Device\x1b[31m": 1}
    found = alarms.of_coverage(covered(tables={TABLE: {"rows": 70, "nulls": nulls}}))
    assert names(found) == [
        f"ColumnDark/beaconing/{KEY}/{TABLE}.DestinationIp",
        f"ColumnDark/beaconing/{KEY}/{TABLE}.Device [31m",
    ]
    assert found[0].reason == "null in all of 70 rows of the window"


def test_coverage_alarms_follow_the_newest_slot_of_their_hunt() -> None:
    home = house.build()
    end(home, "20260307", 1, "SourceIp", "DestinationIp")
    end(home, "20260308", 2, "DestinationIp")
    end(home, "20260306", 3)  # an older slot, judged again
    end(home, "20260308", 4, hunt="other_hunt")
    end(home, "20260308", 5, kind="adhoc")
    end(home, "20260308", 6, status="failed")
    end(home, "20260309", 7)
    told = [
        (row["Kind"], row["Subject"].rsplit(".", 1)[-1])
        for row in home.health.rows
        if row.get("Alarm") == "ColumnDark"
    ]
    assert told == [
        ("AlarmRaised", "DestinationIp"),
        ("AlarmRaised", "SourceIp"),
        ("AlarmEnded", "SourceIp"),
        ("AlarmEnded", "DestinationIp"),
    ]


def test_alarms_of_a_hunt_that_is_switched_off_end() -> None:
    home = house.build()
    end(home, "20260309", 1, "SourceIp")
    home.deployment = replace(home.deployment, hunts=[spec(status="disabled")])
    home.live(0.2)
    assert [row["Kind"] for row in home.health.rows if row.get("Alarm")] == [
        "AlarmRaised",
        "AlarmEnded",
    ]
