"""plan.json as the job sees it. What is missing or of the wrong type raises ValueError."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import contract as c

LONGEST_RUN = 86_400.0
"""Seconds; what the setting of the run deadline allows."""


@dataclass(frozen=True)
class Hour:
    """An hour of a table that holds blobs; `copy` is the URL of its fresh columnar copy."""

    hour: str
    fingerprint: str
    blobs: int
    bytes: int
    copy: str | None


@dataclass(frozen=True)
class Merged:
    """The copies of a day in one folder: it counts for `hours`, and holds `stale` ones besides."""

    day: str
    path: str
    hours: tuple[str, ...]
    stale: tuple[str, ...]
    views: str = ""
    """Which code made the views that lie beside its lines; none: none do."""


@dataclass(frozen=True)
class Upkeep:
    """What the job is to do for a table's copy besides: days to merge, folders to remove."""

    merge: tuple[str, ...] = ()
    remove: tuple[str, ...] = ()


@dataclass(frozen=True)
class Hunt:
    """The part of a hunt's frozen spec that the job needs."""

    module: str
    guid: str
    version: str
    severity: Mapping[str, float]
    views: tuple[str, ...]
    tables: tuple[str, ...]
    finding_key: tuple[str, ...]
    entity_columns: tuple[str, ...]


@dataclass(frozen=True)
class Run:
    """One hunt for one slot; `window` is what it reads. All times are UTC."""

    run_id: str
    hunt: Hunt
    slot: tuple[datetime, datetime]
    window: tuple[datetime, datetime]
    revision: int
    params: Mapping[str, Any]
    references: Mapping[str, Sequence[Mapping[str, Any]]]

    @property
    def sources(self) -> tuple[str, ...]:
        """The exported tables that this run reads: its own, and those that feed its views."""
        fed = [table for view in self.hunt.views for table in c.VIEWS.get(view, ())]
        return tuple(dict.fromkeys([*self.hunt.tables, *fed]))


@dataclass(frozen=True)
class Plan:
    """Runs with frozen spec and parameters, hours with fingerprints, two deadlines.

    The job ends at `deadline`, or `run_seconds` after it began: whichever comes first.
    """

    job_id: str
    code_hash: str
    created: datetime
    deadline: datetime
    run_seconds: float | None
    """None in a plan of the release before."""
    results: str
    tables_root: str
    exports_host: str
    workspace: str
    workspace_key: str
    max_findings: int
    tables: Mapping[str, tuple[Hour, ...]]
    merged: Mapping[str, tuple[Merged, ...]]
    upkeep: Mapping[str, Upkeep]
    runs: tuple[Run, ...]

    def ends(self, began: datetime) -> datetime:
        """When a job that began then has to be over."""
        if self.run_seconds is None:
            return self.deadline
        return min(self.deadline, began + timedelta(seconds=self.run_seconds))

    def hours(self, table: str) -> tuple[Hour, ...]:
        """The hours of a table that hold blobs, oldest first; none for a table without."""
        return self.tables.get(table, ())

    def copy_url(self, table: str, key: str) -> str:
        """Where this job writes the columnar copy of one table's hour or day."""
        folder = c.copy_folder(self.workspace_key, table, self.job_id, key)
        return f"{self.tables_root}/{folder}"

    def run_url(self, run_id: str) -> str:
        """A run's folder."""
        return f"{self.results}/runs/{run_id}"


def parse_plan(content: bytes) -> Plan:
    """The plan in a file's content. ValueError says what is wrong with it."""
    try:
        return _plan(json.loads(content))
    except (KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise ValueError(f"the plan has no usable {error}") from error


def _plan(body: Any) -> Plan:
    if body["schema"] != c.PLAN_SCHEMA:
        raise ValueError(f"the plan has schema {body['schema']}, this code reads {c.PLAN_SCHEMA}")
    return Plan(
        job_id=_matching(c.JOB_ID, body["job_id"]),
        code_hash=_text(body["code_hash"]),
        created=_moment(body["created"]),
        deadline=_moment(body["deadline"]),
        run_seconds=_seconds(body["run_seconds"]) if "run_seconds" in body else None,
        results=_text(body["results"]).rstrip("/"),
        tables_root=_text(body["tables_root"]).rstrip("/"),
        exports_host=_text(body["exports_host"]),
        workspace=_text(body["workspace"]["resource_id"]),
        workspace_key=_text(body["workspace"]["key"]),
        max_findings=_count(body["max_findings"]),
        tables={
            _matching(c.TABLE, name): tuple(
                sorted((_hour(hour) for hour in table["hours"]), key=lambda hour: hour.hour)
            )
            for name, table in body["tables"].items()
        },
        merged={
            name: tuple(_merged(day) for day in table.get("merged", ()))
            for name, table in body["tables"].items()
        },
        upkeep={
            name: Upkeep(_texts(table.get("merge", [])), _texts(table.get("remove", [])))
            for name, table in body["tables"].items()
        },
        runs=tuple(_run(run) for run in body["runs"]),
    )


def _hour(body: Any) -> Hour:
    if not c.is_hour_key(body["hour"]):
        raise ValueError(f"the plan names an hour {body['hour']!r}")
    return Hour(
        hour=body["hour"],
        fingerprint=_text(body["fingerprint"]),
        blobs=_count(body["blobs"]),
        bytes=_count(body["bytes"]),
        copy=None if body["copy"] is None else _text(body["copy"]),
    )


def _merged(body: Any) -> Merged:
    hours, stale = _texts(body["hours"]), _texts(body["stale"])
    if not all(c.is_hour_key(hour) and hour[:8] == body["day"] for hour in (*hours, *stale)):
        raise ValueError(f"the plan names hours that are not of the day {body['day']!r}")
    return Merged(body["day"], _text(body["path"]), hours, stale, str(body.get("views", "")))


def _run(body: Any) -> Run:
    return Run(
        run_id=_matching(c.RUN_ID, body["run_id"]),
        hunt=_hunt(body["hunt"]),
        slot=_window(body["slot"]),
        window=_window(body["window"]),
        revision=_count(body["revision"]),
        params=dict(body["params"]),
        references={
            name: tuple(dict(row) for row in rows) for name, rows in body["references"].items()
        },
    )


def _hunt(body: Any) -> Hunt:
    return Hunt(
        module=_matching(c.IDENTIFIER, body["module"]),
        guid=_text(body["guid"]),
        version=_text(body["version"]),
        severity={name: float(score) for name, score in body["severity"].items()},
        views=_texts(body["views"]),
        tables=tuple(table.lower() for table in _texts(body["tables"])),
        finding_key=_texts(body["finding_key"]),
        entity_columns=_texts(body["entity_columns"]),
    )


def _window(body: Any) -> tuple[datetime, datetime]:
    return _moment(body["start"]), _moment(body["end"])


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"the plan names a time without a zone: {text}")
    return moment.astimezone(UTC)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"text: {value!r}")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"list of texts: {value!r}")
    return tuple(_text(one) for one in value)


def _count(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"count: {value!r}")
    return value


def _seconds(value: Any) -> float:
    if not isinstance(value, int | float) or not 0 < value <= LONGEST_RUN:
        raise TypeError(f"number of seconds: {value!r}")
    return float(value)


def _matching(pattern: Any, value: Any) -> str:
    """Names become parts of paths and modules: only those that the contract allows."""
    if not pattern.fullmatch(value):
        raise ValueError(f"the plan names {value!r}, which is no {pattern.pattern}")
    return str(value)
