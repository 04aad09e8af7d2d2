"""Which slots of a hunt are due, from what changed and the clock. Pure.

A slot is pending when its data changed after the change that its newest run covers. Pending slots
become due by schedule (the cron fired after the slot ended) or by arrival (the slot has ended and
its window has been quiet for the settle time), each alone. Late data makes a slot pending again:
a revision, after 1, 8 and 48 settle times (15 min, 2 h, 12 h by default), three at most.

What was missed while nothing ran is judged newest first, as far back as the hunt's `catch_up`
reaches; what lies further back is a declared gap until somebody fills it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cronsim import CronSim

from shared import gaps
from shared.contract import day_start, hour_start
from shared.gaps import FIRST_START, NO_DATA
from shared.model import HuntSpec, Window
from shared.timeline import Gap, HuntRecord, Slot

REVISION_SETTLES = (1, 1, 8, 48)
"""Settle times before revision 0, 1, 2, 3; there is no revision 4."""
STARVED_AFTER = 4
"""A slot that is quiet itself waits for a noisy window at most this many settle times."""


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


@lru_cache(maxsize=2_000)
def slot_window(key: str) -> Window:
    """`[start, end)` of a slot key. Kept: each slot of 35 days is asked for often in a turn."""
    if len(key) == 8:
        return Window(day_start(key), day_start(key) + timedelta(days=1))
    return Window(hour_start(key), hour_start(key) + timedelta(hours=1))


def key_of(slot: Window) -> str:
    """The key of a slot's window."""
    daily = slot.end - slot.start >= timedelta(days=1)
    return slot.start.strftime("%Y%m%d" if daily else "%Y%m%d%H")


def slot_length(spec: HuntSpec) -> timedelta:
    """How long a slot of the hunt is."""
    return timedelta(days=1) if spec.slot == "day" else timedelta(hours=1)


def lookback_window(slot: Window, lookback_days: int) -> Window:
    """What a run reads: the lookback, ending on and including the slot."""
    return Window(slot.end - timedelta(days=lookback_days), slot.end)


def touch(spec: HuntSpec, record: HuntRecord, hours: Collection[str], at: datetime) -> HuntRecord:
    """The record after the data of these hours changed at a moment."""
    keys = {slot_key(spec, hour) for hour in hours}
    fresh = {key: _changed(record.slots.get(key, Slot()), at) for key in keys}
    after = replace(record, slots={**record.slots, **fresh})
    return _reaching_back(record, after, fresh, at)


def _changed(slot: Slot, at: datetime) -> Slot:
    """Changed after what was judged, whatever the clock of the host that judged it said."""
    judged_by = slot.judged or at - timedelta.resolution
    return replace(slot, changed=max(at, judged_by + timedelta.resolution))


def _reaching_back(
    record: HuntRecord, after: HuntRecord, fresh: Collection[str], at: datetime
) -> HuntRecord:
    """Older data that is found after the first start is of the time before it."""
    begin, older = line_start(record, at), [slot_window(key).start for key in fresh]
    if begin is None or min(older, default=begin) >= begin:
        return after
    return gaps.declare(after, [Window(min(older), begin)], FIRST_START)


def line_start(record: HuntRecord, now: datetime) -> datetime | None:
    """Where the time line that is remembered begins; None before the first run."""
    judged = [slot_window(key).start for key, slot in record.slots.items() if slot.revision >= 0]
    declared = [gap.start for gap in record.gaps if gap.end >= gaps.oldest_slot(now)]
    return min([*judged, *declared], default=None) if record.watermark else None


def next_fire(spec: HuntSpec, after: datetime) -> datetime | None:
    """The next time that the hunt's schedule fires, or None without a schedule."""
    return next(CronSim(spec.schedule, after), None) if spec.schedule else None


def lacks(spec: HuntSpec, exported: Collection[str] | None) -> tuple[str, ...]:
    """The tables that a hunt names beside its views, when none of them is exported: it would
    find nothing, however much lands in the tables of its views.

    `exported` are the tables of the last sweep; None: not known.
    """
    if exported is None or not spec.views or set(spec.tables) & set(exported):
        return ()
    return spec.tables


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
        for item in _within_reach(spec, record, _without_the_past(record, ended))
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
    return len(_from_the_start(record, _within_reach(spec, record, ended)))


def _from_the_start(record: HuntRecord, ready: list[Due]) -> list[Due]:
    """A first start judges the newest slot only; older ones stay gaps until somebody fills them."""
    return ready[:1] if record.watermark is None else _without_the_past(record, ready)


def _without_the_past(record: HuntRecord, items: list[Due]) -> list[Due]:
    """Without slots that were never judged and wait for somebody to fill them."""
    past = [gap for gap in record.gaps if gap.reason in gaps.WAITING]
    return [item for item in items if item.revision > 0 or not gaps.holding(past, item.slot)]


