"""The logs ingestion emulator, driven by Microsoft's client."""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from tests.system.emulated import token
from tests.system.emulated_logs import NOW, Workspace, refusal, row
from workbench.emulators.logs_rows import typed


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    with ExitStack() as ends:
        yield Workspace(tmp_path, ends)


def test_undeclared_columns_are_dropped(workspace: Workspace) -> None:
    workspace.upload([row(Secret="x", findingid="y")])
    (found,) = workspace.findings()
    assert "Secret" not in found
    assert found["FindingId"] == "f-1"


@pytest.mark.parametrize(
    ("kind", "value", "kept"),
    [
        ("string", 7, "7"),
        ("string", True, "true"),
        ("string", {"a": "é"}, '{"a": "é"}'),
        ("int", "12", 12),
        ("int", 12.0, 12),
        ("int", 12.5, None),
        ("int", True, None),
        ("int", "many", None),
        ("int", 2**31 - 1, 2**31 - 1),
        ("int", 2**31, None),
        ("long", -(2**63), -(2**63)),
        ("long", 2**63, None),
        ("real", "0.5", 0.5),
        ("real", "NaN", None),
        ("real", [1], None),
        ("boolean", "True", True),
        ("boolean", "yes", None),
        ("datetime", "2026-03-05T14:00:00.1234567+02:00", "2026-03-05T12:00:00.123456Z"),
        ("datetime", "2026-03-05 12:00", "2026-03-05T12:00:00.000000Z"),
        ("datetime", "yesterday", None),
        ("datetime", 1772712000, None),
        ("dynamic", [1, "a"], '[1, "a"]'),
        ("dynamic", "text", "text"),
        ("dynamic", None, None),
    ],
)
def test_values_become_their_declared_type_or_null(kind: str, value: Any, kept: Any) -> None:
    assert typed(value, kind) == kept


def test_fields_are_cut_at_64_kb_of_utf8(workspace: Workspace) -> None:
    workspace.upload([row(FindingTitle="é" * 32_768), row("f-2", FindingTitle="a" + "é" * 32_768)])
    whole, cut = (found["FindingTitle"] for found in workspace.findings())
    assert whole == "é" * 32_768  # 65,536 bytes
    assert cut == "a" + "é" * 32_767  # one more would be 65,537


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        (NOW - timedelta(days=2), NOW - timedelta(days=2)),
        (NOW - timedelta(days=2, seconds=1), NOW),
        (NOW + timedelta(days=1), NOW + timedelta(days=1)),
        (NOW + timedelta(days=1, seconds=1), NOW),
    ],
)
def test_times_too_old_or_ahead_are_replaced(
    workspace: Workspace, sent: datetime, kept: datetime
) -> None:
    workspace.upload([row(TimeGenerated=sent.isoformat())])
    assert workspace.findings()[0]["TimeGenerated"] == kept


@pytest.mark.parametrize("value", [None, "soon", 5])
def test_a_missing_time_is_the_time_of_arrival(workspace: Workspace, value: Any) -> None:
    workspace.upload([row(TimeGenerated=value)])
    assert workspace.findings()[0]["TimeGenerated"] == NOW


def payload(size: int) -> bytes:
    """A payload of exactly so many bytes: a field that is declared nowhere fills it."""
    empty = json.dumps([row(Filler="")]).encode()
    return empty.replace(b'"Filler": ""', b'"Filler": "' + b"x" * (size - len(empty)) + b'"')


def test_a_call_has_at_most_1_000_000_bytes(workspace: Workspace) -> None:
    fits, over = payload(1_000_000), payload(1_000_001)
    assert (len(fits), len(over)) == (1_000_000, 1_000_001)
    assert workspace.post(fits).status_code == 204
    assert workspace.post(over).status_code == 413
    assert workspace.post(over).json()["error"]["code"] == "ContentLengthLimitExceeded"


def test_the_limit_holds_for_what_is_unpacked(workspace: Workspace) -> None:
    workspace.upload(BytesIO(gzip.compress(payload(1_000_000))))
    over = BytesIO(gzip.compress(payload(1_000_001)))
    assert refusal(lambda: workspace.upload(over))[0] == 413
    assert workspace.count() == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[1]",
        b"[{}",
        b'[{"Score": NaN}]',
        b'[{"Score": Infinity}]',
        b'[{"Hunt": "\\ud800"}]',
        b'[{"Hunt": "\xff"}]',
        b"[" * 100_000,
    ],
)
def test_what_is_no_array_of_objects_is_refused_whole(workspace: Workspace, body: bytes) -> None:
    answer = workspace.post(body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "InvalidPayload")


def test_encodings(workspace: Workspace) -> None:
    packed = gzip.compress(payload(500))
    assert workspace.post(packed, **{"Content-Encoding": "gzip"}).status_code == 204
    assert workspace.post(packed[:-9], **{"Content-Encoding": "gzip"}).status_code == 400
    assert workspace.post(b"[]", **{"Content-Encoding": "gzip"}).status_code == 400
    assert workspace.post(packed).status_code == 400
    assert workspace.post(b"[]", **{"Content-Encoding": "br"}).status_code == 400
    assert workspace.post(b"[]").status_code == 204


def test_a_payload_with_one_wrong_row_leaves_nothing(workspace: Workspace) -> None:
    assert workspace.post(json.dumps([row(), 5]).encode()).status_code == 400
    assert workspace.count() == 0


def test_unknown_rules_streams_and_versions(workspace: Workspace) -> None:
    status, error = refusal(lambda: workspace.upload([row()], rule="dcr-9"))
    assert (status, error["code"]) == (404, "NotFound")
    status, error = refusal(lambda: workspace.upload([row()], to="Custom-Nothing"))
    assert (status, error["code"]) == (400, "InvalidStream")
    assert workspace.post(b"[]", version="2020-01-01").status_code == 400


def test_callers_without_the_right_token_are_refused(workspace: Workspace) -> None:
    assert workspace.post(b"[]", **token("https://api.loganalytics.io")).status_code == 401
    assert workspace.post(b"[]", Authorization="").status_code == 401
