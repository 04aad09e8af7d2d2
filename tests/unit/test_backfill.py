"""Filling gaps: what is judged, what stays a gap, through waits, crashes and cancels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from copy import deepcopy
from dataclasses import replace
from datetime import timedelta
from itertools import count

import pytest

from shared import classes, fills, pauses
from shared import requests as asking
from shared.errors import Transient
from shared.gaps import FIRST_START, NO_DATA
from shared.records import done_path
from tests.unit import house
from tests.unit.filling import DAYS, backfilled, begun, ended, fill, settle
from tests.unit.house import House, days_before, spec
from tests.unit.time_line import faults, gaps_of, record_of

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


def crashing(home: House, point: int) -> Iterator[str]:
    """Ticks until the process dies after that request of theirs; yields it if it came."""
    died: list[str] = []
    calls = 0

    def crash(when: str, operation: str, subject: str) -> None:
        nonlocal calls
        calls += when == "after"
        if when == "after" and calls == point:
            died.append(f"{operation} {subject}")
            raise house.Crash

    home.wire.hook = crash
    with suppress(house.Crash):
        home.tick(2)
    home.wire.hook = lambda *_: None
    yield from died


def test_a_crash_after_any_request_of_a_fill_judges_each_slot_once() -> None:
    start, points = begun(days=DAYS[-3:]), 0
    fill(start)
    for point in count(1):
        home = deepcopy(start)
        died = list(crashing(home, point))
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


def test_nothing_is_started_while_the_app_is_paused_but_a_cancel_is_taken() -> None:
    home = begun()
    (asked,) = fill(home)
    pauses.ask(home.deployment, "pause", "a migration", "somebody")
    home.tick(3)
    assert backfilled(home) == [] and fills.open_fills(home.deployment) != []
    fills.ask_cancel(home.deployment, asked.id, "")
    home.tick(3)
    assert fills.open_fills(home.deployment) == [] and backfilled(home) == []


def test_a_fill_that_cannot_go_on_says_why_and_goes_on_when_it_can() -> None:
    home = begun()
    fill(home)

    def refuse(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "exports.blobs"):
            raise Transient("503")

    home.wire.hook = refuse
    home.tick(2)
    (kept,) = fills.open_fills(home.deployment)
    assert "503" in kept.value.reason
    home.wire.hook = lambda *_: None
    home.live(1, 60)
    assert gaps_of(home) == [] and [one.started for one in ended(home)] == [7]


def test_a_slot_that_was_judged_and_archived_long_ago_is_not_judged_again() -> None:
    home = begun()
    home.land(["2026010512", "2026010612"], event=False)
    fill(home, first="2026-01-05", last="2026-01-05")
    home.live(1, 60)
    (run,) = backfilled(home)
    home.clock.forward(40 * 24 * 3600)
    home.live(1, 300)
    assert done_path(run.id) not in home.ledger.contents()  # it is in its month's file
    fill(home, first="2026-01-05", last="2026-01-06")
    home.live(1, 60)
    assert [one.id[:8] for one in backfilled(home)] == ["20260106"]
    assert (ended(home)[0].started, ended(home)[0].judged) == (1, 1)
    assert gaps_of(home) == [("20260302", "20260308", FIRST_START)]
