"""The lake: ledger, exports and results, over Blob and Data Lake Storage.

Facts that this file rests on:
* Data Lake `upload_data` is three requests (create truncates, append, flush) and not atomic;
  Blob `upload_blob` of up to 64 MB is one conditional Put Blob, also on hierarchical accounts.
* Create-if-absent conflicts answer 409 BlobAlreadyExists, stale updates 412 ConditionNotMet.
* A lost answer, asked again with the old ETag, comes back as 412 on our own write. So each
  document carries a nonce, and a conflict is re-read before it is believed.
* A flat Blob listing of a hierarchical account shows directories as empty blobs with the metadata
  `hdi_isfolder`, and sorts by folder.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from typing import Any

from azure.core import MatchConditions
from azure.core.credentials import TokenCredential
from azure.storage.blob import BlobServiceClient, ContainerClient, ContentSettings
from azure.storage.filedatalake import DataLakeServiceClient, FileSystemClient

from shared import contract
from shared.adapters.azure_errors import translated
from shared.adapters.storage_requests import (
    Options,
    Patience,
    checked,
    client_options,
    folder_of,
    json_bytes,
    json_object,
    quoted,
    refuse_missing_container,
    twice,
    unless_missing,
    unless_past_end,
    whole_seconds,
)
from shared.errors import Conflict, Missing, OutcomeUnknown, TooLarge, Transient
from shared.model import BlobStat, Bytes, Document, Entry, Json

DOCUMENT_BYTES = 4_000_000
ARCHIVE_BYTES = 32_000_000
"""The most that the SDK reads in one request."""
CHUNK_BYTES = 1_000_000
LISTED_AT_ONCE = 250
"""Documents in a page of a listing. The SDK holds some 6 kB of each while it reads a page, in
whichever thread asks, and an allocator keeps the most that each thread ever held."""
NONCE = "nonce"
_JSON = ContentSettings(content_type="application/json")
_BYTES = ContentSettings(content_type="application/octet-stream")


def blob_client(
    endpoint: str, credential: TokenCredential, call_seconds: float
) -> BlobServiceClient:
    """Client of an account's Blob endpoint; takes its Data Lake address too.

    It carries the bounds of listings, which are pages of a request each.
    """
    address = endpoint.replace(".dfs.", ".blob.", 1)
    options = client_options(address, call_seconds)
    return BlobServiceClient(address, credential=credential, **options)


def lake_client(
    endpoint: str, credential: TokenCredential, call_seconds: float
) -> DataLakeServiceClient:
    """Client of an account's Data Lake endpoint.

    It carries the bounds of listings: `get_paths` takes no options for a call.
    """
    options = client_options(endpoint, call_seconds)
    return DataLakeServiceClient(endpoint, credential=credential, **options)


class BlobLedger:
    """`ports.Ledger` over a container of blob_client's. `nonce` is a reserved key of a document."""

    def __init__(self, container: ContainerClient, call_seconds: float) -> None:
        self._container = container
        self._seconds = call_seconds

    def read(self, path: str) -> Document | None:
        """The document, or None. BadInput when it is no JSON object."""
        found = self._read(path, Patience(self._seconds), DOCUMENT_BYTES)
        if found is None:
            return None
        body, etag = json_object(found[0], self._where(path)), found[1]
        body.pop(NONCE, None)
        return Document(body, etag)

    def create(self, path: str, body: Json) -> str:
        """Write a document that must not exist; its ETag. Conflict when it does."""
        return self._write(path, body, overwrite=False)

    def replace(self, path: str, body: Json, etag: str) -> str:
        """Write over the version that was read; its new ETag. Conflict when it has changed."""
        return self._write(
            path, body, overwrite=True, etag=etag, match_condition=MatchConditions.IfNotModified
        )

    def put(self, path: str, body: Json) -> str:
        """Write whatever is there; its ETag."""
        return self._write(path, body, overwrite=True)

    def delete(self, path: str, etag: str | None = None) -> None:
        """Delete (the version with this ETag). Nothing there is fine; Conflict if other."""
        blob = self._container.get_blob_client(checked(path))
        condition: Options = {}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}

        def request(options: Options) -> None:
            with translated("delete a document", self._where(path), acts=True):
                blob.delete_blob(**condition, **options)

        try:
            twice(request, Patience(self._seconds))
        except Missing as error:
            refuse_missing_container(error)

    def read_bytes(self, path: str) -> Bytes | None:
        """What lies there, or None. TooLarge from 32 MB on: a part of it is worth nothing."""
        found = self._read(path, Patience(self._seconds), ARCHIVE_BYTES)
        if found and len(found[0]) >= ARCHIVE_BYTES:
            raise TooLarge(f"it has {ARCHIVE_BYTES:,} bytes or more", where=self._where(path))
        return Bytes(*found) if found else None

    def write_bytes(self, path: str, content: bytes, etag: str | None) -> str:
        """Write over the version that was read (None: create it); Conflict when it changed."""
        condition: Options = {"overwrite": False}
        if etag is not None:
            condition = {"etag": etag, "match_condition": MatchConditions.IfNotModified}
            condition["overwrite"] = True
        return self._put(path, content, content, _BYTES, condition)

    def list(self, prefix: str) -> Iterator[Entry]:
        """Documents below a folder, in path order; each page is one bounded request."""
        with translated("list documents", self._where(prefix), acts=False):
            found = [
                Entry(blob.name, quoted(blob.etag), blob.last_modified)
                for blob in self._container.list_blobs(
                    name_starts_with=folder_of(prefix) or None,
                    include=["metadata"],
                    results_per_page=LISTED_AT_ONCE,
                    timeout=whole_seconds(self._seconds),
                )
                if not _is_directory(blob.metadata)
            ]
        # A hierarchical account lists by folder: `a/b` before `a-`.
        yield from sorted(found, key=lambda entry: entry.path)

    def _write(self, path: str, body: Json, **condition: Any) -> str:
        nonce = uuid.uuid4().hex
        content = json_bytes({**body, NONCE: nonce}, self._where(path))
        return self._put(path, content, f'"{nonce}"'.encode(), _JSON, condition)

    def _put(
        self, path: str, content: bytes, mark: bytes, kind: ContentSettings, condition: Options
    ) -> str:
        """One conditional write; `mark` is what only content of this very write has."""
        blob = self._container.get_blob_client(checked(path))
        patience = Patience(self._seconds)

        def request(options: Options) -> str:
            with translated("write a document", self._where(path), acts=True):
                written = blob.upload_blob(content, content_settings=kind, **condition, **options)
                return quoted(written["etag"])

        try:
            return twice(request, patience)
        except (Conflict, OutcomeUnknown) as error:
            etag = self._etag_if_ours(path, mark, patience)
            if etag is None:
                raise error
            return etag

    def _etag_if_ours(self, path: str, mark: bytes, patience: Patience) -> str | None:
        """The ETag of what is there when this very write put it there."""
        try:
            found = self._read(path, patience, ARCHIVE_BYTES)
        except Transient as error:
            raise OutcomeUnknown(
                "write a document: neither its answer nor what is there now could be read",
                where=self._where(path),
            ) from error
        if found is None or mark not in found[0]:
            return None
        return found[1]

    def _read(self, path: str, patience: Patience, most: int) -> tuple[bytes, str] | None:
        blob = self._container.get_blob_client(checked(path))

        def request(options: Options) -> tuple[bytes, str]:
            with translated("read a document", self._where(path), acts=False):
                found = blob.download_blob(
                    offset=0, length=most, encoding=None, decompress=False, **options
                )
                return found.readall(), quoted(found.properties.etag)

        return unless_missing(lambda: unless_past_end(lambda: twice(request, patience), (b"", "")))

    def _where(self, path: str) -> str:
        return f"{self._container.container_name}/{path}"


