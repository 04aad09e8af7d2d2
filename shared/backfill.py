"""Filling gaps: slots that nobody judged get their runs, newest first, a few at a time.

A slot's gap ends when its run is saved and is declared again when that run
comes to nothing. Nothing is doubled whatever crashes: a slot's runs are known by their ids, and
whether a slot is still open is asked of the time line before its run is saved.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared import contract as c
from shared import gaps, schedule
from shared import messages as m
from shared.archive import find_run
from shared.classes import is_backfill, quarter
from shared.deployment import Turn
from shared.errors import BadInput, Conflict, TidehuntError, Transient
from shared.fills import ENDED, STARTS_BY_ITSELF, fillable, open_fills
from shared.grouping import RUNS_A_JOB
from shared.hunt_specs import tables_of
from shared.intake import refresh
from shared.jobs import Runs, decide_and_save
from shared.model import RUN_TERMINAL, HuntSpec, Run, Window
from shared.pauses import paused
from shared.quarantine import level
from shared.records import Kept, run_path
from shared.schedule import Due
from shared.settings import Settings
from shared.starts import create, live_run, once_judged
from shared.timeline import Fill, Fills, HuntRecord, Slot

log = logging.getLogger("tidehunt.backfill")
ENDED_FILLS = 10
REASON_CHARACTERS = 300
SLOTS_A_TURN = 100
"""Slots of one fill that a turn looks at: each costs a few requests."""


def runs_at_once(settings: Settings) -> int:
    """How many runs of backfill may be unfinished: twice what its jobs carry, as runs whose rows
    are to be counted in the workspace need no job any more."""
    return 2 * RUNS_A_JOB[0] * quarter(settings.jobs_at_once)


def step_fills(turn: Turn, runs: Runs) -> None:
    """Go on with every fill as far as room and the bound on unfinished runs allow.

    Of several fills of one hunt in one workspace the first goes first; the trouble of one spares
    the others.
    """
    fills = open_fills(turn.deployment)
    active = [path for path, kept in runs.items() if kept.value.status not in RUN_TERMINAL]
    room = runs_at_once(turn.deployment.settings) - sum(is_backfill([path]) for path in active)
    if fills and paused(turn.deployment.records):
        room = 0  # only what is cancelled goes on
    firsts = {(one.value.hunt_guid, one.value.workspace): one for one in reversed(fills)}
    left = len(firsts)
    for kept in fills:
        first = kept in firsts.values()
        if not turn.has_room() or not (first or kept.value.cancelled):
            continue
        share, left = max(0, room) // max(1, left), left - first
        try:
            room -= _step(turn, kept, runs if first else {}, min(share, RUNS_A_JOB[0]))
        except Conflict as error:
            log.info("fill %s: somebody else wrote first: %s", kept.value.id, error)
        except TidehuntError as error:
            log.log(level(error), "fill %s: %s", kept.value.id, error)
            _say(turn, kept, str(error))
        except Exception:
            log.exception("fill %s: unexpected", kept.value.id)


def _step(turn: Turn, kept: Kept[Fill], runs: Runs, room: int) -> int:
    """One step of a fill; how many runs it started."""
    if kept.value.cancelled:
        _cancel(turn, kept, runs)
        return 0
    spec = next((s for s in turn.deployment.hunts if s.guid == kept.value.hunt_guid), None)
    if spec is None or spec.status not in STARTS_BY_ITSELF:
        _say(turn, kept, f"the hunt is {spec.status}" if spec else "the hunt is not there any more")
        return 0
    if room == 0:
        return 0
    look = _look(_half(turn), spec, kept.value, room)
    started = _start(turn, spec, kept.value, look)
    # A crash here looks at the same slots again: those that were started are judged by then.
    after = replace(look.fill, started=look.fill.started + started, reason="")
    if after.left == after.start:
        _end(turn, kept, replace(after, reason="every slot was started"))
    else:
        turn.deployment.records.save(kept, after)
    return started


def _half(turn: Turn) -> Turn:
    """Half of the calls that still fit: to look at slots and start none of them would never end."""
    bound = timedelta(seconds=turn.deployment.settings.call_seconds)
    usable = turn.until - bound - turn.now()
    return replace(turn, until=turn.now() + bound + usable / 2)


def _say(turn: Turn, kept: Kept[Fill], reason: str) -> None:
    """Remember why a fill does not go on; a turn that did not change it has nothing to save."""
    turn.deployment.records.save(kept, replace(kept.value, reason=reason[:REASON_CHARACTERS]))


@dataclass
class _Look:
    """What a turn found of a fill's next slots."""

    fill: Fill
    """The fill, as far as this look reaches."""
    wanted: list[Window] = field(default_factory=list)
    empty: list[Window] = field(default_factory=list)


