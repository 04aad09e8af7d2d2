"""A ledger with a document of every kind, and runs and jobs in every status, as the code writes it.

Every run belongs to a hunt of its own, named after what happened to it, so that none waits for
another. States are reached by the events that lead there, never written by hand.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from shared import arrivals, fills, pauses, schedule
from shared import contract as c
from shared import messages as m
from shared.bookkeeping import (
    Breaker,
    Budget,
    Claim,
    Ignored,
    Pause,
    Recent,
    Sweeps,
    Unusable,
)
from shared.documents import encode
from shared.incidents import incident_id
from shared.model import Case, Cursor, Job, Json, Request, Run
from shared.ports import Ledger
from shared.quarantine import UNUSABLE
from shared.records import RECENT, REQUESTS, SWEEPS, Kept, Records, job_path, mark, run_path
from shared.requests import Change
from shared.runs import decide_job, decide_run
from shared.timeline import DayRecord, Fill, Fills, Hour, Left, Merged
from shared.told import ALARMS, OWED, Alarm, Alarms, Owed
from tests.memory.storage import MemoryLedger
from tests.unit.house import TABLE, WORKSPACE, a_finding, a_run, spec

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)
EARLIER, LATER = NOW - timedelta(minutes=10), NOW + timedelta(minutes=1)
PLACE = c.workspace_key(WORKSPACE)
LANDED = m.ManifestLanded(NOW, 1, 0, "0f" * 16, {"hours_planned": 24, "hours_missing": []})
SENT = m.RowsSent(NOW, Cursor(0, 400), 1)
ALL_SENT = (LANDED, SENT, m.RowsSent(NOW, Cursor(1, 0), 0), m.AllSent(NOW))
SETTLED = (*ALL_SENT, m.CaseSettled(NOW, opened=1), m.IncidentsSettled(NOW, LATER))
RUNS: Mapping[str, Sequence[m.Event]] = {
    "sending": (LANDED,),
    "at_incidents": ALL_SENT,
    "at_read_back": SETTLED,
    "sink_refused": (LANDED, m.SinkRefused(NOW, "403", LATER, 0.0)),
    "job_refused": (m.JobRefused(NOW, "too many cores", LATER),),
    "job_gone": (m.JobGone(NOW, "dead", LATER, 3),),
    "delivered": (*SETTLED, m.RowsCounted(NOW, 1, LATER, 3)),
    "broken": (m.HuntFailed(NOW, "division by zero"),),
    "taken_back": (m.CancelAsked(NOW, "by a person"),),
}
"""Hunt -> what happened to its run since a job was planned for it."""
PLANNED = m.PlanWritten(NOW, 12)
RUNNING = (PLANNED, m.Submitted(NOW, "0"), m.SeenRunning(NOW))
JOBS: Mapping[str, Sequence[m.Event]] = {
    "planned": (),
    "submitting": (PLANNED, m.SubmitUnanswered(NOW, LATER)),
    "running": RUNNING,
    "cancelling": (*RUNNING, m.CancelAsked(NOW, "its deadline")),
    "ended": (*RUNNING, m.SeenEnded(NOW, "succeeded", "", LATER)),
    "lost": (PLANNED, m.SubmitRefused(NOW, "no capacity")),
}
"""Hunt, named after the status of the job that its run is in -> what happened to that job."""


def written() -> dict[str, Json]:
    """Ledger path -> document."""
    ledger = MemoryLedger()
    records = Records(ledger)
    for number, (hunt, events) in enumerate(RUNS.items()):
        _save_run(records, _run(hunt, number, _job_id(number), events))
    for number, (hunt, happened) in enumerate(JOBS.items(), start=len(RUNS)):
        _save_job(records, hunt, number, happened)
    _save_the_rest(records)
    return {path: json.loads(content) for path, content in ledger.contents().items()}


def text(documents: Mapping[str, Json]) -> str:
    """As it is kept: one document a line, so that a difference shows."""
    lines = (f"{json.dumps(path)}: {json.dumps(body)}" for path, body in documents.items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _guid(number: int) -> str:
    return f"00000000-0000-4000-8000-0000000001{number:02d}"


def _job_id(number: int) -> str:
    return f"job-20260310110000-{number:08x}"


def _job_of(hunt: str) -> str:
    return _job_id(len(RUNS) + list(JOBS).index(hunt))


def _run(hunt: str, number: int, job: str | None, events: Sequence[m.Event]) -> Run:
    """The run of a hunt, as it was started, after these events."""
    run = a_run(
        id=f"20260309-{hunt}-{PLACE}-r0", hunt=hunt, hunt_guid=_guid(number), params={"least": 0.5}
    )
    for event in (m.Assigned(NOW, job), *events) if job else ():
        run, _ = decide_run(run, event)
    return run


def _save_run(records: Records, run: Run) -> None:
    kept = records.save(Kept(run_path(run), run, None), run)
    if run.status in ("done", "failed", "cancelled"):
        records.finish(kept, run.id)
    judged = spec(module=run.hunt, guid=run.hunt_guid)
    hunt = records.hunt(run.hunt_guid, WORKSPACE)
    touched = schedule.touch(judged, hunt.value, ["2026030901", "2026030701"], run.created)
    (due,) = schedule.due(judged, touched, NOW, timedelta(0))
    after = schedule.judged(touched, due, run.id, run.created + timedelta(microseconds=7))
    records.save(hunt, schedule.unjudged(after, run.id, run.slot, f"run {run.id} {run.status}"))


def _save_job(records: Records, hunt: str, number: int, events: Sequence[m.Event]) -> None:
    run = _run(hunt, number, _job_id(number) if events else None, ())
    _save_run(records, run)
    job = Job(_job_id(number), WORKSPACE, (run_path(run),), "planned", NOW, NOW)
    for event in events:
        job, _ = decide_job(job, event)
    records.save(Kept(job_path(job.id), job, None), job)


def _save_the_rest(records: Records) -> None:
    ledger = records.ledger
    ledger.create("owner.json", {"schema": 1, "deployment": "tidehunt"})
    ledger.create("turn.json", encode(Claim("host-0", NOW, NOW, NOW, beat=NOW)))
    ledger.create(SWEEPS, encode(Sweeps(NOW, NOW, "", (TABLE,))))
    ledger.create(RECENT, encode(Recent((f"20260309-delivered-{PLACE}-r0",))))
    ledger.create("health/ignored.json", encode(Ignored(("auditlogs",))))
    old = Job(_job_id(99), WORKSPACE, (), "ended", NOW, NOW, outcome="succeeded")
    records.finish(records.save(Kept(job_path(old.id), old, None), old), old.id)
    budget = records.budget("20260310")
    spent = Budget("20260310", 6, 4_000, 1, {_guid(0): 1}, 30, {_job_of("running"): 60}, 1)
    records.save(budget, spent)
    day = records.day(WORKSPACE, TABLE, "20260309")
    hour = Hour(1, 2, "f" * 24, "abfss://tables@x/y", "f" * 24, 1)
    merged = Merged("abfss://tables@x/z", {"2026030901": "f" * 24})
    left = (Left("abfss://tables@x/w", NOW),)
    known = DayRecord(WORKSPACE, TABLE, "20260309", {"2026030901": hour}, merged, left)
    records.save(day, known)
    mark(ledger, WORKSPACE, TABLE, "2026030905", NOW)
    _save_case(records)
    _save_requests(ledger)
    _save_what_waits(ledger)
    _save_health(ledger)


def _save_case(records: Records) -> None:
    """The case of the finding that the run in read-back has brought to Sentinel."""
    run = _run("at_read_back", list(RUNS).index("at_read_back"), None, ())
    finding = a_finding(run=run)
    key = str(finding["FindingKey"])
    case = records.case(key, run.hunt_guid, WORKSPACE)
    opened = Case(key, run.hunt_guid, WORKSPACE, 1, incident_id(key, 1), "High", "e", NOW)
    records.save(case, replace(opened, quiet_until=LATER, learned_from="a closure"))


def _save_requests(ledger: Ledger) -> None:
    asked = Request("run", f"20260308-delivered-{PLACE}-a00000000-r0", NOW, "delivered", WORKSPACE)
    asked = replace(asked, end_date="20260308", lookback_days=2, params={"least": 0.5})
    ledger.put(f"{REQUESTS}{asked.run_id}.json", encode(asked))
    changes: tuple[tuple[Change, str], ...] = (
        ("release", "sink_refused"),
        ("redrive", "broken"),
        ("cancel", "job_gone"),
    )
    for kind, hunt in changes:
        run_id = f"20260309-{hunt}-{PLACE}-r0"
        change = Request(kind, run_id, NOW, reason="a person")
        ledger.put(f"{REQUESTS}{run_id}.{kind}.json", encode(change))


def _save_what_waits(ledger: Ledger) -> None:
    """A pause that is to end, a pool that is tried again, and fills under way and ended."""
    ledger.create(pauses.PAUSE, encode(Pause(EARLIER, "the pool moves", "a person")))
    ledger.create(pauses.ASKED, encode(Request("resume", "", NOW, reason="moved", by="a person")))
    failed = tuple(_job_id(number) for number in (96, 97, 98))
    tried = Breaker("hunting", failed, EARLIER, EARLIER, EARLIER, "no cores", NOW, 2)
    ledger.create("pools/hunting.json", encode(replace(tried, probe=_job_of("planned"))))
    asked = Fill(
        id=f"20260310-fill-delivered-{PLACE}-00000001",
        hunt="delivered",
        hunt_guid=_guid(list(RUNS).index("delivered")),
        workspace=WORKSPACE,
        start=c.day_start("20260307"),
        end=c.day_start("20260309"),
        asked=NOW,
    )
    ledger.create(f"{fills.FILLS}{asked.id}.json", encode(asked))
    ended = replace(asked, id=asked.id[:-1] + "0", incidents=True, left=asked.start, started=1)
    ended = replace(ended, empty=1, judged=1, reason="cancelled: enough", cancelled="enough")
    ledger.create(fills.ENDED, encode(Fills((ended,))))


def _save_health(ledger: Ledger) -> None:
    """What came, what stands still, what nobody took yet, and what cannot be used."""
    came = arrivals.heard(arrivals.Arrivals(), NOW, told=2, found=1)
    for hour in ("2026030901", "2026030905"):
        came = arrivals.came(came, f"{PLACE}/{TABLE}", [hour], NOW)
    ledger.create(arrivals.PATH, encode(came))
    dark = Alarm("TableDark", f"{PLACE}/auditlogs", EARLIER, "silent", "look", PLACE, "ended", NOW)
    ledger.create(ALARMS, encode(Alarms({dark.name: dark})))
    row = {"RowId": "row-0", "Kind": "RunEnded", "Status": "done"}
    message = m.Announce("event-0", "Tidehunt.RunEnded", "runs/0", {"Status": "done"})
    ledger.create(OWED, encode(Owed((row,), (message,), 3)))
    ledger.create(UNUSABLE, encode(Unusable({f"days/{PLACE}/{TABLE}/20260308.json": "no JSON"})))
