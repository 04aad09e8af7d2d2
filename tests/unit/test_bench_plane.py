"""The bench of the data plane: its logs are exports as they come, its plans the app's own."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest

from benchmarks.plane.lake import BenchLake
from benchmarks.plane.logs import TABLE
from benchmarks.plane.measure import Target
from shared import contract as c
from spark.plan import parse_plan

ROWS = 600


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> BenchLake:
    made = BenchLake(Path(tmp_path_factory.mktemp("lake")))
    assert 2_300 < made.fill(2, ROWS) / (2 * ROWS) < 3_000
    return made


def test_a_day_is_288_blobs_of_66_columns(lake: BenchLake) -> None:
    day = lake.day_keys()[0]
    files = list(lake.files([day]))
    assert len(files) == 288
    rows = [json.loads(line) for file in files for line in file.read_text().splitlines()]
    assert len(rows) == ROWS
    assert {len(row) for row in rows} == {66}
    for file in files:
        path = str(file.relative_to(lake.container))
        blob = c.parse_export_blob(c.export_container(TABLE), path)
        assert blob is not None and blob.hour[:8] == day


def test_the_columns_are_those_that_the_table_knows(lake: BenchLake) -> None:
    table = pytest.importorskip("spark.tables.declared").TABLES[TABLE]
    file = next(file for file in lake.files(lake.day_keys()) if file.stat().st_size)
    row = json.loads(file.read_text().splitlines()[0])
    assert set(row) <= set(table.known)
    assert datetime.fromisoformat(row["TimeGenerated"]).tzinfo is not None


def test_a_plan_of_the_bench_is_one_that_a_job_takes(lake: BenchLake) -> None:
    job_id = lake.plan(lake.day_keys())
    content = (lake.folder / "state" / "results" / c.plan_path(job_id)).read_bytes()
    plan = parse_plan(content)
    assert len(plan.hours(TABLE)) == 48
    assert plan.upkeep[TABLE].merge == ()  # nothing is copied yet


def test_a_target_says_whether_it_holds() -> None:
    assert str(Target("a / b", 0.4, 0.4, 0.2)) == "a / b: 0.40 (at most 0.4, goal 0.2): holds"
    assert str(Target("a / b", 0.41, 0.4)).endswith("MISSED")
