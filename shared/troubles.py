"""What stands still, is silent, was not told or cannot be used, as status tells it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from shared import alarms
from shared.bookkeeping import Unusable
from shared.deployment import Deployment
from shared.model import Json, Run
from shared.quarantine import UNUSABLE
from shared.records import Records
from shared.told import ALARMS, OWED, Alarm, Alarms, Owed


def troubles(deployment: Deployment, runs: Sequence[Run]) -> Json:
    """`alarms`, `untold` and `quarantined`. `runs` are all unfinished ones."""
    return {
        "alarms": _alarms(deployment, runs),
        "untold": _untold(deployment),
        "quarantined": _quarantined(deployment.records),
    }


def _quarantined(records: Records) -> Json:
    """Path -> why, of what a turn has met and of what was met in telling the rest."""
    kept = records.the_one(Unusable(), UNUSABLE)
    return {**(kept.value.documents if kept else {}), **records.quarantine.met}


def _alarms(deployment: Deployment, runs: Sequence[Run]) -> list[Json]:
    """What stands still or is silent; a held run shows as soon as it is held."""
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


def _untold(deployment: Deployment) -> Json:
    """Health rows and messages that nobody has taken yet, and those that had to be given up."""
    kept = deployment.records.the_one(Owed(), OWED)
    owed = kept.value if kept else Owed()
    return {"rows": len(owed.rows), "messages": len(owed.messages), "lost": owed.lost}
