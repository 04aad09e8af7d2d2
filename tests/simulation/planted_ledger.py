"""Planted bugs of turns, marks and time lines: production code without one of its rules.

The first figure of a docstring is the invariant that tells.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import timedelta

from shared.control_loop import CLAIM
from shared.deployment import Deployment
from shared.documents import decode, encode
from shared.errors import Conflict
from shared.model import Document, Entry, Json, Run
from shared.records import MARKS, REQUESTS, RUNS, SWEEPS, Records
from shared.timeline import HuntRecord
from tests.simulation.through import LedgerThrough


def _over(home: Deployment, ledger: LedgerThrough) -> Deployment:
    return replace(home, records=Records(ledger))


def no_margin(home: Deployment) -> Deployment:
    """3: clocks differ."""
    return replace(home, settings=replace(home.settings, clock_margin_seconds=0.0))


def never_settles(home: Deployment) -> Deployment:
    """11: late data is judged again."""
    hunts = [replace(spec, settle_minutes=100_000.0) for spec in home.hunts]
    return replace(home, hunts=hunts)


def never_sweeps(home: Deployment) -> Deployment:
    """11: events may be lost."""
    return replace(home, settings=replace(home.settings, sweep_seconds=1e7))


@dataclass
class _NoClaim(LedgerThrough):
    """Lets these calls work as if nobody else did."""

    free: Callable[[], bool]

    def read(self, path: str) -> Document | None:
        return None if self._mine(path) else self.ledger.read(path)

    def create(self, path: str, body: Json) -> str:
        return "free" if self._mine(path) else self.ledger.create(path, body)

    def replace(self, path: str, body: Json, etag: str) -> str:
        return "free" if self._mine(path) else self.ledger.replace(path, body, etag)

    def _mine(self, path: str) -> bool:
        return path == CLAIM and self.free()


def claims_nothing(home: Deployment) -> Deployment:
    """3: one process acts at a time."""
    return _over(home, _NoClaim(home.records.ledger, lambda: True))


def delivers_outside_a_turn(home: Deployment) -> Deployment:
    """3: an event, too, takes a turn."""
    thread = threading.current_thread
    return _over(home, _NoClaim(home.records.ledger, lambda: thread().name == "event"))


class _WinsConflicts(LedgerThrough):
    def replace(self, path: str, body: Json, etag: str) -> str:
        try:
            return self.ledger.replace(path, body, etag)
        except Conflict:
            found = self.ledger.read(path)
            if found is None:
                return self.ledger.create(path, body)
            return self.ledger.replace(path, body, found.etag)


def ignores_etags(home: Deployment) -> Deployment:
    """5: every write names the version that was read."""
    return _over(home, _WinsConflicts(home.records.ledger))


class _CreatesMarks(LedgerThrough):
    def put(self, path: str, body: Json) -> str:
        if not path.startswith(MARKS):
            return self.ledger.put(path, body)
        try:
            return self.ledger.create(path, body)
        except Conflict:
            return "as it was"


def marks_only_once(home: Deployment) -> Deployment:
    """10: a mark is written over, or the second wake-up is lost."""
    return _over(home, _CreatesMarks(home.records.ledger))


class _ConsumesFirst(LedgerThrough):
    def list(self, prefix: str) -> Iterator[Entry]:
        found = list(self.ledger.list(prefix))
        for entry in found if prefix == MARKS else ():
            self.ledger.delete(entry.path)
        yield from found


def consumes_marks_first(home: Deployment) -> Deployment:
    """10: a mark is consumed when what it told of is saved."""
    return _over(home, _ConsumesFirst(home.records.ledger))


class _ForgetsRequests(LedgerThrough):
    def list(self, prefix: str) -> Iterator[Entry]:
        found = list(self.ledger.list(prefix))
        for entry in found if prefix == REQUESTS else ():
            yield entry
            self.ledger.delete(entry.path)
        yield from () if prefix == REQUESTS else found

    def create(self, path: str, body: Json) -> str:
        return self.ledger.create(path, body)


def consumes_requests_first(home: Deployment) -> Deployment:
    """10: what HTTP promised is consumed when its run is saved."""
    return _over(home, _ForgetsRequests(home.records.ledger))


@dataclass
class _TimeLines(LedgerThrough):
    """Changes time lines on their way."""

    read_as: Callable[[HuntRecord], HuntRecord] = lambda record: record
    write_as: Callable[[HuntRecord], HuntRecord] = lambda record: record
    phase: threading.local = field(default_factory=threading.local)

    def read(self, path: str) -> Document | None:
        found = self.ledger.read(path)
        if path in (CLAIM, SWEEPS):
            self.phase.starting = path == SWEEPS
        if found and path.startswith("hunts/") and getattr(self.phase, "starting", False):
            return replace(found, body=_changed(found.body, self.read_as))
        return found

    def create(self, path: str, body: Json) -> str:
        return self.ledger.create(path, self._written(path, body))

    def replace(self, path: str, body: Json, etag: str) -> str:
        return self.ledger.replace(path, self._written(path, body), etag)

    def _written(self, path: str, body: Json) -> Json:
        return _changed(body, self.write_as) if path.startswith("hunts/") else body


def _changed(body: Json, change: Callable[[HuntRecord], HuntRecord]) -> Json:
    return encode(change(decode(HuntRecord, body, "")))


def declares_no_gap(home: Deployment) -> Deployment:
    """11: a slot whose run failed is a declared gap."""

    def without(record: HuntRecord) -> HuntRecord:
        return replace(record, gaps=tuple(g for g in record.gaps if not g.reason.startswith("run")))

    return _over(home, _TimeLines(home.records.ledger, write_as=without))


def judges_busy_slots(home: Deployment) -> Deployment:
    """11: a revision waits for the end of the one before."""

    def unknown(record: HuntRecord) -> HuntRecord:
        slots = {key: replace(slot, run=f"~{slot.run}") for key, slot in record.slots.items()}
        return replace(record, slots=slots)

    def known(record: HuntRecord) -> HuntRecord:
        slots = {k: replace(s, run=s.run.removeprefix("~")) for k, s in record.slots.items()}
        return replace(record, slots=slots)

    return _over(home, _TimeLines(home.records.ledger, unknown, known))


class _BacksOff(LedgerThrough):
    def replace(self, path: str, body: Json, etag: str) -> str:
        if path.startswith(RUNS):
            run = decode(Run, body, path)
            if run.status == "waiting" and run.next_at and run.attempt + run.unused > 1:
                body = encode(replace(run, next_at=run.next_at + timedelta(hours=6)))
        return self.ledger.replace(path, body, etag)


def backs_off_for_hours(home: Deployment) -> Deployment:
    """9: a run that waits wakes up soon."""
    return _over(home, _BacksOff(home.records.ledger))


class _RemembersNoOpening(LedgerThrough):
    def read(self, path: str) -> Document | None:
        found = self.ledger.read(path)
        if found and path.startswith("cases/"):
            return replace(found, body={k: v for k, v in found.body.items() if k != "opened"})
        return found


def opens_what_was_deleted(home: Deployment) -> Deployment:
    """6: what an analyst deleted stays so."""
    return _over(home, _RemembersNoOpening(home.records.ledger))
