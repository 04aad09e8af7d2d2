"""What each class of runs may take: live and ad-hoc runs come first, backfill takes a quarter.

A quarter of the jobs at one time and of the day's jobs, one at least of either; and of the vCore
hours, bytes and incidents of a day only the first three quarters: the last belongs to live runs.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence

from shared.bookkeeping import Budget
from shared.deployment import Turn
from shared.model import Job, Run
from shared.records import RUNS, Kept
from shared.spend import core_minutes

log = logging.getLogger("tidehunt.classes")
BACKFILL = f"{RUNS}backfill/"
"""Where the ledger keeps unfinished runs of backfill."""
BEFORE_THE_LAST = 3 / 4
"""Quarters of a day's cap that backfill may use."""


def is_backfill(paths: Sequence[str]) -> bool:
    """Whether these runs, which share a job, are backfill; paths of their documents."""
    return paths[0].startswith(BACKFILL)


def quarter(whole: int) -> int:
    """What backfill may have of something that is counted; one at least."""
    return max(1, whole // 4)


def within_cap(run: Run, used: float, cap: float) -> bool:
    """Whether a run may bring what the day has used to that much of its cap."""
    return used <= (cap * BEFORE_THE_LAST if run.kind == "backfill" else cap)


def backfill_may(turn: Turn, jobs: Iterable[Kept[Job]], budget: Budget) -> bool:
    """Whether backfill may have a job beside those there are; False while it has its quarter."""
    settings = turn.deployment.settings
    if sum(is_backfill(kept.value.runs) for kept in jobs) >= quarter(settings.jobs_at_once):
        return False
    worst = settings.job_cores * settings.run_deadline_seconds / 60
    if core_minutes(budget) + worst > settings.vcore_hours_a_day * 60 * BEFORE_THE_LAST:
        log.info("the last of TIDEHUNT_VCORE_HOURS_A_DAY is for live runs: backfill waits")
        return False
    if budget.backfill >= quarter(settings.jobs_a_day):
        log.info("backfill had its quarter of TIDEHUNT_JOBS_A_DAY: it waits for tomorrow")
        return False
    return True
