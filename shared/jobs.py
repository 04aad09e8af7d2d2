"""Waiting runs -> a job -> its one POST -> watched to its end. Every step saves, then acts."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared import contract as c
from shared import messages as m
from shared import schedule
from shared.deployment import Turn
from shared.errors import OutcomeUnknown, Permanent, TooLarge, Transient
from shared.manifests import read_manifest
from shared.model import EngineJob, Hour, Job, Json, Run
from shared.plans import job_request, write_plan
from shared.records import Kept, job_path
from shared.runs import Commands, decide_job, decide_run

log = logging.getLogger("tidehunt.jobs")
RUNS_A_JOB = 25
JOBS_A_RUN = 3
REPORT_BYTES = 20_000_000
Runs = dict[str, Kept[Run]]
"""Ledger path -> unfinished run."""


def plan_jobs(turn: Turn, runs: Runs, active: Sequence[Kept[Job]]) -> list[Kept[Job]]:
    """Create jobs for the waiting runs that are due, within the caps; the new jobs."""
    created: list[Kept[Job]] = []
    for paths in _groups(turn, runs):
        settings = turn.deployment.settings
        if len(active) + len(created) >= settings.jobs_at_once or not turn.has_room():
            break
        if not _reserve_job(turn, [runs[path].value for path in paths]):
            break
        created.append(_create_job(turn, runs, paths))
    return created


def _groups(turn: Turn, runs: Runs) -> list[list[str]]:
    """Waiting runs that share a job: one workspace, at most 25, newest slot first."""
    waiting: dict[str, Runs] = defaultdict(dict)
    for path, kept in runs.items():
        if kept.value.status == "waiting":
            waiting[kept.value.workspace][path] = kept
    groups: list[list[str]] = []
    for group in waiting.values():
        starts = {path: kept.value.next_at or kept.value.created for path, kept in group.items()}
        due = schedule.shares(starts, turn.now())
        due.sort(key=lambda path: group[path].value.slot.end, reverse=True)
        groups.extend(due[n : n + RUNS_A_JOB] for n in range(0, len(due), RUNS_A_JOB))
    return groups


def _reserve_job(turn: Turn, runs: Sequence[Run]) -> bool:
    """Spend is reserved before the act; False when the day's jobs are used up."""
    kept = turn.deployment.records.budget(c.day_key(turn.now()))
    if kept.value.jobs >= turn.deployment.settings.jobs_a_day:
        log.warning("TIDEHUNT_JOBS_A_DAY reached: %d runs wait for tomorrow", len(runs))
        return False
    used = dict(kept.value.runs)
    for run in runs:
        used[run.hunt_guid] = used.get(run.hunt_guid, 0) + 1
    turn.deployment.records.save(kept, replace(kept.value, jobs=kept.value.jobs + 1, runs=used))
    return True


def _create_job(turn: Turn, runs: Runs, paths: Sequence[str]) -> Kept[Job]:
    now = turn.now()
    digest = hashlib.sha256("|".join([*paths, now.isoformat()]).encode()).hexdigest()[:8]
    first = runs[paths[0]].value
    job = Job(
        id=f"job-{now:%Y%m%d%H%M%S}-{digest}",
        workspace=first.workspace,
        runs=tuple(paths),
        status="planned",
        since=now,
        created=now,
    )
    return turn.deployment.records.save(Kept(job_path(job.id), job, None), job)


