"""`ports.FindingSink`: rows for the findings table and the health table, one request each."""

from __future__ import annotations

import json
import ssl
import uuid
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from azure.monitor.ingestion import LogsIngestionClient

from shared import health_rows, queries
from shared.adapters.logs_ingestion import LogsIngestionSink
from shared.errors import Missing, OutcomeUnknown, Rejected, Throttled, TooLarge
from shared.model import Json
from shared.ports import FindingSink
from shared.told import Alarm
from tests.contract.conftest import CALL_SECONDS
from tests.memory.services import MemoryFindingSink
from tests.unit import house
from workbench.cloud import RULE, WORKSPACE, LocalCloud
from workbench.emulators.faults import Fault, Faults

STREAM, HEALTH_STREAM = "Custom-TidehuntFindings", "Custom-TidehuntHealth"
ROUTE = "POST /dataCollectionRules/{rule}/streams/{stream}"


@dataclass(frozen=True)
class Bench:
    """A sink, a run of this test's own, and what the table holds of it (newest of each id)."""

    sink: FindingSink
    run: str
    rows: Callable[[str], list[Json]]

    def finding(self, number: int, **more: object) -> Json:
        return {"FindingId": f"f-{number}", "RunId": self.run, "Score": 0.5, **more}


def ingestion(cloud: LocalCloud, credential: Any, rule: str, stream: str) -> LogsIngestionSink:
    client = LogsIngestionClient(cloud.addresses["services"], credential)
    return LogsIngestionSink(client, rule, stream, CALL_SECONDS)


def read_back(cloud: LocalCloud, query: str) -> list[Json]:
    """Through the query API, not through an adapter of ours."""
    token = cloud.token("app", "https://api.loganalytics.io")
    answer = httpx.post(
        f"{cloud.addresses['services']}/v1{WORKSPACE}/query",
        json={"query": query},
        headers={"Authorization": f"Bearer {token}"},
        verify=ssl.create_default_context(cafile=str(cloud.ca)),
    ).raise_for_status()
    (table,) = answer.json()["tables"]
    names = [column["name"] for column in table["columns"]]
    return [dict(zip(names, row, strict=True)) for row in table["rows"]]


def emulator(cloud: LocalCloud, credential: Any) -> Bench:
    sink = ingestion(cloud, credential, RULE, STREAM)
    run = f"run-{uuid.uuid4().hex[:8]}"
    return Bench(sink, run, lambda run: read_back(cloud, queries.findings_of_run(run)))


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        sink = MemoryFindingSink()
        return Bench(sink, "run-1", lambda run: [r for r in sink.rows if r["RunId"] == run])
    return emulator(request.getfixturevalue("cloud"), request.getfixturevalue("credential"))


def _payload(rows: list[Json]) -> bytes:
    return json.dumps(rows, ensure_ascii=False).encode()


def test_rows_arrive_as_they_are(bench: Bench) -> None:
    evidence = {"times": ["2026-01-01T00:00:00Z"], "host": "é <b>\u2028</b>"}
    bench.sink.send(_payload([bench.finding(1), bench.finding(2, FindingTitle="é\n`|`")]))
    bench.sink.send(_payload([bench.finding(3, Evidence=json.dumps(evidence))]))
    found = {row["FindingId"]: row for row in bench.rows(bench.run)}
    assert set(found) == {"f-1", "f-2", "f-3"}
    assert found["f-2"]["FindingTitle"] == "é\n`|`"
    assert found["f-1"]["Score"] == 0.5
    assert json.loads(found["f-3"]["Evidence"]) == evidence


def test_no_rows_are_fine(bench: Bench) -> None:
    bench.sink.send(b"[]")
    assert bench.rows(bench.run) == []


@pytest.mark.parametrize("size", [900_000, 1_000_000])
def test_a_payload_up_to_the_limit_is_taken(bench: Bench, size: int) -> None:
    bare = len(_payload([bench.finding(1, Evidence="")]))
    payload = _payload([bench.finding(1, Evidence="x" * (size - bare))])
    assert len(payload) == size
    bench.sink.send(payload)
    assert len(bench.rows(bench.run)) == 1


