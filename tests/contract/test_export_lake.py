"""`ports.ExportLake`: the exported tables, read only."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from shared.adapters.storage import AdlsExportLake, lake_client
from shared.contract import export_day_folder, export_hour_folder, parse_export_blob
from shared.errors import BadInput
from shared.ports import ExportLake
from tests.contract.conftest import CALL_SECONDS
from tests.memory.storage import MemoryExportLake
from workbench.cloud import LocalCloud

WORKSPACE = (
    "/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc (prod)"
    "/providers/microsoft.operationalinsights/workspaces/contoso"
)


@dataclass(frozen=True)
class Bench:
    """A lake, a table name that no other test uses, and the exporter's way in."""

    lake: ExportLake
    table: str
    export: Callable[[str, str, bytes], None]


def emulator(cloud: LocalCloud, credential: Any) -> Bench:
    service = lake_client(cloud.addresses["exports"], credential, CALL_SECONDS)

    def export(table: str, path: str, content: bytes) -> None:
        file = cloud.lake("exports") / f"am-{table}" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)

    return Bench(AdlsExportLake(service, CALL_SECONDS), f"t{uuid.uuid4().hex[:12]}", export)


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        lake = MemoryExportLake()
        return Bench(lake, "commonsecuritylog", lake.plant)
    return emulator(request.getfixturevalue("cloud"), request.getfixturevalue("credential"))


def _blob(hour: str, minute: int, name: str = "PT05M.json") -> str:
    return f"{export_hour_folder(WORKSPACE, hour)}/m={minute:02d}/{name}"


def test_tables_are_what_has_a_container(bench: Bench) -> None:
    assert bench.table not in bench.lake.tables()
    bench.export(bench.table, _blob("2026010100", 0), b"{}\n")
    bench.export(f"{bench.table}x", _blob("2026010100", 0), b"{}\n")
    found = bench.lake.tables()
    assert {bench.table, f"{bench.table}x"} <= set(found)
    assert list(found) == sorted(found)
    assert all(not table.startswith("am-") for table in found)


def test_a_day_s_blobs_are_found_whatever_their_depth(bench: Bench) -> None:
    paths = [_blob("2026010100", 0), _blob("2026010100", 5, "PT5M_1.json"), _blob("2026010123", 55)]
    for size, path in enumerate(paths, start=1):
        bench.export(bench.table, path, b"x" * size)
    bench.export(bench.table, _blob("2026010200", 0), b"{}")
    found = bench.lake.blobs(bench.table, export_day_folder(WORKSPACE, "20260101"))
    assert [(stat.name, stat.size) for stat in found] == [
        (path, size) for size, path in enumerate(sorted(paths), start=1)
    ]
    assert all(parse_export_blob(f"am-{bench.table}", stat.name) for stat in found)
    assert len(bench.lake.blobs(bench.table, export_hour_folder(WORKSPACE, "2026010100"))) == 2


def test_a_blob_that_grows_is_another_version(bench: Bench) -> None:
    path = _blob("2026010100", 0)
    folder = export_day_folder(WORKSPACE, "20260101")
    bench.export(bench.table, path, b"{}\n")
    (before,) = bench.lake.blobs(bench.table, folder)
    (again,) = bench.lake.blobs(bench.table, folder)
    assert again == before
    bench.export(bench.table, path, b"{}\n{}\n")
    (after,) = bench.lake.blobs(bench.table, folder)
    assert (after.name, after.size) == (path, 6)
    assert after.etag != before.etag


def test_an_empty_blob_counts(bench: Bench) -> None:
    bench.export(bench.table, _blob("2026010100", 0), b"")
    (found,) = bench.lake.blobs(bench.table, export_day_folder(WORKSPACE, "20260101"))
    assert found.size == 0


def test_tables_have_no_letter_case(bench: Bench) -> None:
    bench.export(bench.table, _blob("2026010100", 0), b"{}")
    folder = export_day_folder(WORKSPACE, "20260101")
    assert len(bench.lake.blobs(bench.table.upper(), folder)) == 1


def test_where_nothing_is_the_list_is_empty(bench: Bench) -> None:
    folder = export_day_folder(WORKSPACE, "20260101")
    assert bench.lake.blobs(bench.table, folder) == []
    bench.export(bench.table, _blob("2026010100", 0), b"{}")
    assert bench.lake.blobs(bench.table, export_day_folder(WORKSPACE, "20250101")) == []
    assert bench.lake.blobs(bench.table, folder[:-1]) == []


def test_a_folder_stays_inside(bench: Bench) -> None:
    bench.export(bench.table, _blob("2026010100", 0), b"{}")
    with pytest.raises(BadInput):
        bench.lake.blobs(bench.table, "../am-other")
