"""The webhook of Event Grid triggers, both handshakes and both schemas.

One invocation an event, all at once; one failure answers 500 and the whole batch comes again.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Mapping

from azure.functions.meta import Datum
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from workbench.host.http import authorized
from workbench.host.index import Function
from workbench.host.invoke import Invoker

PATH = "/runtime/webhooks/eventgrid"
log = logging.getLogger("host")


async def receive(
    request: Request, functions: Mapping[str, Function], key: str, invoker: Invoker
) -> Response:
    """Answer one delivery. `functions` are the enabled Event Grid triggers by name."""
    if not authorized(request, key):
        return Response(status_code=401)
    name = request.query_params.get("functionName", "")
    if name not in functions:
        return PlainTextResponse(f"cannot find function: '{name}'", 404)
    if request.method == "OPTIONS":
        return _cloud_event_handshake(request)
    return await _deliver(request, functions[name], invoker)


def _cloud_event_handshake(request: Request) -> Response:
    origin = request.headers.get("webhook-request-origin")
    if not origin:
        return Response(status_code=400)
    allowed = {"WebHook-Allowed-Origin": origin, "WebHook-Allowed-Rate": "*"}
    return Response(status_code=200, headers=allowed)


async def _deliver(request: Request, function: Function, invoker: Invoker) -> Response:
    kind = request.headers.get("aeg-event-type", "").lower()
    if kind == "unsubscribe":
        return Response(status_code=202)
    if request.method != "POST" or kind not in ("subscriptionvalidation", "notification"):
        return Response(status_code=400)
    try:
        content = json.loads(await request.body())
        if kind == "subscriptionvalidation":
            return JSONResponse({"validationResponse": _validation_code(content)})
        events = content if isinstance(content, list) else [content]
        texts = [json.dumps(_object(event)) for event in events]
    except (ValueError, KeyError, IndexError, TypeError) as error:
        log.error("Event Grid delivery for %s is malformed: %r", function.name, error)
        return Response(status_code=500)
    outcomes = await asyncio.gather(
        *(invoker.invoke(function, Datum(text, "json")) for text in texts)
    )
    failure = next((outcome.error for outcome in outcomes if outcome.error), None)
    return Response(status_code=202) if failure is None else PlainTextResponse(failure, 500)


def _validation_code(content: object) -> str:
    """Of an array in the Event Grid schema, or of a CloudEvent, whose data is JSON in a string."""
    event = _object(content[0] if isinstance(content, list) else content)
    data = event["data"]
    return str(_object(json.loads(data) if isinstance(data, str) else data)["validationCode"])


def _object(value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise TypeError(f"expected a JSON object, got {type(value).__name__}")
    return value
