"""One turn at a time: observe, decide, save, act.

A turn starts by a conditional write of turn.json and ends by releasing it; the same document is the
heartbeat. A claim is no fence, so safety does not rest on it: every document is written with the
ETag that was read, a job id is used for one POST ever, and what is sent is named by identity.
One broken run, hunt, table or document never ends a turn.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared import archive, backfill, deliveries, grouping, health, intake, jobs, requests, starts
from shared import contract as c
from shared.bookkeeping import Claim, Owner
from shared.classes import is_backfill
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import BadInput, Conflict, LaterVersion, Quarantined, TidehuntError
from shared.jobs import Runs
from shared.model import RUN_TERMINAL, HuntSpec, Json, Run
from shared.quarantine import level
from shared.records import Kept, Records, run_path, spare
from shared.timeline import HuntRecord

log = logging.getLogger("tidehunt.control_loop")
CLAIM = "turn.json"
OWNER = "owner.json"
SHORT_TURN = 20.0
ENDED_AT_ONCE = 25
"""Runs that are told and put away together, some ten requests each."""


def take_turn(deployment: Deployment, seconds: float | None = None) -> bool:
    """A whole turn, of at most that many seconds; False when another process has it."""
    turn = _claim(deployment, seconds or deployment.settings.turn_seconds)
    if turn is None:
        return False
    beat = turn.last_beat
    try:
        if _work(turn):
            beat = turn.now()
    finally:
        _release(turn, beat)
    return True


def take_turn_if_stale(deployment: Deployment) -> bool:
    """A short turn when the last one is too old: timers die silently on this platform."""
    if _is_fresh(deployment):
        return False  # a hundred events a second ask, and read the claim once in five minutes
    _, claim = _read_claim(deployment.records)
    deployment.heard.last_turn = claim.value.ended or claim.value.began if claim else None
    if _is_fresh(deployment):
        return False
    log.warning("the last turn was at %s: an event takes one", deployment.heard.last_turn)
    return take_turn(deployment, _short(deployment))


def _is_fresh(deployment: Deployment) -> bool:
    last, stale = deployment.heard.last_turn, deployment.settings.stale_turn_seconds
    return last is not None and deployment.clock() - last < timedelta(seconds=stale)


def deliver_result(deployment: Deployment, job_id: str, run_id: str) -> bool:
    """A short turn for one run whose manifest landed; the tick finishes what is left."""
    turn = _claim(deployment, _short(deployment))
    if turn is None:
        return False
    try:
        kept = deployment.records.find_run(run_id)
        if kept is not None and kept.value.job == job_id:
            runs = {kept.path: kept}
            if kept.value.status == "assigned":
                _guarded(run_id, jobs.look_for_manifest, turn, runs, kept.path)
            _step_runs(turn, runs)
    finally:
        _release(turn, turn.last_beat)
    return True


def _short(deployment: Deployment) -> float:
    """Seconds of a turn inside an event's 30 s, but with room for two calls."""
    settings = deployment.settings
    return min(settings.turn_seconds, max(SHORT_TURN, 2 * settings.call_seconds))


def _claim(deployment: Deployment, seconds: float) -> Turn | None:
    """Take the turn, or None. Raises BadInput when the ledger belongs to another deployment."""
    _check_owner(deployment)  # first: a stranger's claim would starve the owner
    now = deployment.clock()
    path, kept = _read_claim(deployment.records)
    if kept is not None and _is_held(deployment, kept.value):
        return None
    ended, beat = (kept.value.ended, kept.value.beat) if kept else (None, None)
    turn = Turn(deployment, now + timedelta(seconds=seconds), ended, beat)
    claim = Claim(deployment.owner, _held_until(turn), now, ended, beat)
    try:
        deployment.records.save(kept or Kept(path, claim, None), claim)
    except Conflict:
        return None
    return turn


def _read_claim(records: Records) -> tuple[str, Kept[Claim] | None]:
    """The claim and where it is written: its spare while it is broken, or nothing would turn.

    Quarantined when it is a later version's: that version acts.
    """
    try:
        return CLAIM, records.load(Claim, CLAIM)
    except Quarantined as error:
        if isinstance(error.__cause__, LaterVersion):
            raise
        return spare(CLAIM), records.load(Claim, spare(CLAIM))


def _is_held(deployment: Deployment, claim: Claim) -> bool:
    """True until it was released, or ran out by the clock of its owner, which may be behind ours.

    An event's turn is shorter than two clocks may differ: both would deliver one run, twice.
    """
    margin = timedelta(seconds=deployment.settings.clock_margin_seconds)
    return claim.ended != claim.until and deployment.clock() < claim.until + margin


def _held_until(turn: Turn) -> datetime:
    """The bound of a call may reach past the turn's end: the claim outlives it by one call."""
    return turn.until + timedelta(seconds=turn.deployment.settings.call_seconds)


def _check_owner(deployment: Deployment) -> None:
    records, name = deployment.records, deployment.settings.deployment
    try:
        kept = records.load(Owner, OWNER)
        if kept is None:
            records.ledger.create(OWNER, encode(Owner(name)))
    except Conflict:
        kept = records.load(Owner, OWNER)
    except Quarantined as error:
        if isinstance(error.__cause__, LaterVersion):
            raise
        return  # it is no stranger's for being broken
    if kept is not None and kept.value.deployment != name:
        raise BadInput(
            f"this ledger belongs to deployment {kept.value.deployment!r}",
            where="TIDEHUNT_DEPLOYMENT",
            mend="give this deployment a state account of its own",
        )


