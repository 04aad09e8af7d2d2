"""Planted bugs are found, and told in a few lines; `make mutants` hunts all of them down."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation import planted_jobs, planted_ledger, planted_sinks
from tests.simulation.planted import PLANTED, Plant, told_by
from tests.simulation.simulate import Outcome, numbers, shrink, simulate

pytestmark = pytest.mark.proof

QUICK: tuple[Plant, ...] = (
    planted_jobs.posts_twice,
    planted_jobs.reserves_after_the_post,
    planted_ledger.claims_nothing,
    planted_ledger.consumes_marks_first,
    planted_ledger.marks_only_once,
    planted_sinks.names_findings_by_content,
    planted_sinks.drops_refused_rows,
    planted_sinks.writes_over_the_analyst,
)
"""Bugs that one of a few seeds meets."""


@pytest.mark.parametrize("bug", QUICK, ids=lambda bug: bug.__name__)
def test_its_own_invariant_tells_of_a_planted_bug(bug: Plant) -> None:
    assert next(_told(bug, told_by(bug), range(25)), None)


def test_every_planted_bug_names_a_rule_and_its_invariant() -> None:
    assert len(PLANTED) >= 25 and len({plant.__name__ for plant in PLANTED}) == len(PLANTED)
    assert all(1 <= int(told_by(plant)) <= 14 for plant in PLANTED)


def test_a_story_is_cut_down_to_the_faults_that_matter() -> None:
    bug = planted_jobs.posts_before_it_saves
    found = next(one for one in _told(bug, "4", range(39, 139)) if len(one.faults) >= 6)
    short = shrink(found, bug, most=12)
    assert short.broken[0].startswith("4: 2 POSTs of job-")
    assert 1 <= len(short.faults) < len(found.faults)
    assert len(short.story) <= 20 and "VIOLATION" in short.story[-1]
    assert sum("engine.submit" in line for line in short.story) == 2


def _told(bug: Plant, number: str, seeds: range) -> Iterator[Outcome]:
    """Of these seeds those that tell of it: which they are changes with the code."""
    outcomes = (simulate(seed, bug, until=number) for seed in seeds)
    return (one for one in outcomes if number in numbers(one))


def test_a_bug_that_needs_no_fault_is_told_without_any() -> None:
    bug = planted_jobs.posts_twice
    short = shrink(next(_told(bug, "4", range(25))), bug)
    assert short.faults == [] and "VIOLATION" in short.story[-1]
