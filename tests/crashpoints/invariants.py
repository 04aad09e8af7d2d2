"""What must hold after every effect, and how a script must have ended. Each has its number:

1 no finding lost, 2 one id, 3 duplicates have a cause, 4 one POST and one live job, 5 only the
named job is delivered and what ended stays, 6 the analyst wins, 7 one incident a case, 8 spend is
reserved, 9 every run wakes up or ends, 10 nothing is left, 11 the time line has no hole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import lru_cache

from shared import contract as c
from shared import intake
from shared.bookkeeping import Budget
from shared.documents import decode
from shared.incidents import case_key, incident_id
from shared.model import RUN_TERMINAL, HuntSpec, Json, Run
from shared.records import done_path, hunt_path
from shared.timeline import HuntRecord
from tests.crashpoints.scripts import DAY, End
from tests.crashpoints.world import World
from tests.simulation.pool import code_of
from tests.unit.house import TABLE, WORKSPACE

FOUND = ("Medium", "High")
LONGEST_WAIT = timedelta(minutes=15)
DOCUMENT_BYTES = 64_000


def watch(world: World, operation: str, subject: str) -> None:
    """Judge one effect; what it breaks is kept by the world."""
    for check in _EFFECTS.get(operation, ()):
        for trouble in check(world, subject):
            if trouble not in world.progress.broken:
                world.progress.broken.append(trouble)
                world.say(f"    VIOLATION {trouble}")


def _an_ended_run_stays(world: World, path: str) -> Iterator[str]:
    run = _run_at(world, path)
    if run is None:
        return
    before = world.progress.ended.get(run.id)
    if before is not None and run.status != before:
        yield f"5: run {run.id} was {before} and is {run.status}"
    if run.status in RUN_TERMINAL:
        world.progress.ended.setdefault(run.id, run.status)


def _a_run_wakes_up(world: World, path: str) -> Iterator[str]:
    run = _run_at(world, path)
    if run is None or run.status in RUN_TERMINAL:
        return
    if run.status == "held":
        yield f"9: run {run.id} is held, and nobody has to help: {run.reason}"
    elif run.next_at is not None and run.next_at - world.now() > LONGEST_WAIT:
        yield f"9: run {run.id} is {run.status} and wakes up at {run.next_at:%H:%M} only"


def _run_at(world: World, path: str) -> Run | None:
    if not path.startswith(("active/runs/", "done/")) or "/job-" in path:
        return None
    content = world.home.ledger.peek(path)
    return _run_of(content) if content else None


@lru_cache(maxsize=100_000)
def _run_of(content: bytes) -> Run:
    """Kept: most worlds hold what another one held."""
    return decode(Run, json.loads(content), "")


def _documents_stay_small(world: World, path: str) -> Iterator[str]:
    if len(world.home.ledger.peek(path) or b"") > DOCUMENT_BYTES:
        yield f"13: {path} is too large"


def _one_post_and_one_live_job(world: World, job_id: str) -> Iterator[str]:
    engine = world.home.engine
    posts = sum(request.job_id == job_id for request in engine.requests)
    if posts > 1:
        yield f"4: {posts} POSTs of {job_id}"
    for other in engine.jobs.values():
        alive = other.state in ("queued", "running") and other.job_id != job_id
        if alive and _runs_of(world, job_id) & _runs_of(world, other.job_id):
            yield f"4: {job_id} and {other.job_id} are alive for one run"


def _runs_of(world: World, job_id: str) -> set[str]:
    plan = world.home.results.peek(c.plan_path(job_id))
    return {run["run_id"] for run in json.loads(plan)["runs"]} if plan else set()


def _the_analyst_wins(world: World, incident: str) -> Iterator[str]:
    for (_, one), held in world.home.incidents.incidents.items():
        for name, wrote in world.progress.wrote.get(one, {}).items() if one == incident else ():
            if held.properties.get(name) != wrote:
                yield f"6: incident {one}: {name} is {held.properties.get(name)}, not {wrote}"


_DOCUMENT = (_documents_stay_small, _an_ended_run_stays, _a_run_wakes_up)
_EFFECTS: dict[str, tuple[Callable[[World, str], Iterator[str]], ...]] = {
    "ledger.create": _DOCUMENT,
    "ledger.replace": _DOCUMENT,
    "engine.submit": (_one_post_and_one_live_job,),
    "incidents.put": (_the_analyst_wins,),
    "incidents.comment": (_the_analyst_wins,),
}


# --- at the end -----------------------------------------------------------------------------------


def at_the_end(world: World, end: End) -> Iterator[str]:
    """What does not hold when nothing more happens."""
    yield from world.progress.broken
    if not world.at_rest():
        yield from _left(world)
        return
    yield from _runs(world, end)
    yield from _told(world, end)
    yield from _rows(world, end)
    yield from _ids(world)
    yield from _incidents(world, end)
    yield from _spend(world)
    for spec in world.home.deployment.hunts:
        yield from _time_line(world, spec, end)


def repeats(world: World) -> int:
    """How often the row that came most often came."""
    rows = Counter((row["RunId"], row["FindingId"]) for row in world.home.sink.rows)
    return max(rows.values(), default=0)


def _left(world: World) -> Iterator[str]:
    for path in world.home.ledger.paths():
        if path.startswith(("active/", "touched/", "requests/")):
            body = (world.home.ledger.peek(path) or b"").decode()
            yield f"10: {path} is left: {body[-300:]}"
    for errand in world.progress.errands:
        yield f"10: nobody listens to {errand}"
    yield "10: the script is not over in time"


def _done(world: World, run_id: str) -> Run | None:
    return _run_at(world, done_path(run_id))


def _runs(world: World, end: End) -> Iterator[str]:
    paths = [path for path in world.home.ledger.paths() if path.startswith("done/")]
    ended = {run.id: run.status for path in paths if (run := _run_at(world, path))}
    if ended != dict(end.runs):
        yield f"9: runs ended as {ended}, not as {dict(end.runs)}"
    for job in world.home.engine.jobs.values():
        if job.state in ("queued", "running"):
            yield f"10: {job.job_id} is {job.state} still"


def _told(world: World, end: End) -> Iterator[str]:
    """9: of each ended run the health table and the playbooks are told, of its findings too."""
    told = world.told()
    for run_id, status in end.runs.items():
        delivered = [f"{run_id}-delivered"] if status == "done" else []
        for what in (f"{run_id} {status}", f"{run_id}-ended", *delivered):
            if what not in told:
                yield f"9: nobody was told: {what}"


def _rows(world: World, end: End) -> Iterator[str]:
    rows = world.home.sink.rows
    for run_id, count in end.rows.items():
        mine = [row for row in rows if row["RunId"] == run_id]
        found = {row["FindingId"] for row in mine}
        if len(found) != count:
            yield f"1: run {run_id}: {len(found)} of {count} findings are in the sink"
        run = _done(world, run_id)
        if run is None or run.status != "done":
            continue
        manifest: Json = json.loads(
            world.home.results.peek(c.manifest_path(run.job or "", run_id)) or b"{}"
        )
        if len(found) + run.counts.unchanged + run.counts.set_aside != manifest["rows"]:
            yield f"1: run {run_id}: {manifest['rows']} rows in the manifest, {run.counts}"
        if run.counts.withheld != end.withheld:
            yield f"1: run {run_id}: {run.counts.withheld} of {end.withheld} rows withheld"
        yield from _aside(world, run, end)
        if any(row["CodeHash"] != code_of(run.job or "") for row in mine):
            yield f"5: run {run_id} names {run.job}, and rows come from another job"
    if strange := {row["RunId"] for row in rows} - set(end.rows):
        yield f"1: rows of runs that nobody expects: {sorted(strange)}"


def _aside(world: World, run: Run, end: End) -> Iterator[str]:
    folder = c.run_folder(run.job or "", run.id)
    held = world.home.results.peek(c.set_aside_path(folder, "part-00000.jsonl"))
    aside: list[Json] = json.loads(held)["rows"] if held else []
    if len(aside) != end.aside or run.counts.set_aside != end.aside:
        yield f"1: run {run.id}: {len(aside)} of {end.aside} rows are set aside: {run.counts}"
    if not all(one["reason"] for one in aside):
        yield f"1: run {run.id}: a row was set aside without a reason"


def _ids(world: World) -> Iterator[str]:
    names: dict[str, tuple[str, ...]] = {}
    for row in world.home.sink.rows:
        parts = (row["Workspace"], row["HuntId"], row["FindingKey"], row["SlotStart"])
        if names.setdefault(row["FindingId"], parts) != parts:
            yield f"2: {row['FindingId']} names two findings"
    if len(set(names.values())) != len(names):
        yield "2: one finding has two ids"


def _incidents(world: World, end: End) -> Iterator[str]:
    held = world.home.incidents.incidents
    if len(held) != end.incidents:
        yield f"7: {len(held)} incidents, not {end.incidents}"
    comments = sum(map(len, world.home.incidents.comments.values()))
    if comments != end.comments:
        yield f"7: {comments} comments, not {end.comments}"
    rolled = sum("roll-up" in json.dumps(one.properties) for one in held.values())
    known = {key for _, key in held} & _expected(world)
    if len(known) + rolled != len(held):
        yield f"7: {len(held) - rolled - len(known)} incidents belong to no finding's case"
    for one in world.progress.wrote:
        yield from _the_analyst_wins(world, one)


def _expected(world: World) -> set[str]:
    """Ids of the first incidents of every finding that deserves one."""
    specs = {spec.module: spec for spec in world.home.deployment.hunts}
    return {
        incident_id(case_key({**row, "Identity": row["Entities"]}, run, specs[run.hunt]), 1)
        for row in world.home.sink.rows
        if row["Severity"] in FOUND and (run := _done(world, row["RunId"]))
    }


def _spend(world: World) -> Iterator[str]:
    days = [
        decode(Budget, json.loads(content), path)
        for path, content in world.home.ledger.contents().items()
        if path.startswith("budget/")
    ]
    spent = {
        "jobs": len(world.home.engine.requests),
        "bytes": sum(world.home.sink.payloads),
        "incidents": len(_expected(world) & {key for _, key in world.home.incidents.incidents}),
    }
    for name, amount in spent.items():
        reserved = sum(getattr(day, name) for day in days)
        if amount > reserved:
            yield f"8: {amount} {name} were spent, {reserved} reserved"


def _time_line(world: World, spec: HuntSpec, end: End) -> Iterator[str]:
    path = hunt_path(spec.guid, WORKSPACE)
    record = decode(HuntRecord, json.loads(world.home.ledger.peek(path) or b""), path)
    day_end = c.day_start(DAY) + timedelta(days=1)
    if record.watermark != day_end:
        yield f"11: {spec.module} is judged until {record.watermark}, not {day_end}"
    gaps = [c.day_key(gap.start) for gap in record.gaps if gap.end == day_end]
    if len(gaps) < len(record.gaps) or gaps != [DAY] * (spec.guid in end.gaps):
        yield f"11: {spec.module} has the gaps {record.gaps}"
    if sorted(record.slots) != list(end.days):
        yield f"11: {spec.module} knows the slots {sorted(record.slots)}"
    for day, slot in record.slots.items() if not gaps else ():
        yield from _unseen(world, day, slot.run)


def _unseen(world: World, day: str, run_id: str) -> Iterator[str]:
    """11: the newest run of a day has read all that the lake holds of it."""
    run = _done(world, run_id)
    plan = json.loads(world.home.results.peek(c.plan_path(run.job or "")) or b"{}") if run else {}
    read = {
        hour["hour"]: hour["fingerprint"]
        for hour in plan.get("tables", {}).get(TABLE, {"hours": []})["hours"]
        if hour["hour"].startswith(day)
    }
    blobs = world.home.exports.blobs(TABLE, c.export_day_folder(WORKSPACE, day))
    lake = intake.hours_of(blobs, WORKSPACE, TABLE)
    if read != {hour: held.fingerprint for hour, held in lake.items()}:
        yield f"11: run {run_id} read {sorted(read)}, the lake holds {sorted(lake)}"
