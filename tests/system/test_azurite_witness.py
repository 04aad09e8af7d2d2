"""The Blob half of the storage emulator answers as Azurite, which we did not write, answers.

Each case is one request and the answer that we count on, by value; both must give it. The cases
run against the emulator everywhere, and against Azurite where npm can install it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient, BlobServiceClient, ContainerClient

from workbench.cloud import INFRA, LocalCloud

AZURITE = "azurite@3.35.0"
KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
"""Microsoft's published development key, the same in every copy of the storage emulators."""
STALE = '"0x8DAAAAAAAAAAAAA"'
BLOCK = [BlobBlock("b1")]
Case = Callable[["Place", dict[str, Any]], object]


@dataclass(frozen=True)
class Place:
    """A fresh container, and the blobs that cases begin with."""

    service: BlobServiceClient
    container: ContainerClient

    def absent(self) -> BlobClient:
        return self.container.get_blob_client("absent")

    def nowhere(self) -> BlobClient:
        return self.service.get_blob_client("nowhere", "x")

    def present(self) -> BlobClient:
        blob = self.container.get_blob_client("ledger/turn.json")
        blob.upload_blob(b"0123456789", overwrite=True)
        return blob

    def appendable(self) -> BlobClient:
        """An append blob of three bytes."""
        blob = self.container.get_blob_client("h=00/PT05M.json")
        blob.create_append_blob()
        blob.append_block(b"123")
        return blob

    def staged(self) -> BlobClient:
        """No blob, but a block."""
        blob = self.container.get_blob_client("blocks")
        blob.stage_block("b1", b"123")
        return blob

    def restaged(self) -> BlobClient:
        """A blob, and a block besides."""
        blob = self.present()
        blob.stage_block("b1", b"123")
        return blob


def _if(etag: str | None, condition: MatchConditions) -> dict[str, Any]:
    return {"match_condition": condition} | ({"etag": etag} if etag else {})


def _current(blob: BlobClient) -> str:
    return str(blob.get_blob_properties().etag)


UNCHANGED, CHANGED = MatchConditions.IfNotModified, MatchConditions.IfModified
MISSING, PRESENT = MatchConditions.IfMissing, MatchConditions.IfPresent

