"""The storage emulator: one account over a folder, Blob and Data Lake REST on one port.

A request is named (`state.PutBlob`), its caller's token and role are checked, then its handler
runs. Azurite is the witness for Blob, Microsoft's SDKs are for Data Lake.
"""

from __future__ import annotations

import errno
import re
import sqlite3
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, unquote_to_bytes

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from workbench.emulators import storage_blob as blob
from workbench.emulators import storage_dfs as dfs
from workbench.emulators.identity import TENANT
from workbench.emulators.storage_folder import Refused, check_path
from workbench.emulators.storage_http import Account, Call, Roles, refusal

AUDIENCE = "https://storage.azure.com"
OLDEST_VERSION, NEWEST_VERSION = "2017-11-09", "2026-10-06"
"""The first that takes tokens, the last that the pinned SDKs know: no other was ever served."""


@dataclass(frozen=True)
class Operation:
    """`name` is the service's, e.g. PutBlob."""

    name: str
    handle: Callable[[Call], Awaitable[Response]]
    write: bool = False


_READ = Operation("GetBlob", blob.get)
_HEAD = Operation("GetBlobProperties", blob.head)
_CONTAINER = Operation("GetContainerProperties", blob.container_properties)
_CREATE_CONTAINER = Operation("CreateContainer", blob.create_container, write=True)
_DELETE_CONTAINER = Operation("DeleteContainer", blob.delete_container, write=True)

OPERATIONS: Mapping[tuple[str, str, str], Operation] = {
    ("GET", "account", "list"): Operation("ListContainers", blob.list_containers),
    ("GET", "account", "account"): Operation("ListFilesystems", dfs.list_filesystems),
    ("PUT", "container", "container"): _CREATE_CONTAINER,
    ("PUT", "container", "filesystem"): _CREATE_CONTAINER,
    ("DELETE", "container", "container"): _DELETE_CONTAINER,
    ("DELETE", "container", "filesystem"): _DELETE_CONTAINER,
    ("GET", "container", "container"): _CONTAINER,
    ("HEAD", "container", "container"): _CONTAINER,
    ("HEAD", "container", "filesystem"): _CONTAINER,
    ("GET", "container", "list"): Operation("ListBlobs", blob.list_blobs),
    ("GET", "container", "filesystem"): Operation("ListPaths", dfs.list_paths),
    ("GET", "path", ""): _READ,
    ("HEAD", "path", ""): _HEAD,
    ("HEAD", "path", "getStatus"): _HEAD,
    ("PUT", "path", ""): Operation("PutBlob", blob.put_blob, write=True),
    ("PUT", "path", "block"): Operation("PutBlock", blob.put_block, write=True),
    ("PUT", "path", "blocklist"): Operation("PutBlockList", blob.put_block_list, write=True),
    ("PUT", "path", "appendblock"): Operation("AppendBlock", blob.append_block, write=True),
    ("PUT", "path", "metadata"): Operation("SetBlobMetadata", blob.set_metadata, write=True),
    ("DELETE", "path", ""): Operation("DeleteBlob", blob.delete_blob, write=True),
    ("DELETE", "path", "dfs"): Operation("DeletePath", dfs.delete_path, write=True),
    ("PUT", "path", "file"): Operation("CreateFile", dfs.create_path, write=True),
    ("PUT", "path", "directory"): Operation("CreateDirectory", dfs.create_path, write=True),
    ("PUT", "path", "rename"): Operation("RenamePath", dfs.rename, write=True),
    ("PATCH", "path", "append"): Operation("Append", dfs.append, write=True),
    ("PATCH", "path", "flush"): Operation("Flush", dfs.flush, write=True),
}
"""(method, what the URL names, what its query or headers ask for) -> operation."""


