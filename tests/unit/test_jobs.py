"""Jobs: one POST each, adopted or lost, watched to their end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from shared import contract as c
from shared.errors import OutcomeUnknown, Permanent, Throttled, Transient
from shared.model import Run
from shared.records import Kept, done_path, run_path
from tests.unit import house
from tests.unit.house import House, a_run, manifest
from tests.unit.waiting_runs import fast, jobs, only_run, waiting


def fail_once(home: House, operation: str, error: Exception, phase: str = "before") -> list[int]:
    """Let one operation fail once; the list tells that it did."""
    fired: list[int] = []

    def hook(at: str, what: str, _subject: str) -> None:
        if (at, what) == (phase, operation) and not fired:
            fired.append(1)
            raise error

    home.wire.hook = hook
    return fired


@pytest.fixture
def home() -> House:
    return fast()


# --- the one POST -------------------------------------------------------------------------------


def test_a_waiting_run_gets_a_plan_and_one_post(home: House) -> None:
    waiting(home)
    home.tick()
    (request,) = home.engine.requests
    (job,) = jobs(home)
    assert (job.status, job.engine_id, job.id) == ("running", "0", request.job_id)
    assert (only_run(home).status, only_run(home).job, only_run(home).attempt) == (
        "assigned", job.id, 1,
    )  # fmt: skip
    assert c.JOB_ID.fullmatch(job.id)
    assert [run["run_id"] for run in home.plan(job.id)["runs"]] == [a_run().id]
    home.tick(3)
    assert len(home.engine.requests) == 1


def test_a_run_that_a_late_write_brings_back_costs_no_job(home: House) -> None:
    records, run = home.deployment.records, a_run(status="done")
    records.finish(records.save(Kept(run_path(run), run, None), run), run.id)
    waiting(home)
    home.tick(3)
    assert home.engine.requests == [] and jobs(home) == []
    assert [path for path in home.documents("active/runs/") if run.id in path] == []
    ended = records.load(Run, done_path(run.id))
    assert ended is not None and ended.value.status == "done"


def test_an_ended_run_that_cannot_be_read_stops_no_other(home: House) -> None:
    waiting(home)
    home.ledger.put(done_path(a_run().id), {"schema": 1, "id": "half"})
    home.tick()
    assert len(home.engine.requests) == 1


def test_whether_a_run_has_ended_is_asked_again_when_nobody_answers(home: House) -> None:
    waiting(home)
    done = done_path(a_run().id)

    def hook(at: str, what: str, subject: str) -> None:
        if (at, what, subject) == ("before", "ledger.read", done):
            raise Transient("no answer")

    home.wire.hook = hook
    home.tick()
    assert (home.engine.requests, only_run(home).status) == ([], "waiting")
    home.wire.hook = lambda *_: None
    home.tick()
    assert len(home.engine.requests) == 1


def test_on_a_day_whose_jobs_are_used_up_nobody_asks_whether_a_waiting_run_has_ended() -> None:
    home, asked = fast(jobs_a_day="1"), list[str]()
    home.ledger.put("budget/20260310.json", {"schema": 1, "day": "20260310", "jobs": 1})
    waiting(home)

    def hook(at: str, what: str, subject: str) -> None:
        if (at, what) == ("before", "ledger.read") and subject.startswith("done/"):
            asked.append(subject)

    home.wire.hook = hook
    home.tick(2)
    assert (jobs(home), only_run(home).status, asked) == ([], "waiting", [])
    home.clock.forward(24 * 3600)
    home.tick()
    assert len(home.engine.requests) == 1 and asked == [done_path(a_run().id)]


def test_a_lost_answer_is_looked_up_and_adopted_never_posted_again(home: House) -> None:
    waiting(home)
    fired = fail_once(home, "engine.submit", OutcomeUnknown("reset"), "after")
    home.tick()
    assert fired and jobs(home)[0].status == "submitting"
    home.tick()
    assert jobs(home)[0].status == "submitting"
    home.tick()
    assert (jobs(home)[0].status, jobs(home)[0].engine_id) == ("running", "0")
    assert len(home.engine.requests) == 1


def test_a_lost_request_is_lost_after_two_looks_and_another_job_goes_out(home: House) -> None:
    waiting(home)
    fail_once(home, "engine.submit", OutcomeUnknown("reset"))
    home.tick()
    (first,) = jobs(home)
    home.tick(3)
    assert (jobs(home)[0].status, jobs(home)[0].looks) == ("submitting", 1)
    home.tick(2)
    assert home.engine.requests == []
    home.tick(3)
    assert [request.job_id for request in home.engine.requests] != [first.id]
    assert (len(home.engine.requests), only_run(home).attempt) == (1, 1)
    assert home.deployment.records.ledger.read(f"active/jobs/{first.id}.json") is None


def test_no_two_looks_at_the_clock_tell_the_same_time(home: House) -> None:
    home.clock.step = timedelta(microseconds=1)
    waiting(home)
    fail_once(home, "engine.submit", OutcomeUnknown("reset"))
    home.tick(9)
    assert (len(home.engine.requests), only_run(home).attempt) == (1, 1)


def test_no_capacity_is_waited_for_however_long(home: House) -> None:
    waiting(home)
    home.wire.hook = _always("engine.submit", Throttled("429"))
    home.tick(60 * 5)
    assert (only_run(home).status, home.engine.requests) == ("waiting", [])
    assert 10 <= home.documents("budget/")["budget/20260310.json"]["jobs"] <= 25
    home.wire.hook = lambda *_: None
    home.live(1)
    assert only_run(home).status == "done"


def test_a_throttled_run_waits_as_long_as_the_service_asks(home: House) -> None:
    waiting(home)
    fired = fail_once(home, "engine.submit", Throttled("429", retry_after=900))
    home.tick(15)
    assert fired and home.engine.requests == []
    assert (jobs(home)[0].status, only_run(home).attempt) == ("lost", 1)
    home.tick(3)
    assert len(home.engine.requests) == 1
    assert (only_run(home).attempt, only_run(home).unused) == (1, 1)


def test_jobs_that_the_engine_loses_use_up_nothing_and_come_ever_more_slowly(home: House) -> None:
    waiting(home)
    home.tick(2)
    waits = []
    for lost in range(7):
        home.engine.enter(str(lost), "lost", "POOL_LOST")
        while only_run(home).status == "assigned":
            home.tick()
        gone, run = home.clock(), only_run(home)
        assert (run.status, run.attempt, run.unused) == ("waiting", 0, lost + 1)
        assert "POOL_LOST" in run.reason
        while len(home.engine.requests) == lost + 1:
            home.tick()
        waits.append(round((home.clock() - gone).total_seconds() / 60))
    assert waits == [1, 2, 4, 8, 16, 32, 32]
    home.live(1)
    assert only_run(home).status == "done"


def _always(operation: str, error: Exception) -> Callable[[str, str, str], None]:
    def hook(phase: str, what: str, _subject: str) -> None:
        if (phase, what) == ("before", operation):
            raise error

    return hook


def test_a_permanent_refusal_holds_the_run_and_is_tried_hourly(home: House) -> None:
    waiting(home)
    home.wire.hook = _always("engine.submit", Permanent("more cores than the pool has"))
    home.tick(3)
    run = only_run(home)
    assert (run.status, run.attempt) == ("held", 0) and "more cores" in run.reason
    home.wire.hook = lambda *_: None
    home.tick(50)
    assert home.engine.requests == []
    home.live(1)
    assert only_run(home).status == "done"


# --- watching -----------------------------------------------------------------------------------


def test_success_without_a_manifest_fails_over_to_three_jobs_and_then_fails(home: House) -> None:
    waiting(home)
    for attempt in (1, 2, 3):
        home.tick(8)
        assert (len(home.engine.requests), only_run(home).attempt) == (attempt, attempt)
        home.engine.enter(str(attempt - 1), "succeeded")
        home.tick(4)
        assert only_run(home).status == "assigned"  # the grace of 5 minutes
        home.tick(3)
    assert only_run(home).status == "failed" and "after 3 jobs" in only_run(home).reason
    home.tick(60)
    assert len(home.engine.requests) == 3 and jobs(home) == []
    assert [event[1] for event in home.notifier.events] == ["Tidehunt.RunEnded"]


def test_a_dead_job_with_a_complete_manifest_is_delivered(home: House) -> None:
    waiting(home)
    home.tick()
    home.land_results(jobs(home)[0].id, a_run().id, [house.a_finding()])
    home.engine.enter("0", "failed", "driver died")
    home.tick(5)
    assert (only_run(home).status, len(home.sink.rows)) == ("done", 1)
    assert len(home.engine.requests) == 1


def test_a_manifest_is_taken_while_its_job_still_runs_and_the_job_ends_by_itself(
    home: House,
) -> None:
    waiting(home)
    home.tick()
    home.engine.enter("0", "running")
    home.tick()
    home.land_results(jobs(home)[0].id, a_run().id, [])
    home.tick(5)
    assert only_run(home).status == "done"
    assert home.engine.jobs["0"].state == "running"  # it still has its report to write
    home.work()
    home.tick(2)
    assert jobs(home) == []


def test_a_forgotten_job_is_looked_for_three_times_and_then_its_manifest_decides(
    home: House,
) -> None:
    waiting(home)
    home.tick()
    job = jobs(home)[0]
    home.engine.forget("0")
    home.tick(2)
    assert jobs(home)[0].status == "running"
    home.tick()
    assert jobs(home)[0].outcome == "forgotten"
    home.land_results(job.id, a_run().id, [])
    home.tick(2)
    assert only_run(home).status == "done"


def test_a_hunt_that_raised_fails_at_once(home: House) -> None:
    waiting(home)
    home.tick()
    body = manifest(jobs(home)[0].id, a_run().id, {}, status="failed", error="KeyError: 'x'\x00\n")
    home.results.plant(c.manifest_path(jobs(home)[0].id, a_run().id), body)
    home.engine.enter("0", "succeeded")
    home.tick(2)
    assert (only_run(home).status, only_run(home).reason) == ("failed", "KeyError: 'x'  ")
    assert len(home.engine.requests) == 1


@pytest.mark.parametrize(("state", "deadline"), [("queued", 30), ("running", 60)])
def test_deadlines_cancel_a_job(home: House, state: Any, deadline: int) -> None:
    waiting(home)
    home.tick()
    home.engine.enter("0", state)
    home.tick(deadline)
    assert home.engine.jobs["0"].state == state
    home.tick(2)
    assert home.engine.jobs["0"].state == "cancelled"
    home.tick(7)
    # A job that never left the queue uses up none of the run's three.
    assert (len(home.engine.requests), only_run(home).attempt) == (2, 1 + (state == "running"))


def test_a_job_that_nobody_waits_for_is_cancelled(home: House) -> None:
    waiting(home)
    home.tick()
    home.deployment.records.ledger.put(
        f"requests/{a_run().id}.cancel.json",
        {"schema": 1, "kind": "cancel", "run_id": a_run().id, "asked": home.clock().isoformat()},
    )
    home.tick(2)
    assert only_run(home).status == "cancelled"
    assert home.engine.jobs["0"].state == "cancelled"
    home.tick(8)
    assert jobs(home) == []


# --- what is not as it should be ------------------------------------------------------------------


def test_a_run_whose_job_is_nowhere_goes_on(home: House) -> None:
    waiting(home, a_run(status="assigned", job="job-20260101000000-00000000", attempt=1))
    home.tick(2)
    assert len(home.engine.requests) == 1


def test_a_broken_job_is_no_reason_for_a_second_one(home: House) -> None:
    waiting(home, a_run(status="assigned", job="job-20260101000000-00000000", attempt=1))
    home.ledger.plant("active/jobs/job-20260101000000-00000000.json", b"{")
    home.tick(3)
    assert home.engine.requests == []


def test_a_trouble_of_the_engine_changes_nothing(home: House) -> None:
    waiting(home)
    home.tick()
    before = (jobs(home), home.runs())
    home.wire.hook = _always("engine.get", Transient("503"))
    home.tick(3)
    assert (jobs(home), home.runs()) == before
