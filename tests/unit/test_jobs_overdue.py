"""A job that does not end whatever is done: its runs wait for a person, never for a second job."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.errors import Forbidden, Transient
from shared.spend import core_minutes
from tests.unit.delivering import refuse
from tests.unit.house import START, House, a_finding, a_run
from tests.unit.waiting_runs import fast, jobs, numbered, only_run, waiting


def undying(home: House, state: Any = "running") -> None:
    """Every job is shown in this state, however often it is cancelled."""

    def hook(phase: str, what: str, subject: str) -> None:
        if (phase, what) == ("after", "engine.cancel"):
            home.engine.enter(subject, state)

    home.wire.hook = hook


def asked(home: House, kind: str, run_id: str) -> None:
    body = {"schema": 1, "kind": kind, "run_id": run_id, "asked": START.isoformat()}
    home.ledger.plant(f"requests/{run_id}.{kind}.json", json.dumps(body).encode())


def stuck(state: Any = "running") -> House:
    """A house whose one run is held for a job that does not end."""
    home = fast()
    waiting(home)
    home.tick()
    home.engine.enter("0", state)
    undying(home, state)
    home.tick(125)
    return home


@pytest.mark.parametrize("state", ["queued", "running"])
def test_its_runs_are_held_and_say_what_to_look_at(state: Any) -> None:
    home = stuck(state)
    run = only_run(home)
    assert (run.status, run.next_at, run.job) == ("held", None, jobs(home)[0].id)
    assert jobs(home)[0].id in run.reason and "hunting" in run.reason and "release" in run.reason
    home.tick(24 * 60 // 4, 240)
    assert (only_run(home).status, len(home.engine.requests)) == ("held", 1)


def test_before_all_its_deadlines_are_over_nobody_is_asked() -> None:
    home = fast()
    waiting(home)
    home.tick()
    home.engine.enter("0", "running")
    undying(home)
    home.tick(119)
    assert (only_run(home).status, jobs(home)[0].status) == ("assigned", "cancelling")


def test_an_engine_that_answers_nothing_about_a_job_is_no_reason_to_wait_for_ever() -> None:
    home = fast()
    waiting(home)
    home.tick()
    home.wire.hook = refuse("engine.get", Transient("500"))
    home.tick(125)
    assert only_run(home).status == "held"
    home.wire.hook = lambda *_: None
    home.work()
    home.tick(4)
    assert only_run(home).status == "done"


def test_after_an_outage_of_ours_one_look_is_enough_and_nobody_is_asked() -> None:
    home = fast()
    waiting(home)
    home.tick()
    home.engine.enter("0", "failed", "out of memory")
    home.clock.forward(10 * 3600)
    seen = []
    for _ in range(8):
        home.tick()
        seen.append(only_run(home).status)
    assert "held" not in seen and (seen[-1], only_run(home).attempt) == ("assigned", 2)


def test_after_an_outage_of_ours_a_job_that_is_shown_alive_is_cancelled_first() -> None:
    home = fast()
    waiting(home)
    home.tick()
    home.engine.enter("0", "running")
    home.clock.forward(10 * 3600)
    home.tick(2)
    assert (home.engine.jobs["0"].state, only_run(home).status) == ("running", "assigned")
    home.tick(63)
    assert home.engine.jobs["0"].state == "cancelled"
    assert only_run(home).status != "held"


def test_its_end_is_enough_and_a_manifest_that_came_late_is_delivered() -> None:
    home = stuck()
    home.land_results(jobs(home)[0].id, a_run().id, [a_finding()])
    home.engine.enter("0", "cancelled")
    home.tick(8)
    assert (only_run(home).status, len(home.sink.rows)) == ("done", 1)
    assert len(home.engine.requests) == 1


def test_its_end_without_a_manifest_brings_the_next_job() -> None:
    home = stuck()
    home.engine.enter("0", "cancelled")
    home.tick(10)
    assert (only_run(home).status, only_run(home).attempt) == ("assigned", 2)
    assert len(home.engine.requests) == 2 and len(jobs(home)) == 1


def test_a_release_is_a_persons_word_for_another_job() -> None:
    home = stuck()
    first = jobs(home)[0].id
    asked(home, "release", a_run().id)
    home.tick(2)
    run = only_run(home)
    assert (run.status, len(home.engine.requests)) == ("assigned", 2) and run.job != first
    # The old one is given up, takes no place any more, and counts as if it ran to its deadline.
    assert [job.id for job in jobs(home)] == [run.job]
    assert core_minutes(home.deployment.records.budget("20260310").value) == 2 * 12 * 60
    home.land_results(first, a_run().id, [a_finding("10.9.9.9")])
    home.tick(3)
    assert home.sink.rows == []


def test_what_everybody_gave_up_takes_no_place_for_ever() -> None:
    home = fast(jobs_at_once="1")
    runs = numbered(2)
    waiting(home, runs[0])
    home.tick()
    home.engine.enter("0", "running")
    undying(home)
    home.tick(125)
    asked(home, "cancel", runs[0].id)
    home.tick(3)
    assert jobs(home) == []
    home.wire.hook = lambda *_: None
    waiting(home, runs[1])
    home.tick()
    assert len(home.engine.requests) == 2


def test_a_run_that_is_held_in_its_delivery_is_not_touched_by_its_jobs_end() -> None:
    home = fast()
    ours, other = numbered(2)
    waiting(home, ours, other)
    home.tick()
    home.engine.enter("0", "running")
    home.land_results(jobs(home)[0].id, other.id, [a_finding()])

    def hook(phase: str, what: str, subject: str) -> None:
        if (phase, what) == ("after", "engine.cancel"):
            home.engine.enter(subject, "running")
        if (phase, what) == ("before", "sink.send"):
            raise Forbidden("403")

    home.wire.hook = hook
    home.tick(125)
    assert [run.status for run in home.runs().values()] == ["held", "held"]
    home.engine.enter("0", "cancelled")
    home.tick(7)
    ended = home.runs()
    assert (ended[ours.id].status, ended[ours.id].attempt) == ("assigned", 2)
    assert (ended[other.id].status, ended[other.id].reason) == ("held", "403")