class StorageEmulator:
    """The ASGI app of one account. `caller` checks a request's token for an audience."""

    def __init__(
        self, account: Account, roles: Roles, caller: Callable[[Request, str], str | None]
    ) -> None:
        self._account = account
        self._roles = roles
        self._caller = caller

    def name_of(self, scope: Scope) -> str:
        """The name that faults know a request by: `<account>.<operation>`."""
        operation = _operation(scope)
        return f"{self._account.name}.{operation.name}" if operation else ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        call = Call(request, self._account, *_names(scope), data_lake=_is_data_lake(scope))
        try:
            response = await self._answer(call, _operation(scope))
        except (Refused, KeyError, ValueError, OSError, sqlite3.Error) as error:
            response = refusal(call.request_id, _refused(call, error), data_lake=call.data_lake)
        response.headers["x-ms-request-id"] = call.request_id
        response.headers["x-ms-version"] = call.headers.get("x-ms-version", NEWEST_VERSION)
        if client := call.headers.get("x-ms-client-request-id"):
            response.headers["x-ms-client-request-id"] = client
        if response.status_code == 401:
            response.headers["WWW-Authenticate"] = _CHALLENGE
        await response(scope, receive, send)

    async def _answer(self, call: Call, operation: Operation | None) -> Response:
        _check_version(call.headers.get("x-ms-version", ""))
        principal = self._principal(call)
        if operation is None:
            raise Refused(400, "InvalidUri", "The emulator does not know this operation.")
        if call.path:
            check_path(call.path)
        self._check_role(principal, call.container or "*", operation.write)
        if operation.name == "RenamePath":
            source, _ = dfs.rename_source(call.headers["x-ms-rename-source"])
            self._check_role(principal, source, write=True)
        return await operation.handle(call)

    def _principal(self, call: Call) -> str:
        if not call.headers.get("authorization"):
            raise Refused(401, "NoAuthenticationInformation")
        principal = self._caller(call.request, AUDIENCE)
        if principal is None:
            raise Refused(401, "InvalidAuthenticationInfo", "The token is not valid here.")
        return principal

    def _check_role(self, principal: str, container: str, write: bool) -> None:
        if not self._roles.allow(principal, self._account.name, container, write=write):
            raise Refused(
                403,
                "AuthorizationPermissionMismatch",
                f"{principal} may not {'write' if write else 'read'} {container} here.",
            )


_CHALLENGE = (
    f"Bearer authorization_uri=https://login.microsoftonline.com/{TENANT}/oauth2/authorize"
    f" resource_id={AUDIENCE}"
)


_DATA_LAKE_CODES = {
    "ContainerNotFound": "FilesystemNotFound",
    "ContainerAlreadyExists": "FilesystemAlreadyExists",
}


def _refused(call: Call, error: Exception) -> Refused:
    if isinstance(error, Refused):
        code = _DATA_LAKE_CODES.get(error.code) if call.data_lake else None
        return Refused(error.status, code, error.message) if code else error
    if isinstance(error, FileNotFoundError):  # a person or Spark removed it meanwhile
        return call.missing()
    too_long = isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG
    if isinstance(error, OSError | sqlite3.Error) and not too_long:
        return Refused(507, "InsufficientStorage", f"The local disk says: {error}")
    return Refused(400, "InvalidInput", f"A part of the request cannot be read: {error}")


def _check_version(version: str) -> None:
    if not version:
        raise Refused(400, "MissingRequiredHeader", "x-ms-version is missing.")
    dated = re.fullmatch(r"\d{4}-\d{2}-\d{2}", version)
    if not dated or not OLDEST_VERSION <= version <= NEWEST_VERSION:
        raise Refused(400, "InvalidHeaderValue", f"No x-ms-version {version} was ever served.")


def _names(scope: Scope) -> tuple[str, str]:
    """(container in lower case, path) of a URL, decoded once; bytes that are no UTF-8 stay bad."""
    raw = unquote_to_bytes(bytes(scope["raw_path"])).decode("utf-8", "surrogateescape")
    container, _, path = raw.removeprefix("/").partition("/")
    return container.lower(), path.removesuffix("/")


def _operation(scope: Scope) -> Operation | None:
    container, path = _names(scope)
    level = "path" if path else "container" if container else "account"
    return OPERATIONS.get((str(scope["method"]), level, _asked(scope)))


def _asked(scope: Scope) -> str:
    query = _query(scope)
    for key in ("comp", "action", "resource", "restype"):
        if key in query:
            return query[key][0]
    if any(name == b"x-ms-rename-source" for name, _ in scope["headers"]):
        return "rename"
    return "dfs" if scope["method"] == "DELETE" and _is_data_lake(scope) else ""


def _is_data_lake(scope: Scope) -> bool:
    """Host names tell in Azure; here the query does, or that the client takes JSON."""
    headers: dict[bytes, bytes] = dict(scope["headers"])
    told = {"resource", "action", "recursive", "mode"} & _query(scope).keys()
    return bool(told) or b"application/json" in headers.get(b"accept", b"")


def _query(scope: Scope) -> dict[str, list[str]]:
    return parse_qs(bytes(scope["query_string"]).decode("latin-1"))
