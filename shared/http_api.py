"""What HTTP answers: (status code, JSON). Reads the ledger; leaves requests; never acts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, cast, get_args

from shared import __version__, requests, schedule
from shared.archive import find_run
from shared.bookkeeping import Unusable
from shared.callers import OPERATOR, READER, may
from shared.contract import RUN_ID, day_key, workspace_key
from shared.control_loop import heartbeat, take_turn_if_stale
from shared.deployment import Deployment
from shared.errors import BadInput, Conflict, Quarantined, TidehuntError, Transient
from shared.model import HuntSpec, Ignored, Job, Json, Request, Run, Sweeps, Window
from shared.quarantine import UNUSABLE
from shared.records import IGNORED, MARKS, REQUESTS, SWEEPS, Records
from shared.timeline import HuntRecord

log = logging.getLogger("tidehunt.http")
Answer = tuple[int, Json]
REASON_CHARACTERS = 200
CHANGES = get_args(requests.Change)
RUN_FIELDS = {
    "hunt": str,
    "workspace": str,
    "end_date": str,
    "lookback_days": int,
    "params": dict,
    "incidents": bool,
    "again": bool,
}


def answer(
    deployment: Callable[[], Deployment],
    headers: Mapping[str, str],
    role: str,
    work: Callable[[Deployment], Answer],
) -> Answer:
    """Do the work for a caller who may; trouble becomes an answer that names the mend."""
    try:
        house = deployment()
        if not may(role, headers, house.settings.auth):
            return 403, _trouble("this needs an app role", f"assign the caller the role {role}")
        _wake(house)
        return work(house)
    except BadInput as error:
        return 400, {"error": error.what, "where": error.where, "mend": error.mend}
    except (Transient, Conflict) as error:
        return 503, _trouble(str(error), "try again")
    except TidehuntError as error:
        log.error("http: %s", error)
        return 500, {"error": error.what, "where": error.where, "mend": error.mend}


def _wake(deployment: Deployment) -> None:
    """Timers die silently on this platform: a call takes the turn that is overdue."""
    try:
        if heartbeat(deployment)["lastTurn"] is not None:
            take_turn_if_stale(deployment)
    except TidehuntError as error:
        log.error("an overdue turn could not be taken: %s", error)


def _trouble(what: str, mend: str) -> Json:
    return {"error": what, "mend": mend}


def start_run(deployment: Deployment, body: bytes) -> Answer:
    """`POST /api/runs`: 202 with the run's deterministic id."""
    asked = _body(body, RUN_FIELDS)
    request = requests.ask_run(
        deployment,
        hunt=asked.get("hunt", ""),
        workspace=asked.get("workspace"),
        end_date=asked.get("end_date", ""),
        lookback_days=asked.get("lookback_days"),
        overrides=asked.get("params", {}),
        incidents=asked.get("incidents", True),
        again=asked.get("again", False),
    )
    return 202, {"run_id": request.run_id, "status_url": f"/api/runs/{request.run_id}"}


def _body(body: bytes, fields: Mapping[str, type]) -> Json:
    try:
        asked = json.loads(body or b"{}") if len(body) <= 64_000 else None
    except (ValueError, RecursionError):
        asked = None
    if not isinstance(asked, dict):
        raise BadInput(
            "the body is no JSON object", where="body", mend=f"its fields: {', '.join(fields)}"
        )
    for name, value in asked.items():
        kind = fields.get(name)
        if kind is None:
            raise BadInput(
                f"unknown field {name[:40]!r}",
                where="body",
                mend=f"one of: {', '.join(fields)}",
            )
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise BadInput(
                f"{name} is no {kind.__name__}", where="body", mend=f"give a {kind.__name__}"
            )
    return asked


def change_run(deployment: Deployment, run_id: str, change: str, body: bytes) -> Answer:
    """`POST /api/runs/{id}/{cancel|release|redrive}`: 202, 400 when it does not fit, or 404."""
    if change not in CHANGES:
        return 404, _trouble("no such change", f"one of: {', '.join(CHANGES)}")
    given = _body(body, {"reason": str}).get("reason", "")[:REASON_CHARACTERS]
    reason = "".join(letter if letter.isprintable() else " " for letter in given)
    if not requests.ask_change(deployment, cast(requests.Change, change), run_id, reason):
        return 404, _trouble("no such run", "GET /api/status lists the runs")
    return 202, {"run_id": run_id, "status_url": f"/api/runs/{run_id}"}


