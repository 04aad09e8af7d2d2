"""Files that are made to fill memory or time: read within bounds; the run waits for a person."""

from __future__ import annotations

import json
import os
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from shared import contract as c
from shared.adapters.storage import AdlsResultLake, blob_client, lake_client
from shared.manifests import read_manifest
from tests.contract.conftest import CALL_SECONDS
from tests.unit.delivering import JOB, delivering, ids, sent, step
from tests.unit.house import House, a_finding, a_run, manifest
from workbench.cloud import LocalCloud

GIGABYTE = 1_000_000_000
MEMORY = 300_000_000
RUN = a_run().id


def _lake(cloud: LocalCloud, credential: Any) -> AdlsResultLake:
    files = lake_client(cloud.addresses["state"], credential, CALL_SECONDS)
    blobs = blob_client(cloud.addresses["state"], credential, CALL_SECONDS)
    return AdlsResultLake(
        files.get_file_system_client("results"),
        blobs.get_container_client("results"),
        CALL_SECONDS,
    )


def _folder(cloud: LocalCloud) -> Path:
    return cloud.lake("state") / "results" / c.run_folder(JOB, RUN)


def _landed(cloud: LocalCloud, credential: Any, found: list[Any]) -> tuple[House, Path]:
    """A run whose results lie in the emulated lake: these, and a row more that is not there yet."""
    home = delivering([*found, a_finding("10.0.9.9")])
    folder = _folder(cloud)
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / "part-00000.jsonl"
    part.write_text("".join(json.dumps(one) + "\n" for one in found))
    (folder / "manifest.json").write_bytes(manifest(JOB, RUN, {part.name: len(found) + 1}))
    home.deployment = replace(home.deployment, results=_lake(cloud, credential))
    return home, part


def _measured(work: Callable[[], Any]) -> tuple[Any, int]:
    """What came of it, and the most memory that it took, the emulator's own included."""
    tracemalloc.start()
    try:
        return work(), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_a_line_of_a_gigabyte_holds_its_run_and_what_stands_before_it_is_sent(
    cloud: LocalCloud, credential: Any
) -> None:
    found = [a_finding(f"10.0.0.{n}") for n in range(1, 4)]
    home, part = _landed(cloud, credential, found)
    os.truncate(part, GIGABYTE)
    began = time.process_time()
    run, memory = _measured(lambda: step(home))
    assert time.process_time() - began < 20
    assert memory < MEMORY
    assert (run.status, sent(home)) == ("held", ids(found)), run.reason
    assert "has no end" in run.reason and "part-00000.jsonl" in run.reason
    # Tried again by itself, it is held again, and nothing is sent twice.
    home.clock.forward(4000)
    assert step(home).status == "held"
    assert sent(home) == ids(found)


def test_a_line_of_sixty_megabytes_is_set_aside(cloud: LocalCloud, credential: Any) -> None:
    found = [a_finding("10.0.0.1"), a_finding("10.0.0.2")]
    home, part = _landed(cloud, credential, found)
    first, second = part.read_bytes().splitlines(keepends=True)
    bomb = b'{"Title": "' + b"A" * 60_000_000 + b'"}\n'
    part.write_bytes(first + bomb + second)
    run, memory = _measured(lambda: step(home))
    assert memory < MEMORY
    assert (run.counts.sent, run.counts.set_aside) == (2, 1)
    assert sent(home) == ids(found)


def _zipped() -> bytes:
    """A gigabyte of zeros in a megabyte."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("manifest.json", b"0" * 50_000_000)
    return packed.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        manifest(JOB, RUN, {"part-00000.jsonl": 1}) + b" " * c.MANIFEST_BYTES,
        b"[" * c.MANIFEST_BYTES,
        b'{"a":' * 150_000,
        b"9" * c.MANIFEST_BYTES,
        b'{"schema": 1e' + b"9" * 900_000 + b"}",
        b'{"rows": ' + b"9" * 900_000 + b"}",
        b'"' + b"\\u0000" * 160_000 + b'"',
        json.dumps({f"k{n}": n for n in range(60_000)}).encode(),
        _zipped(),
        b"",
    ],
    ids=range(10),
)
def test_a_manifest_that_is_a_bomb_counts_as_not_there(
    cloud: LocalCloud, credential: Any, content: bytes
) -> None:
    folder = _folder(cloud)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "manifest.json").write_bytes(content)
    lake = _lake(cloud, credential)
    began = time.process_time()
    found, memory = _measured(lambda: read_manifest(lake, JOB, RUN))
    assert found is None
    assert memory < 50_000_000
    assert time.process_time() - began < 5


def test_a_manifest_of_a_gigabyte_is_read_no_further_than_its_limit(
    cloud: LocalCloud, credential: Any
) -> None:
    folder = _folder(cloud)
    folder.mkdir(parents=True, exist_ok=True)
    os.truncate(_touched(folder / "manifest.json"), GIGABYTE)
    lake = _lake(cloud, credential)
    found, memory = _measured(lambda: read_manifest(lake, JOB, RUN))
    assert found is None
    assert memory < 50_000_000


def test_a_manifest_that_names_the_ledger_reads_nothing_of_it(
    cloud: LocalCloud, credential: Any
) -> None:
    secret = cloud.lake("state") / "ledger" / "bombs" / "x.jsonl"
    secret.parent.mkdir(parents=True, exist_ok=True)
    secret.write_text(json.dumps(a_finding("10.9.9.9")) + "\n")
    up = "../" * c.run_folder(JOB, RUN).count("/") + "../../ledger/bombs/x.jsonl"
    for name in (up, "../../ledger/x", "part-00000.jsonl/../../x", "part-00000.jsonl\x00"):
        home, _ = _landed(cloud, credential, [])
        (_folder(cloud) / "manifest.json").write_bytes(manifest(JOB, RUN, {name: 1}))
        run = step(home)
        assert (run.status, sent(home)) == ("delivering", [])
        assert "manifest cannot be read" in run.reason


def _touched(file: Path) -> Path:
    file.touch()
    return file
