"""What adapters read out of the services' answers, and out of refusals with a meaning."""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.errors import (
    Conflict,
    Missing,
    OutcomeUnknown,
    Permanent,
    Rejected,
    TidehuntError,
    TooLarge,
    Transient,
)
from tests.contract.calls import (
    CALL_SECONDS,
    CALLS,
    INCIDENT,
    JOB,
    WORKSPACE,
    Call,
    engine,
    incident_sink,
    notifier,
    raised_by,
    sink,
    workspace,
)
from tests.contract.scripted_server import Answer, Script


def test_the_ways_ingestion_says_too_large_and_no_such_stream(server: Script) -> None:
    server.play(Answer(400, b'{"error":{"code":"ReadyBody_ClientConnectionAbort"}}'))
    with pytest.raises(TooLarge):
        sink(server.url).send(b"[]")
    server.play(Answer(400, b'{"error":{"code":"InvalidStream","message":"Custom-X ..."}}'))
    with pytest.raises(Missing, match="TIDEHUNT_STREAM"):
        sink(server.url).send(b"[]")


def test_ingestion_never_repeats_what_a_refusal_quotes(server: Script) -> None:
    body = {"error": {"code": "InvalidPayload", "message": "hostile row <script>"}}
    server.play(Answer(400, json.dumps(body).encode(), {"Content-Type": "application/json"}))
    error = raised_by(CALLS[4], server.url)
    assert "InvalidPayload" in str(error)
    assert "script" not in str(error)


@pytest.mark.parametrize("status", [409, 412])
def test_a_stale_incident_is_a_conflict(server: Script, status: int) -> None:
    server.play(Answer(status, b'{"error":{"code":"Conflict","message":"newer version"}}'))
    with pytest.raises(Conflict):
        incident_sink(server.url).put(WORKSPACE, INCIDENT, {}, '"1"')
    assert json.loads(server.arrived[0].body)["etag"] == '"1"'
    assert server.arrived[0].headers["if-match"] == '"1"'


def test_a_comment_that_is_refused_because_it_is_there_is_fine(server: Script) -> None:
    server.play(Answer(409), Answer(200, b'{"properties":{}}'))
    incident_sink(server.url).comment(WORKSPACE, INCIDENT, INCIDENT, "text")
    assert [request.method for request in server.arrived] == ["PUT", "GET"]


def test_what_synapse_says_about_cores(server: Script) -> None:
    said = "Job was submitted with resources=[24] when the compute has a capacity of=[12]"
    server.play(Answer(400, json.dumps({"TraceId": "t", "Message": said}).encode()))
    with pytest.raises(Permanent, match="TIDEHUNT_EXECUTORS"):
        engine(server.url).submit(JOB)
    server.play(Answer(400, b'{"Message":"[MAXIMUM_WORKSPACE_CAPACITY_EXCEEDED] Your job ..."}'))
    error = raised_by(CALLS[0], server.url)
    assert type(error) is Transient
    server.play(Answer(400, b'{"Message":"file is not a path"}'))
    assert isinstance(raised_by(CALLS[0], server.url), Rejected)


def test_synapse_s_202_is_unknown(server: Script) -> None:
    server.play(Answer(202, b'{"id":3}'))
    assert isinstance(raised_by(CALLS[0], server.url), OutcomeUnknown)


@pytest.mark.parametrize(
    ("result", "state", "expected"),
    [
        ("Succeeded", "running", "succeeded"),
        ("Failed", "success", "failed"),
        ("Cancelled", "dead", "cancelled"),
        ("Uncertain", "success", "succeeded"),
        ("Uncertain", "killed", "cancelled"),
        ("Uncertain", "dead", "failed"),
        ("Uncertain", "error", "failed"),
        (None, "success", "succeeded"),
        (None, "not_started", "queued"),
        ("Uncertain", "starting", "queued"),
        ("Uncertain", "running", "running"),
        ("Uncertain", "recovering", "running"),
        ("Uncertain", "a_state_of_2031", "running"),
        ("AResultOf2031", "dead", "failed"),
        (None, None, "running"),
    ],
)
def test_synapse_s_result_is_judge_then_its_state(
    server: Script, result: str | None, state: str | None, expected: str
) -> None:
    job = {"id": 0, "name": "job-1", "result": result, "state": state}
    server.play(Answer(200, json.dumps(job).encode(), {"Content-Type": "application/json"}))
    found = engine(server.url).get("0")
    assert found is not None
    assert (found.engine_id, found.job_id, found.state) == ("0", "job-1", expected)


@pytest.mark.parametrize("ignores_from", [False, True])
def test_synapse_lists_every_page_of_twenty_and_ends(server: Script, ignores_from: bool) -> None:
    jobs = [{"id": n, "name": f"job-{n}", "state": "dead"} for n in range(47)]

    def page(request: Any) -> Answer:
        start = 0 if ignores_from else int(request.path.split("from=")[1].split("&")[0])
        body = {"from": start, "total": 47, "sessions": jobs[start : start + 20]}
        return Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json"})

    server.play(page)
    found = engine(server.url).list()
    assert [job.engine_id for job in found] == [str(n) for n in range(20 if ignores_from else 47)]
    assert all("detailed=true" in request.path.lower() for request in server.arrived)


