"""Invariant 10 for marks: an answered event has left one, and none is consumed before its time."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared import intake
from shared.contract import export_hour_folder
from shared.documents import decode
from shared.records import MARKS, day_path, hunt_path
from shared.schedule import slot_key
from shared.timeline import DayRecord, HuntRecord

if TYPE_CHECKING:
    from tests.simulation.safety import Safety
    from tests.simulation.world import World


def left_no_mark(world: World, path: str, before: str | None, writes: int) -> Iterator[str]:
    """10: after an event was answered its mark is a new one, or was consumed since."""
    if path.split("/")[2] not in world.base.tables():
        return
    now = world.ledger.version(path)
    if world.marked.get(path, (0, None))[0] == writes or (now is not None and now == before):
        yield f"10: an event was answered and left no mark: {path}"


def a_mark_was_heeded(safety: Safety, path: str) -> Iterator[str]:
    """10: a mark is consumed once its day and its hunts know of all that landed before it."""
    world = safety.world
    if not path.startswith(MARKS):
        return
    place, table, hour = path.removeprefix(MARKS).split("/")
    workspace = world.base.workspaces()[place]
    landed = world.tenant.landed.get((workspace, table, hour))
    _, marked = world.marked.get(path, (0, None))
    if landed is None or marked is None or landed > marked:
        return  # more has landed since: another mark is on its way, or was lost
    content = world.ledger.peek(day_path(workspace, table, hour[:8]))
    known = decode(DayRecord, json.loads(content), path).hours if content else {}
    blobs = world.exports.peek(table, export_hour_folder(workspace, hour))
    there = intake.hours_of(blobs, workspace, table)
    if hour not in known or known[hour].fingerprint != there[hour].fingerprint:
        yield f"10: {path} was consumed, and its day does not know the hour"
    for spec in world.base.hunts_on(table):
        content = world.ledger.peek(hunt_path(spec.guid, workspace))
        record = decode(HuntRecord, json.loads(content), path) if content else None
        if record is None or slot_key(spec, hour) not in record.slots:
            yield f"10: {path} was consumed, and {spec.module} does not know its slot"
