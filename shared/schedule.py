"""Which slots of a hunt are due, from what changed and the clock. Pure.

A slot is pending when its data changed after the change that its newest run covers. Pending slots
become due by schedule (the cron fired after the slot ended) or by arrival (the slot has ended and
its window has been quiet for the settle time), each alone. Late data makes a slot pending again:
a revision, after 1, 8 and 48 settle times (15 min, 2 h, 12 h by default), three at most.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim

from shared.contract import day_start, hour_start
from shared.model import HuntSpec, Window
from shared.timeline import Gap, HuntRecord, Slot

REVISION_SETTLES = (1, 1, 8, 48)
"""Settle times before revision 0, 1, 2, 3; there is no revision 4."""
STARVED_AFTER = 4
"""A slot that is quiet itself waits for a noisy window at most this many settle times."""
REMEMBERED = timedelta(days=35)
FIRST_START = "before the first run"
NO_DATA = "no data"


@dataclass(frozen=True)
class Due:
    """A slot to judge now, at this revision."""

    key: str
    slot: Window
    window: Window
    revision: int
    by_schedule: bool


def slot_key(spec: HuntSpec, hour: str) -> str:
    """The slot that an hour of data belongs to."""
    return hour[:8] if spec.slot == "day" else hour


@lru_cache(maxsize=10_000)
def slot_window(key: str) -> Window:
    """`[start, end)` of a slot key. Kept: each slot of 35 days is asked for often in a turn."""
    if len(key) == 8:
        return Window(day_start(key), day_start(key) + timedelta(days=1))
    return Window(hour_start(key), hour_start(key) + timedelta(hours=1))


def key_of(slot: Window) -> str:
    """The key of a slot's window."""
    daily = slot.end - slot.start >= timedelta(days=1)
    return slot.start.strftime("%Y%m%d" if daily else "%Y%m%d%H")


def lookback_window(slot: Window, lookback_days: int) -> Window:
    """What a run reads: the lookback, ending on and including the slot."""
    return Window(slot.end - timedelta(days=lookback_days), slot.end)


def touch(spec: HuntSpec, record: HuntRecord, hours: Collection[str], at: datetime) -> HuntRecord:
    """The record after the data of these hours changed at a moment."""
    keys = {slot_key(spec, hour) for hour in hours}
    fresh = {key: _changed(record.slots.get(key, Slot()), at) for key in keys}
    after = replace(record, slots={**record.slots, **fresh})
    return replace(after, gaps=_before_the_start(record, fresh))


def _changed(slot: Slot, at: datetime) -> Slot:
    """Changed after what was judged, whatever the clock of the host that judged it said."""
    judged_by = slot.judged or at - timedelta.resolution
    return replace(slot, changed=max(at, judged_by + timedelta.resolution))


def _before_the_start(record: HuntRecord, fresh: Collection[str]) -> tuple[Gap, ...]:
    """The gaps, the one before the first run reaching back to what was found of older data."""
    began = [slot_window(key).start for key, slot in record.slots.items() if slot.revision >= 0]
    older = [slot_window(key).start for key in fresh]
    if not began or min(older, default=min(began)) >= min(began):
        return record.gaps
    others = [gap for gap in record.gaps if gap.reason != FIRST_START]
    declared = [gap.start for gap in record.gaps if gap.reason == FIRST_START]
    return (Gap(min([*declared, *older]), min(began), FIRST_START), *others)


def next_fire(spec: HuntSpec, after: datetime) -> datetime | None:
    """The next time that the hunt's schedule fires, or None without a schedule."""
    return next(CronSim(spec.schedule, after), None) if spec.schedule else None


def due(
    spec: HuntSpec,
    record: HuntRecord,
    now: datetime,
    settle: timedelta,
    busy: Collection[str] = (),
) -> list[Due]:
    """Slots to judge now, newest first. `busy` slots have an unfinished run: they wait for it."""
    if spec.status in ("draft", "disabled"):
        return []
    if spec.settle_minutes is not None:
        settle = timedelta(minutes=spec.settle_minutes)
    fired = record.next_fire is not None and now >= record.next_fire
    ended = [
        Due(key, window, lookback_window(window, spec.lookback_days), slot.revision + 1, fired)
        for key, slot in record.slots.items()
        if key not in busy and pending(slot)
        for window in [slot_window(key)]
        if now >= window.end
    ]
    # What lies before the start goes first: to see whether a slot is quiet takes all the others.
    ready = [
        item
        for item in _without_the_past(record, ended)
        if fired or (spec.arrival and _settled(spec, record, item.key, now, settle))
    ]
    return _from_the_start(record, sorted(ready, key=lambda item: item.slot.start, reverse=True))


def pending(slot: Slot) -> bool:
    """True when the slot's data changed after what was judged and a revision is left."""
    unjudged = slot.judged is None or (slot.changed is not None and slot.changed > slot.judged)
    return slot.changed is not None and unjudged and slot.revision + 1 < len(REVISION_SETTLES)


def open_slots(spec: HuntSpec, record: HuntRecord, now: datetime) -> int:
    """How many ended slots will be judged by arrival without anything else happening."""
    if spec.status in ("draft", "disabled") or not spec.arrival:
        return 0
    ended = [
        Due(key, slot_window(key), lookback_window(slot_window(key), 1), slot.revision + 1, False)
        for key, slot in record.slots.items()
        if pending(slot) and slot_window(key).end <= now
    ]
    return len(_from_the_start(record, ended))


