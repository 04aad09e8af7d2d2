"""Data Lake REST: create, append, flush, rename, list, delete."""

from __future__ import annotations

import base64
import itertools
import json
import shutil
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from starlette.responses import JSONResponse, Response

from workbench.emulators.storage_blob import PAGE, forget_pieces
from workbench.emulators.storage_folder import Refused, Stat, check_path
from workbench.emulators.storage_http import Call, check_write, http_date, receive, written
from workbench.emulators.storage_properties import from_request


async def list_filesystems(call: Call) -> Response:
    """GET /?resource=account."""
    prefix = call.query.get("prefix", "")
    found = [item for item in call.account.folder.containers() if item.path.startswith(prefix)]
    return JSONResponse({"filesystems": [_listed(item) for item in found]})


async def list_paths(call: Call) -> Response:
    """GET /filesystem?resource=filesystem&recursive=..., in pages."""
    directory = call.query.get("directory", "").strip("/")
    if directory:
        check_path(directory)
    found = call.account.folder.stat(call.container, directory)
    if found is None or not found.is_directory:
        raise Refused(404, "PathNotFound", "The specified path does not exist.")
    limit = min(int(call.query.get("maxResults") or PAGE), PAGE)
    below = call.account.folder.walk(
        call.container,
        directory,
        after=_decoded(call.query.get("continuation", "")),
        deep=call.query.get("recursive") == "true",
    )
    items = list(itertools.islice(below, limit + 1))
    more = {"x-ms-continuation": _encoded(items[limit - 1].path)} if len(items) > limit else {}
    return JSONResponse({"paths": [_listed(item) for item in items[:limit]]}, headers=more)


async def create_path(call: Call) -> Response:
    """PUT ?resource=file, which empties a file that is there, or ?resource=directory."""
    found = call.stat()
    check_write(call, found, exists="PathAlreadyExists")
    if call.query["resource"] == "directory":
        stored = call.account.folder.make_directory(call.container, call.path)
        call.account.lake.absorb(call.container, call.path)
        call.tell("CreateDirectory")
        return written(201, stored)
    draft = call.account.folder.draft()
    draft.touch()
    stored = _publish(call, draft, from_request(call.headers))
    call.tell("CreateFile", stored)
    return written(201, stored)


async def append(call: Call) -> Response:
    """PATCH ?action=append: bytes that no reader sees before the flush."""
    found, position = call.file(), int(call.query["position"])
    if position < found.size:
        raise Refused(400, "InvalidQueryParameterValue", "The position is inside the file.")
    draft = await receive(call)
    length = draft.stat().st_size
    pieces = call.account.folder.pieces(call.container, call.path)
    pieces.mkdir(exist_ok=True)
    draft.replace(pieces / f"append-{position:020d}")
    if call.query.get("flush") == "true":
        _flush(call, position + length)
    return Response(status_code=202, headers={"x-ms-request-server-encrypted": "true"})


async def flush(call: Call) -> Response:
    """PATCH ?action=flush: what was appended becomes the file's, in one step."""
    return written(200, _flush(call, int(call.query["position"])))


async def rename(call: Call) -> Response:
    """PUT with x-ms-rename-source: moves a file or directory, over a file that is there."""
    container, path = rename_source(call.headers["x-ms-rename-source"])
    found = call.account.folder.stat(container, path)
    if found is None:
        raise Refused(404, "SourcePathNotFound", "The source path does not exist.")
    wanted = call.headers.get("x-ms-source-if-match")
    if wanted is not None and wanted.strip('"') != found.etag.strip('"'):
        raise Refused(412, "SourceConditionNotMet")
    check_write(call, call.stat(), exists="PathAlreadyExists")
    kept = call.account.properties.get(container, path, found.etag)
    moved = call.account.folder.rename((container, path), (call.container, call.path))
    call.account.lake.absorb(container, path)
    call.keep(moved, {} if moved.is_directory else kept)
    api = "RenameDirectory" if moved.is_directory else "RenameFile"
    call.tell(api, source=f"{container}/{path}")
    return Response(status_code=201)


