"""The scripts whose every request is broken: what happens outside, and how it has to end."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from shared import contract as c
from shared.model import EngineJob, HuntSpec, Json
from shared.records import done_path
from tests.crashpoints.world import World
from tests.simulation.pool import code_of
from tests.unit import house
from tests.unit.house import TABLE, WORKSPACE, House

DAY = "20260309"
HOURS = (f"{DAY}22", f"{DAY}23")
DAYS = ("20260307", "20260308", DAY)
ONE = house.spec(lookback_days=2)
QUICK = {
    # Two beats at most for what takes hours: each wait is met, and none is sat out.
    "settle_seconds": "60",
    "coalesce_seconds": "0",
    "readback_seconds": "60",
    "unknown_seconds": "60",
    "grace_seconds": "60",
    "retry_seconds": "60",
    "sweep_seconds": "1800",
}
Found = Callable[[Json], list[Json]]
"""A run as its plan shows it -> its findings, best first."""


@dataclass(frozen=True)
class End:
    """How a script ends, whatever breaks on the way."""

    runs: Mapping[str, str]
    """Run id -> status."""
    rows: Mapping[str, int]
    """Run id -> distinct findings in the sink."""
    incidents: int
    comments: int = 0
    aside: int = 0
    """Rows that are set aside."""
    withheld: int = 0
    gaps: tuple[str, ...] = ()
    """GUIDs of the hunts for which the day is a gap."""
    days: tuple[str, ...] = (DAY,)
    """The days that each hunt knows of."""


@dataclass(frozen=True)
class Script:
    """One script: `build` gives its world at its start, with nothing broken yet."""

    name: str
    outside: Callable[[World], None]
    end: End
    hunts: tuple[HuntSpec, ...] = (ONE,)
    settings: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False
    """Whether it begins with the first turn of a deployment."""
    after: Script | None = None
    """What has come to its end before."""

    def build(self) -> World:
        """A deployment at the script's start, with its first turn behind it unless `fresh`."""
        if self.after is not None:
            return World(self.after.played(), self.outside, self._over)
        home = house.build(self.hunts, **{**QUICK, **self.settings})
        home.exports.plant(TABLE, "elsewhere/PT05M.json", b"")
        if not self.fresh:
            home.tick()
        return World(home, self.outside, self._over)

    def played(self) -> House:
        """The deployment at the script's end, when nothing breaks."""
        world = self.build()
        while not world.at_rest():
            world.beat()
        return world.home

    def _over(self, world: World) -> bool:
        return all(world.home.ledger.peek(done_path(run_id)) for run_id in self.end.runs)


def run_id(hunt: str = "beaconing", revision: int = 0, day: str = DAY) -> str:
    """The id of a run for a day."""
    return f"{day}-{hunt}-{c.workspace_key(WORKSPACE)}-r{revision}"


# --- what happens outside -------------------------------------------------------------------------


def land(world: World, name: str = "PT05M.json", hours: tuple[str, ...] = HOURS) -> None:
    """Export blobs land, and Event Grid tells until somebody listens."""
    for hour in hours:
        path = house.export_path(hour, name)
        world.home.exports.plant(TABLE, path, b"{}")
        world.progress.errands.append(("export", f"{c.export_container(TABLE)}/{path}"))


def work(world: World, found: Found, most: int | None = None, **manifest: Any) -> None:
    """The pool does what it was asked for before this beat, or the first `most` runs of it."""
    for job in list(world.home.engine.jobs.values()):
        if job.state == "queued":
            finish(world, job, found, most, **manifest)


def finish(
    world: World, job: EngineJob, found: Found, most: int | None = None, **manifest: Any
) -> None:
    """A job writes the results of its first `most` runs (None: all), and ends as it deserves."""
    plan: Json = json.loads(world.home.results.peek(c.plan_path(job.job_id)) or b"")
    for run in plan["runs"][:most]:
        shown = {"workspace": WORKSPACE, "blobs": _blobs(plan)}
        findings = found({**run, **shown})
        code = code_of(job.job_id)
        world.home.land_results(job.job_id, run["run_id"], findings, code_hash=code, **manifest)
        path = c.manifest_path(job.job_id, run["run_id"])
        world.progress.errands.append(("result", path))
    if most is None:
        world.home.write_report(plan)
    world.home.engine.enter(job.engine_id, "succeeded" if most is None else "failed")
    world.say(f"outside: {job.job_id} has {'succeeded' if most is None else 'failed'}")


def _blobs(plan: Json) -> int:
    return house.sum_of((h for t in plan["tables"].values() for h in t["hours"]), "blobs")


