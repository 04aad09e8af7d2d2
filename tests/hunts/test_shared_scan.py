"""Many hunts in one job read its new JSON once, and each finds what it finds alone."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.hunts import last_query, text_bytes
from shared import contract as c
from tests.hunts.small_lake import TABLE, SmallLake, connection, lines, own_hunts, plan_url

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

job = pytest.importorskip("spark.job", reason="pyspark is not installed")

HOURS = ("2026030900", "2026030912")
HUNTS = 20
CODE = """
def detect(tables, references, params):
    return tables["NetworkSession"].filter("DstIpAddr = '192.0.2.{number}'").selectExpr(
        "DstIpAddr", "0.8D Score", "named_struct('A', 0.5D) SubScores", "SrcHostname Title",
        "named_struct('Sessions', SrcBytes) Evidence", "TimeGenerated FirstSeen",
        "TimeGenerated LastSeen",
    )
"""


def run_hunts(lake: SmallLake, number: int, hunts: int) -> str:
    """A job with so many hunts on one view; its id. Each has a window of two days."""
    for hour in HOURS:
        rows = [
            connection(f"{hour[8:]}:00:{n:02}", f"192.0.2.{n}", BytesSent=n, LinksEstablished=1)
            for n in range(HUNTS)
        ]
        lake.blob(hour, "00/PT05M.json", lines(*rows))
    runs = [
        lake.run(f"shared_{n:02}", views=["NetworkSession"], tables=[], finding_key=["DstIpAddr"])
        for n in range(hunts)
    ]
    return lake.plan(number, {TABLE: lake.hours(*HOURS)}, runs)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Path(tmp_path_factory.mktemp("hunts"))
    for number in range(HUNTS):
        code = CODE.format(number=number)
        (made / f"shared_{number:02}.py").write_text(code, encoding="utf-8")
    return made


@pytest.mark.parametrize("hunts", [3, pytest.param(HUNTS, marks=pytest.mark.proof)])
def test_the_hunts_of_one_job_read_its_json_once(
    session: SparkSession, lake_folder: Path, folder: Path, hunts: int
) -> None:
    read, found, held = [], [], kept(session)
    for count in (1, hunts):
        lake = SmallLake(lake_folder, f"shared{hunts}by{count}")
        job_id, since = run_hunts(lake, 0x5C000 + hunts * 256 + count, count), last_query(session)
        with own_hunts(folder):
            assert job.main([plan_url(job_id)]) == 0
        read.append(text_bytes(session, since))
        found.append([finding(lake, job_id, number) for number in range(count)])
    blobs = [path for hour in HOURS for path in lake.hour_folder(hour).rglob("*.json")]
    assert sum(path.stat().st_size for path in blobs) <= read[0]
    assert read[1] / read[0] <= 1.05
    assert found[0] == found[1][:1]
    assert [address for address, _ in found[1]] == [f"192.0.2.{n}" for n in range(hunts)]
    assert {sum(rows.values()) for _, rows in found[1]} == {len(HOURS) * HUNTS}
    # A job lets go of what its runs shared; what tests before it left may go at any moment.
    assert kept(session) <= held


def finding(lake: SmallLake, job_id: str, number: int) -> tuple[str, dict[str, int]]:
    """What a run found, and how many rows its coverage tells of each table."""
    module = f"shared_{number:02}"
    (one,) = lake.findings(job_id, module)
    tables = lake.manifest(job_id, module).coverage["tables"]
    return one["Identity"]["DstIpAddr"], {name: facts["rows"] for name, facts in tables.items()}


def kept(session: SparkSession) -> set[int]:
    """Numbers of the tables that Spark keeps in memory or on its disk."""
    context: Any = session.sparkContext
    return set(context._jsc.getPersistentRDDs())


def test_a_view_of_one_run_alone_is_not_kept(
    session: SparkSession, lake_folder: Path, folder: Path
) -> None:
    lake = SmallLake(lake_folder, "sharedby1")
    plan = plans_of(lake, run_hunts(lake, 0x5CAF, 1))
    readings = job.Readings(session, plan, {})
    view = readings.view(plan.runs[0], "NetworkSession")
    assert not view.storageLevel.useMemory
    assert readings.view(plan.runs[0], "NetworkSession") is view


def plans_of(lake: SmallLake, job_id: str) -> Any:
    return job.parse_plan((lake.results / c.plan_path(job_id)).read_bytes())
