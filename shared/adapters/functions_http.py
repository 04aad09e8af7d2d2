"""Binds HTTP routes to the functions host: its requests and answers go no further than here."""

# Annotations stay objects: the host reads them when it indexes the app.
import json
from collections.abc import Callable, Mapping
from typing import Any

import azure.functions as func

from shared.callers import Asked

Answered = Callable[[str, Asked], tuple[int, Any]]
"""A function's name and what was asked -> (status code, JSON)."""


def bind(
    app: func.FunctionApp,
    guard: func.AuthLevel,
    paths: Mapping[str, tuple[str, str]],
    answered: Answered,
) -> None:
    """Add a function for each name in `paths`: (method, path)."""
    for name, (method, path) in paths.items():
        bound = app.route(path, methods=[method], auth_level=guard)(_handler(name, answered))
        app.function_name(name)(bound)


def _handler(name: str, answered: Answered) -> Callable[[func.HttpRequest], func.HttpResponse]:
    def handle(req: func.HttpRequest) -> func.HttpResponse:
        named = dict(req.headers), dict(req.params), dict(req.route_params)
        return response(*answered(name, Asked(*named, req.get_body())))

    return handle


def response(code: int, body: Any) -> func.HttpResponse:
    """An answer in the platform's words."""
    return func.HttpResponse(encode(body), status_code=code, mimetype="application/json")


def encode(body: Any) -> str:
    """A body as JSON text; what a log wrote cannot break out of it."""
    return json.dumps(body, ensure_ascii=True, default=str)
