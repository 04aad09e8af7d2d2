"""Indicator match: what it finds and leaves alone; order and repetition change nothing.

Every scenario is a host and an indicator of its own in one set of tables: the hunt is compiled
once for all of them.
"""

from __future__ import annotations

import importlib
import json
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.hunt_specs import parameters, parse
from tests.tables import NOON, Row, frame
from tests.tables import connection as session_row

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
hunt = importlib.import_module("spark.hunts.indicator_match")
exports = importlib.import_module("spark.exports")
job = importlib.import_module("spark.job")
views = importlib.import_module("spark.views")
TABLES: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES

ROOT = Path(__file__).parents[2]
REAL_LOGS = ROOT.parent / "shared" / "data" / "real-logs.tar.gz"
SPEC_FILE = ROOT / "spark" / "hunts" / "indicator_match.yaml"
SPEC = parse(SPEC_FILE.read_text("utf-8"), str(SPEC_FILE), "indicator_match")
PARAMS = parameters(SPEC, {})
OLDER, STIX = SPEC.tables
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
ALLOW_LIST = (
    {"destination": "203.0.113.40"},
    {"destination": "*.allowed.example"},
    {"destination": "203.0.113.42", "expires": "2026-03-01T00:00:00Z"},
    {"destination": "203.0.113.43", "port": "8443"},
)
Tables = Mapping[str, Any]


# --- scenarios --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """What a host did and what is listed; what is not said is as in a plain hit."""

    severity: str
    sessions: Sequence[Row] = ()
    lookups: Sequence[Row] = ()
    older: Sequence[Row] = ()
    stix: Sequence[Row] = ()
    hosts: Sequence[str] = field(default_factory=lambda: ["own"])


def ip(address: str, **more: Any) -> Row:
    """A record of the older table."""
    row: Row = {
        "TimeGenerated": NOON - 2 * DAY,
        "IndicatorId": f"id-{address}",
        "Active": True,
        "ConfidenceScore": 80.0,
        "ExpirationDateTime": NOON + 30 * DAY,
        "Description": "evil C2",
        "NetworkIP": address,
    }
    return {**row, **more}


def stix(key: str, value: str, **more: Any) -> Row:
    """A record of the table in STIX's shape."""
    row: Row = {
        "TimeGenerated": NOON - 2 * DAY,
        "Id": f"indicator--{value}",
        "IsActive": True,
        "IsDeleted": False,
        "Revoked": False,
        "Confidence": 80,
        "ValidFrom": NOON - 20 * DAY,
        "ValidUntil": NOON + 30 * DAY,
        "ObservableKey": key,
        "ObservableValue": value,
        "Source": "Feed",
        "Data": json.dumps({"name": "evil", "description": "evil C2"}),
    }
    return {**row, **more}


def name(value: str, **more: Any) -> Row:
    return stix("domain-name:value", value, **more)


def goes_to(address: str | None = None, after: timedelta = HOUR, **more: Any) -> list[Row]:
    return [session_row(NOON + after, DstIpAddr=address, **more)]


def asks(query: str | None, after: timedelta = HOUR, **more: Any) -> list[Row]:
    moment = {"TimeGenerated": NOON + after, "EventStartTime": NOON + after}
    return [{**moment, "DnsQuery": query, "SourceTable": "dnsevents", **more}]


def blocked(address: str) -> list[Row]:
    return goes_to(address, DvcAction="Deny", EventResult="Failure")


