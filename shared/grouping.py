"""Runs that are due -> the jobs they share, within the caps; what comes after is in `jobs`."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from shared import archive, pools, schedule, spend
from shared.classes import backfill_may, is_backfill
from shared.deployment import Turn
from shared.jobs import Runs
from shared.model import Job
from shared.records import Kept, job_path

RUNS_A_JOB = (25, 5, 1)
"""How many runs share a job, by the jobs they have used up: the one that kills it fails alone."""


def plan_jobs(turn: Turn, runs: Runs, active: Sequence[Kept[Job]]) -> list[Kept[Job]]:
    """Create jobs for the waiting runs that are due, within the caps; the new jobs."""
    created: list[Kept[Job]] = []
    unfinished = [kept.value for kept in active]
    gate = pools.gate(turn, unfinished)
    records, now = turn.deployment.records, turn.now()
    for group in _groups(turn, runs):
        if len(created) >= gate.room or not turn.has_room():
            break
        job = _new_job(turn, runs, group)
        # Before its runs are looked at: on a day without room nothing is read for them each turn.
        budget = spend.room_for(turn, job)
        if budget is None:
            break
        backfill = is_backfill(group)
        if backfill and not backfill_may(turn, [*active, *created], budget.value):
            continue
        paths = [path for path in group if not archive.take_away(records, runs[path], now)]
        if not paths:
            continue
        job = replace(job, runs=tuple(paths))
        spend.reserve_job(turn, job, budget, backfill)
        # A crash here leaves a reservation without a job: too much is counted, never too little.
        created.append(records.save(Kept(job_path(job.id), job, None), job))
    gate.name_probe([*unfinished, *(kept.value for kept in created)])
    return created


def _groups(turn: Turn, runs: Runs) -> list[list[str]]:
    """Waiting runs that share a job: one workspace, newest slot first; backfill last and apart.

    Those that have used up jobs come after those that have not: a job for many before one each.
    """
    waiting: dict[tuple[bool, str, int], Runs] = defaultdict(dict)
    for path, kept in runs.items():
        if kept.value.status == "waiting":
            used = min(kept.value.attempt, len(RUNS_A_JOB) - 1)
            waiting[is_backfill([path]), kept.value.workspace, used][path] = kept
    groups: list[list[str]] = []
    for (*_, used), group in sorted(waiting.items(), key=lambda one: (one[0][0], one[0][2])):
        starts = {path: kept.value.next_at or kept.value.created for path, kept in group.items()}
        due = schedule.shares(starts, turn.now())
        due.sort(key=lambda path: group[path].value.slot.end, reverse=True)
        most = RUNS_A_JOB[used]
        groups.extend(due[n : n + most] for n in range(0, len(due), most))
    return groups


def _new_job(turn: Turn, runs: Runs, paths: Sequence[str]) -> Job:
    now = turn.now()
    digest = hashlib.sha256("|".join([*paths, now.isoformat()]).encode()).hexdigest()[:8]
    first = runs[paths[0]].value
    return Job(
        id=f"job-{now:%Y%m%d%H%M%S}-{digest}",
        workspace=first.workspace,
        runs=tuple(paths),
        status="planned",
        since=now,
        created=now,
        cores=turn.deployment.settings.job_cores,
    )
