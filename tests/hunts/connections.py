"""Connections as the hunt's code beside Spark takes them: rows in, batches of Arrow out."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import pyarrow as pa

e = importlib.import_module("spark.expressions.collecting")
series = importlib.import_module("spark.expressions.series")

RULES = series.Rules(
    gap=2.0,
    least_intervals=5,
    tolerance=0.03,
    one_size=0.9,
    several=0.9,
    most_destinations=16,
    few_hosts=3,
)
Row = Mapping[str, Any]
TEXT, WHOLE, NUMBER = pa.string(), pa.int64(), pa.float64()
KINDS = {
    **dict.fromkeys(("SrcIpAddr", "Dst", "SourceTable", *e.TEXTS), TEXT),
    **dict.fromkeys(("Pair", "Session", *e.SIZES), WHOLE),
    **dict.fromkeys(("Moment", "Time"), NUMBER),
    **dict.fromkeys(("DstPortNumber", "SrcPortNumber"), pa.int32()),
    "Kind": pa.int8(),
}
SCHEMA = pa.schema([(name, KINDS[name]) for name in e.ROW])
PLAIN: Row = {
    **dict.fromkeys(e.ROW),
    "Pair": 1,
    "SrcIpAddr": "10.0.0.1",
    "Dst": "203.0.113.1",
    "DstPortNumber": 443,
    "SourceTable": "commonsecuritylog",
    "Kind": e.OTHER,
}


def connection(time: float, **other: Any) -> Row:
    """One that no session is known of, unless one is given."""
    moment = None if other.get("Session") is not None else time
    return {**PLAIN, "Time": time, "Moment": moment, **other}


def batches(rows: Iterable[Row], size: int = 1_000) -> list[pa.RecordBatch]:
    """Rows as they come from Spark: sorted by their pair's number, and by nothing else."""
    by_pair = sorted(rows, key=lambda row: row["Pair"])
    made: list[pa.RecordBatch] = pa.Table.from_pylist(by_pair, SCHEMA).to_batches(size)
    return made


def told(given: Iterable[pa.RecordBatch]) -> Iterator[dict[str, Any]]:
    """What is known of each pair that is collected, and its events by column."""
    for pairs in e.collect(given):
        for n, (begin, end) in enumerate(zip(pairs.begin, pairs.begin[1:], strict=False)):
            names = [pairs.texts[code] if code >= 0 else None for code in pairs.names[begin:end]]
            yield {
                **{name: values[n].as_py() for name, values in pairs.known.items()},
                "Times": pairs.times[begin:end].tolist(),
                "Sent": pairs.sent[begin:end].tolist(),
                "Received": pairs.received[begin:end].tolist(),
                "Names": names,
            }
