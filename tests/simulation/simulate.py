"""One seed from its first blob to rest, what broke on the way, and the shortest way there."""

from __future__ import annotations

import itertools
import logging
import multiprocessing
import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

from tests.simulation import at_rest
from tests.simulation.faults import Fault
from tests.simulation.on_time import OnTime
from tests.simulation.planted import Plant
from tests.simulation.safety import Safety
from tests.simulation.seen import runs_of
from tests.simulation.world import World

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


def simulate(
    seed: int, plant: Plant | None = None, only: Collection[int] | None = None, until: str = ""
) -> Outcome:
    """Let one seed happen, with some of its faults only, or with a bug planted.

    `until` is the number of an invariant whose first violation is all that is wanted.
    """
    world = World(seed, only=only, plant=plant or (lambda home: home))
    safety = Safety(world, until)
    on_time = OnTime(safety)
    world.each_tick = lambda: _report(safety, on_time.look())
    with _listening(world.unexpected), _listening(world.leaks):
        world.run()
        for check in () if world.schedule.over else at_rest.CHECKS:
            _report(safety, check(safety))
        world.schedule.close()
    return _outcome(world, safety)


def _report(safety: Safety, troubles: Iterable[str]) -> None:
    for trouble in troubles:
        safety.report(trouble)


def simulate_all(seeds: Sequence[int], plants: Sequence[Plant | None] = ()) -> Iterator[Outcome]:
    """Outcomes in the order of the seeds, a plant for each or none; a process a processor."""
    fresh = multiprocessing.get_context("spawn")
    every = itertools.chain(plants, itertools.repeat(None))
    with ProcessPoolExecutor(max_workers=os.cpu_count(), mp_context=fresh) as processes:
        yield from processes.map(simulate, seeds, itertools.islice(every, len(seeds)))


@contextmanager
def _listening(handler: logging.Handler) -> Iterator[None]:
    logger = logging.getLogger("tidehunt")
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def _outcome(world: World, safety: Safety) -> Outcome:
    every = runs_of(world)
    runs = Counter(f"run {run.status}" for run in every)
    done = [run for run in every if run.status == "done"]
    counts = Counter(
        rows=len(world.sink.rows),
        incidents=len(world.incidents.incidents),
        jobs=len(world.pool.requests),
        requests=world.wire.calls,
        turns=world.turns,
        **{"done of backfill": sum(run.kind == "backfill" for run in done)},
        **{f"asked {what}": number for what, number in sorted(world.upkeep.answers.items())},
        **{f"cap of {name}": 1 for name in sorted(safety.caps_met)},
    )
    told = next((one for one in safety.broken if one.startswith(f"{safety.until}:")), None)
    told = told or next(iter(safety.broken), "")
    words = set(NAMES.findall(told))
    return Outcome(
        world.seed,
        safety.broken,
        world.faults.fired,
        Counter(world.pool.fates),
        world.story.digest(),
        world.story.about(words, told),
        counts + runs,
    )


def shrink(found: Outcome, plant: Plant | None = None, most: int = REPLAYS) -> Outcome:
    """The same violation with as few faults as a few replays can leave."""
    number, left = found.broken[0].split(":")[0], [fault.number for fault in found.faults]
    replays, size = 0, len(left)
    best = simulate(found.seed, plant, until=number)
    while size and replays < most:
        for start in range(0, len(left), size):
            fewer = left[:start] + left[start + size :]
            again = simulate(found.seed, plant, fewer, number)
            replays += 1
            if number in numbers(again):
                best, left = again, fewer
                break
            if replays >= most:
                return best
        else:
            size //= 2
        size = min(size, len(left))
    return best


def numbers(outcome: Outcome) -> set[str]:
    """The invariants that a seed breaks."""
    return {trouble.split(":")[0] for trouble in outcome.broken}
