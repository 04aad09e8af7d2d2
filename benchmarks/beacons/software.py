"""Benign software that calls by the clock, and processes that almost do.

Three kinds of clocks: `shared` ones run on three hosts or more, `rare` ones on one or two, and a
`fan-out` is one host that polls many. `hard` are the hard negatives: renewal processes that are
more regular than chance and are no clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.beacons import clocks
from benchmarks.beacons.events import DAY, HOUR, WINDOW, Events, Floats, Rng, calls
from benchmarks.beacons.people import HOSTS, INSIDE, LAPTOPS, OUTSIDE, SERVERS, Shift, awake, sizes

HARD_NEGATIVES, RARE, SMALL = 300, 40, 24
MONITORED = 24


@dataclass(frozen=True)
class Product:
    """Software on a share of the hosts. `addresses`: of its service; a host keeps to one."""

    name: str
    share: float
    period: float
    spread: float
    port: int = 443
    addresses: int = 1
    at_work: bool = False
    """Only while somebody works at the host."""


PRODUCTS = (
    Product("network time", 0.3, 2048, 0.004, 123, 2),
    Product("endpoint protection", 0.5, 2_700, 0.05, addresses=3),
    Product("signature updates", 0.95, 3_600, 0.0, addresses=4),
    Product("operating system updates", 0.9, 22 * HOUR, 0.2, addresses=6),
    Product("certificate lists", 0.8, DAY, 0.02, 80, 3),
    Product("chat", 0.5, 700, 0.02, 5222, 3, at_work=True),
    Product("mail", 0.5, 900, 0.03, 993, 2, at_work=True),
    Product("browser's own", 0.7, 1_750, 0.12, addresses=5, at_work=True),
    Product("vendor cloud", 0.25, 4 * HOUR, 0.01, addresses=2),
    Product("log shipping", 0.15, 900, 0.01, 6514),
    Product("office dashboards", 0.06, 120, 0.01, addresses=2, at_work=True),
    Product("device management", 0.3, 8 * HOUR, 0.1, addresses=2),
)


@dataclass(frozen=True)
class Benign:
    """The calls of one host of one piece of software; `name` groups what is the same software."""

    kind: str
    name: str
    events: Events


class Places:
    """Hands out destinations that nobody has used before."""

    def __init__(self) -> None:
        self._next = OUTSIDE

    def take(self, count: int = 1) -> int:
        """The first of so many new ones."""
        first, self._next = self._next, self._next + count
        return first


def products(rng: Rng, shifts: Sequence[Shift], places: Places) -> Iterator[Benign]:
    """What is installed widely, and small products of three to fourteen hosts."""
    small = [_small(rng, number) for number in range(SMALL)]
    for one in (*PRODUCTS, *small):
        count = max(3, round(one.share * HOSTS))
        first = places.take(one.addresses)
        for host in rng.choice(HOSTS, count, replace=False):
            times = clocks.timer(rng, one.period, one.spread, 0, WINDOW)
            times = _on(one, int(host), shifts[host], times)
            address = first + int(rng.integers(one.addresses))
            yield Benign("shared", one.name, _calls(rng, int(host), address, one.port, times))


def _small(rng: Rng, number: int) -> Product:
    share, period = rng.integers(3, 15) / HOSTS, np.exp(rng.uniform(np.log(300), np.log(12 * HOUR)))
    spread = rng.choice([0.0, 0.01, 0.1, 0.25])
    return Product(f"product {number}", float(share), float(period), float(spread))


def _on(product: Product, host: int, shift: Shift, times: Floats) -> Floats:
    at_work = clocks.in_hours(times, shift.arrives, shift.leaves)
    return at_work if product.at_work else awake(host, shift, times)


def rare(rng: Rng, shifts: Sequence[Shift], places: Places) -> Iterator[Benign]:
    """Appliances, licence servers, tabs left open: clocks of one host or of two."""
    for number in range(RARE):
        period = float(np.exp(rng.uniform(np.log(300), np.log(12 * HOUR))))
        spread = float(rng.choice([0.0, 0.01, 0.1, 0.3]))
        place, port = places.take(), int(rng.choice([443, 80, 8883, 8443]))
        for host in rng.choice(HOSTS, int(rng.integers(1, 3)), replace=False):
            times = awake(int(host), shifts[host], clocks.timer(rng, period, spread, 0, WINDOW))
            yield Benign("rare", f"appliance {number}", _calls(rng, int(host), place, port, times))


def monitoring(rng: Rng) -> Iterator[Benign]:
    """One server asks many others how they are."""
    host = SERVERS[-1]
    for peer in range(MONITORED):
        times = clocks.timer(rng, 600, 0.002, 0, WINDOW)
        yield Benign("fan-out", "monitoring", _calls(rng, host, INSIDE + 500 + peer, 9100, times))


def hard_negatives(rng: Rng, places: Places) -> Iterator[Benign]:
    """Renewal processes of shape 2 to 4 on machines that stay on, each for days or weeks."""
    for number in range(HARD_NEGATIVES):
        period = float(np.exp(rng.uniform(np.log(60), np.log(2 * HOUR))))
        span = min(rng.uniform(5, 21) * DAY, 1_000 * period)
        begin = rng.uniform(0, WINDOW - span)
        times = clocks.renewal(rng, period, rng.uniform(2, 4), begin, begin + span)
        host = int(rng.integers(LAPTOPS[0]))
        yield Benign("hard", f"{number}", _calls(rng, host, places.take(), 443, times))


def _calls(rng: Rng, host: int, place: int, port: int, times: Floats) -> Events:
    pair = np.zeros(len(times), np.int64)
    return calls(times, host, place, port, (sizes(rng, pair, 6.5), sizes(rng, pair, 7.5)))
