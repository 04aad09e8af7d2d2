"""A local Spark inside of a benchmark's own process."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@contextmanager
def spark_session(
    scratch: Path, configuration: Mapping[str, str], *, quick: bool = False
) -> Iterator[SparkSession]:
    """Two threads, in UTC as on a pool; what Spark puts aside goes into `scratch`.

    `quick`: Java compiles as the workbench lets it for a small job.
    """
    spark_submit = importlib.import_module("workbench.emulators.spark_submit")
    os.environ.update(
        JAVA_HOME=str(spark_submit.java_home()),
        PYSPARK_PYTHON=sys.executable,
        SPARK_LOCAL_IP="127.0.0.1",
        SPARK_SUBMIT_OPTS=spark_submit.QUICK if quick else "",
        TZ="UTC",
    )
    time.tzset()
    builder = importlib.import_module("pyspark.sql").SparkSession.builder.master("local[2]")
    for key, value in {**_quiet(scratch), **configuration}.items():
        builder = builder.config(key, value)
    session: SparkSession = builder.getOrCreate()
    session.sparkContext.setLogLevel("ERROR")
    try:
        yield session
    finally:
        session.stop()


def _quiet(scratch: Path) -> Mapping[str, str]:
    return {
        "spark.local.dir": str(scratch / "local"),
        "spark.sql.warehouse.dir": (scratch / "warehouse").as_uri(),
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",
    }
