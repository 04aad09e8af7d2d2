"""What a fill would cost, told before it is asked for. Reads the ledger, changes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from math import ceil
from statistics import mean

from shared import contract as c
from shared import schedule
from shared.deployment import Deployment
from shared.errors import BadInput
from shared.fills import hunt_of, slots_left
from shared.grouping import RUNS_A_JOB
from shared.hunt_specs import tables_of
from shared.model import HuntSpec, Job, Json, Window
from shared.records import done_path
from shared.timeline import Fill

DAYS_READ = 60
"""Days whose documents are read for an estimate; the others are taken to be like these."""
JOBS_READ = 5


def estimate(deployment: Deployment, fill: Fill) -> Json:
    """Slots, jobs, bytes of exports in their windows, and vCore hours with what they rest on.

    Bytes are those of the raw blobs: hours with a fresh columnar copy cost a fraction of them.
    """
    spec = hunt_of(deployment, fill.hunt)
    record = deployment.records.hunt(spec.guid, fill.workspace).value
    slots = slots_left(record, spec, Window(fill.start, fill.end), deployment.clock())
    jobs = ceil(len(slots) / RUNS_A_JOB[0])
    return {
        "fill": fill.id,
        "hunt": fill.hunt,
        "workspace": c.workspace_key(fill.workspace),
        "start": fill.start.isoformat(),
        "end": fill.end.isoformat(),
        "incidents": fill.incidents,
        "slots": len(slots),
        "jobs": jobs,
        **_bytes(deployment, spec, fill.workspace, slots),
        **_vcore_hours(deployment, fill, jobs),
    }


def _bytes(deployment: Deployment, spec: HuntSpec, workspace: str, slots: Sequence[Window]) -> Json:
    """What the days of all windows hold, each once, scaled from the newest of them."""
    windows = [schedule.lookback_window(slot, spec.lookback_days) for slot in slots]
    days = sorted({day for w in windows for day in _days(w)}, reverse=True)
    read = days[:DAYS_READ]
    known = [_bytes_of(deployment, spec, workspace, day) for day in read]
    held = [size for size in known if size is not None]
    scale = len(days) / len(read) if read else 0
    return {
        "bytes": round(sum(held) * scale),
        "days": len(days),
        "days_known": len(held),
        "days_looked_at": len(read),
    }


def _days(window: Window) -> list[str]:
    count = ceil((window.end - window.start) / timedelta(days=1))
    days = {c.day_key(window.start + timedelta(days=n)) for n in range(count)}
    return sorted({*days, c.day_key(window.end - timedelta.resolution)})


def _bytes_of(deployment: Deployment, spec: HuntSpec, workspace: str, day: str) -> int | None:
    """Bytes of a day in all tables of the hunt; None when the ledger knows nothing of it."""
    sizes: list[int] = []
    for table in tables_of(spec):
        try:
            hours = deployment.records.day(workspace, table, day).value.hours.values()
        except BadInput:
            continue
        sizes.extend(hour.bytes for hour in hours)
    return sum(sizes) if sizes else None


def _vcore_hours(deployment: Deployment, fill: Fill, jobs: int) -> Json:
    """From the hunt's last jobs, if any is known; else the most that the deadline allows."""
    settings = deployment.settings
    cores = settings.driver_cores + settings.executors * settings.executor_cores
    lasted = _lasted(deployment, fill)
    seconds = mean(lasted) if lasted else settings.run_deadline_seconds
    rests_on = f"the hunt's last {len(lasted)} jobs" if lasted else "the deadline of each job"
    return {"vcore_hours": round(jobs * cores * seconds / 3600, 1), "rests_on": rests_on}


def _lasted(deployment: Deployment, fill: Fill) -> list[float]:
    """Seconds that the last jobs with runs of this hunt ran."""
    mine = [run for run in deployment.records.recent() if run.hunt_guid == fill.hunt_guid]
    names = list(dict.fromkeys(run.job for run in mine if run.job))[:JOBS_READ]
    jobs = deployment.records.usable(Job, [done_path(name) for name in names])
    return [
        (kept.value.since - kept.value.started).total_seconds()
        for kept in jobs
        if kept.value.started is not None
    ]
