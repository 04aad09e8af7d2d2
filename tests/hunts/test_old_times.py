"""Times that cannot be: zero dates and far futures cost neither a table nor a beacon."""

from __future__ import annotations

import importlib
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.hunts.beacon_rows import PARAMS, SPEC
from tests.hunts.small_lake import SLOT, SmallLake, lines, plan_url
from tests.tables import table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

job = pytest.importorskip("spark.job", reason="pyspark is not installed")
exports = importlib.import_module("spark.exports")
views = importlib.import_module("spark.views")
TABLE = "commonsecuritylog"
DECLARED = importlib.import_module("spark.tables.declared").TABLES[TABLE]
NO_TIMES = ("0001-01-01T00:00:00Z", "1601-01-01T00:00:00Z", "1899-12-30T00:00:00Z",
            "1969-12-31T23:59:59Z", "9999-12-31T23:59:59.9999999Z", "99999-01-01T00:00:00Z",
            "0000-00-00T00:00:00Z")  # fmt: skip
CALLS, EVERY = 60, 300
HOURS = [f"20260309{hour:02}" for hour in range(CALLS * EVERY // 3600)]
IMPLANT, SERVER = "10.0.0.7", "203.0.113.9"


def call(number: int, start: str) -> dict[str, Any]:
    """One call of an implant; only TimeGenerated tells when."""
    time = SLOT.start + timedelta(seconds=EVERY * number)
    return {
        "TimeGenerated": f"{time:%Y-%m-%dT%H:%M:%S}Z",
        "StartTime": start,
        "EndTime": start,
        "SourceIP": IMPLANT,
        "DestinationIP": SERVER,
        "DestinationPort": 443,
        "SentBytes": 517,
    }


@pytest.fixture(scope="module")
def lake(lake_folder: Path) -> SmallLake:
    """Hours of a beacon's calls, none of which has a start time that can be."""
    made = SmallLake(lake_folder, "oldtimes")
    for number, hour in enumerate(HOURS):
        first = number * 3600 // EVERY
        rows = [call(n, NO_TIMES[n % len(NO_TIMES)]) for n in range(first, first + 3600 // EVERY)]
        odd = [{**rows[0], "TimeGenerated": time} for time in NO_TIMES]
        made.blob(hour, "00/PT05M.json", lines(*rows, *odd), table=TABLE)
    return made


@pytest.fixture(scope="module")
def done(session: SparkSession, lake: SmallLake) -> str:
    """A job that copies the hours, merges them and hunts over what it merged."""
    assert session is not None
    hunt = {
        "views": list(SPEC.views),
        "tables": [],
        "severity": dict(SPEC.severity),
        "finding_key": list(SPEC.finding_key),
        "params": {**PARAMS, "canary_hosts": 1},
    }
    tables = {TABLE: {**lake.hours(*HOURS, table=TABLE), "merge": [HOURS[0][:8]]}}
    job_id = lake.plan(0x01D, tables, [lake.run("beaconing", **hunt)])
    assert job.main([plan_url(job_id)]) == 0
    return job_id


def test_times_that_cannot_be_are_copied_and_merged_as_they_are(
    session: SparkSession, done: str, lake: SmallLake
) -> None:
    report = lake.report(done)
    assert report["broken"] == {}
    assert sorted(one["hour"] for one in report["copies"]) == HOURS
    (merged,) = report["merged"]
    for url in (report["copies"][0]["path"], merged["path"]):
        years = session.read.parquet(url).selectExpr("year(StartTime) y").distinct().collect()
        assert {row.y for row in years} == {1, 1601, 1899, 1969, 9999, 99999, None}


def test_a_beacon_is_found_by_the_times_that_can_be(done: str, lake: SmallLake) -> None:
    (finding,) = lake.findings(done, "beaconing")
    assert finding["Identity"]["SrcIpAddr"] == IMPLANT
    evidence = finding["Evidence"]
    assert (evidence["Events"], evidence["IntervalSeconds"]) == (CALLS, float(EVERY))
    assert finding["FirstSeen"] == "2026-03-09T00:00:00.000000Z"
    assert lake.manifest(done, "beaconing").coverage["first_data"] == "2026-03-09T00:00:00Z"
    assert lake.manifest(done, "beaconing").coverage["limit"]["hosts"] == 1


def test_copies_with_the_older_type_of_times_are_read_beside_others(
    session: SparkSession, tmp_path: Path
) -> None:
    folders = []
    for kind, year in (("INT96", 2025), ("TIMESTAMP_MICROS", 1601)):
        own = session.newSession()
        for name, value in {**job.SQL, "spark.sql.parquet.outputTimestampType": kind}.items():
            own.conf.set(name, value)
        folders.append((tmp_path / kind).as_uri())
        own.sql(f"select timestamp'{year}-03-09 12:00:00' TimeGenerated").write.parquet(folders[-1])
    read = exports.read_copies(session, DECLARED, folders)
    after = read.filter("TimeGenerated > '1600-01-01'").selectExpr(
        "cast(TimeGenerated as string) t"
    )
    assert sorted(row.t for row in after.collect()) == [
        "1601-03-09 12:00:00",
        "2025-03-09 12:00:00",
    ]


STARTS = """
    TimeGenerated       | StartTime           | Message
    2026-03-09 12:00:01 | 2026-03-09 11:00:01 |
    2026-03-09 12:00:02 | 2026-02-06 12:00:02 |
    2026-03-09 12:00:03 | 2026-02-06 12:00:02 |
    2026-03-09 12:00:04 | 2026-03-09 12:01:04 |
    2026-03-09 12:00:05 | 2026-03-09 12:01:06 |
    2026-03-09 12:00:06 | 1601-01-01 00:00:00 |
    2026-03-09 12:00:07 | 9999-12-31 23:59:59 |
    2026-03-09 12:00:08 |                     | %ASA-6-302014: Teardown TCP connection 1 for a duration 744:00:00 bytes 9
    2026-03-09 12:00:09 |                     | %ASA-6-302014: Teardown TCP connection 1 for a duration 1000000:00:00 bytes 9
"""  # noqa: E501  a drawn table is as wide as its rows
BEGAN = [
    "2026-03-09 11:00:01",
    "2026-02-06 12:00:02",  # 31 days: as long as a session may last
    "2026-03-09 12:00:03",
    "2026-03-09 12:01:04",  # a minute: as far as clocks may be apart
    "2026-03-09 12:00:05",
    "2026-03-09 12:00:06",
    "2026-03-09 12:00:07",
    "2026-02-06 12:00:08",
    "2026-03-09 12:00:09",
]


def test_a_start_far_from_the_logs_own_time_is_not_believed(session: SparkSession) -> None:
    rows = table(session, DECLARED.schema, STARTS)
    view = views.build("NetworkSession", {TABLE: rows}).orderBy("TimeGenerated")
    began = view.selectExpr("date_format(EventStartTime, 'yyyy-MM-dd HH:mm:ss') b").collect()
    assert [row.b for row in began] == BEGAN