def _from_the_start(record: HuntRecord, ready: list[Due]) -> list[Due]:
    """A first start judges the newest slot only; older ones stay gaps until somebody fills them."""
    return ready[:1] if record.watermark is None else _without_the_past(record, ready)


def _without_the_past(record: HuntRecord, items: list[Due]) -> list[Due]:
    """Without slots before the first start, unless somebody filled them."""
    past = [gap for gap in record.gaps if gap.reason == FIRST_START]
    return [
        item
        for item in items
        if item.revision > 0 or not any(gap.start <= item.slot.start < gap.end for gap in past)
    ]


def _settled(
    spec: HuntSpec, record: HuntRecord, key: str, now: datetime, settle: timedelta
) -> bool:
    slot = record.slots[key]
    wait = settle * REVISION_SETTLES[slot.revision + 1]
    own = slot.changed or now
    if now < own + wait:
        return False
    window = lookback_window(slot_window(key), spec.lookback_days)
    newest = max(
        other.changed
        for other_key, other in record.slots.items()
        if other.changed is not None
        and (record.watermark is None or window.start <= slot_window(other_key).start < window.end)
    )
    return now >= newest + wait or now >= own + wait * STARVED_AFTER


def judged(record: HuntRecord, item: Due, run_id: str, created: datetime) -> HuntRecord:
    """The record once a run for this slot is saved: what was judged, and which slots are gaps.

    `created` is when that run was saved: what changed after is not its business.
    """
    slot = record.slots[item.key]
    covered = min(slot.changed or created, created)
    changed = replace(slot, judged=covered, run=run_id, revision=item.revision)
    slots = {**record.slots, item.key: changed}
    if record.watermark is not None and item.slot.end <= record.watermark:
        return replace(record, slots=slots, gaps=_without(record.gaps, item.slot))
    return replace(
        record, slots=slots, watermark=item.slot.end, gaps=(*record.gaps, *_gaps(record, item))
    )


def unjudged(record: HuntRecord, run_id: str, slot: Window, reason: str) -> HuntRecord:
    """The record after the newest run for a slot ended without results: the slot is a gap.

    New data of the slot still brings its next revision, and with it the end of the gap.
    """
    if record.slots.get(key_of(slot), Slot()).run != run_id:
        return record
    gaps = [*_without(record.gaps, slot), Gap(slot.start, slot.end, reason)]
    return replace(record, gaps=tuple(sorted(gaps, key=lambda gap: gap.start)))


def _gaps(record: HuntRecord, item: Due) -> list[Gap]:
    if record.watermark is not None:
        missing = [
            slot_window(key)
            for key in _keys_between(item.key, record.watermark, item.slot.start)
            if not pending(record.slots.get(key, Slot()))
            and record.slots.get(key, Slot()).revision < 0
        ]
        return _merged(missing, NO_DATA)
    older = [slot_window(key).start for key, slot in record.slots.items() if slot.changed]
    first = min(older, default=item.slot.start)
    return [Gap(first, item.slot.start, FIRST_START)] if first < item.slot.start else []


def _without(gaps: tuple[Gap, ...], slot: Window) -> tuple[Gap, ...]:
    """Late data filled a gap: what is left of it on both sides."""
    left = [replace(gap, end=min(gap.end, slot.start)) for gap in gaps if gap.start < slot.start]
    right = [replace(gap, start=max(gap.start, slot.end)) for gap in gaps if gap.end > slot.end]
    return tuple(sorted({*left, *right}, key=lambda gap: gap.start))


def _keys_between(like: str, start: datetime, end: datetime) -> list[str]:
    step = timedelta(days=1) if len(like) == 8 else timedelta(hours=1)
    form = "%Y%m%d" if len(like) == 8 else "%Y%m%d%H"
    count = max(0, int((end - start) / step))
    return [(start + n * step).strftime(form) for n in range(count)]


def _merged(windows: list[Window], reason: str) -> list[Gap]:
    gaps: list[Gap] = []
    for window in windows:
        if gaps and gaps[-1].end == window.start:
            gaps[-1] = replace(gaps[-1], end=window.end)
        else:
            gaps.append(Gap(window.start, window.end, reason))
    return gaps


def forget(record: HuntRecord, now: datetime) -> HuntRecord:
    """The record without slots and gaps older than 35 days: it stays small for ever."""
    oldest = now - REMEMBERED - timedelta(days=1)
    kept = {key: slot for key, slot in record.slots.items() if slot_window(key).end >= oldest}
    gaps = tuple(gap for gap in record.gaps if gap.end >= oldest)
    changed = len(kept) < len(record.slots) or len(gaps) < len(record.gaps)
    return replace(record, slots=kept, gaps=gaps) if changed else record


def shares(runs_due: Mapping[str, datetime], now: datetime) -> list[str]:
    """Ids of the waiting runs of one workspace that share the next job.

    Maps run id -> when it may start. As soon as one may start, all that wait go with it: a cold
    pool costs more than reading early.
    """
    return sorted(runs_due) if any(start <= now for start in runs_due.values()) else []


def utc_now() -> datetime:
    """The wall clock in UTC; the one clock of production."""
    return datetime.now(UTC)
