"""`ports.Workspace`: what the findings table holds."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from azure.monitor.ingestion import LogsIngestionClient

from shared.adapters.logs_ingestion import LogsIngestionSink
from shared.adapters.logs_query import LogAnalyticsWorkspace, query_client
from shared.errors import Missing, Throttled, Transient
from shared.model import Json
from shared.ports import Workspace
from tests.contract.conftest import CALL_SECONDS
from tests.memory.services import MemoryFindingSink, MemoryWorkspace
from workbench.cloud import RULE, WORKSPACE, LocalCloud
from workbench.emulators.faults import Fault, Faults

ROUTE = "POST /v1/{resource:path}/query"


@dataclass(frozen=True)
class Bench:
    """A workspace, a run of this test's own, and a way to add rows."""

    workspace: Workspace
    run: str
    add: Callable[[list[Json]], None]

    def finding(self, number: int, **more: object) -> Json:
        return {"FindingId": f"f-{number}", "RunId": self.run, **more}


def connect(cloud: LocalCloud, credential: Any, resource: str = WORKSPACE) -> LogAnalyticsWorkspace:
    client = query_client(f"{cloud.addresses['services']}/v1", credential)
    return LogAnalyticsWorkspace(client, resource, CALL_SECONDS)


def emulator(cloud: LocalCloud, credential: Any) -> Bench:
    ingestion = LogsIngestionClient(cloud.addresses["services"], credential)
    sink = LogsIngestionSink(ingestion, RULE, "Custom-TidehuntFindings", CALL_SECONDS)
    return Bench(
        connect(cloud, credential),
        f"run-{uuid.uuid4().hex[:8]}",
        lambda rows: sink.send(json.dumps(rows).encode()),
    )


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        sink = MemoryFindingSink()
        workspace = MemoryWorkspace(sink)
        return Bench(workspace, "run-1", lambda rows: sink.send(json.dumps(rows).encode()))
    return emulator(request.getfixturevalue("cloud"), request.getfixturevalue("credential"))


def test_an_unknown_run_has_no_findings(bench: Bench) -> None:
    assert bench.workspace.count_findings(bench.run) == 0


def test_findings_are_counted_once_however_often_they_were_sent(bench: Bench) -> None:
    bench.add([bench.finding(1), bench.finding(2), bench.finding(1)])
    bench.add([bench.finding(2), bench.finding(3)])
    bench.add([{"FindingId": "f-9", "RunId": "another"}])
    assert bench.workspace.count_findings(bench.run) == 3


def test_some_rows_of_a_run_are_shown_as_they_were_sent(bench: Bench) -> None:
    assert bench.workspace.sample_findings(bench.run) == []
    sent = [bench.finding(n, Score=n / 100, Entities={"a": "b"}) for n in range(30)]
    bench.add([*sent, {"FindingId": "f-9", "RunId": "another"}])
    rows = bench.workspace.sample_findings(bench.run)
    assert len(rows) == 20
    kept = [{name: row[name] for name in sent[0]} for row in rows]
    assert all(row in sent for row in kept)


@pytest.mark.parametrize(
    "run",
    ['"', '" or 1 == 1 or RunId == "', "\\", "'", "a | union *", "é\u2028", "{run_id}", "a\nb", ""],
)
def test_a_hostile_run_id_is_only_a_value(bench: Bench, run: str) -> None:
    bench.add([bench.finding(1)])
    before = bench.workspace.count_findings(run)
    bench.add([{"FindingId": f"f-{uuid.uuid4()}", "RunId": run}])
    assert bench.workspace.count_findings(run) == before + 1
    assert bench.workspace.count_findings(bench.run) == 1


def test_the_latest_row_of_each_finding_is_read_back(cloud: LocalCloud, credential: Any) -> None:
    bench = emulator(cloud, credential)
    bench.add([bench.finding(1, Score=0.1, Entities={"SrcIpAddr": "10.0.0.1"})])
    bench.add([bench.finding(1, Score=0.9, Entities={"SrcIpAddr": "10.0.0.1"}), bench.finding(2)])
    rows = connect(cloud, credential).findings_of_run(bench.run)
    found = {row["FindingId"]: row for row in rows}
    assert set(found) == {"f-1", "f-2"}
    assert found["f-1"]["Score"] == 0.9
    assert found["f-1"]["Entities"] == {"SrcIpAddr": "10.0.0.1"}
    assert found["f-1"]["RunId"] == bench.run
    json.dumps(rows)


def test_another_workspace_is_missing(cloud: LocalCloud, credential: Any) -> None:
    with pytest.raises(Missing):
        connect(cloud, credential, WORKSPACE + "x").count_findings("run-1")


def test_what_the_wire_does_is_told(cloud: LocalCloud, credential: Any, faults: Faults) -> None:
    bench = emulator(cloud, credential)
    faults.add(ROUTE, Fault("before", 429, retry_after=12))
    with pytest.raises(Throttled) as raised:
        bench.workspace.count_findings(bench.run)
    assert raised.value.retry_after == 12
    for fault in (Fault("before", 503), Fault("lost"), Fault("reset")):
        faults.add(ROUTE, fault)
        with pytest.raises(Transient):
            bench.workspace.count_findings(bench.run)
