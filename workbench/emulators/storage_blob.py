"""Blob REST: containers, block blobs, append blobs, listings."""

from __future__ import annotations

import base64
import itertools
import shutil
from collections.abc import Iterator
from xml.etree import ElementTree
from xml.sax.saxutils import escape, quoteattr

from starlette.responses import Response

from workbench.emulators.storage_folder import Refused, Stat, check_path
from workbench.emulators.storage_http import (
    Account,
    Call,
    check_read,
    check_write,
    content,
    http_date,
    receive,
    version_headers,
    written,
)
from workbench.emulators.storage_properties import from_request

PAGE = 5000
_XML = '<?xml version="1.0" encoding="utf-8"?>'
_BLOCK_LIST_BYTES = 10_000_000


async def list_containers(call: Call) -> Response:
    """GET /?comp=list."""
    prefix = call.query.get("prefix", "")
    found = [item for item in call.account.folder.containers() if item.path.startswith(prefix)]
    items = "".join(
        f"<Container><Name>{item.path}</Name><Properties>{_version(item)}"
        "<LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>"
        "</Properties></Container>"
        for item in found
    )
    body = f"<Prefix>{escape(prefix)}</Prefix><Containers>{items}</Containers><NextMarker/>"
    return _xml(f"<EnumerationResults>{body}</EnumerationResults>")


async def create_container(call: Call) -> Response:
    """PUT /container?restype=container, and ?resource=filesystem."""
    call.account.folder.create_container(call.container)
    return await container_properties(call, status=201)


async def container_properties(call: Call, status: int = 200) -> Response:
    """GET or HEAD /container?restype=container, and ?resource=filesystem."""
    found = call.account.folder.stat(call.container)
    if found is None:
        raise Refused(404, "ContainerNotFound")
    about = {"x-ms-has-immutability-policy": "false", "x-ms-namespace-enabled": "true"}
    return Response(status_code=status, headers=version_headers(found) | about)


async def delete_container(call: Call) -> Response:
    """DELETE /container?restype=container, and ?resource=filesystem."""
    call.account.folder.delete_container(call.container)
    call.account.lake.absorb(call.container, "")
    return Response(status_code=202)


async def put_blob(call: Call) -> Response:
    """PUT /container/path with x-ms-blob-type: one conditional write of a whole blob.

    Nothing is awaited between the check and the write: no other request comes between them.
    """
    kind = call.headers.get("x-ms-blob-type", "")
    if kind not in ("BlockBlob", "AppendBlob"):
        raise Refused(400, "InvalidHeaderValue", "x-ms-blob-type is not supported here.")
    # A missing container is told before the body is read.
    call.account.folder.container(call.container)
    draft = await receive(call)
    try:
        if kind == "AppendBlob" and draft.stat().st_size:
            raise Refused(400, "InvalidHeaderValue", "An append blob is created empty.")
        check_write(call, call.stat(), exists="BlobAlreadyExists")
        stored = call.account.folder.publish(draft, call.container, call.path)
    finally:
        draft.unlink(missing_ok=True)
    forget_pieces(call.account, call.container, call.path)
    call.keep(stored, from_request(call.headers))
    call.tell("PutBlob", stored)
    return written(201, stored)


async def put_block(call: Call) -> Response:
    """PUT ?comp=block: a block that Put Block List may commit."""
    found = call.stat()
    if found and not found.is_directory:
        _require(call, found, "BlockBlob")
    draft = await receive(call)
    pieces = call.account.folder.pieces(call.container, call.path)
    pieces.mkdir(exist_ok=True)
    draft.replace(pieces / _block_name(call.query.get("blockid", "")))
    return Response(status_code=201, headers={"x-ms-request-server-encrypted": "true"})


