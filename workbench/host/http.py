"""HTTP triggers: route templates, authorization levels, requests in, responses out.

As in Azure: routes match in any letter case, literals win over parameters, a method that no
function takes is 404 and not 405, a function that fails answers 500 with an empty body.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from workbench.host.index import Function
from workbench.host.invoke import Invoker

_CONSTRAINTS = {
    "": r"[^/]+",
    "int": r"-?\d{1,10}",
    "long": r"-?\d{1,19}",
    "alpha": r"[a-z]+",
    "guid": r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}",
    "bool": r"true|false",
}
_PARAMETER = re.compile(r"\{(\*{0,2})([A-Za-z_]\w*)(?::(\w+))?(\?)?\}")


@dataclass(frozen=True)
class Route:
    """One HTTP trigger. `rank` orders templates by how specific they are."""

    function: Function
    pattern: re.Pattern[str]
    rank: tuple[int, ...]
    methods: frozenset[str]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """The route's parameters if it takes this request; `methods` empty takes all."""
        found = self.pattern.fullmatch(path)
        if not found or (self.methods and method not in self.methods):
            return None
        return {name: value for name, value in found.groupdict().items() if value is not None}


def make_route(prefix: str, function: Function) -> Route:
    """The route of an HTTP trigger. Raises ValueError for a template that cannot be served."""
    template = str(function.trigger["route"])
    if template.startswith(("/", "~")):
        raise ValueError(f"route {template!r} must not start with '/' or '~'")
    pattern, rank = "", []
    for segment in f"{prefix}/{template}".strip("/").split("/"):
        part, weight = _segment(segment, template)
        pattern += part
        rank.append(weight)
    methods = frozenset(function.trigger.get("methods") or ())
    return Route(function, re.compile(pattern + "/?", re.IGNORECASE), tuple(rank), methods)


def _segment(segment: str, template: str) -> tuple[str, int]:
    """Regular expression and weight of one segment: 0 literal, 1 constrained, 2 free, 3 rest."""
    match = _PARAMETER.fullmatch(segment)
    if not match:
        if "{" in segment or "}" in segment:
            raise ValueError(f"route {template!r}: {segment!r} is not served on one machine")
        return "/" + re.escape(segment), 0
    rest, name, constraint, optional = match[1], match[2], match[3] or "", match[4]
    if constraint not in _CONSTRAINTS:
        raise ValueError(f"route {template!r}: unknown constraint {constraint!r}")
    if rest:
        return f"(?:/(?P<{name}>.*))?", 3
    group = f"/(?P<{name}>{_CONSTRAINTS[constraint]})"
    return (f"(?:{group})?" if optional else group), (1 if constraint else 2)


def authorized(request: Request, key: str) -> bool:
    """Whether the request carries the host's key, in its header or its query."""
    offered = request.headers.get("x-functions-key") or request.query_params.get("code") or ""
    return hmac.compare_digest(offered.encode(), key.encode())


async def serve(request: Request, routes: Iterable[Route], key: str, invoker: Invoker) -> Response:
    """Answer by the most specific route that matches; `routes` come sorted by rank."""
    path = _path(request)
    for route in routes:
        parameters = route.match(request.method, path)
        if parameters is None:
            continue
        level = str(route.function.trigger.get("authLevel") or "FUNCTION").upper()
        if level != "ANONYMOUS" and not authorized(request, key):
            return Response(status_code=401)
        data = await _request_data(request, parameters)
        trace = request.headers.get("traceparent", "")
        outcome = await invoker.invoke(route.function, data, trace)
        return Response(status_code=500) if outcome.value is None else _response(outcome.value)
    return Response(status_code=404)


def _path(request: Request) -> str:
    """The decoded path, but for an encoded slash: it stays inside its segment."""
    raw: bytes = request.scope["raw_path"]
    return unquote(re.sub("%2f", "%252F", raw.decode("ascii"), flags=re.IGNORECASE))


async def _request_data(request: Request, parameters: dict[str, str]) -> Datum:
    """The request as the worker gets it: repeated names are joined, empty values left out."""
    query: dict[str, str] = {}
    for name, value in request.query_params.multi_items():
        if value:
            query[name] = f"{query[name]},{value}" if name in query else value
    return Datum(
        {
            "method": Datum(request.method, "string"),
            "url": Datum(_url(request), "string"),
            "headers": _strings(dict(request.headers)),
            "query": _strings(query),
            "params": _strings(parameters),
            "body": Datum(await request.body(), "bytes"),
        },
        "http",
    )


def _url(request: Request) -> str:
    """The address as it was asked for, encoded as it came."""
    path, query = request.scope["raw_path"].decode("ascii"), request.url.query
    return f"{request.url.scheme}://{request.url.netloc}{path}{'?' if query else ''}{query}"


def _strings(values: dict[str, str]) -> dict[str, Datum]:
    return {name: Datum(value, "string") for name, value in values.items()}


def _response(data: Datum) -> Response:
    """The response that the converter encoded; a function may also return plain text."""
    if data.type == "string":
        return PlainTextResponse(data.value)
    content = data.value
    response = Response(content["body"].value, int(content["status_code"].value))
    for name, value in content["headers"].items():
        response.headers[name] = value.value
    for cookie in content["cookies"] or ():
        for morsel in cookie.values():
            response.headers.append("set-cookie", morsel.OutputString())
    return response
