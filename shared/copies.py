"""What a job copied -> the days point at its columnar copies. Repeating it changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import replace

from shared import contract as c
from shared.deployment import Turn
from shared.errors import BadInput, Permanent, TooLarge
from shared.manifests import copied_hours
from shared.model import Job
from shared.quarantine import level
from shared.timeline import Hour

log = logging.getLogger("tidehunt.copies")
REPORT_BYTES = 20_000_000


def record_copies(turn: Turn, job: Job) -> None:
    """Point the days at the columnar copies that the job made. Repeating it changes nothing."""
    for table, hours in copies_of(turn, job).items():
        for day in sorted({hour[:8] for hour in hours}):
            try:
                _record_day(turn, job.workspace, table, day, hours)
            except (BadInput, Permanent) as error:
                log.log(level(error), "copies of %s %s are not recorded: %s", table, day, error)


def _record_day(
    turn: Turn, workspace: str, table: str, day: str, copies: Mapping[str, Hour]
) -> None:
    kept = turn.deployment.records.day(workspace, table, day)
    newer = {
        hour: with_copy(known, copies[hour])
        for hour, known in kept.value.hours.items()
        if hour in copies
    }
    if newer:
        after = replace(kept.value, hours={**kept.value.hours, **newer})
        turn.deployment.records.save(kept, after)


def copies_of(turn: Turn, job: Job) -> Mapping[str, Mapping[str, Hour]]:
    """Table -> hour -> what the job says that it copied; nothing when its report is no good."""
    root = f"abfss://tables@{turn.deployment.settings.state_account}"
    try:
        content = turn.deployment.results.read(c.report_path(job.id), REPORT_BYTES)
        return copied_hours(content, job.id, job.workspace, root) if content else {}
    except (BadInput, TooLarge) as error:
        log.error("report of %s cannot be used, hours are copied again: %s", job.id, error)
        return {}


def with_copy(hour: Hour, copied: Hour) -> Hour:
    """An hour is never replaced by one made from fewer blobs."""
    if copied.blobs < hour.copy_blobs:
        return hour
    return replace(
        hour,
        copy=copied.copy,
        copy_fingerprint=copied.fingerprint,
        copy_blobs=copied.blobs,
    )
