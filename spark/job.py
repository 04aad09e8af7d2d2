"""A job: plan -> claim -> copy what is stale, merge -> read -> hunt -> write: the order of I/O.

One argument: the URL of plan.json. Exit codes: 0 every run has its manifest, 2 the plan cannot be
used, 3 somebody else has started this job, 4 the deadline has passed. With 2 and 3 nothing is
written.

    claim.json                 first, created once: a second starter of the same job exits
    report.json                hours copied, days merged, folders lost and removed: written again
                               as the job goes on, so that what is done outlives its end
    runs/<run id>/part-*.jsonl findings, best first; withheld/ holds what is above the cap
    runs/<run id>/manifest.json last, under its final name: the run's results are complete
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import threading
import time
import traceback
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from py4j.protocol import Py4JJavaError
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark import exports, limits, merging, results, tuning
from spark.copies import Copies, look
from spark.coverage import coverage
from spark.failures import Unreadable, may_pass, said
from spark.lake import Lake
from spark.plan import Plan, Run, parse_plan
from spark.readings import Readings
from spark.tables.declared import TABLES

Json = dict[str, Any]
BAD_PLAN, CLAIMED, TOO_LATE = 2, 3, 4
SQL: Mapping[str, str] = {
    "spark.sql.session.timeZone": "UTC",
    # A value that cannot be cast is a null, and costs no row.
    "spark.sql.ansi.enabled": "false",
    # What it infers is worth little here, and costs a second of planning.
    "spark.sql.constraintPropagation.enabled": "false",
    # A row of pairs holds all events of one: the default of 10,000 rows may be a gigabyte.
    "spark.sql.execution.arrow.maxRecordsPerBatch": "1000",
    "spark.sql.parquet.compression.codec": "zstd",
    # For a few lines as many parts are asked at once, not one; in a flood each answers in full.
    "spark.sql.limit.initialNumPartitions": "16",
    # What is broadcast is computed in that time: a job has one deadline, its own.
    "spark.sql.broadcastTimeout": "86400",
    # Logs write zero dates (0001, 1601, 1899): Spark's default refuses to write what is older than
    # the calendar, and a table's copy would fail with one such row.
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    **{
        f"spark.sql.parquet.{kind}RebaseModeIn{way}": "CORRECTED"
        for kind in ("datetime", "int96")
        for way in ("Read", "Write")
    },
}
REFERENCE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "allow_list": ("destination", "port", "source", "owner", "reason", "expires"),
}
"""Reference lists that every hunt can count on, and columns that they always have; all text."""


@dataclass
class Job:
    """A job under way."""

    session: SparkSession
    lake: Lake
    plan: Plan
    copies: dict[str, Copies] = field(default_factory=dict)
    """Table -> what there is of its copy, with what this job made."""
    broken: dict[str, Exception] = field(default_factory=dict)
    """Table -> why it could not be copied: the runs that read it fail, the others go on."""
    timings: dict[str, float] = field(default_factory=dict)

    def readings(self) -> Readings:
        """What its runs read, once the copies are made."""
        return Readings(self.session, self.plan, self.copies)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the plan describes; its exit code."""
    began, since = time.monotonic(), datetime.now(UTC)
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        return _stop(BAD_PLAN, "give one argument: the URL of plan.json")
    session = SparkSession.builder.getOrCreate()
    lake = Lake(session)
    try:
        plan = parse_plan(lake.read(given[0]))
    except (OSError, ValueError, Py4JJavaError) as error:
        return _stop(BAD_PLAN, f"{given[0]}: {said(error)}")
    if datetime.now(UTC) >= plan.deadline:
        return _stop(TOO_LATE, f"{plan.job_id}: the deadline {plan.deadline} had passed before")
    if not claim(lake, plan):
        return _stop(CLAIMED, f"{plan.job_id} has been started by somebody else")
    watch_deadline(plan, since)
    configure(session, plan)
    run_job(Job(session, lake, plan, timings={"session_s": time.monotonic() - began}))
    return 0


def _stop(code: int, why: str) -> int:
    _log(why)
    return code


def _log(what: str) -> None:
    print(f"tidehunt job: {what}", file=sys.stderr, flush=True)  # noqa: T201  the driver's log


def configure(session: SparkSession, plan: Plan) -> None:
    """Set what the results depend on, whatever the pool's defaults are, and what the size asks."""
    tuning.remember_classes(session)
    cores, serial = tuning.cores_of(session), tuning.is_serial(session)
    for name, value in {**SQL, **tuning.settings(plan, cores, serial=serial)}.items():
        session.conf.set(name, value)


