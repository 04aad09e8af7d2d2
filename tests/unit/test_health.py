"""The health table: heartbeats, ended runs, alarms; what nobody takes is owed and comes later."""

from __future__ import annotations

import contextlib
from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from shared import contract as c
from shared import control_loop, http_api
from shared.bookkeeping import Claim
from shared.errors import (
    OutcomeUnknown,
    TidehuntError,
    Transient,
)
from shared.model import Job, Json, Run
from shared.records import Kept, job_path, run_path
from shared.told import Owed
from tests.unit import house
from tests.unit.delivering import JOB, delivering, refuse
from tests.unit.house import START, WORKSPACE, Crash, House, a_finding, a_run
from tests.unit.telling import FAILED, MISSING, STUCK, owed, rows, save, stuck_and_failed

MINUTES = timedelta(minutes=15)


# --- the heartbeat --------------------------------------------------------------------------------


def test_a_heartbeat_every_five_minutes_tells_what_there_is() -> None:
    home = house.build()
    save(home, a_run(id=STUCK, next_at=START + timedelta(hours=3)))
    later, earlier = START + timedelta(hours=9), START - timedelta(hours=1)
    run = a_run(id=FAILED, status="delivering", job=JOB, next_at=later, since=earlier)
    save(home, replace(run, step="read-back"))
    home.tick(11)
    beats = rows(home, "Heartbeat")
    assert [row["TimeGenerated"] for row in beats] == [
        "2026-03-10T00:05:00Z", "2026-03-10T00:10:00Z", "2026-03-10T00:15:00Z",
    ]  # fmt: skip
    assert len({row["RowId"] for row in beats}) == 3
    last = beats[-1]
    assert (last["LastTurnAge"], last["RunsActive"], last["RunsHeld"]) == (60.0, 2, 0)
    assert (last["OldestUndelivered"], last["MarksWaiting"]) == (4200.0, 0)
    assert "LastTurnAge" not in beats[0] and "OldestDue" not in last
    assert last["BudgetUsed"] == {"jobs": 0, "vcore_hours": 0, "megabytes": 0, "incidents": 0}


def test_a_heartbeat_costs_a_few_calls_and_only_when_it_is_due() -> None:
    home, costs = house.build(), []
    home.tick(2)
    for _ in range(10):
        before = home.wire.calls
        home.tick()
        costs.append(home.wire.calls - before)
    plain, dear = min(costs), max(costs)
    assert Counter(costs) == {plain: 8, dear: 2}
    assert dear - plain <= 9


def test_a_turn_without_room_leaves_the_heartbeat_to_the_next() -> None:
    home = house.build()
    slow = [True]

    def hook(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "exports.tables") and slow:
            slow.clear()
            home.clock.forward(40)

    home.wire.hook = hook
    home.tick()
    assert rows(home) == [] and slow == []
    home.tick()
    assert len(rows(home, "Heartbeat")) == 1


def test_a_heartbeat_that_found_nobody_is_not_owed_and_not_repeated() -> None:
    home = house.build()
    home.wire.hook = refuse("health.send", Transient("503"))
    home.tick(4)
    assert rows(home) == [] and owed(home) == Owed()
    home.wire.hook = lambda *_: None
    home.tick(2)
    assert len(rows(home, "Heartbeat")) == 1


# --- runs -----------------------------------------------------------------------------------------


def test_an_ended_run_has_one_row_that_tells_what_became_of_it() -> None:
    home = delivering([a_finding(f"10.0.0.{n}") for n in range(1, 4)])
    tables = {"t": {"lines": 90, "dropped": 4, "rows": 86}, "u": {"lines": 10, "dropped": 1}}
    began = START - timedelta(minutes=12)
    job = Job(JOB, WORKSPACE, (), "ended", START, began, started=began + timedelta(minutes=2))
    home.deployment.records.save(Kept(job_path(JOB), job, None), job)
    kept = home.deployment.records.load(Run, run_path(a_run()))
    assert kept is not None
    told = {"hours_planned": 48, "hours_read": 46, "hours_missing": 2, "tables": tables}
    home.deployment.records.save(kept, replace(kept.value, coverage=told))
    home.live(1)
    (row,) = rows(home, "RunEnded")
    assert (row["RunId"], row["Hunt"], row["Status"]) == (a_run().id, "beaconing", "done")
    assert (row["JobId"], row["JobMinutes"]) == (JOB, 10.0)
    assert row["Coverage"] == {"hours_planned": 48, "hours_read": 46, "hours_missing": 2}
    assert (row["LinesRead"], row["LinesDropped"]) == (100, 5)
    assert (row["Findings"], row["Sent"], row["Rejected"], row["ReadBack"]) == (3, 3, 0, 3)
    assert c.workspace_key(WORKSPACE) == row["Workspace"]


