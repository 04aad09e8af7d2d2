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
from shared.model import Case, Json, Run
from shared.records import case_path
from tests.simulation import copies, coverage, foreign, spend
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
REQUESTS_A_TURN = 700
"""A turn's 45 seconds are over after some 500, as quickly as requests are answered here."""
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


def duplicates_have_a_cause(safety: Safety) -> Iterator[str]:
    """3: a row is sent once per revision, and once more for each fault on the way."""
    world = safety.world
    sent = Counter((row["RunId"], row["FindingId"]) for row in world.sink.rows)
    for (run_id, finding), times in sent.items():
        causes = world.faults.causes(run_id)
        if times > 1 + len(causes):
            yield f"3: run {run_id} sent {finding} {times} times for {len(causes)} faults"


def revisions_send_changes(safety: Safety) -> Iterator[str]:
    """3: a revision sends only what the one before did not say in the same words.

    One that a person cancelled says nothing: its cases may lack their incidents, so that the next
    revision starts afresh.
    """
    world = safety.world
    last: dict[str, Json] = {}
    done = {run.id for run in runs_of(world) if run.status == "done" and run.kind == "live"}
    for row in world.sink.rows:
        if row["RunId"] not in done:
            continue
        before = last.get(row["FindingId"])
        same = before and (before["Severity"], before["Evidence"]) == (
            row["Severity"], row["Evidence"],
        )  # fmt: skip
        if same and before and before["RunId"] != row["RunId"]:
            runs = (before["RunId"], row["RunId"])
            if not any(world.faults.causes(run) for run in runs):
                yield f"3: {row['RunId']} sent {row['FindingId']} as it was in {before['RunId']}"
        last[row["FindingId"]] = row


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
            if deleted and safety.created.get(following, deleted) > deleted:
                yield f"6: case {case.key} was opened again after its incident {one} was deleted"
    known.update(map(roll_up_of, runs_of(world)))
    for stranger in sorted({one for _, one in world.incidents.incidents} - known):
        yield f"7: incident {stranger} belongs to no case"


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
        if is_rolled_up(world, run) or day_without_room(world):
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
            opened = safety.created.get(following)
            if at and opened and why in BENIGN and opened > at + UNDERWAY:
                yield f"6: case {case.key} was opened again after {one} was closed as {why}"


def runs_fail_for_a_reason(safety: Safety) -> Iterator[str]:
    """10: a run fails when its hunt raised, or when it has used up as many jobs as it may."""
    world = safety.world
    carried = Counter(run for job_id in world.pool.begun for run in planned_runs(world, job_id))
    for run in runs_of(world):
        raised = manifest_of(world, run).get("status") == "failed"
        if run.status == "failed" and not raised and carried[run.id] < JOBS_A_RUN:
            yield f"10: run {run.id} failed after {carried[run.id]} jobs: {run.reason}"


def a_turn_is_bounded(safety: Safety) -> Iterator[str]:
    """13: a turn lists the days that it sweeps, and asks for what is active."""
    if safety.world.longest > REQUESTS_A_TURN:
        yield f"13: a turn made {safety.world.longest} requests"


def nothing_is_left(safety: Safety) -> Iterator[str]:
    """10: all that was asked or due has ended; no mark, no request and no job is left."""
    world = safety.world
    for path in world.unfinished():
        yield f"10: {path} is left: {(world.ledger.peek(path) or b'')[-300:].decode()}"
    for job in world.pool.alive():
        yield f"10: {job.job_id} is still {job.state}"


def promised_runs_are_there(safety: Safety) -> Iterator[str]:
    """10: a run for which HTTP answered 202 was made."""
    there = set(safety.world.run_ids())
    for run_id in safety.world.operator.asked:
        if run_id not in there:
            yield f"10: run {run_id} was promised and never was"


def nothing_unexpected(safety: Safety) -> Iterator[str]:
    """9: no guard caught, and no caller met, what nobody meant."""
    for text in [*safety.world.raised, *safety.world.unexpected.found]:
        yield f"9: {text}"


CHECKS: tuple[Callable[[Safety], Iterator[str]], ...] = (
    no_finding_lost,
    one_id,
    duplicates_have_a_cause,
    revisions_send_changes,
    incidents_belong_to_cases,
    new_evidence_reaches_an_open_incident,
    benign_closures_are_heeded,
    runs_fail_for_a_reason,
    a_turn_is_bounded,
    nothing_is_left,
    promised_runs_are_there,
    *copies.CHECKS,
    *coverage.CHECKS,
    *foreign.CHECKS,
    *spend.CHECKS,
    nothing_unexpected,
)


def late_ones(safety: Safety, healed: datetime) -> Iterator[str]:
    """10: two hours after the last fault, nothing is older than its waits and two hours."""
    world, settings = safety.world, safety.world.base.settings
    now, waits = world.schedule.now, settings.coalesce_seconds + settings.readback_seconds
    limit = timedelta(seconds=7200 + waits)
    if now < healed + limit or world.scale.caps:
        return  # what a cap puts off has until the end
    for path in world.unfinished():
        if path.startswith("active/runs/"):
            run = decode(Run, json.loads(world.ledger.peek(path) or b""), path)
            if now - max(run.created, healed) > limit:
                yield f"10: run {run.id} is {run.status} since {run.since}: {run.reason}"
        elif path.startswith("touched/"):
            marked = json.loads(world.ledger.peek(path) or b"")["at"]
            old = now - max(datetime.fromisoformat(marked), healed)
            if old > timedelta(seconds=settings.settle_seconds + 2 * 900):
                yield f"10: mark {path} is {old} old"
