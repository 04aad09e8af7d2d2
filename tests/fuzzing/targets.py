"""The parsers of everything that others write, and what must hold whatever they are given."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import strategies as st

from shared import contract as c
from shared import delivery, http_api, incidents
from shared.adapters import functions_http
from shared.adapters.eventgrid import storage_event
from shared.adapters.storage_requests import checked, json_object
from shared.callers import OPERATOR
from shared.documents import decode, encode
from shared.errors import BadInput, TidehuntError
from shared.hunt_specs import frozen, parse
from shared.manifests import read_manifest, read_report
from shared.model import Param, Run
from tests.contract.calls import CALL_SECONDS, CALLS, INCIDENT
from tests.contract.scripted_server import Answer, Script
from tests.fuzzing import inputs
from tests.memory.storage import MemoryResultLake
from tests.unit import house
from tests.unit.delivering import JOB
from tests.unit.house import START, WORKSPACE, a_finding, a_run, export_path, spec
from tests.unit.test_documents import DOCUMENTS
from tests.unit.test_hunt_specs import SPEC
from tests.unit.test_storage_events import CLOUD, GRID

RUN = a_run().id
HOME = house.build([spec(params=(Param("threshold", 0.7, 0.0, 1.0),))])
PARTS = {"part-00000.jsonl": 3, "part-00001.jsonl": 2}


@dataclass(frozen=True)
class Target:
    """`given` is what it is fed; `holds` raises when it does not. `server`: a service answers."""

    given: st.SearchStrategy[Any]
    holds: Callable[[Any], None]
    served: Callable[[Script, Any], None] | None = None


def _path_stays_inside(path: str) -> None:
    subject = f"/blobServices/default/containers/results/blobs/{path}"
    for payload in ({**CLOUD, "subject": subject}, {**GRID, "subject": subject}):
        event = storage_event(payload)
        assert event is None or checked(event.path) == event.path
    blob = c.parse_export_blob(f"am-{path}"[:60], path) or c.parse_export_blob("am-syslog", path)
    assert blob is None or (c.is_hour_key(blob.hour) and c.TABLE.fullmatch(blob.table))


def _event_is_safe_or_none(payload: Any) -> None:
    event = storage_event(payload)
    if event is not None:
        assert event.kind.startswith("Microsoft.Storage.") and event.content_length >= 0
        assert checked(event.path) == event.path


def _manifest_is_whole_or_not_there(content: bytes) -> None:
    lake = MemoryResultLake()
    lake.plant(c.manifest_path(JOB, RUN), content)
    found = read_manifest(lake, JOB, RUN)
    if found is not None:
        assert all(c.PART_NAME.fullmatch(part) for part in found.parts)
        assert len(json.dumps(found.coverage, allow_nan=False)) <= 32_000


def _document_is_whole_or_quarantined(given: tuple[Any, bytes]) -> None:
    document, content = given
    kind = type(document)
    with suppress(BadInput):
        assert isinstance(decode(kind, json_object(content, "x.json"), "x.json"), kind)


def _spec_is_whole_or_names_its_line(text: str) -> None:
    try:
        json.dumps(frozen(parse(text, "f.yaml", "beaconing")), allow_nan=False)
    except BadInput as error:
        assert error.where.startswith("f.yaml:") and error.what


def _body_is_taken_or_refused(body: bytes) -> None:
    for work in (
        lambda home: http_api.start_run(home, body),
        lambda home: http_api.change_run(home, RUN, "cancel", body),
    ):
        code, answer = http_api.answer(lambda: HOME.deployment, {}, OPERATOR, work)
        assert code in (202, 400, 404), answer
        assert functions_http.encode(answer).isascii()


def _id_is_found_or_not(text: str) -> None:
    assert http_api.show_run(HOME.deployment, text)[0] in (200, 404)
    assert http_api.change_run(HOME.deployment, text, text, b"")[0] in (202, 404)


def _finding_is_a_row_or_bad(line: bytes) -> None:
    try:
        finding = delivery.read_finding(line, a_run())
        row = delivery.row_of(finding, a_run(), spec(), START, "")
    except delivery.BadRow:
        return
    assert json.loads(row, parse_constant=pytest.fail)["FindingId"] == finding["FindingId"]
    told = incidents.new_incident(finding, spec())
    assert json.dumps(told, allow_nan=False).encode()


def _report_is_used_or_not(content: bytes) -> None:
    with suppress(BadInput):
        told = read_report(content, JOB, WORKSPACE, "abfss://tables@x")
        for (table, day), one in told.items():
            assert c.TABLE.fullmatch(table) and c.is_hour_key(f"{day}00")
            hours = {*one.copies, *(one.merged.hours if one.merged else ())}
            assert all(c.is_hour_key(hour) and hour[:8] == day for hour in hours)
            assert all(0 <= hour.blobs < 2**63 for hour in one.copies.values())


def _only_our_errors(server: Script, given: tuple[str, int, bytes]) -> None:
    service, status, body = given
    server.play(Answer(status, body, {"Content-Type": "application/json"}))
    for call in CALLS:
        if call.name.startswith(service):
            with suppress(TidehuntError):
                call.run(server.url, CALL_SECONDS)


def _unserved(_given: object) -> None:
    raise AssertionError("this target needs a server")


LIVY = {
    "id": 0,
    "name": "job-20260101000000-0123abcd",
    "state": "dead",
    "result": "Failed",
    "tags": {"tidehunt_job": "job-20260101000000-0123abcd"},
    "errorInfo": [{"message": "m", "errorCode": "c", "source": "User"}],
    "livyInfo": {"currentState": "dead", "deadAt": "2026-01-01T00:00:00Z"},
    "schedulerInfo": {"submittedAt": "2026-01-01T00:00:00Z", "currentState": "Ended"},
    "log": ["a"],
}
PAGES = {"from": 0, "total": 1, "sessions": [LIVY]}
ARM = {"name": INCIDENT, "etag": '"1"', "properties": {"title": "t", "status": "New", "labels": []}}
ARM_PAGE = {"value": [ARM], "nextLink": None}
REFUSAL = {"error": {"code": "BadRequest", "message": "m", "details": [{"code": "c"}]}}
STATUSES = st.sampled_from([200, 200, 200, 201, 202, 400, 404, 409, 429, 500])
REPORT = {
    "copies": [
        {
            "table": "syslog",
            "hour": "2026030900",
            "path": "abfss://tables@x/"
            + c.copy_folder(c.workspace_key(WORKSPACE), "syslog", JOB, "2026030900"),
            "fingerprint": "f",
            "blobs": 1,
        }
    ]
}


def _answers(service: str, *good: Any) -> st.SearchStrategy[tuple[str, int, bytes]]:
    bodies = st.one_of(*map(inputs.documents, (*good, REFUSAL)))
    return st.tuples(st.just(service), STATUSES, bodies)


TARGETS: Mapping[str, Target] = {
    "blob path": Target(
        inputs.TEXT
        | inputs.spliced(export_path("2026030900").encode()).map(
            lambda b: b.decode("utf-8", "replace")
        ),
        _path_stays_inside,
    ),
    "event": Target(inputs.changed(CLOUD) | inputs.changed(GRID), _event_is_safe_or_none),
    "manifest": Target(
        inputs.documents(json.loads(house.manifest(JOB, RUN, PARTS))),
        _manifest_is_whole_or_not_there,
    ),
    "ledger document": Target(
        st.sampled_from(DOCUMENTS).flatmap(
            lambda one: st.tuples(st.just(one), inputs.documents(encode_plainly(one)))
        ),
        _document_is_whole_or_quarantined,
    ),
    "hunt YAML": Target(
        inputs.spliced(SPEC.encode()).map(lambda b: b.decode("utf-8", "surrogateescape"))
        | inputs.TEXT,
        _spec_is_whole_or_names_its_line,
    ),
    "HTTP body": Target(
        inputs.documents({"hunt": "beaconing", "end_date": "2026-02-28", "lookback_days": 2})
        | inputs.documents(
            {"hunt": "beaconing", "end_date": "2026-02-28", "params": {"threshold": 1}}
        ),
        _body_is_taken_or_refused,
    ),
    "HTTP path": Target(inputs.TEXT, _id_is_found_or_not),
    "finding": Target(inputs.documents(a_finding()), _finding_is_a_row_or_bad),
    "report of a job": Target(inputs.documents(REPORT), _report_is_used_or_not),
    "Livy answer": Target(_answers("engine.", LIVY, PAGES), _unserved, _only_our_errors),
    "ARM answer": Target(_answers("incidents.", ARM, ARM_PAGE), _unserved, _only_our_errors),
}


def encode_plainly(document: Any) -> Any:
    """A document as JSON has it."""
    return json.loads(json.dumps(encode(document)))


assert Run in {type(document) for document in DOCUMENTS}
