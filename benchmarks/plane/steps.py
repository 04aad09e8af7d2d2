"""What is measured: each step in a process, and so in a JVM, of its own."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from benchmarks.plane import skew
from benchmarks.plane.lake import STATE, BenchLake
from benchmarks.plane.logs import TABLE
from benchmarks.plane.notebook import notebook
from shared import contract as c

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

SEVEN = {
    "TimeGenerated": "timestamp",
    "DeviceVendor": "string",
    "SourceIP": "string",
    "DestinationIP": "string",
    "DestinationPort": "int",
    "SentBytes": "long",
    "ReceivedBytes": "long",
}
"""What a hunt for beacons cannot do without."""
NARROW = ", ".join(f"{name} {kind}" for name, kind in SEVEN.items())
Step = Callable[["SparkSession", BenchLake, Sequence[str]], int]


def _drain(frame: DataFrame) -> int:
    """Compute every value, and keep none."""
    frame.write.format("noop").mode("overwrite").save()
    return 0


def _json(session: SparkSession, *, open_cost: int = 65_536, serial: bool = True) -> Any:
    session.conf.set("spark.sql.files.openCostInBytes", str(open_cost))
    if serial:
        session.conf.set("spark.sql.sources.parallelPartitionDiscovery.threshold", "1000000")
    return session.read.option("recursiveFileLookup", "true")


def narrow(session: SparkSession, lake: BenchLake, days: Sequence[str]) -> int:
    """Spark's own narrow read: what everything is compared with."""
    return _drain(_json(session).schema(NARROW).json(lake.urls(days)))


def narrow_leaves(session: SparkSession, _: BenchLake, leaves: Sequence[str]) -> int:
    """The same by a list of the leaf folders, with Spark's defaults for listing."""
    return _drain(_json(session, serial=False).schema(NARROW).json(list(leaves)))


def narrow_open_cost(session: SparkSession, lake: BenchLake, days: Sequence[str]) -> int:
    """The same with Spark's default of what opening a file costs: 4 MB."""
    return _drain(_json(session, open_cost=4_194_304).schema(NARROW).json(lake.urls(days)))


def inferred(session: SparkSession, lake: BenchLake, days: Sequence[str]) -> int:
    """The same with the schema inferred."""
    return _drain(_json(session).json(lake.urls(days)).select(*SEVEN))


def notebook_reads(session: SparkSession, lake: BenchLake, days: Sequence[str]) -> int:
    """As the notebook reads: schema inference, one read a day, an action after each."""
    rows = 0
    for day in days:
        rows += session.read.option("recursiveFileLookup", "true").json(lake.urls([day])).count()
    return rows


def copy(session: SparkSession, lake: BenchLake, planned: Sequence[str]) -> int:
    """Bring the copy up to date, as a job does, and read nothing of it."""
    job = _job(session, lake, planned[0])
    done = _job_code()._copy(job)
    report = lake.folder / "state" / "results" / c.report_path(planned[0])
    report.write_text(json.dumps(done), encoding="utf-8")
    return len(done["copies"]) + len(done["merged"])


def read_copy(session: SparkSession, lake: BenchLake, planned: Sequence[str]) -> int:
    """Seven columns of what a run reads: no hour may be stale, and no day is merged."""
    job = _job(session, lake, planned[0])
    code = _job_code()
    assert not code._copy(job)["copies"]  # noqa: S101  the bench itself would be wrong
    read = job.readings().table(job.plan.runs[0], TABLE)
    return _drain(read.lines.filter("_Kind = 'row'").select(*SEVEN))


def hunt(_: SparkSession, lake: BenchLake, planned: Sequence[str]) -> int:
    """A whole job: copy, merge, hunt, coverage, manifest."""
    code = _job_code().main([f"abfss://results@{STATE}/{c.plan_path(planned[0])}"])
    assert code == 0  # noqa: S101
    manifests = (lake.folder / "state" / "results" / c.job_folder(planned[0])).rglob(
        "manifest.json"
    )
    told = [json.loads(path.read_text()) for path in manifests]
    if any(one["error"] for one in told):
        raise RuntimeError(told[0]["error"])
    return sum(one["rows"] for one in told)


def hunt_raw(session: SparkSession, lake: BenchLake, planned: Sequence[str]) -> int:
    """The same hunt on the JSON of all days, with the declared schema and no copy."""
    job_id, *days = planned
    job = _job(session, lake, job_id)
    code, run = _job_code(), job.plan.runs[0]
    table = importlib.import_module("spark.tables.declared").TABLES[TABLE]
    lines = _json(session).schema(table.schema).json(lake.urls(days))
    rows = lines.selectExpr("*", "'row' as _Kind")
    readings = job.readings()
    reading = importlib.import_module("spark.readings").Reading(rows, ())
    readings._tables[TABLE, run.window] = reading
    found = code._detect(job, readings, run).persist()
    found.count()
    results = importlib.import_module("spark.results")
    written = results.write_findings(
        job.lake,
        job.plan.run_url(run.run_id),
        results.to_lines(found, run, job.plan.workspace_key),
        10_000,
    )
    return int(written.rows)


def _job(session: SparkSession, lake: BenchLake, job_id: str) -> Any:
    plan = importlib.import_module("spark.plan")
    content = (lake.folder / "state" / "results" / c.plan_path(job_id)).read_bytes()
    code = _job_code()
    job = code.Job(
        session, importlib.import_module("spark.lake").Lake(session), plan.parse_plan(content)
    )
    code.configure(session, job.plan)
    return job


def _job_code() -> Any:
    return importlib.import_module("spark.job")


def nothing(session: SparkSession, _: BenchLake, __: Sequence[str]) -> int:
    """What a session costs before it does anything."""
    return int(session.range(1).count())


STEPS: Mapping[str, Step] = {
    step.__name__: step
    for step in (
        narrow, narrow_leaves, narrow_open_cost, inferred, notebook_reads, notebook, copy,
        read_copy, hunt, hunt_raw, nothing, skew.make, skew.hunt_one_pair, skew.hunt_many_pairs,
        skew.gather, skew.gather_pruned, skew.gather_in_two,
    )
}  # fmt: skip
BEFORE: Mapping[str, tuple[str, ...]] = {
    "copy": ("copy", "copy"),
    "read_copy": ("copy", "copy", "read_copy"),
    "hunt": ("hunt", "hunt"),
}
"""What warms a step up, if not the step itself: the second job merges what the first copied."""
GIVEN: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("hunt_one_pair", "hunt_many_pairs"), ("20000",)),
    **dict.fromkeys(("make", "gather", "gather_pruned", "gather_in_two"), ("100", "20000")),
}
"""What a step is given when it warms up, if not the days of the small lake."""


def prepared(step: str, lake: BenchLake, days: Sequence[str]) -> list[str]:
    """What a step is given: a plan is the app's work, and not measured."""
    if step in ("copy", "hunt"):
        return [lake.plan(days)]
    if step in ("read_copy", "hunt_raw"):
        return [lake.plan(days, merge=False), *days]
    if step == "narrow_leaves":
        return sorted({f"file://{path.parent}" for path in lake.files(days)})
    return list(days)


def finished(step: str, lake: BenchLake, given: Sequence[str]) -> None:
    """What the app makes of a job's report."""
    if step in ("copy", "hunt"):
        lake.hear(given[0])
