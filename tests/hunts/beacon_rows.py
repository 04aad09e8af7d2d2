"""Scenarios for the beacon hunt: every one is a host of its own in one table."""

from __future__ import annotations

import importlib
import random
from collections.abc import Iterable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.hunt_specs import parameters, parse
from tests.tables import NOON, Row, at_intervals, beacon, by_chance, connection

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
beaconing = importlib.import_module("spark.hunts.beaconing")
job = importlib.import_module("spark.job")
views = importlib.import_module("spark.views")

ROOT = Path(__file__).parents[2]
SPEC_FILE = ROOT / "spark" / "hunts" / "beaconing.yaml"
SPEC = parse(SPEC_FILE.read_text("utf-8"), str(SPEC_FILE), "beaconing")
PARAMS = parameters(SPEC, {})
LEAST = int(PARAMS["least_intervals"])

NEEDED = {"SrcIpAddr", "EventStartTime", "EventCount", "DstPortNumber"}
"""Columns without which a row says nothing about a rhythm; the others may be null."""
ALLOW_LIST = (
    {"destination": "203.0.113.40"},
    {"destination": "203.0.113.41", "port": "443", "expires": "2099-01-01"},
    {"destination": "203.0.113.42", "expires": "2026-03-01T00:00:00Z"},
    {"destination": "203.0.113.43", "port": "8443"},
    {"destination": "198.18.6.0"},
    {"owner": "a line that names nothing, so it allows nothing"},
)
OUTSIDER, INSIDE_SERVER = "192.0.2.66", "10.3.0.1"
PROXY = "10.9.9.8"
FEW, CROWD = 3, 4
"""Hosts that call the same eight destinations: `few_hosts`, and one more than that."""


def calls(count: int = 60, every: float = 300.0, **more: Any) -> list[Row]:
    """An exact beacon, five hours long."""
    return beacon(NOON, count, every, **more)


def without(column: str) -> list[Row]:
    """An exact beacon in rows that lack one column."""
    return [{**row, column: None} for row in calls()]


def bursts(count: int, every: float, size: int) -> list[Row]:
    """Beacons whose connections are retried a second later, and again."""
    first = beacon(NOON, count, every, jitter=0.05)
    times = [row["EventStartTime"] + timedelta(seconds=n) for row in first for n in range(size)]
    return [connection(time, SrcPortNumber=50_000 + n) for n, time in enumerate(times)]


def with_ends(rows: Iterable[Row], seed: int = 3) -> list[Row]:
    """Each connection as a firewall logs it: once when it is built, once when it is torn down."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    both: list[Row] = []
    for number, row in enumerate(rows):
        ended = row["EventStartTime"] + timedelta(seconds=chance.uniform(5, 250))
        both.append({**row, "NetworkSessionId": f"s{number}", "EventSubType": "Start"})
        both.append(connection(ended, EventSubType="End", NetworkSessionId=f"e{number}"))
    return both


def within_browsing(pad: int = 0, **more: Any) -> list[Row]:
    """Calls of one size by the clock, up to `pad` bytes more, amid as many of any size."""
    browsing = by_chance(NOON + timedelta(seconds=100), 60, 300.0, seed=11)
    chance = random.Random(12)  # noqa: S311  made data has to repeat, not to keep a secret
    sizes = chance.sample(range(1_000, 90_000), 60)
    padded = [{**row, "SrcBytes": 517 + chance.randint(0, pad)} for row in calls(**more)]
    return padded + [{**row, "SrcBytes": size} for row, size in zip(browsing, sizes, strict=True)]


def as_regular_as_life(count: int, every: float, seed: int, **more: Any) -> list[Row]:
    """A renewal process of shape 3: more regular than chance, and no clock."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    return at_intervals(NOON, [chance.gammavariate(3, every / 3) for _ in range(count)], **more)


