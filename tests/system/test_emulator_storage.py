"""The storage emulator's Data Lake half under Microsoft's SDK, which we did not write."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.filedatalake import FileSystemClient

from tests.system import lake
from tests.system.lake import raw, refused
from workbench.cloud import LocalCloud


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
def results(cloud: LocalCloud) -> FileSystemClient:
    return lake.files(cloud).get_file_system_client("results")


def test_create_append_flush_and_read(results: FileSystemClient) -> None:
    file = results.get_file_client("jobs/job-1/plan.json")
    created = file.create_file(content_settings=None, metadata={"hunt": "beaconing"})
    file.append_data(b"hello ", 0, 6)
    file.append_data(b"world", 6, 5)
    assert file.download_file().readall() == b""
    flushed = file.flush_data(11)
    assert file.download_file().readall() == b"hello world"
    assert file.download_file(offset=6, length=3).readall() == b"wor"
    properties = file.get_file_properties()
    assert (properties.size, properties.etag) == (11, flushed["etag"])
    assert properties.metadata == {"hunt": "beaconing"}
    assert created["etag"] != flushed["etag"]
    file.append_data(b"!", 11, 1)
    file.flush_data(12, close=True)
    assert file.download_file().readall() == b"hello world!"


def test_appends_may_come_out_of_order_but_leave_no_hole(results: FileSystemClient) -> None:
    file = results.create_file("a.bin")
    file.append_data(b"cd", 2, 2)
    with pytest.raises(HttpResponseError) as error:
        file.flush_data(4)
    assert refused(error.value) == (400, "InvalidFlushPosition")
    file.append_data(b"ab", 0, 2)
    with pytest.raises(HttpResponseError) as error:
        file.flush_data(3)
    assert refused(error.value) == (400, "InvalidFlushPosition")
    file.flush_data(4)
    assert file.download_file().readall() == b"abcd"


def test_upload_data_overwrites_in_parallel_chunks(results: FileSystemClient) -> None:
    file = results.get_file_client("big.bin")
    content = os.urandom(1_000_003)
    file.upload_data(b"old", overwrite=True)
    file.upload_data(content, overwrite=True, chunk_size=100_000, max_concurrency=4)
    assert file.download_file(max_concurrency=4).readall() == content


def test_create_conditions(results: FileSystemClient) -> None:
    file = results.create_file("once.json")
    stale: dict[str, Any] = {"etag": '"0x1"', "match_condition": MatchConditions.IfNotModified}
    missing: dict[str, Any] = {"match_condition": MatchConditions.IfMissing}
    for conditions, expected in [
        (missing, (409, "PathAlreadyExists")),
        (stale, (412, "ConditionNotMet")),
    ]:
        with pytest.raises(HttpResponseError) as error:
            file.create_file(**conditions)
        assert refused(error.value) == expected
    with pytest.raises(HttpResponseError) as error:
        file.flush_data(0, **stale)
    assert refused(error.value) == (412, "ConditionNotMet")


def test_upload_data_without_overwrite_does_not_create(results: FileSystemClient) -> None:
    with pytest.raises(HttpResponseError) as error:
        results.get_file_client("new.json").upload_data(b"x", overwrite=False)
    assert refused(error.value) == (404, "PathNotFound")


def test_lists_many_in_pages_each_once(cloud: LocalCloud, results: FileSystemClient) -> None:
    root = cloud.lake("state") / "results"
    names = {f"jobs/{n % 83}/{n % 7}/part-{n:05d}.jsonl" for n in range(1500)}
    names |= {"jobs/0-dash", "jobs/0.dot", "jobs/zz ü %41+.json"}
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(b"{}")
    found = list(results.get_paths())
    files = [path.name for path in found if not path.is_directory]
    assert len(files) == len(names)
    assert set(files) == names
    assert {path.name for path in found if path.is_directory} == {
        parent.as_posix() for name in names for parent in list(Path(name).parents)[:-1]
    }
    pages = results.get_paths(max_results=197).by_page()
    assert [path.name for page in pages for path in page] == [path.name for path in found]
    top = list(results.get_paths(path="jobs", recursive=False, max_results=10))
    assert len(top) == 83 + 3
    below = {path.name for path in results.get_paths(path="jobs/5/3")}
    assert below == {name for name in names if name.startswith("jobs/5/3/")}
    one = next(path for path in results.get_paths(path="jobs/5/3"))
    current = results.get_file_client(one.name).get_file_properties()
    assert (f'"{one.etag}"', one.content_length) == (current.etag, 2)
    assert one.last_modified == current.last_modified.replace(tzinfo=None)


def test_listing_what_is_not_there(cloud: LocalCloud, results: FileSystemClient) -> None:
    with pytest.raises(HttpResponseError) as error:
        list(results.get_paths(path="nothing"))
    assert refused(error.value) == (404, "PathNotFound")
    answer = raw(cloud, "GET", "/am-none?resource=filesystem&recursive=true", account="exports")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (404, "FilesystemNotFound")
    assert answer.json()["error"]["code"] == "FilesystemNotFound"
    token = "&continuation=Li4v"  # ../
    answer = raw(cloud, "GET", f"/results?resource=filesystem&recursive=true{token}")
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (
        400,
        "InvalidContinuationToken",
    )


def test_rename_and_its_refusals(results: FileSystemClient) -> None:
    source = results.get_file_client("tmp/manifest ü.json")
    source.upload_data(b"{}", overwrite=True)
    before = source.get_file_properties().etag
    results.create_directory("runs")
    moved = source.rename_file("results/runs/manifest.json")
    assert moved.download_file().readall() == b"{}"
    assert moved.get_file_properties().etag == before
    assert not source.exists()
    other = results.create_file("other.json")
    with pytest.raises(HttpResponseError) as error:
        other.rename_file("results/runs/manifest.json", match_condition=MatchConditions.IfMissing)
    assert refused(error.value) == (409, "PathAlreadyExists")
    other.rename_file("results/runs/manifest.json")
    assert moved.download_file().readall() == b""
    with pytest.raises(HttpResponseError) as error:
        other.rename_file("results/runs/again.json")
    assert refused(error.value) == (404, "SourcePathNotFound")
    with pytest.raises(HttpResponseError) as error:
        moved.rename_file("results/nowhere/again.json")
    assert refused(error.value) == (404, "RenameDestinationParentPathNotFound")


def test_rename_needs_the_right_to_write_at_both_ends(cloud: LocalCloud) -> None:
    (cloud.lake("state") / "code" / "main.py").write_bytes(b"print()")
    for source in ("/code/main.py", "/%63ode/main.py", "code/main.py"):
        answer = raw(
            cloud, "PUT", "/results/main.py?mode=legacy", headers={"x-ms-rename-source": source}
        )
        assert answer.status_code == 403
    assert (cloud.lake("state") / "code" / "main.py").exists()


def test_delete_files_and_directories(results: FileSystemClient) -> None:
    results.get_file_client("a/b/c.json").upload_data(b"x", overwrite=True)
    with pytest.raises(HttpResponseError) as error:
        results.get_file_client("a").delete_file()
    assert refused(error.value) == (409, "DirectoryNotEmpty")
    results.get_file_client("a/b/c.json").delete_file()
    assert results.get_directory_client("a/b").exists()
    results.delete_directory("a")
    assert not results.get_directory_client("a").exists()
    with pytest.raises(HttpResponseError) as error:
        results.get_file_client("a/b/c.json").delete_file()
    assert refused(error.value) == (404, "PathNotFound")


def test_a_path_is_a_file_or_a_directory(results: FileSystemClient, cloud: LocalCloud) -> None:
    results.create_file("a/file")
    for path in ("a", "a/file/below"):
        answer = raw(cloud, "PUT", f"/results/{path}", headers={"x-ms-blob-type": "BlockBlob"})
        assert (answer.status_code, answer.headers["x-ms-error-code"]) == (409, "PathConflict")
    with pytest.raises(HttpResponseError) as error:
        results.create_directory("a/file")
    assert refused(error.value) == (409, "PathConflict")


def test_lists_file_systems(cloud: LocalCloud) -> None:
    for name in ("am-SecurityEvent", "am-commonsecuritylog", "backup"):
        (cloud.lake("exports") / name).mkdir()
    systems = lake.files(cloud, "app", "exports").list_file_systems(name_starts_with="am-")
    assert [system.name for system in systems] == ["am-commonsecuritylog", "am-securityevent"]
    answer = raw(cloud, "GET", "/?resource=account", account="exports")
    assert [item["name"] for item in answer.json()["filesystems"]] == [
        "am-commonsecuritylog",
        "am-securityevent",
        "backup",
    ]
    (cloud.lake("exports") / "am-SecurityEvent" / "x.json").write_bytes(b"{}\n")
    blob = lake.blobs(cloud, "app", "exports").get_blob_client("am-securityevent", "x.json")
    assert blob.download_blob().readall() == b"{}\n"
