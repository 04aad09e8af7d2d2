"""`ports.Ledger`, what is no document: bytes with conditional writes, for the archive."""

from __future__ import annotations

import gzip
import random
from typing import Any

import pytest

from shared.adapters.storage import ARCHIVE_BYTES
from shared.errors import Conflict, TooLarge
from tests.contract.test_ledger import Bench, bench, emulator
from workbench.cloud import LocalCloud
from workbench.emulators.faults import Fault, Faults

__all__ = ["bench"]
MEMBERS = gzip.compress(b'{"id": "a"}\n', mtime=0) + gzip.compress(b'{"id": "b"}\n', mtime=0)


def test_bytes_come_back_as_they_were_written(bench: Bench) -> None:
    path = bench.at("m=03.jsonl.gz")
    assert bench.ledger.read_bytes(path) is None
    etag = bench.ledger.write_bytes(path, MEMBERS, None)
    found = bench.ledger.read_bytes(path)
    assert found is not None and (found.content, found.etag) == (MEMBERS, etag)
    assert bench.names() == ["m=03.jsonl.gz"]


def test_a_big_file_is_one_request_each_way(bench: Bench) -> None:
    content = random.Random(7).randbytes(6_000_000)  # noqa: S311 no secret
    bench.ledger.write_bytes(bench.at("big"), content, None)
    found = bench.ledger.read_bytes(bench.at("big"))
    assert found is not None and found.content == content


def test_what_one_request_cannot_read_is_too_large_and_not_cut(
    cloud: LocalCloud, credential: Any
) -> None:
    bench = emulator(cloud, credential)
    bench.ledger.write_bytes(bench.at("whole"), bytes(ARCHIVE_BYTES - 1), None)
    bench.ledger.write_bytes(bench.at("over"), bytes(ARCHIVE_BYTES + 1), None)
    found = bench.ledger.read_bytes(bench.at("whole"))
    assert found is not None and len(found.content) == ARCHIVE_BYTES - 1
    with pytest.raises(TooLarge):
        bench.ledger.read_bytes(bench.at("over"))


def test_only_the_version_that_was_read_is_written_over(bench: Bench) -> None:
    path = bench.at("a")
    first = bench.ledger.write_bytes(path, b"1", None)
    with pytest.raises(Conflict):
        bench.ledger.write_bytes(path, b"2", None)
    second = bench.ledger.write_bytes(path, b"12", first)
    with pytest.raises(Conflict):
        bench.ledger.write_bytes(path, b"13", first)
    bench.ledger.delete(path)
    with pytest.raises(Conflict):
        bench.ledger.write_bytes(path, b"14", second)


@pytest.mark.parametrize("fault", [Fault("before", 503), Fault("after", 503), Fault("lost")],
                         ids=lambda fault: f"{fault.kind}-{fault.status}")  # fmt: skip
def test_a_write_of_bytes_survives_one_fault_of_the_wire(
    cloud: LocalCloud, credential: Any, faults: Faults, fault: Fault
) -> None:
    """Effect kept, answer lost: content that is ours was written by us."""
    bench = emulator(cloud, credential)
    faults.add("state.PutBlob", fault)
    first = bench.ledger.write_bytes(bench.at("a"), b"1", None)
    faults.add("state.PutBlob", fault)
    second = bench.ledger.write_bytes(bench.at("a"), b"12", first)
    found = bench.ledger.read_bytes(bench.at("a"))
    assert found is not None and (found.content, found.etag) == (b"12", second)


def test_bytes_of_somebody_else_are_never_taken_for_ours(
    cloud: LocalCloud, credential: Any, faults: Faults
) -> None:
    bench = emulator(cloud, credential)
    first = bench.ledger.write_bytes(bench.at("a"), b"1", None)
    bench.ledger.write_bytes(bench.at("a"), b"12", first)
    faults.add("state.PutBlob", Fault("lost"))
    with pytest.raises(Conflict):
        bench.ledger.write_bytes(bench.at("a"), b"13", first)