CASES: dict[str, tuple[tuple[int, str], Case]] = {
    "create when absent": (
        (201, ""),
        lambda p, o: p.absent().upload_blob(b"1", **_if(None, MISSING), **o),
    ),
    "create when present": (
        (409, "BlobAlreadyExists"),
        lambda p, o: p.present().upload_blob(b"1", overwrite=False, **o),
    ),
    "replace what was read": (
        (201, ""),
        lambda p, o: (b := p.present()).upload_blob(
            b"1", overwrite=True, **_if(_current(b), UNCHANGED), **o
        ),
    ),
    "replace what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.present().upload_blob(b"1", overwrite=True, **_if(STALE, UNCHANGED), **o),
    ),
    "replace what is not there": (
        (412, "ConditionNotMet"),
        lambda p, o: p.absent().upload_blob(b"1", overwrite=True, **_if(STALE, UNCHANGED), **o),
    ),
    "replace another version only, same": (
        (412, "ConditionNotMet"),
        lambda p, o: (b := p.present()).upload_blob(
            b"1", overwrite=True, **_if(_current(b), CHANGED), **o
        ),
    ),
    "replace another version only, other": (
        (201, ""),
        lambda p, o: p.present().upload_blob(b"1", overwrite=True, **_if(STALE, CHANGED), **o),
    ),
    "replace if present": (
        (201, ""),
        lambda p, o: p.present().upload_blob(b"1", overwrite=True, **_if(None, PRESENT), **o),
    ),
    "put into no container": (
        (404, "ContainerNotFound"),
        lambda p, o: p.nowhere().upload_blob(b"1", **o),
    ),
    "put conditionally into no container": (
        (404, "ContainerNotFound"),
        lambda p, o: p.nowhere().upload_blob(b"1", overwrite=True, **_if(STALE, UNCHANGED), **o),
    ),
    "read": ((206, ""), lambda p, o: p.present().download_blob(**o)),
    "read nothing": (
        (404, "BlobNotFound"),
        lambda p, o: p.absent().download_blob(**o),
    ),
    "read from no container": (
        (404, "ContainerNotFound"),
        lambda p, o: p.nowhere().download_blob(**o),
    ),
    "read what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.present().download_blob(**_if(STALE, UNCHANGED), **o),
    ),
    "read only if new, same": (
        (304, "ConditionNotMet"),
        lambda p, o: (b := p.present()).download_blob(**_if(_current(b), CHANGED), **o),
    ),
    "read a range": ((206, ""), lambda p, o: p.present().download_blob(offset=2, length=3, **o)),
    "read behind the end": (
        (416, "InvalidRange"),
        lambda p, o: p.present().download_blob(offset=20, length=5, **o),
    ),
    "properties": ((200, ""), lambda p, o: p.present().get_blob_properties(**o)),
    "properties of nothing": (
        (404, "BlobNotFound"),
        lambda p, o: p.absent().get_blob_properties(**o),
    ),
    "properties of what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.present().get_blob_properties(**_if(STALE, UNCHANGED), **o),
    ),
    "properties only if new, same": (
        (304, "ConditionNotMet"),
        lambda p, o: (b := p.present()).get_blob_properties(**_if(_current(b), CHANGED), **o),
    ),
    "delete what was read": (
        (202, ""),
        lambda p, o: (b := p.present()).delete_blob(**_if(_current(b), UNCHANGED), **o),
    ),
    "delete what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.present().delete_blob(**_if(STALE, UNCHANGED), **o),
    ),
    "delete nothing": (
        (404, "BlobNotFound"),
        lambda p, o: p.absent().delete_blob(**o),
    ),
    "metadata of what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.present().set_blob_metadata({"a": "b"}, **_if(STALE, UNCHANGED), **o),
    ),
    "metadata of nothing": (
        (404, "BlobNotFound"),
        lambda p, o: p.absent().set_blob_metadata({"a": "b"}, **o),
    ),
    "block": ((201, ""), lambda p, o: p.absent().stage_block("b1", b"1", **o)),
    "block of an append blob": (
        (409, "InvalidBlobType"),
        lambda p, o: p.appendable().stage_block("b1", b"1", **o),
    ),
    "read what is not committed": (
        (404, "BlobNotFound"),
        lambda p, o: p.staged().download_blob(**o),
    ),
    "commit, create when absent": (
        (201, ""),
        lambda p, o: p.staged().commit_block_list(BLOCK, **_if(None, MISSING), **o),
    ),
    "commit, create when present": (
        (409, "BlobAlreadyExists"),
        lambda p, o: p.restaged().commit_block_list(BLOCK, **_if(None, MISSING), **o),
    ),
    "commit over what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.restaged().commit_block_list(BLOCK, **_if(STALE, UNCHANGED), **o),
    ),
    "commit over what is not there": (
        (412, "ConditionNotMet"),
        lambda p, o: p.staged().commit_block_list(BLOCK, **_if(STALE, UNCHANGED), **o),
    ),
    "commit an unknown block": (
        (400, "InvalidBlockList"),
        lambda p, o: p.staged().commit_block_list([BlobBlock("b9")], **o),
    ),
    "create an append blob when present": (
        (409, "BlobAlreadyExists"),
        lambda p, o: p.appendable().create_append_blob(**_if(None, MISSING), **o),
    ),
    "create an append blob over what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.appendable().create_append_blob(**_if(STALE, UNCHANGED), **o),
    ),
    "append": ((201, ""), lambda p, o: p.appendable().append_block(b"4", **o)),
    "append to nothing": (
        (404, "BlobNotFound"),
        lambda p, o: p.absent().append_block(b"4", **o),
    ),
    "append to a block blob": (
        (409, "InvalidBlobType"),
        lambda p, o: p.present().append_block(b"4", **o),
    ),
    "append to what has changed": (
        (412, "ConditionNotMet"),
        lambda p, o: p.appendable().append_block(b"4", **_if(STALE, UNCHANGED), **o),
    ),
    "append at the position": (
        (201, ""),
        lambda p, o: p.appendable().append_block(b"4", appendpos_condition=3, **o),
    ),
    "append at another position": (
        (412, "AppendPositionConditionNotMet"),
        lambda p, o: p.appendable().append_block(b"4", appendpos_condition=2, **o),
    ),
    "append beyond the limit": (
        (412, "MaxBlobSizeConditionNotMet"),
        lambda p, o: p.appendable().append_block(b"4", maxsize_condition=3, **o),
    ),
    "block blob over an append blob": (
        (201, ""),
        lambda p, o: p.appendable().upload_blob(b"1", overwrite=True, **o),
    ),
    "create a container that exists": (
        (409, "ContainerAlreadyExists"),
        lambda p, o: p.container.create_container(**o),
    ),
    "list no container": (
        (404, "ContainerNotFound"),
        lambda p, o: list(p.service.get_container_client("nowhere").list_blobs(**o)),
    ),
}


