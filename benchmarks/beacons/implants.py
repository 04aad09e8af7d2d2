"""The implants: one function per way of calling home, and the table of all classes.

A maker gives the calls of one implant: times, the number of the controller that each goes to,
and sizes. Where it lives and whom it calls is decided elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from benchmarks.beacons import clocks
from benchmarks.beacons.events import DAY, HOUR, WINDOW, Floats, Ints, Rng

MOST_CALLS = 1_500
"""An implant that calls more often lives shorter, so that no single one fills the data."""


@dataclass(frozen=True)
class Calls:
    """One implant's connections: four columns of one length."""

    time: Floats
    controller: Ints
    sent: Ints
    received: Ints
    controllers: int = 1


@dataclass(frozen=True)
class Kind:
    """One class of implants. `in_mean`: whether it counts for the mean over classes."""

    make: Callable[[Rng], Calls]
    behind_site: bool = False
    """Its controller hides behind an address that people browse to, its own host too."""
    sleeps: bool = False
    """It lives on a machine that is switched off at night."""
    in_mean: bool = True


@dataclass(frozen=True)
class Life:
    """How often an implant calls, and from when to when; seconds."""

    period: float
    begin: float
    end: float


def life(rng: Rng, shortest: float = 60.0, longest: float = 2 * HOUR) -> Life:
    """A period, evenly by its logarithm, and five days to all of the window, somewhere in it."""
    period = float(np.exp(rng.uniform(np.log(shortest), np.log(longest))))
    span = min(rng.uniform(5, 21) * DAY, MOST_CALLS * period)
    begin = rng.uniform(0, WINDOW - span)
    return Life(period, begin, begin + span)


def requests(
    rng: Rng, times: Floats, controller: Ints | None = None, controllers: int = 1
) -> Calls:
    """Calls of one size, as check-ins have it; one implant in five pads by up to 2 %.

    One answer in fifty carries an order, and its result goes back.
    """
    count, pad = len(times), 0.02 if rng.random() < 0.2 else 0.0
    sent = rng.integers(180, 1_600) * (1 + rng.uniform(0, pad, count))
    received = np.full(count, float(rng.integers(90, 900)))
    busy = rng.random(count) < 0.02
    sent[busy] += rng.lognormal(8, 1, int(busy.sum()))
    received[busy] += rng.lognormal(7, 1, int(busy.sum()))
    places = np.zeros(count, np.int64) if controller is None else controller
    return Calls(times, places, sent.astype(np.int64), received.astype(np.int64), controllers)


def jitter(rng: Rng, spread: float, shortened: bool = False, shortest: float = 60.0) -> Calls:
    """A timer with this spread, either way or shortened only."""
    one = life(rng, shortest)
    clock = clocks.sleeper if shortened else clocks.timer
    return requests(rng, clock(rng, one.period, spread, one.begin, one.end))


def nights_off(rng: Rng, spread: float) -> Calls:
    """Its machine is off from evening to morning."""
    one = life(rng, longest=HOUR)
    times = clocks.timer(rng, one.period, spread, one.begin, max(one.end, one.begin + 3 * DAY))
    return requests(
        rng, clocks.by_day(times[times < WINDOW], rng.uniform(6, 8), rng.uniform(17, 20))
    )


def lost_rows(rng: Rng, spread: float, lost: float) -> Calls:
    """A share of its rows never reached the log."""
    one = life(rng)
    times = clocks.timer(rng, one.period, spread, one.begin, one.end)
    return requests(rng, times[rng.random(len(times)) >= lost])


def slow(rng: Rng, hours: float, spread: float) -> Calls:
    """A few calls a day, for all of the window."""
    return requests(rng, clocks.timer(rng, hours * HOUR, spread, 0, WINDOW))


def few(rng: Rng, count: int) -> Calls:
    """So many calls and no more."""
    period = float(np.exp(rng.uniform(np.log(120), np.log(12 * HOUR))))
    begin = rng.uniform(0, WINDOW - 1.2 * count * period)
    times = clocks.timer(rng, period, 0.1, begin, begin + 1.5 * count * period)
    return requests(rng, times[:count])


def short_lived(
    rng: Rng, period: tuple[float, float], spread: float, span: float, last: bool
) -> Calls:
    """All of its life in this span: the last of the window, or any."""
    one = life(rng, *period)
    begin = WINDOW - span if last else rng.uniform(0, WINDOW - span)
    return requests(rng, clocks.timer(rng, one.period, spread, begin, begin + span))


def office(rng: Rng, spread: float) -> Calls:
    """Only while people work: it hides in their hours."""
    one = life(rng, 120, HOUR)
    times = clocks.timer(rng, one.period, spread, 0, WINDOW)
    return requests(rng, clocks.in_hours(times, 8, 18)[:MOST_CALLS])


def changing_sizes(rng: Rng, spread: float) -> Calls:
    """No two calls of one size."""
    made = jitter(rng, spread)
    sent, received = (rng.lognormal(7, 0.8, len(made.time)).astype(np.int64) for _ in range(2))
    return replace(made, sent=sent, received=received)


