"""What a run could read and what not: silence is a fault, not a result.

Hours are hours of the window, whichever of the run's tables they hold rows of. An hour is missing
when it lies between the first hour with data and the end of the window, or the plan's making,
and nothing was read of it: days before the first export are not missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from shared import contract as c
from spark.exports import per_blob
from spark.plan import Hour, Plan, Run
from spark.views import used_columns

MOST_UNKNOWN, NAME_CHARACTERS = 20, 60
"""Names of unknown columns that are told, and how much of each: the app takes 32 kB in all."""
_TIME = "yyyy-MM-dd'T'HH:mm:ss'Z'"
_SUMS = ("Lines", "Rows", "Dropped")


def hours_of(plan: Plan, run: Run, table: str) -> list[Hour]:
    """The hours of a table that hold blobs and that the run's window covers."""
    first, end = (c.hour_key(moment) for moment in run.window)
    return [hour for hour in plan.hours(table) if first <= hour.hour < end]


def coverage(
    plan: Plan,
    run: Run,
    copies: Mapping[str, DataFrame],
    read: Mapping[str, Sequence[str]],
    known: dict[Any, dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """Hours planned, read and missing, what each table's lines came to, and of which of the
    tables that the hunt itself names nothing was there.

    `copies`: table -> every line of the hours that were read; `read`: table -> these hours.
    `known` gets what was counted, so that another run of the same job need not count it again.
    """
    known = {} if known is None else known
    planned = {hour.hour for table in run.sources for hour in hours_of(plan, run, table)}
    done = {hour for hours in read.values() for hour in hours}
    tables: dict[str, Any] = {}
    for table, hours in sorted(read.items()):
        if hours:
            key = (table, run.window, tuple(_used(run, table)))
            known[key] = known.get(key) or _table(plan, run, table, copies[table], set(hours))
            tables[table] = dict(known[key])
    firsts = [found.pop("first") for found in tables.values()]
    lasts = [found.pop("last") for found in tables.values()]
    return {
        "hours_planned": len(planned),
        "hours_read": len(done),
        "hours_missing": _missing(plan, run, planned, done),
        "days_in_window": len(c.days_between(*run.window)),
        "days_with_data": len({hour[:8] for hour in done}),
        "first_data": min(filter(None, firsts), default=None),
        "last_data": max(filter(None, lasts), default=None),
        "tables": tables,
        "tables_absent": sorted(set(run.hunt.tables) - {name for name in read if read[name]}),
    }


def _missing(plan: Plan, run: Run, planned: set[str], done: set[str]) -> int:
    if not planned:
        return 0
    now = plan.created.replace(minute=0, second=0, microsecond=0)
    end = min(run.window[1], max(now, c.hour_start(max(planned)) + timedelta(hours=1)))
    return len(set(c.hours_between(c.hour_start(min(planned)), end)) - done)


def _table(plan: Plan, run: Run, table: str, copies: DataFrame, hours: set[str]) -> dict[str, Any]:
    blobs = sum(hour.blobs for hour in hours_of(plan, run, table) if hour.hour in hours)
    used = _used(run, table)
    is_row = F.col("_Kind") == "row"
    nulls = [F.count_if(is_row & F.col(name).isNull()).alias(f"Null{name}") for name in used]
    start, end = (F.lit(moment.isoformat()).cast("timestamp") for moment in run.window)
    time = F.col("TimeGenerated")
    inside = F.when((time >= start) & (time < end), time)
    times = [F.min(inside).alias("First"), F.max(inside).alias("Last")]
    sums = [F.sum(name).alias(name) for name in (*_SUMS, *(f"Null{name}" for name in used))]
    ends = [
        F.date_format(F.min("First"), _TIME).alias("First"),
        F.date_format(F.max("Last"), _TIME).alias("Last"),
    ]
    count = F.count("_Blob").alias("Blobs")
    row = per_blob(copies, *nulls, *times).agg(*sums, *ends, count).collect()[0]
    rows = row["Rows"] or 0
    # By itself: beside lists all of these numbers are objects, and few lines have such names.
    unknown = copies.select(F.explode("_Unknown").alias("Name")).distinct().collect()
    return {
        "blobs": blobs,
        "empty_blobs": max(0, blobs - row["Blobs"]),
        **{name.lower(): row[name] or 0 for name in _SUMS},
        "unknown_columns": sorted({_plain(one["Name"]) for one in unknown})[:MOST_UNKNOWN],
        "nulls": {name: round(row[f"Null{name}"] / rows, 4) for name in used} if rows else {},
        "first": row["First"],
        "last": row["Last"],
    }


def _used(run: Run, table: str) -> list[str]:
    """What a run's silence is measured by: columns of its views, the time of its own tables."""
    fed = [view for view in run.hunt.views if table in c.VIEWS[view]]
    used = [name for view in fed for name in used_columns(view, table)]
    return list(dict.fromkeys(["TimeGenerated", *used]))


def _plain(name: str) -> str:
    """A name that somebody else chose, in letters that JSON writes with one byte each."""
    return name.encode("ascii", "backslashreplace").decode()[:NAME_CHARACTERS]
