"""What was found, read back from where users find it: the app's API, Log Analytics, Sentinel.

Everything goes through REST with an operator's token and the production adapters; nothing is taken
from the memory of this process.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from azure.identity import ManagedIdentityCredential

from shared.adapters.logs_query import LogAnalyticsWorkspace, query_client
from shared.adapters.sentinel import ArmIncidentSink
from shared.contract import FOUND_SEVERITY, SEVERITIES
from shared.incidents import incident_id
from shared.model import Incident, Json

SECONDS = 30.0
GENERATIONS = 20
"""How many generations of a case are looked for."""
FOUND = SEVERITIES[SEVERITIES.index(FOUND_SEVERITY) :]


@dataclass(frozen=True)
class Reader:
    """Reads findings and incidents; the process's environment says who it is (IDENTITY_*)."""

    settings: Mapping[str, str]
    """The app's settings, for the endpoints."""
    workspaces: Sequence[str]

    def findings(self, run_ids: Iterable[str]) -> list[Json]:
        """The newest row of each finding of these runs, best first, in the words of `--json`."""
        credential = ManagedIdentityCredential()
        client = query_client(self.settings["TIDEHUNT_QUERY_ENDPOINT"], credential)
        sink = LogAnalyticsWorkspace(client, self.workspaces[0], SECONDS)
        newest: dict[str, Json] = {}
        for run_id in run_ids:
            for row in sink.findings_of_run(run_id):
                known = newest.get(row["FindingId"])
                if known is None or str(row["TimeGenerated"]) >= str(known["TimeGenerated"]):
                    newest[row["FindingId"]] = row
        found = [_finding(row) for row in newest.values()]
        return sorted(found, key=lambda one: (-one["score"], one["finding_id"]))

    def incidents(self) -> list[Json]:
        """Every incident of the workspaces, in the words of `--json`."""
        endpoint = self.settings["TIDEHUNT_ARM_ENDPOINT"]
        sink = ArmIncidentSink(endpoint, ManagedIdentityCredential(), SECONDS)
        found = [_incident(one) for place in self.workspaces for one in sink.list(place)]
        return sorted(found, key=lambda one: int(one["number"] or 0))


def _finding(row: Json) -> Json:
    return {
        "finding_id": row["FindingId"],
        "finding_key": row["FindingKey"],
        "hunt": row["Hunt"],
        "run_id": row["RunId"],
        "workspace": row["Workspace"],
        "severity": row["Severity"],
        "score": float(row["Score"]),
        "sub_scores": _object(row["SubScores"]),
        "title": row["FindingTitle"],
        "entities": _object(row["Entities"]),
        "evidence": _object(row["Evidence"]),
        "first_seen": _text(row["FirstSeen"]),
        "last_seen": _text(row["LastSeen"]),
        "suppressed": bool(row["Suppressed"]),
        "suppressed_reason": row["SuppressedReason"],
    }


def _object(value: Any) -> Json:
    """Dynamic columns come as JSON text."""
    parsed = json.loads(value) if isinstance(value, str) and value else value
    return dict(parsed) if isinstance(parsed, dict) else {}


def _text(value: Any) -> str | None:
    return value.isoformat() if isinstance(value, datetime) else value


def _incident(one: Incident) -> Json:
    properties = one.properties
    return {
        "id": one.id,
        "number": properties.get("incidentNumber"),
        "title": properties.get("title"),
        "severity": properties.get("severity"),
        "status": properties.get("status"),
        "labels": [str(label.get("labelName")) for label in properties.get("labels", [])],
        "url": properties.get("incidentUrl"),
    }


def link(findings: Sequence[Json], incidents: Sequence[Json]) -> None:
    """Add `incident_id` to each finding whose case has an incident: the newest generation."""
    known = {one["id"] for one in incidents}
    for finding in findings:
        ids = [incident_id(finding["finding_key"], n) for n in range(1, GENERATIONS + 1)]
        finding["incident_id"] = next((one for one in reversed(ids) if one in known), None)


def coverage_of(runs: Iterable[Json], ignored: Sequence[str]) -> list[Json]:
    """What each run read and what not."""
    return [
        {"run_id": run["run_id"], **run.get("coverage", {}), "ignored_tables": list(ignored)}
        for run in runs
    ]


def timings_of(timings: Mapping[str, float]) -> list[Json]:
    """Stages with their seconds, in order."""
    return [{"stage": name, "seconds": round(seconds, 2)} for name, seconds in timings.items()]


def compare(key: Json, findings: Sequence[Json]) -> Json:
    """The demo's answer key beside what was found: implants found, benign heartbeats flagged."""
    found = [one for one in findings if one["severity"] in FOUND]
    return {
        "implants": [_implant(one, findings) for one in key["implants"]],
        "benign": [{**one, "flagged": _flagged(one, found)} for one in key["benign"]],
    }


def _implant(one: Json, findings: Sequence[Json]) -> Json:
    names = ("SrcIpAddr", "DstIpAddr", "DstPortNumber")
    wanted = tuple(str(one[name]) for name in names)
    match = next(
        (f for f in findings if tuple(str(f["entities"].get(name)) for name in names) == wanted),
        None,
    )
    severity = match["severity"] if match else None
    return {**one, "severity": severity, "found": severity in FOUND}


def _flagged(one: Json, found: Sequence[Json]) -> bool:
    return any(
        f["entities"].get("DstIpAddr") in one["DstIpAddrs"]
        and str(f["entities"].get("DstPortNumber")) == str(one["DstPortNumber"])
        and f["entities"].get("SrcIpAddr") in one["hosts"]
        for f in found
    )


def stamp() -> str:
    """Now, for a document."""
    return datetime.now(UTC).isoformat(timespec="seconds")
