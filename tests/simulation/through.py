"""Ports that pass everything on as it is: a planted bug changes one method of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from shared.model import BlobStat, Bytes, Document, EngineJob, Entry, Incident, JobRequest, Json
from shared.ports import FindingSink, IncidentSink, Ledger, ResultLake, SparkEngine


@dataclass
class EngineThrough:
    """`ports.SparkEngine`."""

    engine: SparkEngine

    def submit(self, request: JobRequest) -> str:
        """As it is."""
        return self.engine.submit(request)

    def get(self, engine_id: str) -> EngineJob | None:
        """As it is."""
        return self.engine.get(engine_id)

    def cancel(self, engine_id: str) -> None:
        """As it is."""
        self.engine.cancel(engine_id)

    def list(self) -> Sequence[EngineJob]:
        """As it is."""
        return self.engine.list()


@dataclass
class LedgerThrough:
    """`ports.Ledger`."""

    ledger: Ledger

    def read(self, path: str) -> Document | None:
        """As it is."""
        return self.ledger.read(path)

    def create(self, path: str, body: Json) -> str:
        """As it is."""
        return self.ledger.create(path, body)

    def replace(self, path: str, body: Json, etag: str) -> str:
        """As it is."""
        return self.ledger.replace(path, body, etag)

    def put(self, path: str, body: Json) -> str:
        """As it is."""
        return self.ledger.put(path, body)

    def delete(self, path: str, etag: str | None = None) -> None:
        """As it is."""
        self.ledger.delete(path, etag)

    def read_bytes(self, path: str) -> Bytes | None:
        """As it is."""
        return self.ledger.read_bytes(path)

    def write_bytes(self, path: str, content: bytes, etag: str | None) -> str:
        """As it is."""
        return self.ledger.write_bytes(path, content, etag)

    def list(self, prefix: str) -> Iterator[Entry]:
        """As it is."""
        return self.ledger.list(prefix)


@dataclass
class ResultsThrough:
    """`ports.ResultLake`."""

    results: ResultLake

    def read(self, path: str, limit: int) -> bytes | None:
        """As it is."""
        return self.results.read(path, limit)

    def write(self, path: str, content: bytes) -> None:
        """As it is."""
        self.results.write(path, content)

    def lines(self, path: str, offset: int, limit: int) -> Iterator[tuple[bytes, int]]:
        """As it is."""
        return self.results.lines(path, offset, limit)

    def paths(self, folder: str) -> Sequence[BlobStat]:
        """As it is."""
        return self.results.paths(folder)


@dataclass
class SinkThrough:
    """`ports.FindingSink`."""

    sink: FindingSink

    def send(self, payload: bytes) -> None:
        """As it is."""
        self.sink.send(payload)


@dataclass
class IncidentsThrough:
    """`ports.IncidentSink`."""

    incidents: IncidentSink

    def get(self, workspace: str, incident_id: str) -> Incident | None:
        """As it is."""
        return self.incidents.get(workspace, incident_id)

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        """As it is."""
        return self.incidents.put(workspace, incident_id, properties, etag)

    def comment(self, workspace: str, incident_id: str, comment_id: str, message: str) -> None:
        """As it is."""
        self.incidents.comment(workspace, incident_id, comment_id, message)
