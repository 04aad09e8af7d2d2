"""Runs that begin: slots that are due, and what HTTP asked for."""

from __future__ import annotations

import hashlib
import itertools
import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared import contract as c
from shared import messages as m
from shared import schedule
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import BadInput, Conflict, TidehuntError
from shared.hunt_specs import parameters, tables_of
from shared.intake import refresh
from shared.jobs import Runs, decide_and_save
from shared.model import RUN_TERMINAL, HuntSpec, Request, Run, Sweeps, Window
from shared.records import REQUESTS, SWEEPS, Kept, done_path, run_path
from shared.schedule import Due
from shared.timeline import HuntRecord

log = logging.getLogger("tidehunt.starts")
_FIRST_DAY, _LAST_DAY = "20000101", "21991231"
"""Beyond these days no window can be computed, or named by an hour key."""


# --- due slots --------------------------------------------------------------------------------


def start_due(turn: Turn, busy: Collection[str]) -> None:
    """Save a waiting run for every slot that is due. One hunt's trouble spares the others.

    `busy` are the ids of unfinished runs: their slots wait for them. Before the lake was listed
    once nothing starts: which slot is the newest, and what its window holds, is not known yet.
    """
    sweeps = turn.deployment.records.load(Sweeps, SWEEPS)
    if sweeps is None or sweeps.value.month is None:
        return
    for spec in turn.deployment.hunts:
        for workspace in turn.deployment.settings.workspaces:
            if spec.status not in ("live", "shadow") or not turn.has_room():
                continue
            try:
                _start_slots(turn, spec, workspace, busy)
            except TidehuntError as error:
                log.error("hunt %s in %s: %s", spec.module, workspace, error)
            except Exception:
                log.exception("hunt %s in %s: unexpected", spec.module, workspace)


def _start_slots(turn: Turn, spec: HuntSpec, workspace: str, busy: Collection[str]) -> None:
    deployment, now = turn.deployment, turn.now()
    known = deployment.records.hunt(spec.guid, workspace)
    if known.etag is None:
        known = deployment.records.save(known, _acquainted(turn, spec, workspace, known.value))
    due = _due_of(turn, spec, known.value, busy)
    if due:
        # Events may be lost and a sweep may have met a landing half way: look before spending.
        _look_again(turn, spec, workspace, due)
    kept = deployment.records.hunt(spec.guid, workspace)
    record = schedule.forget(kept.value, now)
    for item in _due_of(turn, spec, record, busy):
        if not turn.has_room() or not _reserve_run(turn, spec):
            break
        run = _live_run(turn, spec, workspace, item)
        created = _create(deployment, run)
        # A crash here finds the run again by its id, which the slot and revision determine.
        record = schedule.judged(record, item, run.id, created)
    if spec.schedule and (record.next_fire is None or now >= record.next_fire):
        record = replace(record, next_fire=schedule.next_fire(spec, now))
    if record != kept.value:
        deployment.records.save(kept, record)


def _acquainted(turn: Turn, spec: HuntSpec, workspace: str, record: HuntRecord) -> HuntRecord:
    """A new hunt's record: what landed before it came is what it has not judged."""
    now = turn.now()
    days = [c.day_key(now - timedelta(days=back)) for back in range(36)]
    for table, day in itertools.product(tables_of(spec), days):
        try:
            landed = turn.deployment.records.day(workspace, table, day).value.hours
        except BadInput as error:
            log.error("a day is left out: %s", error)
            continue
        record = schedule.touch(spec, record, landed, now)
    return record


def _due_of(turn: Turn, spec: HuntSpec, record: HuntRecord, busy: Collection[str]) -> list[Due]:
    waits = {key for key, slot in record.slots.items() if slot.run in busy}
    settle = timedelta(seconds=turn.deployment.settings.settle_seconds)
    return schedule.due(spec, record, turn.now(), settle, waits)


