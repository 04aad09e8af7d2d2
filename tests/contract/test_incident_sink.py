"""`ports.IncidentSink`: Sentinel incidents, read, merged and written with their ETag."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from shared.adapters.sentinel import API_VERSION, ArmIncidentSink
from shared.errors import BadInput, Conflict, Missing, OutcomeUnknown, Rejected
from shared.model import Json
from shared.ports import IncidentSink
from tests.contract.conftest import CALL_SECONDS
from tests.memory.services import MemoryIncidentSink
from workbench.cloud import LocalCloud
from workbench.emulators import sentinel
from workbench.emulators.faults import Fault, FaultMiddleware, Faults, route_names
from workbench.emulators.server import Server, Site
from workbench.emulators.tls import Certificate

WORKSPACE = (
    "/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc"
    "/providers/microsoft.operationalinsights/workspaces/contoso"
)
OTHER = WORKSPACE.replace("contoso", "fabrikam")
PROPERTIES = {
    "title": "Beacon é <b>",
    "severity": "Medium",
    "status": "New",
    "description": "10.0.0.1 -> 203.0.113.7:443",
    "labels": [{"labelName": "Tidehunt"}],
}
ARM_AUDIENCE = "https://management.azure.com"
INCIDENT_ROUTE = (
    "PUT /subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
    "/providers/Microsoft.SecurityInsights/incidents/{incident}"
)


@dataclass(frozen=True)
class Bench:
    """A sink, an incident id of this test's own, and what an analyst does and sees."""

    sink: IncidentSink
    id: str
    change: Callable[[str, Json], None]
    """Write these properties over the incident's."""
    remove: Callable[[str], None]
    comments: Callable[[str], dict[str, str]]
    """Comment id -> message."""


@dataclass(frozen=True)
class Sentinel:
    """The emulator's address, and its faults."""

    url: str
    faults: Faults


@pytest.fixture(scope="session")
def sentinel_service(cloud: LocalCloud, local_authority: Certificate) -> Iterator[Sentinel]:
    service = sentinel.Sentinel(cloud.home / "sentinel", workspaces=(WORKSPACE, OTHER))
    routes = sentinel.routes(service, cloud.identity.caller)
    faults = Faults()
    app = FaultMiddleware(Starlette(routes=routes), faults, route_names(routes))
    server = Server([Site("sentinel", app)], local_authority)
    try:
        yield Sentinel(server.start()["sentinel"], faults)
    finally:
        server.stop()
        service.close()


def emulator(service: Sentinel, cloud: LocalCloud, credential: Any) -> Bench:
    token = cloud.token("operator", ARM_AUDIENCE)
    base = f"{service.url}{WORKSPACE}/providers/Microsoft.SecurityInsights/incidents"

    def arm(method: str, path: str, body: Json | None = None) -> Any:
        answer = httpx.request(
            method,
            f"{base}/{path}",
            params={"api-version": API_VERSION},
            json=body,
            headers={"Authorization": f"Bearer {token}"},
        )
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def change(incident: str, properties: Json) -> None:
        held = arm("GET", incident)
        arm("PUT", incident, {"properties": {**held["properties"], **properties}})

    def comments(incident: str) -> dict[str, str]:
        found = arm("GET", f"{incident}/comments")["value"]
        return {item["name"]: item["properties"]["message"] for item in found}

    return Bench(
        ArmIncidentSink(service.url, credential, CALL_SECONDS),
        str(uuid.uuid4()),
        change,
        lambda incident: arm("DELETE", incident),
        comments,
    )


def memory() -> Bench:
    sink = MemoryIncidentSink()
    return Bench(
        sink,
        str(uuid.uuid4()),
        lambda incident, properties: sink.change(WORKSPACE, incident, **properties),
        lambda incident: sink.remove(WORKSPACE, incident),
        lambda incident: dict(sink.comments.get((WORKSPACE, incident), {})),
    )


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        return memory()
    names = ("sentinel_service", "cloud", "credential")
    return emulator(*(request.getfixturevalue(name) for name in names))


def told(properties: Json) -> Json:
    """What we wrote, of what the service tells."""
    return {name: properties.get(name) for name in PROPERTIES}


def label_names(properties: Json) -> list[str]:
    return [label["labelName"] for label in properties["labels"]]


def test_an_incident_is_created_once(bench: Bench) -> None:
    assert bench.sink.get(WORKSPACE, bench.id) is None
    created = bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    assert created.id == bench.id
    assert created.properties["incidentNumber"] > 0
    assert label_names(created.properties) == ["Tidehunt"]
    with pytest.raises(Conflict):
        bench.sink.put(WORKSPACE, bench.id, {**PROPERTIES, "title": "again"}, None)
    assert bench.sink.get(WORKSPACE, bench.id) == created
    assert told(created.properties) | {"labels": None} == PROPERTIES | {"labels": None}


def test_only_the_version_that_was_read_is_written_over(bench: Bench) -> None:
    first = bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    changed = {**first.properties, "severity": "High"}
    second = bench.sink.put(WORKSPACE, bench.id, changed, first.etag)
    assert second.etag != first.etag
    assert second.properties["severity"] == "High"
    assert second.properties["incidentNumber"] == first.properties["incidentNumber"]
    with pytest.raises(Conflict):
        bench.sink.put(WORKSPACE, bench.id, changed, first.etag)
    assert bench.sink.get(WORKSPACE, bench.id) == second


