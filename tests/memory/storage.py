"""The lake in memory: deterministic ETags, the services' conflicts, bytes that nobody shares."""

from __future__ import annotations

import itertools
import json
import re
from bisect import bisect_left, insort
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache

from shared import contract
from shared.errors import BadInput, Conflict, Missing, TooLarge
from shared.model import BlobStat, Bytes, Document, Entry, Json
from tests.memory.wire import Wire

_HOSTILE = re.compile(r"[\x00-\x1f\x7f\\]")


@dataclass(frozen=True)
class _Blob:
    content: bytes
    etag: str
    modified: datetime


class _Blobs:
    """One container: paths to contents; every write has an ETag of its own."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire
        self._writes = 0
        self.held: dict[str, _Blob] = {}
        self._order: list[str] = []
        """The paths in order."""

    def write(self, path: str, content: bytes) -> str:
        self._writes += 1
        etag = f'"0x{self._writes:015X}"'
        modified = self._wire.clock().replace(microsecond=0)
        if _inside(path) not in self.held:
            insort(self._order, path)
        self.held[path] = _Blob(content, etag, modified)
        return etag

    def remove(self, path: str) -> None:
        del self.held[path]
        self._order.remove(path)

    def below(self, folder: str) -> list[tuple[str, _Blob]]:
        bare = folder.removesuffix("/")
        prefix = f"{_inside(bare)}/" if bare else ""
        found = itertools.islice(self._order, bisect_left(self._order, prefix), None)
        below = itertools.takewhile(lambda path: path.startswith(prefix), found)
        return [(path, self.held[path]) for path in below]

    def stats(self, folder: str) -> list[BlobStat]:
        return [BlobStat(path, len(blob.content), blob.etag) for path, blob in self.below(folder)]


class MemoryLedger:
    """`ports.Ledger`. The key `nonce` of a document is the store's own, as in the adapter."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self._blobs = _Blobs(self._wire)

    def read(self, path: str) -> Document | None:
        with self._wire.request("ledger.read", path):
            blob = self._blobs.held.get(_inside(path))
            return None if blob is None else Document(_object(blob.content, path), blob.etag)

    def create(self, path: str, body: Json) -> str:
        with self._wire.request("ledger.create", path):
            if _inside(path) in self._blobs.held:
                raise Conflict("the document exists", where=path)
            return self._blobs.write(path, _bytes(body, path))

    def replace(self, path: str, body: Json, etag: str) -> str:
        with self._wire.request("ledger.replace", path):
            self._expect(path, etag)
            return self._blobs.write(path, _bytes(body, path))

    def put(self, path: str, body: Json) -> str:
        with self._wire.request("ledger.put", path):
            return self._blobs.write(path, _bytes(body, path))

    def delete(self, path: str, etag: str | None = None) -> None:
        with self._wire.request("ledger.delete", path):
            if _inside(path) not in self._blobs.held:
                return
            if etag is not None:
                self._expect(path, etag)
            self._blobs.remove(path)

    def read_bytes(self, path: str) -> Bytes | None:
        with self._wire.request("ledger.read", path):
            blob = self._blobs.held.get(_inside(path))
            return None if blob is None else Bytes(blob.content, blob.etag)

    def write_bytes(self, path: str, content: bytes, etag: str | None) -> str:
        with self._wire.request("ledger.replace" if etag else "ledger.create", path):
            if etag is not None:
                self._expect(path, etag)
            elif _inside(path) in self._blobs.held:
                raise Conflict("the document exists", where=path)
            return self._blobs.write(path, content)

    def list(self, prefix: str) -> Iterator[Entry]:
        with self._wire.request("ledger.list", prefix):
            found = self._blobs.below(prefix)
        yield from (Entry(path, blob.etag, blob.modified) for path, blob in found)

    def plant(self, path: str, content: bytes) -> None:
        """Put bytes there as somebody else would."""
        self._blobs.write(path, content)

    def peek(self, path: str) -> bytes | None:
        """What lies there, for those who watch: no request."""
        blob = self._blobs.held.get(path)
        return blob.content if blob else None

    def version(self, path: str) -> str | None:
        """The ETag of what lies there, for those who watch: no request."""
        blob = self._blobs.held.get(path)
        return blob.etag if blob else None

    def paths(self, folder: str = "") -> Sequence[str]:
        """Where something lies below a folder, in path order."""
        return [path for path, _ in self._blobs.below(folder)]

    def contents(self) -> dict[str, bytes]:
        """Everything that is there, for comparing the ends of two histories."""
        return {path: blob.content for path, blob in self._blobs.below("")}

    def _expect(self, path: str, etag: str) -> None:
        blob = self._blobs.held.get(_inside(path))
        if blob is None or blob.etag != etag:
            raise Conflict("the document has changed", where=path)


