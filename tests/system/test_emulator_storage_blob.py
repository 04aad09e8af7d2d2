"""The storage emulator's Blob half under Microsoft's SDK: what the Azurite witness leaves out."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContainerClient

from tests.system import lake
from tests.system.lake import raw, refused
from workbench.cloud import LocalCloud
from workbench.emulators.faults import Fault


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path_factory.mktemp("home")) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def empty(cloud: LocalCloud) -> Iterator[None]:
    """Leave no test's blobs to the next one."""
    yield
    lake.empty(cloud)


@pytest.fixture
def ledger(cloud: LocalCloud) -> ContainerClient:
    return lake.blobs(cloud).get_container_client("ledger")


def test_put_blob_keeps_its_properties(ledger: ContainerClient) -> None:
    blob = ledger.get_blob_client("active/run ü.json")
    written = blob.upload_blob(b"{}", metadata={"hunt": "beaconing"})
    read = blob.get_blob_properties()
    assert (read.etag, read.size, read.metadata) == (written["etag"], 2, {"hunt": "beaconing"})
    assert read.blob_type == "BlockBlob"
    blob.set_blob_metadata({"hunt": "other"})
    assert blob.get_blob_properties().metadata == {"hunt": "other"}
    assert blob.download_blob().readall() == b"{}"


def test_spark_writes_past_the_emulator_and_every_write_has_its_own_etag(
    cloud: LocalCloud, ledger: ContainerClient
) -> None:
    blob = ledger.get_blob_client("doc.json")
    seen = set()
    for _ in range(60):
        blob.upload_blob(b"{}", overwrite=True, metadata={"a": "b"})
        seen.add(blob.get_blob_properties().etag)
    assert len(seen) == 60
    last = blob.get_blob_properties().etag
    (cloud.lake("state") / "ledger" / "doc.json").write_bytes(b"spark")
    after = blob.get_blob_properties()
    assert after.etag != last
    assert (after.metadata, after.size) == ({}, 5)
    with pytest.raises(HttpResponseError) as error:
        blob.upload_blob(
            b"x", overwrite=True, etag=last, match_condition=MatchConditions.IfNotModified
        )
    assert refused(error.value) == (412, "ConditionNotMet")


def test_large_uploads_go_by_blocks(cloud: LocalCloud, ledger: ContainerClient) -> None:
    service = lake.blobs(cloud, max_single_put_size=64_000, max_block_size=100_000)
    blob = service.get_blob_client("ledger", "big.bin")
    content = os.urandom(1_500_001)
    blob.upload_blob(content, max_concurrency=4)
    assert blob.download_blob(max_concurrency=4).readall() == content
    with pytest.raises(HttpResponseError) as error:
        blob.upload_blob(content)
    assert refused(error.value) == (409, "BlobAlreadyExists")
    assert blob.download_blob(offset=1_499_999).readall() == content[1_499_999:]


def test_append_blobs_stay_append_blobs_over_a_restart(tmp_path: Path) -> None:
    for line in (b"1\n", b"2\n", b"3\n"):
        with LocalCloud(tmp_path) as cloud:
            blob = lake.blobs(cloud).get_blob_client("ledger", "log.jsonl")
            if line == b"1\n":
                blob.create_append_blob()
            blob.append_block(line)
            assert blob.get_blob_properties().blob_type == "AppendBlob"
    assert (tmp_path / "lake/state/ledger/log.jsonl").read_bytes() == b"1\n2\n3\n"