def step_job(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    """One step on for one job, by what its status intends."""
    steps = {
        "planned": _submit,
        "submitting": _look_for,
        "running": _poll,
        "cancelling": _poll,
        "ended": _settle,
        "lost": _settle,
    }
    steps[kept.value.status](turn, kept, runs)


def _decide(turn: Turn, kept: Kept[Job], event: m.Event) -> tuple[Kept[Job], Commands]:
    after, commands = decide_job(kept.value, event)
    return turn.deployment.records.save(kept, after), commands


def decide_and_save(turn: Turn, runs: Runs, path: str, event: m.Event) -> Kept[Run]:
    """Let a run decide, save it, then act on its commands."""
    kept = runs[path]
    after, commands = decide_run(kept.value, event)
    runs[path] = turn.deployment.records.save(kept, after)
    for command in commands:
        if isinstance(command, m.Announce):
            turn.deployment.announce(command)
    return runs[path]


# --- planned: the one POST --------------------------------------------------------------------


def _submit(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    job = kept.value
    for path in job.runs:
        if path in runs and runs[path].value.status == "waiting":
            decide_and_save(turn, runs, path, m.Assigned(turn.now(), job.id))
    carried = _carried(job, runs)
    if not carried:
        kept, _ = _decide(turn, kept, m.CancelAsked(turn.now(), "no run waits for it"))
        return
    write_plan(turn, job, [runs[path].value for path in carried])
    kept, _ = _decide(turn, kept, m.PlanWritten(turn.now()))
    # A crash here leaves `submitting` without an answer: the next turn looks, and never posts.
    _decide(turn, kept, _post(turn, kept.value))


def _post(turn: Turn, job: Job) -> m.Event:
    settings = turn.deployment.settings
    try:
        engine_id = turn.deployment.engine.submit(job_request(turn.deployment, job))
    except OutcomeUnknown as error:
        log.warning("submission of %s not answered: %s", job.id, error)
        return m.SubmitUnanswered(turn.now(), turn.later(settings.unknown_seconds))
    except Transient as error:
        return m.SubmitRefused(turn.now(), str(error))
    except Permanent as error:
        return m.SubmitRefused(turn.now(), str(error), never=True)
    return m.Submitted(turn.now(), engine_id)


def _carried(job: Job, runs: Runs) -> list[str]:
    """Paths of the runs that name this job: only these are planned, awaited and delivered."""
    return [
        path
        for path in job.runs
        if path in runs and runs[path].value.job == job.id and runs[path].value.status == "assigned"
    ]


# --- submitting: somebody posted, and we do not know ------------------------------------------


def _look_for(turn: Turn, kept: Kept[Job], _runs: Runs) -> None:
    job, wait = kept.value, turn.deployment.settings.unknown_seconds
    look_at = job.next_at or (job.submitted or job.since) + timedelta(seconds=wait)
    if turn.now() < look_at:
        return
    listed = [one for one in turn.deployment.engine.list() if one.job_id == job.id]
    if listed:
        _decide(turn, kept, m.Submitted(turn.now(), listed[0].engine_id))
    else:
        _decide(turn, kept, m.NotListed(turn.now(), turn.later(wait)))


# --- running, cancelling ----------------------------------------------------------------------


def _poll(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    job = kept.value
    seen = turn.deployment.engine.get(job.engine_id or "")
    kept, commands = _decide(turn, kept, _seen(turn, seen))
    if kept.value.started is not None and kept.value.status != "ended":
        for path in _carried(job, runs):
            look_for_manifest(turn, runs, path)
    reason = _why_stop(turn, kept.value, runs)
    if reason and kept.value.status == "running":
        kept, commands = _decide(turn, kept, m.CancelAsked(turn.now(), reason))
    for command in commands:
        if isinstance(command, m.Cancel):
            turn.deployment.engine.cancel(command.engine_id)


def _seen(turn: Turn, seen: EngineJob | None) -> m.Event:
    now, settle = turn.now(), turn.later(turn.deployment.settings.grace_seconds)
    if seen is None:
        return m.Forgotten(now, settle)
    if seen.state == "queued":
        return m.SeenQueued(now)
    if seen.state == "running":
        return m.SeenRunning(now)
    return m.SeenEnded(now, seen.state, seen.reason, settle)


def _why_stop(turn: Turn, job: Job, runs: Runs) -> str:
    settings, now = turn.deployment.settings, turn.now()
    if not any(path in runs and runs[path].value.job == job.id for path in job.runs):
        return "no run waits for it any more"
    waited = now - (job.submitted or job.created)
    if job.started is None and waited > timedelta(seconds=settings.queue_deadline_seconds):
        return f"still queued after {waited} (TIDEHUNT_QUEUE_DEADLINE_SECONDS)"
    if job.started and now - job.started > timedelta(seconds=settings.run_deadline_seconds):
        return f"still running after {now - job.started} (TIDEHUNT_RUN_DEADLINE_SECONDS)"
    return ""


# --- ended, lost ------------------------------------------------------------------------------


def _settle(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    job = kept.value
    if job.status == "ended":
        record_copies(turn, job)
    for path in _carried(job, runs):
        landed = job.status == "ended" and look_for_manifest(turn, runs, path)
        if not landed and turn.now() >= (job.next_at or turn.now()):
            decide_and_save(turn, runs, path, _gone(turn, job, runs[path].value))
    if not _carried(job, runs):
        turn.deployment.records.finish(kept, job.id)


def _gone(turn: Turn, job: Job, run: Run) -> m.Event:
    backoff = turn.deployment.settings.retry_seconds * 2 ** max(0, run.attempt - 1)
    if job.outcome == "never":
        return m.JobRefused(turn.now(), job.reason, turn.later(3600))
    reason = f"job {job.id} {job.outcome or job.status} without results: {job.reason}".strip(": ")
    return m.JobGone(turn.now(), reason, turn.later(backoff), JOBS_A_RUN)


def look_for_manifest(turn: Turn, runs: Runs, path: str) -> bool:
    """Let a run know that its results are complete; True when they are."""
    run = runs[path].value
    manifest = read_manifest(turn.deployment.results, run.job or "", run.id)
    if manifest is None:
        return False
    if manifest.error:
        decide_and_save(turn, runs, path, m.HuntFailed(turn.now(), manifest.error))
    else:
        event = m.ManifestLanded(
            turn.now(), manifest.rows, manifest.withheld, manifest.code_hash, manifest.coverage
        )
        decide_and_save(turn, runs, path, event)
    return True


def record_copies(turn: Turn, job: Job) -> None:
    """Point the days at the columnar copies that the job made. Repeating it changes nothing."""
    for table, hours in _copies(turn, job).items():
        by_day: dict[str, dict[str, Json]] = defaultdict(dict)
        for hour, copied in hours.items():
            by_day[hour[:8]][hour] = copied
        for day, found in by_day.items():
            kept = turn.deployment.records.day(job.workspace, table, day)
            known = {hour: kept.value.hours[hour] for hour in found if hour in kept.value.hours}
            newer = {hour: _with_copy(known[hour], found[hour]) for hour in known}
            after = replace(kept.value, hours={**kept.value.hours, **newer})
            turn.deployment.records.save(kept, after)


def _copies(turn: Turn, job: Job) -> Mapping[str, Mapping[str, Json]]:
    try:
        content = turn.deployment.results.read(c.report_path(job.id), REPORT_BYTES)
        report = json.loads(content) if content else {}
        tables: dict[str, dict[str, Json]] = defaultdict(dict)
        for copied in report.get("copies", []):
            prefix = f"abfss://tables@{turn.deployment.settings.state_account}/"
            if c.is_hour_key(copied["hour"]) and str(copied["path"]).startswith(prefix):
                tables[str(copied["table"])][copied["hour"]] = copied
        return {table: hours for table, hours in tables.items() if c.TABLE.fullmatch(table)}
    except (ValueError, KeyError, TypeError, AttributeError, TooLarge) as error:
        log.error("report of %s cannot be used, hours are copied again: %s", job.id, error)
        return {}


def _with_copy(hour: Hour, copied: Json) -> Hour:
    """An hour is never replaced by one made from fewer blobs."""
    blobs = int(copied.get("blobs", 0))
    if blobs < hour.copy_blobs:
        return hour
    return replace(
        hour,
        copy=str(copied["path"]),
        copy_fingerprint=str(copied["fingerprint"]),
        copy_blobs=blobs,
    )
