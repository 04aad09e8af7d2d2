"""Marks and listings -> what each day of each table holds -> which slots of which hunts changed.

Order within a batch: touch the hunts, save the days, delete the marks. A crash after any step
repeats the earlier ones, which changes nothing but a time; the other order would lose a wake-up.
"""

from __future__ import annotations

import hashlib
import logging
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared import schedule
from shared.contract import (
    day_key,
    export_container,
    export_day_folder,
    export_hour_folder,
    hour_start,
    is_hour_key,
    parse_export_blob,
)
from shared.deployment import Deployment, Turn
from shared.errors import Conflict
from shared.model import BlobStat, DayRecord, Entry, Hour, Ignored, Sweeps
from shared.records import MARKS, Kept, mark

log = logging.getLogger("tidehunt.intake")
OLDEST_MARK = timedelta(days=35)
FUTURE_MARK = timedelta(hours=1)
HOURS_LISTED_ALONE = 3
"""Up to this many hours of a day are listed one by one; more by one listing of the day."""
_MARK = re.compile(rf"{MARKS}(?P<workspace>[^/]+)/(?P<table>[^/]+)/(?P<hour>\d{{10}})")


@dataclass
class Batch:
    """Days whose content changed, the hours that did, and the marks that told of them."""

    days: list[tuple[Kept[DayRecord], DayRecord]] = field(default_factory=list)
    hours: dict[tuple[str, str], set[str]] = field(default_factory=lambda: defaultdict(set))
    marks: list[Entry] = field(default_factory=list)


def mark_export(deployment: Deployment, container: str, path: str) -> str:
    """Mark the hour that an export blob's event names; the reason when it is ignored, else "".

    One unconditional write for a known workspace, a hunted table and an hour between 35 days ago
    and one hour ahead; nothing else, so that the number of marks is bounded whatever comes in.
    """
    blob = parse_export_blob(container, path)
    if blob is None:
        return "no export blob"
    if blob.workspace not in deployment.settings.workspaces:
        return "a workspace that is not in TIDEHUNT_WORKSPACES"
    if blob.table not in deployment.tables():
        return "a table that no hunt reads"
    now = deployment.clock()
    start = hour_start(blob.hour)
    if not now - OLDEST_MARK <= start <= now + FUTURE_MARK:
        return "an hour older than 35 days or in the future"
    mark(deployment.records.ledger, blob.workspace, blob.table, blob.hour, now)
    return ""


def take_marks(turn: Turn) -> int:
    """Fold every mark that there is room for; how many were taken."""
    batch = Batch()
    for (workspace, table, day), entries in _grouped(turn).items():
        if not turn.has_room():
            break
        hours = sorted({entry.path[-10:] for entry in entries})
        _observe(turn.deployment, batch, (workspace, table, day), hours)
        batch.marks.extend(entries)
    _apply(turn, batch)
    return len(batch.marks)


def _grouped(turn: Turn) -> dict[tuple[str, str, str], list[Entry]]:
    known = turn.deployment.workspaces()
    groups: dict[tuple[str, str, str], list[Entry]] = defaultdict(list)
    for entry in turn.deployment.records.ledger.list(MARKS):
        match = _MARK.fullmatch(entry.path)
        if match and match["workspace"] in known and is_hour_key(match["hour"]):
            groups[known[match["workspace"]], match["table"], match["hour"][:8]].append(entry)
        else:
            log.warning("mark of nothing known, removed: %s", entry.path)
            turn.deployment.records.ledger.delete(entry.path)
    return groups


def sweep(turn: Turn) -> bool:
    """List what events may have missed, when it is time; True when a listing was made.

    Today and yesterday every sweep; up to 35 days back every fourth (hourly by default).
    """
    records, now = turn.deployment.records, turn.now()
    kept = records.load(Sweeps, "sweep.json") or Kept("sweep.json", Sweeps(), None)
    every = timedelta(seconds=turn.deployment.settings.sweep_seconds)
    month = kept.value.month is None or now - kept.value.month >= 4 * every
    recent = kept.value.recent is None or now - kept.value.recent >= every
    if not (month or recent):
        return False
    days = [day_key(now - timedelta(days=n)) for n in range(36 if month else 2)]
    if not _sweep_days(turn, days):
        return True
    records.save(kept, Sweeps(recent=now, month=now if month else kept.value.month))
    return True