def test_a_table_that_nobody_wrote_to_has_no_rows(server: Script) -> None:
    inner = {
        "code": "SEM0100",
        "message": "'where' operator: Failed to resolve table or column expression named "
        "'TidehuntFindings_CL'",
    }
    middle = {"code": "SemanticError", "message": "A semantic error occurred.", "innererror": inner}
    error = {"error": {"code": "BadArgumentError", "message": "bad", "innererror": middle}}
    server.play(Answer(400, json.dumps(error).encode(), {"Content-Type": "application/json"}))
    assert workspace(server.url).count_findings("r") == 0
    assert workspace(server.url).findings_of_run("r") == []
    inner["message"] = "'where' operator: Failed to resolve scalar expression named 'RunId'"
    server.play(Answer(400, json.dumps(error).encode(), {"Content-Type": "application/json"}))
    with pytest.raises(Rejected):
        workspace(server.url).count_findings("r")


def test_a_partial_count_is_no_count(server: Script) -> None:
    table = {
        "name": "PrimaryResult",
        "columns": [{"name": "Count", "type": "long"}],
        "rows": [[3]],
    }
    whole = {"tables": [table]}
    headers = {"Content-Type": "application/json"}
    server.play(Answer(200, json.dumps(whole).encode(), headers))
    assert workspace(server.url).count_findings("r") == 3
    assert server.arrived[0].path.startswith(f"/v1{WORKSPACE}/query")
    partial = {**whole, "error": {"code": "PartialError", "message": "some", "details": []}}
    server.play(Answer(200, json.dumps(partial).encode(), headers))
    error = raised_by(CALLS[5], server.url)
    assert type(error) is Transient


@pytest.mark.parametrize(
    "link",
    [
        "https://evil.example/incidents",
        "http://127.0.0.1/incidents",
        "https://127.0.0.1:1/incidents",
        "https://127.0.0.1@evil.example/x",
        "//evil.example/x",
        "https://[",
        "file:///etc/passwd",
    ],
)
def test_foreign_links_are_not_followed(server: Script, link: str) -> None:
    server.play(Answer(200, json.dumps({"value": [], "nextLink": link}).encode()))
    with pytest.raises(Permanent):
        list(incident_sink(server.url).list(WORKSPACE))
    assert len(server.arrived) == 1


def test_own_links_are_followed(server: Script) -> None:
    item = {"name": INCIDENT, "etag": '"1"', "properties": {"title": "t"}}
    first = {"value": [item], "nextLink": f"{server.url}/next?$skipToken=1"}
    server.play(Answer(200, json.dumps(first).encode()), Answer(200, b'{"value":[]}'))
    assert [found.id for found in incident_sink(server.url).list(WORKSPACE)] == [INCIDENT]
    assert server.arrived[1].path == "/next?$skipToken=1"


def test_an_event_is_one_cloud_event_with_its_own_id(
    server: Script, caplog: pytest.LogCaptureFixture
) -> None:
    server.play(Answer(200))
    notifier(server.url).publish("id-1", "Tidehunt.RunEnded", "runs/1", {"findings": 2})
    assert [record for record in caplog.records if record.levelname == "WARNING"] == []
    (event,) = json.loads(server.arrived[0].body)
    assert event["specversion"] == "1.0"
    assert {name: event[name] for name in ("id", "type", "source", "subject", "data")} == {
        "id": "id-1",
        "type": "Tidehunt.RunEnded",
        "source": "/tidehunt",
        "subject": "runs/1",
        "data": {"findings": 2},
    }


LEAF = st.none() | st.booleans() | st.integers(-3, 2**40) | st.floats() | st.text(max_size=8)
WORDS = st.sampled_from(
    [
        *("id", "name", "state", "result", "tags", "errorInfo", "sessions", "from", "total"),
        *("livyInfo", "schedulerInfo", "submittedAt", "message", "errorCode", "log", "appInfo"),
        *("value", "nextLink", "etag", "properties", "error", "code", "innererror", "details"),
        *("tables", "columns", "rows", "type", "TraceId", "Message"),
    ]
)
JSON = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=5),
    max_leaves=15,
)


@settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.sampled_from(CALLS), st.sampled_from([200, 200, 201, 400, 409, 500]), JSON)
def test_whatever_a_service_answers_only_our_errors_come_out(
    server: Script, call: Call, status: int, body: object
) -> None:
    content = json.dumps(body).encode()
    server.play(Answer(status, content, {"Content-Type": "application/json"}))
    with suppress(TidehuntError):
        call.run(server.url, CALL_SECONDS)
