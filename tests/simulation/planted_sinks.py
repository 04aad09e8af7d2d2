"""Planted bugs of deliveries and incidents: production code without one of its rules.

The first figure of a docstring is the invariant that tells.
"""

from __future__ import annotations

import hashlib
import json
import threading
from dataclasses import dataclass, field, replace

from shared.deployment import Deployment
from shared.errors import Forbidden, Rejected, Transient
from shared.incidents import BENIGN
from shared.model import Incident, Json
from shared.records import RUNS, Records
from tests.simulation.through import IncidentsThrough, LedgerThrough, ResultsThrough, SinkThrough


class _BelievesIt:
    """A read-back that takes a 204 for proof."""

    def sample_findings(self, run_id: str) -> list[Json]:  # noqa: ARG002 it does not look
        return []

    def count_findings(self, run_id: str) -> int:  # noqa: ARG002 it does not look
        """Enough, whatever there is."""
        return 10**6


def believes_a_204(home: Deployment) -> Deployment:
    """1: a 204 is no proof."""
    return replace(home, workspace=_BelievesIt())


class _GivesUp(SinkThrough):
    def send(self, payload: bytes) -> None:
        try:
            self.sink.send(payload)
        except Forbidden as error:
            raise Rejected(str(error)) from error


def takes_403_for_good(home: Deployment) -> Deployment:
    """1: a role takes up to 30 minutes to arrive."""
    return replace(home, sink=_GivesUp(home.sink))


class _Insists(SinkThrough):
    def send(self, payload: bytes) -> None:
        try:
            self.sink.send(payload)
        except Rejected as error:
            raise Transient(str(error)) from error


def repeats_what_is_refused(home: Deployment) -> Deployment:
    """10: a row that the sink refuses is set aside."""
    return replace(home, sink=_Insists(home.sink))


class _NamesByContent(SinkThrough):
    def send(self, payload: bytes) -> None:
        rows = json.loads(payload)
        for row in rows:
            content = json.dumps([row["FindingKey"], row["Evidence"]]).encode()
            row["FindingId"] = hashlib.sha256(content).hexdigest()[:36]
        self.sink.send(json.dumps(rows, separators=(",", ":")).encode())


def names_findings_by_content(home: Deployment) -> Deployment:
    """2: measures never enter an id."""
    return replace(home, sink=_NamesByContent(home.sink))


class _DropsRefusals(ResultsThrough):
    def write(self, path: str, content: bytes) -> None:
        if "set-aside" not in path:
            self.results.write(path, content)


def drops_refused_rows(home: Deployment) -> Deployment:
    """1: a refused row is kept, with its reason."""
    return replace(home, results=_DropsRefusals(home.results))


class _ForgetsDelivered(ResultsThrough):
    def read(self, path: str, limit: int) -> bytes | None:
        return None if path.endswith("/delivered.json") else self.results.read(path, limit)


def sends_whole_revisions(home: Deployment) -> Deployment:
    """3: a revision sends what has changed."""
    return replace(home, results=_ForgetsDelivered(home.results))


@dataclass
class _SendsLate(SinkThrough):
    late: threading.local = field(default_factory=threading.local)

    def send(self, payload: bytes) -> None:
        self.late.waiting = payload

    def catch_up(self) -> None:
        """Send what was kept back."""
        payload, self.late.waiting = getattr(self.late, "waiting", None), None
        if payload:
            self.sink.send(payload)


@dataclass
class _MovesOnFirst(LedgerThrough):
    sink: _SendsLate

    def replace(self, path: str, body: Json, etag: str) -> str:
        written = self.ledger.replace(path, body, etag)
        if path.startswith(RUNS):
            self.sink.catch_up()
        return written


def moves_on_before_it_sends(home: Deployment) -> Deployment:
    """10: the cursor is saved after a request was accepted: the read-back waits for the others."""
    sink = _SendsLate(home.sink)
    return replace(home, sink=sink, records=Records(_MovesOnFirst(home.records.ledger, sink)))


class _WritesOver(IncidentsThrough):
    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        fresh = {**properties, "status": "New", "severity": "High"}
        return self.incidents.put(workspace, incident_id, fresh, etag)

    def comment(self, workspace: str, incident_id: str, comment_id: str, message: str) -> None:
        self.incidents.comment(workspace, incident_id, comment_id, message)
        found = self.incidents.get(workspace, incident_id)
        if found is not None:
            self.put(workspace, incident_id, found.properties, found.etag)


def writes_over_the_analyst(home: Deployment) -> Deployment:
    """6: the analyst wins."""
    return replace(home, incidents=_WritesOver(home.incidents))


class _SeesNoClosure(IncidentsThrough):
    def get(self, workspace: str, incident_id: str) -> Incident | None:
        found = self.incidents.get(workspace, incident_id)
        if found is None or found.properties.get("classification") in BENIGN:
            return found
        return replace(found, properties={**found.properties, "status": "Active"})

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        held = self.incidents.get(workspace, incident_id)
        status = held.properties["status"] if held else properties["status"]
        return self.incidents.put(workspace, incident_id, {**properties, "status": status}, etag)


def tells_closed_incidents(home: Deployment) -> Deployment:
    """7: after a closure new evidence opens the next generation."""
    return replace(home, incidents=_SeesNoClosure(home.incidents))


class _LearnsNothing(IncidentsThrough):
    def get(self, workspace: str, incident_id: str) -> Incident | None:
        found = self.incidents.get(workspace, incident_id)
        if found is None or found.properties.get("status") != "Closed":
            return found
        return replace(found, properties={**found.properties, "classification": "TruePositive"})


def learns_nothing(home: Deployment) -> Deployment:
    """6: a benign closure keeps a case quiet."""
    return replace(home, incidents=_LearnsNothing(home.incidents))
