"""Batches in the words of plain Livy and of Synapse (`detailed`)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from workbench.emulators.livy_batches import FINAL, Batch

Json = dict[str, Any]

RESULTS = {"success": "Succeeded", "dead": "Failed", "killed": "Cancelled"}
"""Final state -> result; until then it is Uncertain."""

_SCHEDULER = {"not_started": "Queued", "starting": "Scheduled", "running": "Scheduled"}
_PLUGIN = {"not_started": "Queued", "starting": "Submission", "running": "Monitoring"}
_STATE_TIMES = {
    "notStartedAt": "not_started",
    "startingAt": "starting",
    "runningAt": "running",
    "deadAt": "dead",
    "successAt": "success",
    "killedAt": "killed",
    "recoveringAt": "recovering",
}
_REQUEST_KEYS = (
    *("name", "file", "className", "args", "jars", "pyFiles", "files", "archives", "conf"),
    *("driverMemory", "driverCores", "executorMemory", "executorCores", "numExecutors"),
)


def plain(batch: Batch, log: list[str]) -> Json:
    """What a caller gets who does not ask for `detailed`: no result, no tags, no times."""
    return {
        "id": batch.id,
        "name": batch.request["name"],
        "appId": _application_id(batch),
        "appInfo": {"driverLogUrl": None, "sparkUiUrl": None},
        "state": batch.state,
        "log": log,
    }


def detailed(batch: Batch, log: list[str], workspace: str) -> Json:
    """What Synapse adds: result, tags, errorInfo, livyInfo, schedulerInfo, pluginInfo ..."""
    return plain(batch, log) | {
        "workspaceName": workspace,
        "sparkPoolName": batch.pool,
        "submitterName": batch.submitter,
        "submitterId": batch.submitter,
        "artifactId": batch.request.get("artifactId"),
        "jobType": "SparkBatch",
        "result": RESULTS.get(batch.state, "Uncertain"),
        "tags": batch.request.get("tags") or {},
        "errorInfo": batch.errors,
        "livyInfo": _livy_info(batch),
        "schedulerInfo": _scheduler_info(batch.times, batch.state),
        "pluginInfo": _plugin_info(batch.times, batch.state),
    }


def _application_id(batch: Batch) -> str | None:
    if "starting" not in batch.times:
        return None
    epoch = datetime.fromisoformat(batch.times["starting"]).timestamp()
    return f"application_{epoch * 1000:.0f}_{batch.id:04d}"


def _livy_info(batch: Batch) -> Json:
    times = {key: batch.times.get(state) for key, state in _STATE_TIMES.items()}
    request = {key: batch.request[key] for key in _REQUEST_KEYS if key in batch.request}
    return {**times, "currentState": batch.state, "jobCreationRequest": request}


def _scheduler_info(times: Mapping[str, str], state: str) -> Json:
    return {
        "submittedAt": times["not_started"],
        "scheduledAt": times.get("starting"),
        "endedAt": times[state] if state in FINAL else None,
        "cancellationRequestedAt": times.get("cancelling"),
        "currentState": _SCHEDULER.get(state, "Ended"),
    }


def _plugin_info(times: Mapping[str, str], state: str) -> Json:
    return {
        "preparationStartedAt": times["not_started"],
        "resourceAcquisitionStartedAt": times.get("starting"),
        "submissionStartedAt": times.get("starting"),
        "monitoringStartedAt": times.get("running"),
        "cleanupStartedAt": times[state] if state in FINAL else None,
        "currentState": _PLUGIN.get(state, "Ended"),
    }
