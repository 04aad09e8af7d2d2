"""What was done long ago: from `done/` into one file a month, and how it is found there.

A folder of `done/` is a day; `archive/due.json` says from when on all in it has ended for 35 days.
A turn moves at most BATCH documents: written to the month first, deleted then. A crash in between
finds them in the month by their ids, and only deletes. A month is gzip members of JSON lines, as
they were written; a document that cannot be used stays where it is.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import zlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from shared.bookkeeping import Aging
from shared.contract import day_key
from shared.deployment import Turn
from shared.documents import decode
from shared.errors import BadInput, Conflict, Quarantined, TidehuntError
from shared.model import Entry, Job, Json, Run
from shared.records import AGING, ENDED_FOR, Kept, Records, done_path, kind_of

log = logging.getLogger("tidehunt.archive")
BATCH = 100
DONE = "done/"
_FOLDER = re.compile(r"done/y=(\d{4})/m=(\d{2})/d=(\d{2})")
Old = tuple[Entry, Kept[Run | Job]]


def month_path(folder: str) -> str:
    """Where a day's folder of `done/` is archived."""
    return f"{folder.replace(DONE, 'archive/', 1).rpartition('/')[0]}.jsonl.gz"


def put_by(turn: Turn) -> None:
    """Archive a batch of what has been old for the longest time, if anything is."""
    records, today = turn.deployment.records, day_key(turn.now())
    kept = records.the_one(Aging(), AGING)
    if kept is None:
        return
    if not kept.value.looked:
        kept = records.save(kept, _first_look(records, kept.value))
    ripe = sorted((day, folder) for folder, day in kept.value.due.items() if day <= today)
    for _, folder in ripe[:1]:
        if _archived(turn, folder):
            rest = {one: day for one, day in kept.value.due.items() if one != folder}
            records.save(kept, replace(kept.value, due=rest))


def _first_look(records: Records, aging: Aging) -> Aging:
    """What lies in `done/` since before anything was archived, listed once for ever."""
    due: dict[str, str] = defaultdict(str)
    for entry in records.ledger.list(DONE):
        folder = entry.path.rpartition("/")[0]
        if _FOLDER.fullmatch(folder):
            due[folder] = max(due[folder], day_key(entry.modified + ENDED_FOR))
    return Aging({**due, **aging.due}, looked=True)


def _archived(turn: Turn, folder: str) -> bool:
    """Move a batch; True when nothing that can be moved is left in the folder."""
    records = turn.deployment.records
    batch = _batch(turn, folder)
    _append(records, month_path(folder), [kept for _, kept in batch])
    # A crash here, and the next turn finds the batch in the month already.
    for entry, _ in batch:
        if not turn.has_room():
            return False
        _drop(records, entry)
    return len(batch) < BATCH and turn.has_room()


def _batch(turn: Turn, folder: str) -> list[Old]:
    records, batch = turn.deployment.records, list[Old]()
    for entry in records.ledger.list(folder):
        if len(batch) == BATCH or not turn.has_room():
            break
        kind: type[Run] | type[Job] = Job if kind_of(entry.path) is Job else Run
        batch.extend((entry, kept) for kept in records.usable(kind, [entry.path]))
    return batch


def _drop(records: Records, entry: Entry) -> None:
    try:
        records.ledger.delete(entry.path, entry.etag)
    except Conflict:
        log.warning("stays, it has changed since it was archived: %s", entry.path)


def _append(records: Records, path: str, batch: Sequence[Kept[Run | Job]]) -> None:
    if not batch:
        return
    held, etag = _month(records, path)
    there = {str(body["id"]) for body in _bodies(records, path, held)}
    new = [kept for kept in batch if kept.value.id not in there]
    if new:
        lines = "".join(json.dumps(kept.whole()) + "\n" for kept in new)
        records.ledger.write_bytes(path, held + gzip.compress(lines.encode(), mtime=0), etag)


def _month(records: Records, path: str) -> tuple[bytes, str | None]:
    found = records.ledger.read_bytes(path)
    return (found.content, found.etag) if found else (b"", None)


def _bodies(records: Records, path: str, content: bytes) -> Iterator[Json]:
    """A month's documents. Quarantined when they cannot be read: it is never written over."""
    try:
        with gzip.open(io.BytesIO(content)) as lines:
            for line in lines:
                yield json.loads(line)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise records.quarantine.put(path, BadInput(f"no archive: {error}")) from error
    records.quarantine.free(path)


# --- finding --------------------------------------------------------------------------------------


def ended_run(records: Records, run_id: str, now: datetime) -> Kept[Run] | None:
    """A run that has ended, however long ago; a month is read only for what may lie in it."""
    path = done_path(run_id)
    return records.load(Run, path) or _archived_run(records, run_id, now)


def take_away(records: Records, kept: Kept[Run], now: datetime) -> bool:
    """True for a waiting run that has ended before: it is no run any more, and costs no job.

    A request to create it that was under way for very long, its process stopped meanwhile, finds
    the place free.
    """
    run = kept.value
    try:
        if run.attempt or ended_run(records, run.id, now) is None:
            return False
        log.warning("a late write brought %s back, which has ended: it is taken away", run.id)
        records.ledger.delete(kept.path, kept.etag)
    except Quarantined as error:
        log.warning("not known whether %s has ended, so it goes on: %s", run.id, error)
        return False
    except TidehuntError as error:
        log.warning("next turn again: %s", error)
    return True


def find_run(records: Records, run_id: str, now: datetime) -> Kept[Run] | None:
    """A run wherever it is: finished, active in any class, or archived."""
    return records.find_run(run_id) or _archived_run(records, run_id, now)


def _archived_run(records: Records, run_id: str, now: datetime) -> Kept[Run] | None:
    folder = done_path(run_id).rpartition("/")[0]
    if run_id[:8] > day_key(now - ENDED_FOR) or not _FOLDER.fullmatch(folder):
        return None
    path = month_path(folder)
    content, etag = _month(records, path)
    for body in _bodies(records, path, content):
        if body.get("id") == run_id:
            return Kept(path, decode(Run, body, path), etag, body)
    return None
