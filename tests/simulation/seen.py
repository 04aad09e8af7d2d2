"""What the watchers of a world read out of it: runs, manifests, refused rows, roll-ups."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from shared import contract as c
from shared.documents import decode
from shared.incidents import incident_id
from shared.model import Json, Run
from shared.records import RUNS
from tests.simulation.findings import POISON

if TYPE_CHECKING:
    from tests.simulation.world import World

RUN_KINDS = ("live", "adhoc", "backfill")


def runs_of(world: World) -> list[Run]:
    """Every run, finished or not."""
    paths = [*world.ledger.paths(RUNS), *world.ledger.paths("done")]
    return [
        decode(Run, json.loads(world.ledger.peek(path) or b""), path)
        for path in paths
        if "/job-" not in path
    ]


def manifest_of(world: World, run: Run) -> Json:
    """The manifest of the job that a run names."""
    content = world.results.peek(c.manifest_path(run.job or "", run.id))
    found: Json = json.loads(content or b"{}")
    return found


def set_aside(world: World, run: Run) -> list[Json]:
    """What is kept of each refused row of a run: its FindingId ("" for none) and the reason."""
    folder = c.run_folder(run.job or "", run.id)
    rows: list[Json] = []
    for part in manifest_of(world, run).get("parts", []):
        held = world.results.peek(c.set_aside_path(folder, part["name"]))
        rows += json.loads(held)["rows"] if held else []
    return rows


def refusable(world: World, run: Run) -> tuple[set[str], int]:
    """FindingIds that the sink refuses, and how many lines are none, in a run's parts."""
    folder, poisoned, broken = c.run_folder(run.job or "", run.id), set(), 0
    for part in manifest_of(world, run).get("parts", []):
        for line in (world.results.peek(f"{folder}/{part['name']}") or b"").splitlines():
            try:
                finding = json.loads(line)
            except ValueError:
                broken += 1
                continue
            if POISON.encode() in line:
                poisoned.add(finding["FindingId"])
    return poisoned, broken


def roll_up_of(run: Run) -> str:
    """Id of the one incident that stands for what a cap kept from being told."""
    return incident_id(f"roll-up|{run.workspace}|{run.hunt_guid}|{run.id}", 1)


def is_rolled_up(world: World, run: Run) -> bool:
    """True when there is such an incident, or was until an analyst deleted it."""
    key = (run.workspace, roll_up_of(run))
    return key in world.incidents.incidents or key in world.analyst.deleted


def plan_of(world: World, job_id: str) -> Json:
    """A job's plan; without runs when there is none."""
    content = world.results.peek(c.plan_path(job_id))
    found: Json = json.loads(content or b'{"runs": []}')
    return found


def planned_runs(world: World, job_id: str) -> set[str]:
    """Ids of the runs that a job's plan carries."""
    return {run["run_id"] for run in plan_of(world, job_id)["runs"]}
