"""What must hold after every effect. Each check says what is broken, with its invariant's number.

The numbers: 4 one POST and one live job, 5 ended runs stay and only the named job is delivered,
6 the analyst wins, 9 every run wakes up again, 13 small documents that name their parents.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared import contract as c
from shared.documents import decode
from shared.fills import FILLS
from shared.health_rows import RUN_ENDED
from shared.model import RUN_TERMINAL, Run
from shared.pauses import PAUSE
from shared.records import JOBS, RUNS
from shared.told import OWED, Owed
from tests.simulation import foreign, marks, spend
from tests.simulation.on_time import Capped, Told
from tests.simulation.pool import code_of
from tests.simulation.seen import RUN_KINDS, manifest_of, planned_runs
from tests.simulation.world import World

DOCUMENT_BYTES = 64_000
LABELS = "labels"
MARGIN = timedelta(minutes=3)
"""Clocks that differ, and the turn itself."""
MOST = 10
"""Violations that are kept of one seed and invariant."""


class Safety:
    """Watches a world; `broken` is what was found, in order and once."""

    def __init__(self, world: World, until: str = "") -> None:
        self.world = world
        self.until = until
        """Number of an invariant: the world ends with its first violation."""
        self.broken: list[str] = []
        self.ended: dict[str, str] = {}
        """Run id -> how it ended."""
        self.created: dict[str, datetime] = {}
        """Incident id -> when it was created."""
        self.started: set[str] = set()
        """Paths of the runs that started by themselves."""
        self.capped, self.told = Capped(), Told(world)
        self.backfilled: dict[str, int] = {}
        """Budget of a day -> jobs of backfill that were reserved in it so far."""
        self.paused_at: datetime | None = None
        """When everything was paused last."""
        self.caps_met: set[str] = set()
        """Caps of a day that were used up."""
        self.named: dict[str, str] = {}
        """Run id -> the job whose results it waited for when it was seen last."""
        self._read: tuple[str, bytes, Run] | None = None
        world.watch = self.effect
        world.trouble = self.report

    def effect(self, operation: str, subject: str) -> None:
        """Judge one effect."""
        for trouble in foreign.nothing_foreign_is_asked_for(self, operation, subject):
            self.report(trouble)
        for check in CHECKS.get(operation, ()):
            for trouble in check(self, subject):
                self.report(trouble)

    def run_at(self, path: str) -> Run | None:
        """The run whose document lies there; read once however many look at it."""
        if not path.startswith((RUNS, "done/")) or "/job-" in path:
            return None
        content = self.world.ledger.peek(path)
        if content is None:
            return None
        if self._read is None or self._read[:2] != (path, content):
            self._read = path, content, decode(Run, json.loads(content), path)
        return self._read[2]

    def report(self, trouble: str) -> None:
        """Keep a violation, once."""
        number = trouble.split(":", maxsplit=1)[0]
        alike = sum(one.startswith(f"{number}:") for one in self.broken)
        if trouble not in self.broken and alike < MOST:
            self.broken.append(trouble)
            self.world.tell("VIOLATION", trouble)
        if number == self.until:
            self.world.schedule.over = True


def documents_stay_small(safety: Safety, path: str) -> Iterator[str]:
    """13: no document grows beyond what one request carries."""
    size = len(safety.world.ledger.peek(path) or b"")
    if size > DOCUMENT_BYTES:
        yield f"13: {path} has {size} bytes"


def unconditional_writes_are_hints(safety: Safety, path: str) -> Iterator[str]:
    """13: what is written over whatever is there is a mark or a request, or a fill's beginning."""
    if not path.startswith(("touched/", "requests/", FILLS)):
        yield f"13: {path} was written without naming its parent"


def an_ended_run_stays(safety: Safety, path: str) -> Iterator[str]:
    """5: a terminal run never changes again, wherever it lies.

    A create that was under way for long may bring it back as it began: it goes no further.
    """
    run = safety.run_at(path)
    if run is None:
        return
    before = safety.ended.get(run.id)
    as_it_began = run.status == "waiting" and not run.attempt and not run.job
    if before is not None and run.status != before and not as_it_began:
        yield f"5: run {run.id} was {before} and is {run.status}"
    if run.status in RUN_TERMINAL:
        safety.ended.setdefault(run.id, run.status)


