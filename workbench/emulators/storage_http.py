"""What Blob and Data Lake REST have in common: calls, roles, conditions, answers."""

from __future__ import annotations

import base64
import fnmatch
import hashlib
import json
import os
import re
import uuid
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import format_datetime, parsedate_to_datetime
from pathlib import Path
from typing import Protocol
from xml.sax.saxutils import escape

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from workbench.emulators.storage_events import BlobEvent
from workbench.emulators.storage_folder import Folder, Refused, Stat, etag
from workbench.emulators.storage_properties import Properties

CHUNK = 1 << 20
_WRITERS = ("Storage Blob Data Contributor", "Storage Blob Data Owner")
_READERS = ("Storage Blob Data Reader", *_WRITERS)
_NOT_MET = "The condition specified using HTTP conditional header(s) is not met."


class Lake(Protocol):
    """Whoever is told of changes that came over REST."""

    def absorb(self, container: str, path: str) -> None:
        """Something was written, renamed or removed at or below this path."""

    def publish(self, event: BlobEvent) -> None:
        """An event for Event Grid."""


class Roles:
    """infra/roles.json: principal -> account -> container pattern -> role."""

    def __init__(self, content: Mapping[str, Mapping[str, Mapping[str, str]]]) -> None:
        self._content = content

    def allow(self, principal: str, account: str, container: str, *, write: bool) -> bool:
        """May a principal read, or write, a container? "*" asks for the list of containers.

        The workbench's operator, who has no part in production, may read everything.
        """
        granted = self._content.get(principal, {}).get(account, {})
        if container == "*":
            found = [role for pattern, role in granted.items() if "*" in pattern]
        else:
            found = [role for name, role in granted.items() if fnmatch.fnmatchcase(container, name)]
        wanted = _WRITERS if write else _READERS
        return any(role in wanted for role in found) or (principal == "operator" and not write)


@dataclass(frozen=True)
class Account:
    """One storage account: its name in the roles, its files, whom to tell."""

    name: str
    folder: Folder
    properties: Properties
    lake: Lake


@dataclass(frozen=True)
class Call:
    """One request, its URL taken apart."""

    request: Request
    account: Account
    container: str
    path: str
    data_lake: bool
    """Whether it speaks Data Lake REST: one port serves both, and only DFS clients take JSON."""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    @property
    def headers(self) -> Mapping[str, str]:
        return self.request.headers

    def stat(self) -> Stat | None:
        """What is at the path; Refused (404) when the container is missing."""
        return self.account.folder.stat(self.container, self.path)

    def file(self) -> Stat:
        """The file at the path. Refused (404) when there is none, (409) over a directory."""
        found = self.stat()
        if found is None:
            raise self.missing()
        if found.is_directory:
            raise Refused(409, "PathConflict", "The path is a directory.")
        return found

    def missing(self) -> Refused:
        """The 404 of the API in use."""
        return Refused(
            404,
            "PathNotFound" if self.data_lake else "BlobNotFound",
            f"The specified {'path' if self.data_lake else 'blob'} does not exist.",
        )

    def kept(self, found: Stat) -> dict[str, str]:
        """The properties of what is at the path."""
        return self.account.properties.get(self.container, self.path, found.etag)

    def keep(self, written: Stat, properties: Mapping[str, str]) -> None:
        """Note what was written, and its properties."""
        self.account.properties.set(self.container, self.path, written.etag, properties)
        self.account.lake.absorb(self.container, self.path)

    def tell(
        self, api: str, written: Stat | None = None, *, source: str = "", recursive: str = ""
    ) -> None:
        """Raise the event of an operation."""
        kept = self.kept(written) if written else {}
        self.account.lake.publish(
            BlobEvent(
                account=self.account.name,
                api=api,
                container=self.container,
                path=self.path,
                etag=written.etag if written else "",
                size=written.size if written else 0,
                blob_type=kept.get("x-ms-blob-type", "BlockBlob"),
                content_type=kept.get("Content-Type", "application/octet-stream"),
                client_request_id=self.headers.get("x-ms-client-request-id", ""),
                request_id=self.request_id,
                source=source,
                recursive=recursive,
            )
        )


async def receive(call: Call) -> Path:
    """The body as a draft. Refused (400) when it does not match the MD5 that came with it."""
    draft = call.account.folder.draft()
    digest = hashlib.md5(usedforsecurity=False)
    try:
        with draft.open("wb") as file:
            async for chunk in call.request.stream():
                file.write(chunk)
                digest.update(chunk)
        expected = call.headers.get("content-md5") or call.headers.get("x-ms-content-md5")
        if expected and base64.b64encode(digest.digest()).decode() != expected:
            raise Refused(400, "Md5Mismatch", "The MD5 value in the request is not the content's.")
    except BaseException:
        draft.unlink(missing_ok=True)
        raise
    return draft


