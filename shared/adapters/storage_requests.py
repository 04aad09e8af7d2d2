"""How requests to storage are sent: within one bound, twice at most, to checked paths.

Facts that this file rests on:
* Pooled connections die while the app sleeps between turns: the first request on one is lost.
  Everything here may be sent twice; a write proves by its nonce that it was this very one.
* The SDK reads a body that breaks off three times, with a second between: hence `hold`.
* urllib3 resolves `..` in an address: a hostile name would leave its container.
* Listings give ETags without the quotes that headers have.
* A session of `requests` reads the whole environment for each request: an eighth of its cost.
"""

from __future__ import annotations

import json
import math
import time
import unicodedata
from collections.abc import Callable
from typing import Any, TypeVar

import requests

from shared.adapters.azure_errors import one_request, service_code
from shared.errors import (
    BadInput,
    Forbidden,
    Missing,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Transient,
)
from shared.model import Json

T = TypeVar("T")
Options = dict[str, Any]
_NO_CONTAINER = ("ContainerNotFound", "FilesystemNotFound")


class Patience:
    """The time of one call, shared by its requests: each may use half of what is left."""

    def __init__(self, seconds: float) -> None:
        self._until = time.monotonic() + seconds

    def options(self) -> Options:
        """Options of the next request."""
        seconds = max(self._until - time.monotonic(), 0.1) / 2
        return {
            **one_request(seconds),
            "timeout": whole_seconds(seconds),
            "raw_request_hook": self.hold,
        }

    def hold(self, _request: object) -> None:
        """Stop a request that the SDK would send after the call's time."""
        if time.monotonic() >= self._until:
            raise Transient("storage took longer than a call may take")


def client_options(endpoint: str, call_seconds: float) -> Options:
    """Two attempts a page, both within the bound; the SDK's own waits are 15 s and more."""
    return {
        **_environment_options(endpoint),
        **one_request(call_seconds * 0.45),
        "retry_total": 1,
        "initial_backoff": call_seconds / 50,
        "increment_base": 0,
        "random_jitter_range": 0,
    }


def _environment_options(endpoint: str) -> Options:
    """What a client's session takes from the environment, read once: proxies and authorities."""
    with requests.Session() as session:
        found = session.merge_environment_settings(endpoint, {}, None, None, None)
    return {
        "use_env_settings": False,
        "proxies": dict(found["proxies"]),
        "connection_verify": found["verify"],
    }


def whole_seconds(seconds: float) -> int:
    """A bound as storage itself takes it (`timeout`): at least one second."""
    return max(1, math.ceil(seconds))


def twice(request: Callable[[Options], T], patience: Patience) -> T:
    """Send a request, and once more when it failed in passing."""
    try:
        return request(patience.options())
    except (Throttled, Forbidden):
        raise
    except Transient as first:
        try:
            return request(patience.options())
        except Transient as second:
            # What the first attempt may have done, the second one's refusal does not undo.
            raise (first if isinstance(first, OutcomeUnknown) else second) from second


def unless_missing(read: Callable[[], T]) -> T | None:
    """What was read, or None when the file is missing; a missing container is an error."""
    try:
        return read()
    except Missing as error:
        refuse_missing_container(error)
        return None


def unless_past_end(read: Callable[[], T], past_end: T) -> T:
    """What was read, or `past_end` for a range behind the last byte: 416, also of an empty file."""
    try:
        return read()
    except Rejected as error:
        if service_code(error) != "InvalidRange":
            raise
        return past_end


def refuse_missing_container(error: Missing) -> None:
    """Raise when not the file but its whole container is missing: that is not "no file"."""
    if service_code(error) in _NO_CONTAINER:
        error.mend = "deploy the storage account's containers, or correct the endpoint"
        raise error


def checked(path: str) -> str:
    """The path. BadInput when it could name anything outside of its container."""
    parts = path.split("/")
    hostile = "\\" in path or any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path)
    if hostile or any(part in ("", ".", "..") for part in parts) or len(path) > 1024:
        raise BadInput("not a path inside a container", where=repr(path[:120]))
    return path


def folder_of(prefix: str) -> str:
    """A folder's path with the slash that keeps `a` from listing `ab`; empty for everything."""
    bare = prefix.removesuffix("/")
    return f"{checked(bare)}/" if bare else ""


def quoted(etag: str) -> str:
    """An ETag as If-Match takes it, wherever it was read."""
    return etag if etag.startswith(('"', 'W/"')) else f'"{etag}"'


def json_object(content: bytes, where: str) -> Json:
    """The JSON object of a document. BadInput when it is none."""
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"document is no JSON: {error}", where=where) from error
    if not isinstance(body, dict):
        raise BadInput("document is JSON, but no object", where=where)
    return body


def json_bytes(body: Json, where: str) -> bytes:
    """A document as JSON. BadInput when it holds NaN or what JSON cannot say."""
    try:
        return json.dumps(body, allow_nan=False).encode()
    except (ValueError, TypeError) as error:
        raise BadInput(f"document cannot be written as JSON: {error}", where=where) from error
