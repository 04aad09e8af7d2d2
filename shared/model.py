"""The nouns of the control plane: frozen, compared by value, free of I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Json = dict[str, Any]
RunClass = Literal["live", "adhoc", "backfill"]
HuntStatus = Literal["draft", "shadow", "live", "disabled"]


@dataclass(frozen=True)
class Window:
    """`[start, end)` in UTC."""

    start: datetime
    end: datetime


@dataclass(frozen=True)
class Param:
    """One typed, bounded parameter of a hunt."""

    name: str
    default: float | int | str | bool
    minimum: float | None = None
    maximum: float | None = None
    description: str = ""


@dataclass(frozen=True)
class HuntSpec:
    """What a hunt's YAML says. `module` is the file's stem; `guid` survives renames."""

    module: str
    guid: str
    name: str
    version: str
    status: HuntStatus
    description: str
    severity: Mapping[str, float]
    """Severity -> lowest score that has it, e.g. {"Low": .5, "Medium": .7, "High": .9}."""
    tactics: tuple[str, ...]
    techniques: tuple[str, ...]
    views: tuple[str, ...]
    tables: tuple[str, ...]
    finding_key: tuple[str, ...]
    entity_mappings: tuple[Json, ...]
    """Sentinel's own shape: {"entityType": ..., "fieldMappings": [{"identifier", "columnName"}]}."""
    slot: Literal["day", "hour"] = "day"
    schedule: str | None = None
    """Five-field cron in UTC; None: no schedule."""
    arrival: bool = False
    lookback_days: int = 21
    settle_minutes: float | None = None
    params: tuple[Param, ...] = ()
    reference_data: tuple[str, ...] = ()
    """Names of lists that the job gets as `refs`, e.g. allow_list."""
    case_key: tuple[str, ...] = ()
    """Columns that group findings into one incident; empty: the finding key."""
    quiet_days: int = 30
    """How long a benign closure keeps a case quiet."""
    triage: tuple[str, ...] = ()
    false_positives: tuple[str, ...] = ()
    blind_spots: tuple[str, ...] = ()
    references: tuple[str, ...] = ()
    source: str = field(default="", compare=False)
    """The YAML file's path, for messages."""


@dataclass(frozen=True)
class BlobStat:
    """One blob of a listing; `name` is its path inside the container."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True)
class Document:
    """A ledger document as it was read; `etag` is what a conditional write names."""

    body: Json
    etag: str


@dataclass(frozen=True)
class Entry:
    """One document of a listing, unread; `modified` is the store's time."""

    path: str
    etag: str
    modified: datetime


@dataclass(frozen=True)
class JobRequest:
    """What an engine needs to start a job once."""

    job_id: str
    main: str
    """abfss URL of main.py."""
    py_files: tuple[str, ...]
    arguments: tuple[str, ...]
    conf: Mapping[str, str]


@dataclass(frozen=True)
class EngineJob:
    """A job as its engine sees it. `engine_id` is text: the service's first id is 0.

    `state`: "queued" and "running" are alive; the others are final. `reason` is for people.
    """

    engine_id: str
    job_id: str
    """The name that the job was submitted under; empty when the engine does not tell."""
    state: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    reason: str = ""


@dataclass(frozen=True)
class Incident:
    """A Sentinel incident as it was read; `properties` is the service's own shape, whole."""

    id: str
    etag: str
    properties: Json
