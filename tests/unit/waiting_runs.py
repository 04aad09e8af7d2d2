"""A house with runs that wait for a job, and a look at its jobs."""

from __future__ import annotations

from typing import Any

from shared.model import Job, Run
from shared.records import Kept, run_path
from tests.unit import house
from tests.unit.house import House, a_run

DAY = "20260309"


def fast(**changes: str) -> House:
    """A house that coalesces and settles at once."""
    at_once = {"coalesce_seconds": "0", "settle_seconds": "0", "readback_seconds": "0"}
    return house.build(None, **at_once, **changes)


def waiting(home: House, *runs: Run) -> list[str]:
    """Save runs that wait; their ids."""
    for run in runs or (a_run(),):
        kept = Kept(run_path(run), run, None)
        home.deployment.records.save(kept, run)
    return [run.id for run in runs]


def numbered(count: int, **changes: Any) -> list[Run]:
    return [a_run(id=f"{DAY}-beaconing-number-{n:03d}-r0", **changes) for n in range(count)]


def jobs(home: House) -> list[Job]:
    return [kept.value for kept in home.deployment.records.jobs()]


def only_run(home: House) -> Run:
    (run,) = home.runs().values()
    return run
