"""Storage events as Microsoft documents them, in both schemas.

A Data Lake operation names the `.dfs.` host in its URLs and dataVersion 2, a Blob operation the
`.blob.` host and an empty dataVersion; the subject is the same.
"""

from __future__ import annotations

import itertools
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

TYPES: Mapping[str, str] = {
    "PutBlob": "BlobCreated",
    "PutBlockList": "BlobCreated",
    "CreateFile": "BlobCreated",
    "FlushWithClose": "BlobCreated",
    "DeleteBlob": "BlobDeleted",
    "DeleteFile": "BlobDeleted",
    "RenameFile": "BlobRenamed",
    "RenameDirectory": "DirectoryRenamed",
    "CreateDirectory": "DirectoryCreated",
    "DeleteDirectory": "DirectoryDeleted",
}
"""data.api -> event type, without `Microsoft.Storage.`."""
_BLOB_APIS = frozenset({"PutBlob", "PutBlockList", "DeleteBlob"})
_FILE_APIS = frozenset({"CreateFile", "FlushWithClose", "DeleteFile"})
_GROUP = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/tidehunt"
_order = itertools.count()


def _sequencer() -> str:
    """Greater, as a string, than every earlier one, of earlier processes too."""
    return f"{time.time_ns():032X}{next(_order):016x}"


@dataclass(frozen=True, slots=True)
class BlobEvent:
    """One change of one blob or directory; `account` is the account's name in the roles."""

    account: str
    api: str
    container: str
    path: str
    etag: str = ""
    size: int = 0
    blob_type: str = "BlockBlob"
    content_type: str = "application/octet-stream"
    source: str = ""
    """Of a rename: `<container>/<path>` that it was."""
    recursive: str = ""
    client_request_id: str = ""
    request_id: str = field(default_factory=lambda: str(uuid.uuid4()))
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    sequencer: str = field(default_factory=_sequencer)

    @property
    def type(self) -> str:
        return f"Microsoft.Storage.{TYPES[self.api]}"

    @property
    def subject(self) -> str:
        return f"/blobServices/default/containers/{self.container}/blobs/{self.path}"


def cloud_event(event: BlobEvent, account_name: str) -> dict[str, Any]:
    """The event in schema CloudEventSchemaV1_0."""
    return {
        "source": resource_id(account_name),
        "subject": event.subject,
        "type": event.type,
        "time": _time(event),
        "id": event.id,
        "data": data(event, account_name),
        "specversion": "1.0",
    }


def grid_event(event: BlobEvent, account_name: str) -> dict[str, Any]:
    """The event in schema EventGridSchema."""
    blob = "" if event.api in _BLOB_APIS else "1"
    return {
        "topic": resource_id(account_name),
        "subject": event.subject,
        "eventType": event.type,
        "eventTime": _time(event),
        "id": event.id,
        "data": data(event, account_name),
        "dataVersion": "2" if event.api in _FILE_APIS else blob,
        "metadataVersion": "1",
    }


def data(event: BlobEvent, account_name: str) -> dict[str, Any]:
    """The part that both schemas share."""
    host = "blob" if event.api in _BLOB_APIS else "dfs"
    root = f"https://{account_name}.{host}.core.windows.net/"
    url = root + quote(f"{event.container}/{event.path}", safe="/=")
    shared: dict[str, Any] = {
        "api": event.api,
        "requestId": event.request_id,
        "sequencer": event.sequencer,
    }
    if event.client_request_id:
        shared["clientRequestId"] = event.client_request_id
    shared["storageDiagnostics"] = {"batchId": event.request_id}
    if event.source:
        return shared | {"destinationUrl": url, "sourceUrl": root + quote(event.source, safe="/=")}
    if event.api.endswith("Directory"):
        return shared | {"url": url} | ({"recursive": event.recursive} if event.recursive else {})
    return shared | {"url": url} | _blob(event)


def _blob(event: BlobEvent) -> dict[str, Any]:
    told: dict[str, Any] = {"contentType": event.content_type, "blobType": event.blob_type}
    if TYPES[event.api] == "BlobCreated":
        told |= {"eTag": event.etag, "contentLength": event.size}
    if event.api in ("CreateFile", "FlushWithClose"):
        told["contentOffset"] = 0
    return told


def resource_id(account_name: str) -> str:
    """The ARM id of a storage account."""
    return f"{_GROUP}/providers/Microsoft.Storage/storageAccounts/{account_name}"


def _time(event: BlobEvent) -> str:
    return f"{event.at:%Y-%m-%dT%H:%M:%S}.{event.at.microsecond:06d}0Z"
