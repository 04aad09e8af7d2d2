"""A webhook for tests of Event Grid: answers as it is told, and remembers what came."""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from workbench.emulators.server import Server, Site
from workbench.emulators.tls import Certificate

KEY = "the-system-key"
PATH = "/runtime/webhooks/EventGrid"


@dataclass(frozen=True)
class Arrival:
    """One request: its function, method, headers and JSON body; `at` in monotonic seconds."""

    function: str
    method: str
    headers: dict[str, str]
    body: Any
    at: float


@dataclass
class Webhook:
    """`statuses` are the answers to the next notifications, 202 follows. `address` is its URL."""

    statuses: deque[int] = field(default_factory=deque)
    arrivals: list[Arrival] = field(default_factory=list)
    address: str = ""
    refuse_handshakes: int = 0

    async def _receive(self, request: Request) -> Response:
        if request.query_params.get("code") != KEY:
            return Response(status_code=401)
        text = await request.body()
        body = json.loads(text) if text else None
        function = request.query_params["functionName"]
        headers = dict(request.headers)
        arrival = Arrival(function, request.method, headers, body, time.monotonic())
        self.arrivals.append(arrival)
        if request.method == "OPTIONS" or headers.get("aeg-event-type") == "SubscriptionValidation":
            return self._handshake(arrival)
        return Response(status_code=self.statuses.popleft() if self.statuses else 202)

    def _handshake(self, arrival: Arrival) -> Response:
        if self.refuse_handshakes:
            self.refuse_handshakes -= 1
            return Response(status_code=503)
        if arrival.method == "OPTIONS":
            origin = arrival.headers["webhook-request-origin"]
            return Response(headers={"WebHook-Allowed-Origin": origin})
        return JSONResponse({"validationResponse": arrival.body[0]["data"]["validationCode"]})

    def notifications(self, function: str = "") -> list[Arrival]:
        """The deliveries so far, for one function or for all."""
        return [
            arrival
            for arrival in list(self.arrivals)
            if arrival.headers.get("aeg-event-type") == "Notification"
            and function in ("", arrival.function)
        ]

    def events(self, function: str = "") -> list[dict[str, Any]]:
        """The events delivered so far, from either schema."""
        bodies = [arrival.body for arrival in self.notifications(function)]
        return [event for body in bodies for event in (body if isinstance(body, list) else [body])]


@contextmanager
def serving(folder: Path) -> Iterator[Webhook]:
    """A webhook that listens."""
    webhook = Webhook()
    app = Starlette(routes=[Route(PATH, webhook._receive, methods=["POST", "OPTIONS"])])
    unused = Certificate(folder, folder, folder)
    server = Server([Site("host", app, tls=False)], unused)
    webhook.address = server.start()["host"]
    try:
        yield webhook
    finally:
        server.stop()


def until(condition: Callable[[], bool], seconds: float = 15.0) -> None:
    """Wait for a condition. AssertionError when it does not come true in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.02)
