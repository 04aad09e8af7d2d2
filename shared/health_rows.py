"""Rows of the health table, and what playbooks are told. Pure.

A row's RowId follows from what it tells, so that a row that is sent twice is known as one. A column
that says nothing about a kind of row is left out.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from shared import __version__
from shared.alarms import cut, number
from shared.arrivals import Arrivals
from shared.contract import NAMESPACE, workspace_key
from shared.messages import Announce
from shared.model import Job, Json, Run
from shared.told import Alarm

HEARTBEAT, RUN_ENDED = "Heartbeat", "RunEnded"
RAISED, ENDED = "AlarmRaised", "AlarmEnded"


@dataclass(frozen=True)
class Pulse:
    """What a heartbeat tells beside the runs. `last_turn`: when the turn before ended."""

    last_turn: datetime | None
    marks: int
    arrivals: Arrivals
    budget: Json
    """What the day has spent, by name; empty when nobody can tell."""
    alarms: int
    lost: int
    """Health rows and messages that could not be kept for later."""


def heartbeat(deployment: str, pulse: Pulse, runs: Sequence[Run], now: datetime) -> Json:
    """How the control plane is; ages are in seconds and left out where nothing has an age."""
    ages = {
        "LastTurnAge": _age(now, [pulse.last_turn] if pulse.last_turn else []),
        "OldestUndelivered": _age(now, [run.since for run in runs if run.status == "delivering"]),
        "OldestDue": _age(now, [_due(run) for run in runs if run.status == "waiting"]),
    }
    return {
        **_row(HEARTBEAT, deployment, now, f"{now.isoformat()}"),
        **{name: age for name, age in ages.items() if age is not None},
        "RunsActive": len(runs),
        "RunsHeld": sum(run.status == "held" for run in runs),
        "MarksWaiting": pulse.marks,
        "EventsSeen": sum(hour.told for hour in pulse.arrivals.hours.values()),
        "BlobsFound": sum(hour.found for hour in pulse.arrivals.hours.values()),
        "BudgetUsed": pulse.budget,
        "AlarmsOpen": pulse.alarms,
        "RowsLost": pulse.lost,
    }


def _due(run: Run) -> datetime:
    return run.next_at or run.created


def _age(now: datetime, moments: Iterable[datetime]) -> float | None:
    past = [(now - moment).total_seconds() for moment in moments if moment <= now]
    return max(past, default=None)


def run_ended(deployment: str, run: Run, job: Job | None, now: datetime) -> Json:
    """What became of a run: read, dropped, found, sent, refused, withheld, counted."""
    tables = run.coverage.get("tables")
    facts = list(tables.values()) if isinstance(tables, dict) else []
    hours = ("hours_planned", "hours_read", "hours_missing")
    minutes = _minutes(job)
    return {
        **_row(RUN_ENDED, deployment, now, f"{run.id}|{run.status}|{run.since.isoformat()}"),
        "RunId": run.id,
        "Hunt": run.hunt,
        "Workspace": workspace_key(run.workspace),
        "Status": run.status,
        "Since": _iso(run.since),
        "Reason": cut(run.reason),
        "JobId": run.job or "",
        **({} if minutes is None else {"JobMinutes": minutes}),
        "LinesRead": sum(number(one.get("lines")) for one in facts if isinstance(one, dict)),
        "LinesDropped": sum(number(one.get("dropped")) for one in facts if isinstance(one, dict)),
        "Coverage": {name: number(run.coverage.get(name)) for name in hours},
        "Findings": run.counts.rows,
        "Sent": run.counts.sent,
        "Unchanged": run.counts.unchanged,
        "Rejected": run.counts.set_aside,
        "Withheld": run.counts.withheld,
        "ReadBack": run.counts.confirmed,
    }


def _minutes(job: Job | None) -> float | None:
    """How long the job ran on the pool, as far as it was seen."""
    if job is None or job.started is None:
        return None
    return round((job.since - job.started).total_seconds() / 60, 1)


def alarm_row(deployment: str, kind: str, alarm: Alarm, now: datetime) -> Json:
    """An alarm that was raised or has ended."""
    of_run = {"RunId": alarm.subject} if alarm.kind in ("RunHeld", "RunLate") else {}
    held = {"Status": "held"} if (kind, alarm.kind) == (RAISED, "RunHeld") else {}
    return {
        **_row(kind, deployment, now, f"{alarm.name}|{alarm.since.isoformat()}"),
        **of_run,
        **held,
        "Alarm": alarm.kind,
        "Subject": alarm.subject,
        "Since": _iso(alarm.since),
        "Reason": alarm.reason,
        "Mend": alarm.mend,
        "Hunt": alarm.hunt,
        "Workspace": alarm.workspace,
    }


def _row(kind: str, deployment: str, now: datetime, told: str) -> Json:
    return {
        "TimeGenerated": _iso(now),
        "RowId": str(uuid.uuid5(NAMESPACE, f"health|{deployment}|{kind}|{told}")),
        "Kind": kind,
        "Deployment": deployment,
        "Version": __version__,
    }


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def payload(rows: Sequence[Mapping[str, object]]) -> bytes:
    """One request's body: a JSON array."""
    return json.dumps(rows, allow_nan=False, separators=(",", ":")).encode()


def ended_message(run: Run) -> Announce:
    """What playbooks are told of a run that has ended."""
    data = {"runId": run.id, "hunt": run.hunt, "status": run.status, "reason": run.reason}
    return Announce(f"{run.id}-ended", "Tidehunt.RunEnded", f"runs/{run.id}", data)


def delivered_message(run: Run) -> Announce:
    """What playbooks are told when a run's findings are sent, and before its incidents are."""
    data = {"runId": run.id, "hunt": run.hunt, "findings": run.counts.sent}
    return Announce(f"{run.id}-delivered", "Tidehunt.FindingsDelivered", f"runs/{run.id}", data)