def _look(turn: Turn, spec: HuntSpec, fill: Fill, room: int) -> _Look:
    """Look at the next slots, newest first, until enough are found to start."""
    record = turn.deployment.records.hunt(spec.guid, fill.workspace).value
    begin = schedule.line_start(record, turn.now())
    lake, look = _Lake(turn, spec, fill.workspace), _Look(fill)
    left, step, judged = fill.left or fill.end, schedule.slot_length(spec), fill.judged
    while left > fill.start and turn.has_room() and len(look.wanted) < room:
        if len(look.wanted) + len(look.empty) >= SLOTS_A_TURN:
            break
        slot = Window(left - step, left)
        left = slot.start
        if not fillable(record, slot, begin):
            judged += 1
        elif lake.holds(slot):
            look.wanted.append(slot)
        else:
            look.empty.append(slot)
    empty = fill.empty + len(look.empty)
    look.fill = replace(fill, left=left, judged=judged, empty=empty)
    return look


@dataclass
class _Lake:
    """What the lake holds of a hunt's days: listed now, whatever their age, each once a turn."""

    turn: Turn
    spec: HuntSpec
    workspace: str
    days: dict[str, set[str]] = field(default_factory=dict)

    def holds(self, slot: Window) -> bool:
        """Whether any hour of a slot has data in any table of the hunt."""
        day = c.day_key(slot.start)
        if day not in self.days:
            self.days[day] = self._hours(day)
        return not self.days[day].isdisjoint(c.hours_between(slot.start, slot.end))

    def _hours(self, day: str) -> set[str]:
        records, exported = self.turn.deployment.records, self.turn.deployment.exports.tables()
        tables = sorted(set(exported).intersection(tables_of(self.spec)))
        hours: set[str] = set()
        for table in tables:
            refresh(self.turn, self.workspace, table, [day])
            try:
                hours.update(records.day(self.workspace, table, day).value.hours)
            except BadInput as error:
                log.log(level(error), "a day is left out: %s", error)
        return hours


def _start(turn: Turn, spec: HuntSpec, fill: Fill, look: _Look) -> int:
    """Save the runs of the wanted slots, then the time line; how many there are."""
    records, started = turn.deployment.records, 0
    kept = records.hunt(spec.guid, fill.workspace)
    record = kept.value
    begin = schedule.line_start(record, turn.now())
    for slot in look.wanted:
        if not turn.has_room():
            look.fill = replace(look.fill, left=slot.end)
            break
        if not fillable(record, slot, begin):
            continue
        try:
            record, run = _started(turn, spec, fill, record, slot)
        except BadInput as error:
            log.log(level(error), "a slot stays a gap: %s", error)
            continue
        if run.status == "done":
            look.fill = replace(look.fill, judged=look.fill.judged + 1)
        else:
            started += 1
    # A crash here finds the runs again by their ids, and the slots still open.
    absent = [slot for slot in look.empty if gaps.holding(record.gaps, slot)]
    record = gaps.declare(record, absent, gaps.NO_DATA)
    after = schedule.forget(record, turn.now())
    if after != kept.value:
        records.save(kept, after)
    return started


def _started(
    turn: Turn, spec: HuntSpec, fill: Fill, record: HuntRecord, slot: Window
) -> tuple[HuntRecord, Run]:
    """The record once the slot's run is saved, or found: whatever crashed, it has one run."""
    key = schedule.key_of(slot)
    revision = record.slots.get(key, Slot()).revision + 1
    while True:
        window = schedule.lookback_window(slot, spec.lookback_days)
        item = Due(key, slot, window, revision, by_schedule=True)
        run = _run(turn, spec, fill, item)
        found = find_run(turn.deployment.records, run.id, turn.now())
        if found is None or found.value.status not in ("failed", "cancelled"):
            there = found.value if found else create(turn.deployment, run)
            return once_judged(turn.deployment.records, record, item, there), there
        if found.path == run_path(found.value):
            raise Transient("its slot's last run is not put away yet", where=run.id)
        revision += 1


def _run(turn: Turn, spec: HuntSpec, fill: Fill, item: Due) -> Run:
    run = live_run(turn, spec, fill.workspace, item)
    return replace(run, kind="backfill", incidents=fill.incidents and run.incidents)


def _cancel(turn: Turn, kept: Kept[Fill], runs: Runs) -> None:
    """End a fill with its runs, but for those whose results are being delivered."""
    fill, event = kept.value, m.CancelAsked(turn.now(), kept.value.cancelled)
    for path, one in list(runs.items()):
        run = one.value
        mine = (run.hunt_guid, run.workspace) == (fill.hunt_guid, fill.workspace)
        within = fill.start <= run.slot.start < fill.end
        stops = run.status in ("waiting", "assigned", "held")
        if is_backfill([path]) and mine and within and stops:
            decide_and_save(turn, runs, path, event)
    # A crash here cancels what is left, and then ends the fill.
    _end(turn, kept, replace(fill, reason=f"cancelled: {fill.cancelled}"))


def _end(turn: Turn, kept: Kept[Fill], fill: Fill) -> None:
    """Put a fill at the head of those that ended last, then remove it."""
    records = turn.deployment.records
    ended = records.load(Fills, ENDED) or Kept(ENDED, Fills(), None)
    others = [one for one in ended.value.ended if one.id != fill.id]
    records.save(ended, Fills((fill, *others)[:ENDED_FILLS]))
    records.ledger.delete(kept.path, kept.etag)
