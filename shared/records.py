"""The ledger's documents and where they lie. State is in the path: a year costs what a week costs.

turn.json                                 claim and heartbeat
owner.json                                the deployment that this ledger belongs to
sweep.json                                when the lake was listed last, by tier
recent.json                               the runs that ended last
hunts/<guid>/<workspace>.json             one hunt's time line in one workspace
active/runs/<kind>/<run id>.json          unfinished runs
active/jobs/<job id>.json                 unfinished jobs
active/fills/<id>.json                    fills of gaps under way
fills.json                                the fills that ended last
done/y=/m=/d=/<id>.json                   finished runs and jobs; the day is part of the id
touched/<workspace>/<table>/<hour>        marks: an event said that this hour changed
days/<workspace>/<table>/<day>.json       what each hour of a day holds, and its columnar copy
budget/<day>.json                         what the day has spent
pools/<pool>.json                         the breaker of a pool that did not start jobs
pause.json                                why nothing new starts
cases/<2 hex>/<case key>.json             what is remembered of a case
requests/<id>.json                        what HTTP asked for
health/ignored.json                       tables and events that nobody hunts on, said once
health/arrivals.json                      what events told of lately, and each table's newest hour
health/alarms.json                        what stands still or is silent
health/owed.json                          health rows and messages that nobody took yet
health/quarantined.json                   documents that cannot be used, and why
archive/due.json                          which folders of done/ are archived when
archive/y=/m=.jsonl.gz                    what was done in a month, 35 days after it ended

Days, budgets and cases stay for ever: nothing lists them, and a run that a person asks for reads
days of any age. What there is one of has a spare, `<name>.spare.json`, in use while it is broken.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from shared.arrivals import Arrivals
from shared.bookkeeping import (
    Aging,
    Breaker,
    Budget,
    Claim,
    Ignored,
    Owner,
    Pause,
    Recent,
    Sweeps,
    Unusable,
)
from shared.contract import day_key, workspace_key
from shared.documents import decode, encode, encode_over
from shared.errors import BadInput, Conflict, Quarantined
from shared.model import Case, Job, Json, Request, Run
from shared.ports import Ledger
from shared.quarantine import UNUSABLE, Quarantine
from shared.timeline import DayRecord, Fill, Fills, HuntRecord
from shared.told import Alarms, Owed

log = logging.getLogger("tidehunt.records")
T = TypeVar("T")
RUNS = "active/runs/"
JOBS = "active/jobs/"
MARKS = "touched/"
REQUESTS = "requests/"
CASES = "cases/"
SWEEPS = "sweep.json"
RECENT = "recent.json"
IGNORED = "health/ignored.json"
AGING = "archive/due.json"
RECENT_RUNS = 50
ENDED_FOR = timedelta(days=36)
"""What ended stays in `done/` until 35 whole days have passed."""
_KINDS: tuple[tuple[str, type], ...] = (
    (RUNS, Run),
    (JOBS, Job),
    ("active/fills/", Fill),
    ("fills.", Fills),
    ("pools/", Breaker),
    ("pause.", Pause),
    (REQUESTS, Request),
    ("hunts/", HuntRecord),
    ("days/", DayRecord),
    ("budget/", Budget),
    (CASES, Case),
    ("turn.", Claim),
    ("owner.", Owner),
    ("sweep.", Sweeps),
    ("recent.", Recent),
    ("health/ignored.", Ignored),
    ("health/arrivals.", Arrivals),
    ("health/alarms.", Alarms),
    ("health/owed.", Owed),
    ("health/quarantined.", Unusable),
    ("archive/due.", Aging),
)


@dataclass(frozen=True)
class Kept(Generic[T]):
    """A typed document as it was read: what it holds, where, and the version; None: not there.

    `body` is the document itself: it may have what only a later version knows.
    """

    path: str
    value: T
    etag: str | None
    body: Json | None = field(default=None, compare=False, repr=False)

    def over(self, value: T) -> Json:
        """The document to write for a new value."""
        return encode(value) if self.body is None else encode_over(self.body, self.value, value)

    def whole(self) -> Json:
        """The document as it is, to be written elsewhere."""
        return self.over(self.value)


def spare(path: str) -> str:
    """What takes a document's place while it is broken."""
    return f"{path.removesuffix('.json')}.spare.json"


