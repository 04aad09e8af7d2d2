"""What keeps new things from starting, and what the day has spent, as status tells it."""

from __future__ import annotations

from collections.abc import Sequence

from shared import pauses, pools, spend
from shared.bookkeeping import Budget
from shared.breaker import is_open
from shared.contract import day_key
from shared.deployment import Deployment
from shared.errors import Quarantined
from shared.model import Job, Json


def obstacles(deployment: Deployment, jobs: Sequence[Job]) -> Json:
    """`pause` (or None), `pool` with its breaker, `budget`, and `today` beside the caps.

    `jobs` are all unfinished ones.
    """
    budget = _budget(deployment)
    return {
        "pause": _pause(deployment),
        "pool": _pool(deployment, jobs),
        "budget": dict(vars(budget)) if budget else None,
        "today": spend.today(budget, deployment.settings) if budget else {},
    }


def _budget(deployment: Deployment) -> Budget | None:
    """What the day has spent; None when nobody can tell: then nothing more is spent."""
    try:
        return deployment.records.budget(day_key(deployment.clock())).value
    except Quarantined:
        return None


def _pause(deployment: Deployment) -> Json | None:
    pause = pauses.paused(deployment.records)
    if pause is None:
        return None
    return {
        "since": pause.since.isoformat() if pause.since else None,
        "reason": pause.reason,
        "by": pause.by,
        "mend": "POST /api/resume, or `tidehunt resume`: nothing new starts until then",
    }


def _pool(deployment: Deployment, jobs: Sequence[Job]) -> Json:
    breaker = pools.as_seen(deployment, jobs)
    return {
        "pool": breaker.pool,
        "breaker": "open" if is_open(breaker) else "closed",
        "since": breaker.since.isoformat() if breaker.since else None,
        "reason": breaker.reason if is_open(breaker) else "",
        "next_try": breaker.next_try.isoformat() if breaker.next_try else None,
        "probe": breaker.probe or None,
    }