def claim(lake: Lake, plan: Plan) -> bool:
    """Take the job; False when another starter of the same job has it.

    A local disk lets two create one file at the same moment: who reads back another's name loses.
    """
    mine = uuid.uuid4().hex
    url = f"{plan.results}/claim.json"
    now = datetime.now(UTC).isoformat()
    body = {"schema": 1, "job_id": plan.job_id, "starter": mine, "at": now}
    try:
        lake.create(url, json.dumps(body).encode())
        return bool(json.loads(lake.read(url))["starter"] == mine)
    except (FileExistsError, ValueError):
        return False


def watch_deadline(plan: Plan, began: datetime) -> None:
    """End the process when its time is over, whatever Spark is doing: spend is bounded.

    Nobody else may be there to do it: the reservation of the job ends with this deadline.
    """
    ends = plan.ends(began)
    left = (ends - datetime.now(UTC)).total_seconds()

    def end() -> None:
        _stop(TOO_LATE, f"{plan.job_id}: the deadline {ends} has passed")
        os._exit(TOO_LATE)

    timer = threading.Timer(max(0.0, left), end)
    timer.daemon = True
    timer.start()


def run_job(job: Job) -> None:
    """Copy, report, then every run by itself: each ends in a manifest."""
    began = time.monotonic()
    done = _copy(job)
    job.timings["copy_s"] = time.monotonic() - began
    _report(job, done)
    readings = job.readings()
    for number, run in enumerate(job.plan.runs, start=1):
        _run(job, readings, run)
        readings.release(job.plan.runs[number:])


def _copy(job: Job) -> dict[str, list[Any]]:
    """Bring the columnar copy of each table up to date; what was done, for the report."""
    done: dict[str, list[Any]] = {"copies": [], "merged": [], "lost": [], "removed": []}
    for name in sorted({table for run in job.plan.runs for table in run.sources}):
        if name not in TABLES or not job.plan.hours(name):
            continue
        try:
            job.copies[name] = _copy_table(job, name, done)
        except Exception as error:
            job.broken[name] = error
            _log(_unread(name, error))
            continue
        _keep_up(job, name, done)
    return done


def _copy_table(job: Job, name: str, done: dict[str, list[Any]]) -> Copies:
    """Copy what is stale of a table; each slice is told of as soon as it is there."""
    there = look(job.lake, job.plan, name)
    done["lost"] += there.lost
    stale = there.stale(job.plan.hours(name))
    for some in exports.slices(stale, tuning.cores_of(job.session)):
        made = exports.copy_stale(job.session, job.lake, job.plan, TABLES[name], some)
        there = there.adding({one.hour: one.path for one in made})
        done["copies"] += map(vars, made)
        _report(job, done)
    return there


def _keep_up(job: Job, name: str, done: dict[str, list[Any]]) -> None:
    """Merge days and remove what is left; no run waits for it, and none fails with it."""
    session, lake, plan = job.session, job.lake, job.plan
    try:
        merged = merging.merge_days(session, lake, plan, TABLES[name], job.copies[name])
        job.copies[name] = job.copies[name].merging(merged)
        done["merged"] += map(vars, merged)
        if merged:
            _report(job, done)
        done["removed"] += merging.remove_left(lake, plan, name)
    except Exception as error:
        _log(f"{name} is not merged: {said(error)}")


def _report(job: Job, done: Mapping[str, list[Any]]) -> None:
    """Tell what has been done so far, over what was told before.

    A job may end at any moment, by its deadline at the latest: what it has told of by then need
    not be done again.
    """
    report = {
        "schema": 1,
        "job_id": job.plan.job_id,
        **done,
        "broken": {name: _unread(name, error) for name, error in job.broken.items()},
        "timings": _rounded(job.timings),
    }
    job.lake.write(f"{job.plan.results}/report.json", json.dumps(report).encode())


def _run(job: Job, readings: Readings, run: Run) -> None:
    """One run; what it raises fails it alone."""
    timings = dict(job.timings)
    try:
        _check_copied(job, run)
        written, told = _hunt(job, readings, run, timings)
        ended: dict[str, Any] = {"status": "succeeded", "error": None, "coverage": told}
        passing = False
    except Exception as error:
        traceback.print_exc()
        written, passing = None, may_pass(error)
        ended = {"status": "failed", "error": said(error), "coverage": {}}
    body = {**ended, "passing": passing, "timings": _rounded(timings)}
    results.write_manifest(job.lake, job.plan, run, body, written)


