"""Every string of the corpus through every sink that exists: a table of sink and assertion.

| sink | what holds |
| --- | --- |
| title, description and comment of an incident | plain text within its limit: nothing renders |
| row of the findings table | the very string comes back, in one row of valid JSON |
| report, as a page and on a terminal | no element, no attribute, no control character is added |
| log | one line of ASCII, and the very string in it |
| query | one string token |
| HTTP answer | ASCII, nothing breaks out of it |
| path in the ledger or the results | one that stays in its folder, or none at all |
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

import pytest

from shared import contract as c
from shared import delivery, http_api, incidents, log_lines, queries
from shared.adapters.eventgrid import storage_event
from shared.adapters.functions_http import encode
from shared.adapters.storage_requests import checked, folder_of
from shared.errors import BadInput
from shared.manifests import read_manifest
from shared.model import Json
from tests.hostile import STRINGS
from tests.memory.storage import MemoryResultLake
from tests.unit import house
from tests.unit.delivering import JOB
from tests.unit.house import GUID, a_finding, a_run, spec
from tests.unit.report_documents import Page, document, terminal
from tests.unit.test_report_hostile import replaced
from workbench.report import render_html

AT = datetime(2026, 3, 10, tzinfo=UTC)
A_REPORT = 10
"""Strings that share a report: drawing one takes a while."""


def hostile_finding(text: str) -> Json:
    """A finding whose every field that a log can write holds the text."""
    named = {"SrcIpAddr": text, text: text, "Nested": {text: [text]}}
    return a_finding(Title=text, Entities=named, SubScores={text: 0.5}, Evidence=named)


def _renders(text: str) -> list[str]:
    """What of a text a Markdown or HTML viewer, or a terminal, would make more of than text."""
    forms = (r"<", r">", r"`", r"!\[", r"\]\(", r"\]\[", r"\]:", r"://", r"(?i)https?:")
    found = [form for form in forms if re.search(form, text)]
    return found + [repr(letter) for letter in text if not letter.isprintable() and letter != "\n"]


def _title(text: str) -> None:
    title = incidents.new_incident(hostile_finding(text), spec())["title"]
    assert len(title) <= incidents.TITLE_LIMIT and "\n" not in title
    assert _renders(title) == []


def _description(text: str) -> None:
    told = incidents.new_incident(hostile_finding(text), spec())["description"]
    assert len(told) <= incidents.DESCRIPTION_LIMIT
    assert _renders(told) == []
    assert told.encode("utf-8")


def _comment(text: str) -> None:
    told = incidents.describe(hostile_finding(text), incidents.COMMENT_LIMIT)
    assert len(told) <= incidents.COMMENT_LIMIT
    assert _renders(told) == []
    # Whatever the text, it adds no line that could pass for one of ours.
    benign = incidents.describe(hostile_finding("x"), incidents.COMMENT_LIMIT)
    assert told.count("\n") <= benign.count("\n")


def _row(text: str) -> None:
    finding = delivery.read_finding(json.dumps(hostile_finding(text)).encode(), a_run())
    content = delivery.row_of(finding, a_run(), spec(), AT, "")
    row = delivery.Row("f", content, 1)
    (sent,) = json.loads(delivery.payload([row]), parse_constant=pytest.fail)
    as_sent = text.encode("utf-8", "replace").decode()
    assert sent["FindingTitle"] == as_sent or "FindingTitle" in sent["CutFields"]
    assert sent["FindingId"] == finding["FindingId"]
    assert b"\n" not in content and len(content) < delivery.REQUEST_BYTES


def _log(text: str) -> None:
    record = logging.LogRecord("tidehunt", logging.ERROR, "x.py", 1, "held: %s", (text,), None)
    told = log_lines.line(record)
    assert told.isascii() and told.isprintable()
    said = json.loads(told)["message"]
    expected = f"held: {log_lines.blotted(text)}"
    assert said == expected[: log_lines.MESSAGE_CHARACTERS]


def _query(text: str) -> None:
    before, after = queries.COUNT_FINDINGS.split("{run_id}")
    asked = queries.count_findings(text)
    literal = asked.removeprefix(before).removesuffix(after)
    assert asked == before + literal + after
    assert re.fullmatch(r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-f]{4}))*"', literal)
    assert json.loads(literal) == text


def _answer(text: str) -> None:
    told = encode({text: text})
    assert told.isascii() and told.isprintable()
    assert json.loads(told) == {text: text}


def _path(text: str) -> None:
    """A text is a path of one container as it stands, or no path."""
    for make in (checked, folder_of):
        try:
            path = make(text)
        except BadInput:
            continue
        parts = path.removesuffix("/").split("/")
        assert path == "" or all(part not in ("", ".", "..") for part in parts)
        assert "\\" not in path and "\x00" not in path and _encodes(path)


def _workspace(text: str) -> None:
    if not _encodes(text):
        return  # no setting and no path of a blob holds half a character
    key = c.workspace_key(text)
    assert re.fullmatch(r"[a-z0-9-]{9,49}", key) and checked(key) == key


def _event(text: str) -> None:
    subject = f"/blobServices/default/containers/results/blobs/{text}"
    data = {"api": "PutBlob", "url": "https://a.blob.core.windows.net/x", "contentLength": 1}
    kind = "Microsoft.Storage.BlobCreated"
    grid = {"id": "1", "topic": "t", "subject": subject, "eventType": kind, "data": data}
    event = storage_event({**grid, "eventTime": "2026-03-10T00:00:00Z", "dataVersion": ""})
    if event is not None:
        assert checked(event.path) == event.path
        assert c.parse_manifest_path(event.path) is None
        assert c.parse_export_blob(text, event.path) is None


def _part(text: str) -> None:
    lake = MemoryResultLake()
    run = a_run().id
    lake.plant(c.manifest_path(JOB, run), house.manifest(JOB, run, {text: 1}))
    assert read_manifest(lake, JOB, run) is None


def _run_id(text: str) -> None:
    home = house.build()
    calls = home.wire.calls
    assert http_api.show_run(home.deployment, text)[0] == 404
    assert http_api.change_run(home.deployment, text, "cancel", b"")[0] == 404
    assert home.wire.calls == calls


SINKS: Mapping[str, Callable[[str], None]] = {
    "title of an incident": _title,
    "description of an incident": _description,
    "comment on an incident": _comment,
    "row of the findings table": _row,
    "log": _log,
    "query": _query,
    "HTTP answer": _answer,
    "path": _path,
    "workspace in a path": _workspace,
    "event": _event,
    "part of a manifest": _part,
    "id of a run": _run_id,
}


@pytest.mark.parametrize("sink", SINKS)
def test_no_string_does_more_in_a_sink_than_be_text(sink: str) -> None:
    broken = {}
    for text in STRINGS:
        try:
            SINKS[sink](text)
        except AssertionError as error:
            broken[text[:80]] = str(error)[:300]
    assert broken == {}


def _reports() -> list[tuple[str, ...]]:
    return [STRINGS[start : start + A_REPORT] for start in range(0, len(STRINGS), A_REPORT)]


def _hostile_document(texts: tuple[str, ...]) -> Any:
    supply = cycle(texts)
    return replaced(document(), lambda: next(supply), keys=False)


@pytest.mark.parametrize("texts", _reports(), ids=range(len(_reports())))
def test_no_string_does_more_in_a_report_than_be_text(texts: tuple[str, ...]) -> None:
    doc = _hostile_document(texts)
    source = render_html(doc)
    assert Page(source).shapes() <= Page(render_html(document())).shapes()
    assert source.encode("utf-8")
    shown = terminal(doc, force_terminal=True, color_system=None, legacy_windows=False)
    assert {letter for letter in shown if not letter.isprintable()} <= {"\n"}


def test_no_two_strings_are_one_finding() -> None:
    named = {text for text in STRINGS if _encodes(text)}
    keys = {c.finding_key("w", GUID, {"SrcIpAddr": text}) for text in named}
    pairs = {c.finding_key("w", GUID, {"SrcIpAddr": t, "DstIpAddr": "x"}) for t in named}
    assert len(keys | pairs) == 2 * len(named)


def _encodes(text: str) -> bool:
    return text.encode("utf-8", "replace").decode() == text


def test_the_corpus_is_what_it_says() -> None:
    assert len(set(STRINGS)) == len(STRINGS) >= 480
    kinds = ("<script", "](", "\x1b[", "\u202e", "../", "%2e", "=cmd", "\ud800", "NaN", "${jndi")
    assert [kind for kind in kinds if not any(kind in text for text in STRINGS)] == []
    assert max(map(len, STRINGS)) > 8_000
