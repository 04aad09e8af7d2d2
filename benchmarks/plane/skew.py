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
READ_BYTES, READ_SECONDS = 2.64e9, 16.8
"""How long two cores read JSON narrowly where these seconds were set: what they are of that holds
on any machine."""
READ_DAYS = 4
SPAN = 21 * 86_400
BYTES_A_ROW = 2_500
"""Of JSON, about what the other benches make."""
LEAST = 6
"""Events of a pair below which the hunt cannot score it: five intervals."""
GAP = 2.0
"""Seconds: connections no further apart are of one burst."""
PAIR = ("SrcIpAddr", "DstIpAddr", "DstPortNumber")


def skew(options: argparse.Namespace, folder: str) -> tuple[Bench, list[Target]]:
    """The beacon hunt on both, and ways to gather a pair's events beside it."""
    lake = BenchLake(Path(folder))
    size = lake.fill(READ_DAYS, options.rows)
    BenchLake(lake.folder, WARM).fill(2, 3_000)
    # A plan of as many rows is worth several executors: such a job gets both compilers anywhere.
    os.environ[BOTH] = "1"
    bench = Bench(lake, MEMORY_MB)
    events, pairs = str(options.events), str(options.pairs)
    for count, rows in (("1", events), (pairs, pairs)):
        bench.spark(f"(making rows of {count} pairs)", "make", [count, rows])
    narrow, one, many = bench.least(
        2,
        ("Spark, JSON, seven columns, day folders", "narrow", lake.day_keys()),
        (f"hunt, one pair of {events} events", "hunt_one_pair", [events]),
        (f"hunt, {pairs} pairs of one event", "hunt_many_pairs", [pairs]),
    )
    read = narrow.wall * READ_BYTES / size
    for name, label in (("gather", "collected at once"), ("gather_pruned", "pruned first"),
                        ("gather_in_two", "in two levels")):  # fmt: skip
        bench.attempt(f"{label}: one pair of {events} events", name, ["1", events])
        bench.attempt(f"{label}: {pairs} pairs of one event", name, [pairs, pairs])
    return bench, [
        Target("one pair / narrow read of 2.64 GB, wall", one.wall / read, _share(SECONDS_OF_ONE)),
        Target("many pairs / the same, wall", many.wall / read, _share(SECONDS_OF_MANY)),
    ]


def _share(seconds: float) -> float:
    return round(seconds / READ_SECONDS, 2)


# --- steps --------------------------------------------------------------------------------------


def make(session: SparkSession, lake: BenchLake, given: Sequence[str]) -> int:
    """Write so many pairs with so many events in all, as the views of merged days lie."""
    from pyspark.sql import functions as F

    from spark import job

    # As a job writes, its way to write times among it.
    for name, value in job.SQL.items():
        session.conf.set(name, value)
    pairs, events = map(int, given)
    rows = _made(session, pairs, events).withColumn("Day", F.to_date("TimeGenerated"))
    spread = rows.repartition("Day").sortWithinPartitions("Day", *PAIR, "TimeGenerated")
    spread.write.mode("overwrite").partitionBy("Day").parquet(_folder(lake, pairs, events))
    return 0


def hunt_one_pair(session: SparkSession, lake: BenchLake, given: Sequence[str]) -> int:
    """The hunt over one pair with so many events."""
    return _hunted(session, lake, 1, int(given[0]))


def hunt_many_pairs(session: SparkSession, lake: BenchLake, given: Sequence[str]) -> int:
    """The hunt over so many pairs with one event each."""
    return _hunted(session, lake, int(given[0]), int(given[0]))


def gather(session: SparkSession, lake: BenchLake, given: Sequence[str]) -> int:
    """Every pair's events in one list, with nothing pruned or thinned before."""
    return _drained(_collected(_events(session, lake, *map(int, given))))


def gather_pruned(session: SparkSession, lake: BenchLake, given: Sequence[str]) -> int:
    """First the pairs that can score, by their total of the whole window: never by the day."""
    from pyspark.sql import functions as F

    events = _events(session, lake, *map(int, given))
    enough = events.groupBy(*PAIR).count().filter(F.col("count") >= LEAST)
    return _drained(_collected(events.join(enough, on=list(PAIR), how="left_semi")))


def gather_in_two(session: SparkSession, lake: BenchLake, given: Sequence[str]) -> int:
    """What begins in each two seconds first, in tasks that share a pair; then what begins a burst.

    Two events of one cell are of one burst, so that no other event of a cell can begin one: the
    lists lack nothing that the hunt looks at. Pairs that cannot score are left out before.
    """
    from pyspark.sql import Window as W
    from pyspark.sql import functions as F

    events = _events(session, lake, *map(int, given))
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


def _hunted(session: SparkSession, lake: BenchLake, pairs: int, events: int) -> int:
    from benchmarks.plane.lake import hunt_parameters
    from spark import job, tuning
    from spark.hunts import beaconing

    # As a job sets them for so many rows, had they come as JSON.
    cores, size = tuning.cores_of(session), events * BYTES_A_ROW
    wanted = {**job.SQL, **tuning.tuned(window=size, stale=0, cores=cores, serial=True)}
    for name, value in wanted.items():
        session.conf.set(name, value)
    tuning.remember_classes(session)
    refs = {"allow_list": job.reference(session, "allow_list", ())}
    tables = {"NetworkSession": _sessions(session, lake, pairs, events)}
    return _drained(beaconing.detect(tables, refs, hunt_parameters()))


def _events(session: SparkSession, lake: BenchLake, pairs: int, events: int) -> DataFrame:
    from pyspark.sql import functions as F

    time = F.col("EventStartTime").cast("double").alias("Time")
    return _sessions(session, lake, pairs, events).select("*", time)


def _sessions(session: SparkSession, lake: BenchLake, pairs: int, events: int) -> DataFrame:
    from spark import views

    folder = _folder(lake, pairs, events)
    if not Path(folder).exists():
        make(session, lake, [str(pairs), str(events)])
    reader = session.read.schema(views.NETWORK_SESSION).option("recursiveFileLookup", "true")
    return reader.parquet(folder)


def _folder(lake: BenchLake, pairs: int, events: int) -> str:
    return str(lake.folder / "made" / f"{pairs}-{events}")


def _made(session: SparkSession, pairs: int, events: int) -> DataFrame:
    from pyspark.sql import functions as F

    from spark import views

    number, pair = F.col("id"), F.col("id") % pairs
    time = number * (SPAN / events) + 1_772_000_000
    made = {
        "EventStartTime": F.timestamp_seconds(time),
        "TimeGenerated": F.timestamp_seconds(time),
        "EventCount": F.lit(1),
        "EventResult": F.lit("Success"),
        "SrcIpAddr": F.concat(F.lit("10.0."), pair % 250, F.lit("."), F.floor(pair / 250) % 200),
        "SrcPortNumber": number % 60_000,
        "DstIpAddr": F.concat(
            F.lit("198.18."), F.floor(pair / 50_000) % 250, F.lit("."), pair % 250
        ),
        "DstPortNumber": F.lit(443),
        "DstHostname": F.lit("site.example.com"),
        "SrcBytes": 500 + number % 3,
        "SourceTable": F.lit("commonsecuritylog"),
    }
    return session.range(events).select(
        *(
            made.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name)
            for field in views.NETWORK_SESSION
        )
    )


def _drained(frame: DataFrame) -> int:
    frame.write.format("noop").mode("overwrite").save()
    return 0