def _check_copied(job: Job, run: Run) -> None:
    """Unreadable when a table of the run could not be copied."""
    broken = {name: job.broken[name] for name in run.sources if name in job.broken}
    if broken:
        why = "; ".join(_unread(name, error) for name, error in broken.items())
        raise Unreadable(why, passing=all(map(may_pass, broken.values())))


def _unread(table: str, error: Exception) -> str:
    return f"{table} cannot be copied: {said(error)}"


def _hunt(
    job: Job, readings: Readings, run: Run, timings: dict[str, float]
) -> tuple[results.Written, Json]:
    """Hunt and write the findings; fills in what each stage took, in seconds."""
    marks = [time.monotonic()]
    read = {name: readings.table(run, name) for name in run.sources}
    # Kept: of a flood more is asked than a few lines.
    found = _detect(job, readings, run).persist()
    try:
        lines = results.to_lines(found, run, job.plan.workspace_key)
        folder, most = job.plan.run_url(run.run_id), job.plan.max_findings
        # Most runs find little: what ranks and cuts a flood is planned and compiled all the same.
        limit = min(most, results.FEW)
        few = lines.limit(limit + 1).collect()
        marks.append(time.monotonic())
        written = (
            results.write_few(job.lake, folder, few)
            if len(few) <= limit
            else results.write_findings(job.lake, folder, lines, most)
        )
    finally:
        found.unpersist()
    marks.append(time.monotonic())
    copies = {name: reading.lines for name, reading in read.items()}
    hours = {name: reading.hours for name, reading in read.items()}
    told = coverage(job.plan, run, copies, hours, readings.facts)
    marks.append(time.monotonic())
    told.update(_limit(readings, run))
    marks.append(time.monotonic())
    stages = ("hunt_s", "write_s", "coverage_s", "canaries_s")
    timings.update({name: marks[n + 1] - marks[n] for n, name in enumerate(stages)})
    return written, told


def _limit(readings: Readings, run: Run) -> Json:
    """The hunt's detection limit, where it has canaries; no finding is lost for want of it."""
    hunt = _hunt_of(run)
    if not hasattr(hunt, "canaries"):
        return {}
    try:
        judged = hunt.canaries(_tables(readings, run), dict(run.params))
        return {"limit": limits.limit(judged, run.hunt.severity)}
    except Exception as error:
        _log(f"{run.run_id}: no detection limit: {said(error)}")
        return {}


def _hunt_of(run: Run) -> ModuleType:
    return importlib.import_module(f"spark.hunts.{run.hunt.module}")


def _tables(readings: Readings, run: Run) -> dict[str, DataFrame]:
    """What a hunt is given: its own tables, and its views."""
    tables = {name: readings.rows(run, name) for name in run.hunt.tables}
    return tables | {view: readings.view(run, view) for view in run.hunt.views}


def _detect(job: Job, readings: Readings, run: Run) -> DataFrame:
    references = {
        name: reference(job.session, name, run.references.get(name, ()))
        for name in {*REFERENCE_COLUMNS, *run.references}
    }
    found = _hunt_of(run).detect(_tables(readings, run), references, dict(run.params))
    if not isinstance(found, DataFrame):
        raise TypeError(f"hunt {run.hunt.module} gives a {type(found).__name__}, not a DataFrame")
    return found


def reference(session: SparkSession, name: str, entries: Sequence[Mapping[str, Any]]) -> DataFrame:
    """A reference list as a table of text; what an entry does not say is null."""
    given = {key for entry in entries for key in entry}
    columns = sorted({*REFERENCE_COLUMNS.get(name, ()), *given})
    schema = T.StructType([T.StructField(column, T.StringType()) for column in columns])
    rows = [{column: _text(entry.get(column)) for column in columns} for entry in entries]
    # Parsed by Spark itself: createDataFrame would import pandas first.
    parsed = F.from_json(F.lit(json.dumps(rows)), T.ArrayType(schema))
    table = session.range(1).select(F.inline(parsed))
    # Known to be empty, it costs nothing: what is joined with it is left out of the plan.
    return table if rows else table.limit(0)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _rounded(timings: Mapping[str, float]) -> dict[str, float]:
    return {name: round(seconds, 2) for name, seconds in timings.items()}
