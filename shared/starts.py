"""Slots that are due become waiting runs."""

from __future__ import annotations

import itertools
import logging
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from datetime import timedelta

from shared import contract as c
from shared import schedule
from shared.archive import ended_run
from shared.bookkeeping import Sweeps
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import BadInput, Conflict, Quarantined, TidehuntError
from shared.hunt_specs import parameters, tables_of
from shared.intake import refresh
from shared.marks import OLDEST_MARK
from shared.model import HuntSpec, Run
from shared.pauses import paused
from shared.quarantine import level
from shared.records import SWEEPS, Records, done_path, run_path
from shared.schedule import Due
from shared.timeline import HuntRecord

log = logging.getLogger("tidehunt.starts")
UNFINISHED_MOST = 25
"""Live runs of a hunt in a workspace that are under way at one time, as many as share a job: while
nothing is taken from us a turn's reading would grow until it has room for nothing else."""


def start_due(turn: Turn, runs: Collection[Run], seen: list[tuple[HuntSpec, HuntRecord]]) -> None:
    """Save a waiting run for every slot that is due. One hunt's trouble spares the others.

    `runs` are the unfinished ones: their slots wait for them. Before the lake was listed once
    nothing starts: which slot is the newest, and what its window holds, is not known yet. A hunt
    that lacks its tables only remembers what lands. `seen` gets the time line of each other hunt
    as it is left.
    """
    sweeps = turn.deployment.records.the_one(Sweeps(), SWEEPS)
    if sweeps is None or sweeps.value.month is None or paused(turn.deployment.records):
        return
    busy = {run.id for run in runs} | turn.deployment.records.unreadable_runs()
    live = Counter((run.hunt_guid, run.workspace) for run in runs if run.kind == "live")
    for spec in turn.deployment.hunts:
        for workspace in turn.deployment.settings.workspaces:
            if spec.status not in ("live", "shadow") or not turn.has_room():
                continue
            lacks = schedule.lacks(spec, sweeps.value.tables)
            room = 0 if lacks else UNFINISHED_MOST - live[spec.guid, workspace]
            try:
                record = _start_slots(turn, spec, workspace, busy, room)
                seen.extend([] if lacks else [(spec, record)])
                continue
            except TidehuntError as error:
                log.log(level(error), "hunt %s in %s: %s", spec.module, workspace, error)
            except Exception:
                log.exception("hunt %s in %s: unexpected", spec.module, workspace)
            # What cannot start is late before long, which only its time line tells.
            seen.extend([] if lacks else _as_it_is(turn, spec, workspace))


def _as_it_is(turn: Turn, spec: HuntSpec, workspace: str) -> list[tuple[HuntSpec, HuntRecord]]:
    try:
        return [(spec, turn.deployment.records.hunt(spec.guid, workspace).value)]
    except TidehuntError:
        return []  # one that cannot be used has an alarm of its own


def _start_slots(
    turn: Turn, spec: HuntSpec, workspace: str, busy: Collection[str], room: int
) -> HuntRecord:
    """Start at most `room` runs of a hunt; its time line as it is left."""
    deployment, now = turn.deployment, turn.now()
    known = deployment.records.hunt(spec.guid, workspace)
    if known.etag is None:
        known = deployment.records.save(known, _acquainted(turn, spec, workspace, known.value))
    kept, due = known, _due_of(turn, spec, known.value, busy) if room > 0 else []
    if due:
        # Events may be lost and a sweep may have met a landing half way: look before spending.
        _look_again(turn, spec, workspace, due)
        kept = deployment.records.hunt(spec.guid, workspace)
    record = young = schedule.forget(kept.value, now)
    due = _due_of(turn, spec, record, busy)[:room] if due else []
    if due:
        record = _heard_of(turn, spec, workspace, record, due[0])
    for item in due:
        if not turn.has_room() or not reserve_run(turn, spec, workspace):
            break
        run = live_run(turn, spec, workspace, item)
        try:
            found = create(deployment, run)
        except Quarantined:
            # This slot waits for a person, the others do not.
            reserve_run(turn, spec, workspace, -1)
            continue
        # A crash here finds the run again by its id, which the slot and revision determine.
        record = once_judged(deployment.records, record, item, found)
    if spec.schedule and (record.next_fire is None or now >= record.next_fire):
        record = replace(record, next_fire=schedule.next_fire(spec, now))
    record = schedule.skipped(spec, record)
    if record != young:
        # What was only forgotten is written with the next change: no turn costs more for age.
        deployment.records.save(kept, record)
    return record


