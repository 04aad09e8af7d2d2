"""The whole control plane under faults, seed by seed; `make simulate SEEDS=n` runs more of them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation import planted
from tests.simulation.faults import KINDS
from tests.simulation.pool import FATES
from tests.simulation.simulate import Outcome, Plant, simulate, simulate_all

SEEDS = range(4)
PLANTED: dict[Plant, tuple[int, str]] = {
    planted.posts_twice: (0, "4"),
    planted.believes_it: (5, "1"),
    planted.writes_over: (0, "6"),
    planted.no_margin: (0, "3"),
    planted.never_settles: (0, "11"),
}
"""Bug -> a seed that meets it, and the invariant that tells."""


@pytest.fixture(scope="module")
def every() -> list[Outcome]:
    """All that this file looks at, at once: the seeds, then the planted bugs."""
    seeds = [*SEEDS, *(seed for seed, _ in PLANTED.values())]
    return list(simulate_all(seeds, [*(None for _ in SEEDS), *PLANTED]))


@pytest.fixture(scope="module")
def outcomes(every: list[Outcome]) -> list[Outcome]:
    return every[: len(SEEDS)]


@pytest.mark.parametrize("seed", SEEDS)
def test_a_seed_breaks_no_invariant(outcomes: list[Outcome], seed: int) -> None:
    outcome = outcomes[seed]
    assert outcome.broken == [], "\n".join([*outcome.story, *outcome.broken])


def test_every_fault_fired_and_jobs_went_wrong_in_every_way(outcomes: list[Outcome]) -> None:
    fired = Counter(fault.kind for outcome in outcomes for fault in outcome.faults)
    fates = sum((outcome.fates for outcome in outcomes), Counter[str]())
    assert set(fired) == set(KINDS)
    assert set(fates) == set(FATES)


def test_each_seed_hunts_delivers_and_opens_incidents(outcomes: list[Outcome]) -> None:
    for outcome in outcomes:
        assert outcome.counts["run done"] > 80 and outcome.counts["incidents"] > 20
        assert outcome.counts["rows"] > 100


def test_a_seed_replays_to_the_byte_in_another_process(outcomes: list[Outcome]) -> None:
    assert simulate(SEEDS[0]) == outcomes[0]


@pytest.mark.parametrize("bug", PLANTED, ids=lambda bug: bug.__name__)
def test_a_planted_bug_is_found(every: list[Outcome], bug: Plant) -> None:
    outcome = every[len(SEEDS) + list(PLANTED).index(bug)]
    assert PLANTED[bug][1] in {trouble.split(":")[0] for trouble in outcome.broken}