def _release(turn: Turn, beat: datetime | None) -> None:
    """End the claim, unless somebody took it over meanwhile. `beat`: the last heartbeat."""
    records, now = turn.deployment.records, turn.now()
    try:
        _, kept = _read_claim(records)
        mine = (turn.deployment.owner, _held_until(turn))
        if kept is not None and (kept.value.owner, kept.value.until) == mine:
            records.save(kept, replace(kept.value, until=now, ended=now, beat=beat))
    except TidehuntError as error:
        log.warning("the turn's claim was not released, it runs out by itself: %s", error)


def _work(turn: Turn) -> bool:
    """Everything that there is to do, the oldest promises first; True after a heartbeat."""
    work = turn.leaving_a_call() if health.is_due(turn) else turn
    runs = {kept.path: kept for kept in turn.deployment.records.runs()}
    seen: list[tuple[HuntSpec, HuntRecord]] = []
    _guarded("requests", requests.take_requests, work, runs)
    _step_jobs(work.part(0.5), runs)
    _step_runs(work.part(0.5), runs)
    _guarded("marks", intake.take_marks, work)
    _guarded("sweep", intake.sweep, work)
    _guarded("schedules", starts.start_due, work, _unfinished(runs), seen)
    _guarded("fills", backfill.step_fills, work.part(0.5), runs)
    _guarded("new jobs", _start_jobs, work)
    _guarded("archive", archive.put_by, work)
    _guarded("quarantine", turn.deployment.records.tell_quarantine)
    return _beat(turn, runs, seen)


def _unfinished(runs: Runs) -> list[Run]:
    return [kept.value for kept in runs.values() if kept.value.status not in RUN_TERMINAL]


def _beat(turn: Turn, runs: Runs, seen: list[tuple[HuntSpec, HuntRecord]]) -> bool:
    """Send a heartbeat when it is due, or a run was held; True when it went out or is owed."""
    left = _unfinished(runs)
    return health.is_due(turn, left) and _guarded("heartbeat", health.beat, turn, left, seen)


def _step_jobs(turn: Turn, runs: Runs) -> None:
    active = turn.deployment.records.jobs()
    for kept in active:
        if turn.has_room():
            _guarded(kept.value.id, jobs.step_job, turn, kept, runs)
    _guarded("rescue", jobs.rescue, turn, runs, {kept.value.id for kept in active})


def _start_jobs(turn: Turn) -> None:
    """New jobs for what waits, read afresh: steps before may have put runs back."""
    if not turn.has_room():
        return
    runs = {kept.path: kept for kept in turn.deployment.records.runs()}
    if not any(kept.value.status == "waiting" for kept in runs.values()):
        return
    active = turn.deployment.records.jobs()
    planned = {
        path for kept in active for path in kept.value.runs if kept.value.status == "planned"
    }
    free = {path: kept for path, kept in runs.items() if path not in planned}
    for kept in grouping.plan_jobs(turn, free, active):
        if turn.has_room():
            _guarded(kept.value.id, jobs.step_job, turn, kept, free)


def _step_runs(turn: Turn, runs: Runs) -> None:
    """Deliver, who has waited longest first: a service that hangs for some keeps nobody back."""
    # First: what ended would wait for as long as deliveries take all the room.
    _put_away_ended(turn, runs)
    for path, kept in sorted(runs.items(), key=lambda one: (is_backfill([one[0]]), _since(one[1]))):
        if kept.value.status in ("delivering", "held") and turn.has_room():
            _guarded(kept.value.id, deliveries.step_run, turn, runs, path)
    _put_away_ended(turn, runs)


def _put_away_ended(turn: Turn, runs: Runs) -> None:
    """Tell of the runs that have ended, and put them away; in this turn they are none any more."""
    ended = [
        path
        for path, kept in runs.items()
        if kept.value.status in RUN_TERMINAL and path == run_path(kept.value)
    ]
    for first in range(0, len(ended), ENDED_AT_ONCE):
        if not turn.has_room():
            return
        some = [runs.pop(path) for path in ended[first : first + ENDED_AT_ONCE]]
        # A crash here finds them ended in `active`, and tells them again under the same ids.
        if _guarded("ended runs", health.tell_ended, turn, [kept.value for kept in some]):
            for kept in some:
                _guarded(kept.value.id, _put_away, turn, kept)


def _since(kept: Kept[Run]) -> datetime:
    return kept.value.next_at or kept.value.since


def _put_away(turn: Turn, kept: Kept[Run]) -> None:
    run, records = kept.value, turn.deployment.records
    if run.job:
        path = c.ended_path(run.job, run.id)
        turn.deployment.results.write(path, json.dumps(kept.whole()).encode())
    if run.kind != "adhoc" and run.status != "done":
        try:
            _declare_gap(records, run)
        except Quarantined as error:
            log.error("%s %s, and its slot is no gap: %s", run.id, run.status, error)
    records.remember(run.id)
    # A crash here declares the same gap again, and remembers the run again.
    records.finish(kept, run.id)


def _declare_gap(records: Records, run: Run) -> None:
    hunt = records.hunt(run.hunt_guid, run.workspace)
    after = starts.once_ended(records, hunt.value, run)
    if after != hunt.value:
        records.save(hunt, after)


def _guarded(what: str, work: Callable[..., object], *arguments: object) -> bool:
    """Do one thing; its trouble is told and ends nothing else. True when there was none."""
    try:
        work(*arguments)
        return True
    except Conflict as error:
        log.info("%s: somebody else wrote first, next turn again: %s", what, error)
    except TidehuntError as error:
        log.log(level(error), "%s: %s", what, error)
    except Exception:
        log.exception("%s: unexpected", what)
    return False


def heartbeat(deployment: Deployment) -> Json:
    """Age of the last turn, without any data; what `/health` may tell anybody."""
    _, kept = _read_claim(deployment.records)
    if kept is None:
        return {"lastTurn": None}
    return {"lastTurn": (kept.value.ended or kept.value.began).isoformat()}
