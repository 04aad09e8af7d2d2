"""Azure Resource Manager's manners: tokens, api-versions, errors, ETags and pages.

A resource is `{"id", "name", "type", "etag", "properties"}`; paths match in any letter case, as
ARM's do.
"""

from __future__ import annotations

import base64
import json
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

Json = dict[str, Any]
Caller = Callable[[Request, str], str | None]

AUDIENCES = ("https://management.azure.com", "https://management.core.windows.net/")
PAGE = 50
LARGEST_PAGE = 1000


class ArmError(Exception):
    """ARM says no: status and the code and message of its `error`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"error": {"code": code, "message": message}}


@dataclass(frozen=True)
class Call:
    """One request, let in: `names` are the path's parameters, `body` a PUT's JSON object."""

    request: Request
    who: str
    version: str
    workspace: str
    """The workspace's resource id, as it is configured."""
    names: Mapping[str, str]
    body: Json

    @property
    def name(self) -> str:
        """The resource's own name: the last one of the path."""
        return list(self.names.values())[-1]

    @property
    def parent(self) -> str:
        """The name of the resource that this one belongs to; empty at the top."""
        return next(iter(self.names.values())) if len(self.names) > 1 else ""

    @property
    def etag(self) -> str | None:
        """The version that the caller read, from the body or from If-Match."""
        named = self.body.get("etag") or self.request.headers.get("if-match")
        return str(named) if named and named != "*" else None

    def link(self, **query: str) -> str:
        """This request's own address with other query parameters."""
        kept = {**self.request.query_params, **query}
        return str(self.request.url.replace(query=urlencode(kept)))


@dataclass(frozen=True)
class Answer:
    """What a handler answers; a body of None is an empty answer."""

    status: int
    body: Json | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    def response(self) -> Response:
        """As HTTP, with the request ids that ARM gives every answer."""
        ids = {
            name: str(uuid.uuid4()) for name in ("x-ms-request-id", "x-ms-correlation-request-id")
        }
        headers = {**ids, **self.headers}
        if self.body is None:
            return Response(status_code=self.status, headers=headers)
        return JSONResponse(self.body, self.status, headers=headers)


Handler = Callable[[Call], Answer]


class ArmRoute(Route):
    """A route that matches in any letter case."""

    def __init__(self, path: str, endpoint: Callable[..., Any], *, methods: list[str]) -> None:
        super().__init__(path, endpoint, methods=methods)
        self.path_regex = re.compile(self.path_regex.pattern, re.IGNORECASE)


def who_asks(request: Request, caller: Caller) -> str:
    """The principal's name. Raises ArmError (401)."""
    for audience in AUDIENCES:
        who = caller(request, audience)
        if who is not None:
            return who
    message = "Authentication failed. The 'Authorization' header is missing or invalid."
    raise ArmError(401, "AuthenticationFailed", message)


def api_version(request: Request, known: Sequence[str]) -> str:
    """The request's api-version. Raises ArmError (400) when it is none that the service had."""
    version = request.query_params.get("api-version")
    if not version:
        message = "The api-version query parameter (?api-version=) is required for all requests."
        raise ArmError(400, "MissingApiVersionParameter", message)
    if version not in known:
        message = (
            f"No registered resource provider found for API version '{version}'. "
            f"The supported api-versions are '{', '.join(known)}'."
        )
        raise ArmError(400, "NoRegisteredProviderFound", message)
    return version


async def json_object(request: Request) -> Json:
    """The body of a PUT; empty for other methods. Raises ArmError (400)."""
    if request.method != "PUT":
        return {}
    try:
        body = json.loads(await request.body())
        json.dumps(body, ensure_ascii=False).encode()  # lone surrogates are no Unicode
    except (ValueError, RecursionError) as error:
        raise invalid(f"The request content was invalid JSON: {error}") from error
    if not isinstance(body, dict) or not isinstance(body.get("properties"), dict):
        raise invalid("The request content has no properties.")
    return body


def invalid(message: str) -> ArmError:
    """The content of a request breaks a rule of its resource type."""
    return ArmError(400, "BadRequest", message)


def not_found(kind: str, name: str) -> ArmError:
    """There is no such resource."""
    return ArmError(404, "NotFound", f"{kind} '{name}' was not found.")


def same_etag(one: str, other: str) -> bool:
    """True for the same version, with or without quotes and weakness."""
    return one.removeprefix("W/").strip('"') == other.removeprefix("W/").strip('"')


def new_etag() -> str:
    """A version that no resource had before, quotes included."""
    return f'"{secrets.token_hex(4)}-0000-0d00-0000-{secrets.token_hex(4)}0000"'


def timestamp() -> str:
    """The time as Sentinel writes it: UTC with seven fractional digits."""
    return f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}0Z"


def page_size(call: Call) -> int:
    """How many resources a page of this list has. Raises ArmError (400) above 1000."""
    text = call.request.query_params.get("$top", str(PAGE))
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_PAGE:
        raise invalid(f"$top must be between 1 and {LARGEST_PAGE}.")
    return int(text)


def skipped(call: Call) -> int | None:
    """What a $skipToken says; None on the first page. Raises ArmError (400)."""
    token = call.request.query_params.get("$skipToken")
    try:
        return None if token is None else int(base64.urlsafe_b64decode(token))
    except ValueError as error:
        raise invalid("The $skipToken is invalid.") from error


def page(call: Call, found: Iterator[tuple[int, Json]]) -> Answer:
    """One page of `found` (sequence number, resource), with the link to the next one."""
    size, value, last = page_size(call), list[Json](), 0
    for number, resource in found:
        if len(value) == size:
            token = base64.urlsafe_b64encode(str(last).encode()).decode()
            return Answer(200, {"value": value, "nextLink": call.link(**{"$skipToken": token})})
        value.append(resource)
        last = number
    return Answer(200, {"value": value})
