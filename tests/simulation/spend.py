"""Invariant 8: what is spent was reserved before, and what is reserved is within the day's caps."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING

from shared.bookkeeping import Budget
from shared.cases import ROLL_UPS
from shared.classes import BACKFILL, BEFORE_THE_LAST, is_backfill, quarter, within_cap
from shared.documents import decode
from shared.model import Run
from shared.records import JOBS, RUNS
from shared.settings import Settings
from tests.simulation.seen import RUN_KINDS, roll_up_of, runs_of

if TYPE_CHECKING:
    from tests.simulation.safety import Safety
    from tests.simulation.world import World

MORE = 1.1
"""What a job's own watch may add to its hours."""


def budgets(world: World) -> list[Budget]:
    """What each UTC day has spent, as the ledger says now."""
    found = {path: world.ledger.peek(path) or b"" for path in world.ledger.paths("budget")}
    return [decode(Budget, json.loads(content), path) for path, content in found.items()]


def most_incidents(settings: Settings) -> int:
    """Incidents of a day, with the roll-ups that stand for what the cap keeps from being told."""
    return settings.incidents_a_day + math.ceil(settings.incidents_a_day * ROLL_UPS)


def a_day_keeps_its_caps(safety: Safety, path: str) -> Iterator[str]:
    """8: no day reserves more than TIDEHUNT_..._A_DAY."""
    if not path.startswith("budget/"):
        return
    settings = safety.world.base.settings
    day = decode(Budget, json.loads(safety.world.ledger.peek(path) or b""), path)
    worst = settings.job_cores * math.ceil(settings.run_deadline_seconds / 60)
    core_minutes = day.core_minutes + sum(day.reserved.values())
    if core_minutes + worst > settings.vcore_hours_a_day * 60:
        safety.caps_met.add("core minutes")
    safety.capped.full |= set(_without_room(day, core_minutes + worst, settings))
    if day.backfill > safety.backfilled.get(path, 0):
        safety.backfilled[path] = day.backfill
        if core_minutes > settings.vcore_hours_a_day * 60 * BEFORE_THE_LAST:
            yield f"8: backfill has {core_minutes} core minutes reserved on {day.day}"
    caps = {
        "jobs of backfill": (day.backfill, quarter(settings.jobs_a_day)),
        "core minutes": (core_minutes, settings.vcore_hours_a_day * 60),
        "jobs": (day.jobs, settings.jobs_a_day),
        "bytes": (day.bytes, settings.megabytes_a_day * 1_000_000),
        "incidents": (day.incidents, most_incidents(settings)),
        "runs of a hunt": (max(day.runs.values(), default=0), settings.runs_a_hunt_a_day),
    }
    for name, (reserved, cap) in caps.items():
        if reserved > cap:
            yield f"8: {reserved} {name} are reserved on {day.day}, {cap} may be"
        if reserved == cap:
            safety.caps_met.add(name)


def _without_room(
    day: Budget, core_minutes: float, settings: Settings
) -> Iterator[tuple[str, bool]]:
    """Whether the day is full, for live runs and for backfill."""
    cap = settings.vcore_hours_a_day * 60
    if day.jobs >= settings.jobs_a_day or core_minutes > cap:
        yield day.day, False
        yield day.day, True
    if day.backfill >= quarter(settings.jobs_a_day) or core_minutes > cap * BEFORE_THE_LAST:
        yield day.day, True


def backfill_keeps_its_quarter(safety: Safety, path: str) -> Iterator[str]:
    """8: of the jobs at one time a quarter may carry backfill."""
    world = safety.world
    if not path.startswith(JOBS) or any(one.stalled for one in world.schedule.calls):
        return
    jobs = {one: json.loads(world.ledger.peek(one) or b"") for one in world.ledger.paths(JOBS)}
    carried = sum(is_backfill(job["runs"]) for job in jobs.values())
    if not is_backfill(jobs[path]["runs"]):
        return
    if carried > quarter(world.base.settings.jobs_at_once):
        yield f"8: {carried} jobs carry backfill"


