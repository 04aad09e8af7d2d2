"""The whole control plane under faults, seed by seed; `make simulate SEEDS=n` runs more of them."""

from __future__ import annotations

from collections import Counter

import pytest

from tests.simulation.faults import KINDS
from tests.simulation.pool import FATES
from tests.simulation.scale import scale_of
from tests.simulation.simulate import Outcome, simulate, simulate_all

SEEDS = range(50)
"""The 26th is the first whole world."""


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return list(simulate_all(SEEDS))


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
        assert outcome.counts["run done"] > 8 and outcome.counts["rows"] > 8, outcome.seed
    assert sum(outcome.counts["incidents"] for outcome in outcomes) > 1000


def test_worlds_are_of_every_size_and_every_cap_bites(outcomes: list[Outcome]) -> None:
    scales = [scale_of(seed) for seed in SEEDS]
    assert {len(scale.hunts) for scale in scales} == {2, 3, 4, 5, 25}
    assert {len(scale.workspaces) for scale in scales} == {1, 2}
    assert max(scale.hours for scale in scales) == 48
    met = sum((outcome.counts for outcome in outcomes), Counter[str]())
    for cap in ("jobs", "core minutes", "bytes", "incidents", "runs of a hunt"):
        assert met[f"cap of {cap}"] > 0, cap


def test_operators_do_everything(outcomes: list[Outcome]) -> None:
    met = sum((outcome.counts for outcome in outcomes), Counter[str]())
    for asked in ("release", "redrive", "revoke", "fill", "pause", "resume"):
        assert met[f"asked {asked} 202"] >= 5, asked
    assert met["done of backfill"] > 100


def test_a_seed_replays_to_the_byte_in_another_process(outcomes: list[Outcome]) -> None:
    assert simulate(SEEDS[1]) == outcomes[1]
