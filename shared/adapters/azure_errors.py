"""One request to Azure: its bound in time, and what its failure means to a caller.

Vendor exceptions end here. Two facts of azure-core 1.41 decide the shape of this file:

* it repeats a POST on 500, 503 and 504, and on every answer of 400 or more that carries
  Retry-After, so that one submission becomes two to four: `retry_total=0` on each call;
* it calls a read timeout in the middle of an answer, and TLS trouble of any kind, a
  ServiceRequestError, its word for "never sent". We believe it only of a failed connect.
"""

from __future__ import annotations

import math
import re
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
)
from msrest.exceptions import ClientException
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from shared.errors import (
    Conflict,
    Forbidden,
    Missing,
    OutcomeUnknown,
    Permanent,
    Rejected,
    Throttled,
    TidehuntError,
    TooLarge,
    Transient,
)
from shared.log_lines import blotted

DEFAULT_RETRY_AFTER = 60.0
LONGEST_RETRY_AFTER = 3600.0
SAID_CHARACTERS = 300
_BEFORE_SENDING = (NewConnectionError, ConnectTimeoutError, ssl.SSLCertVerificationError)
_ACCIDENTS = (
    *(ClientException, RecursionError),
    *(AttributeError, IndexError, KeyError, TypeError, ValueError),
)
"""What the SDKs raise on an answer of another shape than their own: msrest's errors, and worse."""
_STATUSES: dict[int, type[TidehuntError]] = {
    400: Rejected,
    401: Forbidden,
    403: Forbidden,
    404: Missing,
    409: Conflict,
    412: Conflict,
    413: TooLarge,
}
_IDENTITY = "look at the app's managed identity (TIDEHUNT_IDENTITY_CLIENT_ID, if it is its own)"
_ROLE = "give the app's identity its role there; a new one takes up to 30 minutes to be seen"


def one_request(seconds: float) -> dict[str, Any]:
    """Options that make an SDK call exactly one HTTP request, bounded by `seconds`.

    The bound is the longest wait to connect plus the longest silence of the service.
    """
    return {
        "retry_total": 0,
        "permit_redirects": False,
        "connection_timeout": seconds * 0.3,
        "read_timeout": seconds * 0.7,
    }


@contextmanager
def translated(what: str, where: str, *, acts: bool, quote: bool = True) -> Iterator[None]:
    """Turn azure-core exceptions into ours. `acts`: the request changes something at the service.

    A lost answer to such a request is OutcomeUnknown, to any other just Transient. `quote` tells
    whether the service's own words may be repeated (they may quote what was sent): those of 401
    and 403 always are.
    """
    try:
        yield
    except AzureError as error:
        raise _meaning(error, what, where, acts, quote) from error
    except _ACCIDENTS as error:
        raise lost_answer(what, where, acts=acts) from error


def lost_answer(what: str, where: str, *, acts: bool) -> TidehuntError:
    """The service answered something that cannot be read: as good as no answer."""
    kind = OutcomeUnknown if acts else Transient
    return kind(f"{what}: the answer cannot be read", where=where)


def service_code(error: BaseException) -> str:
    """The service's own code of an error, translated or not, e.g. `BlobNotFound`; else empty."""
    source = error.__cause__ if isinstance(error, TidehuntError) else error
    code = getattr(source, "error_code", None) or getattr(
        getattr(source, "error", None), "code", None
    )
    return str(getattr(code, "value", code) or "")


def service_text(error: BaseException) -> str:
    """Everything that the service said with an error, to be searched and not to be shown."""
    source = error.__cause__ if isinstance(error, TidehuntError) else error
    response = getattr(source, "response", None)
    try:
        body = response.text() if response is not None else ""
    except (AzureError, ValueError, LookupError):
        body = ""
    return f"{getattr(source, 'message', '')}\n{body}"


def _meaning(error: AzureError, what: str, where: str, acts: bool, quote: bool) -> TidehuntError:
    status = _status(error)
    if status is None or status < 300:
        return _without_answer(error, what, where, acts)
    code = service_code(error)
    said = f" {_one_line(error)}" if quote or status in (401, 403) else ""
    text = f"{what}: {status}{f' {code}' if code else ''}{said}"
    if status == 429:
        return Throttled(text, retry_after=_retry_after(error), where=where)
    if status >= 500 or status == 408:
        return (OutcomeUnknown if acts else Transient)(text, where=where)
    if status < 400:
        return Permanent(f"{text} (redirects are not followed)", where=where)
    kind = _STATUSES.get(status, Rejected)
    return kind(text, where=where, mend=_ROLE if kind is Forbidden else "")


def _status(error: AzureError) -> int | None:
    """The answer's status, or None. The Event Grid client drops the answer of a 404."""
    if isinstance(error, ResourceNotFoundError):
        return 404
    if not isinstance(error, HttpResponseError) or error.response is None:
        return None
    return error.response.status_code


def _without_answer(error: AzureError, what: str, where: str, acts: bool) -> TidehuntError:
    if isinstance(error, ClientAuthenticationError) and _status(error) is None:
        said = _one_line(error, characters=3 * SAID_CHARACTERS)  # a line of each credential
        return Forbidden(f"{what}: no token: {said}", where=where, mend=_IDENTITY)
    if any(isinstance(cause, _BEFORE_SENDING) for cause in _causes(error)):
        return Transient(f"{what}: no connection", where=where)
    return (OutcomeUnknown if acts else Transient)(f"{what}: the answer was lost", where=where)


def _causes(error: BaseException) -> Iterator[BaseException]:
    """What an exception wraps. Never `__context__`: it may be another request's failure."""
    todo, seen = [error], set[int]()
    while todo:
        cause = todo.pop()
        if id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        wrapped = (
            getattr(cause, name, None) for name in ("inner_exception", "reason", "__cause__")
        )
        todo.extend(part for part in (*wrapped, *cause.args) if isinstance(part, BaseException))


def _one_line(error: AzureError, characters: int = SAID_CHARACTERS) -> str:
    described = getattr(getattr(error, "error", None), "message", None)
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\s]+", " ", str(described or error.message))
    return blotted(text.strip())[:characters]


def _retry_after(error: AzureError) -> float:
    """Seconds to wait: Retry-After as seconds or as a date; 60 when it is absent or unreadable."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    value = str(headers.get("Retry-After", "")).strip()
    try:
        seconds = float(value)
    except ValueError:
        seconds = _seconds_until(value)
    if math.isnan(seconds):
        return DEFAULT_RETRY_AFTER
    return min(max(seconds, 0.0), LONGEST_RETRY_AFTER)


def _seconds_until(date: str) -> float:
    try:
        moment = parsedate_to_datetime(date)
    except ValueError:
        return DEFAULT_RETRY_AFTER
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - datetime.now(UTC)).total_seconds()
