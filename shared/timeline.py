"""What is remembered of time: a hunt's slots and gaps, and what each hour of each table holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Slot:
    """What a hunt knows of one slot: when its data changed, and what was judged."""

    changed: datetime | None = None
    judged: datetime | None = None
    """The change that the newest run covers."""
    run: str = ""
    revision: int = -1
    """The newest run's revision; -1: never judged."""


@dataclass(frozen=True)
class Gap:
    """Slots that nobody judged, and why."""

    start: datetime
    end: datetime
    reason: str


@dataclass(frozen=True)
class HuntRecord:
    """The time line of one hunt in one workspace."""

    hunt_guid: str
    workspace: str
    watermark: datetime | None = None
    """End of the newest slot that was judged."""
    next_fire: datetime | None = None
    slots: Mapping[str, Slot] = field(default_factory=dict)
    """Slot key (`yyyymmdd` or `yyyymmddhh`) -> what is known; the last 35 days."""
    gaps: tuple[Gap, ...] = ()


@dataclass(frozen=True)
class Hour:
    """One hour of one table: what the lake holds and where its columnar copy is."""

    blobs: int
    bytes: int
    fingerprint: str
    copy: str = ""
    copy_fingerprint: str = ""
    copy_blobs: int = 0


@dataclass(frozen=True)
class DayRecord:
    """One UTC day of one table in one workspace."""

    workspace: str
    table: str
    day: str
    hours: Mapping[str, Hour] = field(default_factory=dict)
