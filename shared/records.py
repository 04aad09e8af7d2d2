"""The ledger's documents and where they lie. State is in the path: a year costs what a week costs.

turn.json                                 claim and heartbeat
owner.json                                the deployment that this ledger belongs to
sweep.json                                when the lake was listed last, by tier
recent.json                               the runs that ended last
hunts/<guid>/<workspace>.json             one hunt's time line in one workspace
active/runs/<kind>/<run id>.json          unfinished runs
active/jobs/<job id>.json                 unfinished jobs
done/y=/m=/d=/<id>.json                   finished runs and jobs; the day is part of the id
touched/<workspace>/<table>/<hour>        marks: an event said that this hour changed
days/<workspace>/<table>/<day>.json       what each hour of a day holds, and its columnar copy
budget/<day>.json                         what the day has spent
cases/<2 hex>/<case key>.json             what is remembered of a case
requests/<id>.json                        what HTTP asked for
health/ignored.json                       tables and events that nobody hunts on, said once
health/arrivals.json                      what events told of lately, and each table's newest hour
health/alarms.json                        what stands still or is silent
health/owed.json                          health rows and messages that nobody took yet
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from shared.contract import workspace_key
from shared.documents import decode, encode
from shared.errors import BadInput, Conflict
from shared.model import Budget, Case, Job, Json, Recent, Run
from shared.ports import Ledger
from shared.timeline import DayRecord, HuntRecord

log = logging.getLogger("tidehunt.records")
T = TypeVar("T")
RUNS = "active/runs/"
JOBS = "active/jobs/"
MARKS = "touched/"
REQUESTS = "requests/"
SWEEPS = "sweep.json"
RECENT = "recent.json"
RECENT_RUNS = 50


@dataclass(frozen=True)
class Kept(Generic[T]):
    """A typed document as it was read: what it holds, where, and the version; None: not there."""

    path: str
    value: T
    etag: str | None


def run_path(run: Run) -> str:
    """Where an unfinished run lies."""
    return f"{RUNS}{run.kind}/{run.id}.json"


def job_path(job_id: str) -> str:
    """Where an unfinished job lies."""
    return f"{JOBS}{job_id}.json"


def done_path(item_id: str) -> str:
    """Where a finished run or job lies: its id begins with, or after `job-`, a day."""
    day = item_id.removeprefix("job-")[:8]
    return f"done/y={day[:4]}/m={day[4:6]}/d={day[6:]}/{item_id}.json"


def hunt_path(guid: str, workspace: str) -> str:
    """Where a hunt's time line in a workspace lies."""
    return f"hunts/{guid}/{workspace_key(workspace)}.json"


def mark_path(workspace: str, table: str, hour: str) -> str:
    """Where an event marks an hour as changed."""
    return f"{MARKS}{workspace_key(workspace)}/{table}/{hour}"


def day_path(workspace: str, table: str, day: str) -> str:
    """Where a table's day is described."""
    return f"days/{workspace_key(workspace)}/{table}/{day}.json"


def case_path(key: str) -> str:
    """Where a case is remembered."""
    return f"cases/{hashlib.sha256(key.encode()).hexdigest()[:2]}/{key}.json"


class Records:
    """Typed reads and conditional writes of the ledger's documents."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger

    def load(self, kind: type[T], path: str) -> Kept[T] | None:
        """The document, or None. BadInput when it cannot be used."""
        document = self.ledger.read(path)
        if document is None:
            return None
        return Kept(path, decode(kind, document.body, path), document.etag)

    def save(self, kept: Kept[T], value: T) -> Kept[T]:
        """Write over the version that was read, or create it. Conflict when somebody else did."""
        body = encode(value)
        if kept.etag is None:
            return Kept(kept.path, value, self.ledger.create(kept.path, body))
        if value == kept.value:
            return kept
        return Kept(kept.path, value, self.ledger.replace(kept.path, body, kept.etag))

    def usable(self, kind: type[T], paths: Iterable[str]) -> Iterator[Kept[T]]:
        """The documents that can be used; a broken one is said and left alone."""
        for path in paths:
            try:
                kept = self.load(kind, path)
            except BadInput as error:
                log.error("quarantined: %s", error)
                continue
            if kept is not None:
                yield kept

    def finish(self, kept: Kept[T], item_id: str) -> None:
        """Put a terminal document away: `done` first, then `active`; both there: done wins."""
        try:
            self.ledger.create(done_path(item_id), encode(kept.value))
        except Conflict:
            log.info("already put away: %s", item_id)
        self.ledger.delete(kept.path)

    def remember(self, run_id: str) -> None:
        """Put a run at the head of those that ended last."""
        try:
            kept = self.load(Recent, RECENT) or Kept(RECENT, Recent(), None)
        except BadInput as error:
            log.error("quarantined: %s", error)
            return
        ids = (run_id, *(one for one in kept.value.runs if one != run_id))
        self.save(kept, Recent(ids[:RECENT_RUNS]))

    def recent(self) -> list[Run]:
        """The runs that ended last, newest first."""
        ids = [one for kept in self.usable(Recent, [RECENT]) for one in kept.value.runs]
        return [kept.value for kept in self.usable(Run, map(done_path, ids))]

    def find_run(self, run_id: str) -> Kept[Run] | None:
        """A run wherever it is: finished, or active in any class."""
        done = self.load(Run, done_path(run_id))
        if done is not None:
            return done
        for kind in ("live", "adhoc", "backfill"):
            found = self.load(Run, f"{RUNS}{kind}/{run_id}.json")
            if found is not None:
                return found
        return self.load(Run, done_path(run_id))

    def hunt(self, guid: str, workspace: str) -> Kept[HuntRecord]:
        """A hunt's time line; an empty one when it has none yet."""
        path = hunt_path(guid, workspace)
        return self.load(HuntRecord, path) or Kept(path, HuntRecord(guid, workspace), None)

    def day(self, workspace: str, table: str, day: str) -> Kept[DayRecord]:
        """A table's day; an empty one when nothing is known."""
        path = day_path(workspace, table, day)
        return self.load(DayRecord, path) or Kept(path, DayRecord(workspace, table, day), None)

    def budget(self, day: str) -> Kept[Budget]:
        """What a UTC day has spent."""
        path = f"budget/{day}.json"
        return self.load(Budget, path) or Kept(path, Budget(day), None)

    def case(self, key: str, hunt_guid: str, workspace: str) -> Kept[Case]:
        """What is remembered of a case; an empty one when nothing is."""
        path = case_path(key)
        return self.load(Case, path) or Kept(path, Case(key, hunt_guid, workspace), None)

    def runs(self) -> list[Kept[Run]]:
        """Every unfinished run that can be used."""
        return list(self.usable(Run, self._listed(RUNS)))

    def jobs(self) -> list[Kept[Job]]:
        """Every unfinished job that can be used."""
        return list(self.usable(Job, self._listed(JOBS)))

    def _listed(self, folder: str) -> list[str]:
        """Paths of a whole listing, taken before any of its documents is read."""
        return [entry.path for entry in self.ledger.list(folder)]


def mark(ledger: Ledger, workspace: str, table: str, hour: str, at: datetime) -> None:
    """Mark an hour as changed: one unconditional write, so that no wake-up is lost."""
    body: Json = {"schema": 1, "workspace": workspace, "at": at.isoformat()}
    ledger.put(mark_path(workspace, table, hour), body)
