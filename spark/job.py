"""A job: plan -> claim -> copy what is stale -> read -> hunt -> write. The only order of I/O.

One argument: the URL of plan.json. Exit codes: 0 every run has its manifest, 2 the plan cannot be
used, 3 somebody else has started this job, 4 the deadline has passed.
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
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shared import contract as c
from spark import exports, results, views
from spark.coverage import coverage, hours_of
from spark.lake import Lake
from spark.plan import Plan, Run, parse_plan
from spark.tables.declared import TABLES

BAD_PLAN, CLAIMED, TOO_LATE = 2, 3, 4
ERROR_CHARACTERS = 2000
REFERENCE_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "allow_list": ("destination", "port", "source", "owner", "reason", "expires"),
}
"""Columns that a reference list always has, given or not; all are text."""


@dataclass
class Job:
    """A job under way."""

    session: SparkSession
    lake: Lake
    plan: Plan
    copied: dict[tuple[str, str], str] = field(default_factory=dict)
    """(table, hour) -> URL of the copy that this job made."""
    broken: dict[str, str] = field(default_factory=dict)
    """Table -> why it could not be copied: the runs that read it fail, the others go on."""
    timings: dict[str, float] = field(default_factory=dict)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job that the plan describes; its exit code."""
    began = time.monotonic()
    given = sys.argv[1:] if arguments is None else arguments
    if len(given) != 1:
        return _stop(BAD_PLAN, "give one argument: the URL of plan.json")
    session = SparkSession.builder.appName(c.__name__).getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "UTC")
    lake = Lake(session)
    try:
        plan = parse_plan(lake.read(given[0]))
    except (OSError, ValueError) as error:
        return _stop(BAD_PLAN, f"{given[0]}: {error}")
    if not claim(lake, plan):
        return _stop(CLAIMED, f"{plan.job_id} has been started by somebody else")
    watch_deadline(plan)
    job = Job(session, lake, plan)
    job.timings["session_s"] = time.monotonic() - began
    run_job(job)
    return 0


def _stop(code: int, why: str) -> int:
    print(f"tidehunt job: {why}", file=sys.stderr, flush=True)  # noqa: T201  the driver's log
    return code


def claim(lake: Lake, plan: Plan) -> bool:
    """Take the job; False when another starter of the same job has it.

    A local disk lets two create one file at the same moment: who reads back another's name loses.
    """
    mine = uuid.uuid4().hex
    url = f"{plan.results}/claim.json"
    body = {"schema": 1, "job_id": plan.job_id, "starter": mine, "at": _now()}
    try:
        lake.create(url, json.dumps(body).encode())
        return bool(json.loads(lake.read(url))["starter"] == mine)
    except (FileExistsError, ValueError):
        return False


def watch_deadline(plan: Plan) -> None:
    """End the process when the deadline passes, whatever Spark is doing: spend is bounded."""
    left = (plan.deadline - datetime.now(UTC)).total_seconds()

    def end() -> None:
        _stop(TOO_LATE, f"{plan.job_id}: the deadline {plan.deadline} has passed")
        os._exit(TOO_LATE)

    timer = threading.Timer(max(0.0, left), end)
    timer.daemon = True
    timer.start()


def run_job(job: Job) -> None:
    """Copy, report, then every run by itself: each ends in a manifest."""
    began = time.monotonic()
    _copy(job)
    job.timings["copy_s"] = time.monotonic() - began
    for run in job.plan.runs:
        _run(job, run)


def _copy(job: Job) -> None:
    copies: list[dict[str, Any]] = []
    for name in sorted({table for run in job.plan.runs for table in run.sources}):
        if name not in TABLES or not job.plan.hours(name):
            continue
        try:
            made = exports.copy_stale(job.session, job.lake, job.plan, TABLES[name])
        except Exception as error:
            job.broken[name] = f"{name} cannot be copied: {_said(error)}"
            _stop(0, job.broken[name])
            continue
        copies.extend(vars(one) for one in made)
        job.copied.update({(name, one.hour): one.path for one in made})
    report = {"schema": 1, "job_id": job.plan.job_id, "copies": copies, "broken": job.broken}
    job.lake.write(f"{job.plan.results}/report.json", json.dumps(report).encode())


