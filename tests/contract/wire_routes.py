"""Every route of the wire that the control plane uses, as a call of a port and its effect there.

A route is prepared, called under a fault, and looked at past its adapter: how often did the call
take effect? `given` is what preparing found and the call needs (an ETag, a job's id).
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from shared.deployment import Deployment
from shared.model import JobRequest
from workbench.cloud import WORKSPACE, LocalCloud
from workbench.emulators.eventgrid import TOPIC_PATH
from workbench.emulators.identity import PATH as TOKEN_PATH

_BATCHES = "/livyApi/versions/{version}/sparkPools/{pool}/batches"
_INCIDENT = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
    "/providers/Microsoft.SecurityInsights/incidents/{incident}"
)
PROPERTIES = {"title": "Beacon", "severity": "Medium", "status": "New"}


@dataclass(frozen=True)
class Scene:
    """A cloud, and a deployment that no fault disturbs while a cell is prepared or looked at."""

    cloud: LocalCloud
    calm: Deployment

    def plant(self, account: str, path: str, content: bytes) -> None:
        """Put a file into the lake past every adapter."""
        file = self.cloud.lake(account) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    def document(self, name: str) -> dict[str, Any] | None:
        """A document of the ledger, read past every adapter."""
        file = self.cloud.lake("state") / "ledger" / _document(name)
        return dict(json.loads(file.read_bytes())) if file.is_file() else None

    def rows(self, name: str) -> int:
        """Rows that ingestion kept for a run, repeated ones too."""
        with closing(sqlite3.connect(self.cloud.home / "emulators" / "logs.db")) as db:
            found = db.execute(
                "select count(*) from row where json_extract(body, '$.RunId') = ?", (name,)
            )
            return int(found.fetchone()[0])


Prepare = Callable[[Scene, str], str]
Act = Callable[[Deployment, str, str], object]
Effects = Callable[[Scene, str, str], int]


@dataclass(frozen=True)
class Route:
    """`request` is the name by which faults know it; `fresh`: on a deployment without a token."""

    request: str
    prepare: Prepare
    call: Act
    effects: Effects
    fresh: bool = False


def _document(name: str) -> str:
    return f"wire/{name}/a.json"


def _nothing(_scene: Scene, _name: str) -> str:
    return ""


def _no_effect(_scene: Scene, _name: str, _given: str) -> int:
    return 0


def _kept(scene: Scene, name: str) -> str:
    """A document that is there; its ETag."""
    return scene.calm.records.ledger.create(_document(name), {"n": 0})


def _written(scene: Scene, name: str, _given: str) -> int:
    document = scene.document(name)
    return int(document is not None and document["n"] == 1)


def _deleted(scene: Scene, name: str, _given: str) -> int:
    return int(scene.document(name) is None)


def _read_document(deployment: Deployment, name: str, _given: str) -> None:
    found = deployment.records.ledger.read(_document(name))
    assert found is not None and found.body == {"n": 0}


def _read_bytes(deployment: Deployment, name: str, _given: str) -> None:
    found = deployment.records.ledger.read_bytes(_document(name))
    assert found is not None and json.loads(found.content)["n"] == 0


def _list_documents(deployment: Deployment, name: str, _given: str) -> None:
    found = list(deployment.records.ledger.list(f"wire/{name}"))
    assert [entry.path for entry in found] == [_document(name)]


def _blob(scene: Scene, name: str) -> str:
    scene.plant("exports", f"am-wire/{name}/PT05M.json", b"{}\n")
    return ""


def _list_tables(deployment: Deployment, _name: str, _given: str) -> None:
    assert "wire" in deployment.exports.tables()


def _list_blobs(deployment: Deployment, name: str, _given: str) -> None:
    assert [blob.size for blob in deployment.exports.blobs("wire", name)] == [3]


def _result(scene: Scene, name: str) -> str:
    scene.plant("state", f"results/{name}/a.jsonl", b"one\ntwo\n")
    return ""


def _read_result(deployment: Deployment, name: str, _given: str) -> None:
    assert deployment.results.read(f"{name}/a.jsonl", 100) == b"one\ntwo\n"


def _result_lines(deployment: Deployment, name: str, _given: str) -> None:
    found = list(deployment.results.lines(f"{name}/a.jsonl", 0, 100))
    assert found == [(b"one", 4), (b"two", 8)]


def _list_results(deployment: Deployment, name: str, _given: str) -> None:
    assert [blob.size for blob in deployment.results.paths(name)] == [8]


def _result_written(scene: Scene, name: str, _given: str) -> int:
    return int((scene.cloud.lake("state") / "results" / name / "plan.json").is_file())


def job(name: str) -> JobRequest:
    """A job under this name."""
    main = "abfss://code@tidehuntstate.dfs.core.windows.net/0f/main.py"
    return JobRequest(job_id=name, main=main, py_files=(), arguments=("60",), conf={}, executors=1)


def _submitted(scene: Scene, name: str) -> str:
    return scene.calm.engine.submit(job(name))


def _jobs(scene: Scene, name: str, _given: str) -> int:
    return len([one for one in scene.calm.engine.list() if one.job_id == name])


def _get_job(deployment: Deployment, name: str, given: str) -> None:
    found = deployment.engine.get(given)
    assert found is not None and found.job_id == name


def _list_jobs(deployment: Deployment, name: str, _given: str) -> None:
    assert name in [one.job_id for one in deployment.engine.list()]


def _cancelled(scene: Scene, _name: str, given: str) -> int:
    found = scene.calm.engine.get(given)
    assert found is not None
    return int(found.state == "cancelled")


def _send(deployment: Deployment, name: str, _given: str) -> None:
    deployment.sink.send(json.dumps([{"FindingId": "f-1", "RunId": name}]).encode())


def _sent(scene: Scene, name: str, _given: str) -> int:
    return scene.rows(name)


def _send_first(scene: Scene, name: str) -> str:
    _send(scene.calm, name, "")
    return ""


def _count(deployment: Deployment, name: str, _given: str) -> None:
    assert deployment.workspace.count_findings(name) == 1


def _sample(deployment: Deployment, name: str, _given: str) -> None:
    (row,) = deployment.workspace.sample_findings(name)
    assert row["RunId"] == name


def _incident(scene: Scene, name: str) -> str:
    return scene.calm.incidents.put(WORKSPACE, name, PROPERTIES, None).etag


def _get_incident(deployment: Deployment, name: str, _given: str) -> None:
    found = deployment.incidents.get(WORKSPACE, name)
    assert found is not None and found.properties["title"] == "Beacon"


def _create_incident(deployment: Deployment, name: str, _given: str) -> None:
    deployment.incidents.put(WORKSPACE, name, PROPERTIES, None)


def _replace_incident(deployment: Deployment, name: str, given: str) -> None:
    deployment.incidents.put(WORKSPACE, name, {**PROPERTIES, "title": "Changed"}, given)


def _created(scene: Scene, name: str, _given: str) -> int:
    return int(scene.calm.incidents.get(WORKSPACE, name) is not None)


def _replaced(scene: Scene, name: str, _given: str) -> int:
    found = scene.calm.incidents.get(WORKSPACE, name)
    assert found is not None
    return int(found.properties["title"] == "Changed")


def _comment(deployment: Deployment, name: str, _given: str) -> None:
    deployment.incidents.comment(WORKSPACE, name, name, "more of it")


def _comments(scene: Scene, name: str, _given: str) -> int:
    found = scene.calm.incidents.get(WORKSPACE, name)
    assert found is not None
    return int(found.properties["additionalData"]["commentsCount"])


def _publish(deployment: Deployment, name: str, _given: str) -> None:
    assert deployment.notifier is not None
    deployment.notifier.publish(name, "Tidehunt.RunEnded", "runs/1", {})


def _published(scene: Scene, name: str, _given: str) -> int:
    return len([event for event in scene.cloud.topic.published() if event["id"] == name])


ROUTES: Mapping[str, Route] = {
    "ledger.read": Route("state.GetBlob", _kept, _read_document, _no_effect),
    "ledger.list": Route("state.ListBlobs", _kept, _list_documents, _no_effect),
    "ledger.create": Route(
        "state.PutBlob",
        _nothing,
        lambda d, name, _: d.records.ledger.create(_document(name), {"n": 1}),
        _written,
    ),
    "ledger.replace": Route(
        "state.PutBlob",
        _kept,
        lambda d, name, etag: d.records.ledger.replace(_document(name), {"n": 1}, etag),
        _written,
    ),
    "ledger.put": Route(
        "state.PutBlob",
        _kept,
        lambda d, name, _: d.records.ledger.put(_document(name), {"n": 1}),
        _written,
    ),
    "ledger.delete": Route(
        "state.DeleteBlob",
        _kept,
        lambda d, name, etag: d.records.ledger.delete(_document(name), etag),
        _deleted,
    ),
    "ledger.read_bytes": Route("state.GetBlob", _kept, _read_bytes, _no_effect),
    "ledger.write_bytes": Route(
        "state.PutBlob",
        _kept,
        lambda d, name, etag: d.records.ledger.write_bytes(_document(name), b'{"n": 1}', etag),
        _written,
    ),
    "exports.tables": Route("exports.ListContainers", _blob, _list_tables, _no_effect),
    "exports.blobs": Route("exports.ListPaths", _blob, _list_blobs, _no_effect),
    "results.read": Route("state.GetBlob", _result, _read_result, _no_effect),
    "results.lines": Route("state.GetBlob", _result, _result_lines, _no_effect),
    "results.paths": Route("state.ListPaths", _result, _list_results, _no_effect),
    "results.write": Route(
        "state.PutBlob",
        _nothing,
        lambda d, name, _: d.results.write(f"{name}/plan.json", b"{}"),
        _result_written,
    ),
    "engine.submit": Route(
        f"POST {_BATCHES}", _nothing, lambda d, name, _: d.engine.submit(job(name)), _jobs
    ),
    "engine.get": Route(f"GET {_BATCHES}/{{id:int}}", _submitted, _get_job, _no_effect),
    "engine.list": Route(f"GET {_BATCHES}", _submitted, _list_jobs, _no_effect),
    "engine.cancel": Route(
        f"DELETE {_BATCHES}/{{id:int}}",
        _submitted,
        lambda d, _, engine_id: d.engine.cancel(engine_id),
        _cancelled,
    ),
    "sink.send": Route("POST /dataCollectionRules/{rule}/streams/{stream}", _nothing, _send, _sent),
    "workspace.count": Route("POST /v1/{resource:path}/query", _send_first, _count, _no_effect),
    "workspace.sample": Route("POST /v1/{resource:path}/query", _send_first, _sample, _no_effect),
    "incidents.get": Route(f"GET {_INCIDENT}", _incident, _get_incident, _no_effect),
    "incidents.create": Route(f"PUT {_INCIDENT}", _nothing, _create_incident, _created),
    "incidents.replace": Route(f"PUT {_INCIDENT}", _incident, _replace_incident, _replaced),
    "incidents.comment": Route(
        f"PUT {_INCIDENT}/comments/{{name}}", _incident, _comment, _comments
    ),
    "notifier.publish": Route(f"POST {TOPIC_PATH}", _nothing, _publish, _published),
    "identity.token": Route(f"GET {TOKEN_PATH}", _kept, _read_document, _no_effect, fresh=True),
}