def kind_of(path: str) -> type | None:
    """What a document is, by where it lies; None for what is read as bytes or not at all."""
    if path.startswith("done/"):
        return Job if "/job-" in path else Run
    return next((kind for start, kind in _KINDS if path.startswith(start)), None)


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
    return f"{CASES}{hashlib.sha256(key.encode()).hexdigest()[:2]}/{key}.json"


class Records:
    """Typed reads and conditional writes of the ledger's documents."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.quarantine = Quarantine()

    def load(self, kind: type[T], path: str) -> Kept[T] | None:
        """The document, or None. Quarantined when it cannot be used."""
        try:
            kept = self._load(kind, path)
        except BadInput as error:
            raise self.quarantine.put(path, error) from error
        self.quarantine.free(path)
        return kept

    def _load(self, kind: type[T], path: str) -> Kept[T] | None:
        document = self.ledger.read(path)
        if document is None:
            return None
        value = decode(kind, document.body, path)
        return Kept(path, value, document.etag, document.body)

    def the_one(self, empty: T, path: str) -> Kept[T] | None:
        """What there is one of, empty at first; its spare while it is broken; None: both are."""
        for place in (path, spare(path)):
            try:
                return self.load(type(empty), place) or Kept(place, empty, None)
            except Quarantined:
                continue
        return None

    def is_usable(self, path: str) -> bool:
        """Look at a document again; the quarantine knows what came of it."""
        kind = kind_of(path)
        try:
            return kind is None or self.load(kind, path) is not None
        except Quarantined:
            return False

    def tell_quarantine(self) -> None:
        """Write down what cannot be used, for those who ask another process."""
        kept = self.the_one(Unusable(), UNUSABLE)
        if kept is not None:
            listed = self.quarantine.listed(kept.value.documents, self.is_usable)
            if listed != kept.value.documents:
                self.save(kept, Unusable(listed))

    def save(self, kept: Kept[T], value: T) -> Kept[T]:
        """Write over the version that was read, or create it. Conflict when somebody else did."""
        if kept.etag is not None and value == kept.value:
            return kept
        body = kept.over(value)
        if kept.etag is None:
            return Kept(kept.path, value, self.ledger.create(kept.path, body), body)
        return Kept(kept.path, value, self.ledger.replace(kept.path, body, kept.etag), body)

    def usable(self, kind: type[T], paths: Iterable[str]) -> Iterator[Kept[T]]:
        """The documents that can be used; a broken one is said and left alone."""
        for path in paths:
            try:
                kept = self.load(kind, path)
            except Quarantined:
                continue
            if kept is not None:
                yield kept

    def finish(self, kept: Kept[Run] | Kept[Job], item_id: str) -> None:
        """Put a terminal document away: `done` first, then `active`; both there: done wins."""
        path = done_path(item_id)
        self._remember_age(path.rpartition("/")[0], kept.value.since)
        # A crash here leaves a folder that is looked at once for nothing.
        try:
            self.ledger.create(path, kept.whole())
        except Conflict:
            log.info("already put away: %s", item_id)
        self.ledger.delete(kept.path)

    def _remember_age(self, folder: str, ended: datetime) -> None:
        """When what lies in a folder of `done/` will be old: 36 days after the last that came."""
        day = day_key(ended + ENDED_FOR)
        kept = self.the_one(Aging(), AGING)
        if kept is not None and kept.value.due.get(folder, "") < day:
            self.save(kept, replace(kept.value, due={**kept.value.due, folder: day}))

    def remember(self, run_id: str) -> None:
        """Put a run at the head of those that ended last."""
        kept = self.the_one(Recent(), RECENT)
        if kept is not None:
            ids = (run_id, *(one for one in kept.value.runs if one != run_id))
            self.save(kept, Recent(ids[:RECENT_RUNS]))

    def recent(self) -> list[Run]:
        """The runs that ended last, newest first."""
        kept = self.the_one(Recent(), RECENT)
        ids = kept.value.runs if kept else ()
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

    def unreadable_runs(self) -> set[str]:
        """Ids of unfinished runs that were met and cannot be used: their slots wait for them."""
        paths = [path for path in self.quarantine.met if path.startswith(RUNS)]
        return {path.rpartition("/")[2].removesuffix(".json") for path in paths}

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
