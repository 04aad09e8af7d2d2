"""What was done long ago: from `done/` into one file a month, and how it is found there.

A folder of `done/` is a day; `archive/due.json` says from when on all in it has ended for 35 days.
A turn moves at most BATCH documents: written to the month first, deleted then. A crash in between
finds them in the month by their ids, and only deletes. A month is gzip members of JSON lines, as
they were written; a document that cannot be used stays where it is. A month that is full goes on
in another file, long before it is more than one request reads.
"""

from __future__ import annotations

import gzip
import io
import json
import logging
import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.bookkeeping import Aging
from shared.contract import day_key
from shared.deployment import Turn
from shared.documents import decode
from shared.errors import BadInput, Conflict, Quarantined, TidehuntError, TooLarge
from shared.model import Entry, Job, Json, Run
from shared.quarantine import level
from shared.records import AGING, ENDED_FOR, Kept, Records, done_path, kind_of

log = logging.getLogger("tidehunt.archive")
BATCH = 100
DONE = "done/"
_FOLDER = re.compile(r"done/y=(\d{4})/m=(\d{2})/d=(\d{2})")
SUFFIX = ".jsonl.gz"
FULL = 16_000_000
"""Bytes from which on a month goes on in another file: half of what one request reads."""
Old = tuple[Entry, Kept[Run | Job]]


@dataclass(frozen=True)
class File:
    """A file of a month as it was read; without an ETag where there is none yet."""

    path: str
    content: bytes
    etag: str | None
    bodies: Sequence[Json]


def month_path(folder: str) -> str:
    """Where a day's folder of `done/` is archived."""
    return f"{folder.replace(DONE, 'archive/', 1).rpartition('/')[0]}{SUFFIX}"


def put_by(turn: Turn) -> None:
    """Archive a batch of what has been old for the longest time, if anything is.

    A month that cannot be read keeps its own days back, and no others.
    """
    records, today = turn.deployment.records, day_key(turn.now())
    kept = records.the_one(Aging(), AGING)
    if kept is None:
        return
    if not kept.value.looked:
        kept = records.save(kept, _first_look(records, kept.value))
    ripe = sorted((day, folder) for folder, day in kept.value.due.items() if day <= today)
    broken: set[str] = set()
    for _, folder in ripe:
        if month_path(folder) in broken or not turn.has_room():
            continue
        try:
            is_done = _archived(turn, folder)
        except Quarantined as error:
            broken.add(month_path(folder))
            log.log(level(error), "%s is not archived: %s", folder, error)
            continue
        if is_done:
            rest = {one: day for one, day in kept.value.due.items() if one != folder}
            records.save(kept, replace(kept.value, due=rest))
        return


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
    month = _month(records, month_path(folder))
    batch = _batch(turn, folder)
    _append(records, month, [kept for _, kept in batch])
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


def _append(records: Records, month: Sequence[File], batch: Sequence[Kept[Run | Job]]) -> None:
    there = {str(body["id"]) for file in month for body in file.bodies}
    new = [kept for kept in batch if kept.value.id not in there]
    if new:
        lines = "".join(json.dumps(kept.whole()) + "\n" for kept in new)
        last = month[-1]
        content = last.content + gzip.compress(lines.encode(), mtime=0)
        records.ledger.write_bytes(last.path, content, last.etag)


def _month(records: Records, path: str) -> list[File]:
    """A month's files; the last is the one to write to, and may not be there yet.

    Quarantined when one cannot be read: it is never written over.
    """
    files: list[File] = []
    while not files or len(files[-1].content) >= FULL:
        number = f".{len(files) + 1}" if files else ""
        files.append(_file(records, f"{path.removesuffix(SUFFIX)}{number}{SUFFIX}"))
    return files


def _file(records: Records, path: str) -> File:
    try:
        found = records.ledger.read_bytes(path)
        content, etag = (found.content, found.etag) if found else (b"", None)
        with gzip.open(io.BytesIO(content)) as lines:
            bodies = [json.loads(line) for line in lines]
    except (OSError, EOFError, ValueError, zlib.error, TooLarge) as error:
        raise records.quarantine.put(path, BadInput(f"no archive: {error}")) from error
    records.quarantine.free(path)
    return File(path, content, etag, bodies)


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
    for file in _month(records, month_path(folder)):
        for body in file.bodies:
            if body.get("id") == run_id:
                return Kept(file.path, decode(Run, body, file.path), file.etag, body)
    return None