def one_and_a_half(run: Json) -> list[Json]:
    """A finding that deserves an incident, and one that does not."""
    known = house.run_of(run)
    low = house.a_finding("10.0.0.6", run=known, Severity="Low", Score=0.55)
    return [house.a_finding(run=known), low]


def one(run: Json) -> list[Json]:
    """A finding that deserves an incident."""
    return [house.a_finding(run=house.run_of(run))]


def one_that_grows(run: Json) -> list[Json]:
    """A finding that late data changes, and one that it leaves as it was."""
    known = house.run_of(run)
    grown = house.a_finding("10.0.0.6", run=known, Evidence={"Blobs": run["blobs"]})
    return [house.a_finding(run=known), grown]


def three_and_a_bad_one(run: Json) -> list[Json]:
    """Findings of three cases, and a row that no workspace can be given."""
    known = house.run_of(run)
    rows = [house.a_finding(f"10.0.0.{n}", run=known, Score=0.99 - n / 100) for n in range(4)]
    return [*rows[:3], {**rows[3], "Score": 2}]


# --- the scripts ----------------------------------------------------------------------------------


def _plain(world: World) -> None:
    if world.once("two hours land"):
        land(world)
    work(world, one_and_a_half)


def _retry(world: World) -> None:
    if world.once("two hours land"):
        land(world)
    jobs = list(world.home.engine.jobs.values())
    first = jobs[0].state == "queued" if jobs else False
    work(world, one, most=1 if first else None)


def _cancel(world: World) -> None:
    if world.once("two hours land"):
        land(world)
    for job in list(world.home.engine.jobs.values()):
        if job.state == "queued":
            world.home.engine.enter(job.engine_id, "running")
    running = any(job.state == "running" for job in world.home.engine.jobs.values())
    if running and world.once("an operator cancels the run"):
        world.progress.errands.append(("cancel", run_id()))


def _flood(world: World) -> None:
    if world.once("two hours land"):
        land(world)
    work(world, three_and_a_bad_one, withheld=7)


def _late(world: World) -> None:
    if world.once("two hours land"):
        land(world)
    incidents = world.home.incidents.incidents
    if len(incidents) == 2 and world.once("an analyst takes both incidents"):
        for workspace, incident_id in list(incidents):
            wrote = {"severity": "Low", "owner": {"assignedTo": "ana"}, "status": "Active"}
            world.home.incidents.change(workspace, incident_id, **wrote)
            world.progress.wrote[incident_id] = wrote
    judged = world.home.ledger.peek(done_path(run_id()))
    if judged and world.once("one of the hours has a second blob"):
        land(world, "PT05M_1.json", HOURS[:1])
    work(world, one_that_grows)


def _three_days(world: World) -> None:
    if world.once("an hour of each of three days lands"):
        land(world, hours=tuple(f"{day}23" for day in DAYS))
    work(world, one)


def _backfill(world: World) -> None:
    if world.once("an operator has the days before the first run filled"):
        world.progress.errands.append(("fill", ONE.module))
    work(world, one)


TWO = (ONE, house.spec(module="other_hunt", guid=house.OTHER_GUID, lookback_days=2))
BOTH = (run_id(), run_id("other_hunt"))
FILLED = tuple(run_id(day=day) for day in DAYS)
PLAIN = End({run_id(): "done"}, {run_id(): 2}, incidents=1)
SCRIPTS = (
    Script("first", _plain, PLAIN, fresh=True),
    Script("plain", _plain, PLAIN),
    Script("retry", _retry, End(dict.fromkeys(BOTH, "done"), dict.fromkeys(BOTH, 1), 2), TWO),
    Script("cancel", _cancel, End({run_id(): "cancelled"}, {run_id(): 0}, 0, gaps=(house.GUID,))),
    Script(
        "flood",
        _flood,
        End({run_id(): "done"}, {run_id(): 3}, incidents=3, aside=1, withheld=7),
        settings={"incidents_a_run": "2"},
    ),
    Script(
        "late",
        _late,
        End(
            {run_id(): "done", run_id(revision=1): "done"},
            {run_id(): 2, run_id(revision=1): 1},
            incidents=2,
            comments=1,
        ),
    ),
    Script(
        "backfill",
        _backfill,
        End(dict.fromkeys(FILLED, "done"), dict.fromkeys(FILLED, 1), incidents=1, days=DAYS),
        after=Script("three days", _three_days, End({run_id(): "done"}, {}, 1)),
    ),
)
"""Two incidents of the flood are of cases, the third rolls the rest up."""
