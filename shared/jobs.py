"""A job -> its one POST -> watched to its end, with its runs. Every step saves, then acts."""

from __future__ import annotations

import logging
from collections.abc import Collection
from datetime import timedelta

from shared import messages as m
from shared import pools, spend
from shared.copies import record_copies
from shared.deployment import Turn
from shared.errors import OutcomeUnknown, Permanent, Throttled, TidehuntError, Transient
from shared.manifests import read_manifest, spared, told_trouble
from shared.model import EngineJob, Job, Run
from shared.plans import job_request, why_unplannable, write_plan
from shared.records import JOBS, Kept, done_path, job_path
from shared.runs import Commands, decide_job, decide_run

log = logging.getLogger("tidehunt.jobs")
JOBS_A_RUN = 3
DOUBLINGS = 5
"""Of the first wait, at most: a pool that is back is noticed within about half an hour."""
OVERDUE = 1800.0
"""Seconds beyond its last deadline after which a job that does not end is a person's matter."""
Runs = dict[str, Kept[Run]]
"""Ledger path -> unfinished run."""


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
    try:
        steps[kept.value.status](turn, kept, runs)
    except TidehuntError:
        _ask_if_overdue(turn, kept, runs)
        raise
    _ask_if_overdue(turn, kept, runs)


def _decide(turn: Turn, kept: Kept[Job], event: m.Event) -> tuple[Kept[Job], Commands]:
    after, commands = decide_job(kept.value, event)
    return turn.deployment.records.save(kept, after), commands


def decide_and_save(turn: Turn, runs: Runs, path: str, event: m.Event) -> Kept[Run]:
    """Let a run decide and save it; what its status calls for is done by who finds it so."""
    kept = runs[path]
    after, _ = decide_run(kept.value, event)
    runs[path] = turn.deployment.records.save(kept, after)
    return runs[path]


# --- planned: the one POST --------------------------------------------------------------------


