"""Timers weighed against life: numbers worked out beside the code, and processes that are known."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest

np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
r = importlib.import_module("spark.rhythm")

if TYPE_CHECKING:
    from collections.abc import Sequence

GAP = 2.0
ENOUGH = 8.5
"""Nats at which the hunt's score reaches Medium: 9.3 * -ln(1 - 0.6)."""


def chance(seed: int) -> Any:
    return np.random.default_rng(seed)


def walk(intervals: Any, start: float = 1_000.25) -> Any:
    """Times with these intervals, of a clock with fractions."""
    return start + np.concatenate([[0.0], np.cumsum(intervals)])


def timer(count: int, period: float, jitter: float, seed: int) -> Any:
    return walk(period * (1 + chance(seed).uniform(-jitter, jitter, count)))


def nats(times: Any) -> float:
    rhythm = r.judge(times, GAP)
    return -math.inf if rhythm is None else float(rhythm.nats)


# --- the likelihoods --------------------------------------------------------------------------


def test_five_exact_intervals_by_hand() -> None:
    rhythm = r.judge(np.arange(6) * 300.0, GAP)
    # What can be seen of each is 298 s; a timer's are no narrower than a tenth of that.
    as_timer = 5 * (math.log(0.98) - math.log(29.8))
    # The most regular life: shape 4, of the means that are tried the nearest to 298 s.
    mean = 298 * 1.089 * 0.87
    density = (4 / mean) ** 4 * 298**3 * math.exp(-4 * 298 / mean) / 6
    as_life = 5 * math.log(0.98 * density + 0.02 / (10 * 298))
    assert rhythm.nats == pytest.approx(as_timer - as_life)
    assert (rhythm.period, rhythm.jitter, rhythm.inside) == (300.0, 0.0, 1.0)


def test_period_and_jitter_are_those_of_the_timer() -> None:
    # 200, 202, ... 400 s: 300 s and a third.
    intervals = chance(1).permutation(np.arange(200.0, 401.0, 2.0))
    rhythm = r.judge(walk(intervals), GAP)
    assert rhythm.period == pytest.approx(300, rel=0.02)
    assert rhythm.jitter == pytest.approx(1 / 3, abs=0.02)
    assert rhythm.inside == pytest.approx(1, abs=0.03)
    assert rhythm.longest == pytest.approx(400, rel=0.02)


@pytest.mark.parametrize(
    ("count", "jitter"), [(6, 0.1), (11, 0.2), (15, 0.3), (45, 0.5), (100, 0.7), (150, 0.9)]
)
@pytest.mark.parametrize("seed", range(5))
def test_a_timer_is_one(count: int, jitter: float, seed: int) -> None:
    assert nats(timer(count, 600, jitter, seed)) > ENOUGH


@pytest.mark.parametrize("shape", [1, 1.5, 2, 3, 4])
@pytest.mark.parametrize("count", [8, 30, 100, 1_000])
@pytest.mark.parametrize("seed", range(5))
def test_life_is_none(shape: float, count: int, seed: int) -> None:
    assert nats(walk(chance(seed).gamma(shape, 600 / shape, count))) < ENOUGH / 2


def test_more_intervals_are_more_evidence() -> None:
    few, more = (nats(timer(count, 600, 0.3, 3)) for count in (20, 200))
    assert more > 5 * few > 0


def test_of_very_many_intervals_a_sample_says_the_same_of_each() -> None:
    many = timer(20_000, 600, 0.5, 4)
    assert nats(many) / 20_000 == pytest.approx(nats(many[:384]) / 384, rel=0.15)


def test_nights_and_lost_beats_are_outliers() -> None:
    beats = timer(300, 600, 0.1, 5)
    lost = beats[chance(6).random(len(beats)) > 0.3]
    at_night = beats[beats % 86_400 < 40_000]
    assert min(nats(lost), nats(at_night)) > ENOUGH


def test_the_days_of_people_are_no_timer() -> None:
    # Nothing shorter than four hours or longer than thirty: by its bounds a timer of 76 %.
    wide = chance(7).uniform(4, 30, 100) * 3_600
    assert nats(walk(wide)) < nats(walk(wide / 60))
    assert nats(walk(wide / 60)) > ENOUGH
    assert nats(walk(wide)) < ENOUGH


def test_too_few_times_have_no_rhythm() -> None:
    assert r.judge(np.array([1.0, 300.0]), GAP) is None
    assert r.find(np.arange(5) * 300.0, GAP, 5) is None  # four intervals
    assert r.find(np.arange(6) * 300.0, GAP, 5) is not None