def in_turn(rows: Iterable[Row], net: str, seed: int, count: int = 8) -> list[Row]:
    """Each connection to any of so many destinations."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    return [{**row, "DstIpAddr": f"{net}.{chance.randrange(count)}"} for row in rows]


def behind_proxy() -> list[Row]:
    """An implant's name among thirty that are browsed to through one address."""
    rows = calls(DstHostname="c2.example.org", jitter=0.3, seed=21, SrcBytes=None)
    for site in range(30):
        name = {"DstHostname": f"site-{site}.example.org", "SrcBytes": None}
        rows += by_chance(NOON, 12, 1_500.0, seed=30 + site, **name)
    return [{**row, "DstIpAddr": PROXY} for row in rows]


def of_any_size(rows: Iterable[Row], seed: int) -> list[Row]:
    """No two connections of one size."""
    chance = random.Random(seed)  # noqa: S311  made data has to repeat, not to keep a secret
    return [{**row, "SrcBytes": int(chance.lognormvariate(7, 1))} for row in rows]


FIND: dict[str, list[Row]] = {
    "exact": calls(),
    "jitter of 20 %": calls(jitter=0.2, seed=1),
    "slow": calls(28, 6 * 3600.0, jitter=0.05),
    "as few as can be": calls(LEAST + 1),
    "bursts of retries": bursts(30, 600.0, size=4),
    "ends as well": with_ends(calls()),
    "jitter of 50 %": calls(jitter=0.5, seed=5),
    "jitter of 70 %": calls(100, jitter=0.7, seed=6),
    "jitter of 90 %": calls(200, jitter=0.9, seed=7),
    "every 12 h, 50 %": calls(42, 12 * 3600.0, jitter=0.5, seed=8),
    "inside of browsing": within_browsing(),
    "padded, inside of browsing": within_browsing(pad=12, jitter=0.1, seed=9),
    "any of eight": in_turn(calls(150, jitter=0.2, seed=10), "198.18.0", seed=1),
    "any of eight, the first allowed": in_turn(calls(200, seed=17), "198.18.6", seed=5),
    "behind a proxy": behind_proxy(),
    "private": calls(DstIpAddr="192.168.50.5"),
    "IPv6": calls(DstIpAddr="2001:db8:0:0:0:0:0:7"),
    "name only": calls(DstIpAddr=None, DstHostname="c2.example.net"),
    "entry expired before": calls(DstIpAddr="203.0.113.42"),
    "entry for another port": calls(DstIpAddr="203.0.113.43"),
}
"""Scenarios that reach Medium."""
LEAVE: dict[str, list[Row]] = {
    "one interval too few": calls(LEAST),
    "as regular as life": as_regular_as_life(200, 300.0, seed=2),
    "few, and as wide as can be": calls(25, jitter=0.9, seed=22),
    "any of eight, by chance": in_turn(by_chance(NOON, 150, 300.0, seed=3), "198.18.1", seed=2),
    "any of eight, of any size": of_any_size(
        in_turn(calls(150, jitter=0.2, seed=13), "198.18.2", seed=3), seed=14
    ),
    "without bytes, any of eight": in_turn(
        calls(150, jitter=0.2, seed=15, SrcBytes=None), "198.18.4", seed=4
    ),
    "by chance": by_chance(NOON, 300, 60.0, seed=4),
    "one burst of retries": calls(100, 1.0),
    "interim records": calls(180, 60.0, NetworkSessionId="one"),
    "denied": calls(DvcAction="Deny", EventResult="Failure"),
    "dropped": calls(DvcAction="Drop ICMP"),
    "reset": calls(DvcAction="Reset Source"),
    "failed": calls(EventResult="Failure"),
    "summed up": calls(EventCount=12),
    "multicast": calls(DstIpAddr="239.255.255.250", NetworkProtocol="UDP"),
    "multicast, IPv6": calls(DstIpAddr="ff02:0:0:0:0:0:0:fb", NetworkProtocol="UDP"),
    "broadcast": calls(DstIpAddr="255.255.255.255", NetworkProtocol="UDP"),
    "broadcast of a network": calls(DstIpAddr="10.1.0.255", NetworkProtocol="UDP"),
    "loopback": calls(DstIpAddr="127.0.0.1"),
    "allowed": calls(DstIpAddr="203.0.113.40"),
    "allowed until later": calls(DstIpAddr="203.0.113.41"),
}
"""Scenarios that stay below Medium."""
NULLS = {f"no {name}": name for name in views.NETWORK_SESSION.fieldNames()}
HEARTBEAT_HOSTS = 40