def backfill_leaves_room(safety: Safety, _size: str) -> Iterator[str]:
    """8: backfill sends nothing in the last quarter of a day's bytes."""
    world = safety.world
    path = f"{BACKFILL}{world.sink.sendings[-1].run_id}.json"
    if world.ledger.peek(path) is None or any(one.stalled for one in world.schedule.calls):
        return
    most = world.base.settings.megabytes_a_day * 1_000_000 * BEFORE_THE_LAST
    if all(day.bytes > most for day in budgets(world)[-2:]):
        yield f"8: {path} sends in the last quarter of a day's bytes"


def day_without_room(world: World, run: Run) -> bool:
    """True when not even a roll-up of a run could be opened any more on some day."""
    most = most_incidents(world.base.settings)
    return any(not within_cap(run, day.incidents + 1, most) for day in budgets(world))


def a_job_was_reserved(safety: Safety, job_id: str) -> Iterator[str]:
    """8: jobs are reserved before they are posted."""
    posted = len({request.job_id for request in safety.world.pool.requests})
    reserved = sum(day.jobs for day in budgets(safety.world))
    if posted > reserved:
        yield f"8: {posted} jobs are posted, {reserved} reserved: {job_id}"


def jobs_keep_their_hours(safety: Safety) -> Iterator[str]:
    """8: what the jobs of a day used is within the day's cap, with a tenth more for the watch."""
    pool, settings = safety.world.pool, safety.world.base.settings
    used: Counter[str] = Counter()
    for job_id, began in pool.begun.items():
        if job_id not in pool.hanging:
            ran = pool.over.get(job_id, safety.world.schedule.now) - began
            used[job_id[4:12]] += math.ceil(settings.job_cores * ran.total_seconds() / 60)
    for day, minutes in used.items():
        if minutes > settings.vcore_hours_a_day * 60 * MORE:
            yield f"8: the jobs of {day} used {minutes} core minutes"


def jobs_end_by_themselves(safety: Safety) -> Iterator[str]:
    """8: no job outlives its run deadline, unless it hangs too hard for its own watch."""
    pool = safety.world.pool
    most = timedelta(seconds=safety.world.base.settings.run_deadline_seconds * MORE)
    for job_id in pool.begun.keys() - pool.hanging:
        ran = pool.over.get(job_id, safety.world.schedule.now) - pool.begun[job_id]
        if ran > most:
            yield f"8: {job_id} worked for {ran}"


def bytes_were_reserved(safety: Safety, _size: str) -> Iterator[str]:
    """8: bytes are reserved before they are sent."""
    sent = sum(safety.world.sink.payloads)
    reserved = sum(day.bytes for day in budgets(safety.world))
    if sent > reserved:
        yield f"8: {sent} bytes are sent, {reserved} reserved"


def an_incident_was_reserved(safety: Safety, incident_id: str) -> Iterator[str]:
    """8: incidents are reserved before they are opened; roll-ups are one a run at most."""
    reserved = sum(day.incidents for day in budgets(safety.world))
    if len(safety.created) <= reserved:
        return
    roll_ups = set(map(roll_up_of, runs_of(safety.world)))
    opened = len(safety.created.keys() - roll_ups)
    if opened > reserved:
        yield f"8: {opened} incidents are opened, {reserved} reserved: {incident_id}"


def silent_runs_open_none(safety: Safety, incident_id: str) -> Iterator[str]:
    """8: who asks for no incidents gets none, neither from a run nor from a fill."""
    world = safety.world
    run_id = world.schedule.current.run_id if world.schedule.current else ""
    for kind in RUN_KINDS:
        run = safety.run_at(f"{RUNS}{kind}/{run_id}.json")
        if run and not run.incidents:
            yield f"8: run {run.id} wrote incident {incident_id}, and was to write none"


def a_run_was_reserved(safety: Safety, path: str) -> Iterator[str]:
    """8: runs that start by themselves are reserved before they are saved."""
    if not path.startswith("active/runs/live/"):
        return
    safety.started.add(path)
    reserved = sum(sum(day.runs.values()) for day in budgets(safety.world))
    if len(safety.started) > reserved:
        yield f"8: {len(safety.started)} runs started, {reserved} reserved: {path}"


CHECKS = (jobs_keep_their_hours, jobs_end_by_themselves)
