"""Who shares a rhythm: hosts by their names, places by theirs, and people by their working days."""

from __future__ import annotations

import importlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.hunts.beacon_rows import detect, notable, severity
from tests.tables import NOON, Row, beacon, by_chance, connection, frame

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

views = importlib.import_module("spark.views")
Found = Mapping[str, Sequence[Any]]

HOSTS, DAYS, PROXY = 40, 21, "10.9.9.8"
TELEMETRY: Row = {"DstHostname": "telemetry.example.com", "SrcBytes": 300}
IMPLANT: Row = {"DstIpAddr": "203.0.113.130", "DstPortNumber": 8446, "SrcBytes": 420}
BY_PROXY, EACH_MORNING, EACH_DAY = "10.2.0.38", "10.2.0.39", "10.2.0.37"


def leases(net: str, name: str | None) -> list[Row]:
    """An implant on a host that has another address each day, eight of them."""
    rows: list[Row] = []
    for day in range(8):
        who: Row = {"SrcIpAddr": f"{net}.{day}", "SrcHostname": name, **IMPLANT}
        rows += beacon(NOON + timedelta(days=day), 60, 300.0, 0.05, seed=day, **who)
    return rows


def mornings(weekdays: Sequence[int], minutes: float, seed: int, **more: Any) -> list[Row]:
    """One connection on each of these days of the week, give or take, over three weeks."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    days = (day for day in range(DAYS) if day % 7 in weekdays)
    return [
        connection(NOON + timedelta(days=day, minutes=chance.gauss(0, minutes)), **more)
        for day in days
    ]


def everything() -> list[Row]:
    rows: list[Row] = []
    for host in range(HOSTS):
        who: Row = {"SrcIpAddr": f"10.2.0.{host}", "SrcBytes": None}
        rows += by_chance(NOON, 60, 30_000.0, seed=host, DstIpAddr="203.0.113.99", **who)
        site = {"DstHostname": f"site-{host}.example.org", "DstIpAddr": PROXY}
        rows += by_chance(NOON, 12, 1_500.0, seed=90 + host, DstPortNumber=8080, **who | site)
    for host in range(20):
        direct = {"SrcIpAddr": f"10.2.0.{host}", "DstIpAddr": "203.0.113.140", **TELEMETRY}
        start = NOON + timedelta(seconds=7 * host)
        rows += beacon(start, 60, 600.0, 0.02, seed=host, **direct)
    late = NOON + timedelta(days=8)
    proxied = {"SrcIpAddr": BY_PROXY, "DstIpAddr": PROXY, "DstPortNumber": 8080, **TELEMETRY}
    rows += beacon(late, 60, 600.0, 0.02, seed=50, **proxied)
    rows += leases("10.6.0", "laptop-7") + leases("10.7.0", None)
    page = {"DstIpAddr": "203.0.113.150", "SrcBytes": 500}
    rows += mornings(range(5), 25, 3, SrcIpAddr=EACH_MORNING, **page)
    timer = {"SrcIpAddr": EACH_DAY, "DstIpAddr": "203.0.113.151", "SrcBytes": 500}
    return rows + beacon(NOON, DAYS, 86_400.0, 0.05, seed=4, **timer)


@pytest.fixture(scope="module")
def found(session: SparkSession) -> Found:
    by_host: dict[str, list[Any]] = defaultdict(list)
    for one in detect(session, frame(session, views.NETWORK_SESSION, everything())):
        by_host[one.SrcIpAddr].append(one)
    return by_host


def test_addresses_of_one_name_are_one_host(found: Found) -> None:
    """One that is known by its name, and eight that are known by nothing but their addresses."""
    told = [
        one for net in ("10.6.0", "10.7.0") for day in range(8) for one in found[f"{net}.{day}"]
    ]
    assert len(told) == 16
    for one in told:
        assert (one.Evidence.HostsWithSameRhythm, one.Evidence.HostsAtDestination) == (9, 9)


def test_a_name_is_one_place_by_a_proxy_and_without(found: Found) -> None:
    (one,) = found[BY_PROXY]
    assert one.Dst == TELEMETRY["DstHostname"]
    assert one.Evidence.HostsWithSameRhythm == 21
    # To the proxy's port nobody called it before; by another way twenty hosts did, on day one.
    assert one.Evidence.DestinationFirstSeen.timestamp() == NOON.timestamp()
    assert (one.SubScores.Novelty, notable([one])) == (0, [])


def test_somebodys_working_days_are_low_and_a_timer_of_a_day_is_not(found: Found) -> None:
    (human,), (timer,) = found[EACH_MORNING], found[EACH_DAY]
    assert (human.SubScores.Habit, severity(human)) == (1, "Low")
    assert (timer.SubScores.Habit, severity(timer)) == (0, "High")
    assert human.SubScores.Timing > 0.9
