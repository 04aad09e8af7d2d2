"""What stands still or has fallen silent, as alarms. Pure: facts in, alarms out.

An alarm is raised once and ended once: `changed` compares what holds now with what is known. Its
name is its kind and its subject; while it holds it keeps the `since` that it was raised with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared import schedule
from shared.arrivals import Arrivals, LastHour
from shared.contract import day_start, hour_start, workspace_key
from shared.model import HuntSpec, Run
from shared.timeline import HuntRecord, Slot
from shared.told import Alarm, Alarms, Kind

OF_RUNS = ("RunHeld", "RunLate")
OF_COVERAGE = ("ColumnDark", "DayMissing")
RUN_ALARMS_MOST, OTHER_ALARMS_MOST = 100, 25
"""With these the document stays below 64 kB."""
TEXT = 300
"""Characters of a reason."""
PAUSES = 3
"""A table is dark after so many times its usual pause, if that is longer than the setting."""
COLUMNS_MOST = 10
DOCUMENTS_MOST = 10
SILENT_HOURS = 2
"""In so many different hours sweeps alone found blobs before events are called missing."""


@dataclass(frozen=True)
class Change:
    """The alarms after a look, and which of them came and went."""

    after: Alarms
    raised: tuple[Alarm, ...] = ()
    ended: tuple[Alarm, ...] = ()


def changed(before: Alarms, now: Iterable[Alarm], judged: Callable[[Alarm], bool]) -> Change:
    """What holds now against what is known; `judged` says which of the known were looked at."""
    holds = {alarm.name: alarm for alarm in now}
    ended = [one for name, one in before.known.items() if judged(one) and name not in holds]
    known = {name: one for name, one in before.known.items() if one not in ended}
    raised = []
    for name, alarm in holds.items():
        if name not in known and _fits(known, alarm):
            raised.append(alarm)
            known[name] = _remembered(alarm)
        elif name in known and alarm.slot is not None:
            known[name] = replace(known[name], slot=alarm.slot)
    return Change(Alarms(known), tuple(raised), tuple(ended))


def _fits(known: Mapping[str, Alarm], alarm: Alarm) -> bool:
    of_runs = alarm.kind in OF_RUNS
    most = RUN_ALARMS_MOST if of_runs else OTHER_ALARMS_MOST
    return sum((one.kind in OF_RUNS) == of_runs for one in known.values()) < most


def _remembered(alarm: Alarm) -> Alarm:
    """What a run waits for is in the run: there may be many."""
    return Alarm(alarm.kind, alarm.subject, alarm.since) if alarm.kind in OF_RUNS else alarm


def cut(text: object, most: int = TEXT) -> str:
    """Text that somebody else may have written, short and printable."""
    kept = "".join(char if char.isprintable() else " " for char in str(text)[:most])
    return kept.encode("utf-8", "replace").decode()


# --- runs and hunts -------------------------------------------------------------------------------


def held(runs: Iterable[Run]) -> list[Alarm]:
    """Runs that wait for a condition or a person."""
    return [
        Alarm(
            "RunHeld",
            run.id,
            run.since,
            cut(run.reason),
            f"tidehunt release {run.id}, or tidehunt abandon {run.id} --reason WHY",
            workspace_key(run.workspace),
            run.hunt,
        )
        for run in runs
        if run.status == "held"
    ]


def late_runs(runs: Iterable[Run], now: datetime, bound: timedelta) -> list[Alarm]:
    """Runs that were saved longer than `bound` ago and have no results yet."""
    return [
        Alarm(
            "RunLate",
            run.id,
            run.created,
            cut(f"{run.status} without results for more than {bound}: {run.reason}".rstrip(": ")),
            f"tidehunt explain {run.id}; look at the pool, the day's budget and the log",
            workspace_key(run.workspace),
            run.hunt,
        )
        for run in runs
        if run.status in ("waiting", "assigned") and run.kind != "backfill"
        if now - run.created > bound
    ]


Known = tuple[HuntSpec, HuntRecord]


def place(spec: HuntSpec, workspace: str) -> str:
    """The subject of what concerns a hunt in a workspace."""
    return f"{spec.module}/{workspace_key(workspace)}"


def late_hunts(
    seen: Sequence[Known], busy: Collection[str], now: datetime, settle: timedelta, bound: timedelta
) -> list[Alarm]:
    """Hunts with a slot that was due `bound` ago and that no run has taken up since.

    `busy` are the ids of unfinished runs: their slots have been taken up.
    """
    found = []
    for spec, record in seen:
        waits = [key for key, slot in record.slots.items() if slot.run in busy]
        due = schedule.due(spec, record, now - bound, settle, waits)
        if due:
            since = min(_due_since(record, item) for item in due)
            found.append(_late_hunt(spec, record, since, len(due), bound))
    return found


def _due_since(record: HuntRecord, item: schedule.Due) -> datetime:
    changed_at = record.slots.get(item.key, Slot()).changed
    return max(item.slot.end, changed_at or item.slot.end)


def _late_hunt(
    spec: HuntSpec, record: HuntRecord, since: datetime, slots: int, bound: timedelta
) -> Alarm:
    return Alarm(
        "HuntLate",
        place(spec, record.workspace),
        since,
        f"slots due for more than {bound} without a run: {slots}",
        "look for this hunt in the log, and at TIDEHUNT_RUNS_A_HUNT_A_DAY",
        workspace_key(record.workspace),
        spec.module,
    )


# --- what comes in --------------------------------------------------------------------------------


def dark_tables(
    arrivals: Arrivals, watched: Collection[str], now: datetime, bound: timedelta
) -> list[Alarm]:
    """Tables that had data and have none for longer than `bound` and than is usual for them.

    `watched` are the places (`<workspace key>/<table>`) that hunts read.
    """
    return [
        Alarm(
            "TableDark",
            where,
            _ended(last),
            f"no blob since {_ended(last):%Y-%m-%d %H:%M} UTC",
            "look at the source, its connector, and the data export rule of the workspace",
            where.split("/", 1)[0],
        )
        for where, last in sorted(arrivals.tables.items())
        if where in watched
        if now - _ended(last) > max(bound, PAUSES * timedelta(hours=last.pause))
    ]


def _ended(last: LastHour) -> datetime:
    return hour_start(last.newest) + timedelta(hours=1)


def events_missing(arrivals: Arrivals) -> list[Alarm]:
    """Blobs that only sweeps found: of the last hours in which anything came, no event told."""
    lately = sorted(arrivals.hours)[-SILENT_HOURS:]
    silent = [hour for hour in lately if not arrivals.hours[hour].told]
    if len(lately) < SILENT_HOURS or silent != lately:
        return []
    blobs = sum(arrivals.hours[hour].found for hour in silent)
    return [
        Alarm(
            "EventsMissing",
            "exports",
            hour_start(silent[0]),
            f"sweeps found {blobs} new blobs of which no event told",
            "look at the Event Grid subscription of the exports account and its dead letters; "
            "set TIDEHUNT_EVENTS=none where there is none on purpose",
        )
    ]


def lake_unseen(last: datetime | None, now: datetime, bound: timedelta) -> list[Alarm]:
    """The exports were not listed for longer than `bound`; `last`: the last listing, None: never.

    Until the first one nothing starts.
    """
    if last is not None and now - last <= bound:
        return []
    reason = f"not listed since {last:%Y-%m-%d %H:%M} UTC" if last else "never listed"
    mend = "look for `sweep` in the log, and at the app's role on the exports account"
    return [Alarm("LakeUnseen", "exports", last or now, reason, mend)]


# --- what the ledger holds ------------------------------------------------------------------------


def unusable(documents: Mapping[str, str], now: datetime) -> list[Alarm]:
    """Documents of the ledger that cannot be used; path -> why."""
    return [
        Alarm("DocumentUnusable", cut(path, 200), now, cut(why), MEND_DOCUMENT)
        for path, why in sorted(documents.items())[:DOCUMENTS_MOST]
    ]


# --- what a run could read ------------------------------------------------------------------------


def of_coverage(run: Run) -> list[Alarm]:
    """Days that are missing in a run's window, and columns that are null in every row."""
    missing = _missing_days(run)
    dark = list(_dark_columns(run))[:COLUMNS_MOST]
    days = [_coverage_alarm(run, "DayMissing", "", missing, MEND_DAY)] if missing else []
    return [*days, *(_coverage_alarm(run, "ColumnDark", *told, MEND_COLUMN) for told in dark)]


