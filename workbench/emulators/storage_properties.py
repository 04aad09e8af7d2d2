"""What a file cannot tell about itself: blob type, content type, metadata.

A row holds for the ETag that it was written with, and for no other: when Spark or a person
overwrites the file, its properties are gone, as they are in the service.
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path

DEFAULTS: Mapping[str, str] = {
    "x-ms-blob-type": "BlockBlob",
    "Content-Type": "application/octet-stream",
}
_KEPT = {
    "content-encoding": "Content-Encoding",
    "content-language": "Content-Language",
    "content-disposition": "Content-Disposition",
    "cache-control": "Cache-Control",
    "content-type": "Content-Type",
}


class Properties:
    """Response headers of blobs that differ from DEFAULTS, in one SQLite file."""

    def __init__(self, file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        self._rows = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
        self._rows.execute("PRAGMA journal_mode=WAL")
        self._rows.execute("PRAGMA synchronous=OFF")
        self._rows.execute(
            "CREATE TABLE IF NOT EXISTS properties"
            " (blob TEXT PRIMARY KEY, etag TEXT NOT NULL, headers TEXT NOT NULL) WITHOUT ROWID"
        )

    def close(self) -> None:
        """Close the file."""
        self._rows.close()

    def get(self, container: str, path: str, etag: str) -> dict[str, str]:
        """The headers of a blob's version."""
        found = self._rows.execute(
            "SELECT headers FROM properties WHERE blob = ? AND etag = ?",
            (f"{container}/{path}", etag),
        ).fetchone()
        return {**DEFAULTS, **(json.loads(found[0]) if found else {})}

    def set(self, container: str, path: str, etag: str, headers: Mapping[str, str]) -> None:
        """Keep the headers of a blob's new version."""
        own = {name: value for name, value in headers.items() if DEFAULTS.get(name) != value}
        if own:
            row = (f"{container}/{path}", etag, json.dumps(own))
            self._rows.execute("INSERT OR REPLACE INTO properties VALUES (?, ?, ?)", row)


def from_request(headers: Mapping[str, str]) -> dict[str, str]:
    """The properties that a request sets; `headers` has lower-case names.

    Blob requests say x-ms-blob-content-type, Data Lake requests x-ms-content-type.
    """
    kept = {"x-ms-blob-type": headers.get("x-ms-blob-type", DEFAULTS["x-ms-blob-type"])}
    for name, canonical in _KEPT.items():
        value = headers.get(f"x-ms-blob-{name}") or headers.get(f"x-ms-{name}")
        if value:
            kept[canonical] = value
    metadata = {name: value for name, value in headers.items() if name.startswith("x-ms-meta-")}
    return kept | metadata | _data_lake_metadata(headers.get("x-ms-properties", ""))


def _data_lake_metadata(properties: str) -> dict[str, str]:
    """From `name=base64,name=base64`."""
    pairs = [pair.partition("=") for pair in properties.split(",") if pair]
    return {f"x-ms-meta-{n.strip()}": base64.b64decode(v).decode() for n, _, v in pairs}
