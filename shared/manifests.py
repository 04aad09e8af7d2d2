"""Reads what a job wrote as what it is: input from something that digested hostile logs."""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from shared import contract as c
from shared.errors import BadInput, Conflict, TidehuntError, TooLarge, Transient
from shared.model import Json
from shared.ports import ResultLake
from shared.timeline import Hour, Merged, Told

log = logging.getLogger("tidehunt.manifests")
_VIEWS = re.compile(r"[0-9a-f]{1,16}")
Place = tuple[str, str]
"""Table, day."""


@dataclass(frozen=True)
class Manifest:
    """A run's results: names of its parts in order, rows in them, rows withheld, or an error."""

    parts: tuple[str, ...]
    rows: int
    withheld: int
    code_hash: str
    coverage: Json
    error: str = ""
    passing: bool = False
    """The error may pass, as that of a storage that did not answer: another job may go on."""


def spared(path: str, look: Callable[..., bool], *arguments: object) -> bool | None:
    """Whether one run's results are there; its trouble spares the runs that share its job.

    None when that cannot be told now; False when they cannot be used, which no wait mends.
    """
    try:
        return look(*arguments)
    except (Transient, Conflict) as error:
        log.warning("%s: its manifest is not read now: %s", path, error)
        return None
    except TidehuntError as error:
        log.error("%s: %s", path, error)
    except Exception:
        log.exception("%s: unexpected", path)
    return False


def read_manifest(results: ResultLake, job_id: str, run_id: str) -> Manifest | None:
    """The manifest of a run, or None when it is not there or not whole yet.

    A manifest that can never be used counts as not there: its job ends without results.
    """
    path = c.manifest_path(job_id, run_id)
    try:
        content = results.read(path, c.MANIFEST_BYTES)
        return None if content is None else parse_manifest(content, job_id, run_id)
    except (ValueError, KeyError, TypeError, RecursionError, TooLarge) as error:
        log.warning("manifest cannot be used (yet): %s: %s", path, error)
        return None


def told_trouble(results: ResultLake, job_id: str, run_id: str) -> str:
    """What a job said that it could not do for a run; "" when it said nothing that can be read."""
    try:
        manifest = read_manifest(results, job_id, run_id)
    except Exception as error:
        log.warning("%s: its manifest is not read again: %s", run_id, error)
        return ""
    return manifest.error if manifest else ""


def parse_manifest(content: bytes, job_id: str, run_id: str) -> Manifest:
    """A manifest's content, checked. ValueError, KeyError or TypeError when it cannot be used."""
    body = json.loads(content)
    if body["schema"] != c.MANIFEST_SCHEMA or (body["job_id"], body["run_id"]) != (job_id, run_id):
        raise ValueError("it belongs to another schema, job or run")
    if body["status"] == "failed":
        reason, passing = _reason(body.get("error")), body.get("passing") is True
        return Manifest((), 0, 0, str(body["code_hash"])[:64], {}, reason, passing)
    if body["status"] != "succeeded":
        raise ValueError(f"unknown status {str(body['status'])[:40]!r}")
    parts = [(str(part["name"]), _size(part["rows"])) for part in body["parts"]]
    if not all(c.PART_NAME.fullmatch(name) for name, _ in parts):
        raise ValueError("a part's name is not one that a job writes")
    if len({name for name, _ in parts}) < len(parts):
        raise ValueError("it names a part twice")
    rows = _size(body["rows"])
    if rows != sum(count for _, count in parts):
        raise ValueError("its parts do not add up to its rows")
    return Manifest(
        parts=tuple(name for name, _ in parts),
        rows=rows,
        withheld=_size(body["withheld"]),
        code_hash=str(body["code_hash"])[:64],
        coverage=_coverage({**body["coverage"], "timings": body.get("timings", {})}),
    )


def read_report(content: bytes, job_id: str, workspace: str, root: str) -> dict[Place, Told]:
    """(Table, day) -> what a job's report tells: folders that it may write, and no others.

    `root` is the URL of the tables container. BadInput when it is no report.
    """
    folder = f"{root}/{c.workspace_key(workspace)}"
    told: dict[Place, Told] = defaultdict(Told)
    try:
        report = json.loads(content)
        for copied in report.get("copies", []):
            place, hour, copy = _copied(copied)
            if copy.copy == f"{folder}/{place[0]}/{job_id}/{hour}":
                told[place] = replace(told[place], copies={**told[place].copies, hour: copy})
        for merged in report.get("merged", []):
            place, made = _merged(merged)
            if made.path == f"{folder}/{place[0]}/{job_id}/{place[1]}":
                told[place] = replace(told[place], merged=made)
        for place, paths in _folders(report.get("lost", []), folder).items():
            told[place] = replace(told[place], lost=paths)
        for place, paths in _folders(report.get("removed", []), folder).items():
            told[place] = replace(told[place], removed=paths)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"no report of a job: {error}", where=job_id) from error
    return {place: one for place, one in told.items() if _is_place(*place)}


def _copied(body: Json) -> tuple[Place, str, Hour]:
    table, hour = str(body["table"]), str(body["hour"])
    copy = Hour(_size(body["blobs"]), 0, str(body["fingerprint"])[:64], str(body["path"]))
    if not c.is_hour_key(hour):
        raise ValueError(f"{hour[:40]!r} is no hour")
    return (table, hour[:8]), hour, copy


def _merged(body: Json) -> tuple[Place, Merged]:
    table, day = str(body["table"]), str(body["day"])
    hours = {
        hour: str(fingerprint)[:64]
        for hour, fingerprint in body["hours"].items()
        if c.is_hour_key(hour) and hour[:8] == day
    }
    views = str(body.get("views", ""))
    return (table, day), Merged(str(body["path"]), hours, views if _VIEWS.fullmatch(views) else "")


def _folders(paths: Iterable[str], folder: str) -> dict[Place, frozenset[str]]:
    """Place -> URLs of a workspace's folders of hours and days."""
    found: dict[Place, set[str]] = defaultdict(set)
    for path in paths:
        above, table, job_id, key = path.rsplit("/", 3)
        if above == folder and c.JOB_ID.fullmatch(job_id):
            found[table, key[:8]].add(path)
    return {place: frozenset(paths) for place, paths in found.items()}


def _is_place(table: str, day: str) -> bool:
    return bool(c.TABLE.fullmatch(table)) and c.is_hour_key(f"{day}00")


def _size(value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value < 2**63:
        raise ValueError(f"{str(value)[:40]!r} is no count")
    return value


def _reason(value: Any) -> str:
    text = str(value or "the hunt failed without saying why")
    return "".join(char if char.isprintable() else " " for char in text)[:2000]


def _coverage(value: Any) -> Json:
    """Coverage goes into a ledger document of at most 64 kB, which knows no NaN and no 1e999."""
    if not isinstance(value, dict) or len(json.dumps(value, allow_nan=False)) > 32_000:
        raise ValueError("its coverage is no object of at most 32 kB")
    return value
