"""Connections as Arrow batches: rows of pairs in, side by side, whole pairs with their events out.

It is done here, and not by Spark: there the greatest of texts, and lists of structs, have every row
sorted by all that it is known by. Rows of one pair need only lie side by side, which a sort by one
number does, and the rest is arithmetic on columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import types as T

SERIES = ("SrcIpAddr", "Dst", "DstPortNumber", "SourceTable")
"""Whose connections are judged together: a pair, as one table tells of it."""
TEXTS = ("DstIpAddr", "DstHostname", "SrcHostname", "NetworkProtocol")
"""Of several the greatest is told."""
SIZES = ("SrcBytes", "DstBytes")
MOMENT = ("Moment", "Session", "SrcPortNumber")
"""What connections of one pair are one event by."""
ROW = ("Pair", *SERIES, *MOMENT, "Time", "Kind", *SIZES, *TEXTS)
"""Columns of a connection. Pair is a number that rows are sorted by, the same for all of a series;
Time is in epoch seconds, Moment is null where there is a Session, a number too; Kind is one of:"""
OTHER, END, START = 0, 1, 2
KNOWN = T.StructType(
    [
        T.StructField("SrcIpAddr", T.StringType()),
        T.StructField("Dst", T.StringType()),
        T.StructField("DstPortNumber", T.IntegerType()),
        T.StructField("SourceTable", T.StringType()),
        T.StructField("Connections", T.LongType()),
        T.StructField("BytesOut", T.LongType()),
        T.StructField("BytesIn", T.LongType()),
        *(T.StructField(name, T.StringType()) for name in TEXTS),
    ]
)
"""What is known of a pair beside its events."""
ROWS = 50_000
"""Rows that are looked at together: fewer cost more for each, more take memory."""

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
_NONE = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Pairs:
    """Pairs with their events, at least two of each: those of pair n are `begin[n]:begin[n + 1]`.

    `known`: KNOWN by name, an Arrow array of a value per pair. Events of a pair are in the order of
    their times; NaN is no size, -1 no name; names are numbers of `texts`, which is in order.
    """

    known: Mapping[str, Any]
    begin: Ints
    times: Floats
    sent: Floats
    received: Floats
    names: Ints
    texts: Sequence[str]


@dataclass
class _Waiting:
    """Batches that have come: those of whole pairs, and those of the last pair."""

    whole: list[pa.RecordBatch] = field(default_factory=list)
    last: list[pa.RecordBatch] = field(default_factory=list)
    pair: int | None = None

    def add(self, batch: pa.RecordBatch) -> None:
        pairs = batch.column("Pair").to_numpy()
        if pairs[0] != self.pair:
            self.close()
        if cut := int(np.searchsorted(pairs, pairs[-1])):
            self.last.append(batch.slice(0, cut))
            self.close()
        self.last.append(batch.slice(cut))
        self.pair = int(pairs[-1])

    def close(self) -> None:
        self.whole += self.last
        self.last = []

    def rows(self) -> int:
        return sum(batch.num_rows for batch in self.whole)


def collect(batches: Iterable[pa.RecordBatch]) -> Iterator[Pairs]:
    """All pairs of rows (ROW) that are sorted by Pair; of a pair of one event nothing is told."""
    waiting = _Waiting()
    for batch in batches:
        if batch.num_rows:
            waiting.add(batch)
        if waiting.rows() >= ROWS:
            yield _pairs(pa.Table.from_batches(waiting.whole))
            waiting.whole = []
    waiting.close()
    if waiting.whole:
        yield _pairs(pa.Table.from_batches(waiting.whole))


def _pairs(table: pa.Table) -> Pairs:
    """Repeated rows, and those of one session, are one event: with its first time, its greatest
    sizes and texts. An end without its beginning counts only where no beginning was logged."""
    rows = {name: table.column(name).combine_chunks() for name in ROW}
    pair = _number_pairs(rows)
    moment = _filled(rows["Moment"], -np.inf)
    session, port = _filled(rows["Session"], 0), _filled(rows["SrcPortNumber"], -1)
    order = np.lexsort((port, session, moment, pair))
    starts = _changes(*(key[order] for key in (pair, moment, session, port)))

    def most(values: NDArray[Any]) -> NDArray[Any]:
        return np.maximum.reduceat(values[order], starts)

    codes, texts = zip(*(_coded(rows[name]) for name in TEXTS), strict=True)
    events = _Events(
        pair[order][starts],
        np.minimum.reduceat(_filled(rows["Time"], np.nan)[order], starts),
        most(_filled(rows["Kind"], OTHER)),
        [most(_filled(rows[name], _NONE)) for name in SIZES],
        [most(code) for code in codes],
        order[starts],
    )
    return events.together(rows, texts)


@dataclass(frozen=True)
class _Events:
    """Columns of events, in the order of pairs; `row`: which row tells whose they are."""

    pair: Ints
    times: Floats
    kinds: Ints
    sizes: Sequence[Ints]
    codes: Sequence[Ints]
    row: Ints

    def together(self, rows: Mapping[str, Any], texts: Sequence[Sequence[str]]) -> Pairs:
        starts = _changes(self.pair)
        number = np.repeat(np.arange(len(starts)), np.diff(starts, append=len(self.pair)))
        has_start = np.maximum.reduceat(self.kinds, starts) == START
        counts = ~(has_start[number] & (self.kinds == END))
        events = np.add.reduceat(counts.astype(np.int64), starts)
        kept = events > 1
        sums = [_sums(sizes, starts) for sizes in self.sizes]
        greatest = [np.maximum.reduceat(code, starts) for code in self.codes]
        whose = pa.array(self.row[starts][kept])
        known = {
            **{name: rows[name].take(whose) for name in SERIES},
            "Connections": pa.array(events[kept]),
            **{
                name: pa.array(total[kept], mask=unknown[kept])
                for name, (total, unknown) in zip(("BytesOut", "BytesIn"), sums, strict=True)
            },
            **{
                name: pa.array(text, pa.string()).take(pa.array(code[kept], mask=code[kept] < 0))
                for name, text, code in zip(TEXTS, texts, greatest, strict=True)
            },
        }
        chosen = np.flatnonzero(counts & kept[number])
        sent, received = (_floats(sizes[chosen]) for sizes in self.sizes)
        names = self.codes[TEXTS.index("DstHostname")][chosen]
        times = self.times[chosen]
        order = np.lexsort((names, received, sent, times, number[chosen]))
        begin = np.concatenate([[0], np.cumsum(events[kept])])
        return Pairs(
            known,
            begin,
            times[order],
            sent[order],
            received[order],
            names[order],
            texts[TEXTS.index("DstHostname")],
        )


def _number_pairs(rows: Mapping[str, Any]) -> Ints:
    """A number for each series, ascending. Two of one Pair are told apart, however unlikely."""
    pair = rows["Pair"].to_numpy()
    other = np.zeros(len(pair), np.bool_)
    for name in SERIES:
        values = rows[name]
        if values.null_count:
            values = pa.array(_coded(values.cast(pa.string()))[0])
        other[1:] |= pc.not_equal(values[1:], values[:-1]).to_numpy(zero_copy_only=False)
    if not (other[1:] & (pair[1:] == pair[:-1])).any():
        return np.cumsum(other)
    codes = [_coded(rows[name].cast(pa.string()))[0] for name in SERIES]
    _, number = np.unique(np.stack([pair, *codes]), axis=1, return_inverse=True)
    return np.asarray(number, np.int64).ravel()


def _changes(*keys: NDArray[Any]) -> Ints:
    """Where one of these ordered columns has another value than before: the first place too."""
    differs = np.ones(len(keys[0]), np.bool_)
    differs[1:] = np.logical_or.reduce([key[1:] != key[:-1] for key in keys])
    return np.flatnonzero(differs)


def _filled(values: Any, none: float) -> NDArray[Any]:
    return np.asarray(values.fill_null(none).to_numpy(zero_copy_only=False))


def _coded(values: Any) -> tuple[Ints, list[str]]:
    """Texts as numbers, -1 for none: the greater text has the greater number."""
    coded = values.dictionary_encode()
    texts = coded.dictionary.to_pylist()
    # By the text: in a dictionary they come in the order of the rows, which says nothing.
    ranks = np.append(np.argsort(np.argsort(np.array(texts, object))), -1)
    places = coded.indices.fill_null(len(texts)).to_numpy(zero_copy_only=False)
    return ranks[places], sorted(texts)


def _sums(sizes: Ints, starts: Ints) -> tuple[Ints, Bools]:
    """Of each pair the sum of the sizes that are known, and whether there is none."""
    known = sizes != _NONE
    total = np.add.reduceat(np.where(known, sizes, 0), starts)
    return total, ~np.logical_or.reduceat(known, starts)


def _floats(sizes: Ints) -> Floats:
    return np.where(sizes == _NONE, np.nan, sizes.astype(np.float64))
