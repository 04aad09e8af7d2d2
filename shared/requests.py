"""What HTTP asks for: a run, and that a run stops, goes on, or is done again.

Asking leaves a request document; a turn carries it out.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from shared import contract as c
from shared import messages as m
from shared import pauses, quiet, schedule
from shared.archive import ended_run, find_run
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import BadInput, TidehuntError, Transient
from shared.hunt_specs import parameters
from shared.jobs import Runs, decide_and_save
from shared.model import HuntSpec, Request, Run, Window
from shared.quarantine import level
from shared.records import REQUESTS, Kept, run_path
from shared.schedule import Due
from shared.starts import create, live_run, once_judged, reserve_run
from shared.timeline import Slot

log = logging.getLogger("tidehunt.requests")
Change = Literal["cancel", "release", "redrive"]
FITS: Mapping[str, tuple[str, ...]] = {"release": ("held",), "redrive": ("failed", "cancelled")}
UNFINISHED = ("waiting", "assigned", "delivering", "held")
_FIRST_DAY, _LAST_DAY = "20000101", "21991231"
"""Beyond these days no window can be computed, or named by an hour key."""


# --- asking ---------------------------------------------------------------------------------------


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
    day = day_of(end_date)
    request = Request(
        kind="run",
        run_id="",
        asked=deployment.clock(),
        hunt=spec.module,
        workspace=workspace_of(deployment, workspace),
        end_date=day,
        lookback_days=_lookback(spec, lookback_days),
        params=parameters(spec, overrides),
        incidents=incidents,
    )
    request = replace(request, run_id=_adhoc_id(deployment, request, again))
    deployment.records.ledger.put(f"{REQUESTS}{request.run_id}.json", encode(request))
    return request


def ask_change(deployment: Deployment, kind: Change, run_id: str, reason: str = "") -> bool:
    """Leave a request to change a run; False when there is no such run.

    BadInput when the run is in no state for it.
    """
    if not c.RUN_ID.fullmatch(run_id):
        return False
    kept = find_run(deployment.records, run_id, deployment.clock())
    if kept is None:
        asked = deployment.records.load(Request, f"{REQUESTS}{run_id}.json")
        if asked is None or kind != "cancel":
            return False
    elif kind in FITS and kept.value.status not in FITS[kind]:
        raise BadInput(
            f"the run is {kept.value.status}",
            where=run_id,
            mend=f"{kind} is for runs that are {' or '.join(FITS[kind])}",
        )
    request = Request(kind, run_id, deployment.clock(), reason=reason)
    deployment.records.ledger.put(f"{REQUESTS}{run_id}.{kind}.json", encode(request))
    return True


def day_of(end_date: str) -> str:
    """The day key of a day that somebody wrote. Raises BadInput."""
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


def workspace_of(deployment: Deployment, wanted: str | None) -> str:
    """The resource id of a workspace by its name, key or id; of the only one. Raises BadInput."""
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
    now = deployment.clock()
    while again and ended_run(deployment.records, f"{stem}-r{revision}", now) is not None:
        revision += 1
    return f"{stem}-r{revision}"


# --- carrying out ---------------------------------------------------------------------------------


def take_requests(turn: Turn, runs: Runs) -> None:
    """Carry out what HTTP asked for: the pause, then runs, then what changes runs.

    A request's trouble spares the others: it stays, and is tried again.
    """
    records = turn.deployment.records
    asked = list(records.usable(Request, [one.path for one in records.ledger.list(REQUESTS)]))
    for kept in sorted(asked, key=lambda one: list(WORK).index(one.value.kind)):
        if not turn.has_room():
            return
        try:
            WORK[kept.value.kind](turn, runs, kept.value)
            # Only what was carried out: somebody may have asked for the contrary meanwhile.
            records.ledger.delete(kept.path, kept.etag)
        except TidehuntError as error:
            log.log(level(error), "request %s: %s", kept.path, error)


def _tell(turn: Turn, runs: Runs, run_id: str, event: m.Event, fits: Collection[str]) -> None:
    """Let an unfinished run know of an event that fits its status."""
    for path, kept in list(runs.items()):
        if kept.value.id == run_id and kept.value.status in fits:
            decide_and_save(turn, runs, path, event)


def _cancel(turn: Turn, runs: Runs, request: Request) -> None:
    event = m.CancelAsked(turn.now(), request.reason or "cancelled by request")
    _tell(turn, runs, request.run_id, event, UNFINISHED)


def _release(turn: Turn, runs: Runs, request: Request) -> None:
    _tell(turn, runs, request.run_id, m.Released(turn.now()), FITS["release"])


def _redrive(turn: Turn, runs: Runs, request: Request) -> None:
    kept = find_run(turn.deployment.records, request.run_id, turn.now())
    spec = turn.deployment.hunt(kept.value.hunt) if kept else None
    if kept is None or spec is None or kept.value.status not in FITS["redrive"]:
        log.error("request %s: there is nothing to do again", request.run_id)
    elif kept.value.kind != "adhoc":
        _judge_again(turn, spec, kept.value)
    else:
        _start_adhoc(turn, runs, _asked_again(kept.value, turn.now()))


def _judge_again(turn: Turn, spec: HuntSpec, run: Run) -> None:
    """The next revision of a slot, now, unless there is one already."""
    records = turn.deployment.records
    hunt, key = records.hunt(run.hunt_guid, run.workspace), schedule.key_of(run.slot)
    if hunt.value.slots.get(key, Slot(run=run.id)).run != run.id:
        log.info("request %s: a newer run has its slot", run.id)
        return
    if run.kind == "live" and not reserve_run(turn, spec, run.workspace):
        raise Transient("the hunt's runs of the day are used up", where=run.id)
    item = Due(key, run.slot, run.window, run.revision + 1, by_schedule=True)
    again = live_run(turn, spec, run.workspace, item)
    if run.kind == "backfill":
        again = replace(again, kind="backfill", incidents=run.incidents and again.incidents)
    found = create(turn.deployment, again)
    # A crash here finds the new run by its id, and the slot still naming the old one.
    records.save(hunt, once_judged(records, hunt.value, item, found))


def _asked_again(run: Run, now: datetime) -> Request:
    return Request(
        kind="run",
        run_id=f"{run.id.removesuffix(f'-r{run.revision}')}-r{run.revision + 1}",
        asked=now,
        hunt=run.hunt,
        workspace=run.workspace,
        end_date=c.day_key(run.slot.start),
        lookback_days=(run.window.end - run.window.start).days,
        params=run.params,
        incidents=run.incidents,
    )


def _start_adhoc(turn: Turn, runs: Runs, request: Request) -> None:
    spec = turn.deployment.hunt(request.hunt)
    if spec is None:
        log.error("request %s: hunt %s is not there any more", request.run_id, request.hunt)
        return
    run = _adhoc_run(turn, spec, request)
    create(turn.deployment, run)
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


def _pause(turn: Turn, _runs: Runs, request: Request) -> None:
    pauses.carry_out(turn, request)


def _revoke(turn: Turn, _runs: Runs, request: Request) -> None:
    quiet.carry_out(turn, request)


WORK: Mapping[str, Callable[[Turn, Runs, Request], None]] = {
    "pause": _pause,
    "resume": _pause,
    "run": _start_adhoc,
    "cancel": _cancel,
    "release": _release,
    "redrive": _redrive,
    "revoke": _revoke,
}
"""In the order in which they are carried out: a run may be asked and taken back."""
