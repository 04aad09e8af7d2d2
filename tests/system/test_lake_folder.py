"""The lake's watcher: what appears past the emulator raises what the service would raise."""

from __future__ import annotations

import asyncio
import os
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.system import lake, webhook
from tests.system.webhook import KEY, until
from workbench.cloud import LocalCloud
from workbench.emulators.eventgrid_delivery import Options
from workbench.emulators.lake_folder import LakeFolder
from workbench.emulators.storage_events import BlobEvent
from workbench.emulators.storage_folder import Folder

EXPORT = "am-securityevent/y=2026/m=01/d=02/h=03/m=05/PT05M.json"
AN_HOUR_AGO, IN_AN_HOUR = time.time() - 3600, time.time() + 3600
"""A file of the past is closed; of one of the future only a second look can tell, however slow
this machine is."""


class Watched:
    """An account's folder, its watcher, and the events so far as (api, name, length)."""

    def __init__(self, home: Path, *, exporter: bool = False) -> None:
        self.root = home / "lake"
        self.events: list[BlobEvent] = []
        self.folder = Folder(self.root, home / "staging")
        account = "exports" if exporter else "state"
        kept = home / "look.json"
        self.watcher = LakeFolder(account, self.folder, kept, self.events.append, exporter=exporter)

    def look(self) -> list[tuple[str, str, int]]:
        """The events of one look."""
        before = len(self.events)
        asyncio.run(self.watcher.poll())
        return [(e.api, f"{e.container}/{e.path}", e.size) for e in self.events[before:]]

    def write(self, name: str, content: bytes = b"{}\n", *, at: float | None = None) -> Path:
        """Write a file past the emulator; `at` is its mtime."""
        file = self.root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
        if at is not None:
            os.utime(file, (at, at))
        return file


@pytest.fixture
def exports(tmp_path: Path) -> Watched:
    watched = Watched(tmp_path, exporter=True)
    watched.watcher.open()
    return watched


@pytest.fixture
def state(tmp_path: Path) -> Watched:
    watched = Watched(tmp_path)
    watched.watcher.open()
    return watched


def test_what_is_there_at_first_is_not_new(tmp_path: Path) -> None:
    watched = Watched(tmp_path, exporter=True)
    watched.write(EXPORT)
    watched.watcher.open()
    assert watched.look() == []


def test_an_export_blob_raises_one_event_and_none_when_it_grows(exports: Watched) -> None:
    file = exports.write(EXPORT)
    assert exports.look() == [("PutBlob", EXPORT, 0)]
    assert exports.events[0].blob_type == "AppendBlob"
    with file.open("ab") as growing:
        growing.write(b"{}\n")
    assert exports.look() == []
    file.write_bytes(b"")
    assert exports.look() == []


def test_a_late_sibling_in_an_old_folder_is_seen(exports: Watched) -> None:
    folder = exports.write(EXPORT, at=AN_HOUR_AGO).parent
    assert len(exports.look()) == 1
    os.utime(folder, (AN_HOUR_AGO, AN_HOUR_AGO))
    assert exports.look() == []
    assert exports.look() == []
    exports.write(EXPORT.replace(".json", "_1.json"))
    assert exports.look() == [("PutBlob", EXPORT.replace(".json", "_1.json"), 0)]


def test_a_blob_that_another_file_replaces_is_new(exports: Watched) -> None:
    exports.write(EXPORT)
    exports.look()
    exports.write("am-securityevent/other.tmp", b"other", at=AN_HOUR_AGO)
    exports.look()
    (exports.root / "am-securityevent/other.tmp").replace(exports.root / EXPORT)
    assert exports.look() == [("PutBlob", EXPORT, 0)]


def test_container_names_are_lower_case_whatever_the_disk_says(exports: Watched) -> None:
    exports.write(EXPORT.replace("securityevent", "SecurityEvent"))
    assert exports.look() == [("PutBlob", EXPORT, 0)]


def test_what_lies_outside_a_container_is_nothing(exports: Watched, tmp_path: Path) -> None:
    exports.write("stray.json")
    exports.write("Not_A_Container/x.json")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "x.json").write_bytes(b"")
    (exports.root / "am-linked").symlink_to(tmp_path / "elsewhere")
    assert exports.look() == []


def test_a_spark_file_raises_two_events(state: Watched) -> None:
    state.write("results/jobs/manifest.json", b"12345", at=AN_HOUR_AGO)
    assert state.look() == [
        ("CreateFile", "results/jobs/manifest.json", 0),
        ("FlushWithClose", "results/jobs/manifest.json", 5),
    ]
    assert state.look() == []


def test_a_file_is_closed_when_nobody_writes_to_it_any_more(state: Watched) -> None:
    name = "results/part.jsonl"
    state.write(name, b"1", at=IN_AN_HOUR)
    assert state.look() == [("CreateFile", name, 0)]
    state.write(name, b"12", at=IN_AN_HOUR + 1)
    assert state.look() == []
    state.write(name, b"123", at=IN_AN_HOUR + 2)
    assert state.look() == []
    assert state.look() == [("FlushWithClose", name, 3)]


