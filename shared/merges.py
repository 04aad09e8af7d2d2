"""Folders of the columnar copy: which a day is read from, and what becomes of the others.

1. The copies of the hours are the truth. A merged day is made of them and can go at any time.
2. A folder is never written again. A day is changed by pointing its document at another folder.

A merged day counts, hour by hour, where the hour still is what it was merged from; an hour that
changed is read from its own copy. What no document points at any more is removed by a job, when
no job whose plan could name it is alive (docs/adr/0013).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from shared.contract import day_start
from shared.timeline import DayRecord, Hour, Left, Merged, Told

SETTLED = timedelta(hours=12)
"""After its end a day is left alone for as long as late data is waited for at most."""
MOST_LEFT = 96
"""Folders of a day that are remembered to be removed; of more, the newest."""


def is_fresh(hour: Hour) -> bool:
    """Whether the hour's copy was made from what the hour holds."""
    return bool(hour.copy) and hour.copy_fingerprint == hour.fingerprint


def counting(hours: Mapping[str, Hour], merged: Merged | None) -> tuple[str, ...]:
    """The hours that a merged day holds as they are now."""
    made = merged.hours if merged else {}
    return tuple(sorted(key for key, hour in hours.items() if made.get(key) == hour.fingerprint))


def is_due(day: DayRecord, planned: Collection[str], now: datetime) -> bool:
    """Whether a job that reads these hours is to merge the day.

    All that is known of the day is read by the job and copied, there is something to gain, and
    the day has been over for long enough.
    """
    return (
        now >= day_start(day.day) + timedelta(days=1) + SETTLED
        and len(day.hours) > 1
        and all(key in planned and is_fresh(hour) for key, hour in day.hours.items())
        and len(counting(day.hours, day.merged)) < len(day.hours)
    )


def removable(day: DayRecord, before: datetime) -> list[str]:
    """Folders that were left before this moment; none that the day points at."""
    kept = _named(day)
    return [one.path for one in day.left if one.since <= before and one.path not in kept]


def with_copy(hour: Hour, copied: Hour) -> Hour:
    """An hour is never replaced by one made from fewer blobs, nor a fresh copy by a stale one.

    Of two copies of the same the first stays, however often reports are read.
    """
    fuller = copied.blobs > hour.copy_blobs and copied.fingerprint == hour.fingerprint
    if copied.blobs < hour.copy_blobs or (is_fresh(hour) and not fuller):
        return hour
    return replace(
        hour,
        copy=copied.copy,
        copy_fingerprint=copied.fingerprint,
        copy_blobs=copied.blobs,
    )


def copied(hours: Mapping[str, Hour], told: Told) -> dict[str, Hour]:
    """The hours with the copies that a job made, and without those that it found gone."""
    there = {
        key: replace(hour, copy="", copy_fingerprint="", copy_blobs=0)
        if hour.copy in told.lost
        else hour
        for key, hour in hours.items()
    }
    return {
        key: with_copy(hour, told.copies[key]) if key in told.copies else hour
        for key, hour in there.items()
    }


def after(day: DayRecord, told: Told, now: datetime) -> DayRecord:
    """The day after a job's report; the same when the report is read again."""
    hours = copied(day.hours, told)
    there = None if day.merged and day.merged.path in told.lost else day.merged
    changed = replace(day, hours=hours, merged=_better(hours, there, told.merged))
    return replace(changed, left=_left(day, changed, told, now))


def _better(hours: Mapping[str, Hour], known: Merged | None, made: Merged | None) -> Merged | None:
    """The merged day with more hours that count; of two alike the one that is known."""
    return made if len(counting(hours, made)) > len(counting(hours, known)) else known


def _left(before: DayRecord, day: DayRecord, told: Told, now: datetime) -> tuple[Left, ...]:
    named = _named(day)
    known = [one for one in before.left if one.path not in {*told.removed, *named}]
    made = {copy.copy for key, copy in told.copies.items() if key in day.hours}
    if told.merged:
        made.add(told.merged.path)
    gone = {*told.lost, *told.removed, *named, *(one.path for one in known)}
    new = [Left(path, now) for path in sorted({*_named(before), *made} - gone)]
    return (*known, *new)[-MOST_LEFT:]


def _named(day: DayRecord) -> set[str]:
    """The folders that the day points at."""
    merged = {day.merged.path} if day.merged else set()
    return merged | {hour.copy for hour in day.hours.values() if hour.copy}
