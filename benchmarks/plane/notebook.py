"""The notebook that this project replaces, as it reads and as it reckons, in our own code.

Source: see `benchmarks/beacons/notebook.py`, which judges by the same rules without Spark. Here is
what they cost: the schema inferred, one read a day, an action after each step, and nothing kept
from one action for the next. It loads its history and judges the last day.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from benchmarks.beacons.notebook import LEAST_PERCENT, LEAST_ROWS, LEAST_SECONDS, LEAST_TOTAL
from benchmarks.beacons.notebook import MOST_SOURCES as MOST
from benchmarks.plane.lake import BenchLake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

TEN = ("TimeGenerated", "DeviceVendor", "SourceIP", "SourcePort", "DestinationIP",
       "DestinationPort", "Protocol", "SentBytes", "ReceivedBytes", "Activity")  # fmt: skip
VENDOR = "Fortinet"
INSIDE = r"^(127\.|10\.|172\.(1[6-9]|2[0-9]|3[01])\.|192\.168\.)"
PLACE = ("DeviceVendor", "SourceIP", "DestinationIP", "DestinationPort")


def notebook(session: SparkSession, lake: BenchLake, days: Sequence[str]) -> int:
    """All its steps on the last of these days, whose history is read; rows that it tells."""
    *history, last = [_read(session, lake, day) for day in days]
    for before in history:
        before.count()
    frame = last
    for step in (_outside, _busy, _steps, _counted, _beaconing):
        frame = step(frame)
        rows = frame.count()
    # Its result is one file, which a person downloads.
    frame.coalesce(1).write.mode("overwrite").json(f"file://{lake.folder}/notebook.json")
    return int(rows)


def _read(session: SparkSession, lake: BenchLake, day: str) -> DataFrame:
    frame = session.read.option("recursiveFileLookup", "true").json(lake.urls([day]))
    return frame.filter(frame["DeviceVendor"] == VENDOR).select(*TEN)


def _outside(rows: DataFrame) -> DataFrame:
    return rows.filter(~rows["DestinationIP"].rlike(INSIDE))


def _busy(rows: DataFrame) -> DataFrame:
    f = importlib.import_module("pyspark.sql.functions")
    sources = rows.groupBy("SourceIP").count().filter(f.col("count") > LEAST_ROWS)
    places = rows.groupBy("DestinationIP").agg(f.count_distinct("SourceIP").alias("Sources"))
    rare = places.filter(f.col("Sources") < MOST)
    return rows.join(sources.drop("count"), "SourceIP").join(rare.drop("Sources"), "DestinationIP")


def _steps(rows: DataFrame) -> DataFrame:
    f, w = (importlib.import_module(f"pyspark.sql.{name}") for name in ("functions", "window"))
    time = f.unix_timestamp(f.col("TimeGenerated").cast("timestamp"))
    before = f.lag(time).over(w.Window.partitionBy("SourceIP").orderBy("TimeGenerated"))
    return rows.withColumn("Step", time - before).dropna().filter(f.col("Step") > LEAST_SECONDS)


def _counted(rows: DataFrame) -> DataFrame:
    return rows.groupBy(*PLACE, "Protocol", "Step").count()


def _beaconing(groups: DataFrame) -> DataFrame:
    f, w = (importlib.import_module(f"pyspark.sql.{name}") for name in ("functions", "window"))
    place = w.Window.partitionBy(*PLACE)
    three = f.sum("count").over(place.orderBy(f.lit(1)).rowsBetween(-2, 0))
    total = f.sum("Sum").over(w.Window.partitionBy(*PLACE[1:]))
    percent = 100 * f.col("Sum") / f.sum("Sum").over(place)
    judged = groups.withColumn("Sum", three).withColumns({"Percent": percent, "Total": total})
    return judged.filter((f.col("Percent") > LEAST_PERCENT) & (f.col("Total") > LEAST_TOTAL))
