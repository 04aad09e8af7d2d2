"""Spark, the workspace, Sentinel and Event Grid in memory, with the services' refusals."""

from __future__ import annotations

import copy
import json
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Literal

from shared.errors import BadInput, Conflict, Missing, Rejected, TooLarge
from shared.model import EngineJob, Incident, JobRequest, Json
from tests.memory.wire import Wire

PAYLOAD_BYTES = 1_000_000
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]
_ALIVE = ("queued", "running")


class MemoryEngine:
    """`ports.SparkEngine`. Jobs stay queued until a test moves them with `enter`."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self.jobs: dict[str, EngineJob] = {}
        self.requests: list[JobRequest] = []
        """Every POST that arrived, in order."""

    def submit(self, request: JobRequest) -> str:
        with self._wire.request("engine.submit", request.job_id):
            engine_id = str(len(self.requests))  # the service's first id is 0
            self.requests.append(request)
            self.jobs[engine_id] = EngineJob(engine_id, request.job_id, "queued")
            return engine_id

    def get(self, engine_id: str) -> EngineJob | None:
        with self._wire.request("engine.get", engine_id):
            return self.jobs.get(engine_id)

    def cancel(self, engine_id: str) -> None:
        with self._wire.request("engine.cancel", engine_id):
            job = self.jobs.get(engine_id)
            if job is not None and job.state in _ALIVE:
                self.enter(engine_id, "cancelled")

    def list(self) -> Sequence[EngineJob]:
        with self._wire.request("engine.list", ""):
            return list(self.jobs.values())

    def enter(self, engine_id: str, state: State, reason: str = "") -> None:
        """Move a job to a state."""
        self.jobs[engine_id] = replace(self.jobs[engine_id], state=state, reason=reason)

    def forget(self, engine_id: str) -> None:
        """Let the engine forget a job, as it does some time after its end."""
        del self.jobs[engine_id]


class MemoryFindingSink:
    """`ports.FindingSink`. Takes rows of objects, keeps each as often as it comes."""

    def __init__(self, wire: Wire | None = None, operation: str = "sink.send") -> None:
        self._wire = wire or Wire()
        self._operation = operation
        self.rows: list[Json] = []
        self.payloads: list[int] = []
        """Sizes of the accepted requests in bytes."""

    def send(self, payload: bytes) -> None:
        with self._wire.request(self._operation, f"{len(payload)} bytes"):
            if len(payload) > PAYLOAD_BYTES:
                raise TooLarge("send rows: 413")
            self.rows.extend(_rows(payload))
            self.payloads.append(len(payload))


class MemoryWorkspace:
    """`ports.Workspace` over what a sink took."""

    def __init__(self, sink: MemoryFindingSink, wire: Wire | None = None) -> None:
        self._sink = sink
        self._wire = wire or Wire()

    def count_findings(self, run_id: str) -> int:
        with self._wire.request("workspace.count", run_id):
            return len({row["FindingId"] for row in self._sink.rows if row["RunId"] == run_id})

    def sample_findings(self, run_id: str) -> list[Json]:
        with self._wire.request("workspace.sample", run_id):
            return [dict(row) for row in self._sink.rows if row["RunId"] == run_id][:20]


class MemoryIncidentSink:
    """`ports.IncidentSink`. A comment is a new version of its incident, as in the service."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self._writes = 0
        self.incidents: dict[tuple[str, str], Incident] = {}
        """(workspace, incident id) -> what Sentinel holds."""
        self.comments: dict[tuple[str, str], dict[str, str]] = {}

    def get(self, workspace: str, incident_id: str) -> Incident | None:
        with self._wire.request("incidents.get", incident_id):
            return copy.deepcopy(self.incidents.get(_key(workspace, incident_id)))

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        with self._wire.request("incidents.put", incident_id):
            held = self.incidents.get(_key(workspace, incident_id))
            if (held.etag if held else None) != etag:
                raise Conflict("the incident exists or has changed", where=incident_id)
            if missing := {"title", "severity", "status"} - set(properties):
                raise Rejected(f"an incident needs {', '.join(sorted(missing))}")
            return self._write(workspace, incident_id, properties)

    def comment(self, workspace: str, incident_id: str, comment_id: str, message: str) -> None:
        key = _key(workspace, incident_id)
        with self._wire.request("incidents.comment", incident_id):
            if key not in self.incidents:
                raise Missing("no such incident", where=incident_id)
            self.comments.setdefault(key, {})[comment_id] = message
            self._write(workspace, incident_id, self.incidents[key].properties)

    def list(self, workspace: str) -> Iterator[Incident]:
        with self._wire.request("incidents.list", workspace):
            found = [i for (where, _), i in self.incidents.items() if where == workspace.lower()]
        yield from copy.deepcopy(found)

    def change(self, workspace: str, incident_id: str, **properties: Any) -> None:
        """Change an incident as an analyst would."""
        held = self.incidents[_key(workspace, incident_id)]
        self._write(workspace, incident_id, {**held.properties, **properties})

    def remove(self, workspace: str, incident_id: str) -> None:
        """Delete an incident as an analyst would."""
        del self.incidents[_key(workspace, incident_id)]

    def _write(self, workspace: str, incident_id: str, properties: Json) -> Incident:
        self._writes += 1
        held = self.incidents.get(_key(workspace, incident_id))
        number = held.properties["incidentNumber"] if held else len(self.incidents) + 1
        kept = {**copy.deepcopy(properties), "incidentNumber": number}
        incident = Incident(incident_id, f'"{self._writes:08d}"', kept)
        self.incidents[_key(workspace, incident_id)] = incident
        return copy.deepcopy(incident)


class MemoryNotifier:
    """`ports.Notifier`."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self.events: list[tuple[str, str, str, Json]] = []
        """(id, kind, subject, data), repeats included."""

    def publish(self, event_id: str, kind: str, subject: str, data: Json) -> None:
        with self._wire.request("notifier.publish", event_id):
            self.events.append((event_id, kind, subject, copy.deepcopy(data)))


def _key(workspace: str, incident_id: str) -> tuple[str, str]:
    if "/workspaces/" not in workspace.lower() or ".." in workspace:
        raise BadInput("no resource id of a workspace", where=repr(workspace))
    try:
        return workspace.lower(), str(uuid.UUID(incident_id))
    except ValueError as error:
        raise BadInput("no GUID", where=repr(incident_id)) from error


def _rows(payload: bytes) -> list[Json]:
    try:
        rows = json.loads(payload)
    except ValueError as error:
        raise Rejected("send rows: 400") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise Rejected("send rows: 400")
    return rows
