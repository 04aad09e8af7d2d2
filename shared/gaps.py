"""The gaps of a time line: slots that nobody judged, each with its reason. Pure.

Gaps lie in order, neither overlap nor touch with one reason, and are at most 50: where there would
be more, failures that lie side by side become one, and then the oldest are forgotten. From
`HuntRecord.begins` on, or from 35 days back, judged slots and gaps are the whole time line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

from shared.model import Window
from shared.timeline import Gap, HuntRecord

MOST = 50
REMEMBERED = timedelta(days=35)
FIRST_START = "before the first run"
NO_DATA = "no data"
SKIPPED = "missed, and further back than catch_up"
TOO_OLD = "not judged within 35 days"
SEVERAL = "several runs came to nothing"
WAITING = (FIRST_START, SKIPPED, TOO_OLD)
"""Slots that have data and that no hunt judges by itself: they wait for `gap fill`."""


def oldest_slot(now: datetime) -> datetime:
    """Slots that ended before this moment are not remembered one by one."""
    return now - REMEMBERED - timedelta(days=1)


def holding(gaps: Iterable[Gap], slot: Window) -> Gap | None:
    """The gap that a slot lies in."""
    return next((gap for gap in gaps if gap.start <= slot.start < gap.end), None)


def without(gaps: Iterable[Gap], slot: Window) -> tuple[Gap, ...]:
    """What is left of the gaps beside a slot that is judged."""
    gaps = tuple(gaps)
    left = [replace(gap, end=min(gap.end, slot.start)) for gap in gaps if gap.start < slot.start]
    right = [replace(gap, start=max(gap.start, slot.end)) for gap in gaps if gap.end > slot.end]
    return tuple(sorted({*left, *right}, key=lambda gap: gap.start))


def declare(record: HuntRecord, slots: Iterable[Window], reason: str) -> HuntRecord:
    """The record with these slots as gaps, whatever gap they were before."""
    gaps, slots = record.gaps, tuple(slots)
    for slot in slots:
        gaps = without(gaps, slot)
    return with_gaps(record, (*gaps, *(Gap(slot.start, slot.end, reason) for slot in slots)))


def with_gaps(record: HuntRecord, gaps: Iterable[Gap]) -> HuntRecord:
    """The record with these gaps, in order, merged and bounded."""
    merged = _merged(sorted(gaps, key=lambda gap: gap.start))
    while len(merged) > MOST and (place := _neighbours(merged)) is not None:
        one, other = merged[place : place + 2]
        merged[place : place + 2] = [Gap(one.start, other.end, SEVERAL)]
    kept = tuple(merged[-MOST:])
    begins = merged[-MOST - 1].end if len(merged) > MOST else record.begins
    return replace(record, gaps=kept, begins=begins)


def _merged(gaps: Sequence[Gap]) -> list[Gap]:
    merged: list[Gap] = []
    for gap in gaps:
        if merged and (merged[-1].end, merged[-1].reason) == (gap.start, gap.reason):
            merged[-1] = replace(merged[-1], end=gap.end)
        else:
            merged.append(gap)
    return merged


def _neighbours(gaps: Sequence[Gap]) -> int | None:
    """Where the oldest two failures lie side by side: what waits for people stays as it is."""
    kept = (*WAITING, NO_DATA)
    for place, (one, other) in enumerate(pairwise(gaps)):
        if one.end == other.start and one.reason not in kept and other.reason not in kept:
            return place
    return None


def slots_of(gap: Gap, step: timedelta) -> int:
    """How many slots of this length a gap is."""
    return int((gap.end - gap.start) / step)
