"""Copies exports into the local lake as the exporter would: whole blobs, at their own paths.

Landing identical content again is no change. What is no export blob is counted and left out.
"""

from __future__ import annotations

import filecmp
import os
import shutil
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.contract import ExportBlob, hour_start, parse_export_blob
from shared.errors import BadInput
from workbench.home import unwritable

DEPTH = 4
"""How deep below the given folder an `am-*` container may lie."""


@dataclass
class Landing:
    """What a landing did. `days`: workspace -> table -> UTC days (`yyyymmdd`) that hold data."""

    copied: int = 0
    same: int = 0
    bytes: int = 0
    other_files: int = 0
    future: int = 0
    """Blobs whose folder says an hour that has not begun."""
    days: dict[str, dict[str, set[str]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(set))
    )
    changed: set[tuple[str, str]] = field(default_factory=set)
    """(workspace, day) pairs that this landing brought something new for."""
    tables: set[str] = field(default_factory=set)


def land(
    source: Path, exports: Path, progress: Callable[[Landing], None] = lambda _: None
) -> Landing:
    """Copy every export blob below `source` into the exports account's folder.

    BadInput when there is none, or when the disk is full; what is there already stays, and landing
    again goes on.
    """
    landing = Landing()
    for container, path in _files(source):
        _land_file(container, path, exports, landing)
        progress(landing)
    if not landing.days and not landing.future:
        raise _no_blobs(source)
    return landing


def workspaces_of(source: Path) -> list[str]:
    """Resource ids of the workspaces whose exports lie below a folder; BadInput without any."""
    found = {
        blob.workspace
        for container in containers(source)
        for path in container.rglob("*.json")
        for blob in [parse_export_blob(container.name, path.relative_to(container).as_posix())]
        if blob is not None
    }
    if not found:
        raise _no_blobs(source)
    return sorted(found)


def _no_blobs(source: Path) -> BadInput:
    return BadInput(
        "no export blobs below this folder",
        where=str(source),
        mend="name a folder that holds am-<table>/WorkspaceResourceId=/.../PT05M.json",
    )


def containers(source: Path) -> list[Path]:
    """`am-*` folders at or below `source`, to a small depth."""
    if not source.is_dir():
        raise BadInput("no such folder", where=str(source), mend="check the path")
    found = [source] if source.name.lower().startswith("am-") else []
    for depth in range(1, DEPTH + 1):
        found.extend(
            path
            for path in sorted(source.glob("/".join("*" * depth)))
            if path.is_dir() and path.name.lower().startswith("am-")
        )
    return found


def _files(source: Path) -> Iterator[tuple[Path, Path]]:
    for container in containers(source):
        for folder, folders, names in os.walk(container):
            folders.sort()
            for name in sorted(names):
                yield container, Path(folder) / name


def _canonical(relative: str) -> str:
    """The exporter writes resource ids in lower case."""
    head, tail = relative.split("/y=", 1)
    prefix, resource = head.split("=", 1)
    return f"{prefix}={resource.lower()}/y={tail}"


def _land_file(container: Path, path: Path, exports: Path, landing: Landing) -> None:
    relative = path.relative_to(container).as_posix()
    blob = parse_export_blob(container.name, relative)
    if blob is None:
        landing.other_files += 1
        return
    _count(blob, landing)
    target = exports / container.name.lower() / _canonical(relative)
    if target.is_file() and filecmp.cmp(path, target, shallow=False):
        landing.same += 1
        return
    _copy(path, target, exports.parent / ".landing")
    landing.copied += 1
    landing.bytes += target.stat().st_size
    landing.changed.add((blob.workspace, blob.hour[:8]))


def _count(blob: ExportBlob, landing: Landing) -> None:
    landing.tables.add(blob.table)
    if hour_start(blob.hour) > datetime.now(UTC) + timedelta(hours=1):
        landing.future += 1
    else:
        landing.days[blob.workspace][blob.table].add(blob.hour[:8])


def _copy(path: Path, target: Path, waiting: Path) -> None:
    """Copy beside the lake, then move in: a blob is in the lake whole or not at all."""
    try:
        waiting.mkdir(parents=True, exist_ok=True)
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary = waiting / f"{os.getpid()}.part"
        try:
            shutil.copyfile(path, temporary)
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise unwritable(error, target) from error
