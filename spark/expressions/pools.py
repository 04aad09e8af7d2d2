"""Several destinations of one source that share one timer. No Spark, no session.

Of calls to several destinations in turn, or to any of them, each destination sees too little:
together they are a timer's.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import product
from typing import Any

import numpy as np

from spark.expressions.rhythm import Floats, Rhythm, find

LARGEST_SHARE = 0.6
"""Share of a pool's calls that go to one destination at most: else it is that one's rhythm."""
CELL = 0.06
"""Width of a size's cell, as a logarithm; cells overlap by half, so 3 % apart is together."""


@dataclass(frozen=True, slots=True)
class Member:
    """A destination that has no rhythm of its own, and calls of mostly one size."""

    destination: str
    times: Floats
    sent: float
    received: float
    """Bytes of a typical call; NaN when the log has none."""
    row: Callable[[], dict[str, Any]] = dict
    """What else is known of it, by column: asked for once it is in a pool."""


@dataclass(frozen=True)
class Pool:
    """Destinations that share one timer. `tries`: how many pools the source could have had."""

    members: tuple[Member, ...]
    times: Floats
    rhythm: Rhythm
    tries: int


@dataclass(frozen=True)
class Cells:
    """Members by their sizes, both ways: those of a cell are near to equal.

    A cell of more than `most` can be no pool: its members are let go of, and no more are taken. So
    a source that calls a million places costs no more memory than one that calls a few.
    """

    most: int
    _members: dict[tuple[int, ...], list[Member] | None] = field(default_factory=dict)

    def add(self, one: Member) -> None:
        """Take a member in."""
        for cell in _cells(one):
            held = self._members.setdefault(cell, [])
            if held is None:
                continue
            held.append(one)
            if len(held) > self.most:
                self._members[cell] = None

    def groups(self) -> list[list[Member]]:
        """Who is together, each group once and ordered by destination."""
        held = (cell for cell in self._members.values() if cell)
        ordered = (sorted(cell, key=lambda one: one.destination) for cell in held)
        return list({tuple(one.destination for one in cell): cell for cell in ordered}.values())


def find_pools(cells: Cells, gap: float, least: int) -> list[Pool]:
    """Pools of two destinations or more with one timer, the best first; no member is in two."""
    chosen = [cell for cell in cells.groups() if _is_pool(cell, least)]
    pools = [pool for cell in chosen if (pool := _pool(cell, gap, least, len(chosen)))]
    pools.sort(key=lambda pool: (-pool.rhythm.nats, [one.destination for one in pool.members]))
    taken: set[str] = set()
    apart = []
    for pool in pools:
        names = {one.destination for one in pool.members}
        if not names & taken:
            apart.append(pool)
            taken |= names
    return apart


def _cells(one: Member) -> list[tuple[int, ...]]:
    known = [size for size in (one.sent, one.received) if not math.isnan(size)]
    logs = [math.log(size + 1) / CELL for size in known]
    return [
        (len(known), *(v for log, half in zip(logs, halves, strict=True) for v in _cell(log, half)))
        for halves in product((0, 1), repeat=len(known))
    ]


def _cell(log: float, half: int) -> tuple[int, int]:
    return half, math.floor(log + half / 2)


def _is_pool(cell: list[Member], least: int) -> bool:
    counts = [len(one.times) for one in cell]
    enough = sum(counts) > least and len(cell) >= 2
    return enough and max(counts) <= LARGEST_SHARE * sum(counts)


def _pool(cell: list[Member], gap: float, least: int, tries: int) -> Pool | None:
    """The pool without those that disturb its rhythm: another's calls are not to be blamed."""
    members = cell
    times, rhythm = _together(members, gap, least)
    while rhythm is not None and rhythm.nats > 0 and len(members) > 2:
        fewer = [[one for one in members if one is not left_out] for left_out in members]
        judged = [(_together(rest, gap, least), rest) for rest in fewer if _is_pool(rest, least)]
        better = [one for one in judged if one[0][1] and one[0][1].nats > rhythm.nats]
        if not better:
            break
        (times, rhythm), members = max(better, key=lambda one: one[0][1].nats if one[0][1] else 0)
    if rhythm is None or rhythm.nats <= 0:
        return None
    return Pool(tuple(sorted(members, key=lambda one: one.destination)), times, rhythm, tries)


def _together(members: list[Member], gap: float, least: int) -> tuple[Floats, Rhythm | None]:
    times = np.sort(np.concatenate([one.times for one in members]))
    found = find(times, gap, least)
    return (times, None) if found is None else (times[found[0]], found[1])
