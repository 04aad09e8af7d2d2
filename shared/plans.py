"""Runs of one job -> plan.json: frozen specs, hours with fingerprints, references, deadline."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from shared import contract as c
from shared import merges
from shared.deployment import Deployment, Turn, load_references
from shared.errors import BadInput, Permanent, Rejected
from shared.hunt_specs import frozen, tables_of
from shared.intake import refresh
from shared.model import Job, JobRequest, Json, Run, Window
from shared.quarantine import level
from shared.timeline import DayRecord, Hour

log = logging.getLogger("tidehunt.plans")
DAYS_A_JOB = 31
"""Days of a table that one job merges at most; the newest, which will be read most often."""
FOLDERS_A_JOB = 200
"""Left folders of a table that one job removes at most."""
EXECUTOR_BYTES = 20_000_000_000
"""JSON of a job's windows for each executor: a guess, not measured on a pool."""
COPIED_BYTES = 5
"""Bytes of JSON that count as one where they are copied: reading is cheap, hunting is not."""
LISTED_MOST = 1_200
"""Days of tables that a run may look back at: at 0.1 s each, a guess, two minutes of a turn."""
MARGIN = timedelta(hours=1)
"""So long after the last job that may read them has ended, left folders are removed."""

CONF = {
    "spark.sql.session.timeZone": "UTC",
    "spark.dynamicAllocation.enabled": "false",
}


def write_plan(turn: Turn, job: Job, runs: Sequence[Run]) -> int:
    """Write the job's plan into its folder: what it may read, hour by hour, and nothing else.

    Returns the cores that this plan is worth, of the driver and of executors.
    """
    plan, settings = build_plan(turn, job, runs), turn.deployment.settings
    turn.deployment.results.write(c.plan_path(job.id), json.dumps(plan).encode())
    # What its first job did not end gets all there is.
    is_first = all(run.attempt <= 1 for run in runs)
    worth = executors_for(plan["tables"]) if is_first else settings.executors
    executors = min(worth, settings.executors)
    cores = settings.driver_cores + executors * settings.executor_cores
    # Never more than was reserved, whatever the settings have become since.
    return min(job.cores or cores, cores)


