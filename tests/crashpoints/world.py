"""A deployment in memory that goes beat by beat, can be put back, and breaks at a chosen request.

A beat is two minutes: the world outside does something, what has to reach the app is called until
it was answered, the timer fires. Between two beats the world is data: `moment` and `put_back`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from shared import control_loop, events, fills, requests
from shared.deployment import Deployment
from shared.errors import BadInput, OutcomeUnknown, TidehuntError, Transient
from shared.model import StorageEvent
from tests.simulation.faults import acts
from tests.unit.house import Crash, House

BEAT = 120.0
PATIENCE = timedelta(hours=4)
"""So long after its start a script must be over, whatever broke."""
Kind = Literal["crash before", "crash after", "answer lost", "request lost"]
WRITES: tuple[Kind, ...] = ("crash before", "crash after", "answer lost", "request lost")
READS: tuple[Kind, ...] = ("crash before", "request lost")
"""Without an effect, before and after are one, and so are a lost request and a lost answer."""
Errand = tuple[str, str]
"""What has to reach the app: its kind and its subject. It is repeated until it was answered."""
Moment = list[dict[str, Any]]
Armed = Mapping[int, Kind]
"""Number of a request in a beat -> what becomes of it."""


@dataclass(frozen=True)
class Seen:
    """A request of a beat, counted from 1."""

    number: int
    operation: str
    subject: str
    kinds: tuple[Kind, ...]
    """What can become of it: more when it had an effect."""


@dataclass(frozen=True)
class Fired:
    """A fault that fired. `after` is the request before it."""

    number: int
    kind: Kind
    operation: str
    subject: str
    after: str

    def __str__(self) -> str:
        return f"{self.kind} of request {self.number}, {self.operation} {self.subject}".strip()

    @property
    def repeats_rows(self) -> bool:
        """Whether rows were taken and nobody could write that down: the only cause of repeats."""
        if self.operation == "sink.send":
            return self.kind in ("crash after", "answer lost")
        unsaved = self.kind in ("crash before", "request lost")
        return self.after == "sink.send" and self.operation == "ledger.replace" and unsaved


@dataclass
class Progress:
    """What of a world is neither in a store nor in the app."""

    errands: list[Errand] = field(default_factory=list)
    happened: list[str] = field(default_factory=list)
    """What the script did already."""
    wrote: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Incident id -> what an analyst wrote last."""
    ended: dict[str, str] = field(default_factory=dict)
    """Run id -> how it ended."""
    broken: list[str] = field(default_factory=list)
    """Invariants that did not hold on the way."""


