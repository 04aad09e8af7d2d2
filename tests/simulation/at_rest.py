"""What must hold when nothing is left to do. Each check names its invariant's number."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from itertools import pairwise

from shared import contract as c
from shared.documents import decode
from shared.incidents import BENIGN, case_key, incident_id
from shared.jobs import JOBS_A_RUN
from shared.model import Case
from shared.records import case_path
from tests.simulation import copies, coverage, foreign, promises, repeats, spend
from tests.simulation.safety import MARGIN, Safety
from tests.simulation.seen import (
    is_rolled_up,
    manifest_of,
    planned_runs,
    refusable,
    roll_up_of,
    runs_of,
    set_aside,
)
from tests.simulation.spend import day_without_room
from tests.simulation.world import World

FOUND = ("Medium", "High")
REQUESTS_A_TURN = 850
"""A turn's seconds, which `on_time` checks, are over after so many, as quickly as they are
answered here: of more some would take no time at all."""
UNDERWAY = timedelta(hours=1)
"""The longest stall: so old may be what a turn read before it wrote."""


def no_finding_lost(safety: Safety) -> Iterator[str]:
    """1: rows in the manifest = in the sink, or known from the revision before, or set aside."""
    world = safety.world
    sent: dict[str, set[str]] = defaultdict(set)
    for row in world.sink.rows:
        sent[row["RunId"]].add(row["FindingId"])
    everywhere = {row["FindingId"] for row in world.sink.rows}
    for run in runs_of(world):
        if run.status != "done":
            continue
        rows, counts = manifest_of(world, run)["rows"], run.counts
        folder, aside = c.run_folder(run.job or "", run.id), set_aside(world, run)
        if len(sent[run.id]) + counts.unchanged + len(aside) < rows:
            yield f"1: run {run.id}: {len(sent[run.id])} of {rows} rows in the sink, {counts}"
        if not all(one["reason"] for one in aside):
            yield f"1: run {run.id}: a row was set aside without a reason"
        found = json.loads(world.results.peek(f"{folder}/delivered.json") or b"{}")
        missing = set(found.get("findings", {})) - everywhere
        refused = {one["FindingId"] for one in aside}
        if missing - refused:
            yield f"1: run {run.id}: {len(missing - refused)} findings are nowhere in the sink"
        poisoned, broken = refusable(world, run)
        if refused - {""} - poisoned or len(aside) > len(poisoned) + broken:
            yield f"1: run {run.id} set rows aside that the sink would have taken"


def one_id(safety: Safety) -> Iterator[str]:
    """2: the same (workspace, hunt, key, slot) has the same id, and no other has it."""
    names: dict[str, tuple[str, ...]] = {}
    for row in safety.world.sink.rows:
        parts = (row["Workspace"], row["HuntId"], row["FindingKey"], row["SlotStart"])
        if names.setdefault(row["FindingId"], parts) != parts:
            yield f"2: finding {row['FindingId']} is {parts} and {names[row['FindingId']]}"
    if len(set(names.values())) != len(names):
        yield "2: two ids for one finding"


def incidents_belong_to_cases(safety: Safety) -> Iterator[str]:
    """7: one incident per case and generation; 6: none that follows one that was deleted."""
    world = safety.world
    known: set[str] = set()
    for path, content in world.ledger.contents().items():
        if not path.startswith("cases/"):
            continue
        case = decode(Case, json.loads(content), path)
        chain = [incident_id(case.key, n + 1) for n in range(case.generation)]
        known.update(chain)
        opened = [one for one in chain if _is_open(world, case.workspace, one)]
        reopened = [one for one in opened if _touched(world, case.workspace, one)]
        if len(opened) - len(reopened) > 1:
            yield f"7: case {case.key} has {len(opened)} open incidents"
        for one, following in pairwise(chain):
            deleted = world.analyst.deleted.get((case.workspace, one))
            if deleted and _opened_unasked(safety, case, deleted, following):
                yield f"6: case {case.key} was opened again after its incident {one} was deleted"
    known.update(map(roll_up_of, runs_of(world)))
    for stranger in sorted({one for _, one in world.incidents.incidents} - known):
        yield f"7: incident {stranger} belongs to no case"


def _opened_unasked(safety: Safety, case: Case, said: datetime, incident: str) -> bool:
    """Whether an incident came after an analyst's word on its case, and nobody had revoked that."""
    at, revoked = safety.created.get(incident, said), safety.world.upkeep.revoked
    return at > said and not any(said <= asked <= at for asked in revoked.get(case.key, ()))