CASES: dict[str, Case] = {
    "address": Case("Medium", goes_to("203.0.113.1"), older=[ip("203.0.113.1")]),
    "sure": Case("High", goes_to("203.0.113.2"), older=[ip("203.0.113.2", ConfidenceScore=100.0)]),
    "unsure": Case("Low", goes_to("203.0.113.3"), older=[ip("203.0.113.3", ConfidenceScore=49.0)]),
    "just below the least confidence": Case(
        "", goes_to("203.0.113.4"), older=[ip("203.0.113.4", ConfidenceScore=24.9)]
    ),
    "no confidence": Case(
        "Low", goes_to("203.0.113.5"), older=[ip("203.0.113.5", ConfidenceScore=None)]
    ),
    "of the sender of a mail": Case(
        "Medium",
        goes_to("203.0.113.6"),
        older=[ip("", NetworkIP=None, EmailSourceIpAddress="203.0.113.6")],
    ),
    "destination with a port": Case(
        "Medium",
        goes_to("203.0.113.7"),
        older=[ip("", NetworkIP="NULL", NetworkDestinationIP="203.0.113.7:443")],
    ),
    "IPv6": Case(
        "Medium",
        goes_to("2001:db8:0:0:0:0:0:9"),
        stix=[stix("ipv6-addr:value", "2001:DB8::9")],
    ),
    "denied": Case("Medium", blocked("203.0.113.8"), older=[ip("203.0.113.8")]),
    "from outside": Case(
        "Low",
        [session_row(NOON, SrcIpAddr="203.0.113.9", DstIpAddr="own")],
        older=[ip("203.0.113.9")],
    ),
    "from outside, refused": Case(
        "",
        [session_row(NOON, SrcIpAddr="203.0.113.10", DstIpAddr="own", DvcAction="Drop ICMP")],
        older=[ip("203.0.113.10")],
    ),
    "benign neighbour": Case("", goes_to("203.0.113.12"), older=[ip("203.0.113.11")]),
    # Validity.
    "expired before": Case(
        "", goes_to("203.0.113.13"), older=[ip("203.0.113.13", ExpirationDateTime=NOON + HOUR)]
    ),
    "expires after": Case(
        "Medium",
        goes_to("203.0.113.14"),
        older=[ip("203.0.113.14", ExpirationDateTime=NOON + HOUR + timedelta(seconds=1))],
    ),
    "never expires": Case(
        "Medium", goes_to("203.0.113.15"), older=[ip("203.0.113.15", ExpirationDateTime=None)]
    ),
    "not yet valid": Case(
        "",
        goes_to("203.0.113.16"),
        stix=[
            stix("ipv4-addr:value", "203.0.113.16", ValidFrom=NOON + HOUR + timedelta(seconds=1))
        ],
    ),
    "valid from that moment on": Case(
        "Medium",
        [*goes_to("203.0.113.17"), *goes_to("203.0.113.17", timedelta(0))],
        stix=[stix("ipv4-addr:value", "203.0.113.17", ValidFrom=NOON + HOUR)],
    ),
    "inactive": Case("", goes_to("203.0.113.18"), older=[ip("203.0.113.18", Active=False)]),
    "to be allowed": Case("", goes_to("203.0.113.19"), older=[ip("203.0.113.19", Action="Allow")]),
    "passive": Case("", goes_to("203.0.113.20"), older=[ip("203.0.113.20", PassiveOnly=True)]),
    "revoked": Case(
        "", goes_to("203.0.113.21"), stix=[stix("ipv4-addr:value", "203.0.113.21", Revoked=True)]
    ),
    "not active": Case(
        "", goes_to("203.0.113.22"), stix=[stix("ipv4-addr:value", "203.0.113.22", IsActive=False)]
    ),
    "deleted since": Case(
        "",
        goes_to("203.0.113.23"),
        stix=[
            stix("ipv4-addr:value", "203.0.113.23"),
            stix("", "", Id="indicator--203.0.113.23", IsDeleted=True, TimeGenerated=NOON - DAY),
        ],
    ),
    "deleted before": Case(
        "Medium",
        goes_to("203.0.113.24"),
        stix=[
            stix("ipv4-addr:value", "203.0.113.24"),
            stix(
                "", "", Id="indicator--203.0.113.24", IsDeleted=True, TimeGenerated=NOON - 5 * DAY
            ),
        ],
    ),
    "newest record says less": Case(
        "Low",
        goes_to("203.0.113.25"),
        older=[
            ip("203.0.113.25", ConfidenceScore=95.0),
            ip("203.0.113.25", ConfidenceScore=35.0, TimeGenerated=NOON - DAY),
        ],
    ),
    "value corrected": Case(
        "",
        goes_to("203.0.113.26"),
        older=[
            ip("203.0.113.26", IndicatorId="corrected"),
            ip("203.0.113.27", IndicatorId="corrected", TimeGenerated=NOON - DAY),
        ],
    ),
    "no id": Case("Medium", goes_to("203.0.113.28"), older=[ip("203.0.113.28", IndicatorId=None)]),
    "both tables": Case(
        "High",
        goes_to("203.0.113.29"),
        older=[ip("203.0.113.29", ConfidenceScore=60.0)],
        stix=[stix("ipv4-addr:value", "203.0.113.29", Confidence=90)],
    ),
    "a pattern only": Case(
        "Medium",
        goes_to("203.0.113.30"),
        stix=[
            stix(
                "",
                "",
                Pattern="[ipv4-addr:value = '203.0.113.30']",
                ObservableKey=None,
                ObservableValue=None,
            )
        ],
    ),
    # Names.
    "asks for the domain": Case(
        "Medium", lookups=asks("evil1.example"), stix=[name("Evil1.example.")]
    ),
    "asks for a name below": Case(
        "Medium", lookups=asks("a.b.evil2.example"), stix=[name("evil2.example")]
    ),
    "asks for a lookalike": Case(
        "", lookups=asks("notevil3.example"), stix=[name("evil3.example")]
    ),
    "asks for the parent": Case("", lookups=asks("evil4.example"), stix=[name("x.evil4.example")]),
    "below a suffix that is shared": Case("", lookups=asks("me.co.uk"), stix=[name("co.uk")]),
    "below a top-level domain": Case("", lookups=asks("me.test"), stix=[name("test")]),
    "connects by name": Case(
        "Medium", goes_to(None, DstHostname="x.evil5.example"), stix=[name("evil5.example")]
    ),
    "is told a listed address": Case(
        "Medium",
        lookups=asks("fine.example", DnsResponseName='["cdn.example", "203.0.113.31"]'),
        older=[ip("203.0.113.31")],
    ),
    "no answer": Case("", lookups=asks(None), older=[ip("203.0.113.32")]),
    # URLs.
    "URL without a path": Case(
        "Medium",
        lookups=asks("evil6.example"),
        older=[ip("", NetworkIP=None, Url="http://http://EVIL6.example:8080/")],
    ),
    "URL of an address": Case(
        "Medium",
        goes_to("203.0.113.33"),
        older=[ip("", NetworkIP=None, Url="http://http://203.0.113.33")],
    ),
    "below the host of a URL": Case(
        "", lookups=asks("x.evil7.example"), stix=[stix("url:value", "http://evil7.example/")]
    ),
    "URL with a path, by its host": Case(
        "", lookups=asks("shared.example"), stix=[stix("url:value", "http://shared.example/a")]
    ),
    "URL with a path, in full": Case(
        "Medium",
        goes_to("198.51.100.1", DstHostname="shared2.example", Url="https://SHARED2.example/a/"),
        stix=[stix("url:value", "http://shared2.example/a")],
    ),
    # Guards and the allow-list.
    "private": Case("Informational", goes_to("10.9.9.9"), older=[ip("10.9.9.9")]),
    "loopback": Case("", goes_to("127.0.0.1"), older=[ip("127.0.0.1")]),
    "multicast": Case("", goes_to("239.255.255.250"), older=[ip("239.255.255.250")]),
    "allowed": Case("", goes_to("203.0.113.40"), older=[ip("203.0.113.40")]),
    "allowed below a name": Case(
        "", lookups=asks("x.allowed.example"), stix=[name("allowed.example")]
    ),
    "entry expired before": Case("Medium", goes_to("203.0.113.42"), older=[ip("203.0.113.42")]),
    "entry for another port": Case("Medium", goes_to("203.0.113.43"), older=[ip("203.0.113.43")]),
    # News.
    "told before": Case(
        "",
        goes_to("203.0.113.44", -3 * DAY),
        older=[ip("203.0.113.44", TimeGenerated=NOON - 5 * DAY)],
    ),
    "old, but listed since yesterday": Case(
        "Medium", goes_to("203.0.113.45", -3 * DAY), older=[ip("203.0.113.45", TimeGenerated=NOON)]
    ),
    "listed again": Case(
        "",
        goes_to("203.0.113.46", -3 * DAY),
        older=[
            ip("203.0.113.46", TimeGenerated=NOON - 7 * DAY),
            ip("203.0.113.46", TimeGenerated=NOON),
        ],
    ),
}
"""Scenario -> the severity that it reaches; "" for none."""
POPULAR, POPULAR_HOSTS = "203.0.113.99", 40


