"""What a run could read and what not: silence is a fault, not a result."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from spark.exports import per_blob
from spark.plan import Hour, Plan, Run
from spark.views import used_columns

MOST_UNKNOWN = 20
"""Names of unknown columns that are told."""
_SUMS = ("Lines", "Rows", "Dropped")


def hours_of(plan: Plan, run: Run, table: str) -> list[Hour]:
    """The hours of a table that hold blobs and that the run's window covers."""
    start, end = run.window
    return [
        hour for hour in plan.hours(table) if f"{start:%Y%m%d%H}" <= hour.hour < f"{end:%Y%m%d%H}"
    ]


def coverage(
    plan: Plan, run: Run, copies: Mapping[str, DataFrame], read: Mapping[str, Sequence[str]]
) -> dict[str, Any]:
    """Hours planned, read and missing, and what each table's lines came to.

    `copies`: table -> every line of the hours that were read; `read`: table -> these hours.
    """
    planned = {table: hours_of(plan, run, table) for table in run.sources}
    hours = sum(len(found) for found in planned.values())
    done = sum(len(read.get(table, ())) for table in planned)
    tables = {
        table: _table(plan, run, table, copies[table], read[table])
        for table, found in planned.items()
        if found and read.get(table)
    }
    days = sorted({hour[:8] for table in read for hour in read[table]})
    return {
        "hours_planned": hours,
        "hours_read": done,
        "hours_missing": hours - done,
        "days_in_window": (run.window[1] - run.window[0]).days,
        "days_with_data": len(days),
        "first_data": _earliest(tables, "first"),
        "last_data": _latest(tables, "last"),
        "tables": tables,
    }


def _table(
    plan: Plan, run: Run, table: str, copies: DataFrame, hours: Sequence[str]
) -> dict[str, Any]:
    blobs = sum(hour.blobs for hour in hours_of(plan, run, table) if hour.hour in hours)
    used = [name for view in run.hunt.views for name in used_columns(view, table)]
    nulls = [
        F.count_if((F.col("_Kind") == "row") & F.col(name).isNull()).alias(f"null_{name}")
        for name in used
    ]
    times = [F.min("TimeGenerated").alias("first"), F.max("TimeGenerated").alias("last")]
    sums = [F.sum(name).alias(name) for name in (*_SUMS, *(f"null_{name}" for name in used))]
    ends = [
        F.min("first").alias("first"),
        F.max("last").alias("last"),
        F.count("_Blob").alias("Blobs"),
    ]
    row = per_blob(copies, *nulls, *times).agg(*sums, *ends).collect()[0]
    rows = row["Rows"] or 0
    return {
        "blobs": blobs,
        "empty_blobs": max(0, blobs - (row["Blobs"] or 0)),
        **{name.lower(): row[name] or 0 for name in _SUMS},
        "unknown_columns": _unknown(copies),
        "nulls": {n: round((row[f"null_{n}"] or 0) / rows, 4) for n in used} if rows else {},
        "first": _text(row["first"]),
        "last": _text(row["last"]),
    }


def _unknown(copies: DataFrame) -> list[str]:
    names = (
        copies.filter(F.col("_Unknown").isNotNull())
        .select(F.explode("_Unknown").alias("Name"))
        .groupBy("Name")
        .count()
        .orderBy(F.col("count").desc(), "Name")
        .limit(MOST_UNKNOWN)
    )
    return [row["Name"] for row in names.collect()]


def _text(moment: datetime | None) -> str | None:
    return moment.isoformat() + "Z" if moment else None


def _earliest(tables: Mapping[str, Any], name: str) -> str | None:
    return min((found[name] for found in tables.values() if found[name]), default=None)


def _latest(tables: Mapping[str, Any], name: str) -> str | None:
    return max((found[name] for found in tables.values() if found[name]), default=None)