class AdlsExportLake:
    """`ports.ExportLake` over the account that data export writes to; `service` by lake_client."""

    def __init__(self, service: DataLakeServiceClient, call_seconds: float) -> None:
        self._service = service
        self._seconds = call_seconds

    def tables(self) -> Sequence[str]:
        """Names of the tables that have a container, lower case, without `am-`."""
        with translated("list the exported tables", self._service.url, acts=False):
            names = [
                system.name.lower().removeprefix("am-")
                for system in self._service.list_file_systems(
                    name_starts_with="am-", timeout=whole_seconds(self._seconds)
                )
            ]
        return sorted(name for name in names if contract.TABLE.fullmatch(name))

    def blobs(self, table: str, folder: str) -> Sequence[BlobStat]:
        """Files below a folder of a table's container, recursively; empty when there is none."""
        files = self._service.get_file_system_client(contract.export_container(table))
        try:
            return _files_below(files, folder, self._seconds)
        except Missing:
            return []


class AdlsResultLake:
    """`ports.ResultLake`: `files` (by lake_client) lists and reads, `container` writes."""

    def __init__(
        self, files: FileSystemClient, container: ContainerClient, call_seconds: float
    ) -> None:
        self._files = files
        self._container = container
        self._seconds = call_seconds

    def read(self, path: str, limit: int) -> bytes | None:
        """A whole small file, or None. TooLarge when it has more than `limit` bytes."""
        content = unless_missing(lambda: self._range(path, 0, limit + 1))
        if content is not None and len(content) > limit:
            raise TooLarge(f"file has more than {limit} bytes", where=self._where(path))
        return content

    def write(self, path: str, content: bytes) -> None:
        """Write a whole file of at most 64 MB in one request, over whatever is there."""
        blob = self._container.get_blob_client(checked(path))

        def request(options: Options) -> None:
            with translated("write a file", self._where(path), acts=True):
                blob.upload_blob(content, overwrite=True, content_settings=_JSON, **options)

        twice(request, Patience(self._seconds))

    def lines(self, path: str, offset: int, limit: int) -> Iterator[tuple[bytes, int]]:
        """(line, byte offset after it) from `offset` on; each 1 MB is one bounded read."""
        return cut_lines(self._chunks(path, offset), offset, limit, self._where(path))

    def paths(self, folder: str) -> Sequence[BlobStat]:
        """Files below a folder, recursively; empty when there is none."""
        return _files_below(self._files, folder, self._seconds)

    def _chunks(self, path: str, offset: int) -> Iterator[bytes]:
        while True:
            chunk = self._range(path, offset, CHUNK_BYTES)
            if chunk:
                yield chunk
            if len(chunk) < CHUNK_BYTES:
                return
            offset += len(chunk)

    def _range(self, path: str, offset: int, length: int) -> bytes:
        """Bytes of a range; empty behind the end."""
        file = self._files.get_file_client(checked(path))

        def request(options: Options) -> bytes:
            with translated("read a file", self._where(path), acts=False):
                # Content-Encoding of a file is not believed: nothing is unpacked here.
                return file.download_file(
                    offset=offset, length=length, decompress=False, **options
                ).readall()

        return unless_past_end(lambda: twice(request, Patience(self._seconds)), b"")

    def _where(self, path: str) -> str:
        return f"{self._container.container_name}/{path}"


