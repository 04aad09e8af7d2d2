"""Tables for tests of hunts: drawn by hand where each value matters, made where many do.

    SrcIpAddr | DstPortNumber | Url
    10.0.0.1  | 443           |
    10.0.0.2  |               | NULL

A blank cell is null, and so is every column that is not drawn: the schema is always the real one.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

Row = dict[str, Any]

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONNECTION: Row = {
    "EventResult": "Success",
    "EventCount": 1,
    "DvcAction": "Allow",
    "DstPortNumber": 443,
    "NetworkProtocol": "TCP",
    "SourceTable": "commonsecuritylog",
}
"""What a connection that was made has in any log."""

_CELLS: Mapping[str, Callable[[str], Any]] = {
    "string": str,
    "integer": int,
    "long": int,
    "double": float,
    "timestamp": lambda text: datetime.fromisoformat(text).replace(tzinfo=UTC),
    "boolean": lambda text: {"true": True, "false": False}[text],
}


def table(session: SparkSession, schema: StructType, drawing: str) -> DataFrame:
    """A drawn table as a DataFrame of this schema; ValueError for a column or cell too many."""
    kinds = {field.name: field.dataType.typeName() for field in schema.fields}
    header, *lines = (_cells(line) for line in drawing.strip().splitlines() if line.strip())
    unknown = [name for name in header if name not in kinds]
    if unknown:
        raise ValueError(f"the schema does not have {unknown}")
    return frame(session, schema, [_row(header, line, kinds) for line in lines])


def frame(session: SparkSession, schema: StructType, rows: Iterable[Row]) -> DataFrame:
    """Rows by column name as a DataFrame of this schema; what a row does not have is null."""
    names = schema.fieldNames()
    return session.createDataFrame([tuple(row.get(name) for name in names) for row in rows], schema)


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in line.split("|")]


def _row(header: Sequence[str], cells: Sequence[str], kinds: Mapping[str, str]) -> Row:
    named = zip(header, cells, strict=True)
    return {name: _CELLS[kinds[name]](cell) for name, cell in named if cell}


# --- rows of NetworkSession -------------------------------------------------------------------


def connection(time: datetime, **more: Any) -> Row:
    """One connection at a moment; `more` are columns of the view."""
    return {**CONNECTION, "TimeGenerated": time, "EventStartTime": time, **more}


def at_intervals(start: datetime, steps: Iterable[float], **more: Any) -> list[Row]:
    """A connection at `start` and one after each of the steps, in seconds."""
    times = [start]
    for step in steps:
        times.append(times[-1] + timedelta(seconds=step))
    return [connection(time, **more) for time in times]


def beacon(
    start: datetime, count: int, every: float, jitter: float = 0.0, seed: int = 0, **more: Any
) -> list[Row]:
    """`count` connections, `every` so many seconds, each interval up to `jitter` off either way."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    steps = [every * (1 + chance.uniform(-jitter, jitter)) for _ in range(count - 1)]
    return at_intervals(start, steps, **more)


def by_chance(start: datetime, count: int, every: float, seed: int = 0, **more: Any) -> list[Row]:
    """`count` connections at random, `every` so many seconds on average: no rhythm at all."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    return at_intervals(start, [chance.expovariate(1 / every) for _ in range(count - 1)], **more)
