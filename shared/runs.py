"""The state machines of run and job.

Two rules:
1. `decide` is pure and total over its table: an event that the table does not know in a status
   raises `IllegalEvent` and changes nothing. Time is `event.at`.
2. Every transition is a row of RUN_TABLE or JOB_TABLE; a row names all statuses it may lead to.

Theory. The status names the intent: the loop saves it first and acts then, so that a crash between
saving and acting is healed by whoever reads the status next. A job's POST goes out in `submitting`
and in no other status, once: who finds a job in `submitting` without having put it there just now
looks for it in the engine's list and never posts again. A run is delivered only from the job that
it names, so a job that turns up late has nobody to deliver it. Terminal runs know no event.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

from shared import messages as m
from shared import refusals
from shared.model import Counts, Cursor, Job, Run

Commands = tuple[m.Command, ...]
LOOKS_BEFORE_LOST = 2
FORGOTTEN_BEFORE_LOST = 3
RESENDS = 2


class IllegalEvent(Exception):
    """The table has no row for this event in this status."""


@dataclass(frozen=True)
class Row:
    """One row: in `status`, on `event`, to one of `leads_to`, because of `why`."""

    status: str
    event: type[m.Event]
    leads_to: tuple[str, ...]
    why: str
    apply: Callable[[Any, Any], tuple[Any, Commands]]


def decide_run(run: Run, event: m.Event) -> tuple[Run, Commands]:
    """The run after the event, and what to do once it is saved. Raises IllegalEvent."""
    after, commands = _row(RUN_TABLE, run.status, event).apply(run, event)
    return (replace(after, since=event.at) if after.status != run.status else after), commands


def decide_job(job: Job, event: m.Event) -> tuple[Job, Commands]:
    """The job after the event, and what to do once it is saved. Raises IllegalEvent."""
    after, commands = _row(JOB_TABLE, job.status, event).apply(job, event)
    return (replace(after, since=event.at) if after.status != job.status else after), commands


def _row(table: tuple[Row, ...], status: str, event: m.Event) -> Row:
    for row in table:
        if row.status == status and row.event is type(event):
            return row
    raise IllegalEvent(f"{type(event).__name__} while {status}")


# --- run --------------------------------------------------------------------------------------


def _assign(run: Run, event: m.Assigned) -> tuple[Run, Commands]:
    return replace(
        run, status="assigned", job=event.job, attempt=run.attempt + 1, next_at=None, reason=""
    ), ()


def _land(run: Run, event: m.ManifestLanded) -> tuple[Run, Commands]:
    return replace(
        run,
        status="delivering",
        step="sending",
        cursor=Cursor(),
        counts=Counts(rows=event.rows, withheld=event.withheld),
        coverage=event.coverage,
        code_hash=event.code_hash,
        next_at=None,
        reason="",
    ), ()


def _hunt_failed(run: Run, event: m.HuntFailed) -> tuple[Run, Commands]:
    return replace(run, status="failed", reason=event.error, next_at=None), ()


def _job_gone(run: Run, event: m.JobGone) -> tuple[Run, Commands]:
    if not event.used:
        run = replace(run, attempt=run.attempt - 1, unused=run.unused + 1)
    if run.attempt >= event.attempts:
        reason = f"{event.reason} (after {run.attempt} jobs)"
        return replace(run, status="failed", reason=reason, next_at=None), ()
    return replace(run, status="waiting", job=None, reason=event.reason, next_at=event.retry_at), ()


def _rows_sent(run: Run, event: m.RowsSent) -> tuple[Run, Commands]:
    counts = replace(
        run.counts,
        sent=run.counts.sent + event.rows,
        unchanged=run.counts.unchanged + event.unchanged,
    )
    return replace(
        run,
        cursor=event.cursor,
        counts=counts,
        doubt=None if event.rows else run.doubt,
        refused_since=None,
        reason="",
        next_at=None,
    ), ()


def _row_set_aside(run: Run, event: m.RowSetAside) -> tuple[Run, Commands]:
    return refusals.set_aside(run, event), ()


def _rows_doubted(run: Run, event: m.RowsDoubted) -> tuple[Run, Commands]:
    return refusals.go_back(run, event), ()


def _all_sent(run: Run, _event: m.AllSent) -> tuple[Run, Commands]:
    return replace(run, step="incidents", next_at=None), ()


def _case_settled(run: Run, event: m.CaseSettled) -> tuple[Run, Commands]:
    counts = replace(
        run.counts,
        opened=run.counts.opened + event.opened,
        updated=run.counts.updated + event.updated,
        quiet=run.counts.quiet + event.quiet,
    )
    return replace(run, counts=counts, case=run.case + 1, refused_since=None, reason=""), ()


def _incidents_settled(run: Run, event: m.IncidentsSettled) -> tuple[Run, Commands]:
    return replace(
        run, step="read-back", next_at=event.read_back_at, refused_since=None, reason=""
    ), ()


def _rows_counted(run: Run, event: m.RowsCounted) -> tuple[Run, Commands]:
    run = replace(run, counts=replace(run.counts, confirmed=event.found), refused_since=None)
    short = run.counts.sent - event.found
    if short <= 0:
        return replace(run, status="done", step="", next_at=None, reason=""), ()
    reason = f"{short} of {run.counts.sent} sent rows do not show in the workspace"
    if run.tries + 1 < event.tries:
        return replace(run, tries=run.tries + 1, next_at=event.again_at, reason=reason), ()
    if run.resent < RESENDS:
        return _send_again(run, reason), ()
    return replace(run, status="held", reason=reason, next_at=event.again_at), ()


def _send_again(run: Run, reason: str) -> Run:
    counts = replace(run.counts, sent=0, unchanged=0, set_aside=0)
    return replace(
        run,
        step="sending",
        cursor=Cursor(),
        counts=counts,
        doubt=None,
        tries=0,
        resent=run.resent + 1,
        next_at=None,
        reason=reason,
    )


def _sink_refused(run: Run, event: m.SinkRefused) -> tuple[Run, Commands]:
    since = run.refused_since or event.at
    held = event.at - since >= timedelta(seconds=event.hold_after)
    return replace(
        run,
        status="held" if held else "delivering",
        reason=event.reason,
        refused_since=since,
        next_at=event.retry_at,
    ), ()


def _job_refused(run: Run, event: m.JobRefused) -> tuple[Run, Commands]:
    return replace(
        run,
        status="held",
        job=None,
        attempt=run.attempt - 1,
        reason=event.reason,
        next_at=event.retry_at,
    ), ()


def _job_stands(run: Run, event: m.JobStands) -> tuple[Run, Commands]:
    return replace(run, status="held", reason=event.reason, next_at=None), ()


def _job_over(run: Run, _event: m.JobOver) -> tuple[Run, Commands]:
    return replace(run, status="assigned" if run.awaits_job else "held"), ()


def _release(run: Run, _event: m.Released) -> tuple[Run, Commands]:
    # What was refused for an hour is held again at the next refusal, and re-sends stay counted:
    # a cause that has not passed neither hides the hold nor sends the rows for ever.
    run = replace(run, next_at=None, tries=0)
    if run.step:
        return replace(run, status="delivering"), ()
    return replace(run, status="waiting", job=None), ()


def _cancel_run(run: Run, event: m.CancelAsked) -> tuple[Run, Commands]:
    partial = f" (partial: {run.counts.sent} of {run.counts.rows} rows sent)" if run.step else ""
    return replace(run, status="cancelled", reason=event.reason + partial, next_at=None), ()


RUN_TABLE = (
    Row("waiting", m.Assigned, ("assigned",), "a job was planned for it", _assign),
    Row("waiting", m.CancelAsked, ("cancelled",), "somebody asked", _cancel_run),
    Row("assigned", m.ManifestLanded, ("delivering",), "its results are complete", _land),
    Row("assigned", m.HuntFailed, ("failed",), "the hunt itself raised", _hunt_failed),
    Row("assigned", m.JobGone, ("waiting", "failed"), "no manifest: another job", _job_gone),
    Row("assigned", m.JobRefused, ("held",), "the engine never takes it so", _job_refused),
    Row("assigned", m.JobStands, ("held",), "its job does not end: a person", _job_stands),
    Row("assigned", m.CancelAsked, ("cancelled",), "somebody asked", _cancel_run),
    Row("delivering", m.RowsSent, ("delivering",), "a request was accepted", _rows_sent),
    Row("delivering", m.RowSetAside, ("delivering",), "a row was refused", _row_set_aside),
    Row("delivering", m.RowsDoubted, ("held",), "it is the sink, not the rows", _rows_doubted),
    Row("delivering", m.AllSent, ("delivering",), "on to the incidents", _all_sent),
    Row("delivering", m.CaseSettled, ("delivering",), "a case has its incident", _case_settled),
    Row(
        "delivering", m.IncidentsSettled, ("delivering",), "on to the read-back", _incidents_settled
    ),
    Row(
        "delivering",
        m.RowsCounted,
        ("done", "delivering", "held"),
        "204 is no proof",
        _rows_counted,
    ),
    Row("delivering", m.SinkRefused, ("delivering", "held"), "later, or a person", _sink_refused),
    Row("delivering", m.CancelAsked, ("cancelled",), "ends after the chunk", _cancel_run),
    Row("held", m.Released, ("waiting", "delivering"), "the cause has passed", _release),
    Row("held", m.JobOver, ("assigned", "held"), "it waited for its job's end", _job_over),
    Row("held", m.CancelAsked, ("cancelled",), "somebody asked", _cancel_run),
)


# --- job --------------------------------------------------------------------------------------


def _plan_written(job: Job, event: m.PlanWritten) -> tuple[Job, Commands]:
    to = replace(job, status="submitting", submitted=event.at, cores=event.cores)
    return to, (m.Submit(job.id),)


def _submitted(job: Job, event: m.Submitted) -> tuple[Job, Commands]:
    return replace(job, status="running", engine_id=event.engine_id, next_at=None, looks=0), ()


def _unanswered(job: Job, event: m.SubmitUnanswered) -> tuple[Job, Commands]:
    return replace(job, next_at=event.look_at, reason="the answer to the submission was lost"), ()


def _refused(job: Job, event: m.SubmitRefused) -> tuple[Job, Commands]:
    outcome = "never" if event.never else "refused"
    return replace(
        job, status="lost", outcome=outcome, reason=event.reason, next_at=event.retry_at
    ), ()


def _not_listed(job: Job, event: m.NotListed) -> tuple[Job, Commands]:
    looks = job.looks + 1
    if looks >= LOOKS_BEFORE_LOST:
        reason = f"submitted without an answer and not listed after {looks} looks"
        return replace(job, status="lost", looks=looks, reason=reason, next_at=None), ()
    return replace(job, looks=looks, next_at=event.look_at), ()


def _seen_queued(job: Job, event: m.SeenQueued) -> tuple[Job, Commands]:
    return replace(job, looks=0, queued=event.at), _repeat_cancel(job)


def _seen_running(job: Job, event: m.SeenRunning) -> tuple[Job, Commands]:
    return replace(job, looks=0, started=job.started or event.at), _repeat_cancel(job)


def _repeat_cancel(job: Job) -> Commands:
    asked = job.status == "cancelling" and job.engine_id is not None
    return (m.Cancel(job.engine_id or ""),) if asked else ()


def _seen_ended(job: Job, event: m.SeenEnded) -> tuple[Job, Commands]:
    # Why we stopped it says more than that it was stopped.
    reason = job.reason if job.status == "cancelling" else event.reason or job.reason
    return replace(
        job, status="ended", outcome=event.outcome, reason=reason, next_at=event.settle_at
    ), ()


def _forgotten(job: Job, event: m.Forgotten) -> tuple[Job, Commands]:
    looks = job.looks + 1
    if looks < FORGOTTEN_BEFORE_LOST:
        return replace(job, looks=looks), ()
    reason = "the engine does not know the job any more"
    return replace(
        job, status="ended", outcome="forgotten", reason=reason, next_at=event.settle_at
    ), ()


def _cancel_job(job: Job, event: m.CancelAsked) -> tuple[Job, Commands]:
    after = replace(job, status="cancelling", reason=event.reason, next_at=None)
    return after, _repeat_cancel(after)


def _give_up(job: Job, event: m.GivenUp) -> tuple[Job, Commands]:
    return replace(
        job, status="ended", outcome="given up", reason=event.reason, next_at=event.settle_at
    ), ()


def _drop(job: Job, event: m.CancelAsked) -> tuple[Job, Commands]:
    return replace(job, status="lost", reason=event.reason, next_at=None), ()


JOB_TABLE = (
    Row("planned", m.PlanWritten, ("submitting",), "saved before the one POST", _plan_written),
    Row("planned", m.CancelAsked, ("lost",), "nothing was posted", _drop),
    Row("submitting", m.Submitted, ("running",), "answered, or found in the list", _submitted),
    Row("submitting", m.SubmitUnanswered, ("submitting",), "wait, then look", _unanswered),
    Row("submitting", m.NotListed, ("submitting", "lost"), "twice: it never was", _not_listed),
    Row("submitting", m.SubmitRefused, ("lost",), "surely not started", _refused),
    Row("submitting", m.GivenUp, ("ended",), "nobody waits for it", _give_up),
    Row("running", m.SeenQueued, ("running",), "in the pool's queue", _seen_queued),
    Row("running", m.SeenRunning, ("running",), "at work", _seen_running),
    Row("running", m.SeenEnded, ("ended",), "the manifests decide", _seen_ended),
    Row("running", m.Forgotten, ("running", "ended"), "three times: look at the lake", _forgotten),
    Row("running", m.CancelAsked, ("cancelling",), "deadline, or nobody waits", _cancel_job),
    Row("running", m.GivenUp, ("ended",), "nobody waits for it", _give_up),
    Row("cancelling", m.SeenQueued, ("cancelling",), "ask again", _seen_queued),
    Row("cancelling", m.SeenRunning, ("cancelling",), "ask again", _seen_running),
    Row("cancelling", m.SeenEnded, ("ended",), "the manifests decide", _seen_ended),
    Row("cancelling", m.Forgotten, ("cancelling", "ended"), "three times: gone", _forgotten),
    Row("cancelling", m.GivenUp, ("ended",), "nobody waits for it", _give_up),
)