def check_write(call: Call, found: Stat | None, *, exists: str = "ConditionNotMet") -> None:
    """Refuse a write whose conditions do not hold.

    `exists` is the code for If-None-Match: * over something: the service answers 409 then, where
    creation is what the operation is for, and 412 to every other condition.
    """
    wanted, unwanted = call.headers.get("if-match"), call.headers.get("if-none-match")
    if unwanted == "*" and found:
        raise Refused(412 if exists == "ConditionNotMet" else 409, exists, _NOT_MET)
    unmatched = wanted is not None and not _matches(wanted, found)
    if unmatched or (unwanted is not None and _matches(unwanted, found)):
        raise Refused(412, "ConditionNotMet", _NOT_MET)
    if found and (_changed_since(call, found, "if-unmodified-since") is True):
        raise Refused(412, "ConditionNotMet", _NOT_MET)


def check_read(call: Call, found: Stat) -> None:
    """Refuse a read whose conditions do not hold: 412, or 304 where nothing is new."""
    wanted, unwanted = call.headers.get("if-match"), call.headers.get("if-none-match")
    if wanted is not None and not _matches(wanted, found):
        raise Refused(412, "ConditionNotMet", _NOT_MET)
    if _changed_since(call, found, "if-unmodified-since") is True:
        raise Refused(412, "ConditionNotMet", _NOT_MET)
    unchanged = _changed_since(call, found, "if-modified-since") is False
    if unchanged or (unwanted is not None and _matches(unwanted, found)):
        raise Refused(304, "ConditionNotMet")


def _matches(condition: str, found: Stat | None) -> bool:
    """Listings give ETags without quotes, headers with: both may come back."""
    return found is not None and condition.strip().strip('"') in ("*", found.etag.strip('"'))


def _changed_since(call: Call, found: Stat, header: str) -> bool | None:
    try:
        since = parsedate_to_datetime(call.headers[header]).timestamp()
    except (KeyError, ValueError):
        return None
    return int(found.modified) > since


def http_date(seconds: float) -> str:
    """A time as headers have it."""
    return format_datetime(datetime.fromtimestamp(int(seconds), UTC), usegmt=True)


def version_headers(found: Stat) -> dict[str, str]:
    """ETag and Last-Modified of a version."""
    return {"ETag": found.etag, "Last-Modified": http_date(found.modified)}


def written(status: int, found: Stat, **headers: str) -> Response:
    """The answer to a write."""
    sealed = {"x-ms-request-server-encrypted": "true"}
    return Response(status_code=status, headers=version_headers(found) | sealed | headers)


def content(call: Call, found: Stat, headers: Mapping[str, str]) -> Response:
    """The file, or the range that was asked for, as a stream of one version."""
    asked = call.headers.get("x-ms-range") or call.headers.get("range") or ""
    match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
    start = int(match[1]) if match else 0
    end = min(int(match[2]) + 1, found.size) if match and match[2] else found.size
    if match and start >= end:
        raise Refused(416, "InvalidRange", "The range specified is invalid for the resource.")
    about = {**headers, **version_headers(found), "Accept-Ranges": "bytes"}
    about["Content-Length"] = str(end - start)
    if match:
        about["Content-Range"] = f"bytes {start}-{end - 1}/{found.size}"
    file = call.account.folder.locate(call.container, call.path)
    return StreamingResponse(_chunks(file, found.etag, start, end), 206 if match else 200, about)


async def _chunks(path: Path, version: str, start: int, end: int) -> AsyncIterator[bytes]:
    """One open file: who replaces the path meanwhile does not disturb the reader."""
    with path.open("rb") as file:
        found = os.fstat(file.fileno())
        if etag(found.st_size, found.st_mtime_ns, found.st_ino) != version:
            raise ConnectionAbortedError(f"{path.name} was replaced while it was answered")
        file.seek(start)
        while start < end and (chunk := file.read(min(CHUNK, end - start))):
            start += len(chunk)
            yield chunk


def refusal(call_id: str, refused: Refused, *, data_lake: bool) -> Response:
    """The error body of the API in use; none for 304, whose code is in the header."""
    headers = {"x-ms-error-code": refused.code}
    if refused.status == 304:
        return Response(status_code=304, headers=headers)
    now = datetime.now(UTC).isoformat()
    message = f"{refused.message}\nRequestId:{call_id}\nTime:{now}"
    if data_lake:
        body = json.dumps({"error": {"code": refused.code, "message": message}})
        return Response(body, refused.status, headers, "application/json")
    xml = (
        '<?xml version="1.0" encoding="utf-8"?>'
        f"<Error><Code>{refused.code}</Code><Message>{escape(message)}</Message></Error>"
    )
    return Response(xml, refused.status, headers, "application/xml")