def _is_open(world: World, workspace: str, incident_id: str) -> bool:
    held = world.incidents.incidents.get((workspace.lower(), incident_id))
    return held is not None and held.properties["status"] != "Closed"


def _touched(world: World, workspace: str, incident_id: str) -> bool:
    return "status" in world.analyst.wrote.get((workspace.lower(), incident_id), {})


def new_evidence_reaches_an_open_incident(safety: Safety) -> Iterator[str]:
    """7: what is found after a closure that is not benign is not told to a closed incident."""
    world, hunts = safety.world, {spec.module: spec for spec in safety.world.base.hunts}
    runs = {run.id: run for run in runs_of(world) if run.status == "done" and run.incidents}
    for row in world.sink.rows:
        run = runs.get(row["RunId"])
        if run is None or row["Severity"] not in FOUND:
            continue
        finding = {**row, "Identity": row["Entities"]}
        key = case_key(finding, run, hunts[run.hunt])
        content = world.ledger.peek(case_path(key))
        if is_rolled_up(world, run) or day_without_room(world, run):
            continue
        if content is None:
            yield f"7: run {run.id} found {row['FindingId']}, and there is no case {key}"
            continue
        case = decode(Case, json.loads(content), key)
        at, why = world.analyst.closed.get((case.workspace, case.incident_id), (None, ""))
        sent = world.sink.first_sent[row["RunId"], row["FindingId"]] - MARGIN
        if (
            at
            and sent > at
            and why not in BENIGN
            and not case.evidence.startswith(row["FindingId"])
        ):
            yield f"7: {row['FindingId']} came after incident {case.incident_id} was closed: {why}"


def benign_closures_are_heeded(safety: Safety) -> Iterator[str]:
    """6: what an analyst closed as benign stays quiet; a day's turns may be on their way."""
    world = safety.world
    for path in world.ledger.paths("cases"):
        case = decode(Case, json.loads(world.ledger.peek(path) or b""), path)
        chain = [incident_id(case.key, n + 1) for n in range(case.generation)]
        for one, following in pairwise(chain):
            at, why = world.analyst.closed.get((case.workspace, one), (None, ""))
            heeded = not at or safety.created.get(following, at) <= at + UNDERWAY
            if at and why in BENIGN and not heeded and _opened_unasked(safety, case, at, following):
                yield f"6: case {case.key} was opened again after {one} was closed as {why}"


def runs_fail_for_a_reason(safety: Safety) -> Iterator[str]:
    """10: a run fails when its hunt raised, or when it has used up as many jobs as it may."""
    world = safety.world
    carried = Counter(run for job_id in world.pool.begun for run in planned_runs(world, job_id))
    for run in runs_of(world):
        told = manifest_of(world, run)
        raised = told.get("status") == "failed" and not told["passing"]
        if run.status == "failed" and not raised and carried[run.id] < JOBS_A_RUN:
            yield f"10: run {run.id} failed after {carried[run.id]} jobs: {run.reason}"


def a_turn_is_bounded(safety: Safety) -> Iterator[str]:
    """13: a turn lists the days that it sweeps, asks for what is active, and ends by itself."""
    world = safety.world
    if world.longest > REQUESTS_A_TURN:
        yield f"13: a turn made {world.longest} requests"
    settings = world.base.settings
    claim = settings.turn_seconds + settings.call_seconds + settings.clock_margin_seconds
    if world.slowest > claim:
        yield f"13: a turn took {world.slowest:.0f} seconds, others act after {claim:.0f}"


def nothing_is_left(safety: Safety) -> Iterator[str]:
    """10: all that was asked or due has ended; no mark, no request and no job is left."""
    world = safety.world
    for path in world.unfinished():
        yield f"10: {path} is left: {(world.ledger.peek(path) or b'')[-300:].decode()}"
    for job in world.pool.alive():
        yield f"10: {job.job_id} is still {job.state}"


def nothing_unexpected(safety: Safety) -> Iterator[str]:
    """9: no guard caught, and no caller met, what nobody meant."""
    for text in [*safety.world.raised, *safety.world.unexpected.found]:
        yield f"9: {text}"


CHECKS: tuple[Callable[[Safety], Iterator[str]], ...] = (
    no_finding_lost,
    one_id,
    incidents_belong_to_cases,
    new_evidence_reaches_an_open_incident,
    benign_closures_are_heeded,
    runs_fail_for_a_reason,
    a_turn_is_bounded,
    nothing_is_left,
    *repeats.CHECKS,
    *promises.CHECKS,
    *copies.CHECKS,
    *coverage.CHECKS,
    *foreign.CHECKS,
    *spend.CHECKS,
    nothing_unexpected,
)
