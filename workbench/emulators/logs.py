"""Log Analytics: the Logs Ingestion API and the query API, over rows in SQLite.

Ingestion: `POST /dataCollectionRules/{rule}/streams/{stream}`, 204. Query, GET and POST:
`/v1/{resource id}/query` and `/v1/workspaces/{customer id}/query`.
"""

from __future__ import annotations

import json
import math
import sqlite3
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from workbench.emulators.logs_queries import SCHEMA, Asker, semantic_error
from workbench.emulators.logs_rows import PAYLOAD_BYTES, Refused, Stream, read_rows, stored
from workbench.emulators.rates import Rate

Json = dict[str, Any]
Caller = Callable[[Request, str], str | None]

INGESTION_AUDIENCE = "https://monitor.azure.com"
QUERY_AUDIENCE = "https://api.loganalytics.io"
INGESTION_VERSIONS = ("2021-11-01-preview", "2023-01-01")
QUERIES_PER_30_SECONDS = 200
"""Of one caller."""


@dataclass(frozen=True)
class Rule:
    """A data collection rule: the resource id of its workspace, and its streams."""

    workspace: str
    streams: tuple[Stream, ...]


class Logs:
    """The workspaces behind some rules; rows survive in `<home>/emulators/logs.db`.

    `rules`: immutable id -> Rule. `customer_ids`: a workspace's id for queries -> its resource
    id. Rows show in queries after `visible_after_seconds`. `clock`: epoch seconds.
    """

    def __init__(
        self,
        home: Path,
        *,
        rules: Mapping[str, Rule],
        customer_ids: Mapping[str, str] | None = None,
        visible_after_seconds: float = 0.0,
        queries_per_30_seconds: int | None = QUERIES_PER_30_SECONDS,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._rules = dict(rules)
        self._customer_ids = dict(customer_ids or {})
        self._visible_after = visible_after_seconds
        self._queries = Rate(queries_per_30_seconds, 30.0, clock)
        self._clock = clock
        folder = home / "emulators"
        folder.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(folder / "logs.db", check_same_thread=False)
        # A killed process loses nothing by this; a machine without power may.
        self._db.executescript("pragma journal_mode = wal; pragma synchronous = normal")
        self._db.executescript(SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def ingest(self, rule_id: str, stream_name: str, body: bytes, encoding: str) -> None:
        """Keep a payload's rows, all or none. Raises Refused (400, 404, 413)."""
        rule = self._rules.get(rule_id)
        if rule is None:
            message = f"Data collection rule with immutable Id '{rule_id}' not found."
            raise Refused(404, "NotFound", message)
        streams = {stream.name: stream for stream in rule.streams}
        if stream_name not in streams:
            message = f"The stream {stream_name} was not configured in the ingestion rule."
            raise Refused(400, "InvalidStream", message)
        self._keep(rule.workspace, streams[stream_name], read_rows(body, encoding))

    def query(self, workspace: str, query: str, who: str) -> Json:
        """Answer a query. Raises Refused (400, 404), and Busy."""
        wait = self._queries.take(who)
        if wait:
            raise Busy(wait)
        tables = {
            stream.table: stream
            for rule in self._rules.values()
            for stream in rule.streams
            if rule.workspace.lower() == workspace.lower()
        }
        if not tables:
            raise Refused(404, "WorkspaceNotFoundError", "The workspace could not be found.")
        until = self._clock() - self._visible_after
        return Asker(self._db, workspace.lower(), tables, until).answer(query)

    def workspace(self, customer_id: str) -> str:
        """The resource id of the workspace with this id; empty when there is none."""
        return self._customer_ids.get(customer_id, "")

    def _keep(self, workspace: str, to: Stream, rows: list[Json]) -> None:
        now = self._clock()
        received = datetime.fromtimestamp(now, UTC)
        values = [
            (workspace.lower(), to.table, now, json.dumps(stored(row, to, received)))
            for row in rows
        ]
        with self._db:
            self._db.executemany(
                "insert into row (workspace, name, received, body) values (?, ?, ?, ?)", values
            )


class Busy(Exception):
    """A caller asks too often; `seconds` to wait."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"wait {seconds} s")
        self.seconds = seconds


def routes(service: Logs, caller: Caller) -> list[BaseRoute]:
    """The APIs' routes; `caller` names who asks, or None."""

    async def ingest(request: Request) -> Response:
        if caller(request, INGESTION_AUDIENCE) is None:
            return _error(401, "InvalidToken", "The access token is missing or invalid.")
        if request.query_params.get("api-version") not in INGESTION_VERSIONS:
            return _error(400, "InvalidApiVersion", "The api-version is missing or unknown.")
        parameters, encoding = request.path_params, request.headers.get("content-encoding", "")
        try:
            body = await _body(request)
            service.ingest(parameters["rule"], parameters["stream"], body, encoding.lower())
        except Refused as refused:
            return _error(refused.status, refused.code, refused.message)
        return Response(status_code=204)

    async def query_workspace(request: Request) -> Response:
        return await query(request, service.workspace(request.path_params["id"]))

    async def query_resource(request: Request) -> Response:
        return await query(request, "/" + request.path_params["resource"])

    async def query(request: Request, workspace: str) -> Response:
        who = caller(request, QUERY_AUDIENCE)
        if who is None:
            return _error(401, "InvalidTokenError", "Valid authentication was not provided")
        try:
            return JSONResponse(service.query(workspace, await _query(request), who))
        except Refused as refused:
            return _query_error(refused)
        except Busy as busy:
            wait = {"Retry-After": str(math.ceil(busy.seconds))}
            return _error(429, "ThrottledError", "Rate limit is exceeded", wait)

    return [
        Route("/dataCollectionRules/{rule}/streams/{stream}", ingest, methods=["POST"]),
        Route("/v1/workspaces/{id}/query", query_workspace, methods=["GET", "POST"]),
        Route("/v1/{resource:path}/query", query_resource, methods=["GET", "POST"]),
    ]


async def _body(request: Request) -> bytes:
    """The body, read no further than the limit needs."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > PAYLOAD_BYTES:
            break
    return b"".join(chunks)


async def _query(request: Request) -> str:
    """The query text. Raises Refused for what no query of the product has."""
    asked: Any = dict(request.query_params)
    if request.method == "POST":
        try:
            asked = await request.json()
        except ValueError as error:
            raise Refused(400, "BadArgumentError", "The body is not JSON.") from error
    if not isinstance(asked, dict) or not isinstance(asked.get("query"), str):
        raise Refused(400, "BadArgumentError", "A query is required.")
    if asked.get("timespan") or asked.get("workspaces"):
        raise semantic_error("this local workspace takes no timespan and no further workspaces")
    return str(asked["query"])


def _error(
    status: int, code: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    body = {"error": {"code": code, "message": message}}
    return JSONResponse(body, status, headers=headers)


def _query_error(refused: Refused) -> Response:
    """The query API tells what is wrong with a query two levels down."""
    if not refused.code.startswith("SEM"):
        return _error(refused.status, refused.code, refused.message)
    cause = {"code": refused.code, "message": refused.message}
    inner = {"code": "SemanticError", "message": "A semantic error occurred.", "innererror": cause}
    error = {
        "message": "The request had some invalid properties",
        "code": "BadArgumentError",
        "innererror": inner,
    }
    return JSONResponse({"error": error}, 400)
