"""The two state machines: each row of their tables, and what no sequence of events may break."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import asdict, replace
from datetime import datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import messages as m
from shared.model import RUN_TERMINAL, Counts, Cursor, Job, JobStatus, Run, RunStatus
from shared.runs import (
    FORGOTTEN_BEFORE_LOST,
    JOB_TABLE,
    LOOKS_BEFORE_LOST,
    RESENDS,
    RUN_TABLE,
    IllegalEvent,
    decide_job,
    decide_run,
)
from tests.unit.house import START, WORKSPACE, a_run

SOON = START + timedelta(minutes=7)
LATER = SOON + timedelta(minutes=1)
RUN_STATUSES: tuple[str, ...] = get_args(RunStatus)
JOB_STATUSES: tuple[str, ...] = get_args(JobStatus)

RUN_EVENTS: tuple[Callable[[datetime], m.Event], ...] = (
    lambda at: m.Assigned(at, "job-1"),
    lambda at: m.ManifestLanded(at, 5, 2, "0f", {"hours_read": 24}),
    lambda at: m.HuntFailed(at, "ValueError: no"),
    lambda at: m.JobGone(at, "lost", at + timedelta(minutes=1), attempts=3),
    lambda at: m.JobGone(at, "refused", at + timedelta(minutes=1), attempts=3, used=False),
    lambda at: m.JobRefused(at, "too many cores", at + timedelta(hours=1)),
    lambda at: m.RowsSent(at, Cursor(0, 100), 3, 1),
    lambda at: m.RowSetAside(at, Cursor(0, 200)),
    lambda at: m.RowSetAside(at, Cursor(0, 200), "400"),
    lambda at: m.RowsDoubted(at, at + timedelta(hours=1)),
    m.AllSent,
    lambda at: m.CaseSettled(at, opened=1),
    lambda at: m.IncidentsSettled(at, at + timedelta(minutes=30)),
    lambda at: m.RowsCounted(at, 99, at + timedelta(minutes=30), tries=3),
    lambda at: m.RowsCounted(at, 0, at + timedelta(minutes=30), tries=3),
    lambda at: m.SinkRefused(at, "503", at + timedelta(minutes=1), hold_after=3600.0),
    lambda at: m.SinkRefused(at, "404", at + timedelta(minutes=1), hold_after=0.0),
    m.Released,
    lambda at: m.JobStands(at, "it does not end"),
    m.JobOver,
    lambda at: m.CancelAsked(at, "by request"),
)
JOB_EVENTS: tuple[Callable[[datetime], m.Event], ...] = (
    lambda at: m.PlanWritten(at, 8),
    lambda at: m.Submitted(at, "0"),
    lambda at: m.SubmitUnanswered(at, at + timedelta(minutes=2)),
    lambda at: m.SubmitRefused(at, "429"),
    lambda at: m.SubmitRefused(at, "400", never=True),
    lambda at: m.NotListed(at, at + timedelta(minutes=2)),
    m.SeenQueued,
    m.SeenRunning,
    lambda at: m.SeenEnded(at, "succeeded", "", at + timedelta(minutes=5)),
    lambda at: m.Forgotten(at, at + timedelta(minutes=5)),
    lambda at: m.CancelAsked(at, "queue deadline"),
    lambda at: m.GivenUp(at, "nobody waits", at),
)


def a_job(**changes: Any) -> Job:
    job = Job("job-20260310000500-0123abcd", WORKSPACE, ("active/runs/live/x.json",), "planned",
              START, START)  # fmt: skip
    return replace(job, **changes)


def run_in(status: str, **changes: Any) -> Run:
    """A run as it stands in a status, with one job left to use."""
    step = "sending" if status == "delivering" else ""
    given = {"status": status, "step": step, "job": "job-1", "attempt": 1, **changes}
    return a_run(**given)


# --- the tables -------------------------------------------------------------------------------


def test_every_event_of_the_messages_has_a_row() -> None:
    known = {row.event for row in (*RUN_TABLE, *JOB_TABLE)}
    events = {
        kind
        for _, kind in inspect.getmembers(m, inspect.isclass)
        if issubclass(kind, m.Event) and kind is not m.Event
    }
    assert known == events
    assert {type(make(SOON)) for make in (*RUN_EVENTS, *JOB_EVENTS)} == events


@pytest.mark.parametrize("table", [RUN_TABLE, JOB_TABLE])
def test_a_pair_of_status_and_event_has_one_row(table: tuple[Any, ...]) -> None:
    pairs = [(row.status, row.event) for row in table]
    assert len(set(pairs)) == len(pairs)


def test_each_row_of_a_run_leads_to_all_and_only_what_it_names() -> None:
    for row in RUN_TABLE:
        ends = {
            decide_run(run, make(SOON))[0].status
            for run in _run_variants(row.status)
            for make in RUN_EVENTS
            if type(make(SOON)) is row.event
        }
        assert ends == set(row.leads_to), (row.status, row.event)


def _run_variants(status: str) -> list[Run]:
    counts = Counts(rows=5, sent=5)
    steps = ("", "read-back") if status == "held" else (run_in(status).step,)
    return [
        run_in(status, attempt=attempt, counts=counts, tries=tries, resent=resent, step=step)
        for attempt in (1, 3)
        for tries in (0, 2)
        for resent in (0, RESENDS)
        for step in steps
    ]


def test_each_row_of_a_job_leads_to_all_and_only_what_it_names() -> None:
    for row in JOB_TABLE:
        ends = {
            decide_job(a_job(status=row.status, looks=looks), make(SOON))[0].status
            for looks in range(3)
            for make in JOB_EVENTS
            if type(make(SOON)) is row.event
        }
        assert ends == set(row.leads_to), (row.status, row.event)


@pytest.mark.parametrize("status", RUN_STATUSES)
def test_every_other_event_of_a_run_is_refused_and_changes_nothing(status: str) -> None:
    known = {row.event for row in RUN_TABLE if row.status == status}
    run = run_in(status)
    for make in RUN_EVENTS + JOB_EVENTS:
        event = make(SOON)
        if type(event) not in known:
            with pytest.raises(IllegalEvent, match=f"{type(event).__name__} while {status}"):
                decide_run(run, event)
    assert run == run_in(status)
    assert bool(known) == (status not in RUN_TERMINAL)


@pytest.mark.parametrize("status", JOB_STATUSES)
def test_every_other_event_of_a_job_is_refused_and_changes_nothing(status: str) -> None:
    known = {row.event for row in JOB_TABLE if row.status == status}
    job = a_job(status=status)
    for make in RUN_EVENTS + JOB_EVENTS:
        event = make(SOON)
        if type(event) not in known:
            with pytest.raises(IllegalEvent):
                decide_job(job, event)
    assert job == a_job(status=status)
    assert bool(known) == (status not in ("ended", "lost"))


def test_every_status_can_be_reached_from_the_first() -> None:
    for table, first, statuses in (
        (RUN_TABLE, "waiting", RUN_STATUSES),
        (JOB_TABLE, "planned", JOB_STATUSES),
    ):
        reached = {first}
        for _ in statuses:
            reached |= {end for row in table if row.status in reached for end in row.leads_to}
        assert reached == set(statuses)


# --- what sequences of events may not break ----------------------------------------------------

choices = st.lists(st.tuples(st.integers(0, 99), st.integers(0, 7200)), max_size=60)


def _legal(
    makers: tuple[Callable[[datetime], m.Event], ...], table: tuple[Any, ...], status: str
) -> list[Callable[[datetime], m.Event]]:
    known = {row.event for row in table if row.status == status}
    return [make for make in makers if type(make(START)) in known]


@settings(max_examples=150, deadline=None)
@given(choices)
def test_runs_keep_their_invariants_through_any_legal_events(steps: list[tuple[int, int]]) -> None:
    run, now, used = a_run(), START, 0
    for number, seconds in steps:
        makers = _legal(RUN_EVENTS, RUN_TABLE, run.status)
        if not makers:
            assert run.status in RUN_TERMINAL
            return
        now += timedelta(seconds=seconds)
        event = makers[number % len(makers)](now)
        after, commands = decide_run(run, event)
        used += isinstance(event, m.Assigned)
        used -= isinstance(event, m.JobRefused) or (isinstance(event, m.JobGone) and not event.used)
        assert after.attempt == used
        assert after.since == (now if after.status != run.status else run.since)
        assert (after.id, after.slot, after.window, after.revision) == (
            run.id, run.slot, run.window, run.revision,
        )  # fmt: skip
        assert (after.job is not None) or after.status not in ("assigned", "delivering", "done")
        assert after.reason or after.status != "held"
        assert (after.next_at is not None) or after.awaits_job or after.status != "held"
        assert commands == ()
        run = after


@settings(max_examples=150, deadline=None)
@given(choices)
def test_a_job_is_posted_once_through_any_legal_events(steps: list[tuple[int, int]]) -> None:
    job, now, posts = a_job(), START, 0
    for number, seconds in steps:
        makers = _legal(JOB_EVENTS, JOB_TABLE, job.status)
        if not makers:
            return
        now += timedelta(seconds=seconds)
        after, commands = decide_job(job, makers[number % len(makers)](now))
        posts += sum(isinstance(command, m.Submit) for command in commands)
        assert posts == (0 if after.submitted is None else 1)
        assert after.since == (now if after.status != job.status else job.since)
        job = after


# --- rows that carry a number -------------------------------------------------------------------


def told(run: Run, *events: m.Event) -> Run:
    """The run after these events."""
    for event in events:
        run, _ = decide_run(run, event)
    return run


def test_a_run_gets_three_jobs_and_then_fails() -> None:
    run = a_run()
    for attempt in (1, 2, 3):
        run = told(run, m.Assigned(SOON, f"job-{attempt}"))
        assert (run.status, run.attempt, run.job) == ("assigned", attempt, f"job-{attempt}")
        run = told(run, m.JobGone(SOON, "lost", LATER, attempts=3))
    assert (run.status, run.reason) == ("failed", "lost (after 3 jobs)")


def test_a_job_that_never_started_or_that_the_engine_lost_uses_up_nothing() -> None:
    run = a_run()
    for _ in range(10):
        run = told(run, m.Assigned(SOON, "job-1"))
        run = told(run, m.JobGone(SOON, "429", LATER, attempts=3, used=False))
        assert (run.status, run.attempt, run.next_at, run.job) == ("waiting", 0, LATER, None)
    assert run.unused == 10


def test_a_run_whose_job_does_not_end_waits_for_that_end_or_a_person() -> None:
    held = told(run_in("assigned"), m.JobStands(SOON, "it does not end"))
    assert (held.status, held.job, held.next_at, held.awaits_job) == ("held", "job-1", None, True)
    again = told(held, m.JobOver(LATER), m.ManifestLanded(LATER, 5, 0, "0f"))
    assert (again.status, again.job) == ("delivering", "job-1")
    released = told(held, m.Released(LATER))
    assert (released.status, released.job, released.awaits_job) == ("waiting", None, False)


def test_short_counts_are_repeated_then_sent_again_then_held() -> None:
    run = run_in("delivering", step="read-back", counts=Counts(rows=5, sent=5), case=2)
    short = m.RowsCounted(SOON, 4, LATER, tries=3)
    seen: Mapping[str, int] = {}
    for resent in range(RESENDS):
        run = told(run, short, short)
        assert (run.step, run.tries, run.next_at, run.resent) == ("read-back", 2, LATER, resent)
        run = told(run, short)
        seen = {"sent": run.counts.sent, "rows": run.counts.rows, "case": run.case}
        assert (run.step, run.cursor, run.resent) == ("sending", Cursor(), resent + 1)
        assert seen == {"sent": 0, "rows": 5, "case": 2}
        run = replace(run, step="read-back", counts=replace(run.counts, sent=5))
    run = told(run, short, short, short)
    assert (run.status, run.reason) == ("held", "1 of 5 sent rows do not show in the workspace")


def test_a_release_counts_again_but_never_sends_for_ever() -> None:
    run = run_in("held", step="read-back", counts=Counts(rows=5, sent=5), resent=RESENDS)
    run = told(run, m.Released(SOON))
    assert (run.status, run.step, run.tries, run.resent) == (
        "delivering", "read-back", 0, RESENDS,
    )  # fmt: skip
    short = m.RowsCounted(SOON, 4, LATER, tries=3)
    assert told(run, short, short, short).status == "held"
    assert told(run, m.RowsCounted(SOON, 5, LATER, tries=3)).status == "done"


def test_refusal_holds_after_an_hour_and_at_once_after_a_release() -> None:
    run = run_in("delivering")
    early = m.SinkRefused(START, "403", SOON, 3600.0)
    late = m.SinkRefused(START + timedelta(minutes=60), "403", LATER, 3600.0)
    run = told(run, early)
    assert (run.status, run.next_at, run.refused_since) == ("delivering", SOON, START)
    run = told(run, late)
    assert (run.status, run.next_at, run.reason) == ("held", LATER, "403")
    then = START + timedelta(minutes=61)
    assert told(run, m.Released(then), replace(late, at=then)).status == "held"
    sent = told(run, m.Released(then), m.RowsSent(then, Cursor(0, 9), 1))
    assert (sent.refused_since, told(sent, replace(late, at=then)).status) == (None, "delivering")


def test_a_cancel_in_delivery_says_that_it_is_partial() -> None:
    run = told(run_in("delivering", counts=Counts(rows=9, sent=4)), m.CancelAsked(SOON, "enough"))
    assert (run.status, run.reason) == ("cancelled", "enough (partial: 4 of 9 rows sent)")


def test_a_submission_without_an_answer_is_lost_after_two_looks() -> None:
    job, _ = decide_job(a_job(status="submitting", submitted=SOON), m.SubmitUnanswered(SOON, LATER))
    for look in range(1, LOOKS_BEFORE_LOST + 1):
        assert job.status == "submitting"
        job, _ = decide_job(job, m.NotListed(SOON, LATER))
        assert job.looks == look
    assert job.status == "lost"


def test_a_forgotten_job_is_asked_for_three_times_in_a_row() -> None:
    job = a_job(status="running", engine_id="0")
    job, _ = decide_job(job, m.Forgotten(SOON, LATER))
    job, _ = decide_job(job, m.SeenRunning(SOON))
    for _ in range(FORGOTTEN_BEFORE_LOST):
        assert job.status == "running"
        job, _ = decide_job(job, m.Forgotten(SOON, LATER))
    assert (job.status, job.outcome, job.next_at) == ("ended", "forgotten", LATER)


def test_a_cancel_is_asked_for_until_the_job_has_ended_and_for_engine_id_0_too() -> None:
    job, commands = decide_job(a_job(status="running", engine_id="0"), m.CancelAsked(SOON, "late"))
    assert (job.status, commands) == ("cancelling", (m.Cancel("0"),))
    for event in (m.SeenQueued(SOON), m.SeenRunning(SOON)):
        job, commands = decide_job(job, event)
        assert commands == (m.Cancel("0"),)
    job, commands = decide_job(job, m.SeenEnded(SOON, "cancelled", "killed", LATER))
    assert (job.status, job.outcome, job.reason, commands) == ("ended", "cancelled", "late", ())


def test_deciding_is_pure() -> None:
    run = run_in("delivering", counts=Counts(rows=5, sent=1))
    before = asdict(run)
    first, second = (decide_run(run, m.RowsSent(SOON, Cursor(0, 9), 2)) for _ in range(2))
    assert (first, asdict(run)) == (second, before)