def complete_results_are_kept(safety: Safety, path: str) -> Iterator[str]:
    """1: a run does not go on to another job when the one that it names has finished it."""
    run, world = safety.run_at(path), safety.world
    if run is None:
        return
    job = safety.named.pop(run.id, "")
    if run.status == "assigned":
        safety.named[run.id] = run.job or ""
    elif job and run.status in ("waiting", "failed"):
        if manifest_of(world, replace(run, job=job)).get("status") != "succeeded":
            return
        landed = world.results.landed(c.manifest_path(job, run.id))
        if landed and world.schedule.now - landed > MARGIN:
            yield f"1: run {run.id} is {run.status}, and {job} has finished it: {run.reason}"


def one_run_a_slot(safety: Safety, path: str) -> Iterator[str]:
    """11: a revision waits for the end of the one before."""
    run = safety.run_at(path)
    if run is None or run.kind == "adhoc" or not path.startswith(RUNS):
        return
    ledger, stem = safety.world.ledger, run.id.removesuffix(f"-r{run.revision}")
    for other in (*ledger.paths(f"{RUNS}live"), *ledger.paths(f"{RUNS}backfill")):
        if other != path and other.rpartition("-r")[0].endswith(f"/{stem}"):
            before = ledger.peek(other) or b""
            if json.loads(before)["status"] not in RUN_TERMINAL:
                yield f"11: {path} and {other} judge one slot at once"


def a_disabled_hunt_starts_nothing(safety: Safety, path: str) -> Iterator[str]:
    """11: who began after a hunt was disabled starts no run of it, unless somebody asks for it."""
    world, call = safety.world, safety.world.schedule.current
    run = safety.run_at(path)
    if run is None or run.kind != "live" or not path.startswith(RUNS) or call is None:
        return
    since = world.upkeep.disabled.get(run.hunt)
    before = f"{run.id.removesuffix(f'-r{run.revision}')}-r{run.revision - 1}"
    if since is not None and call.began > since and before not in world.upkeep.again:
        yield f"11: hunt {run.hunt} is disabled, and run {run.id} starts"


def the_pause_is_seen(safety: Safety, path: str) -> Iterator[str]:
    """8: who began after the pause did starts no job."""
    call = safety.world.schedule.current
    if path == PAUSE:
        safety.paused_at = safety.world.schedule.now
    if not path.startswith((JOBS, "job-")) or safety.world.ledger.peek(PAUSE) is None:
        return
    if call and safety.paused_at and call.began > safety.paused_at:
        yield f"8: everything is paused, and {path} starts"


def it_is_told_before_it_is_put_away(safety: Safety, path: str) -> Iterator[str]:
    """9: a run that has ended has its health row, sent or owed, before it is out of sight."""
    run = safety.run_at(path) if path.startswith("done/") else None
    if run is None:
        return
    safety.told.look()
    content = safety.world.ledger.peek(OWED)
    owed = decode(Owed, json.loads(content), OWED) if content else Owed()
    of_owed = {row.get("RunId") for row in owed.rows if row["Kind"] == RUN_ENDED}
    if not safety.told.says(run) and run.id not in of_owed and not owed.lost:
        yield f"9: run {run.id} has ended, is put away, and no row says so"


def a_run_wakes_up(safety: Safety, path: str) -> Iterator[str]:
    """9: a run that has not ended has its next step ahead, or says what it waits for."""
    run = safety.run_at(path)
    if run is None or run.status in RUN_TERMINAL:
        return
    settings = safety.world.base.settings
    if safety.capped.saw(run):
        safety.caps_met.add("bytes")
    most = {
        "waiting": max(settings.coalesce_seconds, 32 * settings.retry_seconds),
        "delivering": max(900.0, settings.readback_seconds, 3600.0 if run.reason else 0.0),
        "held": 3600.0,
        "assigned": 0.0,
    }[run.status]
    ahead = (run.next_at or safety.world.schedule.now) - safety.world.schedule.now
    if ahead > timedelta(seconds=most) + MARGIN:
        yield f"9: run {run.id} is {run.status} and wakes up in {ahead} only"
    if run.status == "held" and not run.reason:
        yield f"9: run {run.id} is held and does not say why"


