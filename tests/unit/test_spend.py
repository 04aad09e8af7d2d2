"""vCore hours: reserved at their worst before a job is there, settled to what it used."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.bookkeeping import Budget
from shared.errors import Permanent, Transient
from shared.http_api import status
from shared.model import Job
from shared.spend import core_minutes, used_minutes
from tests.unit.delivering import refuse
from tests.unit.house import START, WORKSPACE, Crash, House, a_run
from tests.unit.waiting_runs import fast, jobs, numbered, waiting

WORST = 12 * 60
"""Core minutes of a job: three times four cores, for an hour."""


def budget(home: House, day: str = "20260310") -> Budget:
    return home.deployment.records.budget(day).value


def a_job(**changes: Any) -> Job:
    """A job of ten cores that was queued for 9 minutes and was over after 30."""
    job = Job("job-a", WORKSPACE, (), "ended", START + timedelta(minutes=30), START, cores=10,
              submitted=START, queued=START + timedelta(minutes=9),
              outcome="succeeded")  # fmt: skip
    return replace(job, **changes)


@pytest.mark.parametrize(
    ("changes", "used"),
    [
        ({}, 210),
        ({"queued": None}, 300),
        ({"since": START + timedelta(minutes=9, seconds=61)}, 11),
        ({"since": START + timedelta(hours=9)}, 600),  # nobody looked: at most its reservation
        ({"outcome": "cancelled"}, 210),
        ({"outcome": "lost"}, 210),
        ({"outcome": "forgotten"}, 600),
        ({"outcome": "given up"}, 600),
        ({"status": "lost", "outcome": "refused"}, 0),
        ({"status": "lost", "outcome": "never"}, 0),
        ({"status": "lost", "outcome": ""}, 600),  # no answer: it may be alive all the same
        ({"status": "lost", "outcome": "", "submitted": None}, 0),
    ],
)
def test_what_a_job_used_is_never_too_little(changes: dict[str, Any], used: int) -> None:
    assert used_minutes(a_job(**changes), 600) == used


def test_a_job_is_reserved_while_it_lives_and_settled_when_it_is_over() -> None:
    home = fast()
    waiting(home)
    home.tick(10)
    (job,) = jobs(home)
    assert budget(home).reserved == {job.id: WORST} and core_minutes(budget(home)) == WORST
    home.engine.enter("0", "running")
    home.tick(20)
    home.work()
    home.tick(2)
    assert jobs(home) == [] and budget(home).reserved == {}
    # From the last look that saw it queued; by the one executor that so small a plan is worth.
    assert budget(home).core_minutes == 8 * 21


def test_it_is_settled_on_the_day_on_which_it_was_reserved() -> None:
    home = fast()
    home.clock.forward(23 * 3600 + 50 * 60)  # 23:55
    waiting(home)
    home.tick(10)
    home.work()
    home.tick(2)
    assert (budget(home).jobs, budget(home).reserved) == (1, {})
    assert budget(home).core_minutes > 0
    tomorrow = budget(home, "20260311")
    assert (tomorrow.jobs, core_minutes(tomorrow)) == (0, 0)


def test_no_job_starts_whose_worst_case_does_not_fit_and_the_next_day_goes_on() -> None:
    home = fast(vcore_hours_a_day="30", queue_deadline_seconds="86400")
    waiting(home, *numbered(3, attempt=2))
    home.tick(60)
    assert len(home.engine.requests) == 2
    assert status(home.deployment)[1]["today"]["vcore_hours"] == {
        "used": 24.0, "cap": 30.0, "reached": True,
    }  # fmt: skip
    home.clock.forward(23 * 3600)
    home.tick()
    assert len(home.engine.requests) == 3


def test_what_was_not_used_is_free_for_others() -> None:
    home = fast(vcore_hours_a_day="24")
    waiting(home, *numbered(4, attempt=2))
    home.live(0.5, 60)
    assert {run.status for run in home.runs().values()} == {"done"}
    assert budget(home).jobs == 4 and core_minutes(budget(home)) <= WORST
    assert 4 * WORST > 24 * 60


@pytest.mark.parametrize("error", [Transient("429"), Permanent("too many cores")])
def test_a_job_that_never_began_costs_nothing(error: Exception) -> None:
    home = fast()
    waiting(home)
    home.wire.hook = refuse("engine.submit", error)
    home.tick(2)
    assert (budget(home).jobs, core_minutes(budget(home))) == (1, 0)


def test_a_crash_at_any_request_never_counts_too_little() -> None:
    """What the pool worked, by its own clock, is in the budget at any time."""
    died = 0
    for number in range(1, 120, 2):
        home, calls = fast(), [0]
        waiting(home, *numbered(2, attempt=2))
        home.wire.hook = _dying(calls, number)
        died += _goes_on(home)
        assert budget(home).jobs >= len(home.engine.requests) >= 2
    assert died >= 40


def _dying(calls: list[int], number: int) -> Any:
    """The process is gone at its request of that number, before or after the effect."""

    def hook(phase: str, _what: str, _subject: str) -> None:
        calls[0] += 1
        if calls[0] == number:
            raise Crash(phase)

    return hook


def _goes_on(home: House) -> int:
    """A quarter of an hour with a pool that works all the time; how often a host died."""
    died, worked = 0, 0.0
    for minute in range(15):
        before = home.clock()
        try:
            home.tick()
        except Crash:
            died += 1
            home.clock.forward(120)  # until its claim has run out
        running = [job for job in home.engine.jobs.values() if job.state in ("queued", "running")]
        worked += len(running) * 12 * (home.clock() - before).total_seconds() / 60
        assert core_minutes(budget(home)) >= worked
        for job in running:
            home.engine.enter(job.engine_id, "running")
        if minute == 8:
            home.work()
    assert worked > 0
    return died


def test_a_deadline_of_its_own_bounds_a_job_that_nobody_watches() -> None:
    home = fast(run_deadline_seconds="1200")
    waiting(home)
    home.tick()
    assert home.plan(jobs(home)[0].id)["run_seconds"] == 1200
    assert budget(home).reserved == {jobs(home)[0].id: 12 * 20}


def test_a_budget_of_the_release_before_is_read_and_goes_on() -> None:
    home = fast()
    before = b'{"schema": 1, "day": "20260310", "jobs": 7, "runs": {"7b0d2c5e": 3}}'
    home.ledger.plant("budget/20260310.json", before)
    waiting(home, a_run())
    home.tick()
    assert (budget(home).jobs, list(budget(home).reserved)) == (8, [jobs(home)[0].id])


def test_a_job_of_the_release_before_is_settled_without_a_reservation() -> None:
    home = fast()
    waiting(home)
    home.tick()
    records = home.deployment.records
    kept = records.budget("20260310")
    records.save(kept, replace(kept.value, reserved={}))
    home.work()
    home.tick(3)
    assert jobs(home) == [] and core_minutes(budget(home)) == 0
