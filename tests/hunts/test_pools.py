"""Several destinations with one timer: who is put together, and who is not."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.hunts.timers import ENOUGH, GAP, chance, nats, timer, walk

pytest.importorskip("pyspark", reason="pyspark is not installed")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
p = importlib.import_module("spark.expressions.pools")
r = importlib.import_module("spark.expressions.rhythm")


def members(times: Any, count: int, seed: int, sent: float = 517.0, name: str = "c2") -> list[Any]:
    """The times dealt out to so many destinations, by chance."""
    dealt = chance(seed).integers(0, count, len(times))
    return [p.Member(f"{name}-{n}", times[dealt == n], sent, 90.0) for n in range(count)]


def pools(given: list[Any], least: int = 5, most: int = 16) -> list[Any]:
    cells = p.Cells(most)
    for one in given:
        cells.add(one)
    made: list[Any] = p.find_pools(cells, GAP, least)
    return made


def names(pool: Any) -> list[str]:
    return [one.destination for one in pool.members]


def test_any_of_eight_are_one_timer() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    assert max(nats(one.times) for one in given) < 0
    (pool,) = pools(given)
    assert names(pool) == [f"c2-{n}" for n in range(8)]
    assert pool.rhythm.nats > ENOUGH
    assert pool.rhythm.period == pytest.approx(600, rel=0.05)


def test_their_order_says_nothing() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    forwards, backwards = pools(given), pools(given[::-1])
    assert [names(pool) for pool in forwards] == [names(pool) for pool in backwards]


def test_an_innocent_of_the_same_size_is_left_out() -> None:
    times = timer(200, 600, 0.2, 1)
    innocent = p.Member("a-first", np.sort(chance(3).uniform(times[0], times[-1], 40)), 517.0, 90.0)
    (pool,) = pools([innocent, *members(times, 8, seed=2)])
    assert names(pool) == [f"c2-{n}" for n in range(8)]


def test_sizes_that_differ_are_not_put_together() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    apart = [
        p.Member(one.destination, one.times, 517.0 * 1.2**n, 90.0) for n, one in enumerate(given)
    ]
    assert pools(apart) == []
    padded = [p.Member(one.destination, one.times, 517.0 + n, 90.0) for n, one in enumerate(given)]
    assert len(pools(padded)) == 1


def test_chance_is_no_pool() -> None:
    by_chance = walk(chance(4).exponential(600, 200))
    assert pools(members(by_chance, 8, seed=5)) == []


def test_a_pool_is_no_cover_for_one_destination() -> None:
    times = timer(200, 600, 0.2, 1)
    mostly = chance(6).random(len(times)) < 0.8
    given = [p.Member("a", times[mostly], 517.0, 90.0), p.Member("b", times[~mostly], 517.0, 90.0)]
    assert pools(given) == []


def test_more_destinations_than_allowed_are_not_put_together() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    assert pools(given, most=7) == []


def test_a_cell_that_overflows_hides_no_pool_of_another_size() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    crowd = [p.Member(f"x-{n}", np.array([n, n + 50.0]), 9_000.0, 90.0) for n in range(100)]
    (pool,) = pools([*crowd[:50], *given, *crowd[50:]])
    assert names(pool) == [f"c2-{n}" for n in range(8)]


def test_no_destination_is_in_two_pools() -> None:
    one = members(timer(200, 600, 0.2, 1), 4, seed=2, sent=500.0)
    other = members(timer(200, 900, 0.2, 3), 4, seed=4, sent=700.0, name="d")
    made = pools(one + other)
    assert [names(pool) for pool in made] in (
        [[f"c2-{n}" for n in range(4)], [f"d-{n}" for n in range(4)]],
        [[f"d-{n}" for n in range(4)], [f"c2-{n}" for n in range(4)]],
    )
