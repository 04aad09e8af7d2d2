"""Merges days of the columnar copy: the folders of a day's hours become one sorted set of files.

Beside each line lies what the views make of it, so that what makes values clean is done once, and
not by each run that looks back at that day (docs/adr/0016).

What a merged day replaces stays where it is, and nobody is sent to it before the app has read this
job's report: a crash leaves a folder that nobody points at.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, SparkSession
from pyspark.sql import functions as F

from shared import contract as c
from spark import saved_views
from spark.copies import Copies, MergedDay
from spark.exports import FILE_BYTES, give_name, hour_of_blob, read_copies
from spark.lake import Lake
from spark.plan import Plan
from spark.tables import Table


def merge_days(
    session: SparkSession, lake: Lake, plan: Plan, table: Table, copies: Copies
) -> list[MergedDay]:
    """Merge the days that the plan names, as far as all their hours are there."""
    days = {day: _hours(plan, table.name, day) for day in plan.upkeep[table.name].merge}
    whole = {day: hours for day, hours in days.items() if hours and hours.keys() <= {*copies.hours}}
    if not whole:
        return []
    writing = plan.copy_url(table.name, "_merging")
    folders = [copies.hours[hour] for hours in whole.values() for hour in hours]
    _write(session, table, folders, writing, _files(plan, table.name, whole))
    written = set(lake.names(writing))
    for day in whole:
        give_name(lake, writing, f"Day={day}", plan.copy_url(table.name, day), written)
    lake.delete(writing)
    return [
        MergedDay(table.name, day, plan.copy_url(table.name, day), hours, saved_views.SIGNATURE)
        for day, hours in sorted(whole.items())
    ]


def remove_left(lake: Lake, plan: Plan, table: str) -> list[str]:
    """Remove the folders that the plan names: no plan names them for reading any more."""
    root = f"{plan.tables_root}/{plan.workspace_key}/{table}/"
    used = {hour.copy for hour in plan.hours(table)} | {
        day.path for day in plan.merged.get(table, ())
    }
    left = [url for url in plan.upkeep[table].remove if _is_left(url, root) and url not in used]
    for url in left:
        lake.delete(url)
    return left


def _is_left(url: str, root: str) -> bool:
    """Whether it is the folder of an hour or a day, and nothing above one."""
    job_id, _, key = url.removeprefix(root).partition("/")
    is_key = c.is_hour_key(key) or c.is_hour_key(f"{key}00")
    return url.startswith(root) and bool(c.JOB_ID.fullmatch(job_id)) and is_key


def _hours(plan: Plan, table: str, day: str) -> dict[str, str]:
    return {hour.hour: hour.fingerprint for hour in plan.hours(table) if hour.hour[:8] == day}


def _files(plan: Plan, table: str, days: Mapping[str, object]) -> int:
    """Files a day, by the largest of them."""
    sizes = dict.fromkeys(days, 0)
    for hour in plan.hours(table):
        if hour.hour[:8] in sizes:
            sizes[hour.hour[:8]] += hour.bytes
    return 1 + max(sizes.values()) // FILE_BYTES


def _write(
    session: SparkSession, table: Table, folders: Sequence[str], to: str, files: int
) -> None:
    """One write for all days. Of several files of a day each holds a part of its time."""
    lines = read_copies(session, table, folders).withColumn("Day", _day())
    part = F.floor(F.hour("TimeGenerated") * files / 24)
    spread = lines.repartition("Day", part) if files > 1 else lines.repartition("Day")
    ordered = spread.sortWithinPartitions("Day", *table.sorted_by, "TimeGenerated")
    # Last: what the views make of a line need not be moved and sorted with it.
    viewed = saved_views.save(ordered, table.name)
    viewed.write.mode("overwrite").partitionBy("Day").parquet(to)


def _day() -> Column:
    return F.substring(hour_of_blob(), 1, 8)
