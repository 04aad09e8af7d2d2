"""Each planted bug, and the first seed that tells of it."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

from tests.simulation.planted import Plant, told_by
from tests.simulation.simulate import simulate


@dataclass(frozen=True)
class Verdict:
    """What became of one planted bug."""

    plant: Plant
    seed: int | None
    """The first seed at which its own invariant told; None: none did."""
    told: str
    """What was told then."""
    others: tuple[str, ...]
    """Numbers of the other invariants that told by then."""


def hunt_down(plant: Plant, seeds: int, first: int = 0) -> Verdict:
    """Try one seed after another until the invariant that it breaks tells of it."""
    others: set[str] = set()
    for seed in range(first, first + seeds):
        broken = simulate(seed, plant, until=told_by(plant)).broken
        mine = [trouble for trouble in broken if trouble.startswith(f"{told_by(plant)}:")]
        others.update(trouble.split(":")[0] for trouble in broken if trouble not in mine)
        if mine:
            return Verdict(plant, seed, mine[0], tuple(sorted(others, key=int)))
    return Verdict(plant, None, "", tuple(sorted(others, key=int)))


def hunt_all(plants: Sequence[Plant], seeds: int) -> Iterator[Verdict]:
    """Verdicts in the order of the plants; a process a processor."""
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=fresh) as processes:
        yield from processes.map(partial(hunt_down, seeds=seeds), plants)