def _look_again(turn: Turn, spec: HuntSpec, workspace: str, due: Sequence[Due]) -> None:
    """List the days of the due slots, and every day after the newest: what changed is not due."""
    newest = max(item.slot.start for item in due)
    days = {day for item in due for day in c.days_between(item.slot.start, item.slot.end)}
    days.update(c.days_between(newest, turn.now() + timedelta(hours=1)))
    exported = set(turn.deployment.exports.tables())
    for table in sorted(exported.intersection(tables_of(spec))):
        refresh(turn, workspace, table, sorted(days, reverse=True))


def _reserve_run(turn: Turn, spec: HuntSpec) -> bool:
    """A run is reserved before it is saved; False when the hunt's runs of the day are used up."""
    kept = turn.deployment.records.budget(c.day_key(turn.now()))
    used = kept.value.runs.get(spec.guid, 0)
    if used >= turn.deployment.settings.runs_a_hunt_a_day:
        log.warning("TIDEHUNT_RUNS_A_HUNT_A_DAY reached: %s waits for tomorrow", spec.module)
        return False
    runs = {**kept.value.runs, spec.guid: used + 1}
    turn.deployment.records.save(kept, replace(kept.value, runs=runs))
    return True


def _live_run(turn: Turn, spec: HuntSpec, workspace: str, item: Due) -> Run:
    coalesce = 0.0 if item.by_schedule else turn.deployment.settings.coalesce_seconds
    hour = f"-h{item.key[8:]}" if len(item.key) > 8 else ""
    place = c.workspace_key(workspace)
    return Run(
        id=f"{item.key[:8]}-{spec.module}-{place}{hour}-r{item.revision}",
        hunt=spec.module,
        hunt_guid=spec.guid,
        workspace=workspace,
        kind="live",
        slot=item.slot,
        window=item.window,
        revision=item.revision,
        status="waiting",
        since=turn.now(),
        created=turn.now(),
        params=parameters(spec, {}),
        incidents=spec.status == "live",
        next_at=turn.later(coalesce),
    )


def _create(deployment: Deployment, run: Run) -> datetime:
    """Save a run, unless it is there already; when the one that is there was created."""
    ended = deployment.records.load(Run, done_path(run.id))
    if ended is not None:
        log.info("run has ended already: %s", run.id)
        return ended.value.created
    try:
        deployment.records.ledger.create(run_path(run), encode(run))
    except Conflict:
        log.info("run is there already: %s", run.id)
        found = deployment.records.load(Run, run_path(run))
        return found.value.created if found else run.created
    return run.created


# --- requests ---------------------------------------------------------------------------------


def ask_run(
    deployment: Deployment,
    *,
    hunt: str,
    workspace: str | None,
    end_date: str,
    lookback_days: int | None,
    overrides: dict[str, object],
    incidents: bool,
    again: bool = False,
) -> Request:
    """Leave a request for an ad-hoc run; asked twice, it is one run with one id.

    The lookback ends on and includes `end_date` (`yyyy-mm-dd`). `again` asks for the next revision
    when the run has ended, for data that came later. BadInput names what cannot be used.
    """
    spec = deployment.hunt(hunt)
    if spec is None:
        names = ", ".join(sorted(one.module for one in deployment.hunts)) or "none is loaded"
        raise BadInput(f"no hunt {hunt!r}", where="hunt", mend=f"one of: {names}")
    day = _day(end_date)
    request = Request(
        kind="run",
        run_id="",
        asked=deployment.clock(),
        hunt=spec.module,
        workspace=_workspace(deployment, workspace),
        end_date=day,
        lookback_days=_lookback(spec, lookback_days),
        params=parameters(spec, overrides),
        incidents=incidents,
    )
    request = replace(request, run_id=_adhoc_id(deployment, request, again))
    deployment.records.ledger.put(f"{REQUESTS}{request.run_id}.json", encode(request))
    return request


def ask_cancel(deployment: Deployment, run_id: str) -> bool:
    """Leave a request to cancel a run; False when there is no such run."""
    if not c.RUN_ID.fullmatch(run_id):
        return False
    asked = deployment.records.load(Request, f"{REQUESTS}{run_id}.json")
    if asked is None and deployment.records.find_run(run_id) is None:
        return False
    request = Request("cancel", run_id, deployment.clock())
    deployment.records.ledger.put(f"{REQUESTS}{run_id}.cancel.json", encode(request))
    return True


