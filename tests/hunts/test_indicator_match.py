"""Indicator match: what it finds and leaves alone; order and repetition change nothing.

Every scenario is a host and an indicator of its own in one set of tables: the hunt is compiled
once for all of them.
"""

from __future__ import annotations

import importlib
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.hunt_specs import parameters, parse
from tests.hunts.indicator_cases import (
    CASES,
    DAY,
    HOUR,
    NOBODYS,
    POPULAR,
    POPULAR_HOSTS,
    goes_to,
    ip,
)
from tests.tables import NOON, Row, frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
hunt = importlib.import_module("spark.hunts.indicator_match")
job = importlib.import_module("spark.job")
views = importlib.import_module("spark.views")
TABLES: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES

ROOT = Path(__file__).parents[2]
SPEC_FILE = ROOT / "spark" / "hunts" / "indicator_match.yaml"
SPEC = parse(SPEC_FILE.read_text("utf-8"), str(SPEC_FILE), "indicator_match")
PARAMS = parameters(SPEC, {})
OLDER, STIX = SPEC.tables
ALLOW_LIST = (
    {"destination": "203.0.113.40"},
    {"destination": "*.allowed.example"},
    {"destination": "203.0.113.42", "expires": "2026-03-01T00:00:00Z"},
    {"destination": "203.0.113.43", "port": "8443"},
)
Tables = Mapping[str, Any]


def host_of(case: str) -> str:
    """The address of the host that a scenario is about."""
    return f"10.1.{list(CASES).index(case)}.7"


def everything() -> dict[str, list[Row]]:
    """All scenarios, among hosts that go to one listed address together."""
    made: dict[str, list[Row]] = {
        OLDER: [{}, ip(POPULAR), ip(NOBODYS)], STIX: [{}], "NetworkSession": [{}], "Dns": [{}]
    }  # fmt: skip
    for case, drawn in CASES.items():
        own: Row = {"SrcIpAddr": host_of(case)}
        made["NetworkSession"] += [_placed({**own, **row}, case) for row in drawn.sessions]
        made["Dns"] += [{**own, **row} for row in drawn.lookups]
        made[OLDER] += [{**row, "IndicatorId": _named(row, case)} for row in drawn.older]
        made[STIX] += drawn.stix
    made["NetworkSession"] += goes_to(NOBODYS)
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


def test_a_host_that_the_log_does_not_name_is_unknown(findings: list[Any]) -> None:
    (one,) = [one for one in findings if one.Indicator == NOBODYS]
    assert (one.Host, one.HostIpAddr, severity(one)) == (None, None, "Medium")
    assert one.Title == f"an unknown host connects to {NOBODYS}, listed: evil C2"


def test_scores_lie_between_nothing_and_one(findings: list[Any]) -> None:
    for finding in findings:
        scores = [finding.Score, *(part for part in finding.SubScores if part is not None)]
        assert all(0 <= score <= 1 for score in scores), finding


def test_every_identity_is_found_once(findings: list[Any]) -> None:
    keys = [tuple(finding[name] for name in SPEC.finding_key) for finding in findings]
    assert len(set(keys)) == len(keys)


# --- what changes nothing ---------------------------------------------------------------------


def test_every_row_twice_and_in_another_order_gives_the_same_findings(
    session: SparkSession, rows: dict[str, list[Row]], findings: list[Any]
) -> None:
    chance = random.Random(5)  # noqa: S311  must repeat
    shuffled = {table: chance.sample(2 * mine, 2 * len(mine)) for table, mine in rows.items()}
    other = {table: mine.repartition(3) for table, mine in as_tables(session, shuffled).items()}
    assert detect(session, other) == findings


@pytest.mark.parametrize("missing", [(OLDER, STIX), ("NetworkSession", "Dns")], ids=str)
def test_without_rows_there_are_no_findings(
    session: SparkSession, rows: dict[str, list[Row]], missing: tuple[str, ...]
) -> None:
    left = {table: mine for table, mine in rows.items() if table not in missing}
    assert detect(session, as_tables(session, left)) == []