def host_of(case: str) -> str:
    """The address of the host that a scenario is about."""
    return f"10.1.{list(CASES).index(case)}.7"


def everything() -> dict[str, list[Row]]:
    """All scenarios, among hosts that go to one listed address together."""
    made: dict[str, list[Row]] = {
        OLDER: [{}, ip(POPULAR)], STIX: [{}], "NetworkSession": [{}], "Dns": [{}]
    }  # fmt: skip
    for case, drawn in CASES.items():
        own: Row = {"SrcIpAddr": host_of(case)}
        made["NetworkSession"] += [_placed({**own, **row}, case) for row in drawn.sessions]
        made["Dns"] += [{**own, **row} for row in drawn.lookups]
        made[OLDER] += [{**row, "IndicatorId": _named(row, case)} for row in drawn.older]
        made[STIX] += drawn.stix
    for host in range(POPULAR_HOSTS):
        made["NetworkSession"] += goes_to(POPULAR, SrcIpAddr=f"10.2.0.{host}")
    return made


def _placed(row: Row, case: str) -> Row:
    return {**row, "DstIpAddr": host_of(case)} if row.get("DstIpAddr") == "own" else row


def _named(row: Row, case: str) -> str | None:
    return f"{case}: {row['IndicatorId']}" if row["IndicatorId"] else None


