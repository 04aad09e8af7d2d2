"""Whether every slot was judged on all of its data: invariant 11, at rest."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import timedelta
from itertools import pairwise

from shared import contract as c
from shared import gaps, intake, schedule
from shared.documents import decode
from shared.hunt_specs import tables_of
from shared.model import HuntSpec, Run, Window
from shared.records import done_path, hunt_path
from shared.schedule import slot_window
from shared.timeline import HuntRecord, Slot
from tests.simulation.findings import slot_hours
from tests.simulation.safety import Safety
from tests.simulation.world import World


def _records(safety: Safety) -> Iterator[tuple[HuntSpec, str, HuntRecord]]:
    world = safety.world
    for spec in world.base.hunts:
        for workspace in world.base.settings.workspaces:
            path = hunt_path(spec.guid, workspace)
            content = world.ledger.peek(path)
            if content:
                yield spec, workspace, decode(HuntRecord, json.loads(content), path)


def the_time_line_has_no_hole(safety: Safety) -> Iterator[str]:
    """11: judged slots and declared gaps lie side by side up to the watermark."""
    for spec, workspace, record in _records(safety):
        judged = [
            slot_window(key) for key, slot in record.slots.items() if _done(safety.world, slot)
        ]
        gaps = [Window(gap.start, gap.end) for gap in record.gaps]
        line = sorted([*judged, *gaps], key=lambda window: window.start)
        for one, other in pairwise(line):
            if one.end != other.start:
                what = "a hole" if one.end < other.start else "an overlap"
                yield f"11: {spec.module} in {workspace[-8:]}: {what} at {one.end}"
        if line and record.watermark != line[-1].end:
            yield f"11: {spec.module} in {workspace[-8:]}: the line ends before {record.watermark}"


def _done(world: World, slot: Slot) -> bool:
    """Whether any revision of a slot ended well."""
    stem = slot.run.removesuffix(f"-r{slot.revision}")
    return any(
        content is not None and json.loads(content)["status"] == "done"
        for revision in range(slot.revision + 1)
        for content in [world.ledger.peek(done_path(f"{stem}-r{revision}"))]
    )


def each_slot_saw_all_its_data(safety: Safety) -> Iterator[str]:
    """11: the newest run of a slot read what the lake holds of it, unless revisions ran out."""
    world = safety.world
    lake = _lake(world)
    for spec, workspace, record in _records(safety):
        past = [gap for gap in record.gaps if gap.reason in gaps.WAITING]
        for key in sorted({schedule.slot_key(spec, hour) for table in tables_of(spec)
                           for hour in lake[workspace, table]}):  # fmt: skip
            window, slot = slot_window(key), record.slots.get(key)
            if any(gap.start <= window.start < gap.end for gap in past):
                continue
            if window.end > world.schedule.now - timedelta(hours=8) or (
                slot and slot.revision >= 3
            ):
                continue
            there = sorted(
                fingerprint
                for table in tables_of(spec)
                for hour, fingerprint in lake[workspace, table].items()
                if window.start <= c.hour_start(hour) < window.end
            )
            trouble = _unseen(world, slot.run if slot else "", there)
            if trouble:
                yield f"11: {spec.module} in {workspace[-8:]}, slot {key}: {trouble}"


def _lake(world: World) -> dict[tuple[str, str], dict[str, str]]:
    """(workspace, table) -> hour -> fingerprint, as the lake is now."""
    return {
        (workspace, table): {
            hour: held.fingerprint
            for hour, held in intake.hours_of(
                world.exports.blobs(table, ""), workspace, table
            ).items()
        }
        for workspace in world.base.settings.workspaces
        for table in world.exports.tables()
    }


def _unseen(world: World, run_id: str, there: list[str]) -> str:
    content = world.ledger.peek(done_path(run_id)) if run_id else None
    if content is None:
        return f"it was never judged (run {run_id or 'none'})"
    run = decode(Run, json.loads(content), run_id)
    if run.status != "done":
        return ""  # a declared gap, or what an earlier revision saw
    plan = json.loads(world.results.peek(c.plan_path(run.job or "")) or b"{}")
    planned = next(one for one in plan["runs"] if one["run_id"] == run_id)
    seen = sorted(hour["fingerprint"] for hour in slot_hours(plan, planned))
    return "" if seen == there else f"run {run_id} saw {len(seen)} hours, not these {len(there)}"


CHECKS = (the_time_line_has_no_hole, each_slot_saw_all_its_data)
