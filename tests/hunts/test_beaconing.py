"""Beaconing: what it finds, what it leaves alone, and that order and repetition change nothing.

Every scenario is a host of its own in one table: the hunt is compiled once for all of them.
"""

from __future__ import annotations

import importlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.hunts.beacon_rows import (
    CROWD,
    FEW,
    FIND,
    HEARTBEAT_HOSTS,
    INSIDE_SERVER,
    LEAVE,
    NEEDED,
    NULLS,
    OUTSIDER,
    PROXY,
    SPEC,
    detect,
    everything,
    host_of,
    notable,
)
from tests.tables import NOON, Row, frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

series = importlib.import_module("spark.expressions.series")
views = importlib.import_module("spark.views")

Found = Mapping[str, Sequence[Any]]
"""Address of the source -> its findings."""


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    return everything()


@pytest.fixture(scope="module")
def sessions(session: SparkSession, rows: list[Row]) -> DataFrame:
    return frame(session, views.NETWORK_SESSION, rows)


@pytest.fixture(scope="module")
def findings(session: SparkSession, sessions: DataFrame) -> list[Any]:
    return detect(session, sessions)


@pytest.fixture(scope="module")
def found(findings: list[Any]) -> Found:
    by_host: dict[str, list[Any]] = defaultdict(list)
    for finding in findings:
        by_host[finding.SrcIpAddr].append(finding)
    return by_host


# --- what it finds ----------------------------------------------------------------------------


@pytest.mark.parametrize("name", FIND)
def test_a_beacon_is_found_once(found: Found, name: str) -> None:
    assert len(notable(found[host_of(name)])) == 1


@pytest.mark.parametrize("name", LEAVE)
def test_what_is_no_beacon_is_left_alone(found: Found, name: str) -> None:
    assert notable(found.get(host_of(name), ())) == []


@pytest.mark.parametrize("name", NULLS)
def test_a_null_costs_the_row_only_where_the_value_is_needed(found: Found, name: str) -> None:
    is_needed = NULLS[name] in NEEDED
    assert len(notable(found.get(host_of(name), ()))) == (0 if is_needed else 1)


def test_a_heartbeat_that_most_hosts_share_stays_below_medium(found: Found) -> None:
    hosts = [f"10.2.0.{host}" for host in range(HEARTBEAT_HOSTS)]
    assert [text for host in hosts for text in notable(found.get(host, ()))] == []


def test_what_three_hosts_share_stays_below_medium_unless_it_is_new(found: Found) -> None:
    known, new = ([f"10.5.{net}.{host}" for host in range(3)] for net in (0, 1))
    assert [text for host in known for text in notable(found[host])] == []
    assert [len(notable(found[host])) for host in new] == [1, 1, 1]


def test_every_finding_belongs_to_a_host_of_the_data(found: Found, rows: list[Row]) -> None:
    assert set(found) <= {row.get("SrcIpAddr") for row in rows}


def test_first_and_last_event_of_an_exact_beacon_are_its_ends(found: Found) -> None:
    (finding,) = found[host_of("exact")]
    last = NOON + timedelta(seconds=59 * 300)
    seen = (finding.FirstSeen, finding.LastSeen)
    assert seen == (NOON.replace(tzinfo=None), last.replace(tzinfo=None))
    assert [float(time) for time in finding.Evidence.EventTimes] == [
        NOON.timestamp() + 300 * n for n in range(60)
    ]


def test_the_evidence_says_interval_jitter_and_how_many(found: Found) -> None:
    (finding,) = found[host_of("exact")]
    evidence = finding.Evidence
    assert (evidence.Events, evidence.Connections) == (60, 60)
    assert (evidence.IntervalSeconds, evidence.JitterPercent) == (300.0, 0.0)
    assert evidence.BytesOut == 60 * evidence.MedianBytes
    assert float(evidence.Samples[0].Time) == NOON.timestamp()
    assert {one.BytesOut for one in evidence.Samples} == {int(evidence.MedianBytes)}
    assert len(evidence.Samples) == series.SAMPLES
    assert finding.Title == "10.1.0.7 calls 198.51.100.0:443 every 5 min"


def test_jitter_is_measured_as_the_timer_was_set(found: Found) -> None:
    (finding,) = found[host_of("jitter of 20 %")]
    assert finding.Evidence.JitterPercent == pytest.approx(20, abs=6)
    assert finding.Evidence.IntervalSeconds == pytest.approx(300, rel=0.05)


def test_a_burst_of_retries_is_one_event(found: Found) -> None:
    (finding,) = found[host_of("bursts of retries")]
    assert (finding.Evidence.Events, finding.Evidence.Connections) == (30, 120)


def test_the_end_of_a_connection_is_no_event(found: Found) -> None:
    (finding,) = found[host_of("ends as well")]
    assert (finding.Evidence.Events, finding.Evidence.IntervalSeconds) == (60, 300.0)


def test_an_implant_inside_of_browsing_is_judged_by_its_size(found: Found) -> None:
    (finding,) = found[host_of("inside of browsing")]
    assert finding.Evidence.JudgedBy == series.ONE_SIZE
    assert (finding.Evidence.Events, finding.Evidence.MedianBytes) == (60, 517)