def as_tables(session: SparkSession, rows: Mapping[str, Sequence[Row]]) -> dict[str, DataFrame]:
    schemas = {"NetworkSession": views.NETWORK_SESSION, "Dns": views.DNS}
    return {
        table: frame(session, schemas.get(table) or TABLES[table].schema, rows.get(table, ()))
        for table in (OLDER, STIX, *schemas)
    }


def detect(session: SparkSession, tables: Tables) -> list[Any]:
    """The findings in a fixed order."""
    allow_list = job.reference(session, "allow_list", ALLOW_LIST)
    return sorted(hunt.detect(tables, {"allow_list": allow_list}, PARAMS).collect(), key=str)


def severity(finding: Any) -> str:
    """The highest band that the score reaches; '' below all of them."""
    reached = [name for name, lowest in SPEC.severity.items() if finding.Score >= lowest]
    return max(reached, key=lambda name: SPEC.severity[name], default="")


@pytest.fixture(scope="module")
def rows() -> dict[str, list[Row]]:
    return everything()


@pytest.fixture(scope="module")
def tables(session: SparkSession, rows: dict[str, list[Row]]) -> dict[str, DataFrame]:
    return as_tables(session, rows)


@pytest.fixture(scope="module")
def findings(session: SparkSession, tables: Tables) -> list[Any]:
    return detect(session, tables)


@pytest.fixture(scope="module")
def found(findings: list[Any]) -> Mapping[str, Sequence[Any]]:
    by_host: dict[str, list[Any]] = defaultdict(list)
    for finding in findings:
        by_host[finding.Host].append(finding)
    return by_host


# --- what it finds ----------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES)
def test_a_scenario_reaches_its_severity(found: Mapping[str, Sequence[Any]], case: str) -> None:
    assert [severity(one) for one in found[host_of(case)]] == [
        *filter(None, [CASES[case].severity])
    ]


def test_the_title_says_who_met_what(found: Mapping[str, Sequence[Any]]) -> None:
    (one,) = found[host_of("address")]
    assert one.Title == f"{one.Host} connects to 203.0.113.1, listed: evil C2"
    assert (one.HostIpAddr, one.IndicatorIpAddr) == (one.Host, "203.0.113.1")
    assert (one.IndicatorDomain, one.IndicatorUrl) == (None, None)


