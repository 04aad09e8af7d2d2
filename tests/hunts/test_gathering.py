"""From sessions to pairs: what is one event, who talks to whom, and what is too much."""

from __future__ import annotations

import importlib
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.tables import NOON, Row, connection, frame, table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
beaconing = importlib.import_module("spark.hunts.beaconing")
cases = importlib.import_module("tests.hunts.connections")
g = importlib.import_module("spark.expressions.gathering")
series = importlib.import_module("spark.expressions.series")
views = importlib.import_module("spark.views")

RULES = cases.RULES
CROWDED, QUIET, ONCE = "203.0.113.1", "203.0.113.2", "203.0.113.3"


def call(time: datetime, to: str, source: str = "10.0.0.1", port: int = 50_000) -> Row:
    named = {"SrcIpAddr": source, "DstIpAddr": to, "SourceTable": "commonsecuritylog"}
    return connection(time, SrcPortNumber=port, **named)


ROWS = [
    *(call(NOON + timedelta(seconds=n / 10), CROWDED, port=40_000 + n) for n in range(60)),
    *(call(NOON + timedelta(hours=30 + n), CROWDED) for n in range(3)),
    *(call(NOON + timedelta(seconds=n / 10), QUIET, port=40_000 + n) for n in range(20)),
    call(NOON + timedelta(days=1), QUIET, "10.0.0.99"),
    call(NOON, ONCE),
]
"""63 connections, 60 of them within six seconds; 20 and 1; and 1."""


def gathered(
    session: SparkSession, rows: Sequence[Row], crowd: int, many: int = g.MANY
) -> dict[str, list[float]]:
    """Destination -> seconds after noon of its events, as one source makes them."""
    connections, _ = g.gather(frame(session, views.NETWORK_SESSION, rows), RULES, crowd, many)
    noon = NOON.timestamp()
    made: dict[str, list[float]] = {}
    for pair in pairs_of(connections):
        assert pair["Dst"] not in made, "a pair came twice"
        made[pair["Dst"]] = [round(time - noon, 1) for time in pair["Times"]]
    return made


def pairs_of(connections: DataFrame) -> list[dict[str, Any]]:
    """What is collected of them; rows of a pair lie in one part, side by side."""
    parts = connections.rdd.glom().collect()
    return [pair for part in parts for pair in cases.told(cases.batches(map(as_dict, part)))]


def talk(talkers: DataFrame, *places: str) -> dict[str, tuple[int, float]]:
    """Place -> hosts there, and since when in days after noon."""
    named = [{"Dst": place, "DstPortNumber": 443} for place in places]
    schema = "Dst string, DstPortNumber int"
    assert talkers.count() == len(places)
    told = g.add_talkers(talkers.sparkSession.createDataFrame(named, schema), talkers).collect()
    noon = NOON.timestamp()
    return {row.Dst: (row.HostsAtDestination, (row.FirstHere - noon) / 86_400) for row in told}


def as_dict(row: Any) -> dict[str, Any]:
    made: dict[str, Any] = row.asDict()
    return made


def test_one_by_one_below_the_limit(session: SparkSession) -> None:
    made = gathered(session, ROWS, 63)
    assert {name: len(times) for name, times in made.items()} == {CROWDED: 63, QUIET: 20}


def test_a_crowd_is_looked_at_moment_by_moment(session: SparkSession) -> None:
    made = gathered(session, ROWS, 62)
    hours = [float(30 * 3_600 + n * 3_600) for n in range(3)]
    assert made[CROWDED] == [0.0, 2.0, 4.0, *hours]
    assert len(made[QUIET]) == 20


def test_repetition_and_order_change_no_event(session: SparkSession) -> None:
    assert gathered(session, [*ROWS[::-1], *ROWS], 62) == gathered(session, ROWS, 62)


def test_a_crowds_texts_are_those_of_its_connections(session: SparkSession) -> None:
    """Of several names at one address, of names of its source, and of none, as of a quiet pair."""
    named = [
        {
            **row,
            "DstHostname": (None, "a.example.net", "b.example.net")[n % 3],
            "SrcHostname": (None, "laptop")[n % 2],
            "NetworkProtocol": "TCP",
        }
        for n, row in enumerate(ROWS[:63])
    ]
    twice = [{**row, "SrcIpAddr": "10.0.0.2"} for row in named]
    # A name that looks like an address: it is another call of the same pair.
    looks = [{**row, "DstHostname": CROWDED, "DstIpAddr": None} for row in named]
    nameless = [{**row, "DstHostname": "c.example.net", "DstIpAddr": None} for row in named]
    rows = [*named, *looks, *twice, *nameless, *ROWS[63:]]
    told = []
    for crowd in (62, 1_000):
        connections, _ = g.gather(frame(session, views.NETWORK_SESSION, rows), RULES, crowd)
        known = ("SrcIpAddr", "Dst", "DstIpAddr", "DstHostname", "SrcHostname", "NetworkProtocol")
        pairs = pairs_of(connections)
        told.append(sorted([repr([pair[name] for name in known]) for pair in pairs]))
    assert told[0] == told[1]
    assert len(told[0]) == 4


def test_pairs_of_one_connection_are_left_where_they_are(session: SparkSession) -> None:
    two_names = [
        {**call(NOON + timedelta(hours=n), "203.0.113.4"), "DstHostname": f"{n}.example.net"}
        for n in range(2)
    ]
    front = [
        {**call(NOON + timedelta(hours=n), "203.0.113.5"), "DstHostname": f"{n % 20}.example.org"}
        for n in range(21)
    ]
    rows = [*ROWS, *two_names, *front]
    for crowd in (62, 1_000):
        wanted = gathered(session, rows, crowd, many=10_000)
        assert gathered(session, rows, crowd, many=1) == wanted
        assert wanted.keys() == {CROWDED, QUIET, "203.0.113.4", "0.example.org"}


