"""What the control plane notes for itself: turn, owner, what was spent, looked at, or unusable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True)
class Owner:
    """The deployment that a ledger belongs to."""

    deployment: str


@dataclass(frozen=True)
class Unusable:
    """The documents that are quarantined: path -> why. Kept for who asks, not for who acts."""

    documents: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Aging:
    """Folders of `done/` -> the day (`yyyymmdd`) from which on what lies there is archived."""

    due: Mapping[str, str] = field(default_factory=dict)
    looked: bool = False
    """True once `done/` was listed: it may be older than this document."""


@dataclass(frozen=True)
class Budget:
    """What a UTC day has spent, reserved before the act."""

    day: str
    jobs: int = 0
    bytes: int = 0
    incidents: int = 0
    runs: Mapping[str, int] = field(default_factory=dict)
    """<hunt GUID>/<end of the workspace's key> -> runs."""
    core_minutes: int = 0
    """What its jobs used, as far as they are over."""
    reserved: Mapping[str, int] = field(default_factory=dict)
    """Job that is not over -> core minutes that it may use at most."""
    backfill: int = 0
    """Of the jobs, those that carry backfill."""


@dataclass(frozen=True)
class Claim:
    """The claim on the turn, and the heartbeat: who acts, until when, when a turn last ended."""

    owner: str
    until: datetime
    began: datetime
    ended: datetime | None = None
    beat: datetime | None = None
    """When a turn sent the last heartbeat to the health table."""


@dataclass(frozen=True)
class Sweeps:
    """When the lake was last listed, by tier."""

    recent: datetime | None = None
    month: datetime | None = None
    """When a listing of the last 35 days was complete; None: the lake is not known yet."""
    resume: str = ""
    """The last place of an unfinished listing: the next turn goes on behind it."""
    tables: tuple[str, ...] | None = None
    """Hunted tables that are exported; None: written by a release that did not say."""


@dataclass(frozen=True)
class Recent:
    """Ids of the runs that ended last, newest first: `done/` grows with the years."""

    runs: tuple[str, ...] = ()


@dataclass(frozen=True)
class Ignored:
    """Exports that no hunt reads and events that name nothing known: said once, never an error."""

    tables: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pause:
    """Why nothing new starts, since when, and who said so."""

    since: datetime | None
    reason: str
    by: str = ""


@dataclass(frozen=True)
class Breaker:
    """What is remembered of a pool."""

    pool: str
    failed: tuple[str, ...] = ()
    """Jobs that did not start, in a row, until it opened."""
    failed_at: datetime | None = None
    """When the last one was known not to start."""
    started_at: datetime | None = None
    """When the job started that ended the last row of failures."""
    since: datetime | None = None
    """When it opened; None: it is closed."""
    reason: str = ""
    next_try: datetime | None = None
    tries: int = 0
    """Probes that failed since it opened."""
    probe: str = ""
    """The one job that may go out while it is open."""
