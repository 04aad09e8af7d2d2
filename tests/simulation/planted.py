"""Bugs to plant: what finds nothing proves nothing. Each says which invariant has to tell."""

from __future__ import annotations

from collections.abc import Callable

from shared.deployment import Deployment
from tests.simulation import planted_jobs as jobs
from tests.simulation import planted_ledger as ledger
from tests.simulation import planted_sinks as sinks

Plant = Callable[[Deployment], Deployment]
PLANTED: tuple[Plant, ...] = (
    jobs.posts_twice,
    jobs.retries_the_post,
    jobs.takes_zero_for_none,
    jobs.uses_an_id_again,
    jobs.adopts_by_order,
    jobs.counts_capacity_as_attempts,
    jobs.believes_a_cancel,
    jobs.ignores_a_dead_jobs_manifest,
    jobs.delivers_from_any_job,
    jobs.posts_before_it_saves,
    jobs.reserves_after_the_post,
    jobs.gives_no_deadline,
    ledger.no_margin,
    ledger.claims_nothing,
    ledger.delivers_outside_a_turn,
    ledger.ignores_etags,
    ledger.never_settles,
    ledger.never_sweeps,
    ledger.marks_only_once,
    ledger.consumes_marks_first,
    ledger.consumes_requests_first,
    ledger.declares_no_gap,
    ledger.judges_busy_slots,
    ledger.backs_off_for_hours,
    ledger.opens_what_was_deleted,
    sinks.believes_a_204,
    sinks.takes_403_for_good,
    sinks.repeats_what_is_refused,
    sinks.names_findings_by_content,
    sinks.drops_refused_rows,
    sinks.sends_whole_revisions,
    sinks.moves_on_before_it_sends,
    sinks.writes_over_the_analyst,
    sinks.tells_closed_incidents,
    sinks.learns_nothing,
)


def told_by(plant: Plant) -> str:
    """Number of the invariant that a plant breaks."""
    return (plant.__doc__ or "").split(":")[0]


def rule_of(plant: Plant) -> str:
    """The rule that a plant does without."""
    return (plant.__doc__ or "").split(": ", 1)[1]
