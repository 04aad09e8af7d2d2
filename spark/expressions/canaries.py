"""Canaries: made-up implants of real hosts, judged as pairs are, and told what was seen of them.

They answer "what would have been seen today?": with this log, its gaps and its hosts' hours, and
with these parameters. No row of them leaves the frame that they are made in.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from spark.expressions import series as s
from spark.expressions.pooling import pools_of
from spark.expressions.pools import Cells, Member
from spark.expressions.rhythm import HOUR, Floats, Ints

ALONE, AMONG, ANY_OF = "alone at its address", "amid other calls", "any of four addresses"
WAYS = (ALONE, AMONG, ANY_OF)
INTERVALS = (30, 300, 3_600, 21_600)
"""Seconds."""
JITTERS = (0, 30, 60, 90)
"""Per cent that an interval is longer or shorter at most."""
MOST_CALLS, LOST = 500, 10
"""The newest calls of an implant, of so many times as many: the others are made while its host is
not seen. More would prove no more, and cost time in each run."""
TASKS = 8
"""Parts that hosts are judged in: half a second each, and few, they lie in one otherwise."""
ADDRESSES = 4
SIZE = 512.0
"""Bytes of an implant's call; other calls have any size."""
LOG = ("ActiveHours", "WholeSeconds", "HasBytes")
"""Columns of what the log is like for a host: hours since 1970 in which it was seen (array, in any
order), whether all its times are whole seconds, whether any of its connections has bytes."""
CASE = T.StructType(
    [
        T.StructField("Way", T.StringType()),
        T.StructField("EverySeconds", T.IntegerType()),
        T.StructField("WithinPercent", T.IntegerType()),
    ]
)


@dataclass(frozen=True)
class Case:
    """One kind of implant."""

    way: str
    every: int
    within: int


@dataclass(frozen=True)
class Host:
    """A source, and what the log is like for it; `hours` (since 1970) are those it was seen in."""

    name: str
    hours: Ints
    whole_seconds: bool = False
    has_bytes: bool = True


CASES = tuple(Case(*one) for one in product(WAYS, INTERVALS, JITTERS))


def plant(hosts: DataFrame, rules: s.Rules) -> DataFrame:
    """A row per host and case with what was measured of it; `hosts` has SrcIpAddr and LOG.

    The columns of `series.MEASURED` are null where the case has no rhythm.
    """
    kept = [field for field in hosts.schema if field.name not in LOG]
    schema = T.StructType([*kept, *CASE, *s.MEASURED])
    work = partial(
        _planted, rules=rules, kept=[one.name for one in kept], schema=s.arrow_schema(schema)
    )
    return hosts.repartition(TASKS).mapInArrow(work, schema)


def _planted(
    batches: s.Batches, rules: s.Rules, kept: Sequence[str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        for row in batch.to_pylist():
            hours, whole, sized = (row[name] for name in LOG)
            host = Host(row["SrcIpAddr"], np.unique(np.array(hours, np.int64)), whole, sized)
            rows = [
                {
                    **{name: row[name] for name in kept},
                    **dict(zip(CASE.fieldNames(), vars(case).values(), strict=True)),
                    **(judge(calls(case, host), rules) or {}),
                }
                for case in CASES
            ]
            yield pa.RecordBatch.from_pylist(rows, schema=schema)


def calls(case: Case, host: Host) -> list[s.Calls]:
    """The calls of an implant on a host, to each address: made while the host was seen, else lost.

    As the log would have them, and the same for the same host and case.
    """
    dice, hours = np.random.default_rng(zlib.crc32(f"{host.name}|{case}".encode())), host.hours
    begin, end = float(hours[0] * HOUR), float((hours[-1] + 1) * HOUR)
    count = min(int((end - begin) / (case.every * (1 - case.within / 200))) + 2, MOST_CALLS * LOST)
    spread = case.within / 100
    intervals = case.every * (1 + dice.uniform(-spread, spread, count))
    times = (end - dice.uniform(0, case.every) - np.cumsum(intervals) + intervals[0])[::-1]
    times = times[(times >= begin) & np.isin(times // HOUR, hours)][-MOST_CALLS:]
    sizes = np.full(len(times), SIZE)
    if case.way == ANY_OF:
        chosen = dice.integers(0, ADDRESSES, len(times))
        return [_logged(host, times[chosen == n], sizes[chosen == n]) for n in range(ADDRESSES)]
    if case.way == AMONG and len(times):
        there = hours[hours >= times[0] // HOUR]
        others = (dice.choice(there, len(times)) + dice.uniform(0, 1, len(times))) * HOUR
        times = np.concatenate([times, others])
        sizes = np.concatenate([sizes, dice.lognormal(8, 1.5, len(others))])
        order = np.argsort(times)
        times, sizes = times[order], sizes[order]
    return [_logged(host, times, sizes)]


def _logged(host: Host, times: Floats, sizes: Floats) -> s.Calls:
    times = np.floor(times) if host.whole_seconds else times
    sizes = sizes if host.has_bytes else np.full(len(times), np.nan)
    return s.Calls(times, sizes, sizes, np.full(len(times), -1))


def judge(addresses: Sequence[s.Calls], rules: s.Rules) -> s.Values | None:
    """The best that is measured of an implant's calls to each address, as of any source's."""
    waiting, found = Cells(rules.most_destinations), []
    for number, one in enumerate(addresses):
        values = s.measured(one, (), rules) if len(one.times) > 1 else None
        if values and "Nats" in values:
            found.append(values)
        elif values:
            waiting.add(_member(str(number), values))
    found += pools_of(waiting, rules)
    best = max(found, key=lambda row: row["Nats"], default=None)
    names = set(s.MEASURED.fieldNames())
    return None if best is None else {key: best[key] for key in best if key in names}


def _member(name: str, values: s.Values) -> Member:
    unknown = dict.fromkeys(("Connections", "BytesOut", "BytesIn"))
    row = {"Dst": name, "HostsAtDestination": 1, **unknown, **values}
    received = values["PoolReceived"]
    known = math.nan if received is None else received
    return Member(name, values["PoolTimes"], values["PoolSent"], known, partial(dict, row))
