"""Tells how the control plane is: the heartbeat, ended runs, alarms, and what playbooks are told.

Who finds something that was not told yet tells it, and only then removes what it was found by: a
crash in between tells it again, under the same RowId or event id. What a sink or a topic refuses is
owed: it is kept in the ledger, so much of it as a document holds, and sent with a later heartbeat.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import timedelta

from shared import alarms, arrivals, health_rows, pools, spend
from shared.alarms import Change, Known
from shared.arrivals import Arrivals
from shared.bookkeeping import Pause, Sweeps
from shared.breaker import is_open
from shared.contract import day_key
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import Quarantined, Rejected, TidehuntError, TooLarge, Transient
from shared.health_rows import ended_message
from shared.messages import Announce
from shared.model import Job, Json, Run
from shared.pauses import paused
from shared.records import MARKS, SWEEPS, Kept, done_path, job_path
from shared.told import ALARMS, OWED, Alarm, Alarms, Owed

log = logging.getLogger("tidehunt.health")
OWED_BYTES = 56_000
MEND_POOL = "look at the pool and its quota; one job at a time tries it, and nothing is lost"
MESSAGES_AT_ONCE = 25
"""A topic that does not answer costs one call's bound a time."""


# --- the heartbeat --------------------------------------------------------------------------------


def is_due(turn: Turn, runs: Collection[Run] = ()) -> bool:
    """True when it is time for a heartbeat, or a run was held since the last one."""
    last, every = turn.last_beat, turn.deployment.settings.heartbeat_seconds
    if last is None or turn.now() - last >= timedelta(seconds=every):
        return True
    return any(run.status == "held" and run.since >= last for run in runs)


def beat(turn: Turn, runs: Collection[Run], seen: Sequence[Known]) -> None:
    """Send the heartbeat, what changed among the alarms, and what is owed.

    `runs` are the unfinished ones, `seen` the time lines that this turn has looked at. Transient
    when the turn has no room for it: the next turn does it then.
    """
    if not turn.has_room():
        raise Transient("no room for the heartbeat")
    records, now = turn.deployment.records, turn.now()
    arrived = records.the_one(Arrivals(), arrivals.PATH)
    heard = arrived.value if arrived else Arrivals()
    known, kept = records.the_one(Alarms(), ALARMS), records.the_one(Owed(), OWED)
    owed = kept.value if kept else Owed()
    change = _compared(turn, known, _holding(turn, runs, seen, heard), seen)
    pulse = health_rows.Pulse(
        turn.last_turn,
        sum(1 for _ in records.ledger.list(MARKS)),
        heard,
        _spent(turn),
        len(change.after.known),
        owed.lost,
    )
    row = health_rows.heartbeat(turn.deployment.settings.deployment, pulse, list(runs), now)
    rows = [*owed.rows, *_rows_of(turn, change)]
    unsent = [one for one in _send(turn, [*rows, row]) if one is not row]
    _owe_instead(turn, kept, Owed(tuple(unsent), tuple(_say(turn, owed.messages)), owed.lost))
    # A crash here tells the same alarms again, under the same RowIds.
    if known is not None:
        records.save(known, change.after)


def _spent(turn: Turn) -> Json:
    """What the day has spent; empty when nobody can tell."""
    try:
        budget = turn.deployment.records.budget(day_key(turn.now())).value
    except Quarantined:
        return {}
    told = spend.today(budget, turn.deployment.settings)
    return {name: one["used"] for name, one in told.items()}


def _owe_instead(turn: Turn, kept: Kept[Owed] | None, after: Owed) -> None:
    """Remember what is owed now; where nothing is and was, there is no document."""
    if kept is None:
        _say_lost(after.rows, after.messages)
    elif kept.etag is not None or after != Owed():
        turn.deployment.records.save(kept, _bounded(after))


def _say_lost(rows: Sequence[Json], messages: Sequence[Announce]) -> None:
    if rows or messages:
        log.error("lost: %d health rows and %d messages", len(rows), len(messages))


