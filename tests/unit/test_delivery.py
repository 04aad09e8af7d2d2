"""Findings -> rows -> requests: what a hostile line may become, and what is measured."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.delivery import (
    FIELD_BYTES,
    REQUEST_BYTES,
    BadRow,
    Row,
    content_hash,
    halves,
    payload,
    read_finding,
    requests,
    row_of,
)
from tests.unit.house import OTHER, START, a_finding, a_run, day_window, spec

STREAM = Path(__file__).parents[2] / "infra" / "findings-stream.json"
RUN = a_run(code_hash="0f" * 16, coverage={"hours_read": 24, "hours_missing": [], "lines": 5})
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def line(**changes: Any) -> bytes:
    return json.dumps(a_finding(**changes)).encode()


def row(finding: dict[str, Any], quiet: str = "") -> dict[str, Any]:
    content = row_of(finding, RUN, spec(), START, quiet)
    decoded: dict[str, Any] = json.loads(content)
    return decoded


# --- reading ------------------------------------------------------------------------------------


def test_a_finding_of_the_run_is_read_as_it_was_written() -> None:
    assert read_finding(line(), RUN) == a_finding()


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"FindingKey": "x"}, "ids do not follow"),
        ({"FindingId": a_finding("10.0.0.6")["FindingId"]}, "ids do not follow"),
        ({"Identity": {"SrcIpAddr": "10.0.0.6", "DstIpAddr": "192.0.2.7"}}, "ids do not follow"),
        ({"Identity": None}, "no finding"),
        ({"Severity": "Critical"}, "severity"),
        ({"Severity": ["High"]}, "severity"),
        ({"Title": 7}, "title"),
        ({"Score": 1.01}, "score"),
        ({"Score": -0.01}, "score"),
        ({"Score": "0.9"}, "score"),
        ({"Score": True}, "score"),
        ({"Score": 10**400}, "score"),
        ({"Entities": ["10.0.0.5"]}, "objects"),
        ({"Evidence": "text"}, "objects"),
        ({"FirstSeen": "yesterday"}, "no finding"),
        ({"LastSeen": "2026-03-09T01:00:00"}, "ISO 8601 and UTC"),
        ({"LastSeen": "2026-03-09T01:00:00+02:00"}, "ISO 8601 and UTC"),
        ({"LastSeen": {"$gt": ""}}, "no finding"),
    ],
)
def test_a_finding_that_no_job_writes_is_refused(changes: dict[str, Any], why: str) -> None:
    with pytest.raises(BadRow, match=why):
        read_finding(line(**changes), RUN)


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b'{"Score": NaN}',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"Title": "' + b"x" * 1_000_000,
        line().replace(b"0.93", b"NaN"),
        line().replace(b"0.93", b"Infinity"),
        line().replace(b"0.93", b"1e999"),
        line().replace(b"10.0.0.5", b"\\ud800"),
    ],
)
def test_a_hostile_line_is_refused(hostile: bytes) -> None:
    with pytest.raises(BadRow):
        read_finding(hostile, RUN)


def test_a_finding_belongs_to_one_run_workspace_and_slot() -> None:
    for other in (
        replace(RUN, workspace=OTHER),
        replace(RUN, hunt_guid="00000000-0000-0000-0000-000000000000"),
        replace(RUN, slot=day_window("20260308")),
    ):
        with pytest.raises(BadRow, match="ids"):
            read_finding(line(), other)
    assert read_finding(line(), replace(RUN, id="20260309-another-run-r3", revision=3))


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(a_finding())), json_values, max_size=4))
def test_whatever_a_line_holds_it_becomes_a_row_or_a_bad_row(changes: dict[str, Any]) -> None:
    content = json.dumps({**a_finding(), **changes}).encode("utf-8", "replace")
    try:
        written = row_of(read_finding(content, RUN), RUN, spec(), START, "")
    except BadRow:
        return
    assert set(json.loads(written)) == {column["name"] for column in _columns()}


# --- rows ---------------------------------------------------------------------------------------


def _columns() -> list[dict[str, str]]:
    columns: list[dict[str, str]] = json.loads(STREAM.read_text("utf-8"))["columns"]
    return columns


def test_a_row_has_the_columns_that_the_stream_declares() -> None:
    assert set(row(a_finding())) == {column["name"] for column in _columns()}


def test_a_row_says_where_it_comes_from() -> None:
    told = row(a_finding(Evidence={"Count": 288}))
    assert told["TimeGenerated"] == "2026-03-10T00:05:00Z"
    assert (told["SlotStart"], told["SlotEnd"]) == ("2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z")
    assert (told["WindowStart"], told["RunId"]) == ("2026-02-17T00:00:00Z", RUN.id)
    assert (told["HuntVersion"], told["Tactics"]) == ("1.2.0", ["CommandAndControl"])
    assert told["Coverage"] == {"hours_planned": None, "hours_read": 24, "hours_missing": []}
    assert (told["Evidence"], told["CutFields"]) == ({"Count": 288}, "")
    assert (told["Suppressed"], told["SuppressedReason"]) == (False, "")
    quiet = row(a_finding(), "quiet until 2026-04-01")
    assert (quiet["Suppressed"], quiet["SuppressedReason"]) == (True, "quiet until 2026-04-01")


@pytest.mark.parametrize("letter", ["x", "é", "€", "\U0001f600", "\x01", '"', "\ud800"])
def test_long_fields_are_cut_in_bytes_and_named(letter: str) -> None:
    told = row(a_finding(Title=letter * 70_000, Evidence={"Raw": letter * 70_000}))
    assert told["CutFields"] == "FindingTitle, Evidence"
    for name in ("FindingTitle", "Evidence"):
        size = len(json.dumps(told[name], ensure_ascii=False).encode())
        assert FIELD_BYTES * 0.9 < size <= FIELD_BYTES


def test_a_field_at_the_limit_is_whole() -> None:
    fits = "x" * (FIELD_BYTES - 2)
    assert row(a_finding(Title=fits))["FindingTitle"] == fits
    assert row(a_finding(Title=fits + "x"))["CutFields"] == "FindingTitle"


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_a_number_that_json_does_not_have_is_a_bad_row(value: float) -> None:
    with pytest.raises(BadRow, match="JSON"):
        row_of(a_finding(Evidence={"Ratio": value}), RUN, spec(), START, "")
    infinite = line(Evidence={"Ratio": 17}).replace(b"17}", b"1e999}")
    with pytest.raises(BadRow, match="JSON"):
        row_of(read_finding(infinite, RUN), RUN, spec(), START, "")


def test_a_lone_surrogate_is_replaced_and_sent() -> None:
    content = row_of(a_finding(Title="a\ud800b"), RUN, spec(), START, "")
    assert json.loads(content.decode("utf-8"))["FindingTitle"] == "a?b"


# --- requests -----------------------------------------------------------------------------------


def rows(*sizes: int) -> list[Row]:
    return [Row(str(n), b"x" * size, n) for n, size in enumerate(sizes)]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.integers(0, 450_000), max_size=40))
def test_requests_keep_every_row_in_order_within_the_limit(sizes: list[int]) -> None:
    given_rows = rows(*sizes)
    batches = list(requests(iter(given_rows)))
    assert [one for batch in batches for one in batch] == given_rows
    assert all(batch and len(payload(batch)) <= REQUEST_BYTES for batch in batches)


def test_requests_are_filled_almost_to_the_byte() -> None:
    first, second = 400_000, REQUEST_BYTES - 400_000 - 4  # two brackets, a comma a row
    assert [len(batch) for batch in requests(rows(first, second))] == [2]
    assert len(payload(rows(first, second))) == REQUEST_BYTES - 1
    assert [len(batch) for batch in requests(rows(first, second + 1))] == [1, 1]


def test_a_row_above_the_limit_goes_alone() -> None:
    assert [len(batch) for batch in requests(rows(10, REQUEST_BYTES + 5, 10))] == [1, 1, 1]
    assert list(requests([])) == []


def test_forty_thousand_accents_are_measured_as_sent() -> None:
    content = row_of(a_finding(Title="é" * 20_000), RUN, spec(), START, "")
    assert 40_000 < len(content) < 42_000
    assert max(len(payload(batch)) for batch in requests([Row("", content, 0)] * 50)) > 850_000


@given(st.integers(2, 60), st.integers(0, 59))
def test_halving_ends_at_the_row_that_is_to_blame(count: int, bad: int) -> None:
    bad %= count
    some = rows(*[1] * count)
    while len(some) > 1:
        left, right = halves(some)
        assert left + right == some and left and right
        some = left if any(one.end == bad for one in left) else right
    assert some[0].end == bad


def test_content_hashes_tell_measures_apart() -> None:
    assert content_hash(line(Evidence={"Count": 1})) != content_hash(line(Evidence={"Count": 2}))
    assert content_hash(line()) == content_hash(line())
