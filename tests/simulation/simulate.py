"""One seed from its first blob to rest, what broke on the way, and the shortest way there."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from shared.deployment import Deployment
from tests.simulation import at_rest
from tests.simulation.faults import Fault
from tests.simulation.safety import Safety
from tests.simulation.story import Unexpected
from tests.simulation.world import START, World

HOURS = 44
"""Twenty hours of data, and what the latest of it needs for its last revision."""
NAMES = re.compile(r"\d{8}-[a-z0-9_-]{8,}|job-\d{14}-[0-9a-f]{8}|[0-9a-f-]{36}")
REPLAYS = 40


@dataclass(frozen=True)
class Outcome:
    """What one seed came to."""

    seed: int
    broken: list[str]
    faults: list[Fault]
    fates: Counter[str]
    digest: str
    story: list[str]
    """What tells how it came to the first violation."""
    counts: Counter[str]
    """How much of everything happened: a simulation in which nothing happens proves nothing."""


Plant = Callable[[Deployment], Deployment]


def simulate(seed: int, plant: Plant | None = None, without: Collection[int] = ()) -> Outcome:
    """Let one seed happen, without some of its faults, or with a bug planted."""
    world = World(seed, without=without, plant=plant or (lambda home: home))
    safety = Safety(world)
    world.each_tick = lambda: _look(safety)
    with _listening(world.unexpected):
        world.run()
        world.schedule.run(START + timedelta(hours=HOURS))
        for check in at_rest.CHECKS:
            for trouble in check(safety):
                safety.report(trouble)
        world.schedule.close()
    return _outcome(world, safety)


def _look(safety: Safety) -> None:
    for trouble in at_rest.late_ones(safety, safety.world.faults.end):
        safety.report(trouble)


def simulate_all(seeds: Sequence[int], plants: Sequence[Plant | None] = ()) -> Iterator[Outcome]:
    """Outcomes in the order of the seeds, a plant for each or none; a process a processor."""
    fresh = multiprocessing.get_context("spawn")
    every = itertools.chain(plants, itertools.repeat(None))
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=fresh) as processes:
        yield from processes.map(simulate, seeds, itertools.islice(every, len(seeds)))


@contextmanager
def _listening(handler: Unexpected) -> Iterator[None]:
    logger = logging.getLogger("tidehunt")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _outcome(world: World, safety: Safety) -> Outcome:
    runs = Counter(f"run {run.status}" for run in at_rest.runs_of(world))
    counts = Counter(
        rows=len(world.sink.rows),
        incidents=len(world.incidents.incidents),
        jobs=len(world.pool.requests),
        requests=world.wire.calls,
        turns=world.turns,
    )
    words = set(NAMES.findall(safety.broken[0])) if safety.broken else set()
    return Outcome(
        world.seed,
        safety.broken,
        world.faults.fired,
        Counter(world.pool.fates),
        world.story.digest(),
        world.story.about(words),
        counts + runs,
    )


def shrink(found: Outcome) -> Outcome:
    """The same violation with as few faults as a few replays can leave."""
    number, left = found.broken[0].split(":")[0], [fault.number for fault in found.faults]
    best, replays, size = found, 0, max(1, len(left) // 2)
    every = set(left)
    while size and replays < REPLAYS:
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            again = simulate(found.seed, without=every - set(fewer))
            replays += 1
            if any(trouble.startswith(f"{number}:") for trouble in again.broken):
                best, left = again, fewer
                break
            if replays >= REPLAYS:
                return best
        else:
            size //= 2
    return best
