"""Beaconing: what it finds, what it leaves alone, and that order and repetition change nothing.

Every scenario is a host of its own in one table: the hunt is compiled once for all of them.
"""

from __future__ import annotations

import importlib
import random
import tarfile
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.contract import parse_export_blob
from shared.hunt_specs import parameters, parse
from tests.tables import NOON, Row, beacon, by_chance, connection, frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
beaconing = importlib.import_module("spark.hunts.beaconing")
exports = importlib.import_module("spark.exports")
job = importlib.import_module("spark.job")
views = importlib.import_module("spark.views")
TABLES: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES

ROOT = Path(__file__).parents[2]
REAL_LOGS = ROOT.parent / "shared" / "data" / "real-logs.tar.gz"
CAPTURES = ("a-net-rats", "a-net-caldera", "a-net-apt29-day2", "a-net-zat")
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
    {"owner": "a line that names nothing, so it allows nothing"},
)
Found = Mapping[str, Sequence[Any]]
"""Address of the source -> its findings."""


# --- scenarios --------------------------------------------------------------------------------


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


def within_browsing() -> list[Row]:
    """Calls of one size by the clock, amid as many of any size to the same address."""
    browsing = by_chance(NOON + timedelta(seconds=100), 60, 300.0, seed=11)
    sizes = random.Random(12).sample(range(1_000, 90_000), 60)  # noqa: S311  must repeat
    return calls(SrcBytes=517) + [
        {**row, "SrcBytes": size} for row, size in zip(browsing, sizes, strict=True)
    ]


FIND: dict[str, list[Row]] = {
    "exact": calls(),
    "jitter of 20 %": calls(jitter=0.2, seed=1),
    "slow": calls(28, 6 * 3600.0, jitter=0.05),
    "as few as can be": calls(LEAST + 1),
    "bursts of retries": bursts(30, 600.0, size=4),
    "ends as well": with_ends(calls()),
    "inside of browsing": within_browsing(),
    "private": calls(DstIpAddr="192.168.50.5"),
    "IPv6": calls(DstIpAddr="2001:db8:0:0:0:0:0:7"),
    "name only": calls(DstIpAddr=None, DstHostname="c2.example.net"),
    "entry expired before": calls(DstIpAddr="203.0.113.42"),
    "entry for another port": calls(DstIpAddr="203.0.113.43"),
}
"""Scenarios that reach Medium."""
LEAVE: dict[str, list[Row]] = {
    "one interval too few": calls(LEAST),
    "so wide that it is no rhythm": calls(200, jitter=1.0, seed=2),
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
        busy = {**who, "DstIpAddr": "203.0.113.99", "DstPortNumber": 80, "SrcBytes": None}
        rows += by_chance(NOON, 40, 500.0, seed=host, **busy)
    return rows


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
    assert finding.Evidence.JudgedBy == beaconing.ONE_SIZE
    assert (finding.Evidence.Events, finding.Evidence.MedianBytes) == (60, 517)


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


def test_without_rows_there_are_no_findings(session: SparkSession) -> None:
    assert detect(session, frame(session, views.NETWORK_SESSION, [])) == []


# --- real logs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_sessions(
    session: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, DataFrame]:
    """Name of the capture -> its sessions, from the export blobs as a job reads them."""
    if not REAL_LOGS.is_file():
        pytest.skip("the real logs lie beside the repository, and they are not there")
    folder = Path(tmp_path_factory.mktemp("real"))
    with tarfile.open(REAL_LOGS) as archive:
        members = [one for one in archive if set(CAPTURES) & set(Path(one.name).parts)]
        archive.extractall(folder, members=members, filter="data")
    return {name: sessions_of(session, folder / "real-logs" / name) for name in CAPTURES}


def sessions_of(session: SparkSession, lake: Path) -> DataFrame:
    """The view over one lake's export folders."""
    rows = {}
    for name, declared in TABLES.items():
        folder = lake / f"am-{name}"
        blobs = [blob.relative_to(folder).as_posix() for blob in folder.rglob("*.json")]
        parsed = [parse_export_blob(folder.name, blob) for blob in blobs]
        if hours := sorted({blob.hour for blob in parsed if blob}):
            lines = exports.read_lines(session, [folder.as_uri()], hours)
            copy = exports.parse_lines(lines, declared)
            rows[name] = copy.filter("_Kind = 'row'").select(*declared.kept)
    view: DataFrame = views.build("NetworkSession", rows)
    return view.cache()


def test_implants_in_real_captures_are_found_and_the_background_is_left_alone(
    session: SparkSession, real_sessions: Mapping[str, DataFrame]
) -> None:
    found = detect(session, reduce(lambda one, more: one.unionAll(more), real_sessions.values()))
    bands = {(one.DstIpAddr, one.DstPortNumber): severity(one) for one in found}
    assert bands["86.136.67.231", 1337] in ("Medium", "High")  # a-net-rats: Quasar
    assert bands["172.18.0.3", 7011] in ("Medium", "High")  # a-net-caldera: Manx
    assert bands["192.168.0.4", 443] != ""  # a-net-apt29-day2: PoshC2, weak in time
    background = real_sessions["a-net-zat"].select("SrcIpAddr", "DstIpAddr").distinct().collect()
    assert len(background) > 100
    assert notable(f for f in found if (f.SrcIpAddr, f.DstIpAddr) in background) == []
