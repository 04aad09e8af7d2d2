"""What the control plane needs from the world. One adapter each in `adapters/`; fakes in tests.

All raise only the errors of `errors.py`. Every call is bounded by `TIDEHUNT_CALL_SECONDS`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from shared.model import BlobStat, Bytes, Document, EngineJob, Entry, Incident, JobRequest, Json


class Ledger(Protocol):
    """Small JSON documents with conditional writes (Blob `Put Blob`, one request each)."""

    def read(self, path: str) -> Document | None:
        """The document, or None. BadInput when it is no JSON object."""

    def create(self, path: str, body: Json) -> str:
        """Write a document that must not exist; its ETag. Conflict when it does."""

    def replace(self, path: str, body: Json, etag: str) -> str:
        """Write over the version that was read; its new ETag. Conflict when it has changed."""

    def put(self, path: str, body: Json) -> str:
        """Write whatever is there; its ETag."""

    def delete(self, path: str, etag: str | None = None) -> None:
        """Delete (this version, if an ETag is given). Nothing there is fine; Conflict if other."""

    def read_bytes(self, path: str) -> Bytes | None:
        """What lies there, whatever it is, or None. TooLarge when one request cannot read it."""

    def write_bytes(self, path: str, content: bytes, etag: str | None) -> str:
        """Write over the version that was read (None: create it); the new ETag, or Conflict."""

    def list(self, prefix: str) -> Iterator[Entry]:
        """Documents below a folder, unread, in path order; empty when there is none."""


class ExportLake(Protocol):
    """The exported tables: read only."""

    def tables(self) -> Sequence[str]:
        """Names of the tables that have a container, lower case, without `am-`."""

    def blobs(self, table: str, folder: str) -> Sequence[BlobStat]:
        """Files below a folder of a table's container, recursively; empty when there is none."""


class ResultLake(Protocol):
    """The results container: plans out, manifests and findings in."""

    def read(self, path: str, limit: int) -> bytes | None:
        """A whole small file, or None. TooLarge when it has more than `limit` bytes."""

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file in one request, over whatever is there."""

    def lines(self, path: str, offset: int, limit: int) -> Iterator[tuple[bytes, int]]:
        """(line without its end, byte offset after it) from `offset` on, as a stream.

        A line of more than `limit` bytes comes cut to `limit` + 1 bytes, so that it shows and
        memory stays bounded. Missing when the file is not there; TooLarge when a line goes on for
        more than 64 MB, so that time stays bounded too.
        """

    def paths(self, folder: str) -> Sequence[BlobStat]:
        """Files below a folder, recursively; empty when there is none."""


class SparkEngine(Protocol):
    """Starts and watches Spark jobs."""

    def submit(self, request: JobRequest) -> str:
        """Start the job with ONE request, never repeated; the engine's id for it.

        OutcomeUnknown when the answer was lost, Transient when it surely did not start and may
        later (429, no capacity), Permanent when it never will.
        """

    def get(self, engine_id: str) -> EngineJob | None:
        """The job, or None when the engine has forgotten it."""

    def cancel(self, engine_id: str) -> None:
        """Ask the engine to stop the job; fine when it has ended or is gone."""

    def list(self) -> Sequence[EngineJob]:
        """All jobs that the engine still lists, every page."""


class FindingSink(Protocol):
    """Takes rows for the findings table."""

    def send(self, payload: bytes) -> None:
        """Send one JSON array of at most 1,000,000 bytes with ONE request.

        Returns when it was accepted; TooLarge (413), Rejected (400), Throttled (429), Forbidden
        (401, 403), OutcomeUnknown, Transient.
        """


class Workspace(Protocol):
    """Reads back from the Log Analytics workspace: constant queries, typed values."""

    def count_findings(self, run_id: str) -> int:
        """Distinct FindingIds that the findings table holds for a run."""

    def sample_findings(self, run_id: str) -> list[Json]:
        """Some of a run's rows: column -> JSON value (times as ISO text); none: an empty list."""


class IncidentSink(Protocol):
    """Sentinel incidents of one workspace each."""

    def get(self, workspace: str, incident_id: str) -> Incident | None:
        """The incident in the workspace with this resource id, or None."""

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        """Create (etag None) or write over the version that was read. Conflict when it changed."""

    def comment(self, workspace: str, incident_id: str, comment_id: str, message: str) -> None:
        """Add a comment under a fixed id; the same id again changes nothing for the reader."""


class Notifier(Protocol):
    """Tells playbooks what happened (CloudEvents on a custom topic)."""

    def publish(self, event_id: str, kind: str, subject: str, data: Json) -> None:
        """Publish one event, e.g. kind `Tidehunt.RunEnded`; the same id again is a repeat."""