def executors_for(tables: Json) -> int:
    """Executors that what a plan's tables hold is worth: one at least."""
    hours = [hour for table in tables.values() for hour in table["hours"]]
    parsed = sum(hour["bytes"] for hour in hours if hour["copy"] is None)
    copied = sum(hour["bytes"] for hour in hours if hour["copy"] is not None)
    return int(1 + (parsed + copied // COPIED_BYTES) // EXECUTOR_BYTES)


def build_plan(turn: Turn, job: Job, runs: Sequence[Run]) -> Json:
    """The plan as the job reads it; see the README of `spark/job.py`'s docstring for its shape."""
    deployment, settings = turn.deployment, turn.deployment.settings
    deadline = turn.later(settings.queue_deadline_seconds + settings.run_deadline_seconds)
    return {
        "schema": c.PLAN_SCHEMA,
        "job_id": job.id,
        "code_hash": settings.code_hash,
        "created": _iso(turn.now()),
        "deadline": _iso(deadline),
        "run_seconds": settings.run_deadline_seconds,
        "results": f"abfss://results@{settings.state_account}/{c.job_folder(job.id)}",
        "tables_root": f"abfss://tables@{settings.state_account}",
        "exports_host": settings.exports_account,
        "workspace": {"resource_id": job.workspace, "key": c.workspace_key(job.workspace)},
        "max_findings": settings.findings_a_run,
        "tables": _tables(turn, job, runs),
        "runs": [_run(deployment, run) for run in runs],
    }


def job_request(deployment: Deployment, job: Job) -> JobRequest:
    """What the engine is asked to start."""
    settings = deployment.settings
    code = f"abfss://code@{settings.state_account}/{settings.code_hash}"
    plan = f"abfss://results@{settings.state_account}/{c.plan_path(job.id)}"
    return JobRequest(
        job_id=job.id,
        main=f"{code}/main.py",
        py_files=(f"{code}/code.zip",),
        arguments=(plan,),
        conf=CONF,
        executors=max(1, (job.cores - settings.driver_cores) // settings.executor_cores),
    )


def why_unplannable(deployment: Deployment, run: Run) -> str:
    """Why a run cannot be part of any plan, or "": its trouble spares those that share its job."""
    try:
        _run(deployment, run)
    except (Permanent, BadInput) as error:
        return str(error)
    spec = deployment.hunt(run.hunt)
    days, tables = c.days_between(run.window.start, run.window.end), tables_of(spec) if spec else ()
    if len(days) * len(tables) <= LISTED_MOST:
        return ""
    exported = len(set(tables) & set(deployment.exports.tables()))
    if len(days) * exported <= LISTED_MOST:
        return ""
    asked = f"{len(days)} days of {exported} tables are more than {LISTED_MOST} days to list"
    return f"{asked}: abandon the run, and ask for fewer days at a time"


def _run(deployment: Deployment, run: Run) -> Json:
    spec = deployment.hunt(run.hunt)
    if spec is None:
        raise Rejected(
            f"hunt {run.hunt!r} is not there any more",
            where=run.id,
            mend="bring its pair of files back, or cancel the run",
        )
    return {
        "run_id": run.id,
        "hunt": frozen(spec),
        "slot": _window(run.slot),
        "window": _window(run.window),
        "revision": run.revision,
        "params": run.params,
        "references": load_references(deployment.settings.reference_folder, spec.reference_data),
    }


def _tables(turn: Turn, job: Job, runs: Sequence[Run]) -> Json:
    """Table -> hours of all windows that hold blobs, each once, with its columnar copy if fresh.

    The windows are listed now: neither lost events nor the age of a day change what a run reads.
    """
    exported = set(turn.deployment.exports.tables())
    wanted: dict[str, set[str]] = {}
    for run in runs:
        spec = turn.deployment.hunt(run.hunt)
        hours = set(c.hours_between(run.window.start, run.window.end))
        for table in sorted(exported.intersection(tables_of(spec))) if spec else ():
            wanted.setdefault(table, set()).update(hours)
    # A run that its first job did not end is not put at risk by what can wait.
    most = DAYS_A_JOB if all(run.attempt <= 1 for run in runs) else 0
    settings = turn.deployment.settings
    alive = timedelta(seconds=settings.queue_deadline_seconds + settings.run_deadline_seconds)
    return {
        table: table_plan(
            _days(turn, job.workspace, table, hours),
            hours,
            now=turn.now(),
            unread_since=turn.now() - alive - MARGIN,
            most_merges=most,
        )
        for table, hours in sorted(wanted.items())
    }


def _days(turn: Turn, workspace: str, table: str, wanted: Iterable[str]) -> list[DayRecord]:
    """The days as the lake holds them now; of what was deleted there the copies are left."""
    keys = sorted({hour[:8] for hour in wanted})
    listed = refresh(turn, workspace, table, keys)
    days: list[DayRecord] = []
    for key in keys:
        try:
            there = listed.get(key) or turn.deployment.records.day(workspace, table, key).value
            days.append(there)
        except BadInput as error:
            log.log(level(error), "a day is left out of the plan: %s", error)
    return days


def table_plan(
    days: Sequence[DayRecord],
    wanted: Collection[str],
    *,
    now: datetime,
    unread_since: datetime,
    most_merges: int = DAYS_A_JOB,
) -> Json:
    """What a job is told of a table: its hours, its merged days, and what it is to do for them.

    What was left before `unread_since` no job can be reading any more.
    """
    due = [day.day for day in days if merges.is_due(day, wanted, now)]
    left = [path for day in days for path in merges.removable(day, unread_since)]
    return {
        "hours": [
            _hour(key, hour)
            for day in days
            for key, hour in sorted(day.hours.items())
            if key in wanted
        ],
        "merged": [merged for day in days for merged in _merged(day)],
        "merge": due[max(0, len(due) - most_merges) :],
        "remove": left[:FOLDERS_A_JOB],
    }


def _hour(key: str, hour: Hour) -> Json:
    return {
        "hour": key,
        "fingerprint": hour.fingerprint,
        "blobs": hour.blobs,
        "bytes": hour.bytes,
        "copy": hour.copy if merges.is_fresh(hour) else None,
    }


def _merged(day: DayRecord) -> list[Json]:
    """A merged day as far as it counts: the hours that are as they were, and those that are not."""
    counting = merges.counting(day.hours, day.merged)
    if not day.merged or not counting:
        return []
    stale = sorted(day.merged.hours.keys() - set(counting))
    return [
        {
            "day": day.day,
            "path": day.merged.path,
            "hours": list(counting),
            "stale": stale,
            "views": day.merged.views,
        }
    ]


def _window(window: Window) -> Json:
    return {"start": _iso(window.start), "end": _iso(window.end)}


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