def _holding(
    turn: Turn, runs: Collection[Run], seen: Sequence[Known], heard: Arrivals
) -> list[Alarm]:
    """Every alarm that holds now, those of coverage apart."""
    deployment, now = turn.deployment, turn.now()
    settings = deployment.settings
    late, settle = timedelta(seconds=settings.late_seconds), settings.settle_seconds
    busy = {run.id for run in runs} | deployment.records.unreadable_runs()
    # What waits while a person wants it to is not late: the pause is told in its place.
    pause = paused(deployment.records)
    going = [run for run in runs if pause is None or run.status != "waiting"]
    watched = {f"{key}/{t}" for key in deployment.workspaces() for t in deployment.tables()}
    return [
        *_stopped(turn, pause),
        *_blind(turn),
        *alarms.held(runs),
        *alarms.late_runs(going, now, late + timedelta(seconds=settings.coalesce_seconds)),
        *alarms.late_hunts(seen, busy, now, timedelta(seconds=settle), late),
        *alarms.dark_tables(heard, watched, now, timedelta(seconds=settings.dark_seconds)),
        *(alarms.events_missing(heard) if settings.events == "expected" else ()),
    ]


def _blind(turn: Turn) -> list[Alarm]:
    """What the control plane cannot see: the lake, and documents of its own."""
    records, settings, now = turn.deployment.records, turn.deployment.settings, turn.now()
    sweeps = records.the_one(Sweeps(), SWEEPS)
    bound = timedelta(seconds=settings.late_seconds + settings.sweep_seconds)
    # The first turns of a deployment have not come to it yet.
    known = sweeps is not None and turn.last_beat is not None
    return [
        *(alarms.lake_unseen(sweeps.value.recent, now, bound) if sweeps and known else ()),
        *alarms.unusable(records.quarantine.met, now),
    ]


def _stopped(turn: Turn, pause: Pause | None) -> list[Alarm]:
    """What keeps every new job back: a person's pause, and the breaker of the pool."""
    found, now, pool = [], turn.now(), pools.as_seen(turn.deployment, ())
    if pause is not None:
        said = alarms.cut(f"{pause.by or 'somebody'}: {pause.reason}")
        found.append(Alarm("Paused", "everything", pause.since or now, said, "tidehunt resume"))
    if is_open(pool):
        reason = alarms.cut(pool.reason)
        found.append(Alarm("PoolClosed", pool.pool, pool.since or now, reason, MEND_POOL))
    return found


def _compared(
    turn: Turn, known: Kept[Alarms] | None, holds: Sequence[Alarm], seen: Sequence[Known]
) -> Change:
    """What changed; nothing is told of alarms when what is known of them cannot be read."""
    if known is None:
        return Change(Alarms())
    looked_at = {alarms.place(spec, record.workspace) for spec, record in seen}
    lives = _places(turn.deployment)

    def judged(alarm: Alarm) -> bool:
        where = f"{alarm.hunt}/{alarm.workspace}"
        if alarm.kind == "HuntLate":
            return where in looked_at or where not in lives
        return alarm.kind not in alarms.OF_COVERAGE or where not in lives

    return alarms.changed(known.value, holds, judged)


def _places(deployment: Deployment) -> set[str]:
    """Hunts that start by themselves, with their workspaces."""
    starting = [spec for spec in deployment.hunts if spec.status in ("live", "shadow")]
    return {alarms.place(spec, one) for spec in starting for one in deployment.settings.workspaces}


def _rows_of(turn: Turn, change: Change) -> list[Json]:
    name, now = turn.deployment.settings.deployment, turn.now()
    raised = [health_rows.alarm_row(name, health_rows.RAISED, one, now) for one in change.raised]
    return [
        *raised,
        *(health_rows.alarm_row(name, health_rows.ENDED, one, now) for one in change.ended),
    ]


# --- ended runs -----------------------------------------------------------------------------------


def tell_ended(turn: Turn, ended: Sequence[Run]) -> None:
    """Tell of runs that have ended, before they are put away: who raises here tells them again."""
    name, now = turn.deployment.settings.deployment, turn.now()
    jobs = {job: _job(turn, job) for job in sorted({run.job for run in ended if run.job})}
    rows = [health_rows.run_ended(name, run, jobs.get(run.job or ""), now) for run in ended]
    known = turn.deployment.records.the_one(Alarms(), ALARMS)
    change = Change(known.value) if known else Change(Alarms())
    for run in ended if known else ():
        change = _by_coverage(change, run)
    unsent = _send(turn, [*rows, *_rows_of(turn, change)])
    _owe(turn, unsent, _say(turn, [ended_message(run) for run in ended]))
    # A crash here tells the same runs and alarms again, under the same ids.
    if known is not None and change.after != known.value:
        turn.deployment.records.save(known, change.after)