def show_run(deployment: Deployment, run_id: str) -> Answer:
    """`GET /api/runs/{id}`: the run, wherever it is, or the request for it."""
    if RUN_ID.fullmatch(run_id):
        # The request before the run: a turn saves the run first and removes the request then, so
        # that a run which is taken up between the two looks is seen by the second.
        request = deployment.records.load(Request, f"{REQUESTS}{run_id}.json")
        kept = find_run(deployment.records, run_id, deployment.clock())
        if kept is not None:
            return 200, {**run_summary(kept.value), "coverage": kept.value.coverage}
        if request is not None:
            return 200, {"run_id": run_id, "hunt": request.value.hunt, "status": "requested"}
    return 404, _trouble("no such run", "GET /api/status lists the runs")


def run_summary(run: Run) -> Json:
    """A run in the words of the API."""
    return {
        "run_id": run.id,
        "hunt": run.hunt,
        "workspace": workspace_key(run.workspace),
        "kind": run.kind,
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
    }


def _window(window: Window) -> Json:
    return {"start": window.start.isoformat(), "end": window.end.isoformat()}


def _time(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def status(deployment: Deployment) -> Answer:
    """`GET /api/status`: what runs, what waits, what ended last, what is silent."""
    records = deployment.records
    marks = sum(1 for _ in records.ledger.list(MARKS))
    asked = sum(1 for _ in records.ledger.list(REQUESTS))
    runs, jobs = records.runs(), records.jobs()
    hunts = [line for spec in deployment.hunts for line in _hunt_lines(deployment, spec)]
    slots = sum(line["open_slots"] for line in hunts)
    return 200, {
        "version": __version__,
        "deployment": deployment.settings.deployment,
        "code_hash": deployment.settings.code_hash,
        "workspaces": list(deployment.workspaces()),
        **_clocks(deployment),
        "idle": not (marks or asked or runs or jobs or slots),
        "waiting": {"marks": marks, "requests": asked, "slots": slots},
        "active": {
            "runs": [run_summary(kept.value) for kept in runs],
            "jobs": [_job(kept.value) for kept in jobs],
        },
        "recent": [run_summary(run) for run in records.recent()],
        "hunts": hunts,
        "hunt_faults": [str(fault) for fault in deployment.hunt_faults],
        "ignored_tables": _ignored(deployment),
        "budget": _budget(deployment),
        "quarantined": _quarantined(records),
    }


def _clocks(deployment: Deployment) -> Json:
    sweeps = deployment.records.the_one(Sweeps(), SWEEPS)
    return {
        "last_turn": heartbeat(deployment)["lastTurn"],
        "last_sweep": _time(sweeps.value.recent) if sweeps else None,
    }


def _job(job: Job) -> Json:
    return {
        "job_id": job.id,
        "status": job.status,
        "engine_id": job.engine_id,
        "since": job.since.isoformat(),
        "runs": len(job.runs),
        "reason": job.reason,
    }


def _hunt_lines(deployment: Deployment, spec: HuntSpec) -> list[Json]:
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


def _ignored(deployment: Deployment) -> list[str]:
    kept = deployment.records.the_one(Ignored(), IGNORED)
    return list(kept.value.tables) if kept else []


def _budget(deployment: Deployment) -> Json | None:
    """What the day has spent; None when nobody can tell: then nothing more is spent."""
    try:
        return dict(vars(deployment.records.budget(day_key(deployment.clock())).value))
    except Quarantined:
        return None


def _quarantined(records: Records) -> Json:
    """Path -> why, of what a turn has met and of what was met in telling the rest."""
    kept = records.the_one(Unusable(), UNUSABLE)
    return {**(kept.value.documents if kept else {}), **records.quarantine.met}


ROUTE_ROLES: Mapping[str, str] = {
    "status": READER,
    "show_run": READER,
    "start_run": OPERATOR,
    "change_run": OPERATOR,
}


def encode(body: Any) -> str:
    """A body as JSON text; what a log wrote cannot break out of it."""
    return json.dumps(body, ensure_ascii=True, default=str)
