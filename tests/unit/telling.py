"""A house with one run that fails and one that is held, and a look at what was told of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared import contract as c
from shared.errors import Missing
from shared.model import Job, Json, Run
from shared.records import Kept, job_path, run_path
from shared.told import OWED, Owed
from tests.unit import house
from tests.unit.delivering import JOB, put, refuse
from tests.unit.house import START, TABLE, WORKSPACE, House, a_finding, a_run

FAILED, STUCK = "20260309-failing-r0", "20260309-stuck-r0"
MISSING = refuse("sink.send", Missing("the stream is not there"))


def rows(home: House, kind: str = "") -> list[Json]:
    """Health rows that arrived, repeats included."""
    return [row for row in home.health.rows if kind in ("", row["Kind"])]


def owed(home: House) -> Owed:
    """What nobody has taken yet."""
    kept = home.deployment.records.load(Owed, OWED)
    return kept.value if kept else Owed()


def save(home: House, run: Run) -> None:
    """Save a run where unfinished ones lie."""
    home.deployment.records.save(Kept(run_path(run), run, None), run)


def stuck_and_failed() -> House:
    """One run whose hunt raised, one whose rows no stream takes."""
    home = house.build()
    save(home, a_run(id=FAILED, status="assigned", job=JOB, attempt=1))
    body = house.manifest(JOB, FAILED, {}, status="failed", error="KeyError: 'DstIpAddr'")
    home.results.plant(c.manifest_path(JOB, FAILED), body)
    job = Job(JOB, WORKSPACE, (run_path(a_run(id=FAILED)),), "ended", START, START, "0")
    home.deployment.records.save(Kept(job_path(JOB), job, None), job)
    run = a_run(id=STUCK)
    put(home, run, [a_finding(run=run)])
    return home


def end(home: House, day: str, run: int, *columns: str, **changes: object) -> None:
    """A run of this slot ends, with these columns dark."""
    tables = {TABLE: {"rows": 9, "nulls": dict.fromkeys(columns, 1.0)}}
    done = a_run(id=f"{day}-beaconing-{run}-r0", status="done", slot=house.day_window(day),
                 coverage={"tables": tables}, created=START + timedelta(minutes=run))  # fmt: skip
    done = replace(done, **changes)  # type: ignore[arg-type]
    home.deployment.records.save(Kept(run_path(done), done, None), done)
    home.tick()
