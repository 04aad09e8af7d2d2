"""Findings -> rows of the findings table -> requests within the service's limits. Pure.

What is measured is what is sent: UTF-8 bytes of the JSON, not characters.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from shared.contract import SEVERITIES, finding_id, finding_key, workspace_key
from shared.model import HuntSpec, Json, Run

REQUEST_BYTES = 900_000
"""Our own cut: the service refuses 1 MB and the SDK's chunks can pass it."""
FIELD_BYTES = 60_000
"""The service cuts fields at 64 kB without a word; we cut earlier and say so in CutFields."""


class BadRow(ValueError):
    """A finding's line cannot become a row; the message says why."""


@dataclass(frozen=True)
class Row:
    """One row; `end` is the byte offset after its line in the part."""

    finding_id: str
    content: bytes
    """The row as JSON; empty when there is nothing to send."""
    end: int
    bad: str = ""
    """Why the line cannot become a row."""


def read_finding(line: bytes, run: Run) -> Json:
    """A finding as the job wrote it, checked against the run. BadRow when it is not the run's own.

    The ids are computed again: a row whose id does not follow from its identity is refused.
    """
    try:
        finding = json.loads(line, parse_constant=_no_constant)
        identity, title = finding["Identity"], finding["Title"]
        key = finding_key(workspace_key(run.workspace), run.hunt_guid, identity)
        expected = (key, finding_id(key, run.slot.start))
        if (finding["FindingKey"], finding["FindingId"]) != expected:
            raise BadRow("its ids do not follow from its identity")
        if finding["Severity"] not in SEVERITIES or not isinstance(title, str):
            raise BadRow("its severity or title is not one that a job writes")
        if not _is_number(finding["Score"]) or not 0 <= finding["Score"] <= 1:
            raise BadRow("its score is no number from 0 to 1")
        if not all(isinstance(finding.get(name) or {}, dict) for name in _OBJECTS):
            raise BadRow("its entities, sub-scores or evidence are no objects")
        if not all(_is_time(finding.get(name)) for name in _TIMES):
            raise BadRow("it was not seen at a time in ISO 8601 and UTC")
    except BadRow:
        raise
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadRow(f"it is no finding: {type(error).__name__} {error}"[:500]) from error
    return dict(finding)


_OBJECTS = ("Entities", "SubScores", "Evidence")
_TIMES = ("FirstSeen", "LastSeen")


def _no_constant(name: str) -> float:
    raise BadRow(f"{name} is no JSON number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_time(value: Any) -> bool:
    """True for nothing, or a time that says that it is UTC."""
    return value is None or datetime.fromisoformat(value).utcoffset() == timedelta(0)


def row_of(finding: Json, run: Run, spec: HuntSpec | None, at: datetime, quiet: str) -> bytes:
    """The row for a finding, as UTF-8 JSON. `quiet` is why it is suppressed, or "".

    BadRow when it cannot be written as JSON: 1e999 is read as infinity.
    """
    row: Json = {
        "TimeGenerated": _iso(at),
        "FindingId": finding["FindingId"],
        "FindingKey": finding["FindingKey"],
        "HuntId": run.hunt_guid,
        "Hunt": run.hunt,
        "HuntVersion": spec.version if spec else "",
        "RunId": run.id,
        "Revision": run.revision,
        "Workspace": run.workspace,
        "SlotStart": _iso(run.slot.start),
        "SlotEnd": _iso(run.slot.end),
        "WindowStart": _iso(run.window.start),
        "WindowEnd": _iso(run.window.end),
        "FirstSeen": finding.get("FirstSeen"),
        "LastSeen": finding.get("LastSeen"),
        "FindingTitle": finding["Title"],
        "Severity": finding["Severity"],
        "Score": finding["Score"],
        "SubScores": finding.get("SubScores", {}),
        "Entities": finding.get("Entities", {}),
        "Evidence": finding.get("Evidence", {}),
        "Tactics": list(spec.tactics) if spec else [],
        "Techniques": list(spec.techniques) if spec else [],
        "Coverage": {name: run.coverage.get(name) for name in _COVERAGE},
        "Suppressed": bool(quiet),
        "SuppressedReason": quiet,
        "CodeHash": run.code_hash,
    }
    try:
        whole = _encode({**row, "CutFields": ""})
        return whole if len(whole) <= FIELD_BYTES else _encode(_cut_fields(row))
    except (ValueError, RecursionError) as error:
        raise BadRow(f"it cannot be written as JSON: {error}"[:500]) from error


_COVERAGE = ("hours_planned", "hours_read", "hours_missing")


def _cut_fields(row: Json) -> Json:
    cut = [name for name, value in row.items() if len(_encode(value)) > FIELD_BYTES]
    small = {name: _cut(row[name]) if name in cut else row[name] for name in row}
    return {**small, "CutFields": ", ".join(cut)}


def _cut(value: Any) -> str:
    text = value if isinstance(value, str) else _encode(value).decode()
    while len(_encode(text)) > FIELD_BYTES:
        excess = len(_encode(text)) - FIELD_BYTES
        text = text[: max(0, len(text) - max(1, excess // 6))]
    return text


def _encode(value: Any) -> bytes:
    """JSON without NaN; a lone surrogate cannot be UTF-8 and becomes a replacement character."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")


def payload(rows: Iterable[Row]) -> bytes:
    """One request's body: a JSON array."""
    return b"[" + b",".join(row.content for row in rows) + b"]"


def requests(rows: Iterable[Row], limit: int = REQUEST_BYTES) -> Iterator[list[Row]]:
    """Rows cut into requests of at most `limit` bytes, in order; a larger row goes alone."""
    batch: list[Row] = []
    size = 2
    for row in rows:
        added = len(row.content) + 1
        if batch and size + added > limit:
            yield batch
            batch, size = [], 2
        batch.append(row)
        size += added
    if batch:
        yield batch


def halves(rows: list[Row]) -> tuple[list[Row], list[Row]]:
    """Two halves of a refused request, to find the row that is to blame."""
    middle = len(rows) // 2
    return rows[:middle], rows[middle:]


def content_hash(line: bytes) -> str:
    """What tells a changed finding from one that a revision found again."""
    return hashlib.sha256(line).hexdigest()[:16]
