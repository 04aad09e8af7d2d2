"""The breaker of a pool: three jobs in a row that never start open it, one start closes it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.bookkeeping import Breaker
from shared.breaker import LONGEST_WAIT, is_due, is_open, looked, told, verdict
from shared.model import Job
from tests.unit.house import START, WORKSPACE

QUEUE, WAIT = 1800.0, 60.0


def after(minutes: float) -> Any:
    return START + timedelta(minutes=minutes)


def a_job(name: str = "job-a", minutes: float = 0, **changes: Any) -> Job:
    """A job that was refused at that minute."""
    job = Job(name, WORKSPACE, (), "lost", after(minutes), START, submitted=after(minutes),
              outcome="refused", reason="429")  # fmt: skip
    return replace(job, **changes)


def tell(breaker: Breaker, *jobs: Job) -> Breaker:
    for job in jobs:
        breaker = told(breaker, job, QUEUE, WAIT)
    return breaker


def opened() -> Breaker:
    """Open since minute 3; due at minute 4."""
    return tell(Breaker("hunting"), *(a_job(f"job-{n}", n) for n in (1, 2, 3)))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({}, "not started"),
        ({"outcome": ""}, "not started"),  # no answer, and not listed after two looks
        ({"outcome": "never"}, ""),
        ({"outcome": "", "submitted": None}, ""),
        ({"status": "ended", "outcome": "cancelled", "since": after(31)}, "not started"),
        ({"status": "ended", "outcome": "cancelled", "since": after(29)}, ""),  # people did it
        ({"status": "ended", "outcome": "lost"}, "not started"),
        ({"status": "ended", "outcome": "lost", "started": START}, "started"),
        ({"status": "ended", "outcome": "cancelled", "started": START}, "started"),
        ({"status": "ended", "outcome": "succeeded"}, "started"),
        ({"status": "ended", "outcome": "failed"}, "started"),
        ({"status": "ended", "outcome": "forgotten"}, ""),
        ({"status": "ended", "outcome": "given up", "since": after(300)}, ""),
    ],
)
def test_what_a_job_says_of_its_pool(changes: dict[str, Any], said: str) -> None:
    assert verdict(a_job(**changes), QUEUE) == said


def test_three_in_a_row_open_it_and_say_why() -> None:
    breaker = tell(Breaker("hunting"), a_job("job-1", 1), a_job("job-2", 2))
    assert not is_open(breaker)
    breaker = tell(breaker, a_job("job-3", 3))
    assert (breaker.since, breaker.reason, breaker.next_try) == (after(3), "429", after(4))
    assert (is_due(breaker, after(3.9)), is_due(breaker, after(4))) == (False, True)


def test_one_job_counts_once_however_often_it_is_told() -> None:
    assert not is_open(tell(Breaker("hunting"), *[a_job("job-1", 1)] * 9))


def test_a_job_that_started_between_ends_the_row() -> None:
    started = a_job("job-x", 2.5, status="ended", outcome="succeeded", started=after(2.2))
    row = [a_job("job-1", 1), a_job("job-2", 2), started, a_job("job-3", 3)]
    assert not is_open(tell(Breaker("hunting"), *row))
    # What failed before that start is not counted after it.
    assert not is_open(tell(Breaker("hunting"), *row, row[0], row[1]))


def test_a_job_that_started_before_the_row_says_nothing_of_it() -> None:
    old = a_job("job-x", 5, status="ended", outcome="succeeded", started=after(0))
    assert is_open(tell(opened(), old))
    assert is_open(looked(opened(), [replace(old, status="running")], after(6), WAIT))


def test_a_job_that_is_seen_running_closes_it() -> None:
    closed = looked(opened(), [a_job("job-x", status="running", started=after(5))], after(6), WAIT)
    assert closed == Breaker("hunting", started_at=after(5))


def test_the_wait_doubles_with_each_probe_and_is_bounded() -> None:
    breaker, waits = opened(), []
    for number in range(30):
        at = breaker.next_try
        assert at is not None and is_due(breaker, at)
        breaker = replace(breaker, probe=f"probe-{number}")
        assert not is_due(breaker, at)
        breaker = tell(breaker, a_job(f"probe-{number}", since=at, submitted=at))
        assert breaker.next_try is not None
        waits.append((breaker.next_try - at).total_seconds())
    assert waits[:6] == [120, 240, 480, 960, 1800, 1800] and set(waits[6:]) == {LONGEST_WAIT}
    assert (breaker.since, breaker.tries) == (after(3), 30)


def test_the_service_is_not_asked_before_it_wants_to_be() -> None:
    later = a_job("job-3", 3, next_at=after(40))
    breaker = tell(Breaker("hunting"), a_job("job-1", 1), a_job("job-2", 2), later)
    assert breaker.next_try == after(40)
    probe = a_job("probe", 40, next_at=after(40.5))
    assert tell(replace(breaker, probe="probe"), probe).next_try == after(42)


def test_others_that_fail_while_it_is_open_do_not_lengthen_the_wait() -> None:
    breaker = replace(opened(), probe="probe")
    later = tell(breaker, a_job("job-4", 3.2), a_job("job-5", 3.3))
    assert (later.next_try, later.tries, later.probe) == (breaker.next_try, 0, "probe")


def test_a_failed_probe_counts_once() -> None:
    probe = a_job("probe", 5)
    breaker = tell(replace(opened(), probe="probe"), probe)
    assert breaker.tries == 1 and tell(breaker, probe) == breaker


def test_a_probe_that_is_nowhere_has_failed() -> None:
    breaker = replace(opened(), probe="probe")
    alive = a_job("probe", status="running")
    assert looked(breaker, [alive], after(9), WAIT) == breaker
    again = looked(breaker, [], after(9), WAIT)
    assert (again.probe, again.tries, again.next_try) == ("", 1, after(11))
