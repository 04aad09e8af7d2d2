"""`ports.Workspace` over the Log Analytics query API.

Facts that this file rests on (azure-monitor-query 2.0.0):
* The token's audience is api.loganalytics.io whatever the address; the SDK takes the address.
* A resource id must come without its first slash: the SDK does not remove it.
* A table that nobody wrote to yet is no empty table but a 400: SemanticError, SEM0100, "Failed to
  resolve table ...".
* An answer may be partial (500,000 rows, 100 MB, time): then a count is no count.
* The SDK reads an error's body as JSON before it looks at the status, so that an empty 429 or a
  gateway's page comes as a ValueError: our hook looks first.
* Columns of type `dynamic` come as JSON text.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline import PipelineResponse
from azure.core.rest import HttpRequest, HttpResponse
from azure.monitor.query import LogsQueryClient, LogsQueryPartialResult, LogsTable

from shared import queries
from shared.adapters.azure_errors import one_request, service_text, translated
from shared.errors import Conflict, Rejected, Transient
from shared.model import Json

AUDIENCE = "https://api.loganalytics.io"
_NO_TABLE = re.compile(r"Failed to resolve table [^'\"]*['\"\\]+TidehuntFindings_CL\b")


def query_client(endpoint: str, credential: TokenCredential) -> LogsQueryClient:
    """Client of a query endpoint, with or without its `/v1`."""
    return LogsQueryClient(credential, endpoint=endpoint, audience=AUDIENCE)


class LogAnalyticsWorkspace:
    """Asks one workspace, named by its resource id."""

    def __init__(self, client: LogsQueryClient, resource_id: str, call_seconds: float) -> None:
        self._client = client
        self._resource = resource_id
        self._options = {
            **one_request(call_seconds),
            "server_timeout": max(1, int(call_seconds)),
            "raw_response_hook": _refuse_errors,
        }

    def count_findings(self, run_id: str) -> int:
        """Distinct FindingIds that the findings table holds for a run."""
        table = self._ask(queries.count_findings(run_id))
        if table is None:
            return 0
        with translated("count findings", run_id, acts=False):
            return int(table.rows[0][0])

    def sample_findings(self, run_id: str) -> list[Json]:
        """Some of a run's rows: column -> JSON value (times as ISO text)."""
        return self._rows(queries.sample_findings(run_id))

    def findings_of_run(self, run_id: str) -> list[Json]:
        """The latest row of each finding of a run: column -> JSON value (times as ISO text)."""
        return self._rows(queries.findings_of_run(run_id))

    def _rows(self, query: str) -> list[Json]:
        table = self._ask(query)
        if table is None:
            return []
        kinds = table.columns_types
        return [
            dict(zip(table.columns, map(_plain, row, kinds), strict=True)) for row in table.rows
        ]

    def _ask(self, query: str) -> LogsTable | None:
        """The first table of a whole answer, or None while the findings table does not exist."""
        try:
            with translated("query the workspace", self._resource, acts=False):
                answer = self._client.query_resource(
                    self._resource.lstrip("/"), query, timespan=None, **self._options
                )
        except Rejected as error:
            if _NO_TABLE.search(service_text(error)):
                return None
            raise
        except Conflict as error:
            raise Transient(error.what, where=error.where) from error
        if isinstance(answer, LogsQueryPartialResult):
            raise Transient("query the workspace: the answer is partial", where=self._resource)
        return answer.tables[0] if answer.tables else None


def _refuse_errors(response: PipelineResponse[HttpRequest, HttpResponse]) -> None:
    if response.http_response.status_code != 200:
        raise HttpResponseError(response=response.http_response)


def _plain(value: Any, kind: str) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if kind == "dynamic" and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return value