def test_lists_blobs_with_their_directories(ledger: ContainerClient) -> None:
    for name in ("active/runs/live/a.json", "active/runs/live/b.json", "active-x", "done/c.json"):
        ledger.upload_blob(name, b"{}")
    listed = list(ledger.list_blobs(include=["metadata"]))
    folders = [b.name for b in listed if b.metadata and b.metadata.get("hdi_isfolder")]
    assert folders == ["active", "active/runs", "active/runs/live", "done"]
    assert {blob.name for blob in listed} - set(folders) == {
        "active/runs/live/a.json",
        "active/runs/live/b.json",
        "active-x",
        "done/c.json",
    }
    pages = ledger.list_blobs(results_per_page=2).by_page()
    assert [b.name for page in pages for b in page] == [b.name for b in listed]
    below = [b.name for b in ledger.list_blobs(name_starts_with="active/runs/live/")]
    assert below == ["active/runs/live/a.json", "active/runs/live/b.json"]
    assert [b.name for b in ledger.list_blobs(name_starts_with="active-")] == ["active-x"]
    assert list(ledger.list_blobs(name_starts_with="nothing/here")) == []
    shallow = [item.name for item in ledger.walk_blobs(delimiter="/")]
    assert sorted(shallow) == ["active-x", "active/", "done/"]
    listed_tag = next(b.etag for b in listed if b.name == "active-x")
    ledger.get_blob_client("active-x").upload_blob(
        b"new", overwrite=True, etag=listed_tag, match_condition=MatchConditions.IfNotModified
    )


def test_of_many_creators_one_wins(ledger: ContainerClient) -> None:
    def create(number: int) -> bool:
        with contextlib.suppress(HttpResponseError):
            ledger.get_blob_client("turn.json").upload_blob(str(number).encode())
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        assert sum(pool.map(create, range(40))) == 1


def test_no_conditional_update_is_lost(ledger: ContainerClient) -> None:
    blob = ledger.get_blob_client("counter.json")
    blob.upload_blob(b"0")

    def count(_: int) -> None:
        while True:
            read = blob.download_blob()
            following = str(int(read.readall()) + 1).encode()
            with contextlib.suppress(HttpResponseError):
                blob.upload_blob(
                    following,
                    overwrite=True,
                    etag=read.properties.etag,
                    match_condition=MatchConditions.IfNotModified,
                )
                return

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(count, range(30)))
    assert blob.download_blob().readall() == b"30"


def test_a_reader_sees_the_old_blob_or_the_new(ledger: ContainerClient) -> None:
    blob = ledger.get_blob_client("whole.bin")
    blob.upload_blob(b"a" * 300_000)
    stop = threading.Event()

    def write() -> None:
        letter = 0
        while not stop.is_set():
            letter = (letter + 1) % 26
            blob.upload_blob(bytes([97 + letter]) * 300_000, overwrite=True)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(40):
            content = blob.download_blob().readall()
            assert (len(content), len(set(content))) == (300_000, 1)
    finally:
        stop.set()
        writer.join()


def test_a_body_that_is_not_what_its_md5_says(cloud: LocalCloud) -> None:
    headers = {"x-ms-blob-type": "BlockBlob", "content-md5": "1B2M2Y8AsgTpgAmY7PhCfg=="}
    answer = raw(cloud, "PUT", "/ledger/x.json", headers=headers, content=b"other")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (400, "Md5Mismatch")
    assert raw(cloud, "PUT", "/ledger/x.json", headers=headers, content=b"").status_code == 201


def test_a_block_list_with_an_entity_bomb_isrefused(cloud: LocalCloud) -> None:
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><BlockList><Latest>&b;</Latest></BlockList>'
    answer = raw(cloud, "PUT", "/ledger/x.json?comp=blocklist", content=bomb)
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (400, "InvalidXmlDocument")


def test_a_fault_keeps_the_effect_of_a_write(cloud: LocalCloud, ledger: ContainerClient) -> None:
    cloud.faults.add("state.PutBlob", Fault("after", 503, code="ServerBusy"), Fault("lost"))
    blob = ledger.get_blob_client("doc.json")
    with pytest.raises(HttpResponseError) as error:
        blob.upload_blob(b"1")
    assert refused(error.value) == (503, "ServerBusy")
    assert blob.download_blob().readall() == b"1"
    with pytest.raises(Exception, match="onnection"):
        blob.upload_blob(b"2", overwrite=True)
    assert blob.download_blob().readall() == b"2"
    assert cloud.faults.pending() == {}


def test_every_operation_has_a_name_for_faults(cloud: LocalCloud) -> None:
    cloud.faults.add("state.ListPaths", Fault("before", 429, retry_after=3))
    answer = raw(cloud, "GET", "/results?resource=filesystem&recursive=true")
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "3")
    cloud.faults.add("POST /api/events", Fault("before", 500))
    assert raw(cloud, "POST", "/api/events", account="services").status_code == 500
    assert cloud.faults.pending() == {}
