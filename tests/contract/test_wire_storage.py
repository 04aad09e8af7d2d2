"""What the storage adapters send, and what they make of conflicts, lost answers and silence."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from shared.adapters.storage import (
    AdlsExportLake,
    AdlsResultLake,
    BlobLedger,
    blob_client,
    lake_client,
)
from shared.errors import (
    BadInput,
    Conflict,
    Forbidden,
    Missing,
    OutcomeUnknown,
    Throttled,
    TidehuntError,
    TooLarge,
    Transient,
)
from tests.contract.calls import FixedToken
from tests.contract.scripted_server import DROP, Answer, Arrived, Script, Step

CALL_SECONDS = 4.0
SHORT_SECONDS = 1.0
WRITTEN = Answer(201, headers={"ETag": '"0x2"'})
BUSY = Answer(503, headers={"x-ms-error-code": "ServerBusy"})
EXISTS = Answer(409, headers={"x-ms-error-code": "BlobAlreadyExists"})
STALE = Answer(412, headers={"x-ms-error-code": "ConditionNotMet"})


def _blob(content: bytes, etag: str = '"0x1"', **headers: str) -> Answer:
    last = f"bytes 0-{max(len(content) - 1, 0)}/{len(content)}"
    return Answer(206, content, {"ETag": etag, "Content-Range": last, **headers})


def _ledger(url: str, seconds: float = CALL_SECONDS) -> BlobLedger:
    container = blob_client(url, FixedToken(), seconds).get_container_client("ledger")
    return BlobLedger(container, seconds)


def _exports(url: str, seconds: float = CALL_SECONDS) -> AdlsExportLake:
    return AdlsExportLake(lake_client(url, FixedToken(), seconds), seconds)


def _results(url: str, seconds: float = CALL_SECONDS) -> AdlsResultLake:
    files = lake_client(url, FixedToken(), seconds).get_file_system_client("results")
    container = blob_client(url, FixedToken(), seconds).get_container_client("results")
    return AdlsResultLake(files, container, seconds)


Run = Callable[[str, float], object]
READS: dict[str, Run] = {
    "ledger.read": lambda url, seconds: _ledger(url, seconds).read("a.json"),
    "ledger.list": lambda url, seconds: list(_ledger(url, seconds).list("active/")),
    "exports.tables": lambda url, seconds: _exports(url, seconds).tables(),
    "exports.blobs": lambda url, seconds: _exports(url, seconds).blobs("syslog", "y=2026"),
    "results.read": lambda url, seconds: _results(url, seconds).read("a.json", 100),
    "results.lines": lambda url, seconds: list(_results(url, seconds).lines("a.jsonl", 0, 100)),
    "results.paths": lambda url, seconds: _results(url, seconds).paths("jobs"),
}
WRITES: dict[str, Run] = {
    "ledger.create": lambda url, seconds: _ledger(url, seconds).create("a.json", {"n": 1}),
    "ledger.replace": lambda url, seconds: _ledger(url, seconds).replace(
        "a.json", {"n": 1}, '"0x1"'
    ),
    "ledger.put": lambda url, seconds: _ledger(url, seconds).put("a.json", {"n": 1}),
    "ledger.delete": lambda url, seconds: _ledger(url, seconds).delete("a.json", '"0x1"'),
    "results.write": lambda url, seconds: _results(url, seconds).write("a.json", b"{}"),
}
CALLS = {**READS, **WRITES}


def _methods(server: Script) -> list[str]:
    return [request.method for request in server.arrived]


@pytest.mark.parametrize("call", READS.values(), ids=READS)
@pytest.mark.parametrize("step", [BUSY, DROP], ids=["503", "drop"])
def test_a_read_is_sent_twice_at_most(server: Script, step: Step, call: Run) -> None:
    server.play(step)
    with pytest.raises(Transient):
        call(server.url, CALL_SECONDS)
    assert _methods(server) == ["GET", "GET"]


@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
@pytest.mark.parametrize("step", [BUSY, DROP], ids=["503", "drop"])
def test_a_write_is_sent_twice_at_most_and_then_unknown(
    server: Script, step: Step, call: Run
) -> None:
    server.play(step)
    with pytest.raises(OutcomeUnknown):
        call(server.url, CALL_SECONDS)
    assert _methods(server)[:2] in (["PUT", "PUT"], ["DELETE", "DELETE"])
    assert set(_methods(server)[2:]) <= {"GET"}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_throttling_and_missing_roles_are_not_asked_again(server: Script, call: Run) -> None:
    server.play(Answer(429, headers={"Retry-After": "9"}))
    with pytest.raises(Throttled) as throttled:
        call(server.url, CALL_SECONDS)
    assert throttled.value.retry_after == 9.0
    assert len(server.arrived) == 1
    server.play(Answer(403, headers={"x-ms-error-code": "AuthorizationPermissionMismatch"}))
    with pytest.raises(Forbidden, match="AuthorizationPermissionMismatch"):
        call(server.url, CALL_SECONDS)
    assert len(server.arrived) == 1


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_a_refused_connection_never_acted(local_authority: object, call: Run) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(Transient) as raised:
            call(f"https://127.0.0.1:{unused.getsockname()[1]}", CALL_SECONDS)
    assert type(raised.value) is Transient


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_silence_ends_within_the_bound(server: Script, call: Run) -> None:
    server.play(Answer(200, after=SHORT_SECONDS * 2))
    began = time.monotonic()
    with pytest.raises(Transient):
        call(server.url, SHORT_SECONDS)
    assert time.monotonic() - began < SHORT_SECONDS + 0.5


@pytest.mark.parametrize("name", ["ledger.read", "results.read", "results.lines"])
def test_a_body_that_always_breaks_off_ends_within_the_bound(server: Script, name: str) -> None:
    """The SDK alone would ask for it three times, twice, with a second between."""
    whole = _blob(b'{"n": 1}')
    server.play(Answer(206, whole.body, whole.headers, broken=True))
    began = time.monotonic()
    with pytest.raises(Transient):
        CALLS[name](server.url, SHORT_SECONDS)
    assert time.monotonic() - began < SHORT_SECONDS + 1.5


@pytest.mark.parametrize(
    "answer", [Answer(201), Answer(200, b"{"), Answer(202, b"<x"), Answer(204), Answer(206, b"[1")]
)
@pytest.mark.parametrize("call", WRITES.values(), ids=WRITES)
def test_an_answer_of_another_shape_is_done_or_unknown(
    server: Script, call: Run, answer: Answer
) -> None:
    server.play(answer, answer, Answer(404, headers={"x-ms-error-code": "BlobNotFound"}))
    with suppress(OutcomeUnknown):
        call(server.url, CALL_SECONDS)
    assert set(_methods(server)) <= {"PUT", "DELETE", "GET"}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_redirects_are_not_followed(server: Script, call: Run) -> None:
    server.play(Answer(307, headers={"Location": f"{server.url}/elsewhere"}))
    with pytest.raises(TidehuntError):
        call(server.url, CALL_SECONDS)
    assert len(server.arrived) == 1


@pytest.mark.parametrize(
    "path", ["../x", "a/../../ledger/x", "a//b", "/a", "a\\b", "a\nb", ".", ""]
)
def test_a_path_that_leaves_its_container_is_never_sent(server: Script, path: str) -> None:
    ledger, results = _ledger(server.url), _results(server.url)
    calls: list[Callable[[], object]] = [
        lambda: ledger.read(path),
        lambda: ledger.put(path, {}),
        lambda: ledger.delete(path),
        lambda: results.read(path, 10),
        lambda: results.write(path, b""),
        lambda: list(results.lines(path, 0, 10)),
    ]
    for call in calls:
        with pytest.raises(BadInput):
            call()
    assert server.arrived == []


def test_a_document_is_one_conditional_put_blob(server: Script) -> None:
    server.play(WRITTEN)
    assert _ledger(server.url).create("a.json", {"n": 1}) == '"0x2"'
    _ledger(server.url).replace("a.json", {"n": 2}, '"0x1"')
    _ledger(server.url).put("a.json", {"n": 3})
    assert _methods(server) == ["PUT", "PUT", "PUT"]
    conditions = [
        (request.headers.get("if-none-match"), request.headers.get("if-match"))
        for request in server.arrived
    ]
    assert conditions == [("*", None), (None, '"0x1"'), (None, None)]
    assert {request.headers["x-ms-blob-type"] for request in server.arrived} == {"BlockBlob"}
    bodies = [json.loads(request.body) for request in server.arrived]
    assert [body["n"] for body in bodies] == [1, 2, 3]
    assert len({body["nonce"] for body in bodies}) == 3


def _what_was_put(server: Script) -> Step:
    def answer(_request: Arrived) -> Answer:
        return _blob(server.arrived[0].body, '"0x7"')

    return answer


@pytest.mark.parametrize("refusal", [EXISTS, STALE], ids=["409", "412"])
def test_a_conflict_with_our_own_lost_write_is_a_success(server: Script, refusal: Answer) -> None:
    server.play(DROP, refusal, _what_was_put(server))
    assert _ledger(server.url).create("a.json", {"n": 1}) == '"0x7"'
    server.play(DROP, refusal, _what_was_put(server))
    assert _ledger(server.url).replace("a.json", {"n": 1}, '"0x1"') == '"0x7"'
    assert _methods(server) == ["PUT", "PUT", "GET"]
    assert server.arrived[0].body == server.arrived[1].body


@pytest.mark.parametrize("refusal", [EXISTS, STALE], ids=["409", "412"])
def test_a_conflict_with_somebody_else_is_one(server: Script, refusal: Answer) -> None:
    theirs = _blob(b'{"n": 1, "nonce": "theirs"}')
    server.play(refusal, theirs)
    with pytest.raises(Conflict):
        _ledger(server.url).create("a.json", {"n": 1})
    server.play(refusal, Answer(404, headers={"x-ms-error-code": "BlobNotFound"}))
    with pytest.raises(Conflict):
        _ledger(server.url).replace("a.json", {"n": 1}, '"0x1"')


def test_a_conflict_that_cannot_be_read_again_is_unknown(server: Script) -> None:
    server.play(STALE, BUSY)
    with pytest.raises(OutcomeUnknown):
        _ledger(server.url).replace("a.json", {"n": 1}, '"0x1"')


def test_two_lost_answers_are_looked_up(server: Script) -> None:
    server.play(DROP, DROP, _what_was_put(server))
    assert _ledger(server.url).put("a.json", {"n": 1}) == '"0x7"'
    server.play(DROP, DROP, _blob(b'{"n": 0, "nonce": "old"}'))
    with pytest.raises(OutcomeUnknown):
        _ledger(server.url).put("a.json", {"n": 1})


def test_a_lost_answer_is_not_forgotten_for_a_later_refusal(server: Script) -> None:
    server.play(DROP, Answer(429), Answer(404, headers={"x-ms-error-code": "BlobNotFound"}))
    with pytest.raises(OutcomeUnknown):
        _ledger(server.url).put("a.json", {"n": 1})


def test_a_delete_that_was_done_already_is_fine(server: Script) -> None:
    gone = Answer(404, headers={"x-ms-error-code": "BlobNotFound"})
    server.play(DROP, gone)
    _ledger(server.url).delete("a.json", '"0x1"')
    assert server.arrived[1].headers["if-match"] == '"0x1"'
    server.play(STALE)
    with pytest.raises(Conflict):
        _ledger(server.url).delete("a.json", '"0x1"')


@pytest.mark.parametrize("code", ["ContainerNotFound", "FilesystemNotFound"])
def test_a_missing_container_is_never_an_empty_one(server: Script, code: str) -> None:
    server.play(Answer(404, headers={"x-ms-error-code": code}))
    for name in ("ledger.read", "ledger.list", "ledger.delete", "results.read", "results.paths"):
        with pytest.raises(Missing):
            CALLS[name](server.url, CALL_SECONDS)
    assert _exports(server.url).blobs("syslog", "y=2026") == []


def test_files_are_never_unpacked(server: Script) -> None:
    bomb = gzip.compress(b"0" * 10_000)
    server.play(_blob(bomb, **{"Content-Encoding": "gzip"}))
    assert _results(server.url).read("a.json", 100) == bomb


def test_a_file_is_read_no_further_than_its_limit(server: Script) -> None:
    server.play(_blob(b"0" * 101))
    with pytest.raises(TooLarge):
        _results(server.url).read("a.json", 100)
    headers = server.arrived[0].headers
    assert "bytes=0-100" in (headers.get("x-ms-range"), headers.get("range"))


LISTING = """<?xml version="1.0" encoding="utf-8"?>
<EnumerationResults ServiceEndpoint="https://x/" ContainerName="ledger"><Blobs>
<Blob><Name>active/ab</Name><Properties><Last-Modified>Thu, 01 Jan 2026 00:00:00 GMT</Last-Modified>
<Etag>0x1</Etag><Content-Length>0</Content-Length>
<BlobType>BlockBlob</BlobType></Properties>
<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata></Blob>
<Blob><Name>active/ab/c</Name><Properties>
<Last-Modified>Thu, 01 Jan 2026 00:00:01 GMT</Last-Modified>
<Etag>0x2</Etag><Content-Length>9</Content-Length>
<BlobType>BlockBlob</BlobType></Properties></Blob>
<Blob><Name>active/ab-d</Name><Properties>
<Last-Modified>Thu, 01 Jan 2026 00:00:02 GMT</Last-Modified>
<Etag>0x3</Etag><Content-Length>9</Content-Length>
<BlobType>BlockBlob</BlobType></Properties></Blob>
</Blobs><NextMarker/></EnumerationResults>"""


def test_a_hierarchical_account_s_listing(server: Script) -> None:
    headers = {"Content-Type": "application/xml"}
    server.play(BUSY, Answer(200, LISTING.encode(), headers))
    found = list(_ledger(server.url).list("active"))
    assert [(entry.path, entry.etag) for entry in found] == [
        ("active/ab-d", '"0x3"'),
        ("active/ab/c", '"0x2"'),
    ]
    assert found[0].modified.isoformat() == "2026-01-01T00:00:02+00:00"
    assert "prefix=active%2F" in server.arrived[0].path


def _paths(*names: str, **headers: str) -> Answer:
    listed: list[dict[str, Any]] = [
        {
            "name": name,
            "contentLength": "7",
            "etag": "0x1",
            "lastModified": "Thu, 01 Jan 2026 00:00:00 GMT",
        }
        for name in names
    ]
    listed.append({**listed[0], "name": "a-folder", "isDirectory": "true"})
    body = json.dumps({"paths": listed}).encode()
    return Answer(200, body, {"Content-Type": "application/json", **headers})


def test_every_page_of_a_folder_is_read(server: Script) -> None:
    server.play(_paths("y/b", **{"x-ms-continuation": "next=="}), BUSY, _paths("y/a"))
    found = _exports(server.url).blobs("Syslog", "y")
    assert [(stat.name, stat.size, stat.etag) for stat in found] == [
        ("y/a", 7, '"0x1"'),
        ("y/b", 7, '"0x1"'),
    ]
    assert server.arrived[0].path.startswith("/am-syslog?")
    assert "continuation=next" in server.arrived[1].path
