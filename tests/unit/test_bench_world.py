"""One seed's world: the same every time, with labels apart, and written as a log is."""

from __future__ import annotations

from collections import Counter
from dataclasses import fields

import numpy as np
import pytest

from benchmarks.beacons import people, software
from benchmarks.beacons.events import WINDOW, Events, pair_key, pairs, source_of
from benchmarks.beacons.implants import KINDS
from benchmarks.beacons.world import World, address, make_world

EACH = 1


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(7, EACH)


def digest(events: Events) -> list[float]:
    return [float(getattr(events, one.name).astype(np.float64).sum()) for one in fields(events)]


def test_a_seed_is_a_world(world: World) -> None:
    again, other = make_world(7, EACH), make_world(8, EACH)
    assert digest(again.events) == digest(world.events)
    assert again.labels == world.labels
    assert digest(other.events) != digest(world.events)


def test_every_class_is_planted(world: World) -> None:
    planted = {(one.name, one.number) for one in world.labels.values() if one.kind == "implant"}
    assert planted == {(name, number) for name in KINDS for number in range(EACH)}


def test_every_label_is_of_a_pair_in_the_log(world: World) -> None:
    # A pair of one or two rows may have lost them all.
    missing = set(world.labels) - set(np.unique(world.events.key).tolist())
    assert len(missing) <= 2


def test_benign_clocks_and_hard_negatives_are_as_many_as_told(world: World) -> None:
    kinds = Counter(label.kind for label in world.labels.values())
    assert kinds["hard"] == software.HARD_NEGATIVES
    assert kinds["fan-out"] == software.MONITORED
    assert software.RARE <= kinds["rare"] <= 2 * software.RARE


def test_shared_software_has_three_hosts_or_more(world: World) -> None:
    hosts: dict[str, set[int]] = {}
    for key, label in world.labels.items():
        if label.kind == "shared":
            hosts.setdefault(label.name, set()).add(source_of(key))
    assert len(hosts) == len(software.PRODUCTS) + software.SMALL
    assert min(len(who) for who in hosts.values()) >= 3


def test_rows_are_in_order_late_and_sometimes_repeated(world: World) -> None:
    times = world.events.time
    assert (np.diff(times) >= 0).all()
    assert 0 <= times[0] <= times[-1] < WINDOW
    rows = np.stack([world.events.key, times * 1000, world.events.sent])
    repeated = rows.shape[1] - np.unique(rows, axis=1).shape[1]
    assert 0.003 < repeated / rows.shape[1] < 0.02


def test_people_work_on_workdays(world: World) -> None:
    browsing = world.events.take(world.events.destination < people.RESOLVER)
    day = browsing.time // 86_400 % 7
    assert (day >= 5).mean() < 0.15
    hour = browsing.time % 86_400 / 3_600
    assert ((hour > 7) & (hour < 20)).mean() > 0.95


def test_popular_sites_are_far_more_popular() -> None:
    counts = np.bincount(people.zipf(np.random.default_rng(3), 1_000, 1.0, 50_000), minlength=1_000)
    assert counts[0] / counts[9] == pytest.approx(10, rel=0.25)


def test_pairs_come_apart_in_order() -> None:
    columns = ([3.0, 1.0, 2.0], [1, 1, 0], [5, 5, 6], [80, 80, 80], [7, 8, 9], [0, 0, 0])
    one = Events(*(np.array(values) for values in columns))
    told = [(key, rows.time.tolist(), rows.sent.tolist()) for key, rows in pairs(one)]
    assert told == [
        (int(pair_key(0, 6, 80)), [2.0], [9]),
        (int(pair_key(1, 5, 80)), [1.0, 3.0], [8, 7]),
    ]


def test_addresses_tell_inside_from_outside() -> None:
    assert address(people.INSIDE + 258) == "10.1.1.2"
    assert address(people.OUTSIDE + 5) == "198.18.15.165"
    assert len({address(number) for number in range(20_000)}) == 20_000
