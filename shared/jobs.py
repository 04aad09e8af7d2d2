"""Waiting runs -> a job -> its one POST -> watched to its end. Every step saves, then acts."""

from __future__ import annotations

import hashlib
import json
import logging
from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from shared import contract as c
from shared import messages as m
from shared import schedule
from shared.deployment import Turn
from shared.errors import BadInput, OutcomeUnknown, Permanent, TooLarge, Transient
from shared.manifests import read_manifest, spared
from shared.model import EngineJob, Job, Run
from shared.plans import job_request, why_unplannable, write_plan
from shared.records import JOBS, Kept, done_path, job_path
from shared.runs import Commands, decide_job, decide_run
from shared.timeline import Hour

log = logging.getLogger("tidehunt.jobs")
RUNS_A_JOB = (25, 5, 1)
"""How many runs share a job, by the jobs they have used up: the one that kills it fails alone."""
JOBS_A_RUN = 3
DOUBLINGS = 5
"""Of the first wait, at most: a pool that is back is noticed within about half an hour."""
REPORT_BYTES = 20_000_000
Runs = dict[str, Kept[Run]]
"""Ledger path -> unfinished run."""


def plan_jobs(turn: Turn, runs: Runs, active: Sequence[Kept[Job]]) -> list[Kept[Job]]:
    """Create jobs for the waiting runs that are due, within the caps; the new jobs."""
    created: list[Kept[Job]] = []
    # An ended job holds no core, however long it waits for a manifest that cannot be read.
    alive = sum(kept.value.status not in ("ended", "lost") for kept in active)
    for paths in _groups(turn, runs):
        settings = turn.deployment.settings
        if alive + len(created) >= settings.jobs_at_once or not turn.has_room():
            break
        if not _reserve_job(turn, len(paths)):
            break
        created.append(_create_job(turn, runs, paths))
    return created


def _groups(turn: Turn, runs: Runs) -> list[list[str]]:
    """Waiting runs that share a job: one workspace, as many as may, newest slot first."""
    waiting: dict[tuple[str, int], Runs] = defaultdict(dict)
    for path, kept in runs.items():
        if kept.value.status == "waiting":
            used = min(kept.value.attempt, len(RUNS_A_JOB) - 1)
            waiting[kept.value.workspace, used][path] = kept
    groups: list[list[str]] = []
    for (_, used), group in waiting.items():
        starts = {path: kept.value.next_at or kept.value.created for path, kept in group.items()}
        due = schedule.shares(starts, turn.now())
        due.sort(key=lambda path: group[path].value.slot.end, reverse=True)
        most = RUNS_A_JOB[used]
        groups.extend(due[n : n + most] for n in range(0, len(due), most))
    return groups


def _reserve_job(turn: Turn, runs: int) -> bool:
    """A job is reserved before it is planned; False when the day's jobs are used up."""
    kept = turn.deployment.records.budget(c.day_key(turn.now()))
    if kept.value.jobs >= turn.deployment.settings.jobs_a_day:
        log.warning("TIDEHUNT_JOBS_A_DAY reached: %d runs wait for tomorrow", runs)
        return False
    turn.deployment.records.save(kept, replace(kept.value, jobs=kept.value.jobs + 1))
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
    for path in _carried(job, runs):
        trouble = why_unplannable(turn.deployment, runs[path].value)
        if trouble:
            decide_and_save(turn, runs, path, m.JobRefused(turn.now(), trouble, turn.later(3600)))
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
            spared(path, look_for_manifest, turn, runs, path)
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
    if _abandoned(turn, job, runs):
        return "no run waits for it any more"
    waited = now - (job.submitted or job.created)
    if job.started is None and waited > timedelta(seconds=settings.queue_deadline_seconds):
        return f"still queued after {waited} (TIDEHUNT_QUEUE_DEADLINE_SECONDS)"
    if job.started and now - job.started > timedelta(seconds=settings.run_deadline_seconds):
        return f"still running after {now - job.started} (TIDEHUNT_RUN_DEADLINE_SECONDS)"
    return ""


def _abandoned(turn: Turn, job: Job, runs: Runs) -> bool:
    """True when all its runs are cancelled or gone elsewhere, and none has its results."""
    if any(runs[path].value.job == job.id for path in job.runs if path in runs):
        return False
    ids = [path.rsplit("/", 1)[-1].removesuffix(".json") for path in job.runs]
    ended = [turn.deployment.records.load(Run, done_path(run_id)) for run_id in ids]
    return not any(
        kept and kept.value.job == job.id and kept.value.status != "cancelled" for kept in ended
    )


