"""Spark's settings from what a plan is about: bytes of JSON, and the cores that there are.

Left at their defaults, a small job waits for 200 empty partitions, and a large one holds more in a
partition than its memory takes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from spark.plan import Plan

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MB = 1_000_000
SMALL_BYTES = 1_000 * MB
"""Below this much JSON, planning again after each stage costs more than it can gain."""
SHUFFLED = 0.2
"""Bytes that a hunt shuffles for each byte of JSON that its window holds: a few columns of it."""
LEAST_PARTITION, PARTITION = 8 * MB, 64 * MB
"""Shuffled bytes: less is not worth a task, more does not fit where it is sorted."""
PACKED = 16 * MB
"""Bytes of a partition as they are written: packed, a quarter of what they are where they are
sorted. Smaller ones are put together."""
LEAST_SPLIT, MOST_SPLIT = 16 * MB, 128 * MB
"""JSON of a task: less is not worth a task, more keeps the others waiting for the last."""
WAVES = 3
"""Tasks a core: when one takes longer, the others go on."""
MOST_PARTITIONS = 4_000
OPEN_COST = 65_536
"""Bytes that opening a file counts as. A blob of five minutes is small: at Spark's 4 MB each would
be a large one, and a task of its own."""
LISTING = "spark.tidehunt.listing"
"""How folders are listed. `parallel`, the default: on ABFS each folder costs a round trip, and an
hour has a dozen, so that tasks share the folders of hours. `serial`: on a local disk a folder costs
less than a task, so that the driver lists whole days."""
SERIAL, PARALLEL = "serial", "parallel"
LISTED_ALONE, LISTINGS_A_CORE = 8, 4
"""In parallel: folders that the driver lists itself, and tasks a core for more; they only wait."""
NEVER = 1_000_000
NAMED_OFTEN = ("functions", "PythonUtils", "SparkSession", "Column", "org")
"""Java's classes and packages that PySpark asks for by a short name."""


def remember_classes(session: SparkSession) -> None:
    """Have this session's Python look for each of Java's classes that it needs once.

    py4j asks Java anew for each column that is named, and Java looks for a class of that short name
    in hundreds of archives: a job names two thousand columns, which took three seconds of it.
    """
    jvm: Any = session.sparkContext._jvm
    for name in NAMED_OFTEN:
        setattr(jvm, name, getattr(jvm, name))


def is_serial(session: SparkSession) -> bool:
    """Whether the driver lists folders one by one."""
    return session.conf.get(LISTING, PARALLEL) == SERIAL


def cores_of(session: SparkSession) -> int:
    """Cores of the executors that were asked for, whether or not they have come already."""
    conf = session.sparkContext.getConf()
    executors, each = (conf.get(f"spark.executor.{name}", "") for name in ("instances", "cores"))
    if executors and each:
        return max(1, int(executors) * int(each))
    return max(1, session.sparkContext.defaultParallelism)


def settings(plan: Plan, cores: int, *, serial: bool) -> dict[str, str]:
    """What a job's session is given for its plan."""
    hours = [hour for table in plan.tables for hour in plan.hours(table)]
    return tuned(
        window=sum(hour.bytes for hour in hours),
        stale=sum(hour.bytes for hour in hours if hour.copy is None),
        cores=cores,
        serial=serial,
    )


def tuned(window: int, stale: int, cores: int, *, serial: bool) -> dict[str, str]:
    """The settings for so many bytes of JSON in the window, `stale` of them to be parsed."""
    return {
        "spark.sql.adaptive.enabled": _flag(window > SMALL_BYTES),
        "spark.sql.adaptive.advisoryPartitionSizeInBytes": str(PACKED),
        "spark.sql.shuffle.partitions": str(shuffle_partitions(int(window * SHUFFLED), cores)),
        "spark.sql.files.maxPartitionBytes": str(split_bytes(stale, cores)),
        "spark.sql.files.openCostInBytes": str(OPEN_COST),
        **_listing(cores, serial=serial),
    }


def shuffle_partitions(shuffled: int, cores: int) -> int:
    """Two at least; all cores as soon as each has enough to do; then by size, in whole waves."""
    if shuffled <= cores * PARTITION:
        return max(2, min(cores, _ceiling(shuffled, LEAST_PARTITION)))
    return min(MOST_PARTITIONS, cores * _ceiling(shuffled, cores * PARTITION))


def split_bytes(stale: int, cores: int) -> int:
    """JSON of one task."""
    return min(MOST_SPLIT, max(LEAST_SPLIT, _ceiling(stale, WAVES * cores)))


def _listing(cores: int, *, serial: bool) -> Mapping[str, str]:
    discovery = "spark.sql.sources.parallelPartitionDiscovery"
    return {
        f"{discovery}.threshold": str(NEVER if serial else LISTED_ALONE),
        f"{discovery}.parallelism": str(LISTINGS_A_CORE * cores),
    }


def _ceiling(value: int, unit: int) -> int:
    return -(-value // unit)


def _flag(value: bool) -> str:
    return str(value).lower()
