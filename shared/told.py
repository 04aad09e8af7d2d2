"""What is remembered of what was told: the alarms that hold, and what nobody has taken yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from shared.messages import Announce
from shared.model import Json

ALARMS = "health/alarms.json"
OWED = "health/owed.json"
Kind = Literal[
    "RunHeld",
    "RunLate",
    "HuntLate",
    "Paused",
    "PoolClosed",
    "TableDark",
    "ColumnDark",
    "DayMissing",
    "EventsMissing",
    "LakeUnseen",
    "DocumentUnusable",
]


@dataclass(frozen=True)
class Alarm:
    """One thing that stands still or is silent: since when, why, and the mend."""

    kind: Kind
    subject: str
    since: datetime
    reason: str = ""
    mend: str = ""
    workspace: str = ""
    """Workspace key."""
    hunt: str = ""
    slot: datetime | None = None
    """Start of the slot whose run it was judged by."""

    @property
    def name(self) -> str:
        """What it is known by."""
        return f"{self.kind}/{self.subject}"


@dataclass(frozen=True)
class Alarms:
    """The alarms that hold, by name."""

    known: Mapping[str, Alarm] = field(default_factory=dict)


@dataclass(frozen=True)
class Owed:
    """What could not be told yet, oldest first; `lost` counts what there was no room for."""

    rows: tuple[Json, ...] = ()
    messages: tuple[Announce, ...] = ()
    lost: int = 0