def test_the_evidence_says_who_lists_it_how_sure_and_until_when(
    found: Mapping[str, Sequence[Any]],
) -> None:
    (one,) = found[host_of("both tables")]
    evidence = one.Evidence
    assert (evidence.IndicatorId, evidence.IndicatorTable) == ("indicator--203.0.113.29", STIX)
    assert (evidence.IndicatorConfidence, evidence.ListedBy) == (90.0, "Feed")
    assert (evidence.Description, evidence.Indicators) == ("evil C2", 2)
    assert evidence.ValidFrom == (NOON - 20 * DAY).replace(tzinfo=None)
    assert evidence.ValidUntil == (NOON + 30 * DAY).replace(tzinfo=None)


def test_events_before_the_validity_do_not_count(found: Mapping[str, Sequence[Any]]) -> None:
    (one,) = found[host_of("valid from that moment on")]
    moment = (NOON + HOUR).replace(tzinfo=None)
    assert (one.Evidence.Events, one.FirstSeen, one.LastSeen) == (1, moment, moment)


def test_samples_say_where_and_when(found: Mapping[str, Sequence[Any]]) -> None:
    (one,) = found[host_of("asks for a name below")]
    (sample,) = one.Evidence.Samples
    assert (sample.Met, sample.Events, sample.Table) == ("a.b.evil2.example", 1, "dnsevents")
    assert (one.Indicator, one.Direction) == ("evil2.example", "query")
    assert one.SubScores.Exactness == PARAMS["below_weight"]


def test_a_private_destination_is_guarded_and_says_so(found: Mapping[str, Sequence[Any]]) -> None:
    (one,) = found[host_of("private")]
    assert (one.Evidence.Guard, one.Score) == ("a private address", PARAMS["guarded_score"])


def test_a_popular_destination_is_guarded_and_says_so(findings: list[Any]) -> None:
    popular = [one for one in findings if one.Indicator == POPULAR]
    assert len(popular) == POPULAR_HOSTS
    assert {one.Score for one in popular} == {PARAMS["guarded_score"]}
    assert {one.Evidence.Guard for one in popular} == {"many hosts go there"}
    assert {one.Evidence.Hosts for one in popular} == {POPULAR_HOSTS}


def test_scores_lie_between_nothing_and_one(findings: list[Any]) -> None:
    for finding in findings:
        scores = [finding.Score, *(part for part in finding.SubScores if part is not None)]
        assert all(0 <= score <= 1 for score in scores), finding


def test_every_identity_is_found_once(findings: list[Any]) -> None:
    keys = [tuple(finding[name] for name in SPEC.finding_key) for finding in findings]
    assert len(set(keys)) == len(keys)


# --- what changes nothing ---------------------------------------------------------------------


def test_every_row_twice_gives_the_same_findings(
    session: SparkSession, tables: Mapping[str, DataFrame], findings: list[Any]
) -> None:
    doubled = {table: rows.unionAll(rows) for table, rows in tables.items()}
    assert detect(session, doubled) == findings


def test_rows_in_another_order_give_the_same_findings(
    session: SparkSession, rows: dict[str, list[Row]], findings: list[Any]
) -> None:
    chance = random.Random(5)  # noqa: S311  must repeat
    shuffled = {table: chance.sample(mine, len(mine)) for table, mine in rows.items()}
    other = {table: mine.repartition(3) for table, mine in as_tables(session, shuffled).items()}
    assert detect(session, other) == findings


@pytest.mark.parametrize("missing", [(OLDER, STIX), ("NetworkSession", "Dns")], ids=str)
def test_without_rows_there_are_no_findings(
    session: SparkSession, rows: dict[str, list[Row]], missing: tuple[str, ...]
) -> None:
    left = {table: mine for table, mine in rows.items() if table not in missing}
    assert detect(session, as_tables(session, left)) == []
