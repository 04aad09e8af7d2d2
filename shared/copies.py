"""What a job copied and merged -> the days point at it. Repeating it changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from shared import contract as c
from shared import merges
from shared.deployment import Turn
from shared.errors import BadInput, Permanent, TooLarge
from shared.manifests import Place, read_report
from shared.model import Job
from shared.quarantine import level
from shared.timeline import Told

log = logging.getLogger("tidehunt.copies")
REPORT_BYTES = 20_000_000


def record_copies(turn: Turn, job: Job) -> None:
    """Point the days at what the job copied and merged. Repeating it changes nothing."""
    for place, told in sorted(told_by(turn, job).items()):
        try:
            _record_day(turn, job.workspace, place, told)
        except (BadInput, Permanent) as error:
            log.log(level(error), "copies of %s %s are not recorded: %s", *place, error)


def _record_day(turn: Turn, workspace: str, place: Place, told: Told) -> None:
    kept = turn.deployment.records.day(workspace, *place)
    after = merges.after(kept.value, told, turn.now())
    if after != kept.value:
        turn.deployment.records.save(kept, after)


def told_by(turn: Turn, job: Job) -> Mapping[Place, Told]:
    """(Table, day) -> what the job tells of it; nothing when its report is no good."""
    root = f"abfss://tables@{turn.deployment.settings.state_account}"
    try:
        content = turn.deployment.results.read(c.report_path(job.id), REPORT_BYTES)
        return read_report(content, job.id, job.workspace, root) if content else {}
    except (BadInput, TooLarge) as error:
        log.error("report of %s cannot be used, hours are copied again: %s", job.id, error)
        return {}