def test_a_file_that_is_rewritten_in_place_is_created_again(state: Watched) -> None:
    state.write("results/a.json", b"1", at=AN_HOUR_AGO)
    state.look()
    state.write("results/a.json", b"22", at=AN_HOUR_AGO + 1)
    assert state.look() == [
        ("CreateFile", "results/a.json", 0),
        ("FlushWithClose", "results/a.json", 2),
    ]


def test_a_move_is_a_rename(state: Watched) -> None:
    file = state.write("results/_temporary/part.jsonl", at=AN_HOUR_AGO)
    state.look()
    file.rename(state.root / "results" / "part.jsonl")
    assert state.look() == [("RenameFile", "results/part.jsonl", 0)]
    assert state.events[-1].source == "results/_temporary/part.jsonl"


def test_another_file_on_a_freed_inode_is_no_rename(state: Watched) -> None:
    for number in range(5):
        name = f"results/{number}.json"
        state.write(name, b"123", at=AN_HOUR_AGO + number)
        assert [api for api, _, _ in state.look()] == ["CreateFile", "FlushWithClose"]
        (state.root / name).unlink()


def test_what_is_gone_raises_nothing_and_is_new_when_it_comes_back(state: Watched) -> None:
    file = state.write("results/a.json", b"1", at=AN_HOUR_AGO)
    state.look()
    file.unlink()
    assert state.look() == []
    state.write("results/a.json", b"1", at=AN_HOUR_AGO)
    assert [api for api, _, _ in state.look()] == ["CreateFile", "FlushWithClose"]


def test_a_restart_raises_what_appeared_meanwhile(tmp_path: Path) -> None:
    first = Watched(tmp_path, exporter=True)
    first.watcher.open()
    first.write(EXPORT)
    first.look()
    first.watcher.save()
    first.write(EXPORT.replace("m=05", "m=10"))
    again = Watched(tmp_path, exporter=True)
    again.watcher.open()
    assert again.look() == [("PutBlob", EXPORT.replace("m=05", "m=10"), 0)]
    assert again.look() == []


def test_a_restart_closes_what_was_open(tmp_path: Path) -> None:
    first = Watched(tmp_path)
    first.watcher.open()
    first.write("results/a.json", at=IN_AN_HOUR)
    assert [api for api, _, _ in first.look()] == ["CreateFile"]
    first.watcher.save()
    again = Watched(tmp_path)
    again.watcher.open()
    seen = again.look() + again.look()
    assert [api for api, _, _ in seen] == ["CreateFile", "FlushWithClose"]


def test_a_broken_record_of_the_last_look_is_a_first_look(tmp_path: Path) -> None:
    watched = Watched(tmp_path, exporter=True)
    watched.write(EXPORT)
    (tmp_path / "look.json").write_text('{"half":')
    watched.watcher.open()
    assert watched.look() == []


def test_what_is_absorbed_is_not_raised(state: Watched) -> None:
    state.write("results/a/1.json", at=AN_HOUR_AGO)
    state.write("results/a/2.json", at=AN_HOUR_AGO)
    state.watcher.absorb("results", "a/1.json")
    assert [name for _, name, _ in state.look()] == ["results/a/2.json"] * 2
    shutil.move(state.root / "results/a", state.root / "results/b")
    state.watcher.absorb("results", "a")
    state.watcher.absorb("results", "b")
    assert state.look() == []
    shutil.rmtree(state.root / "results/b")
    state.watcher.absorb("results", "b")
    state.write("results/b/1.json", at=AN_HOUR_AGO)
    assert len(state.look()) == 2


def test_rest_writes_are_raised_once_however_they_meet_a_look(tmp_path: Path) -> None:
    """Hundreds of writes while looks go on without a pause."""
    with (
        webhook.serving(tmp_path) as hook,
        LocalCloud(tmp_path / "home", look_seconds=0.0) as cloud,
    ):
        cloud.connect(hook.address, KEY)
        results = lake.blobs(cloud).get_container_client("results")
        for number in range(150):
            results.upload_blob(f"jobs/{number % 10}/{number}/manifest.json", b"{}")
            if number % 3 == 0:
                results.upload_blob(
                    f"jobs/{number % 10}/{number}/manifest.json", b"{ }", overwrite=True
                )
            if number % 7 == 0:
                results.delete_blob(f"jobs/{number % 10}/{number}/manifest.json")
        time.sleep(1.5)
        until(cloud.grid.idle)
        told = Counter(event["data"]["api"] for event in hook.events())
        assert told == {"PutBlob": 150 + 50}
        assert cloud.grid.counters()["result-created"].raised == 150 + 50 + 22


def test_the_cloud_raises_what_was_landed_while_it_was_down(tmp_path: Path) -> None:
    home = tmp_path / "home"
    file = home / "lake/exports" / EXPORT
    with LocalCloud(home):
        pass
    file.parent.mkdir(parents=True)
    file.write_bytes(b"{}\n")
    with LocalCloud(home, events=Options(drop=True)) as cloud:
        until(lambda: cloud.grid.counters()["export-blob-created"].matched == 1)
    with LocalCloud(home, events=Options(drop=True)) as cloud:
        time.sleep(1.2)
        assert cloud.grid.counters()["export-blob-created"].raised == 0
