"""`ports.ResultLake`: plans out, manifests and findings in."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.storage import (
    CHUNK_BYTES,
    AdlsResultLake,
    blob_client,
    cut_lines,
    lake_client,
)
from shared.contract import BROKEN_LINE_BYTES
from shared.errors import BadInput, Missing, TooLarge
from shared.ports import ResultLake
from tests.contract.conftest import CALL_SECONDS
from tests.memory.storage import MemoryResultLake
from workbench.cloud import LocalCloud
from workbench.emulators.faults import Fault, Faults


@dataclass(frozen=True)
class Bench:
    """A lake, a folder of it that is this test's own, and the job's way in."""

    lake: ResultLake
    root: str
    plant: Callable[[str, bytes], None]

    def at(self, name: str) -> str:
        return f"{self.root}/{name}"


def emulator(cloud: LocalCloud, credential: Any) -> Bench:
    files = lake_client(cloud.addresses["state"], credential, CALL_SECONDS)
    blobs = blob_client(cloud.addresses["state"], credential, CALL_SECONDS)
    lake = AdlsResultLake(
        files.get_file_system_client("results"),
        blobs.get_container_client("results"),
        CALL_SECONDS,
    )

    def plant(path: str, content: bytes) -> None:
        file = cloud.lake("state") / "results" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return Bench(lake, f"jobs/t{uuid.uuid4().hex[:12]}", plant)


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        lake = MemoryResultLake()
        return Bench(lake, "jobs/t", lake.plant)
    return emulator(request.getfixturevalue("cloud"), request.getfixturevalue("credential"))


def test_what_is_written_is_read(bench: Bench) -> None:
    assert bench.lake.read(bench.at("plan.json"), 100) is None
    bench.lake.write(bench.at("plan.json"), b'{"n": 1}')
    assert bench.lake.read(bench.at("plan.json"), 100) == b'{"n": 1}'
    bench.lake.write(bench.at("plan.json"), b"{}")
    assert bench.lake.read(bench.at("plan.json"), 100) == b"{}"


@pytest.mark.parametrize("size", [0, 1, 9, 10])
def test_a_limit_holds_what_it_says(bench: Bench, size: int) -> None:
    bench.plant(bench.at("manifest.json"), b"x" * size)
    assert bench.lake.read(bench.at("manifest.json"), 10) == b"x" * size


def test_more_than_the_limit_is_too_large(bench: Bench) -> None:
    bench.plant(bench.at("manifest.json"), b"x" * 11)
    with pytest.raises(TooLarge):
        bench.lake.read(bench.at("manifest.json"), 10)


LINES = {
    b"": [],
    b"a": [(b"a", 1)],
    b"a\n": [(b"a", 2)],
    b"a\nbc\n": [(b"a", 2), (b"bc", 5)],
    b"a\n\nb": [(b"a", 2), (b"", 3), (b"b", 4)],
    b"\n": [(b"", 1)],
    b"a\r\nb\rc\n": [(b"a\r", 3), (b"b\rc", 7)],
    b"12345\n1234\n": [(b"12345", 6), (b"1234", 11)],
    b"123456\n1\n": [(b"123456", 7), (b"1", 9)],
    b"123456789\n1": [(b"123456", 10), (b"1", 11)],
    b"123456789": [(b"123456", 9)],
    "é\u2028ü\n".encode(): [("é\u2028ü".encode()[:6], 8)],
}


@pytest.mark.parametrize("content", LINES, ids=repr)
def test_lines_with_the_offset_after_each(bench: Bench, content: bytes) -> None:
    bench.plant(bench.at("part-00000.jsonl"), content)
    assert list(bench.lake.lines(bench.at("part-00000.jsonl"), 0, 5)) == LINES[content]


def test_reading_goes_on_from_any_offset(bench: Bench) -> None:
    bench.plant(bench.at("part-00000.jsonl"), b"one\ntwo\nthree")
    whole = list(bench.lake.lines(bench.at("part-00000.jsonl"), 0, 100))
    for index, (_, offset) in enumerate(whole):
        rest = list(bench.lake.lines(bench.at("part-00000.jsonl"), offset, 100))
        assert rest == whole[index + 1 :]
    assert list(bench.lake.lines(bench.at("part-00000.jsonl"), 99, 100)) == []


def test_lines_of_a_missing_file(bench: Bench) -> None:
    with pytest.raises(Missing):
        list(bench.lake.lines(bench.at("part-00000.jsonl"), 0, 100))


@pytest.mark.parametrize("extra", [-1, 0, 1, CHUNK_BYTES])
def test_files_of_several_chunks(bench: Bench, extra: int) -> None:
    line = b"x" * 99_999 + b"\n"
    content = (line * 30)[: CHUNK_BYTES * 2 + extra]
    bench.plant(bench.at("part-00000.jsonl"), content)
    found = list(bench.lake.lines(bench.at("part-00000.jsonl"), 0, 1000))
    assert len(found) == len(content.splitlines())
    assert {len(cut) for cut, _ in found[:20]} == {1001}
    assert found[-1][1] == len(content)


def test_a_line_of_many_chunks_comes_cut(bench: Bench) -> None:
    bench.plant(bench.at("part-00000.jsonl"), b"x" * (CHUNK_BYTES * 3) + b"\nshort\n")
    found = list(bench.lake.lines(bench.at("part-00000.jsonl"), 0, 10))
    assert found == [(b"x" * 11, CHUNK_BYTES * 3 + 1), (b"short", CHUNK_BYTES * 3 + 7)]


def test_a_line_without_an_end_is_not_read_to_it(bench: Bench) -> None:
    broken = b"x" * (BROKEN_LINE_BYTES + CHUNK_BYTES)
    bench.plant(bench.at("part-00000.jsonl"), b"short\n" + broken)
    lines = bench.lake.lines(bench.at("part-00000.jsonl"), 0, 10)
    assert next(lines) == (b"short", 6)
    with pytest.raises(TooLarge):
        next(lines)


def test_paths_below_a_folder(bench: Bench) -> None:
    assert bench.lake.paths(bench.root) == []
    for name in ("runs/b/part-00001.jsonl", "runs/b/part-00000.jsonl", "runs/a/x", "runs2/y"):
        bench.plant(bench.at(name), b"1234")
    found = bench.lake.paths(bench.at("runs"))
    assert [stat.name for stat in found] == [
        bench.at(name)
        for name in ("runs/a/x", "runs/b/part-00000.jsonl", "runs/b/part-00001.jsonl")
    ]
    assert {stat.size for stat in found} == {4}
    assert len({stat.etag for stat in bench.lake.paths(bench.root)}) == 4


@pytest.mark.parametrize("name", ["../../../ledger/turn.json", "a/../b", "a\\b", "/x", "a//b"])
def test_a_path_stays_inside(bench: Bench, name: str) -> None:
    for call in (
        lambda: bench.lake.read(bench.at(name), 10),
        lambda: bench.lake.write(bench.at(name), b""),
        lambda: list(bench.lake.lines(bench.at(name), 0, 10)),
        lambda: bench.lake.paths(bench.at(name)),
    ):
        with pytest.raises(BadInput):
            call()


@given(st.lists(st.binary(max_size=8)), st.integers(1, 5))
def test_lines_do_not_depend_on_chunks(chunks: list[bytes], limit: int) -> None:
    content = b"".join(chunks)
    expected, offset = [], 0
    for line in content.split(b"\n")[:-1]:
        offset += len(line) + 1
        expected.append((line[: limit + 1], offset))
    last = content.split(b"\n")[-1]
    if last:
        expected.append((last[: limit + 1], len(content)))
    assert list(cut_lines(iter(chunks), 0, limit)) == expected


@pytest.mark.parametrize("kind", ["before", "after", "lost", "reset"])
def test_one_fault_of_the_wire_is_not_seen(
    cloud: LocalCloud, credential: Any, faults: Faults, kind: Any
) -> None:
    bench = emulator(cloud, credential)
    faults.add("state.PutBlob", Fault(kind))
    bench.lake.write(bench.at("plan.json"), b"one\ntwo\n")
    faults.add("state.GetBlob", Fault(kind))
    assert bench.lake.read(bench.at("plan.json"), 100) == b"one\ntwo\n"
    faults.add("state.GetBlob", Fault(kind))
    assert len(list(bench.lake.lines(bench.at("plan.json"), 0, 100))) == 2
    faults.add("state.ListPaths", Fault(kind))
    assert [stat.size for stat in bench.lake.paths(bench.root)] == [8]
