"""What a job may cost, reserved in the day's budget before the job is there.

A reservation is the worst case, the job's cores for its whole run deadline. It is kept under the
job's id on the day that the job was created, until what the job used takes its place: a crash
between two of these writes counts too much, never too little.
"""

from __future__ import annotations

import logging
import math
from dataclasses import replace

from shared.bookkeeping import Budget
from shared.contract import day_key
from shared.deployment import Turn
from shared.errors import Quarantined
from shared.model import Job, Json
from shared.records import Kept
from shared.settings import Settings

log = logging.getLogger("tidehunt.spend")


def room_for(turn: Turn, job: Job) -> Kept[Budget] | None:
    """The budget of the job's day; None when a cap leaves no room for it and its worst case."""
    kept = turn.deployment.records.budget(day_key(job.created))
    reached = _reached(kept.value, _worst(turn, job), turn.deployment.settings)
    if reached:
        log.warning("%s reached: %d runs wait for tomorrow", reached, len(job.runs))
        return None
    return kept


def reserve_job(turn: Turn, job: Job, kept: Kept[Budget], backfill: bool) -> None:
    """Reserve a job and its worst case in the budget that has room for it."""
    before = kept.value
    after = replace(
        before,
        jobs=before.jobs + 1,
        backfill=before.backfill + backfill,
        reserved={**before.reserved, job.id: _worst(turn, job)},
    )
    turn.deployment.records.save(kept, after)


def _worst(turn: Turn, job: Job) -> int:
    return math.ceil(job.cores * turn.deployment.settings.run_deadline_seconds / 60)


def _reached(budget: Budget, worst: int, settings: Settings) -> str:
    if budget.jobs >= settings.jobs_a_day:
        return "TIDEHUNT_JOBS_A_DAY"
    if core_minutes(budget) + worst > settings.vcore_hours_a_day * 60:
        return "TIDEHUNT_VCORE_HOURS_A_DAY"
    return ""


def core_minutes(budget: Budget) -> int:
    """What the day's jobs used, and may still use."""
    return budget.core_minutes + sum(budget.reserved.values())


def settle_job(turn: Turn, job: Job) -> None:
    """Put what a job that is over used in the place of its reservation. Once, however repeated."""
    records = turn.deployment.records
    try:
        kept = records.budget(day_key(job.created))
    except Quarantined:
        return
    if job.id not in kept.value.reserved:
        return
    reserved = dict(kept.value.reserved)
    used = used_minutes(job, reserved.pop(job.id))
    after = replace(kept.value, core_minutes=kept.value.core_minutes + used, reserved=reserved)
    records.save(kept, after)


def used_minutes(job: Job, worst: int) -> int:
    """Core minutes of a job that is over; where nobody knows, the worst case."""
    if job.submitted is None or job.outcome in ("refused", "never"):
        return 0
    if job.status == "lost" or job.outcome in ("forgotten", "given up"):
        return worst
    # From the last look at which it did not run: what one look misses is counted as used.
    ran = (job.since - (job.queued or job.submitted)).total_seconds()
    return min(worst, math.ceil(job.cores * ran / 60))


def today(budget: Budget, settings: Settings) -> Json:
    """What the day has spent beside its caps: name -> {"used", "cap", "reached"}."""
    worst = settings.job_cores * settings.run_deadline_seconds / 3600
    hours = core_minutes(budget) / 60
    told = {
        "jobs": (budget.jobs, settings.jobs_a_day, 1),
        "vcore_hours": (round(hours, 1), settings.vcore_hours_a_day, worst),
        "megabytes": (round(budget.bytes / 1e6, 1), settings.megabytes_a_day, 1),
        "incidents": (budget.incidents, settings.incidents_a_day, 1),
    }
    return {
        name: {"used": used, "cap": cap, "reached": used + least > cap}
        for name, (used, cap, least) in told.items()
    }
