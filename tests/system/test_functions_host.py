"""HTTP triggers, keys, failures and the admin routes of the functions host."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import httpx
import pytest

from tests.system.functions_apps import APP
from tests.system.functions_process import (
    KEY,
    Running,
    running,
    wait_for,
    write_app,
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    app = write_app(tmp_path_factory.mktemp("host") / "app", APP)
    with running(app, **{"AzureWebJobs.off.Disabled": "true"}) as host:
        yield host


def test_a_request_reaches_the_function_whole_and_its_response_comes_back(host: Running) -> None:
    answer = host.post(
        "/api/echo/a%2Fb%20c?x=1&x=2&empty=&y=z",
        headers={"x-functions-key": KEY, "x-asked": "why", "traceparent": "00-ab-cd-01"},
        json={"deep": [1]},
    )
    assert answer.status_code == 201
    assert answer.headers["x-answer"] == "42"
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["set-cookie"] == "a=1; Path=/"
    body = answer.json()
    assert body.pop("invocation")
    assert body == {
        "method": "POST",
        "url": f"{host.url}/api/echo/a%2Fb%20c?x=1&x=2&empty=&y=z",
        "params": {"x": "1,2", "y": "z"},
        "route": {"id": "a%2Fb c"},
        "header": "why",
        "json": {"deep": [1]},
        "function": "echo",
        "trace": "00-ab-cd-01",
    }


@pytest.mark.parametrize(
    ("path", "status", "text"),
    [
        ("/api/echo/7", 200, "read 7"),
        ("/API/Echo/7", 200, "read 7"),
        ("/api/echo/newest", 200, "newest"),
        ("/api/echo/7/", 200, "read 7"),
        ("/api/echo", 404, ""),
        ("/api/echo/7/8", 404, ""),
        ("/echo/7", 404, ""),
        ("/api/number/12/a/b", 200, '{"n": "12", "rest": "a/b"}'),
        ("/api/number/12", 200, '{"n": "12"}'),
        ("/api/number/twelve/a", 404, ""),
        ("/api/maybe", 200, "none"),
        ("/api/maybe/2", 200, "2"),
        ("/api/rooted", 404, ""),
        ("/", 200, "Your function app is up and running."),
    ],
)
def test_routes_match_as_azure_matches_them(
    host: Running, path: str, status: int, text: str
) -> None:
    answer = host.get(path)
    assert (answer.status_code, answer.text) == (status, text)


def test_a_method_that_no_function_takes_is_404(host: Running) -> None:
    assert httpx.delete(f"{host.url}/api/echo/7").status_code == 404


@pytest.mark.parametrize(
    ("path", "key", "status"),
    [
        ("/api/locked", None, 401),
        ("/api/locked", "wrong", 401),
        ("/api/locked", "schlüssel", 401),
        ("/api/locked", KEY, 200),
        (f"/api/locked?code={KEY}", None, 200),
        ("/api/locked?code=wrong", None, 401),
        ("/admin/functions", None, 401),
        ("/admin/nothing", KEY, 404),
    ],
)
def test_keys_open_what_they_should(host: Running, path: str, key: str | None, status: int) -> None:
    headers = {"x-functions-key": key.encode()} if key else {}
    assert host.get(path, headers=headers).status_code == status


def test_a_post_without_the_key_does_not_run(host: Running) -> None:
    before = host.tally("echo")
    assert host.post("/api/echo/7", json={}).status_code == 401
    assert host.tally("echo") == before


def test_a_name_that_was_rebound_to_this_machine_reaches_nothing(host: Running) -> None:
    assert host.get("/api/echo/7", headers={"host": "evil.example"}).status_code == 400


def test_the_app_does_not_see_the_hosts_key(host: Running) -> None:
    assert host.get("/api/unseen").text == "False"


@pytest.mark.parametrize(
    ("how", "error"),
    [
        ("raise", "ValueError: broken on purpose"),
        ("exit", "SystemExit: 3"),
        ("nothing", "TypeError: broken returned NoneType, not a response"),
    ],
)
def test_a_failing_function_is_counted_and_logged_and_spares_the_host(
    host: Running, how: str, error: str
) -> None:
    before = host.tally("broken")
    answer = host.get(f"/api/broken/{how}")
    assert (answer.status_code, answer.text) == (500, "")
    after = host.tally("broken")
    assert (after["started"], after["failed"]) == (before["started"] + 1, before["failed"] + 1)
    assert after["succeeded"] == before["succeeded"]
    assert after["last_error"].startswith(error)
    [record] = [line for line in host.log() if error in line.get("exception", "")]
    assert "Traceback" in record["exception"]
    assert (record["function"], record["level"]) == ("broken", "ERROR")


def test_sync_functions_run_beside_each_other(host: Running) -> None:
    with httpx.Client(timeout=20) as client:
        began = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-c", f"import httpx; httpx.get('{host.url}/api/slow?seconds=1.5')"]
        ) as other:
            wait_for(lambda: bool(host.tally("slow")["busy"]))
            assert client.get(f"{host.url}/api/slow?seconds=0").text == "slept"
            assert host.tally("slow")["busy"] == 1
            assert other.wait(10) == 0
        assert time.monotonic() - began < 10


def test_what_the_host_refuses_costs_that_function_alone(host: Running) -> None:
    status = host.admin("/admin/host/status")
    assert (status["state"], status["errors"]) == ("Running", [])
    reasons = status["functionErrors"]
    assert set(reasons) == {"queued", "unset", "misspelt", "rooted"}
    assert "queueTrigger" in reasons["queued"]
    assert "set NOWHERE" in reasons["unset"]
    assert "every second" in reasons["misspelt"]
    said = [line["message"] for line in host.log() if line["level"] == "ERROR"]
    assert sum("is in error" in line for line in said) == len(reasons)


def test_admin_lists_functions_and_invocations(host: Running) -> None:
    functions = {entry["name"]: entry for entry in host.admin("/admin/functions")}
    assert functions["off"]["isDisabled"] is True
    assert functions["taken"]["config"]["bindings"] == [
        {"direction": "IN", "type": "eventGridTrigger", "name": "event"}
    ]
    tallies = host.admin("/admin/tidehunt/invocations")
    assert set(tallies) == set(functions)
    assert tallies["off"] == {
        "trigger": "eventGridTrigger",
        "started": 0,
        "succeeded": 0,
        "failed": 0,
        "busy": 0,
        "last": None,
        "last_error": None,
    }
    read_before = tallies["read"]["started"]
    asked_at = datetime.now(UTC)
    host.get("/api/echo/7")
    read = host.tally("read")
    assert read["started"] == read_before + 1
    assert datetime.fromisoformat(read["last"]) >= asked_at