def test_a_byte_more_is_too_large(bench: Bench) -> None:
    payload = _payload([bench.finding(1, Evidence="x" * 1_000_000)])
    with pytest.raises(TooLarge):
        bench.sink.send(payload)
    assert bench.rows(bench.run) == []


@pytest.mark.parametrize("payload", [b"", b"{", b'{"a":1}', b"[1]", b"[null]", b"\xff", b'"x"'])
def test_what_is_no_array_of_objects_is_rejected(bench: Bench, payload: bytes) -> None:
    with pytest.raises(Rejected):
        bench.sink.send(payload)


def test_an_unknown_stream_or_rule_is_missing_and_no_row_s_fault(
    cloud: LocalCloud, credential: Any
) -> None:
    with pytest.raises(Missing, match="TIDEHUNT_STREAM"):
        ingestion(cloud, credential, RULE, "Custom-Other").send(b"[]")
    with pytest.raises(Missing, match="TIDEHUNT_DCR_ID"):
        ingestion(cloud, credential, "dcr-other", STREAM).send(b"[]")


@pytest.mark.parametrize("kind", ["after", "lost"])
def test_rows_of_a_lost_answer_are_there_once(
    cloud: LocalCloud, credential: Any, faults: Faults, kind: Any
) -> None:
    bench = emulator(cloud, credential)
    faults.add(ROUTE, Fault(kind))
    with pytest.raises(OutcomeUnknown):
        bench.sink.send(_payload([bench.finding(1)]))
    assert len(bench.rows(bench.run)) == 1


def test_throttling_is_told_and_not_slept(
    cloud: LocalCloud, credential: Any, faults: Faults
) -> None:
    bench = emulator(cloud, credential)
    faults.add(ROUTE, Fault("before", 429, retry_after=33))
    with pytest.raises(Throttled) as raised:
        bench.sink.send(_payload([bench.finding(1)]))
    assert raised.value.retry_after == 33
    assert bench.rows(bench.run) == []


# --- the health stream of the same rule -----------------------------------------------------------


def of_health(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        sink = MemoryFindingSink(operation="health.send")
        return Bench(sink, "run-1", lambda run: [r for r in sink.rows if r["RunId"] == run])
    cloud = request.getfixturevalue("cloud")
    adapter = ingestion(cloud, request.getfixturevalue("credential"), RULE, HEALTH_STREAM)
    run = f"run-{uuid.uuid4().hex[:8]}"
    return Bench(adapter, run, lambda run: read_back(cloud, queries.health_of_run(run)))


def test_a_health_row_arrives_with_every_column(
    backend: str, request: pytest.FixtureRequest
) -> None:
    bench, now = of_health(backend, request), datetime.now(UTC)
    run = house.a_run(id=bench.run, status="failed", reason="KeyError: é \u2028 `|`")
    run = replace(run, coverage={"hours_planned": 48, "tables": {"t": {"lines": 9, "dropped": 1}}})
    bench.sink.send(health_rows.payload([health_rows.run_ended("contract", run, None, now)]))
    (row,) = bench.rows(bench.run)
    assert (row["Kind"], row["Status"], row["Deployment"]) == ("RunEnded", "failed", "contract")
    assert row["Reason"] == "KeyError: é   `|`"
    assert (row["LinesRead"], row["LinesDropped"], row["Findings"]) == (9, 1, 0)
    coverage = row["Coverage"]
    told = json.loads(coverage) if isinstance(coverage, str) else coverage
    assert told == {"hours_planned": 48, "hours_read": 0, "hours_missing": 0}


def test_a_health_row_that_is_sent_twice_is_read_once(cloud: LocalCloud, credential: Any) -> None:
    sink, now = ingestion(cloud, credential, RULE, HEALTH_STREAM), datetime.now(UTC)
    held = Alarm("RunHeld", f"run-{uuid.uuid4().hex[:8]}", now, "no role")
    row = health_rows.alarm_row("contract", health_rows.RAISED, held, now)
    later = health_rows.alarm_row("contract", health_rows.RAISED, held, now + timedelta(minutes=5))
    for one in (row, later):
        sink.send(health_rows.payload([one]))
    (found,) = read_back(cloud, queries.health_of_run(held.subject))
    assert (found["RowId"], found["Alarm"], found["Status"]) == (row["RowId"], "RunHeld", "held")