MEND_DOCUMENT = "mend the document, or delete it: see `quarantined` in docs/operations.md"
MEND_DAY = "look at the table's export of these days; `tidehunt redrive` judges them again"
MEND_COLUMN = "compare the source's columns with spark/tables: most often one was renamed"


def _coverage_alarm(run: Run, kind: Kind, what: str, reason: str, mend: str) -> Alarm:
    where = workspace_key(run.workspace)
    subject = "/".join(filter(None, (run.hunt, where, what)))
    return Alarm(kind, subject, run.created, reason, mend, where, run.hunt, run.slot.start)


def _missing_days(run: Run) -> str:
    """What is said of a window's empty days; "" when all days since the first data have some."""
    told, first = run.coverage, run.coverage.get("first_data")
    if "days_with_data" not in told:
        return ""
    with_data = number(told["days_with_data"])
    if not with_data:
        return "the window holds no data at all"
    try:
        began = max(run.window.start, datetime.fromisoformat(str(first)))
        days = (run.window.end - day_start(f"{began:%Y%m%d}")) / timedelta(days=1)
    except (TypeError, ValueError):
        return ""
    missing = round(days) - with_data
    return (
        f"{missing} of the {round(days)} days since the first data are empty" if missing > 0 else ""
    )


def _dark_columns(run: Run) -> Iterator[tuple[str, str]]:
    """(`table.column`, what is said of it), by name."""
    for table, facts in sorted(_mapping(run.coverage.get("tables")).items()):
        for column, share in sorted(_mapping(_mapping(facts).get("nulls")).items()):
            if isinstance(share, int | float) and share >= 1:
                rows = number(_mapping(facts).get("rows"))
                yield cut(f"{table}.{column}", 120), f"null in all of {rows} rows of the window"


def _mapping(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def number(value: Any) -> int:
    """A count that a manifest tells, as a number or as a list; 0 when it is neither."""
    if isinstance(value, list):
        return len(value)
    return int(value) if isinstance(value, int) and not isinstance(value, bool) else 0


def outdated(before: Alarms, run: Run) -> bool:
    """True when a newer slot of the same hunt and workspace was judged already."""
    return any(
        one.slot is not None and one.slot > run.slot.start
        for one in before.known.values()
        if is_of(one, run)
    )


def is_of(alarm: Alarm, run: Run) -> bool:
    """True for what the coverage of a run's hunt and workspace told."""
    same = (alarm.hunt, alarm.workspace) == (run.hunt, workspace_key(run.workspace))
    return alarm.kind in OF_COVERAGE and same