def one_post_a_job(safety: Safety, job_id: str) -> Iterator[str]:
    """4: a job id is used for one POST, ever."""
    posts = Counter(request.job_id for request in safety.world.pool.requests)
    if posts[job_id] > 1:
        yield f"4: {posts[job_id]} POSTs of {job_id}"


def one_live_job_a_run(safety: Safety, job_id: str) -> Iterator[str]:
    """4: two live jobs of a run only where a stall hid the POST of one from those who looked, or
    where a person released a run whose job did not end."""
    world = safety.world
    mine = planned_runs(world, job_id)
    for other in world.pool.alive():
        twice = mine & planned_runs(world, other.job_id) if other.job_id != job_id else set()
        twice -= world.upkeep.released
        hidden = [
            fault
            for fault in world.faults.fired
            if fault.kind.startswith("stalled") and (job_id in fault.subject + fault.run_id
            or other.job_id in fault.subject)
        ]  # fmt: skip
        if twice and not hidden:
            yield f"4: {job_id} and {other.job_id} are both alive for {sorted(twice)[0]}"


def rows_come_from_the_named_job(safety: Safety, _size: str) -> Iterator[str]:
    """5: only the job that the run names is delivered."""
    world = safety.world
    for row in world.sink.rows[-1:]:
        for kind in RUN_KINDS:
            run = safety.run_at(f"active/runs/{kind}/{row['RunId']}.json")
            if run and row["CodeHash"] != code_of(run.job or ""):
                yield f"5: rows of run {run.id} come from another job than {run.job}"


def the_analyst_wins(safety: Safety, incident_id: str) -> Iterator[str]:
    """6: what an analyst wrote last stays, and what an analyst deleted does not come back."""
    world = safety.world
    for key, incident in world.incidents.incidents.items():
        if key[1] != incident_id:
            continue
        for name, wrote in world.analyst.wrote.get(key, {}).items():
            held: Any = incident.properties.get(name)
            kept = all(label in held for label in wrote) if name == LABELS else held == wrote
            if not kept:
                yield f"6: incident {incident_id}: {name} is {held}, the analyst wrote {wrote}"
        if key in world.analyst.deleted:
            yield f"6: incident {incident_id} was deleted by an analyst and is back"
        safety.created.setdefault(incident_id, world.schedule.now)


Check = Callable[[Safety, str], Iterator[str]]
_DOCUMENT: tuple[Check, ...] = (
    documents_stay_small,
    an_ended_run_stays,
    a_run_wakes_up,
    complete_results_are_kept,
    spend.a_day_keeps_its_caps,
)
CHECKS: dict[str, tuple[Check, ...]] = {
    "ledger.create": (
        *_DOCUMENT,
        one_run_a_slot,
        a_disabled_hunt_starts_nothing,
        the_pause_is_seen,
        it_is_told_before_it_is_put_away,
        spend.a_run_was_reserved,
        spend.backfill_keeps_its_quarter,
    ),
    "ledger.replace": _DOCUMENT,
    "ledger.delete": (marks.a_mark_was_heeded,),
    "ledger.put": (documents_stay_small, unconditional_writes_are_hints),
    "engine.submit": (
        one_post_a_job,
        one_live_job_a_run,
        the_pause_is_seen,
        spend.a_job_was_reserved,
        foreign.a_job_runs_our_code,
    ),
    "sink.send": (
        rows_come_from_the_named_job,
        spend.bytes_were_reserved,
        spend.backfill_leaves_room,
    ),
    "incidents.put": (
        the_analyst_wins,
        spend.an_incident_was_reserved,
        spend.silent_runs_open_none,
    ),
    "incidents.comment": (the_analyst_wins, spend.silent_runs_open_none),
}