# --- what counts as one -----------------------------------------------------------------------


def test_of_a_burst_and_of_a_gap_the_first_counts() -> None:
    times = np.array([0.0, 1.5, 3.0, 4.5, 10.0])
    assert r.first_of_bursts(times, GAP).tolist() == [True, False, False, False, True]
    assert r.apart(times, GAP).tolist() == [True, False, True, False, True]
    empty = np.array([])
    assert r.first_of_bursts(empty, GAP).tolist() == r.apart(empty, GAP).tolist() == []


def test_retries_are_one_event() -> None:
    first = np.arange(20) * 600.0
    times = np.sort(np.concatenate([first + n for n in range(4)]))
    which, rhythm = r.find(times, GAP, 5)
    assert times[which].tolist() == first.tolist()
    assert rhythm.nats > ENOUGH


def test_a_timer_and_its_data_are_told_from_a_stream() -> None:
    polls = timer(300, 5, 0.2, 8)
    data = polls[chance(9).random(len(polls)) < 0.5]
    both = np.sort(np.concatenate([polls, data + chance(10).uniform(0.3, 2.2, len(data))]))
    which, rhythm = r.find(both, GAP, 5)
    assert which.tolist() == r.apart(both, GAP).tolist()
    assert rhythm.nats > ENOUGH
    # One connection a second: a beat of three seconds is the gap's, not a timer's.
    assert r.find(np.arange(500) * 1.0, GAP, 5) is None


@pytest.mark.parametrize(
    ("sizes", "low"),
    [
        ([500, 505, 510, 900, 2_000], 500),  # 500 to 515
        ([500, 900, 900, 905, 500], 900),
        ([100, 900], 100),  # the lower of two equals
        ([math.nan, 7, 7], 7),
    ],
)
def test_the_commonest_size(sizes: Sequence[float], low: float) -> None:
    assert r.same_size(np.array(sizes, float), 0.03) == (low, low * 1.03)


def test_without_sizes_there_is_no_commonest_one() -> None:
    assert all(math.isnan(end) for end in r.same_size(np.array([math.nan]), 0.03))


# --- several destinations ---------------------------------------------------------------------


def members(times: Any, count: int, seed: int, sent: float = 517.0, name: str = "c2") -> list[Any]:
    """The times dealt out to so many destinations, by chance."""
    dealt = chance(seed).integers(0, count, len(times))
    return [r.Member(f"{name}-{n}", times[dealt == n], sent, 90.0) for n in range(count)]


def pools(given: list[Any], least: int = 5, most: int = 16) -> list[Any]:
    made: list[Any] = r.find_pools(given, GAP, least, most)
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
    innocent = r.Member("a-first", np.sort(chance(3).uniform(times[0], times[-1], 40)), 517.0, 90.0)
    (pool,) = pools([innocent, *members(times, 8, seed=2)])
    assert names(pool) == [f"c2-{n}" for n in range(8)]


def test_sizes_that_differ_are_not_put_together() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    apart = [
        r.Member(one.destination, one.times, 517.0 * 1.2**n, 90.0) for n, one in enumerate(given)
    ]
    assert pools(apart) == []
    padded = [r.Member(one.destination, one.times, 517.0 + n, 90.0) for n, one in enumerate(given)]
    assert len(pools(padded)) == 1


def test_chance_is_no_pool() -> None:
    by_chance = walk(chance(4).exponential(600, 200))
    assert pools(members(by_chance, 8, seed=5)) == []


def test_a_pool_is_no_cover_for_one_destination() -> None:
    times = timer(200, 600, 0.2, 1)
    mostly = chance(6).random(len(times)) < 0.8
    given = [r.Member("a", times[mostly], 517.0, 90.0), r.Member("b", times[~mostly], 517.0, 90.0)]
    assert pools(given) == []


def test_more_destinations_than_allowed_are_not_put_together() -> None:
    given = members(timer(200, 600, 0.2, 1), 8, seed=2)
    assert pools(given, most=7) == []


def test_no_destination_is_in_two_pools() -> None:
    one = members(timer(200, 600, 0.2, 1), 4, seed=2, sent=500.0)
    other = members(timer(200, 900, 0.2, 3), 4, seed=4, sent=700.0, name="d")
    made = pools(one + other)
    assert [names(pool) for pool in made] in (
        [[f"c2-{n}" for n in range(4)], [f"d-{n}" for n in range(4)]],
        [[f"d-{n}" for n in range(4)], [f"c2-{n}" for n in range(4)]],
    )
