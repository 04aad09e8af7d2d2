"""What a job could not do but another may; and a run that we cannot read now."""

from __future__ import annotations

import pytest

from shared import contract as c
from shared.records import run_path
from tests.unit.house import House, a_run, manifest
from tests.unit.waiting_runs import fast, jobs, only_run, waiting


@pytest.fixture
def home() -> House:
    return fast()


def test_what_may_pass_is_tried_by_another_job_when_this_one_is_over(home: House) -> None:
    waiting(home)
    home.tick()
    body = manifest(jobs(home)[0].id, a_run().id, {}, status="failed", passing=True, error="503")
    home.results.plant(c.manifest_path(jobs(home)[0].id, a_run().id), body)
    home.engine.enter("0", "running")
    home.tick(8)
    assert (only_run(home).status, len(home.engine.requests)) == ("assigned", 1)
    home.engine.enter("0", "succeeded")
    home.tick(8)
    assert (only_run(home).attempt, len(home.engine.requests)) == (2, 2)
    home.work()
    home.tick(4)
    assert (only_run(home).status, len(home.sink.rows)) == ("done", 1)


def test_what_never_passes_fails_after_three_jobs_and_says_why(home: House) -> None:
    waiting(home)
    for number in range(3):
        home.tick(12)
        home.engine.enter(str(number), "succeeded")
        body = manifest(
            jobs(home)[0].id, a_run().id, {}, status="failed", passing=True, error="503"
        )
        home.results.plant(c.manifest_path(jobs(home)[0].id, a_run().id), body)
    home.tick(20)
    assert only_run(home).status == "failed"
    assert "after 3 jobs" in only_run(home).reason and "503" in only_run(home).reason


def test_a_run_that_cannot_be_read_keeps_its_job(home: House) -> None:
    waiting(home)
    home.tick()
    home.engine.enter("0", "running")
    whole = home.ledger.peek(run_path(a_run()))
    home.ledger.plant(run_path(a_run()), b'{"schema": 1, "status": "of a later version"}')
    home.tick(5)
    assert home.engine.jobs["0"].state == "running"
    home.ledger.plant(run_path(a_run()), whole or b"")
    home.work()
    home.tick(4)
    assert (only_run(home).status, len(home.engine.requests)) == ("done", 1)
