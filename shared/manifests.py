"""Reads what a job wrote as what it is: input from something that digested hostile logs."""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared import contract as c
from shared.errors import BadInput, Conflict, TidehuntError, TooLarge, Transient
from shared.model import Json
from shared.ports import ResultLake
from shared.timeline import Hour

log = logging.getLogger("tidehunt.manifests")


@dataclass(frozen=True)
class Manifest:
    """A run's results: names of its parts in order, rows in them, rows withheld, or an error."""

    parts: tuple[str, ...]
    rows: int
    withheld: int
    code_hash: str
    coverage: Json
    error: str = ""


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


def parse_manifest(content: bytes, job_id: str, run_id: str) -> Manifest:
    """A manifest's content, checked. ValueError, KeyError or TypeError when it cannot be used."""
    body = json.loads(content)
    if body["schema"] != c.MANIFEST_SCHEMA or (body["job_id"], body["run_id"]) != (job_id, run_id):
        raise ValueError("it belongs to another schema, job or run")
    if body["status"] == "failed":
        return Manifest((), 0, 0, str(body["code_hash"])[:64], {}, _reason(body.get("error")))
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


def copied_hours(
    content: bytes, job_id: str, workspace: str, root: str
) -> dict[str, dict[str, Hour]]:
    """Table -> hour of a job's report, copied to where this job alone may write.

    `root` is the URL of the tables container. BadInput when it is no report.
    """
    tables: dict[str, dict[str, Hour]] = defaultdict(dict)
    try:
        for copied in json.loads(content).get("copies", []):
            table, hour = str(copied["table"]), str(copied["hour"])
            url = f"{root}/{c.copy_folder(c.workspace_key(workspace), table, job_id, hour)}"
            if c.TABLE.fullmatch(table) and c.is_hour_key(hour) and copied["path"] == url:
                fingerprint = str(copied["fingerprint"])[:64]
                tables[table][hour] = Hour(_size(copied["blobs"]), 0, fingerprint, url)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BadInput(f"no report of a job: {error}", where=job_id) from error
    return dict(tables)


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
