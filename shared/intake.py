"""Marks and listings -> what each day of each table holds -> which slots of which hunts changed.

Order within a batch: touch the hunts, save the days, delete the marks. A crash after any step
repeats the earlier ones, which changes nothing but a time; the other order would lose a wake-up.
A batch is one table of one workspace: what is held at a time stays small, however much changed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import groupby
from operator import itemgetter

from shared import arrivals, marks, schedule
from shared.arrivals import Arrivals
from shared.bookkeeping import Ignored, Sweeps
from shared.contract import (
    day_key,
    export_container,
    export_day_folder,
    export_hour_folder,
    hour_start,
    parse_export_blob,
    workspace_key,
)
from shared.deployment import Deployment, Turn
from shared.errors import BadInput, TidehuntError, Transient
from shared.marks import OLDEST_MARK
from shared.model import BlobStat, Entry, HuntSpec
from shared.quarantine import level
from shared.records import IGNORED, SWEEPS, Kept
from shared.timeline import DayRecord, Hour

log = logging.getLogger("tidehunt.intake")
HOURS_LISTED_ALONE = 3
"""Up to this many hours of a day are listed one by one; more by one listing of the day."""
TOLD_WITHIN = timedelta(hours=3)
"""A blob of an older hour is late, or history that a first look finds: no event is missed."""
Place = tuple[str, str, str]
"""Workspace, table, day."""
Came = dict[tuple[str, str], set[str]]
"""Workspace, table -> hours with new content."""


@dataclass
class Batch:
    """Days of a table with new content, the hours that have it, and the marks that told of them."""

    workspace: str
    table: str
    days: list[tuple[Kept[DayRecord], DayRecord]] = field(default_factory=list)
    hours: set[str] = field(default_factory=set)
    marks: list[Entry] = field(default_factory=list)
    fresh: int = 0
    """New blobs of the last hours; one that has grown raises no event and does not count."""


def take_marks(turn: Turn) -> int:
    """Fold every mark that there is room for; how many were taken."""
    told, came = 0, Came()
    for (workspace, table), days in marks.grouped(turn).items():
        batch = Batch(workspace, table)
        for day, entries in days.items():
            if not turn.has_room():
                break
            hours = sorted({entry.path[-10:] for entry in entries})
            if _observed(turn.deployment, batch, day, hours):
                batch.marks.extend(entries)
        _apply(turn, batch)
        told += len(batch.marks)
        came[workspace, table] = batch.hours
    _remember(turn, came, told, 0)
    return told


def _remember(turn: Turn, came: Came, told: int, found: int) -> None:
    """Count what came; a count that is lost is missed by nobody."""
    if not told and not any(came.values()):
        return
    records, now = turn.deployment.records, turn.now()
    try:
        kept = records.the_one(Arrivals(), arrivals.PATH)
        if kept is None:
            return
        after = arrivals.heard(kept.value, now, told, found)
        for (workspace, table), hours in came.items():
            after = arrivals.came(after, f"{workspace_key(workspace)}/{table}", hours, now)
        if after != kept.value:
            records.save(kept, after)
    except TidehuntError as error:
        log.warning("arrivals are not counted: %s", error)


def sweep(turn: Turn) -> None:
    """List what events may have missed, when it is time.

    Today and yesterday every sweep; up to 35 days back every fourth (hourly by default), in half
    of the turn's room, and on from there in the next turn.
    """
    records, now = turn.deployment.records, turn.now()
    kept = records.the_one(Sweeps(), SWEEPS)
    if kept is None:
        return
    every = timedelta(seconds=turn.deployment.settings.sweep_seconds)
    if not (recent := _passed(kept.value.recent, every, now)) and not (
        _passed(kept.value.month, 4 * every, now)
    ):
        return
    tables = _exported(turn.deployment)
    if recent and _sweep_places(turn, _places(turn, tables, 2)) != "":
        kept = records.save(kept, replace(kept.value, recent=now, tables=tuple(tables)))
    if _passed(kept.value.month, 4 * every, now):
        places = [place for place in _places(turn, tables, 36) if str(place) > kept.value.resume]
        last = _sweep_places(turn.part(0.5), places)
        if last is None:
            records.save(kept, replace(kept.value, month=now, resume=""))
        elif last:
            records.save(kept, replace(kept.value, resume=last))


def _passed(last: datetime | None, every: timedelta, now: datetime) -> bool:
    return last is None or now - last >= every


def _exported(deployment: Deployment) -> list[str]:
    """The hunted tables that are exported; others are said once."""
    exported = set(deployment.exports.tables())
    _say_ignored(deployment, exported - deployment.tables())
    return sorted(exported & deployment.tables())


def _places(turn: Turn, tables: Sequence[str], days: int) -> list[Place]:
    keys = [day_key(turn.now() - timedelta(days=n)) for n in range(days)]
    workspaces = turn.deployment.settings.workspaces
    return sorted((w, table, day) for w in workspaces for table in tables for day in keys)


def _sweep_places(turn: Turn, places: Sequence[Place]) -> str | None:
    """The last place that there was room for, "" when for none; None when for all."""
    found, came, last = 0, Came(), ""
    for (workspace, table), days in groupby(places, key=itemgetter(0, 1)):
        batch = Batch(workspace, table)
        for place in days:
            if not turn.has_room():
                break
            _observed(turn.deployment, batch, place[2])
            last = str(place)
        _apply(turn, batch)
        found += batch.fresh
        came[workspace, table] = batch.hours
    _remember(turn, came, 0, found)
    return None if not places or last == str(places[-1]) else last


def refresh(turn: Turn, workspace: str, table: str, days: Iterable[str]) -> dict[str, DayRecord]:
    """List these days of one table whatever their age, as an ad-hoc run needs them.

    Gives the days that the lake holds something of, as they are remembered from now on.
    """
    batch, seen = Batch(workspace, table), {}
    for day in days:
        try:
            seen[day] = _observe(turn.deployment, batch, day)
        except BadInput as error:
            log.log(level(error), "a day is not listed: %s", error)
    if not _apply(turn, batch):
        raise Transient("days cannot be written", where=f"{table} of {workspace}")
    return {day: record for day, record in seen.items() if record}


def _observed(
    deployment: Deployment, batch: Batch, day: str, hours: Sequence[str] | None = None
) -> bool:
    """Observe a day; False when it cannot be now: its trouble spares the others."""
    try:
        _observe(deployment, batch, day, hours)
    except TidehuntError as error:
        what = (batch.table, batch.workspace, day, error)
        log.log(level(error), "not listed: %s of %s, %s: %s", *what)
        return False
    return True


def _observe(
    deployment: Deployment, batch: Batch, day: str, hours: Sequence[str] | None = None
) -> DayRecord | None:
    """Compare a day, or some of its hours, with what is recorded.

    What is to be remembered of the day; None when nothing is listed of it.
    """
    workspace, table = batch.workspace, batch.table
    blobs = _listed(deployment, workspace, table, day, hours)
    if not blobs:
        return None
    kept = deployment.records.day(workspace, table, day)
    seen = hours_of(blobs, workspace, table)
    changed = changed_hours(kept.value.hours, seen, day)
    if not changed:
        return kept.value
    batch.fresh += sum(
        max(0, found.blobs - (known.blobs if (known := kept.value.hours.get(hour)) else 0))
        for hour, found in changed.items()
        if hour_start(hour) >= deployment.clock() - TOLD_WITHIN
    )
    after = replace(kept.value, hours={**kept.value.hours, **changed})
    batch.days.append((kept, after))
    batch.hours.update(changed)
    return after


def changed_hours(known: Mapping[str, Hour], seen: Mapping[str, Hour], day: str) -> dict[str, Hour]:
    """A day's hours with new content, as they are now, with the copies that they had."""
    return {
        hour: replace(
            known.get(hour, found),
            blobs=found.blobs,
            bytes=found.bytes,
            fingerprint=found.fingerprint,
        )
        for hour, found in seen.items()
        if hour[:8] == day and _grew(known.get(hour), found)
    }


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


