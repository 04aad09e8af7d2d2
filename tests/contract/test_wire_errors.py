"""What adapters make of refusals, lost answers and silence, and how many requests they send."""

from __future__ import annotations

import gc
import socket
import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.errors import (
    Forbidden,
    OutcomeUnknown,
    Permanent,
    Rejected,
    Throttled,
    TidehuntError,
    TooLarge,
    Transient,
)
from tests.contract.calls import A_CALL_OF_EACH_SDK, CALL_SECONDS, CALLS, Call, name_of, raised_by
from tests.contract.scripted_server import DROP, Answer, Script

SHORT_SECONDS = 1.0


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("retry_after", [None, "1"])
@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_server_trouble_is_one_request_and_unknown_where_it_may_have_acted(
    server: Script, call: Call, retry_after: str | None, status: int
) -> None:
    headers = {"Retry-After": retry_after} if retry_after else {}
    server.play(Answer(status, headers=headers))
    error = raised_by(call, server.url)
    assert isinstance(error, OutcomeUnknown) is call.acts
    assert isinstance(error, Transient)
    assert len(server.arrived) == 1


@pytest.mark.parametrize(
    "answer", [DROP, Answer(200, b'{"id":', broken=True)], ids=["drop", "half"]
)
@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_a_lost_answer_is_one_request(server: Script, call: Call, answer: Answer) -> None:
    server.play(answer)
    error = raised_by(call, server.url)
    assert isinstance(error, OutcomeUnknown) is call.acts
    assert isinstance(error, Transient)
    assert len(server.arrived) == 1


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_silence_ends_within_the_bound(server: Script, call: Call) -> None:
    server.play(Answer(200, b"{}", after=SHORT_SECONDS * 2))
    began = time.monotonic()
    error = raised_by(call, server.url, SHORT_SECONDS)
    assert time.monotonic() - began < SHORT_SECONDS + 0.5
    assert isinstance(error, OutcomeUnknown) is call.acts
    assert isinstance(error, Transient)
    assert len(server.arrived) == 1


@pytest.mark.parametrize("call", A_CALL_OF_EACH_SDK, ids=name_of)
def test_an_answer_that_stops_half_way_ends_within_the_bound(server: Script, call: Call) -> None:
    """azure-core calls this one "never sent"."""
    server.play(Answer(200, b"{", stalls=SHORT_SECONDS * 2))
    began = time.monotonic()
    error = raised_by(call, server.url, SHORT_SECONDS)
    assert time.monotonic() - began < SHORT_SECONDS + 0.5
    assert isinstance(error, OutcomeUnknown) is call.acts


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_a_refused_connection_never_acted(local_authority: object, call: Call) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{unused.getsockname()[1]}"
        error = raised_by(call, url)
    assert type(error) is Transient


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_a_stranger_s_certificate_never_acted(stranger: Script, call: Call) -> None:
    error = raised_by(call, stranger.url)
    assert type(error) is Transient
    assert stranger.arrived == []


@pytest.mark.parametrize(
    ("retry_after", "expected"), [("7", 7.0), (None, 60.0), ("soon", 60.0), ("99999999", 3600.0)]
)
@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_throttling_tells_how_long_and_is_not_repeated(
    server: Script, call: Call, retry_after: str | None, expected: float
) -> None:
    server.play(Answer(429, headers={"Retry-After": retry_after} if retry_after else {}))
    error = raised_by(call, server.url)
    assert isinstance(error, Throttled)
    assert error.retry_after == expected
    assert len(server.arrived) == 1


def test_retry_after_may_be_a_date(server: Script) -> None:
    later = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    server.play(Answer(429, headers={"Retry-After": later}))
    error = raised_by(CALLS[0], server.url)
    assert isinstance(error, Throttled)
    assert 80 < error.retry_after <= 90


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_a_missing_role_is_transient_and_names_the_mend(
    server: Script, call: Call, status: int
) -> None:
    server.play(Answer(status, b'{"error":{"code":"AuthorizationFailed","message":"no"}}'))
    error = raised_by(call, server.url)
    assert isinstance(error, Forbidden)
    assert "role" in error.mend
    assert len(server.arrived) == 1


@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_not_found(server: Script, call: Call) -> None:
    server.play(Answer(404, b'{"error":{"code":"NotFound","message":"no"}}'))
    if call.missing is None:
        call.run(server.url, CALL_SECONDS)
    else:
        assert isinstance(raised_by(call, server.url), call.missing)
    assert len(server.arrived) == 1


@pytest.mark.parametrize("status", [301, 302, 307, 308])
@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_redirects_are_not_followed(server: Script, call: Call, status: int) -> None:
    server.play(Answer(status, headers={"Location": f"{server.url}/elsewhere"}))
    error = raised_by(call, server.url)
    assert isinstance(error, Permanent)
    assert len(server.arrived) == 1


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"<html/>", b"\xff", b"[" * 100_000]
)
@pytest.mark.parametrize("call", CALLS, ids=name_of)
def test_an_answer_of_another_shape_raises_only_our_errors(
    server: Script, call: Call, body: bytes
) -> None:
    if len(body) > 10_000:
        gc.collect()  # what others left must not be finalized in the depth of this recursion
    server.play(Answer(200, body, {"Content-Type": "application/json"}))
    try:
        call.run(server.url, CALL_SECONDS)
    except TidehuntError as error:
        assert isinstance(error, OutcomeUnknown) is call.acts, repr(error)


@pytest.mark.parametrize("call", [c for c in CALLS if c.name in ("sink.send", "incidents.put")])
def test_bad_content_is_permanent(server: Script, call: Call) -> None:
    server.play(Answer(400, b'{"error":{"code":"InvalidPayload","message":"no"}}'))
    assert isinstance(raised_by(call, server.url), Rejected)
    server.play(Answer(413))
    assert isinstance(raised_by(call, server.url), TooLarge)
