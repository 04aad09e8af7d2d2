"""Clients of the storage emulator for tests: Microsoft's SDKs, and requests as they are."""

from __future__ import annotations

import shutil
import socket
import ssl
from typing import Any
from urllib.parse import urlsplit

import httpx
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobServiceClient
from azure.storage.filedatalake import DataLakeServiceClient

from workbench.cloud import LocalCloud

VERSION = "2023-11-03"
AUDIENCE = "https://storage.azure.com"


def blobs(
    cloud: LocalCloud, principal: str = "app", account: str = "state", **options: Any
) -> BlobServiceClient:
    """A Blob client that is a principal; it does not repeat what failed."""
    return BlobServiceClient(
        cloud.addresses[account],
        cloud.identity.credential(principal),
        connection_verify=str(cloud.ca),
        retry_total=0,
        **options,
    )


def files(
    cloud: LocalCloud, principal: str = "app", account: str = "state"
) -> DataLakeServiceClient:
    """A Data Lake client that is a principal; it does not repeat what failed."""
    return DataLakeServiceClient(
        cloud.addresses[account],
        cloud.identity.credential(principal),
        connection_verify=str(cloud.ca),
        retry_total=0,
    )


def refused(error: HttpResponseError) -> tuple[int | None, str]:
    """(status, error code) of an answer."""
    answer: Any = error.response
    return error.status_code, answer.headers.get("x-ms-error-code", "")


def raw(cloud: LocalCloud, method: str, path: str, **options: Any) -> httpx.Response:
    """A request as it is; `principal` None sends no token."""
    principal = options.pop("principal", "app")
    headers = {"x-ms-version": VERSION} | options.pop("headers", {})
    if principal:
        headers["authorization"] = f"Bearer {cloud.token(principal, AUDIENCE)}"
    trust = ssl.create_default_context(cafile=str(cloud.ca))
    url = f"{cloud.addresses[options.pop('account', 'state')]}{path}"
    return httpx.request(method, url, headers=headers, verify=trust, trust_env=False, **options)


def sealed(cloud: LocalCloud) -> ssl.SSLSocket:
    """A TLS connection to the state account."""
    address = urlsplit(cloud.addresses["state"])
    trust = ssl.create_default_context(cafile=str(cloud.ca))
    plain = socket.create_connection((address.hostname or "", address.port or 0), 10)
    return trust.wrap_socket(plain, server_hostname="127.0.0.1")


def head(cloud: LocalCloud, method: str, path: str, length: int) -> bytes:
    """The head of a request whose path no client cleans up."""
    token = cloud.token("app", AUDIENCE)
    return (
        f"{method} {path} HTTP/1.1\r\nHost: x\r\nx-ms-version: {VERSION}\r\n"
        f"Authorization: Bearer {token}\r\nx-ms-blob-type: BlockBlob\r\n"
        f"Connection: close\r\nContent-Length: {length}\r\n\r\n"
    ).encode()


def empty(cloud: LocalCloud) -> None:
    """Remove everything in the containers."""
    for account in ("exports", "state"):
        for item in cloud.lake(account).glob("*/*"):
            shutil.rmtree(item) if item.is_dir() else item.unlink()
