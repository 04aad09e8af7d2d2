"""Which runs share a job, and how many jobs there may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.errors import Forbidden, OutcomeUnknown
from tests.unit import house
from tests.unit.house import OTHER, WORKSPACE, House, a_finding, a_run
from tests.unit.waiting_runs import fast, jobs, numbered, only_run, waiting


@pytest.fixture
def home() -> House:
    return fast()


def test_due_runs_of_one_workspace_share_a_job_newest_first(home: House) -> None:
    runs = [
        a_run(id=f"202603{day}-beaconing-x-r0", slot=house.day_window(f"202603{day}"))
        for day in ("01", "03", "02")
    ]
    waiting(home, *runs)
    home.tick()
    (request,) = home.engine.requests
    planned = [run["run_id"] for run in home.plan(request.job_id)["runs"]]
    assert planned == [f"202603{day}-beaconing-x-r0" for day in ("03", "02", "01")]


def test_one_due_run_takes_along_those_that_still_coalesce(home: House) -> None:
    early, late = numbered(2)
    later = home.clock() + timedelta(hours=1)
    waiting(home, replace(early, next_at=later), replace(late, next_at=later))
    home.tick(60)
    assert home.engine.requests == []
    home.tick()
    assert len(home.plan(home.engine.requests[0].job_id)["runs"]) == 2


def test_workspaces_never_share_a_job() -> None:
    home = fast(workspaces=f"{WORKSPACE};{OTHER}")
    one, other = numbered(2)
    waiting(home, one, replace(other, workspace=OTHER))
    home.tick()
    plans = [home.plan(request.job_id) for request in home.engine.requests]
    assert [plan["workspace"]["resource_id"] for plan in plans] == [WORKSPACE, OTHER]
    assert [len(plan["runs"]) for plan in plans] == [1, 1]


def test_a_run_that_kills_its_job_ends_up_alone(home: House) -> None:
    runs = numbered(7)
    waiting(home, *runs)
    poison, sizes = runs[3].id, []
    for _ in range(40):
        for engine_id, job in list(home.engine.jobs.items()):
            if job.state == "queued":
                planned = [run["run_id"] for run in home.plan(job.job_id)["runs"]]
                sizes.append(len(planned))
                if poison in planned:
                    home.engine.enter(engine_id, "failed", "out of memory")
        home.work()
        home.tick()
    ends = {run.id: run.status for run in home.runs().values()}
    assert ends.pop(poison) == "failed"
    assert set(ends.values()) == {"done"}
    assert sorted(sizes, reverse=True) == [7, 5, 2, 1, 1, 1, 1, 1][: len(sizes)]


def test_runs_that_have_used_up_no_job_come_before_those_that_have() -> None:
    home = fast(jobs_a_day="1")
    tried, fresh = numbered(2)
    waiting(home, replace(tried, attempt=2), fresh)
    home.tick(3)
    (request,) = home.engine.requests
    assert [run["run_id"] for run in home.plan(request.job_id)["runs"]] == [fresh.id]


def test_jobs_at_once_and_a_day_are_capped() -> None:
    home = fast(jobs_at_once="2", jobs_a_day="3")
    waiting(home, *numbered(80))
    home.tick(3)
    assert len(home.engine.requests) == 2
    home.live(2, 600)
    assert len(home.engine.requests) == 3
    assert sum(run.status == "waiting" for run in home.runs().values()) == 80 - 75
    home.live(27, 3600)
    assert {run.status for run in home.runs().values()} == {"done"}
    assert home.documents("budget/")["budget/20260310.json"]["jobs"] == 3


def test_a_run_that_cannot_be_planned_is_held_and_spares_its_job(home: House) -> None:
    gone, good = numbered(2)
    waiting(home, replace(gone, hunt="no_such_hunt"), good)
    home.tick()
    held = home.runs()[gone.id]
    assert held.status == "held" and "no_such_hunt" in held.reason and "Mend" in held.reason
    assert [r["run_id"] for r in home.plan(home.engine.requests[0].job_id)["runs"]] == [good.id]


@pytest.mark.parametrize(
    ("error", "end"), [(Forbidden("403"), "assigned"), (ZeroDivisionError("a bug"), "failed")]
)
def test_a_manifest_that_cannot_be_read_spares_those_that_share_its_job(
    error: Exception, end: str
) -> None:
    home = fast(jobs_at_once="1")
    sick, well, later = numbered(3)
    waiting(home, sick, well)

    def refuse(_phase: str, operation: str, subject: str) -> None:
        if operation == "results.read" and subject.endswith(f"/{sick.id}/manifest.json"):
            raise error

    home.wire.hook = refuse
    home.live(1, 300)
    waiting(home, later)  # the job that cannot be settled takes nobody's place
    home.live(4, 300)
    ends = {run.id: run.status for run in home.runs().values()}
    assert ends == {sick.id: end, well.id: "done", later.id: "done"}


def test_a_lost_job_that_finished_after_all_is_delivered(home: House) -> None:
    waiting(home, a_run())

    def unanswered(_phase: str, operation: str, _subject: str) -> None:
        if operation == "engine.submit":
            raise OutcomeUnknown("no answer")

    home.wire.hook = unanswered
    home.tick()
    (job,) = jobs(home)
    home.land_results(job.id, a_run().id, [a_finding()])
    home.tick(10)
    assert jobs(home) == [] and home.engine.requests == []
    assert (only_run(home).status, only_run(home).job) == ("done", job.id)
