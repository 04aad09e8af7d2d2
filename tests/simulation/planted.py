"""Bugs to plant: each is what production code would do without one of its rules."""

from __future__ import annotations

from dataclasses import dataclass, replace

from shared.deployment import Deployment
from shared.model import EngineJob, Incident, JobRequest, Json
from shared.ports import IncidentSink, SparkEngine


@dataclass
class PostsTwice:
    """An engine's client that repeats a POST, as SDKs do."""

    engine: SparkEngine

    def submit(self, request: JobRequest) -> str:
        """Once more than allowed."""
        self.engine.submit(request)
        return self.engine.submit(request)

    def get(self, engine_id: str) -> EngineJob | None:
        """As it is."""
        return self.engine.get(engine_id)

    def cancel(self, engine_id: str) -> None:
        """As it is."""
        self.engine.cancel(engine_id)

    def list(self) -> list[EngineJob]:
        """As it is."""
        return list(self.engine.list())


class BelievesIt:
    """A read-back that takes a 204 for proof."""

    def count_findings(self, run_id: str) -> int:  # noqa: ARG002 it does not look
        """Enough, whatever there is."""
        return 10**6


@dataclass
class WritesOver:
    """A client of Sentinel that writes what it would write to a new incident."""

    incidents: IncidentSink

    def get(self, workspace: str, incident_id: str) -> Incident | None:
        """As it is."""
        return self.incidents.get(workspace, incident_id)

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        """Whoever wrote meanwhile loses."""
        fresh = {**properties, "status": "New", "severity": "High"}
        return self.incidents.put(workspace, incident_id, fresh, etag)

    def comment(self, workspace: str, incident_id: str, comment_id: str, message: str) -> None:
        """As it is, and writes the incident as it was."""
        self.incidents.comment(workspace, incident_id, comment_id, message)
        found = self.incidents.get(workspace, incident_id)
        if found is not None:
            self.put(workspace, incident_id, found.properties, found.etag)


def posts_twice(home: Deployment) -> Deployment:
    """4: a job id is used for one POST, ever."""
    return replace(home, engine=PostsTwice(home.engine))


def believes_it(home: Deployment) -> Deployment:
    """1: a 204 is no proof."""
    return replace(home, workspace=BelievesIt())


def writes_over(home: Deployment) -> Deployment:
    """6: the analyst wins."""
    return replace(home, incidents=WritesOver(home.incidents))


def no_margin(home: Deployment) -> Deployment:
    """3: clocks differ."""
    return replace(home, settings=replace(home.settings, clock_margin_seconds=0.0))


def never_settles(home: Deployment) -> Deployment:
    """11: late data is judged again."""
    hunts = [replace(spec, settle_minutes=100_000.0) for spec in home.hunts]
    return replace(home, hunts=hunts)
