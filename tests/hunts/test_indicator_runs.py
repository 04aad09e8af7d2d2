"""Indicator match on real logs, and in a job whose lake lacks the lists."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.contract import VIEWS
from shared.hunt_specs import frozen, parameters, parse
from tests.hunts.real_logs import ARCHIVE, tables_of, unpack
from tests.hunts.small_lake import SmallLake, connection, lines, plan_url
from tests.sources import ROOT

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
hunt = importlib.import_module("spark.hunts.indicator_match")
job = importlib.import_module("spark.job")
views = importlib.import_module("spark.views")

SPEC_FILE = ROOT / "spark" / "hunts" / "indicator_match.yaml"
SPEC = parse(SPEC_FILE.read_text("utf-8"), str(SPEC_FILE), "indicator_match")
PARAMS = parameters(SPEC, {})
VIEWED = [table for view in SPEC.views for table in VIEWS[view]]
RATS, BACKGROUND = "a-net-rats", "a-net-zat"
TI = "a-ti"
HOUR = "2026030912"
Tables = Mapping[str, Any]


# --- real logs --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real(
    session: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, DataFrame]]:
    """What the hunt reads when the indicators and both captures land in one lake."""
    if not ARCHIVE.is_file():
        pytest.skip("the real logs lie beside the repository, and they are not there")
    lake = unpack(Path(tmp_path_factory.mktemp("real")), (TI, RATS, BACKGROUND))
    captures = [tables_of(session, lake / one, VIEWED) for one in (RATS, BACKGROUND)]
    both = {name: captures[0][name].unionAll(captures[1][name]) for name in VIEWED}
    tables = {**tables_of(session, lake / TI, SPEC.tables), **_views(both)}
    cached = {name: rows.cache() for name, rows in tables.items()}
    yield cached
    for rows in cached.values():
        rows.unpersist()


def _views(rows: Mapping[str, DataFrame]) -> dict[str, DataFrame]:
    return {view: views.build(view, rows) for view in SPEC.views}


def detect(session: SparkSession, tables: Tables) -> list[Any]:
    """The findings in a fixed order."""
    allow_list = job.reference(session, "allow_list", [])
    return sorted(hunt.detect(tables, {"allow_list": allow_list}, PARAMS).collect(), key=str)


@pytest.mark.proof
def test_listed_controllers_are_found_once_each_and_the_background_is_left_alone(
    session: SparkSession, real: Mapping[str, DataFrame]
) -> None:
    found = detect(session, real)
    met = {(one.Evidence.Tags, one.Direction, one.Host, one.Indicator) for one in found}
    assert met == {
        *_met("asyncrat", "192.168.100.124", "181.131.218.39"),
        *_met("asyncrat", "192.168.100.20", "186.169.47.11"),
        *_met("nightingale", "192.168.100.163", "94.156.71.237"),
        ("nightingale", "query", "192.168.100.163", "kinggru.duckdns.org"),
    }
    assert len(found) == len(met)
    assert all(one.Score >= SPEC.severity["Medium"] for one in found)
    doubled = {name: rows.unionAll(rows) for name, rows in real.items()}
    assert detect(session, doubled) == found


def _met(tag: str, host: str, address: str) -> set[tuple[str, str, str, str]]:
    """The host asked a name, was sent to the address, and went there."""
    return {(tag, direction, host, address) for direction in ("answer", "outbound")}


# --- a job ------------------------------------------------------------------------------------


def run_job(lake: SmallLake, number: int, tables: dict[str, Any]) -> str:
    """A job with the hunt as it ships; its id."""
    spec = frozen(SPEC)
    declared = {name: spec[name] for name in spec if name not in ("module", "name", "guid")}
    run = lake.run("indicator_match", params=PARAMS, references={"allow_list": []}, **declared)
    job_id = lake.plan(number, tables, [run])
    assert job.main([plan_url(job_id)]) == 0
    return job_id


def test_without_lists_a_run_ends_well_and_its_coverage_says_what_was_absent(
    session: SparkSession, lake_folder: Path
) -> None:
    lake = SmallLake(lake_folder, "nolists")
    row = connection("12:00:00", "203.0.113.1", SourceIp="10.0.0.1", LinksEstablished=1)
    lake.blob(HOUR, "00/PT05M.json", lines(row))
    job_id = run_job(lake, 0x1D0, {"vmconnection": lake.hours(HOUR)})
    manifest = lake.manifest(job_id, "indicator_match")
    assert (manifest.error, manifest.rows) == ("", 0)
    assert manifest.coverage["tables_absent"] == sorted(SPEC.tables)
    assert list(manifest.coverage["tables"]) == ["vmconnection"]


def test_what_is_exported_is_matched_as_a_finding_that_the_app_reads(
    session: SparkSession, lake_folder: Path
) -> None:
    lake = SmallLake(lake_folder, "lists")
    stix = SPEC.tables[1]
    met = connection("12:00:00", "203.0.113.1", SourceIp="10.0.0.1", LinksEstablished=1)
    lake.blob(HOUR, "00/PT05M.json", lines(met))
    listed = {
        "TimeGenerated": "2026-03-09T12:30:00Z",
        "Id": "indicator--1",
        "Confidence": 90,
        "IsActive": "true",
        "ObservableKey": "ipv4-addr:value",
        "ObservableValue": "203.0.113.1",
    }
    # Nested JSON in one export and the same as text in another.
    nested = {**listed, "Data": {"name": "as it is"}}
    text = {**listed, "Id": "indicator--2", "Confidence": 80, "Data": '{"name": "as text"}'}
    lake.blob(HOUR, "00/PT05M.json", lines(nested, text), table=stix)
    # Older than the window: not known, though another event meets it.
    also = connection("12:00:01", "203.0.113.2", SourceIp="10.0.0.1", LinksEstablished=1)
    lake.blob(HOUR, "05/PT05M.json", lines(also))
    old = {**listed, "Id": "indicator--3", "ObservableValue": "203.0.113.2"}
    before = {**old, "TimeGenerated": "2026-03-07T23:59:59.9Z"}
    lake.blob("2026030800", "00/PT05M.json", lines(before), table=stix)
    lists = lake.hours("2026030800", HOUR, table=stix)
    hours = {"vmconnection": lake.hours(HOUR), stix: lists}
    job_id = run_job(lake, 0x1D1, hours)
    (found,) = lake.findings(job_id, "indicator_match")
    assert found["Title"] == "10.0.0.1 connects to 203.0.113.1, listed: as it is"
    assert (found["Severity"], found["Evidence"]["Indicators"]) == ("High", 2)
    assert found["Entities"]["IndicatorIpAddr"] == "203.0.113.1"
    absent = lake.manifest(job_id, "indicator_match").coverage["tables_absent"]
    assert absent == [SPEC.tables[0]]