def _within_reach(spec: HuntSpec, record: HuntRecord, items: list[Due]) -> list[Due]:
    """Without never-judged slots that lie further behind the newest than `catch_up` reaches."""
    if spec.catch_up is None or record.watermark is None:
        return items
    newest = max([record.watermark, *(item.slot.end for item in items)])
    oldest = newest - spec.catch_up * slot_length(spec)
    return [item for item in items if item.revision > 0 or item.slot.start >= oldest]


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
    slot = record.slots.get(item.key, Slot())
    covered = min(slot.changed or created, created)
    changed = replace(slot, judged=covered, run=run_id, revision=item.revision)
    slots = {**record.slots, item.key: changed}
    after = replace(record, slots=slots)
    if record.watermark is not None and item.slot.end <= record.watermark:
        return gaps.with_gaps(after, gaps.without(record.gaps, item.slot))
    after = replace(after, watermark=item.slot.end)
    return gaps.with_gaps(after, (*record.gaps, *_passed_over(record, item)))


def skipped(spec: HuntSpec, record: HuntRecord) -> HuntRecord:
    """The record with what `catch_up` leaves out declared: it is judged when somebody fills it."""
    if spec.catch_up is None or record.watermark is None:
        return record
    oldest = record.watermark - spec.catch_up * slot_length(spec)
    return _left_alone(record, oldest, gaps.SKIPPED)


def _left_alone(record: HuntRecord, before: datetime, reason: str) -> HuntRecord:
    """Slots that have data, were never judged and ended by a moment, as gaps."""
    past = [gap for gap in record.gaps if gap.reason in gaps.WAITING]
    windows = [slot_window(key) for key, slot in record.slots.items() if _never_judged(slot)]
    left = [one for one in windows if one.end <= before and not gaps.holding(past, one)]
    return gaps.declare(record, left, reason) if left else record


def _never_judged(slot: Slot) -> bool:
    return slot.revision < 0 and slot.changed is not None


def unjudged(record: HuntRecord, run_id: str, slot: Window, reason: str) -> HuntRecord:
    """The record after the newest run for a slot ended without results: the slot is a gap.

    New data of the slot still brings its next revision, and with it the end of the gap.
    """
    known = record.slots.get(key_of(slot))
    if known is not None and known.run != run_id:
        return record
    return gaps.declare(record, [slot], reason)


def passed_over(record: HuntRecord, item: Due) -> list[Window]:
    """Slots without data, as far as is known, between what was judged so far and a newer slot."""
    if record.watermark is None:
        return []
    return [
        slot_window(key)
        for key in _keys_between(item.key, record.watermark, item.slot.start)
        if not pending(record.slots.get(key, Slot())) and record.slots.get(key, Slot()).revision < 0
    ]


def _passed_over(record: HuntRecord, item: Due) -> list[Gap]:
    """The gaps between what was judged so far, or the oldest data, and a newer slot."""
    if record.watermark is not None:
        return [Gap(one.start, one.end, NO_DATA) for one in passed_over(record, item)]
    older = [slot_window(key).start for key, slot in record.slots.items() if slot.changed]
    first = min(older, default=item.slot.start)
    return [Gap(first, item.slot.start, FIRST_START)] if first < item.slot.start else []


def _keys_between(like: str, start: datetime, end: datetime) -> list[str]:
    step = timedelta(days=1) if len(like) == 8 else timedelta(hours=1)
    form = "%Y%m%d" if len(like) == 8 else "%Y%m%d%H"
    count = max(0, int((end - start) / step))
    return [(start + n * step).strftime(form) for n in range(count)]


def forget(record: HuntRecord, now: datetime) -> HuntRecord:
    """The record without slots older than 35 days: it stays small for ever.

    Of those that were never judged their gap stays, of days without data nothing does.
    """
    oldest = gaps.oldest_slot(now)
    kept = {key: slot for key, slot in record.slots.items() if slot_window(key).end > oldest}
    held = [gap for gap in record.gaps if gap.end >= oldest or gap.reason != NO_DATA]
    if len(kept) == len(record.slots) and len(held) == len(record.gaps):
        return record
    if record.watermark is not None:
        record = _left_alone(record, min(oldest, record.watermark), gaps.TOO_OLD)
        held = [gap for gap in record.gaps if gap.end >= oldest or gap.reason != NO_DATA]
    return replace(record, slots=kept, gaps=tuple(held))


def shares(runs_due: Mapping[str, datetime], now: datetime) -> list[str]:
    """Ids of the waiting runs of one workspace that share the next job.

    Maps run id -> when it may start. As soon as one may start, all that wait go with it: a cold
    pool costs more than reading early.
    """
    return sorted(runs_due) if any(start <= now for start in runs_due.values()) else []


def utc_now() -> datetime:
    """The wall clock in UTC; the one clock of production."""
    return datetime.now(UTC)
