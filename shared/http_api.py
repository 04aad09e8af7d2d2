"""What HTTP answers: (status code, JSON). Reads the ledger; leaves requests; never acts."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Literal, cast, get_args

from shared import __version__, doctor, fills, pauses, quiet, requests, schedule
from shared.archive import find_run
from shared.bookkeeping import Ignored, Sweeps
from shared.callers import caller, may
from shared.contract import RUN_ID, workspace_key
from shared.control_loop import heartbeat, take_turn_if_stale
from shared.deployment import Deployment
from shared.errors import BadInput, Conflict, Quarantined, TidehuntError, Transient
from shared.estimates import estimate
from shared.model import RUN_TERMINAL, HuntSpec, Job, Json, Request, Run, Window
from shared.obstacles import obstacles
from shared.records import IGNORED, MARKS, REQUESTS, SWEEPS
from shared.timeline import HuntRecord
from shared.troubles import troubles

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
FILL_FIELDS = {
    "hunt": str,
    "workspace": str,
    "from": str,
    "to": str,
    "incidents": bool,
    "estimate": bool,
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
    reason = _line(_body(body, {"reason": str}).get("reason", ""))
    asked = requests.ask_change(deployment, cast(requests.Change, change), run_id, reason)
    if not asked and not (change == "cancel" and fills.ask_cancel(deployment, run_id, reason)):
        return 404, _trouble("no such run", "GET /api/status lists the runs")
    return 202, {"run_id": run_id, "status_url": f"/api/runs/{run_id}"}


def _line(given: str) -> str:
    """What a caller wrote, as one short line."""
    return "".join(letter if letter.isprintable() else " " for letter in given)[:REASON_CHARACTERS]


def pause(
    deployment: Deployment,
    change: Literal["pause", "resume"],
    headers: Mapping[str, str],
    body: bytes,
) -> Answer:
    """`POST /api/pause` and `/api/resume`: 202; 400 when a pause has no reason."""
    reason = _line(_body(body, {"reason": str}).get("reason", ""))
    if change == "pause" and not reason.strip():
        raise BadInput("a pause needs a reason", where="reason", mend="say why, for who finds it")
    by = _line(caller(headers, deployment.settings.auth))
    pauses.ask(deployment, change, reason, by)
    return 202, {"asked": change, "status_url": "/api/status"}


def show_run(deployment: Deployment, run_id: str) -> Answer:
    """`GET /api/runs/{id}`: the run, wherever it is, or the request for it; or a fill."""
    if RUN_ID.fullmatch(run_id):
        # The request before the run: a turn saves the run first and removes the request then, so
        # that a run which is taken up between the two looks is seen by the second.
        request = deployment.records.load(Request, f"{REQUESTS}{run_id}.json")
        kept = find_run(deployment.records, run_id, deployment.clock())
        if kept is not None:
            return 200, {**run_summary(kept.value), "coverage": kept.value.coverage}
        if request is not None:
            return 200, {"run_id": run_id, "hunt": request.value.hunt, "status": "requested"}
        fill = fills.find(deployment, run_id)
        if fill is not None:
            return 200, fill
    return 404, _trouble("no such run", "GET /api/status lists the runs")


def list_gaps(deployment: Deployment) -> Answer:
    """`GET /api/gaps`: what nobody judged and why, and the fills under way."""
    return 200, fills.told(deployment)


def list_quiet(deployment: Deployment, after: str) -> Answer:
    """`GET /api/quiet?after=`: a page of the cases that an analyst's word keeps quiet."""
    return 200, quiet.told(deployment, after)


def revoke_quiet(
    deployment: Deployment, case: str, headers: Mapping[str, str], body: bytes
) -> Answer:
    """`POST /api/quiet/{case}/revoke`: 202, 400 when it is not quiet, or 404."""
    reason = _line(_body(body, {"reason": str}).get("reason", ""))
    by = _line(caller(headers, deployment.settings.auth))
    if not quiet.ask_revoke(deployment, case, reason, by):
        return 404, _trouble("no such case", "GET /api/quiet lists those that are quiet")
    return 202, {"case": case, "status_url": "/api/quiet"}


def examine(deployment: Deployment) -> Answer:
    """`GET /api/doctor`: does everything that the app needs answer, and may it do what it must?"""
    return 200, doctor.as_json(doctor.examine(deployment))


def fill_gaps(deployment: Deployment, body: bytes) -> Answer:
    """`POST /api/gaps/fill`: 202 with what it will cost; 200 when only the estimate is wanted."""
    asked = _body(body, FILL_FIELDS)
    planned = fills.plan_fills(
        deployment,
        hunt=asked.get("hunt", ""),
        workspace=asked.get("workspace"),
        first=asked.get("from"),
        last=asked.get("to"),
        incidents=asked.get("incidents", False),
    )
    told = {"estimates": [estimate(deployment, fill) for fill in planned]}
    if asked.get("estimate", False):
        return 200, told
    fills.leave(deployment, planned)
    return 202, {"fills": [fill.id for fill in planned], **told}


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


def status(deployment: Deployment) -> Answer:
    """`GET /api/status`: what runs, what waits, what ended last, what is silent."""
    records = deployment.records
    # In the order in which work goes on, so that what moves meanwhile is seen once at least.
    sweeps = records.the_one(Sweeps(), SWEEPS)
    marks = sum(1 for _ in records.ledger.list(MARKS))
    asked = sum(1 for _ in records.ledger.list(REQUESTS))
    exported = sweeps.value.tables if sweeps else None
    hunts = [line for spec in deployment.hunts for line in _hunt_lines(deployment, spec, exported)]
    slots = sum(line["open_slots"] for line in hunts)
    filling, runs, jobs = fills.open_fills(deployment), records.runs(), records.jobs()
    return 200, {
        "version": __version__,
        "deployment": deployment.settings.deployment,
        "code_hash": deployment.settings.code_hash,
        "workspaces": list(deployment.workspaces()),
        "last_turn": heartbeat(deployment)["lastTurn"],
        "last_sweep": _time(sweeps.value.recent) if sweeps else None,
        **obstacles(deployment, [kept.value for kept in jobs]),
        "idle": not (marks or asked or runs or jobs or slots or filling),
        "waiting": {"marks": marks, "requests": asked, "slots": slots},
        "fills": [fills.summary(kept.value) for kept in filling],
        "active": {
            "runs": [run_summary(kept.value) for kept in runs],
            "jobs": [_job(kept.value) for kept in jobs],
        },
        "recent": [run_summary(run) for run in records.recent()],
        "hunts": hunts,
        "hunt_faults": [str(fault) for fault in deployment.hunt_faults],
        "ignored_tables": _ignored(deployment),
        **troubles(deployment, [kept.value for kept in runs]),
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


def _hunt_lines(
    deployment: Deployment, spec: HuntSpec, exported: Sequence[str] | None
) -> list[Json]:
    lines: list[Json] = []
    lacks = schedule.lacks(spec, exported)
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
                "lacks": list(lacks),
                "open_slots": 0 if lacks else schedule.open_slots(spec, record, deployment.clock()),
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
