"""Event Grid: the subscriptions of infra/event-subscriptions.json, and a custom topic."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from workbench.emulators.eventgrid_delivery import Counters, Options, Subscription, Webhook
from workbench.emulators.storage_events import BlobEvent

AUDIENCE = "https://eventgrid.azure.net"
TOPIC_PATH = "/api/events"
TOPIC_API_VERSION = "2018-01-01"
TOPIC_BYTES = 1_000_000
_CLOUD_EVENT = ("id", "source", "type", "specversion")
_GRID_EVENT = ("id", "subject", "eventType", "eventTime", "data", "dataVersion")


class EventGrid:
    """All subscriptions. `account_names`: account in the roles -> storage account name."""

    def __init__(
        self,
        specs: Sequence[Mapping[str, Any]],
        account_names: Mapping[str, str],
        options: Options | None = None,
    ) -> None:
        self._webhook: Webhook | None = None
        self._subscriptions = [
            Subscription(spec, account_names[spec["account"]], options or Options())
            for spec in specs
        ]

    def connect(self, host: str, key: str) -> None:
        """Deliver to a functions host, `http://127.0.0.1:7071`, by its system key.

        Until then events wait. Another host takes over from the next delivery on.
        """
        self._webhook = Webhook(host, key)

    def publish(self, event: BlobEvent) -> None:
        """Queue an event for every subscription that wants it. On the event loop only."""
        for subscription in self._subscriptions:
            if subscription.account == event.account:
                subscription.offer(event)

    def idle(self) -> bool:
        """Nothing is queued and nothing is under way."""
        return all(subscription.idle() for subscription in self._subscriptions)

    def tried(self) -> bool:
        """Every event was delivered or refused once; what is refused, or has nobody, waits on."""
        return all(subscription.tried() for subscription in self._subscriptions)

    def counters(self) -> dict[str, Counters]:
        """What happened so far, by subscription."""
        return {subscription.name: subscription.counters for subscription in self._subscriptions}

    async def run(self) -> None:
        """Deliver for ever."""
        trust = ssl.create_default_context()
        await asyncio.gather(*(s.run(trust, lambda: self._webhook) for s in self._subscriptions))


class Topic:
    """A custom topic: keeps what is published, one JSON line an event, in `file`.

    `publishers` are the principals with the role EventGrid Data Sender.
    """

    def __init__(self, file: Path, publishers: Sequence[str] = ("app",)) -> None:
        self._file = file
        self._publishers = publishers

    def published(self) -> list[dict[str, Any]]:
        """All events so far, in order of arrival."""
        try:
            lines = self._file.read_text("utf-8").splitlines()
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in lines]

    def routes(self, caller: Callable[[Request, str], str | None]) -> list[BaseRoute]:
        """POST /api/events, in the CloudEvents batch or the Event Grid schema."""

        async def receive(request: Request) -> Response:
            principal = caller(request, AUDIENCE)
            if principal is None:
                return _refusal(401, "Unauthorized", "The token is missing or not valid here.")
            if principal not in self._publishers:
                return _refusal(403, "Forbidden", f"{principal} is no EventGrid Data Sender.")
            return self._take(request, await request.body())

        return [Route(TOPIC_PATH, receive, methods=["POST"], name="eventgrid.publish")]

    def _take(self, request: Request, body: bytes) -> Response:
        if request.query_params.get("api-version") != TOPIC_API_VERSION:
            return _refusal(400, "BadRequest", f"The api-version must be {TOPIC_API_VERSION}.")
        if len(body) > TOPIC_BYTES:
            return _refusal(413, "PayloadTooLarge", f"At most {TOPIC_BYTES} bytes.")
        cloud = "cloudevents" in request.headers.get("content-type", "")
        try:
            events = json.loads(body)
        except ValueError:
            return _refusal(400, "BadRequest", "The body is no JSON.")
        needed = _CLOUD_EVENT if cloud else _GRID_EVENT
        listed = events if isinstance(events, list) else [events]
        if not all(isinstance(event, dict) and event.keys() >= set(needed) for event in listed):
            return _refusal(400, "BadRequest", f"An event needs {', '.join(needed)}.")
        self._file.parent.mkdir(parents=True, exist_ok=True)
        with self._file.open("a", encoding="utf-8") as file:
            file.writelines(f"{json.dumps(event)}\n" for event in listed)
        return Response(status_code=200)


def _refusal(status: int, code: str, message: str) -> Response:
    return JSONResponse({"error": {"code": code, "message": message}}, status)