def test_pairs_that_can_come_to_nothing_are_left_where_they_are(session: SparkSession) -> None:
    least = RULES.least_events
    rows = [
        call(NOON + timedelta(hours=n), place, f"10.0.0.{host}")
        for place, count, hosts in (
            ("203.0.113.1", least - 1, RULES.few_hosts),
            ("203.0.113.2", least - 1, RULES.few_hosts + 1),
            ("203.0.113.3", least, RULES.few_hosts + 1),
            ("203.0.113.4", 2, 1),
            ("203.0.113.5", 1, 1),
        )
        for host in range(hosts)
        for n in range(count)
    ]
    selected = g.select_connections(frame(session, views.NETWORK_SESSION, rows))
    calls, connections = g.count_calls(selected), g.number_pairs(selected)
    talkers = g.count_talkers(calls)

    def kept(**changed: Any) -> set[str]:
        hopeful = g.find_hopeful(calls, talkers, replace(RULES, **changed))
        assert hopeful is not None
        return {row.Dst[-1] for row in g.keep_hopeful(connections, hopeful).collect()}

    assert kept() == {"1", "3", "4"}
    assert kept(several=0.0) == {"3"}
    assert kept(least_intervals=6) == {"1", "4"}
    assert g.keep_hopeful(connections, None).count() == connections.count()


def test_nothing_comes_of_what_is_left_out(session: SparkSession) -> None:
    """What is judged is the same with all pairs and with the hopeful ones."""
    sizes = {"SrcBytes": 500, "DstBytes": 90}
    chance = random.Random(3)  # noqa: S311  made rows have to repeat
    rows = [
        {**call(NOON + timedelta(minutes=minute), f"203.0.113.{place}", f"10.0.0.{n}"), **sizes}
        for place in range(12)
        for n in range(1 + place % 5)
        for minute in chance.sample(range(3_000), chance.randrange(1, 9))
    ]
    found = []
    for many in (1, g.MANY):
        connections, talkers = g.gather(
            frame(session, views.NETWORK_SESSION, rows), RULES, g.CROWD, many
        )
        judged = g.add_talkers(series.measure(connections, RULES), talkers)
        pairs = judged.filter(judged.Nats.isNotNull() | beaconing.may_be_pooled(RULES)).collect()
        found.append(sorted(map(repr, pairs)))
    assert found[0] == found[1]
    assert len(found[0]) > 10


PROXIED = """
    TimeGenerated       | SourceIP | DestinationHostName | DestinationPort | RequestURL
    2026-03-02 12:00:00 | 10.0.0.1 | c2.example.net      |                 | https://c2.example.net/a
    2026-03-02 12:05:00 | 10.0.0.1 | c2.example.net      |                 | https://c2.example.net/b
    2026-03-02 12:00:00 | 10.0.0.2 | c2.example.net      |                 |
    2026-03-02 12:05:00 | 10.0.0.2 | c2.example.net      |                 |
"""


def test_a_proxys_rows_without_a_port_count_by_their_urls(session: SparkSession) -> None:
    declared = importlib.import_module("spark.tables.declared").TABLES["commonsecuritylog"]
    rows = table(session, declared.schema, PROXIED)
    connections, _ = g.gather(views.build("NetworkSession", {"commonsecuritylog": rows}), RULES)
    (pair,) = pairs_of(connections)
    told = [pair[name] for name in ("SrcIpAddr", "Dst", "DstPortNumber", "Connections")]
    assert told == ["10.0.0.1", "c2.example.net", 443, 2]


def test_all_talkers_count_also_those_of_one_event(session: SparkSession) -> None:
    _, talkers = g.gather(frame(session, views.NETWORK_SESSION, ROWS), RULES, 62)
    assert talk(talkers, CROWDED, QUIET, ONCE) == {CROWDED: (1, 0), QUIET: (2, 0), ONCE: (1, 0)}


def test_a_hosts_name_counts_and_a_word_for_all_does_not(session: SparkSession) -> None:
    most = g.ADDRESSES_OF_A_HOST
    rows = [
        {**call(NOON, place, f"10.0.{n // 250}.{n % 250}"), "SrcHostname": name}
        for place, name, count in ((ONCE, "laptop", most), (QUIET, "unknown", most + 1))
        for n in range(count)
    ]
    connections, talkers = g.gather(frame(session, views.NETWORK_SESSION, rows * 2), RULES, 1_000)
    assert talk(talkers, ONCE, QUIET) == {ONCE: (1, 0), QUIET: (most + 1, 0)}
    assert pairs_of(connections) == []


def test_a_destination_is_as_old_as_its_name(session: SparkSession) -> None:
    name = {"DstHostname": "c2.example.net"}
    rows = [
        {**call(NOON, ONCE), **name},
        {**call(NOON + timedelta(days=3), QUIET), **name},
        call(NOON + timedelta(days=2), CROWDED),
    ]
    _, talkers = g.gather(frame(session, views.NETWORK_SESSION, rows), RULES)
    told = talk(talkers, ONCE, QUIET, CROWDED)
    assert told == {ONCE: (1, 0), QUIET: (1, 0), CROWDED: (1, 2)}
