"""Sentinel's resources in SQLite: one table for all types, keyed as ARM's paths are."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

Json = dict[str, Any]

_SCHEMA = """
create table if not exists resource (
    seq integer primary key autoincrement,
    workspace text, kind text, parent text, name text, body text,
    unique (workspace, kind, parent, name)
);
create table if not exists counter (workspace text primary key, value integer);
"""
_PUT = """
insert into resource (workspace, kind, parent, name, body) values (?, ?, ?, ?, ?)
on conflict (workspace, kind, parent, name) do update set body = excluded.body
"""
_GET = "select body from resource where workspace = ? and kind = ? and parent = ? and name = ?"
_DELETE = "delete from resource where workspace = ? and kind = ? and parent = ? and name = ?"
_COUNT = "select count(*) from resource where workspace = ? and kind = ? and parent = ?"
_LIST = """
select seq, body from resource
where workspace = ? and kind = ? and parent = ? and seq < ? order by seq desc
"""
_DROP = "delete from resource where workspace = ? and kind = ? and parent = ?"
_NEXT = """
insert into counter values (?, 1)
on conflict (workspace) do update set value = value + 1 returning value
"""
_NEWEST = 2**62


class Key(NamedTuple):
    """Where a resource is; `parent` is the incident or watchlist that it belongs to, or empty."""

    workspace: str
    kind: str
    parent: str
    name: str

    def lowered(self) -> Key:
        """As it is stored: ARM's names are equal in any letter case."""
        return Key(*(part.lower() for part in self))


class Store:
    """Resources of all workspaces."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A killed process loses nothing by this; a machine without power may.
        self._db.executescript("pragma journal_mode = wal; pragma synchronous = normal")
        self._db.executescript(_SCHEMA)

    def close(self) -> None:
        """Close the database."""
        self._db.close()

    def get(self, key: Key) -> Json | None:
        """A resource, or None."""
        row = self._db.execute(_GET, key.lowered()).fetchone()
        return json.loads(row[0]) if row else None

    def put(self, key: Key, resource: Json) -> None:
        """Create a resource, or replace it where it stands in the list."""
        self._db.execute(_PUT, (*key.lowered(), json.dumps(resource)))

    def delete(self, key: Key) -> bool:
        """Delete a resource; False when there is none."""
        return self._db.execute(_DELETE, key.lowered()).rowcount > 0

    def count(self, workspace: str, kind: str, parent: str = "") -> int:
        """How many resources of a kind there are below a parent."""
        key = Key(workspace, kind, parent, "").lowered()
        return int(self._db.execute(_COUNT, key[:3]).fetchone()[0])

    def list(
        self, workspace: str, kind: str, parent: str = "", before: int | None = None
    ) -> Iterator[tuple[int, Json]]:
        """(sequence number, resource), newest first, below a sequence number."""
        key = Key(workspace, kind, parent, "").lowered()
        start = _NEWEST if before is None else before
        for number, body in self._db.execute(_LIST, (*key[:3], start)).fetchall():
            yield number, json.loads(body)

    def delete_children(self, workspace: str, kind: str, parent: str) -> None:
        """Delete all resources of a kind below a parent."""
        self._db.execute(_DROP, Key(workspace, kind, parent, "").lowered()[:3])

    def next_number(self, workspace: str) -> int:
        """1, 2, 3 ... per workspace, never again."""
        return int(self._db.execute(_NEXT, (workspace.lower(),)).fetchone()[0])
