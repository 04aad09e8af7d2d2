"""Every route of the app but `/api/health`: its path, who may call it, and what it asks.

`adapters/functions_http.py` binds them to the platform; the name is the function's in the portal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from shared import http_api
from shared.callers import OPERATOR, READER, Asked
from shared.deployment import Deployment
from shared.http_api import Answer

Work = Callable[[Deployment, Asked], Answer]


@dataclass(frozen=True)
class Route:
    """`path` is below `/api/`; `{name}` in it is a variable."""

    method: str
    path: str
    role: str
    work: Work


ROUTES: Mapping[str, Route] = {
    "status": Route("GET", "status", READER, lambda at, _: http_api.status(at)),
    "show_run": Route(
        "GET", "runs/{id}", READER, lambda at, asked: http_api.show_run(at, asked.named["id"])
    ),
    "start_run": Route(
        "POST", "runs", OPERATOR, lambda at, asked: http_api.start_run(at, asked.body)
    ),
    "change_run": Route(
        "POST", "runs/{id}/{change}", OPERATOR,
        lambda at, asked: http_api.change_run(
            at, asked.named["id"], asked.named["change"], asked.body
        ),
    ),
    "pause": Route(
        "POST", "pause", OPERATOR,
        lambda at, asked: http_api.pause(at, "pause", asked.headers, asked.body),
    ),
    "resume": Route(
        "POST", "resume", OPERATOR,
        lambda at, asked: http_api.pause(at, "resume", asked.headers, asked.body),
    ),
    "list_gaps": Route("GET", "gaps", READER, lambda at, _: http_api.list_gaps(at)),
    "fill_gaps": Route(
        "POST", "gaps/fill", OPERATOR, lambda at, asked: http_api.fill_gaps(at, asked.body)
    ),
    "list_quiet": Route(
        "GET", "quiet", READER,
        lambda at, asked: http_api.list_quiet(at, asked.query.get("after", "")),
    ),
    "revoke_quiet": Route(
        "POST", "quiet/{case}/revoke", OPERATOR,
        lambda at, asked: http_api.revoke_quiet(
            at, asked.named["case"], asked.headers, asked.body
        ),
    ),
    "examine": Route("GET", "doctor", OPERATOR, lambda at, _: http_api.examine(at)),
}  # fmt: skip
PATHS: Mapping[str, tuple[str, str]] = {
    name: (route.method, route.path) for name, route in ROUTES.items()
}


def answer(deployment: Callable[[], Deployment], name: str, asked: Asked) -> Answer:
    """What one route answers: (status code, JSON)."""
    route = ROUTES[name]
    return http_api.answer(deployment, asked.headers, route.role, lambda at: route.work(at, asked))