class MemoryExportLake:
    """`ports.ExportLake`."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self._tables: dict[str, _Blobs] = {}

    def tables(self) -> Sequence[str]:
        with self._wire.request("exports.tables", ""):
            return sorted(self._tables)

    def blobs(self, table: str, folder: str) -> Sequence[BlobStat]:
        with self._wire.request("exports.blobs", f"{table}/{folder}"):
            container = self._tables.get(table.lower())
            return container.stats(folder) if container else []

    def peek(self, table: str, folder: str) -> Sequence[BlobStat]:
        """What lies below a folder, for those who watch: no request."""
        container = self._tables.get(table.lower())
        return container.stats(folder) if container else []

    def plant(self, table: str, path: str, content: bytes) -> None:
        """Write an export blob as data export would."""
        container = self._tables.setdefault(table.lower(), _Blobs(self._wire))
        if path not in container.held or container.held[path].content != content:
            container.write(path, content)

    def expire(self) -> None:
        """Delete every blob, as a lifecycle rule does in the end."""
        self._tables = {table: _Blobs(self._wire) for table in self._tables}


class MemoryResultLake:
    """`ports.ResultLake`."""

    def __init__(self, wire: Wire | None = None) -> None:
        self._wire = wire or Wire()
        self._blobs = _Blobs(self._wire)

    def read(self, path: str, limit: int) -> bytes | None:
        with self._wire.request("results.read", path):
            blob = self._blobs.held.get(_inside(path))
            if blob is not None and len(blob.content) > limit:
                raise TooLarge(f"file has more than {limit} bytes", where=path)
            return None if blob is None else blob.content

    def write(self, path: str, content: bytes) -> None:
        with self._wire.request("results.write", path):
            self._blobs.write(path, content)

    def lines(self, path: str, offset: int, limit: int) -> Iterator[tuple[bytes, int]]:
        with self._wire.request("results.lines", path):
            blob = self._blobs.held.get(_inside(path))
            if blob is None:
                raise Missing("no such file", where=path)
        for line in _lines(blob.content, offset):
            if len(line) > contract.BROKEN_LINE_BYTES:
                raise TooLarge("a line has no end", where=path)
            offset += len(line)
            yield line.removesuffix(b"\n")[: limit + 1], offset

    def paths(self, folder: str) -> Sequence[BlobStat]:
        with self._wire.request("results.paths", folder):
            return self._blobs.stats(folder)

    def plant(self, path: str, content: bytes) -> None:
        """Write a file as a job would."""
        self._blobs.write(path, content)

    def peek(self, path: str) -> bytes | None:
        """What lies there, for those who watch: no request."""
        blob = self._blobs.held.get(path)
        return blob.content if blob else None

    def landed(self, path: str) -> datetime | None:
        """When a file was written last, for those who watch: no request."""
        blob = self._blobs.held.get(path)
        return blob.modified if blob else None


def _lines(content: bytes, offset: int) -> Iterator[bytes]:
    """Lines with their ends. `splitlines` would also cut at carriage returns."""
    while offset < len(content):
        end = content.find(b"\n", offset) + 1 or len(content)
        yield content[offset:end]
        offset = end


@lru_cache(maxsize=50_000)
def _inside(path: str) -> str:
    """The path. BadInput when it could name anything outside of its container."""
    if _HOSTILE.search(path) or set(path.split("/")) & {"", ".", ".."}:
        raise BadInput("not a path inside a container", where=repr(path))
    return path


def _object(content: bytes, path: str) -> Json:
    try:
        body = json.loads(content)
    except ValueError as error:
        raise BadInput(f"document is no JSON: {error}", where=path) from error
    if not isinstance(body, dict):
        raise BadInput("document is JSON, but no object", where=path)
    body.pop("nonce", None)
    return body


def _bytes(body: Json, path: str) -> bytes:
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise BadInput(f"document cannot be written as JSON: {error}", where=path) from error
