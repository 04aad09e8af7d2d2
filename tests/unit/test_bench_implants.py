"""Each class of implants has the property that its name claims."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.beacons import clocks
from benchmarks.beacons.events import DAY, HOUR, WINDOW, Floats
from benchmarks.beacons.implants import KINDS, Calls
from tests.sources import below, imported, sources

SEEDS = range(6)


def made(name: str, seed: int) -> Calls:
    return KINDS[name].make(np.random.default_rng(seed))


def steps(name: str, seed: int) -> Floats:
    """Intervals over their median: the period is near 1."""
    intervals = np.diff(made(name, seed).time)
    return np.asarray(intervals / np.median(intervals))


def modal_share(call: Calls) -> float:
    """Share of the calls that have the commonest size."""
    return float(np.unique(call.sent, return_counts=True)[1].max() / len(call.sent))


@pytest.mark.parametrize("name", KINDS)
def test_an_implant_calls_in_order_inside_of_the_window(name: str) -> None:
    for seed in SEEDS:
        one = made(name, seed)
        assert len(one.time) == len(one.controller) == len(one.sent) == len(one.received) >= 7
        assert (np.diff(one.time) >= 0).all()
        assert 0 <= one.time[0] < one.time[-1] < WINDOW
        assert set(one.controller.tolist()) <= set(range(one.controllers))
        assert min(one.sent.min(), one.received.min()) >= 0


@pytest.mark.parametrize("percent", [10, 20, 30, 50, 70, 90])
def test_jitter_spreads_evenly_either_way(percent: int) -> None:
    for seed in SEEDS:
        intervals = np.diff(made(f"jitter {percent} %", seed).time)
        period, spread = intervals.mean(), percent / 100
        # A uniform distribution's standard deviation is its half width over the root of 3.
        assert intervals.std() / period == pytest.approx(spread / 3**0.5, rel=0.2)
        assert intervals.max() <= period * (1 + spread) * 1.2


def test_a_fixed_timer_does_not_spread() -> None:
    assert max(abs(steps("fixed", seed) - 1).max() for seed in SEEDS) < 1e-6


@pytest.mark.parametrize("percent", [20, 50])
def test_a_shortened_sleep_never_takes_longer_than_its_period(percent: int) -> None:
    for seed in SEEDS:
        intervals = np.diff(made(f"shortened {percent} %", seed).time)
        assert intervals.min() / intervals.max() == pytest.approx(1 - percent / 100, abs=0.06)
        assert intervals.mean() / intervals.max() == pytest.approx(1 - percent / 200, abs=0.06)


@pytest.mark.parametrize("name", ["nights off, 10 %", "nights off, 30 %"])
def test_nobody_calls_at_night(name: str) -> None:
    for seed in SEEDS:
        hours = made(name, seed).time % DAY / HOUR
        assert hours.min() >= 6
        assert hours.max() <= 20


def test_of_ten_rows_three_are_lost() -> None:
    for seed in SEEDS:
        assert (steps("30 % of rows lost", seed) > 1.5).mean() == pytest.approx(0.3, abs=0.08)


@pytest.mark.parametrize(("hours", "most"), [(6, 84), (12, 42), (24, 21)])
def test_slow_ones_call_for_three_weeks(hours: int, most: int) -> None:
    for seed in SEEDS:
        assert abs(len(made(f"every {hours} h", seed).time) - most) <= 2


@pytest.mark.parametrize("count", [7, 12])
def test_few_events_are_so_many(count: int) -> None:
    assert {len(made(f"{count} events", seed).time) for seed in SEEDS} == {count}


def test_short_lives_are_short() -> None:
    for seed in SEEDS:
        brief, late = made("2 hours only", seed).time, made("last 2 days only", seed).time
        assert brief[-1] - brief[0] <= 2 * HOUR
        assert late[0] >= WINDOW - 2 * DAY


def test_office_hours_have_no_weekend() -> None:
    for seed in SEEDS:
        times = made("office hours, 50 %", seed).time
        assert (clocks.weekday(times) < 5).all()
        assert ((times % DAY / HOUR >= 8) & (times % DAY / HOUR < 18)).all()


def test_sizes_are_one_or_many_as_the_class_says() -> None:
    constant = [modal_share(made("jitter 20 %", seed)) for seed in range(20)]
    assert sorted(constant)[10] > 0.9
    assert max(modal_share(made("changing sizes", seed)) for seed in SEEDS) < 0.1


def test_a_tasking_is_a_burst_of_data() -> None:
    for seed in SEEDS:
        one = made("taskings", seed)
        gaps = np.diff(one.time)
        assert np.quantile(gaps, 0.1) < 0.5 * np.median(np.diff(made("jitter 20 %", seed).time))
        assert np.quantile(one.sent, 0.95) > 5 * np.median(one.sent)


def test_a_round_robin_goes_round() -> None:
    for seed in SEEDS:
        one = made("round robin of 2-4", seed)
        assert one.controllers in (2, 3, 4)
        assert (np.diff(one.controller) % one.controllers == 1).all()


def test_a_random_of_eight_has_no_order() -> None:
    for seed in SEEDS:
        one = made("random of 8", seed)
        shares = np.bincount(one.controller, minlength=8) / len(one.controller)
        assert abs(shares - 1 / 8).max() < 0.1
        assert (np.diff(one.controller) == 0).mean() == pytest.approx(1 / 8, abs=0.07)


@pytest.mark.parametrize("times_as_much", [0.5, 1, 3])
def test_browsing_is_so_many_times_the_implant(times_as_much: float) -> None:
    shares = [modal_share(made(f"browsing {times_as_much} times", seed)) for seed in range(9)]
    # What is not of the implant's one size is browsing, or its few orders; padded ones aside.
    constant = [share for share in shares if share > 0.1]
    assert len(constant) >= 5
    assert np.median(constant) == pytest.approx(1 / (1 + times_as_much), rel=0.12)


def test_a_schedule_keeps_its_phase() -> None:
    rng = np.random.default_rng(5)
    times = clocks.schedule(rng, 600.0, 0.5, 1_000.0, 100_000.0)
    phase = times % 600 / 600
    assert phase.max() <= 0.5
    assert len(np.unique(times // 600)) == len(times)


def test_renewals_spread_by_their_shape() -> None:
    rng = np.random.default_rng(6)
    for shape in (1.0, 2.0, 4.0):
        intervals = np.diff(clocks.renewal(rng, 60.0, shape, 0.0, WINDOW))
        assert intervals.mean() == pytest.approx(60.0, rel=0.05)
        assert intervals.std() / intervals.mean() == pytest.approx(shape**-0.5, rel=0.05)


def test_what_makes_the_world_knows_no_detector() -> None:
    makers = {"events", "clocks", "people", "software", "implants", "world"}
    paths = [path for path in sources("benchmarks") if path.parent.name == "beacons"]
    theirs = [path for path in paths if path.stem in makers]
    assert {path.stem for path in theirs} == makers
    allowed = ("__future__", "collections.abc", "dataclasses", "functools", "numpy")
    own = tuple(f"benchmarks.beacons.{name}" for name in makers)
    foreign = {n for path in theirs for n in imported(path) if not below(n, *allowed, *own)}
    assert foreign - {f"benchmarks.beacons.{name}" for name in makers} == set()
