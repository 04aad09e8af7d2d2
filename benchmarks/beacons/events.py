"""Connections as columns, and what groups them into pairs: no clock, no chance, no labels.

Hosts and destinations are small numbers here; what they look like in a log is told by whoever
writes them to one. A pair is one source, one destination and one port.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rng = np.random.Generator

HOUR = 3_600.0
DAY = 24 * HOUR
DAYS = 21
WINDOW = DAYS * DAY
"""Seconds from the first moment of the data to the last."""

PORT_BITS, PLACE_BITS = 16, 24


@dataclass(frozen=True)
class Events:
    """Connections: six columns of one length. `time` is seconds since the window began."""

    time: Floats
    source: Ints
    destination: Ints
    port: Ints
    sent: Ints
    received: Ints

    def __len__(self) -> int:
        return len(self.time)

    def take(self, index: NDArray[np.bool_] | Ints) -> Events:
        """The rows at these places, or where a mask says so."""
        return Events(*(getattr(self, one.name)[index] for one in fields(self)))

    @property
    def key(self) -> Ints:
        """One number per row that names its pair."""
        return pair_key(self.source, self.destination, self.port)


def calls(
    time: Floats, source: int, destination: ArrayLike, port: int, size: tuple[Ints, Ints]
) -> Events:
    """Connections of one source; `destination` is one number, or one per row; `size`: bytes."""
    count = len(time)
    places = np.broadcast_to(np.asarray(destination, np.int64), count)
    who, doors = np.full(count, source, np.int64), np.full(count, port, np.int64)
    return Events(time, who, places.astype(np.int64), doors, *size)


def concat(parts: Iterable[Events]) -> Events:
    """All rows of these, one after the other. ValueError when there is none."""
    rows = list(parts)
    return Events(
        *(np.concatenate([getattr(part, one.name) for part in rows]) for one in fields(Events))
    )


def pair_key(source: ArrayLike, destination: ArrayLike, port: ArrayLike) -> Ints:
    """(source, destination, port) as one number."""
    high = np.asarray(source, np.int64) << (PORT_BITS + PLACE_BITS)
    key: Ints = high | (np.asarray(destination, np.int64) << PORT_BITS) | np.asarray(port, np.int64)
    return key


def source_of(key: int) -> int:
    """The source in a pair's key."""
    return key >> (PORT_BITS + PLACE_BITS)


def pairs(events: Events) -> Iterator[tuple[int, Events]]:
    """Every pair's key with its events in time order, by ascending key."""
    keys = events.key
    order = np.lexsort((events.time, keys))
    ordered, sorted_keys = events.take(order), keys[order]
    starts = np.flatnonzero(np.r_[True, sorted_keys[1:] != sorted_keys[:-1]])
    for start, end in zip(starts, [*starts[1:], len(keys)], strict=True):
        yield int(sorted_keys[start]), ordered.take(np.arange(start, end))
