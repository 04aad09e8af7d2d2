"""Processes that make times: seconds since the window began, ascending, inside `[begin, end)`.

`spread` is the largest share of its period by which an interval is off: a timer that is set to
"60 s, 20 %" has a spread of 0.2.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from benchmarks.beacons.events import DAY, HOUR, Floats, Ints, Rng

WORKDAYS = 5


def timer(rng: Rng, period: float, spread: float, begin: float, end: float) -> Floats:
    """Intervals of the period, each off by up to `spread` of it either way, evenly."""
    return _walk(rng, lambda n: period * (1 + rng.uniform(-spread, spread, n)), period, begin, end)


def sleeper(rng: Rng, period: float, spread: float, begin: float, end: float) -> Floats:
    """Intervals of the period, each shortened by up to `spread` of it, evenly."""
    mean = period * (1 - spread / 2)
    return _walk(rng, lambda n: period * (1 - rng.uniform(0, spread, n)), mean, begin, end)


def renewal(rng: Rng, period: float, shape: float, begin: float, end: float) -> Floats:
    """Intervals of a gamma distribution with this mean; shape 1 is a Poisson process."""
    return _walk(rng, lambda n: rng.gamma(shape, period / shape, n), period, begin, end)


def schedule(rng: Rng, period: float, late: float, begin: float, end: float) -> Floats:
    """One time a slot of the wall clock, up to `late` of a period after the slot begins.

    A late call does not move the next one, so the phase holds where intervals spread.
    """
    slots = np.arange(np.ceil(begin / period), np.ceil(end / period)) * period
    times = slots + rng.uniform(0, late, len(slots)) * period
    return np.sort(times[times < end])


def _walk(
    rng: Rng, steps: Callable[[int], Floats], mean: float, begin: float, end: float
) -> Floats:
    """A walk from a random phase on; as many steps as are needed to get to the end."""
    times = np.array([begin + rng.uniform(0, mean)])
    while times[-1] < end:
        count = int((end - times[-1]) / mean * 1.1) + 20
        times = np.concatenate([times, times[-1] + np.cumsum(steps(count))])
    return times[times < end]


def weekday(times: Floats) -> Ints:
    """0 for Monday to 6 for Sunday: the window begins on a Monday."""
    days: Ints = (times // DAY).astype(np.int64) % 7
    return days


def in_hours(times: Floats, opens: float, closes: float) -> Floats:
    """Those from Monday to Friday between two hours of the day."""
    hour = times % DAY / HOUR
    return times[(weekday(times) < WORKDAYS) & (hour >= opens) & (hour < closes)]


def by_day(times: Floats, opens: float, closes: float) -> Floats:
    """Those between two hours of any day."""
    hour = times % DAY / HOUR
    return times[(hour >= opens) & (hour < closes)]
