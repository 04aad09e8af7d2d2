"""What starting Spark costs on this machine: spark-submit, as the workbench submits a job."""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import time
from pathlib import Path

from benchmarks.plane.lake import BenchLake
from benchmarks.plane.measure import Bench, Target, Took
from workbench.emulators import spark_submit

APP = """\
from pyspark.sql import SparkSession

session = SparkSession.builder.getOrCreate()
assert session.range(1).count() == 1
session.stop()
"""


def startup(options: argparse.Namespace, folder: str) -> tuple[Bench, list[Target]]:
    """An application that counts one row: as it is, and with an archive of loaded classes."""
    place = Path(folder)
    (place / "app.py").write_text(APP, encoding="utf-8")
    bench = Bench(BenchLake(place), options.memory)
    archive = place / "classes.jsa"
    _submit(place, f"-XX:ArchiveClassesAtExit={archive}", options.memory)
    for name, flags in (("spark-submit", ""), ("with a class-data archive", _sharing(archive))):
        best = min(
            (_submit(place, flags, options.memory) for _ in range(3)), key=lambda took: took.cpu
        )
        bench.note(name, best)
    plain, shared = bench.took.values()
    size = archive.stat().st_size / 1e6 if archive.exists() else 0
    print(f"  archive: {size:.0f} MB")
    return bench, [Target("with an archive / without", shared.wall / plain.wall, 1.0)]


def _sharing(archive: Path) -> str:
    return f"-XX:SharedArchiveFile={archive} -Xshare:auto"


def _submit(place: Path, flags: str, memory_mb: int) -> Took:
    scratch = place / f"submit{time.monotonic_ns()}"
    request = {"file": str(place / "app.py"), "conf": {}}
    to = spark_submit.Submission("bench", request, {}, 2, memory_mb, scratch, scratch / "log")
    (scratch / "conf").mkdir(parents=True)
    (scratch / "tmp").mkdir()
    environment = spark_submit.environment(to)
    environment["SPARK_SUBMIT_OPTS"] += f" {flags}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    subprocess.run(
        spark_submit.command(to),
        env={**os.environ, **environment},
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return Took(wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
