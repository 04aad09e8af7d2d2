"""What is remembered of time: slots, gaps and fills, and what each hour of each table holds."""

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
    begins: datetime | None = None
    """Gaps before this moment were too many to remember; None: none was forgotten."""


@dataclass(frozen=True)
class Fill:
    """What `gap fill` asked for in one workspace, and how far it is; newest slots first."""

    id: str
    hunt: str
    """The hunt's module name when it was asked."""
    hunt_guid: str
    workspace: str
    start: datetime
    end: datetime
    """Slots in `[start, end)` that nobody judged are to be judged."""
    asked: datetime
    incidents: bool = False
    left: datetime | None = None
    """What is left ends here; None: nothing is done yet."""
    started: int = 0
    """Slots that got their run."""
    empty: int = 0
    """Slots that the lake holds nothing of: they stay gaps."""
    judged: int = 0
    """Slots that somebody judged before."""
    reason: str = ""
    """Why it waits, or how it ended."""
    cancelled: str = ""
    """Why a person gave it up; the next turn ends it."""


@dataclass(frozen=True)
class Fills:
    """Fills that ended last, newest first."""

    ended: tuple[Fill, ...] = ()


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
class Merged:
    """The copies of a day's hours as one sorted set of files, in the folder `path`."""

    path: str
    hours: Mapping[str, str]
    """Hour key -> the fingerprint of what it was merged from."""
    views: str = ""
    """Which code made the views that lie beside its lines; none: none do."""


@dataclass(frozen=True)
class Left:
    """A folder of the columnar copy that plans do not name any more."""

    path: str
    since: datetime


@dataclass(frozen=True)
class DayRecord:
    """One UTC day of one table in one workspace."""

    workspace: str
    table: str
    day: str
    hours: Mapping[str, Hour] = field(default_factory=dict)
    merged: Merged | None = None
    left: tuple[Left, ...] = ()
    """To be removed by a job, once no job can be reading them."""


@dataclass(frozen=True)
class Told:
    """What a job's report tells of the columnar copy of one day of one table."""

    copies: Mapping[str, Hour] = field(default_factory=dict)
    merged: Merged | None = None
    lost: frozenset[str] = frozenset()
    """Folders that the plan named and that are not there."""
    removed: frozenset[str] = frozenset()
