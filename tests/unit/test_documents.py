"""Dataclasses <-> documents: nothing is lost, and what is not understood is left alone."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.bookkeeping import Budget, Claim, Ignored, Sweeps
from shared.documents import SCHEMA, decode, encode, encode_over, newest
from shared.errors import BadInput, LaterVersion
from shared.model import Case, Counts, Cursor, Doubt, Job, Request, Run
from shared.timeline import DayRecord, Gap, Hour, HuntRecord, Slot
from tests.unit.house import GUID, START, WORKSPACE, a_run

LATER = START + timedelta(hours=1, microseconds=17)
RUN = a_run(
    status="held",
    step="read-back",
    job="job-20260310000500-0123abcd",
    cursor=Cursor(1, 900_000),
    counts=Counts(rows=5, sent=4, set_aside=1),
    doubt=Doubt(Cursor(0, 17), Counts(rows=5, sent=4), 1, "400"),
    next_at=LATER,
    refused_since=START,
    params={"threshold": 0.5, "nested": {"a": [1, None, "x"]}},
    coverage={"hours_missing": ["2026030901"]},
)
DOCUMENTS: tuple[Any, ...] = (
    a_run(),
    RUN,
    Job("job-1", WORKSPACE, ("a", "b"), "running", START, LATER, engine_id="0", looks=2),
    Case("k", GUID, WORKSPACE, generation=2, opened=START, quiet_until=LATER, learned_from="x"),
    HuntRecord(
        GUID,
        WORKSPACE,
        START,
        LATER,
        {"20260309": Slot(START, None, "r", 0), "20260310": Slot()},
        (Gap(START, LATER, "no data"),),
    ),
    DayRecord(WORKSPACE, "t", "20260309", {"2026030900": Hour(1, 2, "f", "c", "f", 1)}),
    Budget("20260309", 1, 2, 3, {GUID: 4}),
    Claim("me", LATER, START, None),
    Sweeps(START, None, "x"),
    Request("run", "r", START, "h", WORKSPACE, "20260309", 21, {"a": 1}, incidents=False),
    Ignored(("a", "b")),
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: type(one).__name__)
def test_a_document_comes_back_as_it_was_through_json(document: Any) -> None:
    body = json.loads(json.dumps(encode(document), allow_nan=False))
    assert body["schema"] == newest(type(document))
    assert decode(type(document), body, "x.json") == document


def test_defaults_are_left_out_so_that_new_fields_find_old_documents() -> None:
    assert set(encode(Sweeps())) == {"schema"}
    assert "cursor" not in encode(a_run()) and "attempt" not in encode(a_run())
    assert decode(Sweeps, {"schema": SCHEMA}, "x") == Sweeps()


@pytest.mark.parametrize(
    "changes",
    [
        {"schema": 2},
        {"schema": None},
        {"schema": "1"},
        {"status": "paused"},
        {"kind": "weekly"},
        {"revision": "0"},
        {"revision": True},
        {"revision": 1.5},
        {"incidents": 1},
        {"since": "yesterday"},
        {"since": "2026-03-10T00:05:00"},
        {"since": "0001-01-01T00:00:00+23:00"},
        {"since": 17},
        {"since": None},
        {"slot": {"start": "2026-03-10T00:05:00+00:00"}},
        {"slot": []},
        {"cursor": {"part": 0, "offset": "0"}},
        {"id": None},
    ],
)
def test_what_is_not_understood_is_refused_with_its_place(changes: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as error:
        decode(Run, {**encode(RUN), **changes}, "active/runs/live/x.json")
    assert error.value.where == "active/runs/live/x.json" and error.value.mend


def test_a_later_schema_is_told_from_a_broken_one() -> None:
    with pytest.raises(LaterVersion, match="schema 2, not 1"):
        decode(Run, {**encode(RUN), "schema": 2}, "x")
    for broken in (0, -1, True, "2", None):
        with pytest.raises(BadInput) as error:
            decode(Run, {**encode(RUN), "schema": broken}, "x")
        assert not isinstance(error.value, LaterVersion)


@pytest.mark.parametrize("document", DOCUMENTS[1:3], ids=["Run", "Job"])
def test_what_a_later_version_wrote_is_read_and_survives_our_write(document: Any) -> None:
    body = {**json.loads(json.dumps(encode(document))), "later": {"why": ["not", "known"]}}
    read = decode(type(document), body, "x")
    assert read == document
    after = replace(read, reason="something else", status="cancelled" if read == RUN else "lost")
    written = encode_over(body, read, after)
    assert decode(type(document), written, "x") == after
    assert written == {**encode(after), "later": body["later"]}


def test_a_later_field_inside_survives_too_and_goes_with_what_it_belongs_to() -> None:
    wide = {**encode(HuntRecord(GUID, WORKSPACE)), "schema": 1, "slots": {}, "gaps": []}
    wide["slots"] = {"20260308": {"revision": 0, "why": "x"}, "20260309": {"why": "y"}}
    gap = {"start": START.isoformat(), "end": LATER.isoformat(), "reason": "no data", "who": "z"}
    wide["gaps"] = [{**gap, "reason": "old"}, gap]
    read = decode(HuntRecord, wide, "x")
    after = replace(read, slots={"20260309": Slot(START)}, gaps=read.gaps[1:])
    written = encode_over(wide, read, after)
    assert written["slots"] == {"20260309": {"why": "y", "changed": START.isoformat()}}
    assert written["gaps"] == [gap]
    assert decode(HuntRecord, written, "x") == after


def test_a_known_field_that_is_set_back_is_not_taken_for_a_later_one() -> None:
    body = {**encode(RUN), "later": 1}
    written = encode_over(body, RUN, replace(RUN, job=None, step="", counts=Counts()))
    assert {"job", "step", "counts"} & set(written) == set() and written["later"] == 1


@pytest.mark.parametrize("missing", ["id", "slot", "status", "since", "revision"])
def test_what_a_document_must_have_is_missed(missing: str) -> None:
    body = {name: value for name, value in encode(RUN).items() if name != missing}
    with pytest.raises(BadInput, match=missing):
        decode(Run, body, "x.json")


def test_times_come_back_in_utc_whatever_their_offset() -> None:
    body = {**encode(a_run()), "since": "2026-03-10T01:05:00+01:00", "created": "2026-03-10T00:05Z"}
    run = decode(Run, body, "x")
    assert run.since == run.created == START
    assert run.since.tzinfo is UTC


@given(st.datetimes(timezones=st.just(UTC)), st.integers(0, 2**40), st.text())
def test_any_time_number_and_text_survives(moment: datetime, number: int, text: str) -> None:
    run = replace(RUN, since=moment, cursor=Cursor(0, number), reason=text)
    assert decode(Run, json.loads(json.dumps(encode(run))), "x") == run


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(encode(RUN))), json_values, max_size=3))
def test_a_broken_document_is_bad_input_and_nothing_else(changes: dict[str, Any]) -> None:
    try:
        run = decode(Run, {**encode(RUN), **changes}, "x")
    except BadInput:
        return
    assert isinstance(run, Run) and run.since.tzinfo is UTC


def test_a_whole_number_may_stand_for_a_fraction_but_not_the_other_way() -> None:
    @dataclass(frozen=True)
    class Measure:
        value: float

    assert decode(Measure, {"schema": SCHEMA, "value": 1}, "x").value == 1.0
    with pytest.raises(BadInput):
        decode(Measure, {"schema": SCHEMA, "value": "1"}, "x")
