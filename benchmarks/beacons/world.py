"""One seed's world: three weeks of connections, and apart from them what each pair is.

The log is not the world: rows are written 0.8 s late on average, one in two hundred is written
twice, and one in five hundred never.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.beacons import implants, people, software
from benchmarks.beacons.events import WINDOW, Events, Rng, calls, concat

EACH = 20
"""Implants of one class."""
DELAY, REPEATED, LOST = 0.8, 1 / 200, 1 / 500
SITES_TO_HIDE_BEHIND = 60
PORTS, PORT_SHARES = (443, 80, 8443, 8080, 4444), (0.62, 0.18, 0.08, 0.08, 0.04)


@dataclass(frozen=True)
class Label:
    """What a pair is. `kind`: implant, shared, rare, fan-out or hard; background has no label."""

    kind: str
    name: str
    """Class of the implant, or the software."""
    number: int
    """Which implant of its class: one that calls several places has several pairs."""


@dataclass(frozen=True)
class World:
    """`events` as the log has them; `labels` by pair key (`events.pair_key`)."""

    seed: int
    events: Events
    labels: Mapping[int, Label]


def make_world(seed: int, each: int = EACH) -> World:
    """The world of a seed: the same seed, the same world."""
    rng = np.random.default_rng(seed)
    places = software.Places()
    labels: dict[int, Label] = {}
    shifts = people.shifts(rng)
    parts = list(_people(rng, shifts))
    for events, label in (*_software(rng, shifts, places), *_implants(rng, places, each)):
        labels.update(dict.fromkeys(np.unique(events.key).tolist(), label))
        parts.append(events)
    return World(seed, _logged(rng, concat(parts)), labels)


def _people(rng: Rng, shifts: Sequence[people.Shift]) -> Iterator[Events]:
    for host, shift in enumerate(shifts):
        if host in people.SERVERS:
            yield people.server_talk(rng, host)
        else:
            yield people.browsing(rng, host, shift)


def _software(
    rng: Rng, shifts: Sequence[people.Shift], places: software.Places
) -> Iterator[tuple[Events, Label]]:
    made = (
        *software.products(rng, shifts, places),
        *software.rare(rng, shifts, places),
        *software.monitoring(rng),
        *software.hard_negatives(rng, places),
    )
    for number, one in enumerate(made):
        yield one.events, Label(one.kind, one.name, number)


def _implants(rng: Rng, places: software.Places, each: int) -> Iterator[tuple[Events, Label]]:
    """Each on a host of its own kind: one that sleeps at night, or one that does not."""
    for name, kind in implants.KINDS.items():
        for number in range(each):
            made = kind.make(rng)
            where = _place(rng, kind, places, made.controllers) + made.controller
            port = 443 if kind.behind_site else int(rng.choice(PORTS, p=PORT_SHARES))
            host = _host(rng, kind)
            events = calls(made.time, host, where, port, (made.sent, made.received))
            yield events, Label("implant", name, number)


def _host(rng: Rng, kind: implants.Kind) -> int:
    people_only = people.SERVERS[-1] + 1 if kind.behind_site else 0
    hosts = people.LAPTOPS if kind.sleeps else range(people_only, people.LAPTOPS[0])
    return int(rng.choice(hosts))


def _place(rng: Rng, kind: implants.Kind, places: software.Places, count: int) -> int:
    if kind.behind_site:
        return people.FIRST_SITE + int(rng.integers(SITES_TO_HIDE_BEHIND))
    return places.take(count)


def _logged(rng: Rng, events: Events) -> Events:
    """Rows as they are written, in order of time; milliseconds, as logs have them."""
    count = len(events)
    kept = np.flatnonzero(rng.random(count) >= LOST)
    twice = kept[rng.random(len(kept)) < REPEATED]
    late = np.round(events.time + rng.exponential(DELAY, count), 3)
    written = Events(
        np.minimum(late, WINDOW - 0.001), events.source, events.destination, events.port,
        events.sent, events.received,
    )  # fmt: skip
    rows = np.concatenate([kept, twice])
    return written.take(rows[np.argsort(written.time[rows], kind="stable")])


def address(number: int) -> str:
    """The IPv4 address of a destination: servers are inside, all else is outside."""
    if people.INSIDE <= number < people.OUTSIDE:
        inside = number - people.INSIDE
        return f"10.1.{inside >> 8}.{inside & 255}"
    return f"198.{18 + (number >> 16)}.{number >> 8 & 255}.{number & 255}"


def name(number: int) -> str | None:
    """The host name of a destination, which the log knows of every other one."""
    return f"site-{number}.example.net" if number % 2 else None
