"""Series of events: connections of pairs in, as Arrow batches, a row for each rhythm out.

What is done here is arithmetic per pair; what the numbers mean is told in
`spark.expressions.rhythm`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from spark.expressions import rhythm as r
from spark.expressions.collecting import KNOWN, Pairs, collect
from spark.expressions.habit import keeps_working_days

ALL, ONE_SIZE, SEVERAL = "all connections", "connections of one size", "several destinations"
"""The views of a pair's life, as findings call them."""
PICTURE = 200
"""Times of events that go into the evidence."""
SAMPLES = 20
"""Events that go into the evidence with their sizes."""
NAMES = 5
OF_A_KIND = 0.6
"""Least share of a pair's events that must be of one size for it to be one of a pool."""
RHYTHMIC = 3.0
"""Nats from which a pair has a rhythm of its own, and is not put in a pool with others."""

MEASURED = T.StructType(
    [
        T.StructField("Series", T.StringType()),
        T.StructField("Events", T.IntegerType()),
        T.StructField("Nats", T.DoubleType()),
        T.StructField("IntervalSeconds", T.DoubleType()),
        T.StructField("Jitter", T.DoubleType()),
        T.StructField("Inside", T.DoubleType()),
        T.StructField("First", T.DoubleType()),
        T.StructField("Last", T.DoubleType()),
        T.StructField("Hours", T.IntegerType()),
        T.StructField("Days", T.IntegerType()),
        T.StructField("KeepsWorkingDays", T.BooleanType()),
        T.StructField("MedianBytes", T.DoubleType()),
        T.StructField("OffBytes", T.DoubleType()),
        T.StructField("Moments", T.ArrayType(T.DoubleType())),
        T.StructField("SampleTimes", T.ArrayType(T.DoubleType())),
        T.StructField("SampleSent", T.ArrayType(T.LongType())),
        T.StructField("SampleReceived", T.ArrayType(T.LongType())),
        T.StructField("Names", T.ArrayType(T.StringType())),
        T.StructField("Name", T.StringType()),
        T.StructField("Destinations", T.ArrayType(T.StringType())),
    ]
)
"""What is measured of a series. Null where there is no rhythm to speak of. `Nats` is evidence, the
tries taken off; `Jitter` and `Inside` are shares; times are epoch seconds. Of several destinations
there are no samples."""
CANDIDATE = T.StructType(
    [
        T.StructField("PoolTimes", T.ArrayType(T.DoubleType())),
        T.StructField("PoolSent", T.DoubleType()),
        T.StructField("PoolReceived", T.DoubleType()),
    ]
)
"""Of a pair without a rhythm whose events are mostly of one size: those events; `Last` is told."""
Batches = Iterable[pa.RecordBatch]
Values = dict[str, Any]


@dataclass(frozen=True)
class Rules:
    """What counts. `one_size`, `several`: trust in these views, 0 switches one off."""

    gap: float
    least_intervals: int
    tolerance: float
    one_size: float
    several: float
    most_destinations: int
    few_hosts: int

    @property
    def least_events(self) -> int:
        """Events below which a pair has no rhythm."""
        return r.least_events(self.least_intervals)


def measure(connections: DataFrame, rules: Rules) -> DataFrame:
    """Each pair's best rhythm, or its events of one size as a candidate, of connections side by
    side (`collecting.ROW`). Pairs that have neither are gone.
    """
    schema = T.StructType([*KNOWN, *MEASURED, *CANDIDATE])
    work = partial(_measured, rules=rules, schema=arrow_schema(schema))
    return connections.mapInArrow(work, schema)


def arrow_schema(schema: T.StructType) -> pa.Schema:
    """What Arrow batches of these columns have to look like."""
    from pyspark.sql.pandas.types import to_arrow_schema  # noqa: PLC0415

    return to_arrow_schema(schema)


# --- one pair ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Calls:
    """A pair's events by time. NaN is no size, -1 no name."""

    times: r.Floats
    sent: r.Floats
    received: r.Floats
    names: np.ndarray[Any, Any]

    def take(self, which: r.Bools | r.Ints) -> Calls:
        return Calls(*(column[which] for column in vars(self).values()))


