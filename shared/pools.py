"""Whether a new job may go out: the pause, the breaker of the pool, and how many there are."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import quote

from shared import breaker as b
from shared.bookkeeping import Breaker
from shared.deployment import Deployment, Turn
from shared.errors import Quarantined
from shared.model import Job
from shared.pauses import paused
from shared.records import Kept

log = logging.getLogger("tidehunt.pools")


@dataclass(frozen=True)
class Gate:
    """How many new jobs may be planned in this turn."""

    turn: Turn
    kept: Kept[Breaker] | None
    room: int

    def name_probe(self, jobs: Sequence[Job]) -> None:
        """Of jobs that are planned, let one go out to an open breaker's pool that is due."""
        planned = [job.id for job in jobs if job.status == "planned"]
        if self.kept and planned and b.is_due(self.kept.value, self.turn.now()):
            probe = replace(self.kept.value, probe=planned[0])
            self.turn.deployment.records.save(self.kept, probe)


def gate(turn: Turn, jobs: Sequence[Job]) -> Gate:
    """The gate beside all unfinished jobs."""
    deployment = turn.deployment
    if paused(deployment.records):
        return Gate(turn, None, 0)
    # A job that is over holds no core, however long it waits for a manifest that cannot be read.
    over = [job for job in jobs if job.status in ("ended", "lost")]
    room = deployment.settings.jobs_at_once - (len(jobs) - len(over))
    kept = _load(deployment)
    if kept is None:
        return Gate(turn, None, room)
    seen = kept.value
    for job in sorted(over, key=lambda job: job.since):
        seen = _told(turn, seen, job)  # before its place is given to another
    seen = b.looked(seen, jobs, turn.now(), deployment.settings.retry_seconds)
    kept = _save(turn, kept, seen)
    if b.is_open(seen):
        planned = any(job.status == "planned" for job in jobs)
        room = min(room, int(b.is_due(seen, turn.now()) and not planned))
    return Gate(turn, kept, room)


def may_post(turn: Turn, job: Job) -> bool:
    """True when the one POST of a planned job may go out now; else it stays planned."""
    if paused(turn.deployment.records):
        return False
    kept = _load(turn.deployment)
    return kept is None or not b.is_open(kept.value) or kept.value.probe == job.id


def tell(turn: Turn, job: Job) -> None:
    """Let the breaker know of a job that is over."""
    kept = _load(turn.deployment)
    if kept is not None:
        _save(turn, kept, _told(turn, kept.value, job))


def _told(turn: Turn, breaker: Breaker, job: Job) -> Breaker:
    settings = turn.deployment.settings
    return b.told(breaker, job, settings.queue_deadline_seconds, settings.retry_seconds)


def as_seen(deployment: Deployment, jobs: Sequence[Job]) -> Breaker:
    """The breaker as the next turn will see it; nothing is written."""
    kept, settings = _load(deployment), deployment.settings
    if kept is None:
        return Breaker(settings.synapse_pool)
    return b.looked(kept.value, jobs, deployment.clock(), settings.retry_seconds)


def _load(deployment: Deployment) -> Kept[Breaker] | None:
    """The breaker; None when its document cannot be used: jobs go out then, within their caps."""
    pool = deployment.settings.synapse_pool
    path = f"pools/{quote(pool, safe='')}.json"
    try:
        return deployment.records.load(Breaker, path) or Kept(path, Breaker(pool), None)
    except Quarantined:
        return None


def _save(turn: Turn, kept: Kept[Breaker], after: Breaker) -> Kept[Breaker]:
    """Save what has changed; a pool that never failed has no document."""
    if after == kept.value:
        return kept
    if b.is_open(after) != b.is_open(kept.value):
        what = "opened" if b.is_open(after) else "closed"
        log.warning("breaker of pool %s %s: %s", after.pool, what, after.reason or "a job started")
    return turn.deployment.records.save(kept, after)
