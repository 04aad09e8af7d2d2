"""An emulated Sentinel, asked without a client."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from tests.system.emulated import caller, serve, token
from workbench.emulators import sentinel
from workbench.emulators.sentinel import Sentinel

WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
INCIDENT = {"title": "Beacon", "severity": "Medium", "status": "New"}
BOOKMARK = {"displayName": "Evidence", "query": "T"}
Json = dict[str, Any]


class Clock:
    """Epoch seconds that move by hand."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def __call__(self) -> float:
        return self.now


class Arm:
    """An emulator, asked without a client."""

    def __init__(self, home: Path, ends: ExitStack, **options: Any) -> None:
        self.clock = Clock()
        self.workspaces = [WORKSPACE]
        service = Sentinel(home, workspaces=self.workspaces, clock=self.clock, **options)
        ends.callback(service.close)
        headers = token("https://management.azure.com")
        self.address = serve(sentinel.routes(service, caller), ends)
        self._http = ends.enter_context(httpx.Client(base_url=self.address, headers=headers))

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        version: str | None = "2025-09-01",
        workspace: str = WORKSPACE,
        headers: dict[str, str] | None = None,
        **query: Any,
    ) -> httpx.Response:
        return self._http.request(
            method,
            f"{workspace}/providers/Microsoft.SecurityInsights/{path}",
            params={**({"api-version": version} if version else {}), **query},
            content=None if body is None else json.dumps(body),
            headers=headers,
        )

    def put(self, path: str, properties: Any, **more: Any) -> httpx.Response:
        return self.ask("PUT", path, {"properties": properties}, **more)

    def get(self, path: str, **more: Any) -> Any:
        answer = self.ask("GET", path, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()


def error_of(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]
