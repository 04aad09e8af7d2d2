"""Rows that were refused, readable with their reason beside the run's manifest: one file a part.

A file holds what the run's cursor has passed; what lies behind it is left over from a step that
was not saved, or that was doubted, and counts for nothing.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from shared.contract import set_aside_path
from shared.model import Json
from shared.ports import ResultLake

BYTES = 100_000_000


@dataclass
class SetAside:
    """The refused rows of one part, as far as the cursor has come."""

    results: ResultLake
    path: str
    rows: list[Json] = field(default_factory=list)
    stale: bool = False
    """What lies there holds more than this."""

    def add(self, end: int, finding_id: str, reason: str) -> None:
        """Keep one more row, the one that ends at this byte of the part."""
        self.rows.append({"end": end, "FindingId": finding_id, "reason": reason})
        self._write()

    def settle(self) -> None:
        """Remove what counts for nothing."""
        if self.stale:
            self._write()

    def _write(self) -> None:
        self.results.write(self.path, json.dumps({"schema": 1, "rows": self.rows}).encode())
        self.stale = False


def open_part(results: ResultLake, folder: str, part: str, offset: int) -> SetAside:
    """What is set aside of a part of a run's folder, up to this byte of it."""
    path = set_aside_path(folder, part)
    content = results.read(path, BYTES)
    held: list[Json] = json.loads(content)["rows"] if content else []
    rows = [row for row in held if row["end"] <= offset]
    return SetAside(results, path, rows, stale=len(rows) < len(held))


def finding_ids(results: ResultLake, folder: str, parts: tuple[str, ...]) -> set[str]:
    """FindingIds of all that is set aside of a delivered run; "" for what was no finding."""
    held = (results.read(set_aside_path(folder, part), BYTES) for part in parts)
    return {row["FindingId"] for one in held if one for row in json.loads(one)["rows"]}