async def put_block_list(call: Call) -> Response:
    """PUT ?comp=blocklist: the named blocks become the blob, in one conditional write.

    A committed block cannot be named again: no client of ours edits a blob by blocks.
    """
    names = _block_names(await call.request.body())
    found = call.stat()
    if found:
        _require(call, found, "BlockBlob")
    check_write(call, found, exists="BlobAlreadyExists")
    pieces = call.account.folder.pieces(call.container, call.path)
    parts = [pieces / name for name in names]
    if not all(part.is_file() for part in parts):
        raise Refused(400, "InvalidBlockList", "The specified block list is invalid.")
    draft = call.account.folder.draft()
    with draft.open("wb") as whole:
        for part in parts:
            with part.open("rb") as block:
                shutil.copyfileobj(block, whole)
    stored = call.account.folder.publish(draft, call.container, call.path)
    forget_pieces(call.account, call.container, call.path)
    call.keep(stored, from_request(call.headers))
    call.tell("PutBlockList", stored)
    return written(201, stored)


async def append_block(call: Call) -> Response:
    """PUT ?comp=appendblock: no event, as in the service."""
    block = await call.request.body()
    found = call.file()
    check_write(call, found)
    _require(call, found, "AppendBlob")
    position = call.headers.get("x-ms-blob-condition-appendpos")
    if position is not None and int(position) != found.size:
        raise Refused(412, "AppendPositionConditionNotMet")
    limit = call.headers.get("x-ms-blob-condition-maxsize")
    if limit is not None and found.size + len(block) > int(limit):
        raise Refused(412, "MaxBlobSizeConditionNotMet")
    kept = call.kept(found)
    stored = call.account.folder.append(call.container, call.path, block)
    call.keep(stored, kept)
    return written(201, stored, **{"x-ms-blob-append-offset": str(found.size)})


async def get(call: Call) -> Response:
    """GET /container/path, whole or a range; both APIs."""
    found = call.file()
    check_read(call, found)
    return content(call, found, _headers(call, found))


async def head(call: Call) -> Response:
    """HEAD /container/path; both APIs, directories too."""
    found = call.stat()
    if found is None:
        raise call.missing()
    check_read(call, found)
    headers = _headers(call, found) | version_headers(found)
    length = {"Content-Length": str(found.size), "Accept-Ranges": "bytes"}
    return Response(status_code=200, headers=headers | length)


async def set_metadata(call: Call) -> Response:
    """PUT ?comp=metadata: a new version with the same content."""
    found = call.file()
    check_write(call, found)
    kept = {n: v for n, v in call.kept(found).items() if not n.startswith("x-ms-meta-")}
    given = {n: v for n, v in from_request(call.headers).items() if n.startswith("x-ms-meta-")}
    stored = call.account.folder.touch(call.container, call.path)
    call.keep(stored, kept | given)
    return written(200, stored)


async def delete_blob(call: Call) -> Response:
    """DELETE /container/path. A directory goes when it is empty."""
    found = call.stat()
    if found is None:
        raise call.missing()
    check_write(call, found)
    if found.is_directory and any(call.account.folder.walk(call.container, call.path)):
        raise Refused(409, "DirectoryIsNotEmpty")
    call.account.folder.remove(call.container, call.path)
    forget_pieces(call.account, call.container, call.path)
    call.account.lake.absorb(call.container, call.path)
    call.tell("DeleteBlob")
    return Response(status_code=202, headers={"x-ms-delete-type-permanent": "true"})


async def list_blobs(call: Call) -> Response:
    """GET /container?restype=container&comp=list, flat or by delimiter `/`.

    A hierarchical account lists its directories as blobs without content, parents first.
    """
    prefix, flat = call.query.get("prefix", ""), call.query.get("delimiter") != "/"
    marker = call.query.get("marker", "")
    if marker:
        check_path(marker)
    limit = min(int(call.query.get("maxresults") or PAGE), PAGE)
    found = list(itertools.islice(_below(call, prefix, marker, flat), limit + 1))
    page = found[:limit]
    rest = page[-1].path if len(found) > limit else ""
    metadata = "metadata" in call.query.get("include", "")
    items = "".join(
        _blob(call, item, metadata)
        if flat or not item.is_directory
        else f"<BlobPrefix><Name>{escape(item.path)}/</Name></BlobPrefix>"
        for item in page
    )
    return _xml(
        f"<EnumerationResults ServiceEndpoint={quoteattr(str(call.request.base_url))}"
        f' ContainerName="{call.container}"><Prefix>{escape(prefix)}</Prefix>'
        f"<MaxResults>{limit}</MaxResults><Blobs>{items}</Blobs>"
        f"<NextMarker>{escape(rest)}</NextMarker></EnumerationResults>"
    )