def _by_coverage(change: Change, run: Run) -> Change:
    """What a run could not read, against what its hunt's runs before could not."""
    if run.kind != "live" or run.status != "done" or alarms.outdated(change.after, run):
        return change
    found = alarms.of_coverage(run)
    step = alarms.changed(change.after, found, lambda one: alarms.is_of(one, run))
    return Change(step.after, (*change.raised, *step.raised), (*change.ended, *step.ended))


def _job(turn: Turn, job_id: str) -> Job | None:
    try:
        for path in (done_path(job_id), job_path(job_id)):
            kept = turn.deployment.records.load(Job, path)
            if kept is not None:
                return kept.value
    except Quarantined:
        pass
    return None


# --- sending, and what is owed --------------------------------------------------------------------


def announce(turn: Turn, message: Announce) -> None:
    """Tell playbooks; what the topic does not take is owed."""
    if not turn.deployment.announce(message):
        _owe(turn, [], [message])


def _send(turn: Turn, rows: Sequence[Json]) -> list[Json]:
    """Send rows in one request; those that the sink did not take."""
    if not rows:
        return []
    try:
        turn.deployment.health.send(health_rows.payload(rows))
    except (Rejected, TooLarge) as error:
        log.error("health rows are refused: %s", error)
        return _one_by_one(turn, rows)
    except TidehuntError as error:
        log.warning("%d health rows are not sent, they are owed: %s", len(rows), error)
        return list(rows)
    return []


def _one_by_one(turn: Turn, rows: Sequence[Json]) -> list[Json]:
    """Find the row that is to blame: it is dropped where another is taken, newest first."""
    owed: list[Json] = []
    taken = False
    for number, row in enumerate(reversed(rows)):
        try:
            if turn.has_room():
                turn.deployment.health.send(health_rows.payload([row]))
                taken = True
                continue
        except (Rejected, TooLarge) as error:
            if taken:
                log.error("dropped, the sink refuses this row alone: %s: %s", row["RowId"], error)
                continue
        except TidehuntError as error:
            log.warning("owed: %s", error)
        owed.append(row)
        if not taken and number == 0:
            return list(rows)
    return list(reversed(owed))


def _say(turn: Turn, messages: Sequence[Announce]) -> list[Announce]:
    """Tell playbooks until one message is not taken; those that are left."""
    for number, message in enumerate(messages[:MESSAGES_AT_ONCE]):
        if not turn.has_room() or not turn.deployment.announce(message):
            return list(messages[number:])
    return list(messages[MESSAGES_AT_ONCE:])


def _owe(turn: Turn, rows: Sequence[Json], messages: Sequence[Announce]) -> None:
    """Remember what was not taken. Raises when the ledger does not take it either."""
    if not rows and not messages:
        return
    kept = turn.deployment.records.the_one(Owed(), OWED)
    owed = _with(kept.value if kept else Owed(), rows, messages)
    _owe_instead(turn, kept, owed)


def _with(owed: Owed, rows: Sequence[Json], messages: Sequence[Announce]) -> Owed:
    ids = {row["RowId"] for row in owed.rows}
    known = {message.event_id for message in owed.messages}
    return replace(
        owed,
        rows=(*owed.rows, *(row for row in rows if row["RowId"] not in ids)),
        messages=(*owed.messages, *(one for one in messages if one.event_id not in known)),
    )


def _bounded(owed: Owed) -> Owed:
    """As much as a document holds: what is told of runs that are simply done goes first."""
    while len(json.dumps(encode(owed))) > OWED_BYTES:
        owed = _without_the_least(replace(owed, lost=owed.lost + 1))
    return owed


def _without_the_least(owed: Owed) -> Owed:
    """Without the oldest of what matters least."""
    plain = [row for row in owed.rows if row.get("Status") == "done"]
    if owed.messages and not plain:
        return replace(owed, messages=owed.messages[1:])
    drop = plain[0] if plain else owed.rows[0]
    return replace(owed, rows=tuple(row for row in owed.rows if row is not drop))
