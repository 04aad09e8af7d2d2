"""Timers weighed against life: numbers worked out beside the code, and processes that are known."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING, Any

import pytest

from tests.hunts.timers import ENOUGH, GAP, chance, nats, timer, walk

pytest.importorskip("pyspark", reason="pyspark is not installed")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
r = importlib.import_module("spark.expressions.rhythm")

if TYPE_CHECKING:
    from collections.abc import Sequence

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


def test_nights_are_outliers() -> None:
    beats = timer(600, 600, 0.5, 5)
    assert nats(beats[beats % 86_400 < 40_000]) > ENOUGH


@pytest.mark.parametrize(("jitter", "loss"), [(0.1, 0.3), (0.3, 0.3), (0.5, 0.1), (0.5, 0.3)])
def test_beats_may_be_lost(jitter: float, loss: float) -> None:
    beats = timer(400, 600, jitter, 5)
    rhythm = r.judge(beats[chance(6).random(len(beats)) > loss], GAP)
    assert rhythm.nats > ENOUGH
    assert rhythm.period == pytest.approx(600, rel=0.06)
    assert rhythm.jitter == pytest.approx(jitter, abs=0.08)


@pytest.mark.parametrize("jitter", [0.7, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_a_row_in_two_hundred_may_be_lost_of_much_jitter(jitter: float, seed: int) -> None:
    beats = timer(1_500, 60, jitter, seed)
    there = chance(seed + 100).random(len(beats)) >= 0.005
    assert nats(beats[there]) > nats(beats) / 2 > 50


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
