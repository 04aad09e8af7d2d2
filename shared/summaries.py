"""What the ledger holds, in the words of the API."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from shared import pauses, pools, requests, schedule
from shared.breaker import is_open
from shared.contract import day_key, workspace_key
from shared.deployment import Deployment
from shared.errors import Quarantined
from shared.model import (
    RUN_TERMINAL,
    Budget,
    HuntSpec,
    Ignored,
    Job,
    Json,
    Run,
    Sweeps,
    Unusable,
    Window,
)
from shared.quarantine import UNUSABLE
from shared.records import IGNORED, SWEEPS, Records
from shared.timeline import HuntRecord


def run_summary(run: Run) -> Json:
    """A run in the words of the API."""
    return {
        "run_id": run.id,
        "hunt": run.hunt,
        "workspace": workspace_key(run.workspace),
        "kind": run.kind,
        "incidents": run.incidents,
        "slot": _window(run.slot),
        "window": _window(run.window),
        "revision": run.revision,
        "status": run.status,
        "step": run.step,
        "created": run.created.isoformat(),
        "attempt": run.attempt,
        "unused": run.unused,
        "job": run.job,
        "since": run.since.isoformat(),
        "next_at": _time(run.next_at),
        "reason": run.reason,
        "counts": dict(vars(run.counts)),
        "code_hash": run.code_hash,
        "params": run.params,
        "changes": {change: f"POST /api/runs/{run.id}/{change}" for change in _changes(run)},
    }


def _changes(run: Run) -> list[str]:
    """What a person may ask for a run as it is."""
    fitting = [change for change, statuses in requests.FITS.items() if run.status in statuses]
    return fitting if run.status in RUN_TERMINAL else [*fitting, "cancel"]


def _window(window: Window) -> Json:
    return {"start": window.start.isoformat(), "end": window.end.isoformat()}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def pause_line(deployment: Deployment) -> Json | None:
    """The pause that holds, and what ends it."""
    pause = pauses.paused(deployment.records)
    if pause is None:
        return None
    return {
        "since": _time(pause.since),
        "reason": pause.reason,
        "by": pause.by,
        "mend": "POST /api/resume, or `tidehunt resume`: nothing new starts until then",
    }


def pool_line(deployment: Deployment, jobs: Sequence[Job]) -> Json:
    """The pool and its breaker."""
    breaker = pools.as_seen(deployment, jobs)
    return {
        "pool": breaker.pool,
        "breaker": "open" if is_open(breaker) else "closed",
        "since": _time(breaker.since),
        "reason": breaker.reason if is_open(breaker) else "",
        "next_try": _time(breaker.next_try),
        "probe": breaker.probe or None,
    }


def last_sweep(records: Records) -> str | None:
    """When the newest days of the lake were listed last."""
    sweeps = records.the_one(Sweeps(), SWEEPS)
    return _time(sweeps.value.recent) if sweeps else None


def job_summary(job: Job) -> Json:
    """A job in the words of the API."""
    return {
        "job_id": job.id,
        "status": job.status,
        "engine_id": job.engine_id,
        "since": job.since.isoformat(),
        "runs": len(job.runs),
        "reason": job.reason,
    }


def hunt_lines(deployment: Deployment, spec: HuntSpec) -> list[Json]:
    """A hunt's time line in each workspace."""
    lines: list[Json] = []
    for workspace in deployment.settings.workspaces:
        try:
            record = deployment.records.hunt(spec.guid, workspace).value
        except Quarantined:
            record = HuntRecord(spec.guid, workspace)
        lines.append(
            {
                "hunt": spec.module,
                "version": spec.version,
                "status": spec.status,
                "workspace": workspace_key(workspace),
                "judged_until": _time(record.watermark),
                "next_schedule": _time(record.next_fire),
                "open_slots": schedule.open_slots(spec, record, deployment.clock()),
                "gaps": [
                    {"start": _time(gap.start), "end": _time(gap.end), "reason": gap.reason}
                    for gap in record.gaps
                ],
            }
        )
    return lines


def ignored_tables(deployment: Deployment) -> list[str]:
    """Exported tables that no hunt reads."""
    kept = deployment.records.the_one(Ignored(), IGNORED)
    return list(kept.value.tables) if kept else []


def budget_of_today(deployment: Deployment) -> Budget | None:
    """What the day has spent; None when nobody can tell: then nothing more is spent."""
    try:
        return deployment.records.budget(day_key(deployment.clock())).value
    except Quarantined:
        return None


def quarantined(records: Records) -> Json:
    """Path -> why, of what a turn has met and of what was met in telling the rest."""
    kept = records.the_one(Unusable(), UNUSABLE)
    return {**(kept.value.documents if kept else {}), **records.quarantine.met}
