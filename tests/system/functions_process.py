"""The functions host as its own process, spoken to over loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

KEY = "a-local-key"
BUNDLE = {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"}
HEAD = "import os, sys, json, time, logging\nimport azure.functions as func\n"


@dataclass
class Running:
    """A host process and where it answers."""

    process: subprocess.Popen[bytes]
    url: str
    stderr: Path
    seen: Path

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, timeout=20, **options)

    def post(self, path: str, **options: Any) -> httpx.Response:
        return httpx.post(self.url + path, timeout=20, **options)

    def admin(self, path: str) -> Any:
        answer = self.get(path, headers={"x-functions-key": KEY})
        assert answer.status_code == 200
        return answer.json()

    def tally(self, name: str) -> Any:
        return self.admin("/admin/tidehunt/invocations")[name]

    def notes(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.seen.read_text().splitlines()]

    def log(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.stderr.read_text().splitlines()]


def write_app(folder: Path, code: str, **host_json: object) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "function_app.py").write_text(code)
    document = {"version": "2.0", "extensionBundle": BUNDLE} | host_json
    (folder / "host.json").write_text(json.dumps(document))
    return folder


def command(app: Path, *more: str) -> list[str]:
    return [sys.executable, "-m", "workbench.host", "--app", str(app), *more]


def environment(folder: Path, **settings: str) -> dict[str, str]:
    seen = folder / "seen.jsonl"
    seen.touch()
    return os.environ | {"TIDEHUNT_HOST_KEY": KEY, "SEEN": str(seen)} | settings


@contextmanager
def running(app: Path, **settings: str) -> Iterator[Running]:
    folder = app.parent
    address, stderr = folder / "address.json", folder / "stderr.jsonl"
    with stderr.open("wb") as log:
        process = subprocess.Popen(
            command(app, "--address-file", str(address)),
            env=environment(folder, **settings),
            stderr=log,
            stdout=subprocess.PIPE,
            cwd=folder,
        )
    try:
        wait_for(lambda: address.exists() or process.poll() is not None)
        written = json.loads(address.read_text())
        assert written["pid"] == process.pid
        yield Running(process, written["url"], stderr, folder / "seen.jsonl")
    finally:
        process.terminate()
        out, _ = process.communicate(timeout=10)
        assert out == b""


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited in vain"
        time.sleep(0.02)


def refused(app: Path, *more: str, **settings: str) -> str:
    """Start a host that cannot start; its one line."""
    env = environment(app.parent, **settings)
    done = subprocess.run(
        command(app, *more), env=env, capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line
