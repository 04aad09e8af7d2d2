"""What stands still or is silent, and what nobody has been told yet, in the words of the API."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared import alarms
from shared.deployment import Deployment
from shared.model import Json, Run
from shared.told import ALARMS, OWED, Alarm, Alarms, Owed


def alarms_now(deployment: Deployment, runs: Sequence[Run]) -> list[Json]:
    """Every alarm that holds; a held run of `runs` shows as soon as it is held."""
    kept = deployment.records.the_one(Alarms(), ALARMS)
    known = kept.value.known.values() if kept else ()
    by_id = {run.id: run for run in runs}
    told = [_in_words(one, by_id.get(one.subject)) for one in known if one.kind != "RunHeld"]
    return [_alarm(one) for one in (*alarms.held(runs), *told)]


def _in_words(alarm: Alarm, run: Run | None) -> Alarm:
    """What a run's alarm leaves to the run to say."""
    if alarm.reason or run is None:
        return alarm
    reason = f"{run.status} without results: {run.reason}".rstrip(": ")
    return replace(alarm, reason=reason, mend=f"tidehunt explain {run.id}")


def _alarm(alarm: Alarm) -> Json:
    return {
        "alarm": alarm.kind,
        "subject": alarm.subject,
        "since": alarm.since.isoformat(),
        "reason": alarm.reason,
        "mend": alarm.mend,
    }


def untold(deployment: Deployment) -> Json:
    """Health rows and messages that nobody has taken yet, and those that had to be given up."""
    kept = deployment.records.the_one(Owed(), OWED)
    owed = kept.value if kept else Owed()
    return {"rows": len(owed.rows), "messages": len(owed.messages), "lost": owed.lost}