async def delete_path(call: Call) -> Response:
    """DELETE /filesystem/path[?recursive=true]."""
    found = call.stat()
    if found is None:
        raise call.missing()
    check_write(call, found)
    recursive = call.query.get("recursive") == "true"
    below = call.account.folder.walk(call.container, call.path) if found.is_directory else iter(())
    if not recursive and next(below, None):
        raise Refused(409, "DirectoryNotEmpty", "The recursive query parameter must be true.")
    call.account.folder.remove(call.container, call.path)
    forget_pieces(call.account, call.container, call.path)
    call.account.lake.absorb(call.container, call.path)
    if found.is_directory:
        call.tell("DeleteDirectory", recursive=str(recursive).lower())
    else:
        call.tell("DeleteFile")
    return Response(status_code=200)


def _flush(call: Call, position: int) -> Stat:
    found = call.file()
    check_write(call, found)
    pieces = _contiguous(call, found.size, position)
    kept = call.kept(found) | {
        n: v for n, v in from_request(call.headers).items() if n.startswith(("Content", "Cache"))
    }
    if pieces:
        parts = [call.account.folder.locate(call.container, call.path), *pieces]
        stored = _publish(call, _joined(call, parts), kept)
    else:
        stored = call.account.folder.touch(call.container, call.path)
        call.keep(stored, kept)
    if call.query.get("close") == "true":
        call.tell("FlushWithClose", stored)
    return stored


def _contiguous(call: Call, start: int, end: int) -> list[Path]:
    """The appended pieces in order. Refused (400) when they do not reach from start to end."""
    pieces = sorted(call.account.folder.pieces(call.container, call.path).glob("append-*"))
    reached = start
    for piece in pieces:
        if int(piece.name.removeprefix("append-")) != reached:
            break
        reached += piece.stat().st_size
    if reached != end:
        message = "The uploaded data is not contiguous or the position is not its end."
        raise Refused(400, "InvalidFlushPosition", message)
    return pieces


def _joined(call: Call, parts: list[Path]) -> Path:
    draft = call.account.folder.draft()
    with draft.open("wb") as whole:
        for part in parts:
            with part.open("rb") as piece:
                shutil.copyfileobj(piece, whole)
    return draft


def _publish(call: Call, draft: Path, properties: dict[str, str]) -> Stat:
    try:
        stored = call.account.folder.publish(draft, call.container, call.path)
    finally:
        draft.unlink(missing_ok=True)
    forget_pieces(call.account, call.container, call.path)
    call.keep(stored, properties)
    return stored


def rename_source(header: str) -> tuple[str, str]:
    """(container, path) of an x-ms-rename-source: `/filesystem/path`, encoded, maybe a query."""
    container, _, path = unquote(urlsplit(header).path).lstrip("/").partition("/")
    path = path.rstrip("/")
    if not path:
        raise Refused(400, "InvalidSourceUri")
    check_path(path)
    return container.lower(), path


def _listed(item: Stat) -> dict[str, Any]:
    """As the service writes it: numbers and truth as strings, no isDirectory for a file."""
    directory = {"isDirectory": "true"} if item.is_directory else {}
    return directory | {
        "name": item.path,
        "etag": item.etag.strip('"'),
        "lastModified": http_date(item.modified),
        "contentLength": str(item.size),
        "owner": "$superuser",
        "group": "$superuser",
        "permissions": "rw-r-----",
    }


def _encoded(path: str) -> str:
    return base64.urlsafe_b64encode(json.dumps(path).encode()).decode()


def _decoded(token: str) -> str:
    if not token:
        return ""
    try:
        path = str(json.loads(base64.urlsafe_b64decode(token)))
        check_path(path)
    except (ValueError, Refused) as error:
        raise Refused(400, "InvalidContinuationToken") from error
    return path
