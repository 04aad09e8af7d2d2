"""Invariant 10 for people, at rest: what HTTP answered 202 to was done."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared import fills, gaps, schedule
from shared.contract import hours_between
from shared.documents import decode
from shared.hunt_specs import tables_of
from shared.model import Window
from shared.pauses import PAUSE
from shared.records import hunt_path
from shared.timeline import Fill, Fills, HuntRecord

if TYPE_CHECKING:
    from tests.simulation.safety import Safety
    from tests.simulation.world import World


def promised_runs_are_there(safety: Safety) -> Iterator[str]:
    """10: a run for which HTTP answered 202 was made."""
    there = set(safety.world.run_ids())
    for run_id in safety.world.operator.asked:
        if run_id not in there:
            yield f"10: run {run_id} was promised and never was"


def a_redrive_is_a_new_run(safety: Safety) -> Iterator[str]:
    """10: a run that is done again is the next revision; what it was stays as it ended."""
    newest: dict[str, int] = {}
    for run_id in safety.world.run_ids():
        stem, _, revision = run_id.rpartition("-r")
        newest[stem] = max(int(revision), newest.get(stem, 0))
    for run_id in safety.world.upkeep.redriven:
        stem, _, revision = run_id.rpartition("-r")
        if newest[stem] <= int(revision):
            yield f"10: run {run_id} was to be done again, and there is no newer one"
        if run_id not in safety.ended:
            yield f"5: run {run_id} is done again, and has not ended"


def nothing_is_paused(safety: Safety) -> Iterator[str]:
    """10: who resumed is heard."""
    if safety.world.ledger.peek(PAUSE) is not None:
        yield "10: everything is paused still"


def fills_end(safety: Safety) -> Iterator[str]:
    """11: no gap that a fill was asked to fill, with data since before, waits for one still.

    What was no gap then, since its hunt was to judge it by itself, may have become one.
    """
    world = safety.world
    ended = {fill.id: fill for fill in _ended(world)}
    for one in world.upkeep.filled:
        if one not in ended:
            yield f"10: fill {one} was promised and never ended"
    for fill in ended.values():
        if not fill.cancelled:
            yield from _unfilled(world, fill)


def _ended(world: World) -> tuple[Fill, ...]:
    content = world.ledger.peek(fills.ENDED)
    return decode(Fills, json.loads(content), fills.ENDED).ended if content else ()


def _unfilled(world: World, fill: Fill) -> Iterator[str]:
    spec = next(spec for spec in world.base.hunts if spec.guid == fill.hunt_guid)
    path = hunt_path(fill.hunt_guid, fill.workspace)
    record = decode(HuntRecord, json.loads(world.ledger.peek(path) or b""), path)
    waiting = [gap for gap in record.gaps if gap.reason in gaps.WAITING]
    before = world.upkeep.filled.get(fill.id, ())
    step = schedule.slot_length(spec)
    for number in range(int((fill.end - fill.start) / step)):
        slot = Window(fill.start + number * step, fill.start + (number + 1) * step)
        landed = [
            world.tenant.landed.get((fill.workspace, table, hour))
            for table in tables_of(spec)
            for hour in hours_between(slot.start, slot.end)
        ]
        known = gaps.holding(before, slot) and any(one and one < fill.asked for one in landed)
        if known and gaps.holding(waiting, slot):
            yield f"11: fill {fill.id} left {slot.start} as it was"


CHECKS = (promised_runs_are_there, a_redrive_is_a_new_run, nothing_is_paused, fills_end)
