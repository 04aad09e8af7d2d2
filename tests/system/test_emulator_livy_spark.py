"""A real Spark behind the Livy emulator: a job on production URLs."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.system.emulated_livy import EXPORTS, STATE, Pool, options
from workbench.emulators import spark_submit


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    with ExitStack() as ends:
        yield lambda **options: Pool(tmp_path / "home", ends, **options)


JOB = f"""
import sys
from pyspark.sql import SparkSession
from code_in_the_zip import ANSWER
session = SparkSession.builder.getOrCreate()
context = session.sparkContext
path = lambda url: context._jvm.org.apache.hadoop.fs.Path(url)
results = "abfss://results@{STATE}/"
files = path(results).getFileSystem(context._jsc.hadoopConfiguration())

def create(url, overwrite):
    stream = files.create(path(url), overwrite)
    stream.write(bytearray(b"claimed"))
    stream.close()

def fails(act):
    try:
        act()
    except Exception as error:
        return str(error)
    return ""

create(results + "jobs/a/claim.json", False)
assert "FileAlreadyExists" in fails(lambda: create(results + "jobs/a/claim.json", False))
assert files.exists(path(results + "jobs/a/claim.json"))
assert [x.getPath().getName() for x in files.listStatus(path(results + "jobs/a"))] == ["claim.json"]
stream = files.open(path(results + "jobs/a/claim.json"))
assert bytes(context._jvm.org.apache.commons.io.IOUtils.toByteArray(stream)) == b"claimed"
stream.close()
rows = session.read.json("abfss://am-dns@{EXPORTS}/", schema="n long")
total = rows.selectExpr("sum(n)").first()[0]
assert session.conf.get("spark.sql.session.timeZone") == "UTC"
assert fails(lambda: session.read.text("abfss://ledger@{STATE}/").first())
rows.write.parquet("abfss://tables@{STATE}/copy")
out = session.createDataFrame([(str(total * ANSWER + int(sys.argv[1])),)], "value string")
out.coalesce(1).write.text(results + "out")
"""


@pytest.mark.slow
def test_a_real_spark_runs_a_job_on_production_urls(
    start: Callable[..., Pool], tmp_path: Path
) -> None:
    pool = start(submit=spark_submit.submit)
    lake = pool.lake
    for container in ("exports/am-dns", *(f"state/{x}" for x in ("results", "tables", "ledger"))):
        (lake / container).mkdir(parents=True)
    (lake / "exports/am-dns/a.json").write_text('{"n": 1}\n{"n": 2}\n')
    (lake / "state/ledger/turn.json").write_text("{}")
    code = lake / "state/code"
    code.mkdir()
    (code / "main.py").write_text(JOB)
    with ZipFile(code / "code.zip", "w") as package:
        package.writestr("code_in_the_zip.py", "ANSWER = 42")
    batch = options("100")
    batch.python_files = [f"abfss://code@{STATE}/code.zip"]
    ended = pool.reach(pool.submit(batch), "success", "dead", "killed", seconds=180)
    assert ended.state == "success", ended.log_lines
    assert ended.livy_info.starting_at < ended.livy_info.running_at < ended.livy_info.success_at
    (part,) = (lake / "state/results/out").glob("part-*")
    assert part.read_text() == "226\n"  # (1 + 2) * 42 + 100
    assert not list(lake.rglob("*.crc"))
    assert not list((tmp_path / "home/emulators/spark").iterdir())


def test_a_job_that_is_worth_several_executors_is_compiled_for_speed(tmp_path: Path) -> None:
    def quick(executors: int) -> bool:
        request = {"numExecutors": executors}
        to = spark_submit.Submission("a", request, {}, 2, 1024, tmp_path, tmp_path / "log")
        return spark_submit.QUICK in spark_submit.environment(to)["SPARK_SUBMIT_OPTS"]

    assert [quick(executors) for executors in (1, 2, 3)] == [True, False, False]
    assert _room_for_code(spark_submit.QUICK) == _room_for_code(spark_submit.PATIENT) == 240 << 20


def _room_for_code(flags: str = "") -> int:
    """Bytes that Java keeps for compiled code."""
    java = str(spark_submit.java_home() / "bin" / "java")
    line = [java, *flags.split(), "-XX:+PrintFlagsFinal", "-version"]
    told = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    (found,) = re.findall(r"\bReservedCodeCacheSize\s*=\s*(\d+)", told)
    return int(found)