@pytest.mark.parametrize(
    "coverage",
    [
        {"tables": []},
        {"tables": {"t": None, "u": {"lines": "many", "dropped": 1e300}}},
        {"tables": {"t": {"nulls": [], "rows": True}}, "days_with_data": "x", "first_data": 7},
        {"hours_missing": {"a": 1}, "days_with_data": 3, "first_data": "2026-03-01"},
    ],
)
def test_whatever_a_manifest_says_of_its_coverage_the_run_is_put_away(coverage: Json) -> None:
    home = house.build()
    save(home, a_run(status="done", job=JOB, coverage=coverage))
    home.tick()
    assert [row["Status"] for row in rows(home, "RunEnded")] == ["done"]
    assert list(home.documents("active/")) == []


def told_in_time(home: House) -> None:
    """Invariant 9: each held and each failed run has a row within 15 minutes."""
    runs = home.runs()
    assert (runs[FAILED].status, runs[STUCK].status) == ("failed", "held")
    for run, reason in ((runs[FAILED], "KeyError"), (runs[STUCK], "the stream is not there")):
        mine = [
            row
            for row in rows(home)
            if (row.get("RunId"), row.get("Status")) == (run.id, run.status)
        ]
        assert mine, f"no row of {run.id}"
        assert datetime.fromisoformat(mine[0]["TimeGenerated"]) <= run.since + MINUTES
        assert all(reason in row["Reason"] for row in mine)
        assert len({row["RowId"] for row in mine}) == 1


def test_a_held_and_a_failed_run_are_told_in_the_turn_that_finds_them() -> None:
    home = stuck_and_failed()
    home.wire.hook = MISSING
    home.tick()
    told_in_time(home)
    (held,) = rows(home, "AlarmRaised")
    assert held["Mend"] == f"tidehunt release {STUCK}, or tidehunt abandon {STUCK} --reason WHY"
    home.tick(50)
    assert len(rows(home, "AlarmRaised")) == len(rows(home, "RunEnded")) == 1
    home.wire.hook = lambda *_: None
    home.tick(30)
    (ended,) = rows(home, "AlarmEnded")
    assert (ended["Alarm"], ended["RunId"]) == ("RunHeld", STUCK)


KINDS: dict[str, tuple[str, BaseException]] = {
    "crash before": ("before", Crash()),
    "crash after": ("after", Crash()),
    "request lost": ("before", Transient("request lost")),
    "answer lost": ("after", OutcomeUnknown("answer lost")),
}


def with_fault(number: int, kind: str) -> tuple[House, int]:
    """The story with one fault at one call; the world after, and how often the fault came."""
    home, calls, fired = stuck_and_failed(), [0], [0]
    phase_of, error = KINDS[kind]

    def hook(phase: str, operation: str, subject: str) -> None:
        calls[0] += phase == "before"
        if calls[0] == number and phase == phase_of and not fired[0]:
            fired[0] = 1
            raise error
        MISSING(phase, operation, subject)

    home.wire.hook = hook
    for minutes in (1, 1, 1, 5, 5, 5):
        with contextlib.suppress(Crash, TidehuntError):
            control_loop.take_turn(home.deployment)
        home.clock.forward(60 * minutes)
    return home, fired[0]


def calls_of_a_story(kind: str) -> list[int]:
    """Numbers of the calls that a fault can meet: what is refused has no effect to come after."""
    home, phases = stuck_and_failed(), []

    def hook(phase: str, operation: str, subject: str) -> None:
        phases.append(phase)
        MISSING(phase, operation, subject)

    home.wire.hook = hook
    home.tick(2)
    calls = [n for n, phase in enumerate(phases) if phase == "before"]
    fitting = (
        calls
        if KINDS[kind][0] == "before"
        else [n for n in calls if phases[n + 1 : n + 2] == ["after"]]
    )
    return [calls.index(n) + 1 for n in fitting]


@pytest.mark.parametrize("kind", KINDS)
def test_whatever_fails_each_held_and_failed_run_has_its_row_within_15_minutes(kind: str) -> None:
    numbers = calls_of_a_story(kind)
    assert len(numbers) > 30
    for number in numbers:
        home, fired = with_fault(number, kind)
        assert fired, f"{kind} at call {number} did not fire"
        told_in_time(home)
        ended = [event for event in home.notifier.events if event[1] == "Tidehunt.RunEnded"]
        assert {event[0] for event in ended} == {f"{FAILED}-ended"}, f"{kind} at call {number}"


@pytest.mark.parametrize("path", ["health/alarms.json", "health/owed.json", "health/arrivals.json"])
def test_a_broken_document_spares_the_heartbeat_and_the_runs(path: str) -> None:
    home = stuck_and_failed()
    home.ledger.put(path, {"schema": 99})
    home.wire.hook = MISSING
    home.tick()
    assert len(rows(home, "Heartbeat")) == 1
    assert [row["RunId"] for row in rows(home, "RunEnded")] == [FAILED]
    assert home.documents(path)[path]["schema"] == 99
    assert http_api.status(home.deployment)[0] == 200


def test_an_event_s_turn_keeps_the_time_of_the_last_heartbeat() -> None:
    home = house.build()
    home.tick()
    control_loop.deliver_result(home.deployment, JOB, STUCK)
    kept = home.deployment.records.load(Claim, "turn.json")
    assert kept is not None and kept.value.beat == START
