"""When a pool gets no new jobs: the rules of its breaker. Pure.

Closed, jobs go out. After three jobs in a row that never started it opens: no job goes out until
the pool is tried again, and then one, the probe. A job that starts closes it; a probe that does
not start doubles the wait, up to half an hour.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from shared.bookkeeping import Breaker
from shared.model import Job

FAILURES_BEFORE_OPEN = 3
LONGEST_WAIT = 1800.0
DOUBLINGS = 20
"""More would change nothing, and overflow in the end."""


def verdict(job: Job, queue_seconds: float) -> Literal["started", "not started", ""]:
    """What a job that is over says of its pool; "": nothing."""
    if job.started is not None or job.outcome in ("succeeded", "failed"):
        return "started"
    if job.submitted is None or job.outcome == "never":
        return ""
    stood = job.since - job.submitted > timedelta(seconds=queue_seconds)
    refused = job.status == "lost" or job.outcome == "lost"
    return "not started" if refused or (job.outcome == "cancelled" and stood) else ""


def told(breaker: Breaker, job: Job, queue_seconds: float, first_wait: float) -> Breaker:
    """The breaker after a job is over. The same job again changes nothing."""
    said = verdict(job, queue_seconds)
    if said == "started":
        return _started(breaker, job.started or job.since)
    before = breaker.started_at is not None and job.since <= breaker.started_at
    if said != "not started" or before or job.id in breaker.failed:
        return breaker
    if job.id == breaker.probe:
        return _patient(_wait_longer(breaker, job.since, job.reason, first_wait), job)
    after = replace(breaker, failed_at=max(job.since, breaker.failed_at or job.since))
    return after if is_open(breaker) else _counted(after, job, first_wait)


def looked(breaker: Breaker, jobs: Collection[Job], now: datetime, first_wait: float) -> Breaker:
    """The breaker after a look at all unfinished jobs, whatever a crash kept from being told."""
    starts = [job.started for job in jobs if job.started is not None]
    if starts:
        breaker = _started(breaker, max(starts))
    if breaker.probe and breaker.probe not in {job.id for job in jobs}:
        return _wait_longer(breaker, now, breaker.reason, first_wait)
    return breaker


def is_open(breaker: Breaker) -> bool:
    """True while no job goes out but a probe."""
    return breaker.since is not None


def is_due(breaker: Breaker, now: datetime) -> bool:
    """True when an open breaker lets one probe go out now."""
    due = breaker.next_try is None or now >= breaker.next_try
    return is_open(breaker) and not breaker.probe and due


def _started(breaker: Breaker, at: datetime) -> Breaker:
    if breaker.failed_at is None or at <= breaker.failed_at:
        return breaker
    return Breaker(breaker.pool, started_at=at)


def _counted(breaker: Breaker, job: Job, first_wait: float) -> Breaker:
    failed = (*breaker.failed, job.id)
    after = replace(breaker, failed=failed, reason=job.reason)
    if len(failed) < FAILURES_BEFORE_OPEN:
        return after
    return _patient(replace(after, since=job.since, next_try=job.since + _wait(first_wait, 0)), job)


def _patient(breaker: Breaker, job: Job) -> Breaker:
    """Never before the service wants to hear of us again."""
    asked = job.next_at if job.status == "lost" else None
    tries = [moment for moment in (breaker.next_try, asked) if moment is not None]
    return replace(breaker, next_try=max(tries, default=None))


def _wait_longer(breaker: Breaker, at: datetime, reason: str, first_wait: float) -> Breaker:
    tries = breaker.tries + 1
    return replace(
        breaker,
        probe="",
        tries=tries,
        reason=reason,
        failed_at=max(at, breaker.failed_at or at),
        next_try=at + _wait(first_wait, tries),
    )


def _wait(first: float, tries: int) -> timedelta:
    return timedelta(seconds=min(first * 2 ** min(tries, DOUBLINGS), LONGEST_WAIT))