def _apply(turn: Turn, batch: Batch) -> bool:
    """False when something failed: the next turn does that table of that workspace again."""
    records = turn.deployment.records
    if batch.hours and not _done(_touch_hunts, turn, batch):
        return False
    if not all(_done(records.save, kept, day) for kept, day in batch.days):
        return False
    for entry in batch.marks:
        # Marked again meanwhile: it stays.
        _done(records.ledger.delete, entry.path, entry.etag)
    return True


def _done(work: Callable[..., object], *arguments: object) -> bool:
    try:
        work(*arguments)
    except TidehuntError as error:
        log.warning("next turn again: %s", error)
        return False
    return True


def _touch_hunts(turn: Turn, batch: Batch) -> None:
    deployment, now = turn.deployment, turn.now()
    recent = {hour for hour in batch.hours if hour_start(hour) >= now - OLDEST_MARK}
    for spec in deployment.hunts_on(batch.table) if recent else ():
        try:
            kept = deployment.records.hunt(spec.guid, batch.workspace)
        except BadInput as error:
            log.log(level(error), "the hunt %s does not start: %s", spec.module, error)
            continue
        # A disabled hunt's time line goes on: what it misses is missed, not absent.
        if kept.etag is not None or _begins(deployment, spec):
            deployment.records.save(kept, schedule.touch(spec, kept.value, recent, now))


def _begins(deployment: Deployment, spec: HuntSpec) -> bool:
    """Whether a hunt's time line begins with what landed now.

    Once the lake is known, `starts` begins it, with all that landed before the hunt came.
    """
    if spec.status not in ("live", "shadow"):
        return False
    sweeps = deployment.records.the_one(Sweeps(), SWEEPS)
    return sweeps is None or sweeps.value.month is None


def _say_ignored(deployment: Deployment, tables: set[str]) -> None:
    kept = deployment.records.the_one(Ignored(), IGNORED)
    new = sorted(tables - set(kept.value.tables)) if kept else []
    if kept and new:
        log.warning("exported, but no hunt reads them: %s", ", ".join(new))
        deployment.records.save(kept, Ignored(tuple(sorted({*kept.value.tables, *new}))))