def _sweep_days(turn: Turn, days: Sequence[str]) -> bool:
    """True when all were listed before the turn's room ran out."""
    deployment = turn.deployment
    exported = set(deployment.exports.tables())
    _say_ignored(deployment, exported - deployment.tables())
    batch, complete = Batch(), True
    for workspace in deployment.settings.workspaces:
        for table in sorted(exported & deployment.tables()):
            for day in days:
                complete = complete and turn.has_room()
                if complete:
                    _observe(deployment, batch, (workspace, table, day))
    _apply(turn, batch)
    return complete


def refresh(turn: Turn, workspace: str, table: str, days: Iterable[str]) -> None:
    """List these days of one table whatever their age, as an ad-hoc run needs them."""
    batch = Batch()
    for day in days:
        _observe(turn.deployment, batch, (workspace, table, day))
    _apply(turn, batch)


def _observe(
    deployment: Deployment,
    batch: Batch,
    place: tuple[str, str, str],
    hours: Sequence[str] | None = None,
) -> None:
    """Compare a (workspace, table, day), or some of its hours, with what is recorded."""
    workspace, table, day = place
    blobs = _listed(deployment, workspace, table, day, hours)
    kept = deployment.records.day(workspace, table, day)
    seen = hours_of(blobs, workspace, table)
    changed = {
        hour: found
        for hour, found in seen.items()
        if hour[:8] == day and _grew(kept.value.hours.get(hour), found)
    }
    if not changed:
        return
    merged = {
        hour: replace(
            kept.value.hours.get(hour, found),
            blobs=found.blobs,
            bytes=found.bytes,
            fingerprint=found.fingerprint,
        )
        for hour, found in changed.items()
    }
    batch.days.append((kept, replace(kept.value, hours={**kept.value.hours, **merged})))
    batch.hours[workspace, table].update(changed)


def _grew(known: Hour | None, found: Hour) -> bool:
    """True for new content; a lifecycle rule that deletes raw blobs is no change."""
    return known is None or (found.fingerprint != known.fingerprint and found.blobs >= known.blobs)


def _listed(
    deployment: Deployment, workspace: str, table: str, day: str, hours: Sequence[str] | None
) -> list[BlobStat]:
    if hours is None or len(hours) > HOURS_LISTED_ALONE:
        folders = [export_day_folder(workspace, day)]
    else:
        folders = [export_hour_folder(workspace, hour) for hour in hours]
    return [blob for folder in folders for blob in deployment.exports.blobs(table, folder)]


def hours_of(blobs: Iterable[BlobStat], workspace: str, table: str) -> dict[str, Hour]:
    """Hour key -> what the blobs of that hour amount to; the fingerprint hides their order."""
    by_hour: dict[str, list[BlobStat]] = defaultdict(list)
    for blob in blobs:
        parsed = parse_export_blob(export_container(table), blob.name)
        if parsed is not None and parsed.workspace == workspace:
            by_hour[parsed.hour].append(blob)
    return {
        hour: Hour(len(group), sum(blob.size for blob in group), _fingerprint(group))
        for hour, group in by_hour.items()
    }


def _fingerprint(blobs: Iterable[BlobStat]) -> str:
    lines = sorted(f"{blob.name}|{blob.size}|{blob.etag}" for blob in blobs)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:24]


def _apply(turn: Turn, batch: Batch) -> None:
    now = turn.now()
    for (workspace, table), hours in batch.hours.items():
        _touch_hunts(turn.deployment, workspace, table, hours, now)
    for kept, day in batch.days:
        turn.deployment.records.save(kept, day)
    for entry in batch.marks:
        try:
            turn.deployment.records.ledger.delete(entry.path, entry.etag)
        except Conflict:
            log.info("marked again meanwhile: %s", entry.path)


def _touch_hunts(
    deployment: Deployment, workspace: str, table: str, hours: set[str], now: datetime
) -> None:
    recent = {hour for hour in hours if hour_start(hour) >= now - OLDEST_MARK}
    for spec in deployment.hunts_on(table) if recent else ():
        kept = deployment.records.hunt(spec.guid, workspace)
        deployment.records.save(kept, schedule.touch(spec, kept.value, recent, now))


def _say_ignored(deployment: Deployment, tables: set[str]) -> None:
    path = "health/ignored.json"
    kept = deployment.records.load(Ignored, path) or Kept(path, Ignored(), None)
    new = sorted(tables - set(kept.value.tables))
    if new:
        log.warning("exported, but no hunt reads them: %s", ", ".join(new))
        deployment.records.save(kept, Ignored(tuple(sorted({*kept.value.tables, *new}))))