def host_of(name: str) -> str:
    """The address that a scenario's rows come from."""
    return f"10.1.{[*FIND, *LEAVE, *NULLS].index(name)}.7"


def everything() -> list[Row]:
    """All scenarios, among hosts that browse and hosts that share a heartbeat."""
    made = {**FIND, **LEAVE, **{name: without(NULLS[name]) for name in NULLS}}
    rows: list[Row] = [{}]
    for number, (name, mine) in enumerate(made.items()):
        # Destination and size are its own: no scenario looks like another one's software.
        own = {"DstIpAddr": f"198.51.100.{number}", "SrcBytes": 700 + 7 * number}
        missing = {NULLS[name]: None} if name in NULLS else {}
        named = {"DstHostname": "named.example.net"} if name == "no DstIpAddr" else {}
        rows += [{"SrcIpAddr": host_of(name), **own, **row, **named, **missing} for row in mine]
    for host in range(HEARTBEAT_HOSTS):
        who: Row = {"SrcIpAddr": f"10.2.0.{host}", "SrcBytes": 120, "DstPortNumber": 8531}
        if host < HEARTBEAT_HOSTS - 4:
            start = NOON + timedelta(seconds=7 * host)
            rows += beacon(start, 40, 600.0, 0.02, seed=host, DstIpAddr="10.9.9.9", **who)
        for most, place, port in ((CROWD, "198.18.5", 8443), (FEW, "198.18.8", 8445)):
            if host < most:
                crowd = in_turn(calls(150, jitter=0.2, seed=host), place, seed=host)
                rows += [{**row, **who, "DstPortNumber": port} for row in crowd]
        busy = {**who, "DstIpAddr": "203.0.113.99", "DstPortNumber": 80, "SrcBytes": None}
        rows += by_chance(NOON, 40, 500.0, seed=host, **busy)
    for host in range(3):
        who = {"SrcBytes": 240, "DstPortNumber": 8444}
        known: Row = {"SrcIpAddr": f"10.5.0.{host}", "DstIpAddr": "203.0.113.120", **who}
        rows += calls(jitter=0.05, seed=host, **known)
        new: Row = {"SrcIpAddr": f"10.5.1.{host}", "DstIpAddr": "203.0.113.121", **who}
        rows += beacon(NOON + timedelta(days=4), 60, 300.0, 0.05, seed=host, **new)
    inbound: Row = {"SrcIpAddr": OUTSIDER, "DstIpAddr": INSIDE_SERVER, "SrcBytes": 310}
    return rows + calls(jitter=0.2, seed=16, **inbound)


# --- the hunt ---------------------------------------------------------------------------------


def detect(session: SparkSession, sessions: DataFrame) -> list[Any]:
    """The findings, each with its severity by the spec's bands, in a fixed order."""
    tables = {"NetworkSession": sessions}
    allow_list = job.reference(session, "allow_list", ALLOW_LIST)
    return sorted(beaconing.detect(tables, {"allow_list": allow_list}, PARAMS).collect(), key=str)


def severity(finding: Any) -> str:
    """The highest band that the score reaches; '' below all of them."""
    reached = [name for name, lowest in SPEC.severity.items() if finding.Score >= lowest]
    return max(reached, key=lambda name: SPEC.severity[name], default="")


def notable(findings: Iterable[Any]) -> list[str]:
    """What reaches Medium, in words."""
    return [f"{f.Title} ({f.Score})" for f in findings if severity(f) in ("Medium", "High")]
