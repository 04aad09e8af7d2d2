"""Manifests are input: what a job that digested hostile logs may make the app believe."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import contract as c
from shared.manifests import Manifest, parse_manifest, read_manifest
from tests.memory.storage import MemoryResultLake
from tests.unit.house import manifest

JOB, RUN = "job-20260310000500-0123abcd", "20260309-beaconing-contoso-9f589367-r0"
PARTS = {"part-00000.jsonl": 3, "part-00001.jsonl": 2}


def read(content: bytes) -> Manifest | None:
    """What is made of a manifest's content."""
    lake = MemoryResultLake()
    lake.plant(c.manifest_path(JOB, RUN), content)
    return read_manifest(lake, JOB, RUN)


def changed(**changes: Any) -> bytes:
    """A good manifest but for these fields."""
    return json.dumps({**json.loads(manifest(JOB, RUN, PARTS)), **changes}).encode()


def test_a_whole_manifest_is_read() -> None:
    found = read(manifest(JOB, RUN, PARTS, withheld=7, timings={"hunt": 2.5}))
    coverage = {"hours_planned": 24, "hours_read": 24, "hours_missing": []}
    assert found == Manifest(tuple(PARTS), 5, 7, "0f" * 16, {**coverage, "timings": {"hunt": 2.5}})


def test_no_manifest_is_none() -> None:
    assert read_manifest(MemoryResultLake(), JOB, RUN) is None


def test_a_failed_hunt_tells_its_reason_on_one_line() -> None:
    found = read(
        manifest(JOB, RUN, {}, status="failed", error="KeyError: 'x'\n\x1b[31m" + "y" * 9000)
    )
    assert found is not None and found.parts == () and found.error.isprintable()
    assert found.error.startswith("KeyError: 'x'") and len(found.error) == 2000
    silent = read(manifest(JOB, RUN, {}, status="failed"))
    assert silent is not None and silent.error == "the hunt failed without saying why"


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"job_id": "job-20260310000500-00000000"},
        {"run_id": "20260309-another-run-r0"},
        {"status": "running"},
        {"rows": 4},
        {"rows": "5"},
        {"rows": 5.0},
        {"rows": True},
        {"withheld": -1},
        {"withheld": None},
        {"parts": {}},
        {"parts": [7]},
        {"parts": [{"name": "part-00000.jsonl", "rows": 3}] * 2, "rows": 6},
        {"parts": [{"name": "part-00000.jsonl"}]},
        {"coverage": []},
        {"coverage": {"null_share": float("nan")}},
        {"timings": {"hunt": float("inf")}},
        {"coverage": {"hours_missing": ["x" * 40_000]}},
    ],
)
def test_a_manifest_that_no_job_writes_counts_as_not_there(changes: dict[str, Any]) -> None:
    assert read(changed(**changes)) is None


@pytest.mark.parametrize(
    "name",
    ["../../ledger/x", "part-00000.jsonl/..", "part-0.jsonl", "/part-00000.jsonl", "withheld/x",
     "part-00000.jsonl\n", "part-\uff10\uff10\uff10\uff100.jsonl", "%2e%2e/x", ""],
)  # fmt: skip
def test_parts_stay_inside_their_folder(name: str) -> None:
    assert read(manifest(JOB, RUN, {name: 1})) is None


@pytest.mark.parametrize("missing", sorted(json.loads(manifest(JOB, RUN, PARTS))))
def test_a_manifest_without_one_of_its_fields_counts_as_not_there(missing: str) -> None:
    body = json.loads(manifest(JOB, RUN, PARTS))
    del body[missing]
    assert read(json.dumps(body).encode()) is None


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"null", b"[]", b"\xff\xfe", b"[" * 200_000, manifest(JOB, RUN, PARTS)[:-20],
     manifest(JOB, RUN, PARTS) + b" " * c.MANIFEST_BYTES],
    ids=["empty", "half", "null", "list", "utf-16", "deep", "cut", "long"],
)  # fmt: skip
def test_half_written_or_hostile_bytes_count_as_not_there(content: bytes) -> None:
    assert read(content) is None


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(json.loads(manifest(JOB, RUN, PARTS)))), json_values))
def test_any_manifest_is_read_or_counts_as_not_there(changes: dict[str, Any]) -> None:
    found = read(changed(**changes))
    if found is not None:
        json.dumps(found.coverage, allow_nan=False)
        assert found.rows >= 0 and all(c.PART_NAME.fullmatch(part) for part in found.parts)


def test_parsing_tells_why() -> None:
    with pytest.raises(ValueError, match="add up"):
        parse_manifest(manifest(JOB, RUN, PARTS, rows=9), JOB, RUN)
