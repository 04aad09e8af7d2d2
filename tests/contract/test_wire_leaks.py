"""Nothing leaves to another host, and no token leaves its header, whatever a service answers."""

from __future__ import annotations

import gc
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress

import pytest

from shared import log_lines
from shared.errors import TidehuntError
from tests.contract.calls import CALL_SECONDS, CALLS, TOKEN
from tests.contract.scripted_server import Answer, Arrived, Script, script
from tests.contract.test_wire_storage import CALLS as STORAGE_CALLS
from tests.contract.test_wire_storage import READS
from workbench.emulators.tls import Certificate

EVERY_CALL: Mapping[str, Callable[[str, float], object]] = {
    **{call.name: call.run for call in CALLS},
    **STORAGE_CALLS,
}
JSON_TYPE = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def elsewhere(local_authority: Certificate) -> Iterator[Script]:
    """A host that everybody would trust, if anybody asked it."""
    with script(local_authority) as running:
        running.play(Answer(200, b"{}", JSON_TYPE))
        yield running


def _links(url: str) -> dict[str, str]:
    """Every header by which a service sends its caller on."""
    named = ("Location", "Content-Location", "Azure-AsyncOperation", "Operation-Location", "Link")
    return {
        **dict.fromkeys(named, f"{url}/next"),
        "x-ms-continuation": f"{url}/next",
        "WWW-Authenticate": f'Bearer authorization_uri="{url}/t/authorize" resource_id={url}',
        "Retry-After": "0",
    }


def _page(url: str) -> bytes:
    """A body with every link that a body may have."""
    names = ("nextLink", "@odata.nextLink", "next", "NextMarker", "continuationToken")
    return json.dumps({"value": [], "sessions": [], **dict.fromkeys(names, f"{url}/next")}).encode()


@pytest.mark.parametrize(
    ("name", "status"),
    [
        (name, status)
        for name in EVERY_CALL
        for status in (200, 201, 202, 301, 302, 303, 307, 308, 401, 429, 503)
        if not (name in READS and status in (201, 202))  # no read is answered so
    ],
)
def test_a_link_to_another_host_is_never_asked(
    server: Script, elsewhere: Script, name: str, status: int
) -> None:
    headers = {**_links(elsewhere.url), **JSON_TYPE}
    times = 1 if status < 300 else 3
    server.play(*[Answer(status, _page(elsewhere.url), headers)] * times, Answer(404))
    with warnings.catch_warnings():
        # The client of storage leaves the connection of an answer that it refuses unclosed.
        warnings.simplefilter("ignore", ResourceWarning)
        with suppress(TidehuntError):
            EVERY_CALL[name](server.url, CALL_SECONDS)
        if name in READS:
            gc.collect()
    assert server.arrived != []
    assert elsewhere.arrived == []


class _Keeps(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def everything() -> Iterator[list[logging.LogRecord]]:
    """Every record of every logger, down to DEBUG."""
    root, handler = logging.getLogger(), _Keeps()
    level = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    try:
        yield handler.records
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def _echo(status: int) -> Callable[[Arrived], Answer]:
    """An answer that quotes the caller's token in every place."""

    def answer(request: Arrived) -> Answer:
        quoted = request.headers.get("authorization", "")
        error = {"code": "Denied", "message": f"you sent {quoted}, that is {TOKEN}"}
        body = json.dumps({"error": error, "Message": quoted, "message": TOKEN}).encode()
        return Answer(status, body, {**JSON_TYPE, "x-ms-error-code": "Denied"})

    return answer


@pytest.mark.parametrize("status", [400, 403, 404, 409, 412, 500])
@pytest.mark.parametrize("name", EVERY_CALL)
def test_a_token_is_in_no_error_and_in_no_log(
    server: Script, everything: list[logging.LogRecord], name: str, status: int
) -> None:
    server.play(_echo(status))
    told = ""
    try:
        EVERY_CALL[name](server.url, CALL_SECONDS)
    except TidehuntError as error:
        told = f"{error}"
    assert any(TOKEN in request.headers.get("authorization", "") for request in server.arrived)
    assert TOKEN not in told
    assert [record for record in everything if TOKEN in log_lines.line(record)] == []