def test_the_analyst_wins(bench: Bench) -> None:
    read = bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    bench.change(bench.id, {"status": "Active", "labels": [{"labelName": "mine"}]})
    with pytest.raises(Conflict):
        bench.sink.put(WORKSPACE, bench.id, {**read.properties, "severity": "High"}, read.etag)
    again = bench.sink.get(WORKSPACE, bench.id)
    assert again is not None
    assert again.properties["status"] == "Active"
    merged = {**again.properties, "severity": "High"}
    bench.sink.put(WORKSPACE, bench.id, merged, again.etag)
    found = bench.sink.get(WORKSPACE, bench.id)
    assert found is not None
    assert (found.properties["status"], found.properties["severity"]) == ("Active", "High")
    assert label_names(found.properties) == ["mine"]


def test_what_was_deleted_is_not_written_over(bench: Bench) -> None:
    read = bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    bench.remove(bench.id)
    assert bench.sink.get(WORKSPACE, bench.id) is None
    with pytest.raises(Conflict):
        bench.sink.put(WORKSPACE, bench.id, PROPERTIES, read.etag)
    assert bench.sink.get(WORKSPACE, bench.id) is None


def test_a_comment_has_one_id_and_shows_once(bench: Bench) -> None:
    bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    first, second = str(uuid.uuid4()), str(uuid.uuid4())
    bench.sink.comment(WORKSPACE, bench.id, first, "seen <again> é")
    bench.sink.comment(WORKSPACE, bench.id, first, "seen <again> é")
    bench.sink.comment(WORKSPACE, bench.id, second, "and again")
    assert bench.comments(bench.id) == {first: "seen <again> é", second: "and again"}


def test_a_comment_is_a_new_version_of_its_incident(bench: Bench) -> None:
    read = bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    bench.sink.comment(WORKSPACE, bench.id, str(uuid.uuid4()), "text")
    with pytest.raises(Conflict):
        bench.sink.put(WORKSPACE, bench.id, PROPERTIES, read.etag)


def test_a_comment_needs_its_incident(bench: Bench) -> None:
    with pytest.raises(Missing):
        bench.sink.comment(WORKSPACE, bench.id, str(uuid.uuid4()), "text")


def test_workspaces_are_apart(bench: Bench) -> None:
    bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    assert bench.sink.get(OTHER, bench.id) is None
    assert bench.sink.get(WORKSPACE.upper(), bench.id) is not None
    bench.sink.put(OTHER, bench.id, {**PROPERTIES, "title": "other"}, None)
    found = bench.sink.get(WORKSPACE, bench.id)
    assert found is not None
    assert found.properties["title"] == PROPERTIES["title"]


@pytest.mark.parametrize("missing", ["title", "severity", "status"])
def test_an_incident_without_what_it_needs_is_rejected(bench: Bench, missing: str) -> None:
    properties = {name: value for name, value in PROPERTIES.items() if name != missing}
    with pytest.raises(Rejected):
        bench.sink.put(WORKSPACE, bench.id, properties, None)
    assert bench.sink.get(WORKSPACE, bench.id) is None


@pytest.mark.parametrize(
    "workspace",
    ["", "contoso", "/subscriptions/../x", WORKSPACE + "/..", WORKSPACE.replace("soc", "..")],
)
def test_another_shape_of_workspace_is_bad_input(bench: Bench, workspace: str) -> None:
    with pytest.raises(BadInput):
        bench.sink.get(workspace, bench.id)
    with pytest.raises(BadInput):
        bench.sink.put(workspace, bench.id, PROPERTIES, None)


@pytest.mark.parametrize("incident", ["", "1", "../bookmarks", "%2e%2e", "0b8d1c52-55f2"])
def test_another_shape_of_id_is_bad_input(bench: Bench, incident: str) -> None:
    with pytest.raises(BadInput):
        bench.sink.get(WORKSPACE, incident)
    with pytest.raises(BadInput):
        bench.sink.comment(WORKSPACE, incident, bench.id, "text")


@pytest.mark.parametrize("kind", ["after", "lost", "reset"])
def test_a_creation_with_a_lost_answer_is_found_when_repeated(
    sentinel_service: Sentinel, cloud: LocalCloud, credential: Any, kind: Any
) -> None:
    bench = emulator(sentinel_service, cloud, credential)
    sentinel_service.faults.add(INCIDENT_ROUTE, Fault(kind))
    with pytest.raises(OutcomeUnknown):
        bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    bench.change(bench.id, {"status": "Active"})
    with pytest.raises(Conflict):
        bench.sink.put(WORKSPACE, bench.id, PROPERTIES, None)
    found = bench.sink.get(WORKSPACE, bench.id)
    assert found is not None
    assert found.properties["status"] == "Active"
    assert sentinel_service.faults.pending() == {}


def test_every_incident_is_listed(
    sentinel_service: Sentinel, cloud: LocalCloud, credential: Any
) -> None:
    sink = ArmIncidentSink(sentinel_service.url, credential, CALL_SECONDS)
    made = {str(uuid.uuid4()) for _ in range(3)}
    for incident in made:
        sink.put(OTHER, incident, PROPERTIES, None)
    listed = list(sink.list(OTHER))
    assert made <= {found.id for found in listed}
    assert all(found.etag and found.properties["title"] for found in listed)