def test_destinations_that_are_called_in_turn_are_one_finding(found: Found) -> None:
    (finding,) = found[host_of("any of eight")]
    evidence = finding.Evidence
    assert evidence.JudgedBy == series.SEVERAL
    assert evidence.Destinations == [f"198.18.0.{n}" for n in range(8)]
    assert finding.Dst == "198.18.0.0"
    assert (evidence.Events, evidence.Connections) == (150, 150)
    assert evidence.IntervalSeconds == pytest.approx(300, rel=0.05)
    assert "198.18.0.0:443 and 7 more every" in finding.Title


def test_an_allowed_destination_neither_hides_a_pool_nor_is_one_of_it(found: Found) -> None:
    (finding,) = found[host_of("any of eight, the first allowed")]
    assert finding.Dst == "198.18.6.1"
    assert finding.Evidence.Destinations == [f"198.18.6.{n}" for n in range(1, 8)]


def test_destinations_are_put_together_unless_more_than_a_few_hosts_call(found: Found) -> None:
    told = [one for host in range(CROWD) for one in found.get(f"10.2.0.{host}", ())]
    assert [one.SrcIpAddr for one in told if one.DstPortNumber == 8443] == []
    assert sorted(one.SrcIpAddr for one in told if one.DstPortNumber == 8445) == [
        f"10.2.0.{host}" for host in range(FEW)
    ]


def test_behind_a_proxy_the_name_is_the_destination(found: Found) -> None:
    (finding,) = (one for one in found[host_of("behind a proxy")] if notable([one]))
    identity = (finding.Dst, finding.DstIpAddr, finding.DstHostname)
    assert identity == ("c2.example.org", PROXY, "c2.example.org")
    assert finding.Evidence.Direction == "outbound"  # a name is not inside


def test_a_beacon_from_outside_to_inside_is_found(found: Found) -> None:
    (finding,) = found[OUTSIDER]
    assert len(notable([finding])) == 1
    assert (finding.Dst, finding.Evidence.Direction) == (INSIDE_SERVER, "inbound")


def test_the_evidence_says_how_persistent_and_how_new_it_is(found: Found) -> None:
    (finding,) = found[host_of("slow")]
    evidence = finding.Evidence
    # Every six hours: on each of seven days or eight, in one hour of six.
    assert evidence.Days == pytest.approx(7.5, abs=0.5)
    assert evidence.ShareOfHours == pytest.approx(1 / 6, abs=0.03)
    assert evidence.DestinationFirstSeen == NOON.replace(tzinfo=None)
    assert evidence.HostsAtDestination == evidence.HostsWithSameRhythm == 1


def test_a_destination_without_an_address_goes_by_its_name(found: Found) -> None:
    (finding,) = found[host_of("name only")]
    identity = (finding.Dst, finding.DstIpAddr, finding.DstHostname)
    assert identity == ("c2.example.net", None, "c2.example.net")


def test_scores_lie_between_nothing_and_one(findings: list[Any]) -> None:
    for finding in findings:
        scores = [finding.Score, *(part for part in finding.SubScores if part is not None)]
        assert all(0 <= score <= 1 for score in scores), finding


def test_every_identity_is_found_once(findings: list[Any]) -> None:
    keys = [tuple(finding[name] for name in SPEC.finding_key) for finding in findings]
    assert len(set(keys)) == len(keys)
    assert all(None not in key for key in keys)


# --- what changes nothing ---------------------------------------------------------------------


def test_every_row_twice_gives_the_same_findings(
    session: SparkSession, sessions: DataFrame, findings: list[Any]
) -> None:
    assert detect(session, sessions.unionAll(sessions)) == findings


def test_rows_in_another_order_give_the_same_findings(
    session: SparkSession, rows: list[Row], findings: list[Any]
) -> None:
    shuffled = random.Random(5).sample(rows, len(rows))  # noqa: S311  must repeat
    other = frame(session, views.NETWORK_SESSION, shuffled).repartition(3)
    assert detect(session, other) == findings


def test_a_row_that_is_lost_moves_no_verdict(
    session: SparkSession, rows: list[Row], found: Found
) -> None:
    firsts = {host_of(name): mine[len(mine) // 2] for name, mine in {**FIND, **LEAVE}.items()}
    lost = {(host, row["EventStartTime"]) for host, row in firsts.items()}
    kept = [row for row in rows if (row.get("SrcIpAddr"), row.get("EventStartTime")) not in lost]
    assert 0 < len(rows) - len(kept) < 2 * len(lost)
    after = detect(session, frame(session, views.NETWORK_SESSION, kept))
    known = {one.SrcIpAddr for hits in found.values() for one in hits if notable([one])}
    # Five intervals are the fewest there can be: without a row they are four.
    few = {host_of("as few as can be")}
    assert {one.SrcIpAddr for one in after if notable([one])} == known - few


def test_without_rows_there_are_no_findings(session: SparkSession) -> None:
    assert detect(session, frame(session, views.NETWORK_SESSION, [])) == []
