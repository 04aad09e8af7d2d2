"""`tidehunt gap` at the terminal, against an app that answers over HTTP."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from shared import http_api
from shared.adapters.functions_http import encode
from tests.unit.filling import begun
from tests.unit.house import House
from workbench.cli import main, parser
from workbench.gap_commands import gap_fill


class Served(HTTPServer):
    """The routes of gaps over a house."""

    home: House


class Routes(BaseHTTPRequestHandler):
    server: Served

    def do_GET(self) -> None:
        asks_for_gaps = self.path == "/api/gaps"
        self._answer(
            *(http_api.list_gaps(self.server.home.deployment) if asks_for_gaps else (200, {}))
        )

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        self._answer(*http_api.fill_gaps(self.server.home.deployment, body))

    def _answer(self, code: int, told: Any) -> None:
        content = encode(told).encode()
        self.send_response(code)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: the screen belongs to the command."""


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[House, str]]:
    """A house, and the folder of a home that it is served from."""
    server = Served(("127.0.0.1", 0), Routes)
    server.home = begun()
    told = {"app": f"http://127.0.0.1:{server.server_port}", "key": "a-key"}
    (tmp_path / "serving.json").write_text(json.dumps(told), "utf-8")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.home, str(tmp_path)
    server.shutdown()
    thread.join()
    server.server_close()


def test_gaps_are_listed_for_people_and_for_scripts(
    served: tuple[House, str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["gap", "list", "--home", served[1]]) == 0
    assert "7 slots: before the first run" in capsys.readouterr().out
    assert main(["gap", "list", "--home", served[1], "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["gaps"][0]["slots"] == 7


def test_yes_tells_the_estimate_and_asks_nothing(
    served: tuple[House, str], capsys: pytest.CaptureFixture[str]
) -> None:
    home, folder = served
    command = ["gap", "fill", "--hunt", "beaconing", "--from", "2026-03-07", "--incidents", "--yes"]
    assert main([*command, "--workspace", "contoso", "--home", folder]) == 0
    told = capsys.readouterr().out
    assert "2 slots in about 1 job" in told and "with incidents" in told and "[y/N]" not in told
    (fill,) = home.documents("active/fills/").values()
    assert (fill["start"][:10], fill["end"][:10], fill["incidents"]) == (
        "2026-03-07", "2026-03-10", True
    )  # fmt: skip
    assert f"tidehunt abandon {fill['id']}" in told


@pytest.mark.parametrize(("typed", "code", "asked"), [("y\n", 0, 1), ("n\n", 1, 0), ("", 1, 0)])
def test_without_yes_a_person_is_asked(
    typed: str, code: int, asked: int, served: tuple[House, str]
) -> None:
    home, folder = served
    options = parser().parse_args(["gap", "fill", "--hunt", "beaconing", "--home", folder])
    assert gap_fill(options, io.StringIO(typed)) == code
    assert len(home.documents("active/fills/")) == asked


@pytest.mark.parametrize("verb", ["list", "fill"])
def test_each_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["gap", verb, "--help"])
    assert caught.value.code == 0
    assert len(capsys.readouterr().out) > 150
