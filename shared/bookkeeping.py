"""What the ledger remembers of itself: whose it is, what in it ages, what cannot be used."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


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
