"""Timer triggers: one loop each, so that a timer never overlaps itself.

A beat that falls into a running invocation is dropped; the next one on the schedule comes with
`past_due` set. (Azure stores the schedule's status and reports missed beats at its start.)
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from datetime import UTC, datetime

from azure.functions.meta import Datum
from cronsim import CronSim, CronSimError

from workbench.host.index import Function
from workbench.host.invoke import Invoker

log = logging.getLogger("host")
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_NAP_SECONDS = 30.0
"""Longest sleep: a clock that is set, or a machine that slept, is noticed within it."""


def check_schedule(schedule: str) -> None:
    """Raise ValueError unless this is NCRONTAB: six fields, or five without the seconds."""
    if re.fullmatch(r"[\d.]+:\d+:\d+", schedule):
        raise ValueError(f"schedule {schedule!r}: a TimeSpan works on dedicated plans only")
    try:
        next_beat(schedule, _EPOCH)
    except (CronSimError, StopIteration) as error:
        raise ValueError(f"schedule {schedule!r} is no NCRONTAB expression: {error}") from error


def next_beat(schedule: str, after: datetime) -> datetime:
    """The first moment of the schedule later than `after`, in UTC, on a whole second."""
    return next(CronSim(schedule.upper(), after))


async def keep_time(function: Function, invoker: Invoker) -> None:
    """Invoke on every beat until cancelled."""
    schedule = str(function.trigger["schedule"])
    beat: datetime | None = None
    if function.trigger.get("runOnStartup"):
        await invoker.invoke(function, _request(schedule, None, late=False))
    while True:
        due = next_beat(schedule, datetime.now(UTC))
        await _sleep_until(due)
        if invoker.busy(function):  # timed out, and its thread still runs
            continue
        late = beat is not None and next_beat(schedule, beat) < due
        await invoker.invoke(function, _request(schedule, beat, late=late))
        beat = due


async def _sleep_until(due: datetime) -> None:
    while (left := (due - datetime.now(UTC)).total_seconds()) > 0:
        await asyncio.sleep(min(left, _NAP_SECONDS))


def _request(schedule: str, last: datetime | None, *, late: bool) -> Datum:
    now = datetime.now(UTC)
    body = {
        "Schedule": {"AdjustForDST": True},
        "ScheduleStatus": {
            "Last": (last or _EPOCH).isoformat(),
            "LastUpdated": (last or _EPOCH).isoformat(),
            "Next": next_beat(schedule, now).isoformat(),
        },
        "IsPastDue": late,
    }
    return Datum(json.dumps(body), "json")
