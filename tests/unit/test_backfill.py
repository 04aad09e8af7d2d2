"""Filling gaps: newest first, a few at a time, behind live runs, through crashes and cancels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest

from shared import backfill, classes, fills
from shared import contract as c
from shared import requests as asking
from shared.gaps import FIRST_START, NO_DATA
from shared.model import HuntSpec, Run
from shared.timeline import Fill, Fills
from tests.unit import house
from tests.unit.house import OTHER_GUID, House, days_before, spec
from tests.unit.time_line import faults, gaps_of, record_of

QUICK = {"coalesce_seconds": "0", "settle_seconds": "60", "readback_seconds": "60"}
DAYS = tuple(days_before("20260309", 8))
"""The second to the ninth of March: the newest is judged at first, the others are a gap."""


def begun(*hunts: HuntSpec, days: tuple[str, ...] = DAYS, **changes: str) -> House:
    """A house whose hunts have judged the newest of these days."""
    home = house.build(hunts or [spec()], **{**QUICK, **changes})
    home.land([f"{day}12" for day in days])
    home.live(1, 60)
    assert [run.status for run in home.runs().values()] == ["done"] * len(home.deployment.hunts)
    return home


def fill(home: House, **changes: Any) -> list[Fill]:
    """Ask for a fill."""
    given = {"hunt": "beaconing", "workspace": None, "first": None, "last": None}
    planned = fills.plan_fills(home.deployment, **{**given, "incidents": False, **changes})
    fills.leave(home.deployment, planned)
    return planned


def backfilled(home: House) -> list[Run]:
    return [run for run in home.runs().values() if run.kind == "backfill"]


def ended(home: House) -> list[Fill]:
    kept = home.deployment.records.load(Fills, fills.ENDED)
    return list(kept.value.ended) if kept else []


# --- what is filled -------------------------------------------------------------------------------


def test_a_fill_judges_every_gap_without_incidents_and_ends() -> None:
    home = begun()
    assert gaps_of(home) == [("20260302", "20260308", FIRST_START)]
    incidents = len(home.incidents.incidents)
    fill(home)
    home.live(1, 60)
    assert {run.id[:8]: run.status for run in backfilled(home)} == dict.fromkeys(DAYS[:-1], "done")
    assert (gaps_of(home), faults(home)) == ([], [])
    assert len(home.sink.rows) == 8 and len(home.incidents.incidents) == incidents
    assert home.documents("active/fills/") == {} and not home.documents("active/")
    (one,) = ended(home)
    assert (one.started, one.empty, one.judged, one.left) == (7, 0, 0, one.start)


def test_incidents_are_opened_when_they_are_asked_for_and_the_hunt_is_live() -> None:
    for status, opened in (("live", True), ("shadow", False)):
        home = begun(spec(status=status))
        fill(home, incidents=True, first="2026-03-08")
        home.live(1, 60)
        assert [run.incidents for run in backfilled(home)] == [opened]


def test_some_days_are_filled_and_the_rest_stays_a_gap() -> None:
    home = begun()
    fill(home, first="2026-03-04", last="2026-03-05")
    home.live(1, 60)
    assert [run.slot for run in backfilled(home)] == [
        house.day_window("20260304"), house.day_window("20260305")
    ]  # fmt: skip
    assert gaps_of(home) == [
        ("20260302", "20260303", FIRST_START), ("20260306", "20260308", FIRST_START)
    ]  # fmt: skip
    assert faults(home) == []


def test_days_without_data_cost_no_run_and_say_so() -> None:
    home = begun(days=("20260302", "20260305", "20260309"))
    fill(home)
    home.live(1, 60)
    assert [run.slot for run in backfilled(home)] == [
        house.day_window("20260302"), house.day_window("20260305")
    ]  # fmt: skip
    assert gaps_of(home) == [
        ("20260303", "20260304", NO_DATA), ("20260306", "20260308", NO_DATA)
    ]  # fmt: skip
    assert faults(home) == []
    assert [(one.started, one.empty) for one in ended(home)] == [(2, 5)]


def test_days_older_than_the_time_line_are_filled_from_the_lake() -> None:
    home = begun()
    home.land(["2025110512", "2025110712"], event=False)
    fill(home, first="2025-11-05", last="2025-11-08")
    home.live(1, 60)
    assert [run.id[:8] for run in backfilled(home)] == ["20251105", "20251107"]
    assert gaps_of(home) == [("20260302", "20260308", FIRST_START)]
    fill(home, first="2025-11-05", last="2025-11-08")
    home.live(1, 60)
    assert len(backfilled(home)) == 2  # what was judged is not judged again
    assert min(record_of(home).slots) >= "20260302"


def test_a_filled_slot_that_fails_is_a_gap_again_and_can_be_filled_again() -> None:
    home = begun()
    for day, revision in (("20260308", 0), ("20260308", 1), ("20251105", 0), ("20251105", 1)):
        home.land([f"{day}12"], event=False)
        fill(home, first=day, last=day)
        home.tick(2)
        (job_id,) = [job.job_id for job in home.engine.jobs.values() if job.state == "queued"]
        (run,) = home.plan(job_id)["runs"]
        assert run["revision"] == revision
        home.land_results(job_id, run["run_id"], [], status="failed", error="KeyError: 'x'")
        home.engine.enter(str(len(home.engine.requests) - 1), "succeeded")
        home.tick(3)
        assert (day, day, f"run {run['run_id']} failed") in gaps_of(home)
    fill(home)
    home.live(2, 60)
    assert {run.id[:8] for run in backfilled(home) if run.status == "done"} == {
        "20251105", *DAYS[:-1]
    }  # fmt: skip
    assert gaps_of(home) == []


def test_late_data_of_a_filled_slot_brings_its_next_revision() -> None:
    home = begun()
    fill(home, first="2026-03-05", last="2026-03-05")
    home.live(1, 60)
    home.land(["2026030512"], content="{}{}")
    home.live(1, 60)
    found = [(run.kind, run.revision, run.status) for run in home.runs().values()
             if run.slot == house.day_window("20260305")]  # fmt: skip
    assert found == [("backfill", 0, "done"), ("live", 1, "done")]


# --- gradually, and behind everything else --------------------------------------------------------


def test_a_year_is_filled_a_few_runs_at_a_time_newest_first() -> None:
    home = begun()
    days = tuple(days_before("20260301", 365))
    home.land([f"{day}12" for day in days], event=False)
    (asked,) = fill(home, first=days[0])
    bound, most, seen = backfill.runs_at_once(home.deployment.settings), 0, list[str]()
    for _ in range(400):
        home.work()
        home.tick(1, 120)
        waiting = [p for p in home.ledger.contents() if p.startswith(classes.BACKFILL)]
        most = max(most, len(waiting))
        fresh = {run.id[:8] for run in backfilled(home)} - set(seen)
        assert not seen or not fresh or max(fresh) < min(seen)
        seen += sorted(fresh, reverse=True)
        if ended(home) and not home.documents("active/"):
            break
    assert most == bound == 50
    assert seen == sorted([*days, *DAYS[:-1]], reverse=True)
    assert ended(home)[0].id == asked.id and ended(home)[0].started == 372
    assert len(home.engine.requests) <= 1 + 372 / 25 + 2


def test_backfill_has_a_quarter_of_the_jobs_and_live_runs_the_rest() -> None:
    home = begun(jobs_at_once="8")
    home.land([f"{day}12" for day in days_before("20260301", 120)], event=False)
    fill(home, first=c.day_key(house.START - timedelta(days=100)))
    home.tick(3)
    carried = [kept.value for kept in home.deployment.records.jobs()]
    assert [classes.is_backfill(job.runs) for job in carried] == [True, True]
    home.clock.now = house.START + timedelta(days=1)
    home.land(["2026031012"])
    home.tick(3)
    carried = [kept.value for kept in home.deployment.records.jobs()]
    assert sorted(classes.is_backfill(job.runs) for job in carried) == [False, True, True]


def test_a_live_run_goes_before_the_backfill_that_waits() -> None:
    home = begun(jobs_at_once="1")
    home.clock.now = house.START + timedelta(days=1)
    home.land(["2026031012"])
    home.tick()
    fill(home)
    home.tick(2)
    (job,) = [kept.value for kept in home.deployment.records.jobs()]
    assert not classes.is_backfill(job.runs) and backfilled(home)


def test_backfill_has_a_quarter_of_the_days_jobs() -> None:
    home = begun(jobs_a_day="8", jobs_at_once="40")
    home.land([f"{day}12" for day in days_before("20260301", 120)], event=False)
    fill(home, first=c.day_key(house.START - timedelta(days=120)))
    for _ in range(20):
        home.work()
        home.tick()
    assert home.deployment.records.budget("20260310").value.backfill == 2
    assert len(home.engine.requests) == 3  # the live one besides


def test_backfill_leaves_the_last_quarter_of_the_days_bytes_to_live_runs() -> None:
    live, old = house.a_run(), house.a_run(kind="backfill")
    assert [classes.within_cap(old, used, 100) for used in (75, 76)] == [True, False]
    assert [classes.within_cap(live, used, 100) for used in (100, 101)] == [True, False]


def test_two_hunts_fill_side_by_side_and_one_hunt_one_fill_after_the_other() -> None:
    home = begun(spec(), spec(module="other_hunt", guid=OTHER_GUID))
    home.land([f"{day}12" for day in days_before("20260301", 90)], event=False)
    year = {"first": "2025-12-10"}
    (one,), (other,) = fill(home, **year), fill(home, **year, hunt="other_hunt")
    home.clock.forward(1)
    (second,) = fill(home, **year)
    home.tick(2)
    started = {kept.value.id: kept.value.started for kept in fills.open_fills(home.deployment)}
    assert started == {one.id: 25, other.id: 25, second.id: 0}


# --- waiting, cancels, crashes --------------------------------------------------------------------


def test_a_fill_waits_while_its_hunt_is_disabled() -> None:
    home = begun()
    fill(home)
    home.deployment = replace(home.deployment, hunts=[spec(status="disabled")])
    home.tick(2)
    (kept,) = fills.open_fills(home.deployment)
    assert (kept.value.reason, backfilled(home)) == ("the hunt is disabled", [])
    home.deployment = replace(home.deployment, hunts=[spec()])
    home.live(1, 60)
    assert gaps_of(home) == [] and fills.open_fills(home.deployment) == []


def test_a_cancelled_fill_ends_with_its_runs_and_leaves_gaps() -> None:
    home = begun()
    home.land([f"{day}12" for day in days_before("20260301", 90)], event=False)
    (asked,) = fill(home, first="2025-12-10")
    home.tick(2)
    assert fills.ask_cancel(home.deployment, asked.id, "too dear")
    home.live(1, 60)
    assert [(one.id, one.reason) for one in ended(home)] == [(asked.id, "cancelled: too dear")]
    assert {run.status for run in backfilled(home)} == {"cancelled"}
    assert len(backfilled(home)) == 50 and not home.documents("active/")
    assert {gap[0] for gap in gaps_of(home) if gap[2] == FIRST_START} == set()
    assert faults(home) == []
    assert not fills.ask_cancel(home.deployment, asked.id, "again")


def test_a_fill_that_waits_in_line_is_cancelled_alone() -> None:
    home = begun()
    home.land([f"{day}12" for day in days_before("20260301", 90)], event=False)
    fill(home, first="2025-12-10")
    home.clock.forward(1)
    (second,) = fill(home, first="2025-12-10")
    home.tick(2)
    fills.ask_cancel(home.deployment, second.id, "")
    home.tick(1)
    assert [one.id for one in ended(home)] == [second.id]
    assert {run.status for run in backfilled(home)} == {"assigned", "waiting"}


def settle(home: House) -> None:
    """Turns until nothing is left to do."""
    for _ in range(40):
        home.work()
        home.tick()
        if not home.documents("active/fills/") and not home.documents("active/"):
            return
    pytest.fail("something is left")


def crashing(home: House, phase: str, point: int) -> Iterator[str]:
    """Ticks until the process dies at that request of theirs; yields the request if it came."""
    died: list[str] = []
    calls = 0

    def crash(when: str, operation: str, subject: str) -> None:
        nonlocal calls
        calls += when == phase
        if when == phase and calls == point:
            died.append(f"{operation} {subject}")
            raise house.Crash

    home.wire.hook = crash
    with suppress(house.Crash):
        home.tick(2)
    home.wire.hook = lambda *_: None
    yield from died


@pytest.mark.parametrize("phase", ["before", "after"])
def test_a_crash_at_any_request_of_a_fill_judges_each_slot_once(phase: str) -> None:
    start, points = begun(days=DAYS[-3:]), 0
    fill(start)
    for point in count(1):
        home = deepcopy(start)
        died = list(crashing(home, phase, point))
        if not died:
            break
        points += 1
        home.clock.forward(120)
        settle(home)
        assert sorted(run.id[:8] for run in backfilled(home)) == list(DAYS[-3:-1]), died
        assert {run.status for run in home.runs().values()} == {"done"}, died
        assert (gaps_of(home), faults(home)) == ([], []), died
        assert len({row["FindingId"] for row in home.sink.rows}) == 3
    assert points > 60


def test_a_redriven_run_of_backfill_stays_one() -> None:
    home = begun()
    fill(home, first="2026-03-08")
    home.tick(2)
    (run,) = backfilled(home)
    asking.ask_change(home.deployment, "cancel", run.id)
    home.tick(2)
    asking.ask_change(home.deployment, "redrive", run.id)
    home.live(1, 60)
    assert [(one.status, one.incidents) for one in backfilled(home)] == [
        ("cancelled", False), ("done", False)
    ]  # fmt: skip
    assert gaps_of(home) == [("20260302", "20260307", FIRST_START)]


def test_a_slot_that_live_and_backfill_want_gets_one_run() -> None:
    home = begun()
    home.clock.now = house.START + timedelta(days=2)
    home.land(["2026031112"])
    home.live(1, 60)
    assert ("20260310", "20260310", NO_DATA) in gaps_of(home)
    home.land(["2026031012"])
    fill(home, first="2026-03-10", last="2026-03-10")

    def crash(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("after", "ledger.create") and classes.BACKFILL in subject:
            raise house.Crash

    home.wire.hook = crash
    with pytest.raises(house.Crash):
        home.tick()
    home.wire.hook = lambda *_: None
    home.ledger.delete(next(path for path in home.documents("active/fills/")))
    home.clock.forward(120)
    home.live(1, 60)  # the hunt judges the slot by itself as well, and finds the run that is there
    slot = [run for run in home.runs().values() if run.slot == house.day_window("20260310")]
    assert [(run.kind, run.revision, run.status) for run in slot] == [("backfill", 0, "done")]
    assert faults(home) == []