@dataclass
class World:
    """One script's world."""

    home: House
    outside: Callable[[World], None]
    """What the world outside does at the start of a beat."""
    over: Callable[[World], bool]
    """Whether all that the script promises has happened."""
    progress: Progress = field(default_factory=Progress)
    watch: Callable[[World, str, str], None] = lambda *_: None
    """Told of each effect, before its answer is lost."""
    armed: Armed = field(default_factory=dict)
    fired: list[Fired] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    """The requests of this beat."""
    tell: Callable[[str], None] | None = None

    def __post_init__(self) -> None:
        self.dead = False
        self.crashes, self.last = 0, ""
        self.home.wire.hook = self._hook
        self.start = self.now()

    # --- time -------------------------------------------------------------------------------------

    def now(self) -> datetime:
        """The one clock."""
        return self.home.clock()

    def beat(self) -> None:
        """The world outside, then the app."""
        self.seen, self.crashes = [], 0
        self.outside(self)
        for errand in list(self.progress.errands):
            if self._call(" ".join(errand), _ERRANDS[errand[0]], errand[1]):
                self.progress.errands.remove(errand)
        self._call("tick", lambda home, _: control_loop.take_turn(home), "")
        self.home.clock.forward(BEAT)
        self.armed = {}

    @property
    def number(self) -> int:
        """The number of the next beat, from 1."""
        return 1 + int((self.now() - self.start).total_seconds() // BEAT)

    def at_rest(self) -> bool:
        """True when nothing is left to do."""
        busy = ("active/", "touched/", "requests/")
        paths = self.home.ledger.paths()
        left = self.progress.errands or any(path.startswith(busy) for path in paths)
        return not left and self.over(self)

    def late(self) -> bool:
        """True when a script takes too long."""
        return self.now() - self.start > PATIENCE

    def once(self, what: str) -> bool:
        """True the first time that a script asks."""
        if what in self.progress.happened:
            return False
        self.progress.happened.append(what)
        self.say(f"outside: {what}")
        return True

    def say(self, what: str) -> None:
        """A line of the story."""
        if self.tell is not None:
            self.tell(f"{self.now():%H:%M} {what}")

    # --- the app ----------------------------------------------------------------------------------

    def _call(self, what: str, work: Callable[[Deployment, str], object], subject: str) -> bool:
        """One call into the process that lives; True when it was answered."""
        # No process relies on its name for longer than a call: each beat and crash has another.
        owner = f"host-{self.now():%H%M}-{self.crashes}"
        host = replace(self.home.deployment, owner=owner)
        self.say(f"{owner}: {what}")
        self.last = ""
        try:
            work(host, subject)
        except Crash:
            self.crashes += 1
            self.dead = False
            self._forget()
            return False
        except BadInput as error:
            self.say(f"refused: {error}")
        except TidehuntError as error:
            self.say(f"not answered: {error}")
            return False
        return True

    def _forget(self) -> None:
        """The process that comes next knows nothing of what the dead one knew."""
        self.home.deployment.heard.last_turn = None
        self.home.deployment.records.quarantine.met.clear()

    def _hook(self, phase: str, operation: str, subject: str) -> None:
        if self.dead:
            raise Crash
        if phase == "before":
            self.seen.append(Seen(len(self.seen) + 1, operation, subject, READS))
            if self.tell is not None and acts(operation):
                self.say(f"    {len(self.seen)} {operation} {subject}")
        elif acts(operation):
            self.seen[-1] = replace(self.seen[-1], kinds=WRITES)
            self.watch(self, operation, subject)
        kind = self.armed.get(len(self.seen))
        if kind is not None and (kind in ("crash after", "answer lost")) == (phase == "after"):
            self._fire(kind)
        if phase == "after":
            self.last = operation

    def _fire(self, kind: Kind) -> None:
        seen = self.seen[-1]
        fired = Fired(seen.number, kind, seen.operation, seen.subject, self.last)
        self.fired.append(fired)
        self.say(f"    FAULT {fired}")
        self.last = seen.operation
        if kind.startswith("crash"):
            self.dead = True
            raise Crash
        if acts(seen.operation):
            raise OutcomeUnknown("no answer")
        raise Transient("no answer")

    # --- moments ----------------------------------------------------------------------------------

    def moment(self) -> Moment:
        """Everything that there is now."""
        return [_copied(vars(one)) for one in self._stores()]

    def put_back(self, moment: Moment) -> None:
        """Let it be then again. No table may have come since."""
        for one, kept in zip(self._stores(), moment, strict=True):
            vars(one).update(_copied(kept))
        self.fired, self.armed = [], {}

    def key(self) -> tuple[int, ...]:
        """Equal for worlds whose future is the same: 64 bits a store.

        ETags are left out, since no process lives on that could have read one, and how often
        something was told, since only once is asked for.
        """
        home = self.home
        blobs = (home.ledger._blobs.held, home.results._blobs.held)
        lake = (table.held for table in home.exports._tables.values())
        return (
            *(hash(frozenset((path, one.content) for path, one in held.items())) for held in blobs),
            *(hash(frozenset((path, one.etag) for path, one in held.items())) for held in lake),
            *map(hash, (home.clock.now, self.told(), home.deployment.heard.last_turn)),
            _hashed(home.deployment.records.quarantine.met),
            *map(_hashed, (vars(self.progress), home.engine.jobs, home.engine.requests)),
            *map(_hashed, (home.sink.rows, home.sink.payloads, home.incidents.comments)),
            _hashed({name: one.properties for name, one in home.incidents.incidents.items()}),
        )

    def told(self) -> frozenset[str]:
        """What playbooks and the health table were told of runs, once or more often."""
        rows = [row for row in self.home.health.rows if "RunId" in row]
        messages = [event_id for event_id, *_ in self.home.notifier.events]
        return frozenset([*messages, *(f"{row['RunId']} {row['Status']}" for row in rows)])

    def _stores(self) -> list[object]:
        home = self.home
        blobs = [home.ledger._blobs, home.results._blobs, *home.exports._tables.values()]
        services = [home.engine, home.sink, home.health, home.incidents, home.notifier]
        memory = [home.deployment.heard, home.deployment.records.quarantine]
        return [home.clock, self.progress, *memory, *blobs, *services]


def _copied(thing: Any) -> Any:
    """Its containers are new, what they hold is shared: nothing in them ever changes in place."""
    if isinstance(thing, dict):
        return {key: _copied(value) for key, value in thing.items()}
    return list(thing) if isinstance(thing, list) else thing


def _hashed(thing: Any) -> int:
    if isinstance(thing, dict | list):
        return hash(repr(thing))
    return hash(thing)


# --- errands --------------------------------------------------------------------------------------


def _event(host: str, container: str, path: str) -> StorageEvent:
    return StorageEvent("1", "Microsoft.Storage.BlobCreated", container, path, host)


def _export_landed(home: Deployment, subject: str) -> None:
    container, path = subject.split("/", 1)
    events.export_blob_created(home, _event(home.settings.exports_account, container, path))


def _result_landed(home: Deployment, subject: str) -> None:
    events.result_created(home, _event(home.settings.state_account, "results", subject))


def _cancel(home: Deployment, subject: str) -> None:
    requests.ask_change(home, "cancel", subject, "not needed")


def _fill(home: Deployment, subject: str) -> None:
    planned = fills.plan_fills(
        home, hunt=subject, workspace=None, first=None, last=None, incidents=False
    )
    fills.leave(home, planned)


_ERRANDS: dict[str, Callable[[Deployment, str], object]] = {
    "export": _export_landed,
    "result": _result_landed,
    "cancel": _cancel,
    "fill": _fill,
}
