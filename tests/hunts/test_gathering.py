"""From sessions to pairs: what is one event, who talks to whom, and what is too much."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.tables import NOON, Row, connection, frame, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
g = importlib.import_module("spark.expressions.gathering")
views = importlib.import_module("spark.views")

GAP = 2.0
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
    pairs, _ = g.gather(frame(session, views.NETWORK_SESSION, rows), GAP, crowd, many)
    noon = NOON.timestamp()
    made: dict[str, list[float]] = {}
    for row in pairs.collect():
        assert row.Dst not in made, "a pair came twice"
        made[row.Dst] = sorted(round(event.Time - noon, 1) for event in row.Events)
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


def test_few_are_sought_where_pairs_are_many(session: SparkSession) -> None:
    rows = frame(session, views.NETWORK_SESSION, ROWS)
    calls = g.count_calls(g.select_connections(rows))
    assert calls.count() == 4
    assert g.find_repeated(calls, 5) is None
    found = g.find_repeated(calls, 4)
    assert found is not None
    assert g.keep_repeated(calls, found).count() == 2
    assert g.keep_repeated(calls, None).count() == 4


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
    pairs, _ = g.gather(views.build("NetworkSession", {"commonsecuritylog": rows}), GAP)
    (pair,) = pairs.collect()
    told = (pair.SrcIpAddr, pair.Dst, pair.DstPortNumber, pair.Connections)
    assert told == ("10.0.0.1", "c2.example.net", 443, 2)


def test_all_talkers_count_also_those_of_one_event(session: SparkSession) -> None:
    _, talkers = g.gather(frame(session, views.NETWORK_SESSION, ROWS), GAP, 62)
    told: dict[str, Any] = {
        row.Dst: (row.HostsAtDestination, row.FirstHere) for row in talkers.collect()
    }
    noon = NOON.timestamp()
    assert told == {CROWDED: (1, noon), QUIET: (2, noon), ONCE: (1, noon)}


def test_a_hosts_name_counts_and_a_word_for_all_does_not(session: SparkSession) -> None:
    most = g.ADDRESSES_OF_A_HOST
    rows = [
        {**call(NOON, place, f"10.0.{n // 250}.{n % 250}"), "SrcHostname": name}
        for place, name, count in ((ONCE, "laptop", most), (QUIET, "unknown", most + 1))
        for n in range(count)
    ]
    pairs, talkers = g.gather(frame(session, views.NETWORK_SESSION, rows * 2), GAP, 1_000)
    assert {row.Dst: row.HostsAtDestination for row in talkers.collect()} == {
        ONCE: 1,
        QUIET: most + 1,
    }
    assert pairs.count() == 0


def test_a_destination_is_as_old_as_its_name(session: SparkSession) -> None:
    name = {"DstHostname": "c2.example.net"}
    rows = [
        {**call(NOON, ONCE), **name},
        {**call(NOON + timedelta(days=3), QUIET), **name},
        call(NOON + timedelta(days=2), CROWDED),
    ]
    _, talkers = g.gather(frame(session, views.NETWORK_SESSION, rows), GAP)
    days = {row.Dst: (row.FirstHere - NOON.timestamp()) / 86_400 for row in talkers.collect()}
    assert days == {ONCE: 0, QUIET: 0, CROWDED: 2}
