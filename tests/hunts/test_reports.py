"""What a job tells of its work before it ends, so that nobody has to do it again."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared import contract as c
from tests.hunts.small_lake import TABLE, SmallLake, connection, lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

job = pytest.importorskip("spark.job", reason="pyspark is not installed")
plans = importlib.import_module("spark.plan")
lakes = importlib.import_module("spark.lake")

HOURS = ("2026030900", "2026030912", "2026030923")
GB = 1_000_000_000


def planned(session: SparkSession, lake: SmallLake, number: int, copies: dict[str, str]) -> Any:
    """A job of these hours, each of which would be a slice of its own."""
    table = lake.hours(*HOURS, copies=copies)
    for hour in table["hours"]:
        hour["bytes"] = 5 * GB
    job_id = lake.plan(number, {TABLE: table}, [lake.run("nothing")])
    plan = plans.parse_plan((lake.results / c.plan_path(job_id)).read_bytes())
    # What its size asks for is not for other tests.
    own = session.newSession()
    job.configure(own, plan)
    return job.Job(own, lakes.Lake(own), plan)


def test_what_was_copied_before_a_failure_is_told_and_not_copied_again(
    session: SparkSession, lake_folder: Path
) -> None:
    lake = SmallLake(lake_folder, "slices")
    for hour in HOURS:
        lake.blob(hour, "00/PT05M.json", lines(connection(f"{hour[8:]}:00:00")))
    first = planned(session, lake, 0x511C, {})
    # Where the second slice's copy belongs there is a file.
    folder = c.copy_folder(lake.key, TABLE, first.plan.job_id, HOURS[1])
    obstacle = lake.folder / "state" / "tables" / folder
    obstacle.parent.mkdir(parents=True)
    obstacle.touch()
    job._copy(first)
    told = lake.report(first.plan.job_id)
    assert [one["hour"] for one in told["copies"]] == [HOURS[2]]
    assert list(first.broken) == [TABLE]
    second = planned(session, lake, 0x511D, {one["hour"]: one["path"] for one in told["copies"]})
    job._copy(second)
    told = lake.report(second.plan.job_id)
    assert [one["hour"] for one in told["copies"]] == [HOURS[1], HOURS[0]]
    lines_read = second.readings().table(second.plan.runs[0], TABLE).lines
    assert {row.TimeGenerated.hour for row in lines_read.collect()} == {0, 12, 23}
