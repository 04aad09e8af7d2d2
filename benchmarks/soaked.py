"""What a soak writes into the lake, and what the ledger must know of it then."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path

from shared import contract as c
from shared.hunt_specs import load_folder, tables_of
from shared.records import day_path
from workbench.home import Home
from workbench.machine import APP_FOLDER
from workbench.samples import WORKSPACE

DAYS = 33
"""An event's hour is 35 days old at most, and a soak may last beyond midnight."""


@dataclass
class Day:
    """A day of a table in a workspace, and (blobs, bytes) of the hours that were written of it."""

    workspace: str
    table: str
    key: str
    last: str = ""
    """The hour that was marked last."""
    written: dict[str, tuple[int, int]] = field(default_factory=dict)

    def grow(self, exports: Path, number: int) -> str:
        """Write a line to the blob of an hour; the blob's path in its container."""
        hour = f"{self.key}{number:02d}"
        path = f"{c.export_hour_folder(self.workspace, hour)}/m=00/PT05M.json"
        file = exports / c.export_container(self.table) / path
        if hour not in self.written:
            file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as blob:
            blob.write(b"{}\n")
            self.written[hour] = (1, blob.tell())
        return path


def days_of(places: int, now: datetime) -> list[Day]:
    """Days of the hunted tables in as many workspaces as it takes for so many hours."""
    specs, _ = load_folder(APP_FOLDER / "spark" / "hunts")
    tables = sorted({table for spec in specs for table in tables_of(spec)})
    keys = [c.day_key(now - timedelta(days=back)) for back in range(1, DAYS + 1)]
    wanted = places // 24
    names = [f"{WORKSPACE}{n or ''}" for n in range(1 + wanted // (len(keys) * len(tables)))]
    days = [Day(name, table, key) for name in names for key in keys for table in tables]
    return days[:wanted]


def lost(home: Home) -> Iterator[str]:
    """Hours of which the ledger knows other blobs or bytes than the lake holds, or marks left."""
    ledger = home.state / "ledger"
    for path in (ledger / "touched").rglob("*"):
        if path.is_file():
            yield f"{path.name} is marked and not folded"
    there: dict[str, dict[str, tuple[int, int]]] = defaultdict(dict)
    for container in home.exports.glob("am-*"):
        for path in container.rglob("*.json"):
            name = path.relative_to(container).as_posix()
            parsed = c.parse_export_blob(container.name, name)
            if parsed is None:
                yield f"{name} is no export blob"
                continue
            day = there[day_path(parsed.workspace, parsed.table, parsed.hour[:8])]
            blobs, size = day.get(parsed.hour, (0, 0))
            day[parsed.hour] = (blobs + 1, size + path.stat().st_size)
    for document, hours in sorted(there.items()):
        yield from other(hours, held(ledger / document))


def held(document: Path) -> dict[str, tuple[int, int]]:
    """(blobs, bytes) of each hour that a day's document knows."""
    if not document.is_file():
        return {}
    hours = json.loads(document.read_text("utf-8"))["hours"]
    return {hour: (one["blobs"], one["bytes"]) for hour, one in hours.items()}


def other(
    there: Mapping[str, tuple[int, int]], known: Mapping[str, tuple[int, int]]
) -> Iterator[str]:
    """What is there and not known so, in words."""
    for hour, one in sorted(there.items()):
        if known.get(hour) != one:
            yield f"{hour}: {one} in the lake, {known.get(hour)} in the ledger"