# --- ended, lost ------------------------------------------------------------------------------


def _settle(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    job = kept.value
    if job.status == "ended":
        record_copies(turn, job)
    for path in _carried(job, runs):
        # A lost one, too: its POST may have arrived late, and the engine forgotten the job since.
        landed = spared(path, look_for_manifest, turn, runs, path)
        if landed is False and turn.now() >= (job.next_at or turn.now()):
            decide_and_save(turn, runs, path, _gone(turn, job, runs[path].value))
    if not _carried(job, runs):
        turn.deployment.records.finish(kept, job.id)


def _gone(turn: Turn, job: Job, run: Run) -> m.Event:
    retry = turn.deployment.settings.retry_seconds
    if job.outcome == "never":
        return m.JobRefused(turn.now(), job.reason, turn.later(3600))
    queued_only = job.outcome == "cancelled" and job.started is None
    used = job.engine_id is not None and not queued_only and job.outcome != "lost"
    before = run.attempt - 1 if used else run.unused
    wait = retry * 2 ** min(max(0, before), DOUBLINGS)
    reason = f"job {job.id} {job.outcome or job.status} without results: {job.reason}".strip(": ")
    return m.JobGone(turn.now(), reason, turn.later(wait), JOBS_A_RUN, used)


def rescue(turn: Turn, runs: Runs, active: Collection[str]) -> None:
    """Runs whose job's document is nowhere go on without it; `active` are the usable jobs' ids."""
    assigned = [path for path, kept in runs.items() if kept.value.status == "assigned"]
    lost = [path for path in assigned if runs[path].value.job not in active]
    # A job whose document cannot be used may be alive: never two for one run.
    listed = {entry.path for entry in turn.deployment.records.ledger.list(JOBS)} if lost else set()
    for path in lost:
        job = runs[path].value.job or ""
        if job_path(job) not in listed and not look_for_manifest(turn, runs, path):
            reason = f"job {job} is not in the ledger any more"
            event = m.JobGone(turn.now(), reason, turn.now(), JOBS_A_RUN)
            decide_and_save(turn, runs, path, event)


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
        for day in sorted({hour[:8] for hour in hours}):
            try:
                _record_day(turn, job.workspace, table, day, hours)
            except (BadInput, Permanent) as error:
                log.error("copies of %s %s are not recorded: %s", table, day, error)


def _record_day(
    turn: Turn, workspace: str, table: str, day: str, copies: Mapping[str, Hour]
) -> None:
    kept = turn.deployment.records.day(workspace, table, day)
    newer = {
        hour: _with_copy(known, copies[hour])
        for hour, known in kept.value.hours.items()
        if hour in copies
    }
    if newer:
        after = replace(kept.value, hours={**kept.value.hours, **newer})
        turn.deployment.records.save(kept, after)


def _copies(turn: Turn, job: Job) -> Mapping[str, Mapping[str, Hour]]:
    """Table -> hour -> what the job says that it copied, to where this job alone may write."""
    root = f"abfss://tables@{turn.deployment.settings.state_account}"
    try:
        content = turn.deployment.results.read(c.report_path(job.id), REPORT_BYTES)
        report = json.loads(content) if content else {}
        tables: dict[str, dict[str, Hour]] = defaultdict(dict)
        for copied in report.get("copies", []):
            table, hour = str(copied["table"]), str(copied["hour"])
            folder = c.copy_folder(c.workspace_key(job.workspace), table, job.id, hour)
            if c.is_hour_key(hour) and copied["path"] == f"{root}/{folder}":
                fingerprint = str(copied["fingerprint"])[:64]
                made = Hour(int(copied["blobs"]), 0, fingerprint, f"{root}/{folder}")
                tables[table][hour] = made
        return {table: hours for table, hours in tables.items() if c.TABLE.fullmatch(table)}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, TooLarge) as error:
        log.error("report of %s cannot be used, hours are copied again: %s", job.id, error)
        return {}


def _with_copy(hour: Hour, copied: Hour) -> Hour:
    """An hour is never replaced by one made from fewer blobs."""
    if copied.blobs < hour.copy_blobs:
        return hour
    return replace(
        hour,
        copy=copied.copy,
        copy_fingerprint=copied.fingerprint,
        copy_blobs=copied.blobs,
    )
