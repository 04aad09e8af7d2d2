"""What came lately, and who told of it: events, or the sweeps that look for what events missed.

One small document for all tables, brought up to date by the turns that fold marks and by sweeps.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared.contract import hour_key, hour_start

PATH = "health/arrivals.json"
REMEMBERED = 24
"""Hours in which something came that are remembered."""
CALMS_DOWN = 0.98
"""What is left of the usual pause with each hour that comes: one outage is no habit."""
AHEAD = timedelta(hours=1)
TABLES_MOST = 400


@dataclass(frozen=True)
class Heard:
    """How many marked hours events told of, and how many new blobs only a sweep found."""

    told: int = 0
    found: int = 0


@dataclass(frozen=True)
class LastHour:
    """The newest hour of a table that holds blobs, and the pause that is usual before it."""

    newest: str
    pause: float = 1.0
    """Hours."""


@dataclass(frozen=True)
class Arrivals:
    """What came in the last hours in which anything came, and each table's newest hour."""

    hours: Mapping[str, Heard] = field(default_factory=dict)
    """Hour key of the wall clock -> what was heard in it."""
    tables: Mapping[str, LastHour] = field(default_factory=dict)
    """`<workspace key>/<table>` -> its newest hour."""


def heard(arrivals: Arrivals, now: datetime, told: int, found: int) -> Arrivals:
    """The document after so many marks and new blobs."""
    if not told and not found:
        return arrivals
    key = hour_key(now)
    before = arrivals.hours.get(key, Heard())
    hours = {**arrivals.hours, key: Heard(before.told + told, before.found + found)}
    return replace(arrivals, hours={name: hours[name] for name in sorted(hours)[-REMEMBERED:]})


def came(arrivals: Arrivals, place: str, hours: Collection[str], now: datetime) -> Arrivals:
    """The document after these hours of a table were found to hold something new."""
    last = arrivals.tables.get(place)
    for hour in sorted(hours):
        if hour_start(hour) <= now + AHEAD:
            last = _later(last, hour)
    if last is None or (place not in arrivals.tables and len(arrivals.tables) >= TABLES_MOST):
        return arrivals
    return replace(arrivals, tables={**arrivals.tables, place: last})


def _later(last: LastHour | None, hour: str) -> LastHour:
    if last is None:
        return LastHour(hour)
    if hour <= last.newest:
        return last
    gap = (hour_start(hour) - hour_start(last.newest)) / timedelta(hours=1)
    return LastHour(hour, max(gap, last.pause * CALMS_DOWN))
