"""The log query emulator, driven by Microsoft's client."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.monitor.query import LogsQueryClient

from shared import queries
from tests.system.emulated import Credential, token
from tests.system.emulated_logs import (
    DECLARED,
    ELSEWHERE,
    FINDINGS,
    NOW,
    WORKSPACE,
    Workspace,
    refusal,
    row,
)


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Workspace]]:
    with ExitStack() as ends:
        yield lambda **options: Workspace(tmp_path, ends, **options)


@pytest.fixture
def workspace(begin: Callable[..., Workspace]) -> Workspace:
    return begin()


def test_rows_are_counted_by_finding_and_run(workspace: Workspace) -> None:
    workspace.upload([row("f-1"), row("f-2"), row("f-2"), row("f-3", "run-2")])
    assert [workspace.count(run) for run in ("run-1", "run-2", "none")] == [2, 1, 0]


def test_the_latest_row_of_a_finding(workspace: Workspace) -> None:
    older = (NOW - timedelta(hours=1)).isoformat()
    workspace.upload([row(Score=1.0), row(Score=2.0, TimeGenerated=older), row("f-2", Score=3)])
    workspace.upload([row("f-2", Score=4)])
    scores = {found["FindingId"]: found["Score"] for found in workspace.findings()}
    assert scores == {"f-1": 1.0, "f-2": 4.0}


def test_every_column_comes_back_with_its_type(workspace: Workspace) -> None:
    sent = row(
        Revision=2,
        Score=0.75,
        Suppressed=True,
        SlotStart="2026-03-04T00:00:00Z",
        SubScores={"timing": 0.9},
        Tactics=["CommandAndControl"],
        FindingTitle="Beacon to évil.example",
    )
    workspace.upload([sent])
    table = workspace.ask(queries.findings_of_run("run-1"))
    kinds = dict(zip(table.columns, table.columns_types, strict=True))
    declared = {column["name"]: column["type"] for column in DECLARED["columns"]}
    assert {name: kinds[name] for name in declared} == declared | {"Suppressed": "bool"}
    (found,) = workspace.findings()
    assert (found["Revision"], found["Score"], found["Suppressed"]) == (2, 0.75, True)
    assert found["SlotStart"] == datetime(2026, 3, 4, tzinfo=UTC)
    assert found["SlotEnd"] is None
    assert json.loads(found["SubScores"]) == {"timing": 0.9}
    assert json.loads(found["Tactics"]) == ["CommandAndControl"]
    assert (found["FindingTitle"], found["Hunt"]) == ("Beacon to évil.example", "")
    assert (found["Type"], table.columns[:2]) == (FINDINGS.table, ["FindingId", "TimeGenerated"])


def test_a_run_id_is_one_string_whatever_is_in_it(workspace: Workspace) -> None:
    hostile = 'x" or 1 == 1 | union * //\\'
    workspace.upload([row("f-1", hostile), row("f-2")])
    assert workspace.count(hostile) == 1


def test_callers_without_the_right_token_are_refused(workspace: Workspace) -> None:
    url = f"{workspace.address}/v1{WORKSPACE}/query"
    assert httpx.post(url, json={"query": "x"}).status_code == 401
    for audience in ("https://monitor.azure.com", "https://management.azure.com"):
        client = LogsQueryClient(Credential(), endpoint=workspace.address, audience=audience)
        with client, pytest.raises(HttpResponseError) as caught:
            client.query_resource(WORKSPACE[1:], "x", timespan=None, enforce_https=False)
        assert caught.value.status_code == 401


def test_a_workspace_has_its_own_rows(workspace: Workspace) -> None:
    workspace.upload([{"RunId": "run-1"}], rule="dcr-2", to="Custom-Other")
    workspace.upload([row()])
    assert workspace.ask(queries.count_findings("run-1"), WORKSPACE.upper()).rows[0][0] == 1
    status, error = refusal(lambda: workspace.ask(queries.count_findings("run-1"), ELSEWHERE))
    assert (status, error["innererror"]["innererror"]["code"]) == (400, "SEM0100")
    assert "named 'TidehuntFindings_CL'" in error["innererror"]["innererror"]["message"]
    assert refusal(lambda: workspace.ask("x", WORKSPACE + "3"))[0] == 404


@pytest.mark.parametrize(
    "query",
    [
        "TidehuntFindings_CL",
        "SecurityEvent | count",
        queries.COUNT_FINDINGS,
        queries.COUNT_FINDINGS.format(run_id='"a" or "b"'),
        queries.COUNT_FINDINGS.format(run_id='"\\x"'),
        queries.COUNT_FINDINGS.format(run_id="'a'"),
        queries.count_findings("a") + " | take 1",
    ],
)
def test_other_queries_are_a_semantic_error(workspace: Workspace, query: str) -> None:
    status, error = refusal(lambda: workspace.ask(query))
    assert (status, error["code"]) == (400, "BadArgumentError")
    assert error["innererror"]["code"] == "SemanticError"


def test_every_query_of_the_product_is_answered(workspace: Workspace) -> None:
    for template in queries.QUERIES:
        names = [part.split("}")[0] for part in template.split("{")[1:]]
        assert workspace.ask(template.format(**dict.fromkeys(names, '"x"'))).columns


def test_no_timespan_and_no_other_workspaces(workspace: Workspace) -> None:
    query = queries.count_findings("run-1")
    assert refusal(lambda: workspace.ask(query, timespan=timedelta(days=1)))[0] == 400
    assert refusal(lambda: workspace.ask(query, additional_workspaces=["w"]))[0] == 400


def test_query_by_customer_id_and_by_get(workspace: Workspace) -> None:
    workspace.upload([row()])
    headers = token("https://api.loganalytics.io")
    for path in ("/v1/workspaces/c-1", f"/v1{WORKSPACE}"):
        for answer in (
            httpx.get(
                f"{workspace.address}{path}/query",
                params={"query": queries.count_findings("run-1")},
                headers=headers,
            ),
            httpx.post(
                f"{workspace.address}{path}/query",
                json={"query": queries.count_findings("run-1")},
                headers=headers,
            ),
        ):
            assert answer.json() == {
                "tables": [
                    {
                        "name": "PrimaryResult",
                        "columns": [{"name": "Count", "type": "long"}],
                        "rows": [[1]],
                    }
                ]
            }
    unknown = httpx.get(
        f"{workspace.address}/v1/workspaces/c-2/query", params={"query": "x"}, headers=headers
    )
    assert unknown.status_code == 404


def test_200_queries_in_30_seconds(workspace: Workspace) -> None:
    with httpx.Client(headers=token("https://api.loganalytics.io")) as client:

        def ask() -> httpx.Response:
            query = {"query": queries.count_findings("x")}
            return client.post(f"{workspace.address}/v1{WORKSPACE}/query", json=query)

        assert {ask().status_code for _ in range(200)} == {200}
        busy = ask()
        assert (busy.status_code, busy.headers["Retry-After"]) == (429, "30")
        workspace.clock.now += 30
        assert ask().status_code == 200


def test_rows_show_late(begin: Callable[..., Workspace]) -> None:
    workspace = begin(visible_after_seconds=60)
    workspace.upload([row()])
    workspace.clock.now += 59
    assert (workspace.count(), workspace.findings()) == (0, [])
    workspace.clock.now += 1
    assert workspace.count() == 1


def test_rows_survive_a_restart(begin: Callable[..., Workspace]) -> None:
    begin().upload([row()])
    assert begin().count() == 1