def _answer(case: Case, place: Place) -> tuple[int, str]:
    """(status, error code) of the case's own request: of the last answer to it."""
    seen: list[tuple[int, str]] = []

    def see(told: Any) -> None:
        answer = told.http_response
        seen.append((answer.status_code, answer.headers.get("x-ms-error-code", "")))

    with contextlib.suppress(HttpResponseError):
        case(place, {"raw_response_hook": see})
    return seen[-1]


@contextlib.contextmanager
def _fresh(service: BlobServiceClient) -> Iterator[Place]:
    name = f"results-{uuid.uuid4().hex[:12]}"
    container = service.create_container(name)
    yield Place(service, container)
    container.delete_container()


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobServiceClient]:
    infra = tmp_path_factory.mktemp("infra")
    roles = {"state": dict.fromkeys(("results-*", "nowhere"), "Storage Blob Data Contributor")}
    shutil.copytree(INFRA, infra, dirs_exist_ok=True)
    (infra / "roles.json").write_text(json.dumps({"app": roles, "spark": {}}))
    with LocalCloud(tmp_path_factory.mktemp("home"), infra=infra) as cloud:
        yield BlobServiceClient(
            cloud.addresses["state"],
            cloud.identity.credential("app"),
            connection_verify=str(cloud.ca),
            retry_total=0,
        )


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BlobServiceClient]:
    npm = shutil.which("npm")
    if npm is None:
        pytest.skip("npm is not on this machine, so Azurite cannot be installed")
    folder = tmp_path_factory.mktemp("azurite")
    install = [npm, "install", "--no-audit", "--no-fund", "--prefix", str(folder), AZURITE]
    got = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
    if got.returncode:
        pytest.skip(f"npm could not install {AZURITE}: {got.stderr[-300:]}")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = folder / "node_modules" / ".bin" / "azurite-blob"
    options = ["--skipApiVersionCheck", "--disableTelemetry", "--silent", "--inMemoryPersistence"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(program), "--blobPort", str(port), *options], stdout=log, stderr=log, cwd=folder
        )
    try:
        _await_port(port, process)
        address = f"http://127.0.0.1:{port}/devstoreaccount1"
        yield BlobServiceClient(address, credential=KEY, retry_total=0)
    finally:
        process.terminate()
        process.wait(timeout=30)


def _await_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None, "Azurite ended at its start"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.1)
    raise TimeoutError("Azurite does not listen")


@pytest.mark.parametrize("name", CASES)
def test_emulator_answers(name: str, emulator: BlobServiceClient) -> None:
    expected, case = CASES[name]
    with _fresh(emulator) as place:
        assert _answer(case, place) == expected


@pytest.mark.witness
@pytest.mark.parametrize("name", CASES)
def test_azurite_answers(name: str, azurite: BlobServiceClient) -> None:
    expected, case = CASES[name]
    with _fresh(azurite) as place:
        assert _answer(case, place) == expected
