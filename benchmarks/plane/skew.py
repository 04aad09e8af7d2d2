"""Keys that are far from even: one pair with very many events, and very many pairs with one."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plane.lake import WARM, BenchLake
from benchmarks.plane.measure import BOTH, Bench, Target

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

SECONDS_OF_ONE, SECONDS_OF_MANY, MEMORY_MB = 15.0, 30.0, 1024
SPAN = 21 * 86_400
LEAST = 6
"""Events of a pair below which the hunt cannot score it: five intervals."""
GAP = 2.0
"""Seconds: connections no further apart are of one burst."""
PAIR = ("SrcIpAddr", "DstIpAddr", "DstPortNumber")


def skew(options: argparse.Namespace, folder: str) -> tuple[Bench, list[Target]]:
    """The beacon hunt on both, and ways to gather a pair's events beside it."""
    lake = BenchLake(Path(folder))
    lake.fill(1, 300)
    BenchLake(lake.folder, WARM).fill(1, 300)
    # A plan of as many rows is worth several executors: such a job gets both compilers anywhere.
    os.environ[BOTH] = "1"
    bench = Bench(lake, MEMORY_MB)
    events, pairs = str(options.events), str(options.pairs)
    one = bench.spark(f"hunt, one pair of {events} events", "hunt_one_pair", [events])
    many = bench.spark(f"hunt, {pairs} pairs of one event", "hunt_many_pairs", [pairs])
    for name, label in (("gather", "collected at once"), ("gather_pruned", "pruned first"),
                        ("gather_in_two", "in two levels")):  # fmt: skip
        bench.spark(f"{label}: one pair of {events} events", name, ["1", events])
        bench.spark(f"{label}: {pairs} pairs of one event", name, [pairs, pairs])
    return bench, [
        Target("seconds for one pair", one.wall, SECONDS_OF_ONE),
        Target("seconds for many pairs", many.wall, SECONDS_OF_MANY),
    ]


# --- steps --------------------------------------------------------------------------------------


def hunt_one_pair(session: SparkSession, _: BenchLake, given: Sequence[str]) -> int:
    """The hunt over one pair with so many events."""
    return _hunted(session, 1, int(given[0]))


def hunt_many_pairs(session: SparkSession, _: BenchLake, given: Sequence[str]) -> int:
    """The hunt over so many pairs with one event each."""
    return _hunted(session, int(given[0]), int(given[0]))


def gather(session: SparkSession, _: BenchLake, given: Sequence[str]) -> int:
    """Every pair's events in one list, with nothing pruned or thinned before."""
    return _drained(_collected(_events(session, *map(int, given))))


def gather_pruned(session: SparkSession, _: BenchLake, given: Sequence[str]) -> int:
    """First the pairs that can score, by their total of the whole window: never by the day."""
    from pyspark.sql import functions as F

    events = _events(session, *map(int, given))
    enough = events.groupBy(*PAIR).count().filter(F.col("count") >= LEAST)
    return _drained(_collected(events.join(enough, on=list(PAIR), how="left_semi")))


def gather_in_two(session: SparkSession, _: BenchLake, given: Sequence[str]) -> int:
    """What begins in each two seconds first, in tasks that share a pair; then what begins a burst.

    Two events of one cell are of one burst, so that no other event of a cell can begin one: the
    lists lack nothing that the hunt looks at. Pairs that cannot score are left out before.
    """
    from pyspark.sql import Window as W
    from pyspark.sql import functions as F

    events = _events(session, *map(int, given))
    cell = F.floor(F.col("Time") / GAP).alias("Cell")
    cells = events.groupBy(*PAIR, cell).agg(
        F.min(_event()).alias("First"), F.max("Time").alias("Last"), F.count("Time").alias("Events")
    )
    enough = cells.groupBy(*PAIR).count().filter(F.col("count") >= LEAST)
    before = F.lag("Last").over(W.partitionBy(*PAIR).orderBy("Cell"))
    begins = F.coalesce(F.col("First.Time") - before > GAP, F.lit(True))
    kept = cells.join(enough, on=list(PAIR), how="left_semi").withColumn("Begins", begins)
    first = F.collect_list(F.when(F.col("Begins"), F.col("First"))).alias("Events")
    return _drained(kept.groupBy(*PAIR).agg(first, F.sum("Events").alias("Connections")))


def _collected(events: DataFrame) -> DataFrame:
    from pyspark.sql import functions as F

    return events.groupBy(*PAIR).agg(F.collect_list(_event()).alias("Events"))


def _event() -> Column:
    from pyspark.sql import functions as F

    return F.struct("Time", "SrcBytes", "DstHostname")


def _hunted(session: SparkSession, pairs: int, events: int) -> int:
    from pyspark.sql import functions as F

    from benchmarks.plane.lake import hunt_parameters
    from spark import job, views
    from spark.hunts import beaconing

    made = {
        "EventStartTime": F.timestamp_seconds("Time"),
        "TimeGenerated": F.timestamp_seconds("Time"),
        "EventCount": F.lit(1),
        "EventResult": F.lit("Success"),
        "SrcPortNumber": (F.col("id") % 60_000).cast("int"),
        "SourceTable": F.lit("commonsecuritylog"),
    }
    rows = _events(session, pairs, events).withColumns(made)
    there = set(rows.columns)
    sessions = rows.select(
        *(
            (F.col(field.name) if field.name in there else F.lit(None))
            .cast(field.dataType)
            .alias(field.name)
            for field in views.NETWORK_SESSION.fields
        )
    )
    refs = {"allow_list": job.reference(session, "allow_list", ())}
    tables = {"NetworkSession": sessions}
    return _drained(beaconing.detect(tables, refs, hunt_parameters()))


def _events(session: SparkSession, pairs: int, events: int) -> DataFrame:
    from pyspark.sql import functions as F

    pair = F.col("id") % pairs
    return session.range(events).select(
        "id",
        F.concat(F.lit("10.0."), pair % 250, F.lit("."), F.floor(pair / 250) % 200).alias(
            "SrcIpAddr"
        ),
        F.concat(F.lit("198.18."), F.floor(pair / 50_000) % 250, F.lit("."), pair % 250).alias(
            "DstIpAddr"
        ),
        # A constant would not be what rows are spread by.
        (443 + F.col("id") % 1).cast("int").alias("DstPortNumber"),
        (F.col("id") * (SPAN / events) + 1_772_000_000).alias("Time"),
        (500 + F.col("id") % 3).alias("SrcBytes"),
        F.lit("site.example.com").alias("DstHostname"),
    )


def _drained(frame: DataFrame) -> int:
    frame.write.format("noop").mode("overwrite").save()
    return 0