def _submit(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    job = kept.value
    waiting = [path for path in job.runs if path in runs and runs[path].value.status == "waiting"]
    if (waiting or _carried(job, runs)) and not pools.may_post(turn, job):
        return
    for path in waiting:
        decide_and_save(turn, runs, path, m.Assigned(turn.now(), job.id))
    for path in _carried(job, runs):
        trouble = why_unplannable(turn.deployment, runs[path].value)
        if trouble:
            decide_and_save(turn, runs, path, m.JobRefused(turn.now(), trouble, turn.later(3600)))
    carried = _carried(job, runs)
    if not carried:
        kept, _ = _decide(turn, kept, m.CancelAsked(turn.now(), "no run waits for it"))
        return
    cores = write_plan(turn, job, [runs[path].value for path in carried])
    kept, _ = _decide(turn, kept, m.PlanWritten(turn.now(), cores))
    # A crash here leaves `submitting` without an answer: the next turn looks, and never posts.
    _decide(turn, kept, _post(turn, kept.value))


def _post(turn: Turn, job: Job) -> m.Event:
    settings = turn.deployment.settings
    try:
        engine_id = turn.deployment.engine.submit(job_request(turn.deployment, job))
    except OutcomeUnknown as error:
        log.warning("submission of %s not answered: %s", job.id, error)
        return m.SubmitUnanswered(turn.now(), turn.later(settings.unknown_seconds))
    except Throttled as error:
        return m.SubmitRefused(turn.now(), str(error), retry_at=turn.later(error.retry_after))
    except Transient as error:
        return m.SubmitRefused(turn.now(), str(error))
    except Permanent as error:
        return m.SubmitRefused(turn.now(), str(error), never=True)
    return m.Submitted(turn.now(), engine_id)


def _carried(job: Job, runs: Runs) -> list[str]:
    """Paths of the runs that name this job: only these are planned, awaited and delivered."""
    return [path for path in _named(job, runs) if runs[path].value.status == "assigned"]


def _named(job: Job, runs: Runs) -> list[str]:
    """Paths of the unfinished runs that name this job."""
    return [path for path in job.runs if path in runs and runs[path].value.job == job.id]


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
    """True when all its runs are cancelled or gone elsewhere, and none has its results.

    A run that cannot be read is not known to be either.
    """
    if any(runs[path].value.job == job.id for path in job.runs if path in runs):
        return False
    ids = [path.rsplit("/", 1)[-1].removesuffix(".json") for path in job.runs if path not in runs]
    ended = list(turn.deployment.records.usable(Run, map(done_path, ids)))
    if len(ended) < len(ids):
        return False
    return not any(one.value.job == job.id and one.value.status != "cancelled" for one in ended)


# --- overdue: it should be over, and nobody says that it is -------------------------------------


def _ask_if_overdue(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    """After it was looked at: what an outage kept from us is told by one look."""
    if _is_overdue(turn, kept.value):
        now = turn.deployment.records.load(Job, kept.path)
        if now is not None and _is_overdue(turn, now.value):
            _ask_a_person(turn, now, runs)


def _is_overdue(turn: Turn, job: Job) -> bool:
    """True long after it was cancelled, and after the time at which it ends itself."""
    if job.submitted is None or job.status in ("ended", "lost"):
        return False
    if job.status == "cancelling" and turn.now() <= job.since + timedelta(seconds=OVERDUE):
        return False
    settings = turn.deployment.settings
    latest = job.submitted + timedelta(seconds=settings.queue_deadline_seconds)
    ends = max(latest, job.started or latest) + timedelta(seconds=settings.run_deadline_seconds)
    return turn.now() > ends + timedelta(seconds=OVERDUE)


def _ask_a_person(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    """Hold its runs: another job for them, while this one may live, is a person's decision."""
    job = kept.value
    known = f"{job.id} ({job.engine_id or 'no id'} in pool {turn.deployment.settings.synapse_pool})"
    for path in _carried(job, runs):
        if not look_for_manifest(turn, runs, path):
            reason = (
                f"job {known} is {job.status} since {job.since:%Y-%m-%d %H:%M} and does not end: "
                "look whether it runs; a release gives the run another job"
            )
            decide_and_save(turn, runs, path, m.JobStands(turn.now(), reason))
    if not any(runs[path].value.awaits_job for path in _named(job, runs)):
        reason = "it does not end, and nobody waits for it any more"
        _decide(turn, kept, m.GivenUp(turn.now(), reason, turn.now()))


# --- ended, lost ------------------------------------------------------------------------------


def _settle(turn: Turn, kept: Kept[Job], runs: Runs) -> None:
    job = kept.value
    pools.tell(turn, job)
    if job.status == "ended":
        record_copies(turn, job)
    for path in _named(job, runs):
        if runs[path].value.awaits_job:
            decide_and_save(turn, runs, path, m.JobOver(turn.now()))
    for path in _carried(job, runs):
        # A lost one, too: its POST may have arrived late, and the engine forgotten the job since.
        landed = spared(path, look_for_manifest, turn, runs, path)
        if landed is False and turn.has_come(job.next_at):
            decide_and_save(turn, runs, path, _gone(turn, job, runs[path].value))
    if not _carried(job, runs):
        spend.settle_job(turn, job)
        # A crash here settles it again, which changes nothing.
        turn.deployment.records.finish(kept, job.id)


def _gone(turn: Turn, job: Job, run: Run) -> m.Event:
    retry = turn.deployment.settings.retry_seconds
    if job.outcome == "never":
        return m.JobRefused(turn.now(), job.reason, turn.later(3600))
    queued_only = job.outcome == "cancelled" and job.started is None
    used = job.engine_id is not None and not queued_only and job.outcome != "lost"
    before = run.attempt - 1 if used else run.unused
    wait = retry * 2 ** min(max(0, before), DOUBLINGS)
    why = told_trouble(turn.deployment.results, job.id, run.id) or job.reason
    reason = f"job {job.id} {job.outcome or job.status} without results: {why}".strip(": ")
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
    """Let a run know that its results are complete; True when they are.

    What a job could not do, but another may, counts as no results: its end brings the other.
    """
    run = runs[path].value
    manifest = read_manifest(turn.deployment.results, run.job or "", run.id)
    if manifest is None or manifest.passing:
        return False
    if manifest.error:
        decide_and_save(turn, runs, path, m.HuntFailed(turn.now(), manifest.error))
    else:
        event = m.ManifestLanded(
            turn.now(), manifest.rows, manifest.withheld, manifest.code_hash, manifest.coverage
        )
        decide_and_save(turn, runs, path, event)
    return True
