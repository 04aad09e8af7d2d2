"""Answers the queries that the product sends to Log Analytics, and no others.

A query is recognised by its constant in `shared.queries`; its values are KQL string literals.
"""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Callable, Mapping
from typing import Any

from shared import queries
from workbench.emulators.logs_rows import TIME, Refused, Stream

Json = dict[str, Any]

SCHEMA = """
create table if not exists row (
    seq integer primary key, workspace text, name text, received real, body text
);
create index if not exists by_run on row (workspace, name, json_extract(body, '$.RunId'));
"""
_COUNT = """
select count(distinct coalesce(json_extract(body, '$.FindingId'), '')) from row
where workspace = ? and name = ? and json_extract(body, '$.RunId') = ? and received <= ?
"""
_SOME = """
select body from row
where workspace = ? and name = ? and json_extract(body, '$.RunId') = ? and received <= ?
order by seq limit 20
"""
_LATEST = """
select body from (
    select body, row_number() over (
        partition by json_extract(body, ?)
        order by json_extract(body, '$.TimeGenerated') desc, seq desc
    ) as newest
    from row
    where workspace = ? and name = ? and json_extract(body, '$.RunId') = ? and received <= ?
) where newest = 1
"""
_KQL_TYPES = {"boolean": "bool"}
_VALUE = r'("(?:[^"\\]|\\.)*")'


class Asker:
    """Asks the tables of one workspace: what was received until `until` (epoch seconds)."""

    def __init__(
        self, db: sqlite3.Connection, workspace: str, tables: Mapping[str, Stream], until: float
    ) -> None:
        self._db = db
        self._workspace = workspace
        self._tables = tables
        self._until = until

    def answer(self, query: str) -> Json:
        """The service's answer to a query. Raises Refused (400)."""
        template, values = recognised(query)
        name = template.split(" ", 1)[0]
        if name not in self._tables:
            raise semantic_error(f"Failed to resolve table or column expression named '{name}'")
        columns, rows = _ANSWERS[template](self, self._tables[name], *values)
        described = [{"name": column, "type": kind} for column, kind in columns.items()]
        return {"tables": [{"name": "PrimaryResult", "columns": described, "rows": rows}]}

    def count_findings(self, table: Stream, run_id: str) -> tuple[dict[str, str], list[Any]]:
        """COUNT_FINDINGS."""
        (count,) = self._db.execute(_COUNT, self._of_run(table, run_id)).fetchone()
        return {"Count": "long"}, [[count]]

    def sample_findings(self, table: Stream, run_id: str) -> tuple[dict[str, str], list[Any]]:
        """SAMPLE_FINDINGS."""
        columns = _columns({"TenantId": "string", TIME: "datetime"}, table)
        bodies = self._db.execute(_SOME, self._of_run(table, run_id))
        return columns, [_row(json.loads(body), columns, table.table) for (body,) in bodies]

    def findings_of_run(self, table: Stream, run_id: str) -> tuple[dict[str, str], list[Any]]:
        """FINDINGS_OF_RUN."""
        return self._latest("FindingId", table, run_id)

    def health_of_run(self, table: Stream, run_id: str) -> tuple[dict[str, str], list[Any]]:
        """HEALTH_OF_RUN."""
        return self._latest("RowId", table, run_id)

    def _latest(self, group: str, table: Stream, run_id: str) -> tuple[dict[str, str], list[Any]]:
        """The group's column first, then the maximised one, then the others."""
        columns = _columns({group: "string", TIME: "datetime", "TenantId": "string"}, table)
        bodies = self._db.execute(_LATEST, (f"$.{group}", *self._of_run(table, run_id)))
        return columns, [_row(json.loads(body), columns, table.table) for (body,) in bodies]

    def _of_run(self, table: Stream, run_id: str) -> tuple[object, ...]:
        return self._workspace, table.table, run_id, self._until


_ANSWERS: Mapping[str, Callable[..., tuple[dict[str, str], list[Any]]]] = {
    queries.COUNT_FINDINGS: Asker.count_findings,
    queries.SAMPLE_FINDINGS: Asker.sample_findings,
    queries.FINDINGS_OF_RUN: Asker.findings_of_run,
    queries.HEALTH_OF_RUN: Asker.health_of_run,
}


def _columns(first: dict[str, str], table: Stream) -> dict[str, str]:
    """A table's columns with their types in KQL, those that an answer begins with first."""
    own = {n: _KQL_TYPES.get(t, t) for n, t in table.columns.items() if n not in first}
    return {**first, **own, "Type": "string", "_ResourceId": "string"}


def _row(body: Json, columns: Mapping[str, str], table: str) -> list[Any]:
    """A string is never null in Kusto: where a row has none, it is empty."""
    system = {"TenantId": "00000000-0000-0000-0000-000000000000", "Type": table}
    values = {**body, **system}
    return [
        "" if values.get(name) is None and kind == "string" else values.get(name)
        for name, kind in columns.items()
    ]


def recognised(query: str) -> tuple[str, list[str]]:
    """The constant that a query was made of, and its values. Raises Refused (400)."""
    for template in _ANSWERS:
        parts = re.split(r"\{\w+\}", template)
        match = re.fullmatch(_VALUE.join(re.escape(part) for part in parts), query, re.DOTALL)
        if match:
            return template, [_value(literal) for literal in match.groups()]
    raise semantic_error(
        "this local workspace answers the queries of shared/queries.py only, and this is none"
    )


def _value(literal: str) -> str:
    try:
        return str(json.loads(literal))
    except ValueError as error:
        raise semantic_error(f"{literal} is not a string literal") from error


def semantic_error(message: str) -> Refused:
    """A query that the service cannot make sense of."""
    return Refused(400, "SEM0100", message)