def _measured(batches: Batches, rules: Rules, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for pairs in collect(batches):
        made: dict[int, Values] = {}
        for n, calls in enumerate(_calls(pairs)):
            if values := measured(calls, pairs.texts, rules):
                made[n] = values
        rows = pa.array(list(made), pa.int64())
        columns = [pairs.known[name].take(rows) for name in KNOWN.fieldNames()]
        for field in list(schema)[len(columns) :]:
            values_ = [values.get(field.name) for values in made.values()]
            columns.append(pa.array(values_, field.type))
        yield pa.RecordBatch.from_arrays(columns, schema=schema)


def _calls(pairs: Pairs) -> Iterator[Calls]:
    times, sent, received, names = pairs.times, pairs.sent, pairs.received, pairs.names
    for a, b in pairwise(pairs.begin.tolist()):
        yield Calls(times[a:b], sent[a:b], received[a:b], names[a:b])


def measured(calls: Calls, names: Sequence[str], rules: Rules) -> Values | None:
    """The columns MEASURED of the best series, or CANDIDATE; None when there is neither."""
    low, high = r.same_size(calls.sent, rules.tolerance)
    common = calls.take((calls.sent >= low) & (calls.sent <= high))
    series = [(ALL, calls, 1.0)]
    if len(common.times) <= 0.9 * len(calls.times):
        series.append((ONE_SIZE, common, rules.one_size))
    judged: list[tuple[float, str, Calls, r.Rhythm]] = []
    for name, events, trust in series:
        found = r.find(events.times, rules.gap, rules.least_intervals) if trust > 0 else None
        if found is not None:
            counting, rhythm = found
            nats = rhythm.nats * trust - math.log(len(series))
            judged.append((nats, name, events.take(counting), rhythm))
    best = max(judged, key=lambda one: one[0], default=None)
    if best is not None and best[0] > RHYTHMIC:
        nats, name, counting_calls, rhythm = best
        return {"Series": name, "Nats": nats, **_of_series(counting_calls, rhythm, names)}
    enough = len(common.times) > 1 and len(common.times) >= OF_A_KIND * len(calls.times)
    return _candidate(common) if enough and rules.several > 0 else None


def _of_series(calls: Calls, found: r.Rhythm, names: Sequence[str]) -> Values:
    sizes = calls.sent[~np.isnan(calls.sent)]
    median = float(np.median(sizes)) if len(sizes) else None
    return {
        **of_times(calls.times, found),
        "MedianBytes": median,
        "OffBytes": None if median is None else float(np.median(np.abs(sizes - median))),
        **_samples(calls.take(evenly(len(calls.times), SAMPLES))),
        "Names": sorted({names[code] for code in calls.names if code >= 0})[:NAMES],
        "Name": commonest(names[code] for code in calls.names if code >= 0),
    }


def _samples(calls: Calls) -> Values:
    return {
        "SampleTimes": calls.times.tolist(),
        "SampleSent": _whole(calls.sent),
        "SampleReceived": _whole(calls.received),
    }


def _whole(sizes: r.Floats) -> list[int | None]:
    return [None if math.isnan(size) else int(size) for size in sizes.tolist()]


def of_times(times: r.Floats, found: r.Rhythm) -> Values:
    """What times alone tell of a series: a part of MEASURED."""
    return {
        "Events": len(times),
        "IntervalSeconds": found.period,
        "Jitter": found.jitter,
        "Inside": found.inside,
        "First": float(times[0]),
        "Last": float(times[-1]),
        "Hours": len(np.unique(times // r.HOUR)),
        "Days": len(np.unique(times // r.DAY)),
        "KeepsWorkingDays": keeps_working_days(times, found.period),
        "Moments": times[evenly(len(times), PICTURE)].tolist(),
    }


def _candidate(calls: Calls) -> Values:
    return {
        "Last": float(calls.times[-1]),
        "PoolTimes": calls.times,
        "PoolSent": float(np.median(calls.sent)),
        "PoolReceived": None
        if np.isnan(calls.received).any()
        else float(np.median(calls.received)),
    }


def commonest(names: Iterable[str]) -> str | None:
    """The most frequent one, the greater of two equally frequent; None when there is none."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return max(counts, key=lambda name: (counts[name], name), default=None)


def evenly(count: int, most: int) -> r.Ints:
    """Places of at most so many of `count` values, evenly chosen, both ends always among them."""
    return np.round(np.linspace(0, count - 1, min(count, most))).astype(np.int64)
