"""An emulated Log Analytics with Microsoft's clients, for the tests of its two halves."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
from azure.monitor.ingestion import LogsIngestionClient
from azure.monitor.query import LogsQueryClient, LogsQueryResult

from shared import queries
from tests.system.emulated import Credential, caller, refused, serve, token
from workbench.emulators import logs
from workbench.emulators.logs import Logs, Rule
from workbench.emulators.logs_rows import Stream, stream

INFRA = Path(__file__).parents[2] / "infra"
DECLARED, OF_HEALTH = (
    json.loads((INFRA / f"{name}-stream.json").read_text(encoding="utf-8"))
    for name in ("findings", "health")
)
FINDINGS, HEALTH = stream(DECLARED), stream(OF_HEALTH)
OTHER = Stream("Custom-Other", "Other_CL", {"TimeGenerated": "datetime", "RunId": "string"})
WORKSPACE = "/subscriptions/s/resourceGroups/g/providers/Microsoft.OperationalInsights/workspaces/w"
ELSEWHERE = WORKSPACE + "2"
NOW = datetime(2026, 3, 5, 12, 0, 0, tzinfo=UTC)


@dataclass
class Clock:
    """Epoch seconds that move by hand."""

    now: float = NOW.timestamp()

    def __call__(self) -> float:
        return self.now


class Workspace:
    """An emulator with its clients."""

    def __init__(self, home: Path, ends: ExitStack, **options: Any) -> None:
        self.clock = Clock()
        rules = {"dcr-1": Rule(WORKSPACE, (FINDINGS, HEALTH)), "dcr-2": Rule(ELSEWHERE, (OTHER,))}
        service = Logs(
            home, rules=rules, customer_ids={"c-1": WORKSPACE}, clock=self.clock, **options
        )
        ends.callback(service.close)
        self.address = serve(logs.routes(service, caller), ends)
        self._ingestion = ends.enter_context(
            LogsIngestionClient(self.address, Credential(), retry_total=0)
        )
        self._query = ends.enter_context(
            LogsQueryClient(
                Credential(),
                endpoint=self.address,
                audience="https://api.loganalytics.io",
                retry_total=0,
            )
        )

    def upload(self, rows: Any, rule: str = "dcr-1", to: str = FINDINGS.name) -> None:
        self._ingestion.upload(rule, to, rows, enforce_https=False)

    def ask(self, query: str, resource: str = WORKSPACE, **options: Any) -> Any:
        answer = self._query.query_resource(
            resource.lstrip("/"), query, **{"timespan": None} | options, enforce_https=False
        )
        assert isinstance(answer, LogsQueryResult)
        return answer.tables[0]

    def count(self, run_id: str = "run-1") -> int:
        return int(self.ask(queries.count_findings(run_id)).rows[0][0])

    def findings(self, run_id: str = "run-1") -> list[dict[str, Any]]:
        table = self.ask(queries.findings_of_run(run_id))
        return [dict(zip(table.columns, row, strict=True)) for row in table.rows]

    def post(self, body: bytes, version: str = "2023-01-01", **headers: str) -> httpx.Response:
        """An upload without the client, for what the client would not send."""
        return httpx.post(
            f"{self.address}/dataCollectionRules/dcr-1/streams/{FINDINGS.name}",
            params={"api-version": version},
            content=body,
            headers={**token("https://monitor.azure.com"), **headers},
        )


def row(finding: str = "f-1", run_id: str = "run-1", **more: Any) -> dict[str, Any]:
    return {"FindingId": finding, "RunId": run_id, "TimeGenerated": NOW.isoformat(), **more}


def refusal(act: Callable[[], object]) -> tuple[int | None, Any]:
    """Status and `error` of a refusal."""
    status, body = refused(act)
    return status, body["error"]
