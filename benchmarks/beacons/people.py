"""Hosts, and the connections that people and servers make without a clock.

People browse in bursts, on workdays, to sites whose popularity falls as Zipf says; servers talk
to servers at random. None of it is labelled: it is the background.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from benchmarks.beacons import clocks
from benchmarks.beacons.events import (
    DAY,
    DAYS,
    HOUR,
    WINDOW,
    Events,
    Floats,
    Ints,
    Rng,
    calls,
    concat,
)

HOSTS = 300
SERVERS, LAPTOPS = range(0, 45), range(210, HOSTS)
"""The first ones serve, the last ones are switched off when their users leave."""
SITES, THIRD_PARTIES = 1_500, 80
FIRST_SITE, FIRST_THIRD_PARTY, RESOLVER = 0, 2_000, 2_500
INSIDE = 3_000
"""Numbers of destinations from here to `OUTSIDE` are inside; server n is also number INSIDE + n."""
OUTSIDE = 4_000
FAVOURITES = 14
NEAR_CONSTANT = 0.4
"""Share of benign pairs whose sizes hardly vary."""


@dataclass(frozen=True)
class Shift:
    """When a person is at work, hours of the day; on every workday the same, give or take."""

    arrives: float
    leaves: float


def shifts(rng: Rng) -> list[Shift]:
    """One per host."""
    begin, length = rng.normal(8.3, 0.7, HOSTS), rng.normal(8.9, 0.6, HOSTS)
    return [Shift(float(a), float(a + b)) for a, b in zip(begin, length, strict=True)]


def awake(host: int, shift: Shift, times: Floats) -> Floats:
    """Those of the times at which a host is switched on."""
    return clocks.in_hours(times, shift.arrives, shift.leaves) if host in LAPTOPS else times


def zipf(rng: Rng, among: int, exponent: float, count: int) -> Ints:
    """Ranks from 0 on, rank r as often as 1 / (r + 1) ** exponent."""
    weights = 1 / np.arange(1, among + 1) ** exponent
    ranks: Ints = rng.choice(among, count, p=weights / weights.sum())
    return ranks


def sizes(rng: Rng, pair: Ints, mean: float) -> Ints:
    """Bytes of each connection; pairs of one number have sizes in common, 40 % near-constant."""
    _, which = np.unique(pair, return_inverse=True)
    count = int(which.max()) + 1 if len(which) else 0
    spread = np.where(
        rng.random(count) < NEAR_CONSTANT, rng.uniform(0, 0.02, count), rng.uniform(0.4, 1.2, count)
    )
    middle = rng.normal(mean, 0.9, count)
    size: Ints = np.exp(rng.normal(middle[which], spread[which])).astype(np.int64) + 60
    return size


def browsing(rng: Rng, host: int, shift: Shift) -> Events:
    """Three weeks of one person: sessions of pages, pages of connections, theirs and others'."""
    starts = _sessions(rng, shift)
    mine = rng.permutation(SITES)[:FAVOURITES]
    favourite = mine[zipf(rng, FAVOURITES, 0.8, len(starts))]
    any_site = zipf(rng, SITES, 1.05, len(starts))
    site = np.where(rng.random(len(starts)) < 0.55, favourite, any_site)
    pages = rng.geometric(1 / 4, len(starts))
    first = np.repeat(np.cumsum(pages) - pages, pages)
    think = np.cumsum(rng.lognormal(3.3, 1.0, int(pages.sum())))
    at = np.repeat(starts, pages) + think - think[first]
    own = _connections(rng, at, FIRST_SITE + np.repeat(site, pages), 3)
    parties = zipf(rng, THIRD_PARTIES, 0.9, len(at))
    others = _connections(rng, at, FIRST_THIRD_PARTY + parties, 1)
    asked = (starts - rng.uniform(0, 0.2, len(starts)), np.full(len(starts), RESOLVER))
    web = np.concatenate([own[0], others[0]]), np.concatenate([own[1], others[1]])
    return concat([_events(rng, host, *web, 443), _events(rng, host, *asked, 53)])


def _sessions(rng: Rng, shift: Shift) -> Floats:
    """When somebody turns to the browser: more before and after lunch, few on weekends."""
    count = rng.poisson(8, DAYS)
    day = np.repeat(np.arange(DAYS), count)
    length = shift.leaves - shift.arrives
    peak = np.where(rng.random(len(day)) < 0.5, 0.25, 0.7)
    hour = shift.arrives + length * np.clip(rng.normal(peak, 0.17), 0, 1)
    times = np.sort(day * DAY + hour * HOUR)
    free = (clocks.weekday(times) >= clocks.WORKDAYS) & (rng.random(len(times)) > 0.06)
    return times[~free & (times > 0)]


def _connections(rng: Rng, at: Floats, place: Ints, mean: int) -> tuple[Floats, Ints]:
    """Each page opens some connections within two seconds."""
    count = rng.poisson(mean, len(at))
    times = np.repeat(at, count) + rng.exponential(0.4, int(count.sum()))
    return times, np.repeat(place, count)


def _events(rng: Rng, host: int, times: Floats, place: Ints, port: int) -> Events:
    inside = (times >= 0) & (times < WINDOW)
    times, place = times[inside], place[inside]
    return calls(times, host, place, port, (sizes(rng, place, 6.6), sizes(rng, place, 8.5)))


def server_talk(rng: Rng, host: int) -> Events:
    """What a server asks of other servers: Poisson processes, slower ones at night."""
    made = []
    for peer in rng.choice(len(SERVERS), 12, replace=False):
        period = float(np.exp(rng.uniform(np.log(900), np.log(6 * HOUR))))
        times = clocks.renewal(rng, period, 1, 0, WINDOW)
        busy = clocks.by_day(times, 7, 20)
        quiet = times[rng.random(len(times)) < 0.4]
        at = np.union1d(busy, quiet)
        made.append(_events(rng, host, at, np.full(len(at), INSIDE + peer), 1433))
    return concat(made)
