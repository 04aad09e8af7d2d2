"""When machines of the demo tenant are awake, and what people do at them.

Times are seconds since the start of the first day (UTC). Machines keep office hours, servers
do not; what a clock starts has a rhythm, what a person starts comes in bursts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from workbench.samples.tenant import RESOLVER, Host, Site, Tenant, stream

DAY = 86_400.0
HOUR = 3_600.0
Rng = np.random.Generator
Span = tuple[float, float]
Times = NDArray[np.float64]


class Flow(NamedTuple):
    """One connection, or one interim record of a long one; `at` is when it began."""

    at: float
    source: str
    source_port: int
    target: str
    port: int
    firewall: str
    proto: Literal["tcp", "udp"] = "tcp"
    name: str = ""
    """Host name of the target, where the firewall can know it."""
    sent: int = 0
    received: int = 0
    seconds: float = 0.0
    outcome: Literal["allow", "deny", "fail", "interim"] = "allow"
    session: int = 0
    program: str = ""
    """The program behind it, which only the endpoint table tells."""


@dataclass(frozen=True)
class Week:
    """The days to fill: `days` of them, from `first` on."""

    tenant: Tenant
    seed: int
    first: date
    days: int

    @property
    def end(self) -> float:
        """Where the last day ends."""
        return self.days * DAY

    def rng(self, purpose: str) -> Rng:
        """Random numbers for one purpose."""
        return stream(self.seed, purpose)

    def quiet(self, at: float) -> bool:
        """Saturday or Sunday."""
        return (self.first + timedelta(days=int(at // DAY))).weekday() >= 5

    @cached_property
    def awake(self) -> dict[str, list[Span]]:
        """When each address is switched on."""
        rng = self.rng("shifts")
        return {host.ip: self._spans(rng, host) for host in self.tenant.hosts}

    def _spans(self, rng: Rng, host: Host) -> list[Span]:
        if host.kind in ("server", "left_on"):
            return [(0.0, self.end)]
        spans = (self._shift(rng, host, day * DAY) for day in range(self.days))
        return [span for span in spans if span]

    def _shift(self, rng: Rng, host: Host, midnight: float) -> Span | None:
        came, stayed = rng.normal(7.8, 0.5), rng.normal(9.2, 0.7)
        if self.quiet(midnight) and host.kind == "desk" and rng.random() < 0.35:
            return None
        end = midnight + min(23.5, came + max(4.0, stayed)) * HOUR
        return midnight + max(5.0, came) * HOUR, end


def every(rng: Rng, span: Span, interval: float, jitter: float) -> Times:
    """Beats in a span, from a random phase on; each gap is `interval` +- `jitter` of it."""
    start, end = span
    count = int((end - start) / interval / (1 - jitter)) + 2
    gaps = interval * (1 + rng.uniform(-jitter, jitter, count))
    times = start + rng.uniform(0, interval) + np.cumsum(gaps) - gaps[0]
    return np.extract(times < end, times)


def scattered(rng: Rng, span: Span, per_hour: float) -> Times:
    """Moments without any rhythm (Poisson), in order."""
    start, end = span
    return np.sort(rng.uniform(start, end, rng.poisson(per_hour * (end - start) / HOUR)))


def flow(rng: Rng, at: float, host: Host, target: str, port: int, **more: Any) -> Flow:
    """A connection from a host, with a source port and a session number of its own."""
    ports, sessions = rng.integers(49_152, 65_535), rng.integers(10_000_000, 2_000_000_000)
    base = Flow(float(at), host.ip, int(ports), target, port, host.firewall, session=int(sessions))
    return base._replace(**more)


def size(rng: Rng, typical: float, spread: float = 0.6) -> int:
    """Bytes, log-normal around `typical`."""
    return int(typical * rng.lognormal(0, spread)) + 40


def browsing(week: Week) -> Iterator[Flow]:
    """People at work: sessions of pages, each page a burst to a site and its assets."""
    rng = week.rng("browsing")
    for host in week.tenant.clients:
        busy = rng.lognormal(0, 0.6)
        for span in week.awake[host.ip]:
            weekend = 0.3 if week.quiet(span[0]) else 1.0
            for at in scattered(rng, span, 0.52 * busy * weekend * _presence(host)):
                if host.kind != "left_on" or 7 <= (at % DAY) / HOUR < 18:
                    yield from _visit(rng, week.tenant, host, at)


def _presence(host: Host) -> float:
    return 0.6 if host.kind == "ops" else 1.0


def _visit(rng: Rng, tenant: Tenant, host: Host, at: float) -> Iterator[Flow]:
    site = _choose(rng, tenant, host)
    for _ in range(1 + rng.geometric(0.45)):
        yield from _page(rng, tenant, host, site, at)
        at += rng.lognormal(3.4, 1.0)
        if rng.random() < 0.3:
            site = _choose(rng, tenant, host)


def _choose(rng: Rng, tenant: Tenant, host: Host) -> Site:
    if rng.random() < 0.12:
        return tenant.rare[host.ip][int(rng.integers(len(tenant.rare[host.ip])))]
    if rng.random() < 0.16:
        return tenant.cloud
    return tenant.popular[min(int(rng.zipf(1.35)) - 1, len(tenant.popular) - 1)]


def _page(rng: Rng, tenant: Tenant, host: Host, site: Site, at: float) -> Iterator[Flow]:
    if rng.random() < 0.55:
        yield lookup(rng, at - rng.uniform(0.02, 0.3), host)
    yield _fetch(rng, at, host, site)
    for asset in site.assets:
        if rng.random() < 0.45:
            yield _fetch(rng, at + rng.exponential(0.7), host, tenant.cdn[asset])


def _fetch(rng: Rng, at: float, host: Host, site: Site) -> Flow:
    target = site.addresses[int(rng.integers(len(site.addresses)))]
    port = 443 if rng.random() < 0.94 else 80
    return flow(
        rng, at, host, target, port, name=site.name, sent=size(rng, 1900, 0.8),
        received=size(rng, 24_000, 1.5), seconds=float(rng.lognormal(1.6, 1.3)),
        program="msedge.exe",
    )  # fmt: skip


def lookup(rng: Rng, at: float, host: Host) -> Flow:
    """One DNS question to the internal resolver."""
    return flow(
        rng, at, host, RESOLVER, 53, proto="udp", sent=size(rng, 68, 0.15),
        received=size(rng, 160, 0.4), seconds=float(rng.uniform(0.001, 0.05)),
        program="svchost.exe",
    )  # fmt: skip


def updates(week: Week) -> Iterator[Flow]:
    """Update checks: a few a day from every machine, each to whichever edge answers."""
    rng = week.rng("updates")
    for host in week.tenant.hosts:
        for span in week.awake[host.ip]:
            for at in every(rng, span, 5.5 * HOUR, 0.12):
                yield lookup(rng, at - 0.05, host)
                edge = week.tenant.cdn[int(rng.integers(4))]
                yield _fetch(rng, at, host, edge)._replace(port=443, program="updater.exe")
