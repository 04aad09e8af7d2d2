"""How the functions host starts, refuses to start, and ends."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.system.functions_apps import APP
from tests.system.functions_process import (
    HEAD,
    command,
    environment,
    refused,
    running,
    wait_for,
    write_app,
)


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("raise RuntimeError('at import')", "at import"),
        ("import nothing_of_that_name", "nothing_of_that_name"),
        ("def (", "SyntaxError"),
        ("raise SystemExit('gone')", "gone"),
        (HEAD + "x = 1", "must define one FunctionApp"),
        (HEAD + "a = func.FunctionApp()\nb = func.FunctionApp()", "must define one FunctionApp"),
        (HEAD + "app = func.FunctionApp()\n@app.route()\ndef f(other): ...", "cannot load f"),
        (
            HEAD + "app = func.FunctionApp()\n@app.event_grid_trigger(arg_name='e')\n"
            "def f(e: func.EventGridEvent | func.CloudEvent) -> None: ...",
            "cannot load f",
        ),
        (
            HEAD + "app = func.FunctionApp()\n@app.route()\n"
            "def f(req: func.HttpRequest) -> None: ...",
            "cannot load f",
        ),
        (
            HEAD
            + "app = func.FunctionApp()\n"
            + "@app.route()\ndef f(req: func.HttpRequest) -> str: ...\n" * 2,
            "unique",
        ),
        (
            HEAD + "from __future__ import annotations\n",
            "SyntaxError",
        ),
    ],
)
def test_an_app_that_cannot_be_loaded_has_no_functions_and_says_why(
    tmp_path: Path, code: str, why: str
) -> None:
    with running(write_app(tmp_path / "app", code)) as host:
        status = host.admin("/admin/host/status")
        log = host.log()
    assert (status["state"], status["functions"]) == ("Running", 0)
    assert why in status["errors"][0]
    assert any(line["level"] == "ERROR" and why in line["message"] for line in log)


def test_an_event_grid_trigger_needs_the_extension_bundle(tmp_path: Path) -> None:
    code = HEAD + (
        "app = func.FunctionApp()\n@app.event_grid_trigger(arg_name='e')\n"
        "def f(e: func.EventGridEvent) -> None: ..."
    )
    with running(write_app(tmp_path / "app", code, extensionBundle={})) as host:
        assert "ExtensionBundle" in host.admin("/admin/host/status")["functionErrors"]["f"]


def test_a_port_in_use_is_one_clear_line(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", APP)
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        line = refused(app, "--port", str(port))
    assert f"127.0.0.1:{port}" in line
    assert "--port" in line


def test_other_reasons_not_to_start_are_one_clear_line(tmp_path: Path) -> None:
    app = write_app(tmp_path / "app", APP, functionTimeout="soon")
    assert "functionTimeout" in refused(app)
    assert "TIDEHUNT_HOST_KEY" in refused(app, TIDEHUNT_HOST_KEY="")
    (app / "host.json").write_text("{")
    assert "host.json" in refused(app)
    write_app(app, APP)
    (app / "local.settings.json").write_text('{"IsEncrypted": true, "Values": {}}')
    assert "decrypt" in refused(app)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_host_in_two_seconds_with_work_under_way(
    tmp_path: Path, number: signal.Signals
) -> None:
    with running(write_app(tmp_path / "app", APP)) as host:
        asker = [sys.executable, "-c", f"import httpx; httpx.get('{host.url}/api/slow?seconds=60')"]
        with subprocess.Popen(asker, stderr=subprocess.DEVNULL) as client:
            wait_for(lambda: bool(host.tally("slow")["busy"]))
            began = time.monotonic()
            host.process.send_signal(number)
            assert host.process.wait(5) == 0
            assert time.monotonic() - began < 2
            client.kill()
        assert "Traceback" not in host.stderr.read_text()


def test_the_host_ends_with_its_parent(tmp_path: Path) -> None:
    app, address = write_app(tmp_path / "app", APP), tmp_path / "address.json"
    launch = f"import subprocess, time; subprocess.Popen({command(app)!r} + " + (
        f"['--address-file', {str(address)!r}]); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", launch],
        env=environment(tmp_path),
        stderr=subprocess.DEVNULL,
    ) as parent:
        wait_for(address.exists)
        url = json.loads(address.read_text())["url"]
        assert httpx.get(url).status_code == 200
        parent.kill()

    def gone() -> bool:
        try:
            httpx.get(url)
        except httpx.TransportError:
            return True
        return False

    wait_for(gone, 5)
