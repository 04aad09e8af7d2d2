"""The bench's hunt over JSON without a copy: it finds, and counts, what the hunt finds."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks.plane.lake import FIRST, BenchLake
from shared import contract as c

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

steps = pytest.importorskip("benchmarks.plane.steps")


def test_a_planted_timer_is_counted(session: SparkSession, tmp_path: Path) -> None:
    lake = BenchLake(tmp_path)
    lake.fill(1, 30)
    (day,) = lake.day_keys()
    calls = [
        {
            "TimeGenerated": f"{FIRST + timedelta(minutes=5 * n):%Y-%m-%dT%H:%M:%SZ}",
            "SourceIP": "10.0.0.7",
            "DestinationIP": "203.0.113.9",
            "DestinationPort": 443,
        }
        for n in range(100)
    ]
    blob = lake.container / c.export_hour_folder(lake.workspace, f"{day}00") / "m=00/PT05M_1.json"
    blob.write_text("".join(f"{json.dumps(call)}\n" for call in calls), encoding="utf-8")
    context: Any = session.sparkContext
    for container, folder in lake.mounts().items():
        name = f"fs.viewfs.mounttable.{container}.linkFallback"
        context._jsc.hadoopConfiguration().set(name, folder.as_uri())
    given = steps.prepared("hunt_raw", lake, [day])
    # What its plan asks for is not for other tests.
    assert steps.hunt_raw(session.newSession(), lake, given) == 1
