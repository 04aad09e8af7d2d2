"""Pairs that have no rhythm, as Arrow batches: rows in, a row for each pool of them out.

What a pool is is told in `spark.expressions.pools`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
import pyarrow as pa
from pyspark.sql import DataFrame
from pyspark.sql import types as T

from spark.expressions import pools as p
from spark.expressions import series as s


def add_pools(pairs: DataFrame, rules: s.Rules, source: Sequence[str]) -> DataFrame:
    """Pairs that have a rhythm, and a row for each pool of those that have none together.

    A pool's row has the key of its first destination. `pairs` has the columns of `measure`, Dst and
    HostsAtDestination; rows of one `source` must lie side by side, ordered by Dst.
    """
    schema = T.StructType([one for one in pairs.schema if one.name not in s.CANDIDATE.fieldNames()])
    work = partial(_with_pools, rules=rules, source=list(source), schema=s.arrow_schema(schema))
    return pairs.mapInArrow(work, schema)


def _with_pools(
    batches: s.Batches, rules: s.Rules, source: Sequence[str], schema: pa.Schema
) -> Iterator[pa.RecordBatch]:
    """Rows with a rhythm as they come; a source's pools when its last row has gone by."""
    waiting, key = p.Cells(rules.most_destinations), None
    for batch in batches:
        rhythmic = batch.filter(batch.column("Nats").is_valid())
        columns = [rhythmic.column(name) for name in schema.names]
        yield pa.RecordBatch.from_arrays(columns, schema=schema)
        candidates = batch.filter(batch.column("Nats").is_null())
        keys = zip(*(candidates.column(name).to_pylist() for name in source), strict=True)
        for mine, member in zip(keys, _members(candidates), strict=True):
            if mine != key:
                yield from _pools_told(waiting, rules, schema)
                waiting, key = p.Cells(rules.most_destinations), mine
            waiting.add(member)
    yield from _pools_told(waiting, rules, schema)


def _members(batch: pa.RecordBatch) -> Iterator[p.Member]:
    """Rows as members. Each holds on to its batch, which takes less than the row as an object."""
    lists, sent, received = (batch.column(name) for name in s.CANDIDATE.fieldNames())
    offsets, times = lists.offsets.to_numpy(), lists.values.to_numpy(zero_copy_only=False)
    out, into = (one.to_numpy(zero_copy_only=False).tolist() for one in (sent, received))
    for n, name in enumerate(batch.column("Dst").to_pylist()):
        mine = times[offsets[n] : offsets[n + 1]]
        yield p.Member(name, mine, out[n], into[n], partial(_row, batch, n))


def _row(batch: pa.RecordBatch, number: int) -> s.Values:
    (row,) = batch.slice(number, 1).to_pylist()
    return dict(row)


def _pools_told(waiting: p.Cells, rules: s.Rules, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if made := pools_of(waiting, rules):
        yield pa.RecordBatch.from_pylist(made, schema=schema)


def pools_of(waiting: p.Cells, rules: s.Rules) -> list[s.Values]:
    """A row for each pool of a source's destinations."""
    pools = p.find_pools(waiting, rules.gap, rules.least_intervals)
    made = (_of_pool(pool, [one.row() for one in pool.members], rules) for pool in pools)
    return [row for row in made if row["Nats"] > s.RHYTHMIC]


def _of_pool(pool: p.Pool, rows: Sequence[s.Values], rules: s.Rules) -> s.Values:
    # One more than those looked at: that there is a pool at all is a try too.
    nats = pool.rhythm.nats * rules.several - math.log(pool.tries + 1)
    sums = {
        name: _sum(row[name] for row in rows) for name in ("Connections", "BytesOut", "BytesIn")
    }
    sizes = np.array([row["PoolSent"] for row in rows])
    return {
        **rows[0],
        **s.of_times(pool.times, pool.rhythm),
        **sums,
        "Series": s.SEVERAL,
        "Nats": nats,
        "MedianBytes": float(np.median(sizes)),
        "OffBytes": float(np.median(np.abs(sizes - np.median(sizes)))),
        "HostsAtDestination": max(row["HostsAtDestination"] for row in rows),
        "Destinations": [row["Dst"] for row in rows],
        "Names": [],
    }


def _sum(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None
