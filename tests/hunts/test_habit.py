"""A person's working days, and timers of a day: which is which."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
h = importlib.import_module("spark.expressions.habit")

DAY, WORKDAYS = 86_400.0, (0, 1, 2, 3, 4)


def kept(seed: int, spread: float, weekdays: tuple[int, ...] = WORKDAYS, at: float = 9.0) -> Any:
    """Three weeks of one visit on each of these days of the week, `at` o'clock give or take."""
    days = np.array([day for day in range(21) if day % 7 in weekdays])
    dice = np.random.default_rng(seed)
    return np.sort(days * DAY + at * 3_600 + dice.normal(0, spread, len(days)))


def timer(seed: int, jitter: float, lost: float = 0.0) -> Any:
    dice = np.random.default_rng(seed)
    times = np.cumsum(DAY * (1 + jitter * dice.uniform(-1, 1, 21)))
    return times[dice.random(21) >= lost]


def share(of: list[bool]) -> float:
    return sum(of) / len(of)


@pytest.mark.parametrize("spread", [600.0, 1_800.0, 5_400.0])
@pytest.mark.parametrize("at", [0.0, 9.0, 23.5])
@pytest.mark.parametrize("weekdays", [WORKDAYS, (6, 0, 1, 2, 3), (2, 3, 4, 5, 6)])
def test_a_person_keeps_working_days(spread: float, at: float, weekdays: tuple[int, ...]) -> None:
    said = [h.keeps_working_days(kept(seed, spread, weekdays, at), DAY) for seed in range(50)]
    assert share(said) > 0.9


@pytest.mark.parametrize("jitter", [0.0, 0.02, 0.1, 0.3])
@pytest.mark.parametrize("lost", [0.0, 0.3])
def test_a_timer_keeps_none(jitter: float, lost: float) -> None:
    said = [h.keeps_working_days(timer(seed, jitter, lost), DAY) for seed in range(200)]
    assert share(said) == 0


def test_what_a_clock_starts_on_working_days_is_no_person() -> None:
    assert not h.keeps_working_days(kept(1, 30.0), DAY)


def test_what_comes_on_all_days_is_a_person_or_not() -> None:
    assert not h.keeps_working_days(kept(1, 1_800.0, tuple(range(7))), DAY)
    assert not h.keeps_working_days(kept(1, 1_800.0, (0, 1, 2, 3, 4, 5)), DAY)


def test_free_days_lie_side_by_side() -> None:
    assert not h.keeps_working_days(kept(1, 1_800.0, (0, 1, 3, 4, 6)), DAY)


def test_a_timer_on_a_laptop_that_rests_at_weekends_wanders() -> None:
    def rests(times: Any) -> Any:
        return times[np.isin(times // DAY % 7, WORKDAYS)]

    said = [h.keeps_working_days(rests(timer(seed, 0.1)), DAY) for seed in range(200)]
    assert share(said) < 0.1


def test_one_weekend_says_nothing() -> None:
    times = kept(1, 1_800.0)
    assert h.keeps_working_days(times, DAY)
    assert not h.keeps_working_days(times[times < 12 * DAY], DAY)


@pytest.mark.parametrize("period", [3_600.0, 12 * 3_600.0, 2 * DAY])
def test_another_period_is_no_days(period: float) -> None:
    assert not h.keeps_working_days(kept(1, 1_800.0), period)
