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
    """Sentinel's shape: {"entityType", "fieldMappings": [{"identifier", "columnName"}]}."""
    slot: Literal["day", "hour"] = "day"
    schedule: str | None = None
    """Five-field cron in UTC; None: no schedule."""
    arrival: bool = False
    catch_up: int | None = None
    """How many of the newest slots are judged when several were missed; None: all."""
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
class Bytes:
    """What lies in the ledger and is no document, as it was read."""

    content: bytes
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
    executors: int


@dataclass(frozen=True)
class EngineJob:
    """A job as its engine sees it. `engine_id` is text: the service's first id is 0.

    `state`: "queued" and "running" are alive; the others are final. "lost" is a failure that the
    engine calls its own. `reason` is for people.
    """

    engine_id: str
    job_id: str
    """The name that the job was submitted under; empty when the engine does not tell."""
    state: Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
    reason: str = ""


@dataclass(frozen=True)
class Incident:
    """A Sentinel incident as it was read; `properties` is the service's own shape, whole."""

    id: str
    etag: str
    properties: Json


RunStatus = Literal["waiting", "assigned", "delivering", "done", "failed", "cancelled", "held"]
JobStatus = Literal["planned", "submitting", "running", "cancelling", "ended", "lost"]
RUN_TERMINAL = ("done", "failed", "cancelled")


@dataclass(frozen=True)
class Cursor:
    """What to send next: byte `offset` of part number `part` (from 0)."""

    part: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Counts:
    """What a run delivered. rows = sent + unchanged + set_aside; withheld rows are not in rows."""

    rows: int = 0
    withheld: int = 0
    sent: int = 0
    unchanged: int = 0
    set_aside: int = 0
    confirmed: int = 0
    opened: int = 0
    updated: int = 0
    quiet: int = 0


@dataclass(frozen=True)
class Doubt:
    """Rows refused one after another, none accepted since: is it they, or is it the sink?

    `cursor` and `counts` are those before the first of them: there it goes on after a hold.
    """

    cursor: Cursor
    counts: Counts
    rows: int = 0
    reason: str = ""
    """What the sink said last."""


@dataclass(frozen=True)
class Run:
    """One hunt for one slot of one workspace, at one revision."""

    id: str
    hunt: str
    """The hunt's module name."""
    hunt_guid: str
    workspace: str
    """The workspace's resource id."""
    kind: RunClass
    slot: Window
    window: Window
    revision: int
    status: RunStatus
    since: datetime
    """When the status was entered."""
    created: datetime
    params: Json = field(default_factory=dict)
    incidents: bool = True
    next_at: datetime | None = None
    """When the next step is due; None: at the next turn."""
    attempt: int = 0
    """Jobs used so far."""
    unused: int = 0
    """Jobs that the engine refused or lost: no fault of the run, whatever their number."""
    job: str | None = None
    reason: str = ""
    step: Literal["", "sending", "incidents", "read-back"] = ""
    cursor: Cursor = Cursor()
    case: int = 0
    """Cases settled so far, in order of score."""
    counts: Counts = Counts()
    doubt: Doubt | None = None
    refused_since: datetime | None = None
    tries: int = 0
    """Counts of the workspace since the rows were last sent."""
    resent: int = 0
    code_hash: str = ""
    coverage: Json = field(default_factory=dict)

    @property
    def awaits_job(self) -> bool:
        """True for a held run whose job may be alive: only its end, or a person, ends the hold."""
        return self.status == "held" and self.job is not None and not self.step


@dataclass(frozen=True)
class Job:
    """One Spark submission; it carries 1..n runs of one workspace."""

    id: str
    workspace: str
    runs: tuple[str, ...]
    """Paths of the runs' documents in the ledger."""
    status: JobStatus
    since: datetime
    created: datetime
    engine_id: str | None = None
    next_at: datetime | None = None
    submitted: datetime | None = None
    queued: datetime | None = None
    """When it was seen in the pool's queue last."""
    started: datetime | None = None
    looks: int = 0
    """How often the engine did not know the job."""
    outcome: str = ""
    reason: str = ""
    cores: int = 0
    """What it asks of the pool, driver and executors: the most it may, until its plan is there."""


@dataclass(frozen=True)
class Case:
    """What is remembered of one CaseKey."""

    key: str
    hunt_guid: str
    workspace: str
    generation: int = 0
    incident_id: str = ""
    severity: str = ""
    """The severity that we wrote last: an analyst's other one is never overwritten."""
    evidence: str = ""
    """FindingId and content hash of the newest evidence written."""
    opened: datetime | None = None
    counted: str = ""
    """UTC day in whose budget its incident is counted, as `yyyymmdd`."""
    quiet_until: datetime | None = None
    learned_from: str = ""


@dataclass(frozen=True)
class Request:
    """What HTTP asked for, until a turn takes it."""

    kind: Literal["run", "cancel", "release", "redrive", "pause", "resume", "revoke"]
    run_id: str
    """Of `revoke` the case's key."""
    asked: datetime
    hunt: str = ""
    workspace: str = ""
    end_date: str = ""
    """Day key; the lookback ends on and includes it."""
    lookback_days: int = 0
    params: Json = field(default_factory=dict)
    incidents: bool = True
    reason: str = ""
    by: str = ""
    """Who asks, where Easy Auth tells."""


@dataclass(frozen=True)
class StorageEvent:
    """A storage event of either schema, parsed and checked; a hint, never a fact."""

    id: str
    kind: str
    """E.g. `Microsoft.Storage.BlobCreated`."""
    container: str
    path: str
    url_host: str
    """Host name of `data.url`, lower case; the URL itself is never fetched."""
    api: str = ""
    content_length: int = 0
    etag: str = ""
    sequencer: str = ""
