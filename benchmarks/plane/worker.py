"""One step in a process of its own: python -m benchmarks.plane.worker FOLDER STEP DAY...

The step is done to a small lake first, so that what counts is the work, and neither the loading of
classes nor the first compilation. The last line that is printed says what it took, as JSON.
"""

from __future__ import annotations

import importlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.plane.lake import WARM, BenchLake
from benchmarks.plane.measure import BOTH
from benchmarks.plane.steps import BEFORE, GIVEN, STEPS, finished, prepared
from benchmarks.process import Family
from workbench.emulators import spark_submit

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def spark_session(lake: BenchLake, memory_mb: int, scratch: Path) -> Iterator[SparkSession]:
    """Two cores, mounted as the workbench mounts, and with its compilers for a job of that size."""
    size = {"numExecutors": 2 if os.environ.get(BOTH) else 1}
    to = spark_submit.Submission(
        "bench", {"conf": {}, **size}, lake.mounts(), 2, memory_mb, scratch, scratch / "log"
    )
    environment = spark_submit.environment(to)
    os.environ.update({k: v for k, v in environment.items() if k != "SPARK_CONF_DIR"})
    time.tzset()
    for name in ("local", "tmp"):
        (scratch / name).mkdir()
    builder = importlib.import_module("pyspark.sql").SparkSession.builder.master("local[2]")
    for name, value in spark_submit.configuration(to).items():
        builder = builder.config(name, value)
    session = builder.config("spark.driver.memory", f"{memory_mb}m").getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def _warm_up(session: SparkSession, folder: Path, step: str) -> None:
    small = BenchLake(folder, WARM)
    for name in (f"{small.key}.json", f"state/tables/{small.key}"):
        path = folder / name
        shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
    for name in BEFORE.get(step, (step,)):
        given = prepared(name, small, GIVEN.get(name, small.day_keys()))
        STEPS[name](session, small, given)
        finished(name, small, given)


def main() -> None:
    """Measure one step."""
    memory, folder, step, *days = sys.argv[1:]
    lake = BenchLake(Path(folder))
    with (
        tempfile.TemporaryDirectory() as scratch,
        spark_session(lake, int(memory), Path(scratch)) as session,
    ):
        family = Family(os.getpid())
        _warm_up(session, lake.folder, step)
        given = prepared(step, lake, days)
        began, before = time.monotonic(), family.seconds()
        gave = STEPS[step](session, lake, given)
        wall, used = time.monotonic() - began, family.seconds() - before
        finished(step, lake, given)
    print(json.dumps({"wall": wall, "cpu": used, "gave": gave}), flush=True)


if __name__ == "__main__":
    main()