def cut_lines(
    chunks: Iterator[bytes], offset: int, limit: int, where: str = ""
) -> Iterator[tuple[bytes, int]]:
    """(line without its end, offset after it); a longer line comes cut to `limit` + 1 bytes.

    TooLarge for a line that goes on and on.
    """
    line, begin = b"", offset
    for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            offset += len(piece) + 1
            yield (line + piece)[: limit + 1], offset
            line, begin = b"", offset
        offset += len(rest)
        line = (line + rest)[: limit + 1]
        if offset - begin > contract.BROKEN_LINE_BYTES:
            raise TooLarge(f"a line from byte {begin} on has no end", where=where)
    if line:
        yield line, offset


def _files_below(files: FileSystemClient, folder: str, seconds: float) -> Sequence[BlobStat]:
    """Every page of a listing, by the client's own bounds; empty when there is no such folder."""

    def listing() -> list[BlobStat]:
        with translated("list files", f"{files.file_system_name}/{folder}", acts=False):
            found = files.get_paths(
                path=folder_of(folder) or None, recursive=True, timeout=whole_seconds(seconds)
            )
            return [
                BlobStat(path.name, int(path.content_length or 0), quoted(path.etag))
                for path in found
                if not path.is_directory
            ]

    return sorted(unless_missing(listing) or [], key=lambda stat: stat.name)


def _is_directory(metadata: dict[str, str] | None) -> bool:
    return (metadata or {}).get("hdi_isfolder", "").lower() == "true"