def _run(job: Job, run: Run) -> None:
    """One run; what it raises fails it alone."""
    began = time.monotonic()
    try:
        trouble = [job.broken[table] for table in run.sources if table in job.broken]
        if trouble:
            raise RuntimeError("; ".join(trouble))
        _hunt(job, run, began)
    except Exception as error:
        traceback.print_exc()
        body = {"status": "failed", "error": _said(error), "coverage": {}, "timings": {}}
        results.write_manifest(job.lake, job.plan, run, body)


def _hunt(job: Job, run: Run, began: float) -> None:
    copies, read = _read(job, run)
    found = _detect(job, run, copies)
    lines = results.to_lines(found, run, job.plan.workspace_key)
    folder = job.plan.run_url(run.run_id)
    written = results.write_findings(job.lake, folder, lines, job.plan.max_findings)
    hunted = time.monotonic()
    told = coverage(job.plan, run, copies, read)
    timings = {
        **job.timings,
        "hunt_s": hunted - began,
        "coverage_s": time.monotonic() - hunted,
    }
    body = {
        "status": "succeeded",
        "error": None,
        "coverage": told,
        "timings": {name: round(seconds, 2) for name, seconds in timings.items()},
    }
    results.write_manifest(job.lake, job.plan, run, body, written)


def _read(job: Job, run: Run) -> tuple[dict[str, DataFrame], dict[str, list[str]]]:
    """Table -> every line of its copies in the window, and the hours that these are of."""
    copies: dict[str, DataFrame] = {}
    read: dict[str, list[str]] = {}
    for name in run.sources:
        if name not in TABLES:
            raise ValueError(f"no schema is declared for table {name}")
        urls = {
            hour.hour: hour.copy or job.copied.get((name, hour.hour), "")
            for hour in hours_of(job.plan, run, name)
        }
        read[name] = [hour for hour, url in urls.items() if url]
        folders = [url for url in urls.values() if url]
        copies[name] = exports.read_copies(job.session, TABLES[name], folders)
    return copies, read


def _detect(job: Job, run: Run, copies: Mapping[str, DataFrame]) -> DataFrame:
    rows = {name: _in_window(copies[name], run, TABLES[name].kept) for name in copies}
    tables = {name: rows[name] for name in run.hunt.tables}
    built = {view: views.build(view, rows) for view in run.hunt.views}
    references = {
        name: reference(job.session, name, entries) for name, entries in run.references.items()
    }
    hunt = importlib.import_module(f"spark.hunts.{run.hunt.module}")
    found = hunt.detect({**tables, **built}, references, dict(run.params))
    if not isinstance(found, DataFrame):
        raise TypeError(f"hunt {run.hunt.module} gives a {type(found).__name__}, not a DataFrame")
    return found


def _in_window(copies: DataFrame, run: Run, kept: Sequence[str]) -> DataFrame:
    start, end = (F.lit(moment.isoformat()).cast("timestamp") for moment in run.window)
    inside = (F.col("TimeGenerated") >= start) & (F.col("TimeGenerated") < end)
    return copies.filter((F.col("_Kind") == "row") & inside).select(*kept)


def reference(session: SparkSession, name: str, entries: Sequence[Mapping[str, Any]]) -> DataFrame:
    """A reference list as a table of text; what an entry does not say is null."""
    given = {key for entry in entries for key in entry}
    columns = sorted({*REFERENCE_COLUMNS.get(name, ()), *given})
    schema = T.StructType([T.StructField(column, T.StringType()) for column in columns])
    rows = [tuple(_text(entry.get(column)) for column in columns) for entry in entries]
    return session.createDataFrame(rows, schema)


def _text(value: Any) -> str | None:
    return None if value is None else str(value)


def _said(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"[:ERROR_CHARACTERS]


def _now() -> str:
    return datetime.now(UTC).isoformat()