def taskings(rng: Rng, spread: float) -> Calls:
    """After one call in thirty an operator works: many connections, quickly, full of data."""
    made = jitter(rng, spread)
    at = np.flatnonzero(rng.random(len(made.time)) < 1 / 30)
    per_task = rng.integers(5, 40, len(at))
    extra = np.repeat(made.time[at], per_task) + rng.uniform(1, 300, int(per_task.sum()))
    data = [rng.lognormal(10, 1.5, len(extra)).astype(np.int64) for _ in range(2)]
    return _merged(made, extra[extra < WINDOW], [one[extra < WINDOW] for one in data])


def round_robin(rng: Rng, spread: float) -> Calls:
    """Two to four controllers, one after the other."""
    one, controllers = life(rng), int(rng.integers(2, 5))
    times = clocks.timer(rng, one.period, spread, one.begin, one.end)
    return requests(rng, times, np.arange(len(times)) % controllers, controllers)


def random_of(rng: Rng, controllers: int, spread: float) -> Calls:
    """Each call goes to any of so many controllers."""
    one = life(rng)
    times = clocks.timer(rng, one.period, spread, one.begin, one.end)
    return requests(rng, times, rng.integers(0, controllers, len(times)), controllers)


def mixed(rng: Rng, times_as_much: float, spread: float) -> Calls:
    """Its host's user browses to the same address, in bursts, so many times as often."""
    made = jitter(rng, spread, shortest=300)  # long enough a life to have workdays in it
    wanted = max(1, round(len(made.time) * times_as_much))
    free = clocks.in_hours(rng.uniform(made.time[0], made.time[-1], 40 * wanted), 8, 18)
    visits = free[: max(1, wanted // 6)]
    each = np.repeat(visits, rng.integers(1, 12, len(visits)))
    at = each + rng.exponential(12, len(each))
    data = [rng.lognormal(mean, 1.1, len(at)).astype(np.int64) for mean in (7, 9)]
    return _merged(made, at[at < WINDOW], [one[at < WINDOW] for one in data])


def phase_locked(rng: Rng) -> Calls:
    """A scheduled task with a random delay in each slot."""
    one, late = life(rng, 300), rng.uniform(0.2, 0.7)
    return requests(rng, clocks.schedule(rng, one.period, late, one.begin, one.end))


def poisson(rng: Rng) -> Calls:
    """Calls at random: nothing but their number and endurance tells of a machine."""
    one = life(rng)
    return requests(rng, clocks.renewal(rng, one.period, 1, one.begin, one.end))


def _merged(made: Calls, time: Floats, data: list[Ints]) -> Calls:
    """An implant's calls and others to its first controller, in time order."""
    times = np.concatenate([made.time, time])
    order = np.argsort(times, kind="stable")
    return Calls(
        times[order],
        np.concatenate([made.controller, np.zeros(len(time), np.int64)])[order],
        np.concatenate([made.sent, data[0]])[order],
        np.concatenate([made.received, data[1]])[order],
        made.controllers,
    )


KINDS: Mapping[str, Kind] = {
    "fixed": Kind(partial(jitter, spread=0.0)),
    **{f"jitter {n} %": Kind(partial(jitter, spread=n / 100)) for n in (10, 20, 30, 50, 70, 90)},
    "shortened 20 %": Kind(partial(jitter, spread=0.2, shortened=True)),
    "shortened 50 %": Kind(partial(jitter, spread=0.5, shortened=True)),
    "nights off, 10 %": Kind(partial(nights_off, spread=0.1), sleeps=True),
    "nights off, 30 %": Kind(partial(nights_off, spread=0.3), sleeps=True),
    "30 % of rows lost": Kind(partial(lost_rows, spread=0.1, lost=0.3)),
    "every 6 h": Kind(partial(slow, hours=6, spread=0.1)),
    "every 12 h": Kind(partial(slow, hours=12, spread=0.1)),
    "every 24 h": Kind(partial(slow, hours=24, spread=0.1)),
    "every 12 h, 50 %": Kind(partial(slow, hours=12, spread=0.5)),
    "7 events": Kind(partial(few, count=7)),
    "12 events": Kind(partial(few, count=12)),
    "2 hours only": Kind(
        partial(short_lived, period=(20, 300), spread=0.1, span=2 * HOUR, last=False)
    ),
    "last 2 days only": Kind(
        partial(short_lived, period=(120, HOUR), spread=0.2, span=2 * DAY, last=True)
    ),
    "office hours, 50 %": Kind(partial(office, spread=0.5), sleeps=True),
    "changing sizes": Kind(partial(changing_sizes, spread=0.2)),
    "taskings": Kind(partial(taskings, spread=0.2)),
    "round robin of 2-4": Kind(partial(round_robin, spread=0.2)),
    "random of 8": Kind(partial(random_of, controllers=8, spread=0.2)),
    **{
        f"browsing {n} times": Kind(partial(mixed, times_as_much=n, spread=0.1), behind_site=True)
        for n in (0.5, 1, 3)
    },
    "phase-locked": Kind(phase_locked),
    "Poisson": Kind(poisson, in_mean=False),
}
"""Classes by name, in the order in which they are told."""
