"""Gaps that somebody wants filled: one document per hunt and workspace, which HTTP leaves.

A fill reaches from a first slot to a last one and remembers how far it is; `backfill` goes on with
it, a turn at a time. Asking changes nothing else.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared import contract as c
from shared import gaps, schedule
from shared.deployment import Deployment
from shared.documents import encode
from shared.errors import BadInput
from shared.model import HuntSpec, Json, Window
from shared.records import Kept, hunt_path
from shared.requests import day_of, workspace_of
from shared.timeline import Fill, Fills, HuntRecord

FILLS = "active/fills/"
ENDED = "fills.json"
DAYS = 731
"""A fill reaches over two years at most."""
STARTS_BY_ITSELF = ("live", "shadow")


def plan_fills(
    deployment: Deployment,
    *,
    hunt: str,
    workspace: str | None,
    first: str | None,
    last: str | None,
    incidents: bool,
) -> list[Fill]:
    """What a fill would be, one a workspace; without days it reaches from the first declared gap
    to the last. `first` and `last` are days (`yyyy-mm-dd`), both included. BadInput names what
    cannot be used."""
    spec = hunt_of(deployment, hunt)
    only = workspace_of(deployment, workspace) if workspace else None
    found = [
        fill
        for place in ([only] if only else deployment.settings.workspaces)
        for fill in _planned(deployment, spec, place, (first, last), incidents)
    ]
    if not found:
        mend = "see `tidehunt gap list`; name days before the time line with --from and --to"
        raise BadInput("there is nothing to fill", where=spec.module, mend=mend)
    return found


def leave(deployment: Deployment, fills: Sequence[Fill]) -> None:
    """Save fills for the turns to come."""
    for fill in fills:
        deployment.records.ledger.put(_path(fill.id), encode(fill))


def ask_cancel(deployment: Deployment, fill_id: str, reason: str) -> bool:
    """Ask a fill to stop; False when none with this id is under way."""
    if not c.RUN_ID.fullmatch(fill_id):
        return False
    kept = deployment.records.load(Fill, _path(fill_id))
    if kept is not None:
        after = replace(kept.value, cancelled=reason or "cancelled by request")
        deployment.records.save(kept, after)
    return kept is not None


def find(deployment: Deployment, fill_id: str) -> Json | None:
    """A fill under way, or one of those that ended last, in the words of the API."""
    kept = deployment.records.load(Fill, _path(fill_id)) if c.RUN_ID.fullmatch(fill_id) else None
    if kept is not None:
        return summary(kept.value)
    listed = deployment.records.usable(Fills, [ENDED])
    ended = (fill for kept in listed for fill in kept.value.ended)
    return next((summary(fill) for fill in ended if fill.id == fill_id), None)


def open_fills(deployment: Deployment) -> list[Kept[Fill]]:
    """The fills under way, first asked first."""
    records = deployment.records
    paths = [entry.path for entry in records.ledger.list(FILLS)]
    found = records.usable(Fill, paths)
    return sorted(found, key=lambda kept: (kept.value.asked, kept.value.id))


def _path(fill_id: str) -> str:
    return f"{FILLS}{fill_id}.json"


def hunt_of(deployment: Deployment, hunt: str) -> HuntSpec:
    """The hunt whose gaps can be filled. Raises BadInput."""
    spec = deployment.hunt(hunt)
    if spec is None:
        names = ", ".join(sorted(one.module for one in deployment.hunts)) or "none is loaded"
        raise BadInput(f"no hunt {str(hunt)[:60]!r}", where="hunt", mend=f"one of: {names}")
    if spec.status not in STARTS_BY_ITSELF:
        mend = "set its status to live or shadow, or ask for an ad-hoc run"
        raise BadInput(f"the hunt is {spec.status}: it judges no slots", where=hunt, mend=mend)
    return spec


def _planned(
    deployment: Deployment,
    spec: HuntSpec,
    workspace: str,
    days: tuple[str | None, str | None],
    incidents: bool,
) -> list[Fill]:
    record = deployment.records.hunt(spec.guid, workspace).value
    reach = _reach(record, schedule.slot_length(spec), *days)
    if reach is None or not slots_left(record, spec, reach, deployment.clock()):
        return []
    now = deployment.clock()
    asked = f"{reach.start} {reach.end} {incidents} {now.isoformat()}"
    digest = hashlib.sha256(asked.encode()).hexdigest()[:8]
    name = f"{c.day_key(now)}-fill-{spec.module}-{c.workspace_key(workspace)}-{digest}"
    return [Fill(name, spec.module, spec.guid, workspace, reach.start, reach.end, now, incidents)]


def _reach(
    record: HuntRecord, step: timedelta, first: str | None, last: str | None
) -> Window | None:
    """From the first day to the last, as far as the time line has come; None: nothing."""
    if record.watermark is None or not (record.gaps or first):
        return None
    start = c.day_start(day_of(first)) if first else record.gaps[0].start
    end = record.gaps[-1].end if record.gaps and not first else record.watermark
    if last:
        end = min(record.watermark, c.day_start(day_of(last)) + timedelta(days=1))
    if end - start > timedelta(days=DAYS):
        mend = "fill the newest years first"
        raise BadInput(f"more than {DAYS} days", where="from", mend=mend)
    start, end = _slot_start(start, step), _slot_start(end, step)
    return Window(start, end) if start < end else None


def _slot_start(moment: datetime, step: timedelta) -> datetime:
    """The moment, or the start of the slot that it lies in."""
    return moment - (moment - datetime(2000, 1, 1, tzinfo=UTC)) % step


def slots_left(record: HuntRecord, spec: HuntSpec, reach: Window, now: datetime) -> list[Window]:
    """The slots within reach that are to be filled, newest first, as far as the record tells."""
    step = schedule.slot_length(spec)
    count = int((reach.end - reach.start) / step)
    slots = (Window(reach.end - (n + 1) * step, reach.end - n * step) for n in range(count))
    begin = schedule.line_start(record, now)
    return [slot for slot in slots if fillable(record, slot, begin)]


def fillable(record: HuntRecord, slot: Window, begin: datetime | None) -> bool:
    """True for a slot that nobody judged: a gap, or older than the time line, which begins at
    `begin`. What is newer than the watermark the hunt judges by itself."""
    if record.watermark is None or slot.end > record.watermark:
        return False
    older = schedule.key_of(slot) not in record.slots and (begin is None or slot.end <= begin)
    return older or gaps.holding(record.gaps, slot) is not None


# --- telling --------------------------------------------------------------------------------------


def told(deployment: Deployment) -> Json:
    """Every declared gap of every hunt and workspace, and the fills under way and ended last."""
    ended = deployment.records.usable(Fills, [ENDED])
    return {
        "gaps": [gap for spec in deployment.hunts for gap in _gaps(deployment, spec)],
        "fills": [summary(kept.value) for kept in open_fills(deployment)],
        "ended": [summary(fill) for kept in ended for fill in kept.value.ended],
    }


def _gaps(deployment: Deployment, spec: HuntSpec) -> Iterator[Json]:
    paths = [hunt_path(spec.guid, one) for one in deployment.settings.workspaces]
    for kept in deployment.records.usable(HuntRecord, paths):
        for gap in kept.value.gaps:
            yield {
                "hunt": spec.module,
                "workspace": c.workspace_key(kept.value.workspace),
                "start": gap.start.isoformat(),
                "end": gap.end.isoformat(),
                "slots": gaps.slots_of(gap, schedule.slot_length(spec)),
                "reason": gap.reason,
            }


def summary(fill: Fill) -> Json:
    """A fill in the words of the API."""
    return {
        "fill": fill.id,
        "hunt": fill.hunt,
        "workspace": c.workspace_key(fill.workspace),
        "start": fill.start.isoformat(),
        "end": fill.end.isoformat(),
        "left_until": (fill.left or fill.end).isoformat(),
        "asked": fill.asked.isoformat(),
        "incidents": fill.incidents,
        "started": fill.started,
        "empty": fill.empty,
        "judged": fill.judged,
        "reason": fill.reason,
    }