def forget_pieces(account: Account, container: str, path: str) -> None:
    """Drop what was staged for a blob and not committed."""
    pieces = account.folder.pieces(container, path)
    # Each write asks, and next to none has pieces: to fail costs more than to look.
    if pieces.exists():
        shutil.rmtree(pieces, ignore_errors=True)


def _below(call: Call, prefix: str, marker: str, flat: bool) -> Iterator[Stat]:
    directory, _, only = prefix.rpartition("/")
    call.account.folder.container(call.container)
    if directory:
        check_path(directory)
    return call.account.folder.walk(call.container, directory, after=marker, only=only, deep=flat)


def _blob(call: Call, item: Stat, with_metadata: bool) -> str:
    kept = call.account.properties.get(call.container, item.path, item.etag)
    metadata = {n[10:]: v for n, v in kept.items() if n.startswith("x-ms-meta-")}
    if item.is_directory:
        metadata["hdi_isfolder"] = "true"
    pairs = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in metadata.items())
    return (
        f"<Blob><Name>{escape(item.path)}</Name><Properties>{_version(item)}"
        f"<ResourceType>{'directory' if item.is_directory else 'file'}</ResourceType>"
        f"<Content-Length>{item.size}</Content-Length>"
        f"<Content-Type>{escape(kept['Content-Type'])}</Content-Type>"
        f"<BlobType>{kept['x-ms-blob-type']}</BlobType><ServerEncrypted>true</ServerEncrypted>"
        f"</Properties>{f'<Metadata>{pairs}</Metadata>' if with_metadata else ''}</Blob>"
    )


def _version(item: Stat) -> str:
    """Listings give ETags without quotes."""
    modified = http_date(item.modified)
    return f"<Last-Modified>{modified}</Last-Modified><Etag>{item.etag.strip(chr(34))}</Etag>"


def _headers(call: Call, found: Stat) -> dict[str, str]:
    kind = "directory" if found.is_directory else "file"
    folder = {"x-ms-meta-hdi_isfolder": "true"} if found.is_directory else {}
    state = {"x-ms-lease-status": "unlocked", "x-ms-lease-state": "available"}
    return call.kept(found) | folder | state | {"x-ms-resource-type": kind}


def _require(call: Call, found: Stat, kind: str) -> None:
    if found.is_directory or call.kept(found)["x-ms-blob-type"] != kind:
        raise Refused(409, "InvalidBlobType", "The blob type is invalid for this operation.")


def _block_name(block_id: str) -> str:
    """A block's file name; ids are base64 of at most 64 bytes."""
    try:
        decoded = base64.b64decode(block_id, validate=True)
    except ValueError:
        decoded = b""
    if not 0 < len(decoded) <= 64:
        raise Refused(400, "InvalidQueryParameterValue", "The block id is not valid.")
    return f"block-{decoded.hex()}"


def _block_names(body: bytes) -> list[str]:
    """From a block list. A document with a DTD is refused: it could hold an entity bomb."""
    if len(body) > _BLOCK_LIST_BYTES or b"<!" in body:
        raise Refused(400, "InvalidXmlDocument")
    try:
        listed = ElementTree.fromstring(body)  # noqa: S314  no DTD is left to expand
    except ElementTree.ParseError as error:
        raise Refused(400, "InvalidXmlDocument") from error
    return [_block_name((item.text or "").strip()) for item in listed]


def _xml(body: str) -> Response:
    return Response(f"{_XML}{body}", media_type="application/xml")