def _day(end_date: str) -> str:
    try:
        day = end_date.replace("-", "")
        if c.day_key(c.day_start(day)) == day and _FIRST_DAY <= day <= _LAST_DAY:
            return day
    except (ValueError, AttributeError):
        pass
    raise BadInput(
        f"{str(end_date)[:40]!r} is no day", where="end_date", mend="write it as 2026-01-31"
    )


def _lookback(spec: HuntSpec, days: int | None) -> int:
    if days is None:
        return spec.lookback_days
    if isinstance(days, bool) or not isinstance(days, int) or not 1 <= days <= 400:
        raise BadInput(
            f"{str(days)[:40]!r} is no number of days", where="lookback_days", mend="1 to 400"
        )
    return days


def _workspace(deployment: Deployment, wanted: str | None) -> str:
    known = deployment.workspaces()
    if wanted is None and len(known) == 1:
        return next(iter(known.values()))
    for key, resource_id in known.items():
        if wanted and wanted.lower() in (key, resource_id, resource_id.rsplit("/", 1)[-1]):
            return resource_id
    raise BadInput(
        f"no workspace {str(wanted)[:200]!r}" if wanted else "which workspace?",
        where="workspace",
        mend=f"one of: {', '.join(sorted(known))}",
    )


def _adhoc_id(deployment: Deployment, request: Request, again: bool) -> str:
    asked = json.dumps([request.lookback_days, request.params, request.incidents], sort_keys=True)
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    place = c.workspace_key(request.workspace)
    stem = f"{request.end_date}-{request.hunt}-{place}-a{digest}"
    revision = 0
    while again and deployment.records.load(Run, done_path(f"{stem}-r{revision}")) is not None:
        revision += 1
    return f"{stem}-r{revision}"


def take_requests(turn: Turn, runs: Runs) -> None:
    """Carry out what HTTP asked for, runs before cancels: a run may be asked and taken back.

    A request's trouble spares the others: it stays, and is tried again.
    """
    records = turn.deployment.records
    asked = list(records.usable(Request, list(records.ledger.list(REQUESTS))))
    for kept in sorted(asked, key=lambda one: one.value.kind == "cancel"):
        if not turn.has_room():
            return
        try:
            _carry_out(turn, runs, kept)
        except TidehuntError as error:
            log.error("request %s: %s", kept.path, error)


def _carry_out(turn: Turn, runs: Runs, kept: Kept[Request]) -> None:
    if kept.value.kind == "cancel":
        _cancel(turn, runs, kept.value)
    else:
        _start_adhoc(turn, runs, kept.value)
    turn.deployment.records.ledger.delete(kept.path)


def _cancel(turn: Turn, runs: Runs, request: Request) -> None:
    for path, kept in list(runs.items()):
        if kept.value.id == request.run_id and kept.value.status not in RUN_TERMINAL:
            decide_and_save(turn, runs, path, m.CancelAsked(turn.now(), "cancelled by request"))


def _start_adhoc(turn: Turn, runs: Runs, request: Request) -> None:
    spec = turn.deployment.hunt(request.hunt)
    if spec is None:
        log.error("request %s: hunt %s is not there any more", request.run_id, request.hunt)
        return
    run = _adhoc_run(turn, spec, request)
    _create(turn.deployment, run)
    path = run_path(run)
    found = turn.deployment.records.load(Run, path)
    if found is not None:
        runs[path] = Kept(path, found.value, found.etag)


def _adhoc_run(turn: Turn, spec: HuntSpec, request: Request) -> Run:
    slot = schedule.slot_window(request.end_date)
    window = Window(slot.end - timedelta(days=request.lookback_days), slot.end)
    return Run(
        id=request.run_id,
        hunt=spec.module,
        hunt_guid=spec.guid,
        workspace=request.workspace,
        kind="adhoc",
        slot=slot,
        window=window,
        revision=int(request.run_id.rsplit("-r", 1)[-1]),
        status="waiting",
        since=turn.now(),
        created=turn.now(),
        params=request.params,
        incidents=request.incidents,
        next_at=turn.now(),
    )