def _acquainted(turn: Turn, spec: HuntSpec, workspace: str, record: HuntRecord) -> HuntRecord:
    """A new hunt's record: what landed before it came is what it has not judged."""
    now = turn.now()
    days = [c.day_key(now - timedelta(days=back)) for back in range(36)]
    for landed in _landed(turn, spec, workspace, days):
        record = schedule.touch(spec, record, landed, now)
    return record


def _heard_of(
    turn: Turn, spec: HuntSpec, workspace: str, record: HuntRecord, newest: Due
) -> HuntRecord:
    """Look at the days before slots are called empty: what landed while the time line could not be
    used was told to nobody."""
    now = turn.now()
    empty = [one for one in schedule.passed_over(record, newest) if one.end > now - OLDEST_MARK]
    keys = {schedule.key_of(one) for one in empty}
    days = sorted({day for one in empty for day in c.days_between(one.start, one.end)})
    for landed in _landed(turn, spec, workspace, days):
        hours = [hour for hour in landed if schedule.slot_key(spec, hour) in keys]
        record = schedule.touch(spec, record, hours, now)
    return record


def _landed(
    turn: Turn, spec: HuntSpec, workspace: str, days: Sequence[str]
) -> Iterator[Collection[str]]:
    """The hours that are known of a hunt's tables, a day of a table at a time."""
    for table, day in itertools.product(tables_of(spec), days):
        try:
            yield turn.deployment.records.day(workspace, table, day).value.hours
        except BadInput as error:
            log.log(level(error), "a day is left out: %s", error)


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


def reserve_run(turn: Turn, spec: HuntSpec, workspace: str, runs: int = 1) -> bool:
    """A run is reserved before it is saved; False when the hunt's runs there are used up today.

    A negative number gives back what was not used.
    """
    kept = turn.deployment.records.budget(c.day_key(turn.now()))
    place = c.workspace_key(workspace)
    key = f"{spec.guid}/{place[-8:]}"  # short: many hunts in many workspaces share the document
    used = kept.value.runs.get(key, 0)
    if runs > 0 and used >= turn.deployment.settings.runs_a_hunt_a_day:
        log.warning("TIDEHUNT_RUNS_A_HUNT_A_DAY: %s in %s waits for tomorrow", spec.module, place)
        return False
    reserved = {**kept.value.runs, key: max(0, used + runs)}
    turn.deployment.records.save(kept, replace(kept.value, runs=reserved))
    return True


def live_run(turn: Turn, spec: HuntSpec, workspace: str, item: Due) -> Run:
    """The run for a due slot; its id follows from hunt, workspace, slot and revision."""
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
        next_at=turn.later(_wait(turn, item)),
    )


def _wait(turn: Turn, item: Due) -> float:
    """Seconds that a run waits for others to share its job; what was missed has waited enough."""
    settings = turn.deployment.settings
    as_usual = timedelta(seconds=settings.settle_seconds + settings.coalesce_seconds)
    if item.by_schedule:
        return 0.0
    missed = item.revision == 0 and turn.now() - item.slot.end > as_usual
    return settings.coalesce_seconds / 4 if missed else settings.coalesce_seconds


def create(deployment: Deployment, run: Run) -> Run:
    """Save a run, unless it is there already; the one that is there then.

    A slot is judged by one run at a time, be it live or backfill: they share their ids.
    """
    ended = ended_run(deployment.records, run.id, deployment.clock())
    if ended is not None:
        log.info("run has ended already: %s", run.id)
        return ended.value
    other = replace(run, kind="live" if run.kind == "backfill" else "backfill")
    taken = deployment.records.load(Run, run_path(other)) if run.kind != "adhoc" else None
    if taken is not None:
        log.info("run is there already: %s", run.id)
        return taken.value
    try:
        deployment.records.ledger.create(run_path(run), encode(run))
    except Conflict:
        log.info("run is there already: %s", run.id)
        found = deployment.records.load(Run, run_path(run))
        return found.value if found else run
    return run


def once_judged(records: Records, record: HuntRecord, item: Due, run: Run) -> HuntRecord:
    """The record once a run for a slot is saved, however far that run has come.

    One that was saved by a turn that could not say so may have ended since: whoever put it away
    did not find it in its slot, and declared no gap.
    """
    after = schedule.judged(record, item, run.id, run.created)
    return once_ended(records, after, run) if run.status in ("failed", "cancelled") else after


def once_ended(records: Records, record: HuntRecord, run: Run) -> HuntRecord:
    """The record once a run has failed or was cancelled: what no revision has judged is a gap."""
    stem = run.id.removesuffix(f"-r{run.revision}")
    for revision in range(run.revision):
        earlier = records.load(Run, done_path(f"{stem}-r{revision}"))
        if earlier is not None and earlier.value.status == "done":
            return record
    return schedule.unjudged(record, run.id, run.slot, f"run {run.id} {run.status}")
