"""One event subscription: its filter, its queue, its deliveries to a webhook.

At least once, without order, with the service's schedule of retries; a webhook is validated
before it gets its first event (CloudEvents: OPTIONS; Event Grid schema: SubscriptionValidation).
The queue is in memory: what it holds when the process ends is lost, as any event may be.
"""

from __future__ import annotations

import asyncio
import heapq
import itertools
import json
import random
import ssl
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx

from shared.errors import BadInput
from workbench.emulators.storage_events import BlobEvent, cloud_event, data, grid_event, resource_id

RETRY_SECONDS = (10, 30, 60, 300, 600, 1800, 3600, 10800, 21600, 43200)
"""Waits before the second, third ... attempt; the last one repeats. Times the factor."""
SLOWER: Mapping[int, int] = {403: 300, 404: 300, 408: 120, 503: 30}
"""Shortest wait, in seconds before the factor, after these answers."""
NEVER_AGAIN = frozenset({400, 401, 413})
ACCEPTED = frozenset({200, 201, 202, 203, 204})
EXPIRES_SECONDS = 24 * 3600
FILTERS = frozenset(
    {
        "includedEventTypes",
        "subjectBeginsWith",
        "subjectEndsWith",
        "isSubjectCaseSensitive",
        "advancedFilters",
    }
)
ORIGIN = "eventgrid.azure.net"
HANDSHAKE_SECONDS = 0.25


@dataclass(frozen=True)
class Options:
    """How to deliver. The defaults are the service's, but for the factor: a first retry after
    1 s instead of 10 s.

    For experiments: `copies` of each event, a random delay of up to `shuffle_seconds` for each
    when `shuffle_seed` is set, and `drop` for a tenant whose events never arrive.
    """

    retry_factor: float = 0.1
    attempts: int = 30
    """The most for one event. It expires after a day, times the factor, as well."""
    answer_seconds: float = 30.0
    at_once: int = 16
    """Deliveries of one subscription that may be under way."""
    capacity: int = 200_000
    """Events that may wait in one subscription; more are dropped, and counted."""
    copies: int = 1
    shuffle_seed: int | None = None
    shuffle_seconds: float = 3.0
    drop: bool = False


@dataclass
class Counters:
    """Of one subscription. `raised` by its account, `matched` its filter; `delivered`, `failed`
    and `dropped` count deliveries: copies are separate ones. A failed one may come again."""

    raised: int = 0
    matched: int = 0
    delivered: int = 0
    failed: int = 0
    dropped: int = 0


@dataclass(frozen=True, slots=True)
class _Delivery:
    event: BlobEvent
    first: float
    attempts: int = 0


@dataclass(frozen=True)
class Webhook:
    """A functions host, e.g. `http://127.0.0.1:7071`, and its system key."""

    host: str
    key: str

    def url(self, function: str) -> str:
        """Where the events of a function go."""
        query = httpx.QueryParams({"functionName": function, "code": self.key})
        return f"{self.host.rstrip('/')}/runtime/webhooks/EventGrid?{query}"


class Subscription:
    """One event subscription and its queue. `spec` is an entry of infra/event-subscriptions.json,
    `account_name` the storage account's own name."""

    def __init__(self, spec: Mapping[str, Any], account_name: str, options: Options) -> None:
        self.name = str(spec["name"])
        self.account = str(spec["account"])
        self.counters = Counters()
        self._function = str(spec["function"])
        self._cloud = spec["eventDeliverySchema"] == "CloudEventSchemaV1_0"
        self._build = cloud_event if self._cloud else grid_event
        self._filter: Mapping[str, Any] = spec.get("filter", {})
        _check_filter(self.name, self._filter)
        self._account_name = account_name
        self._options = options
        self._random = random.Random(options.shuffle_seed)  # noqa: S311  an experiment's order
        self._waiting: list[tuple[float, int, _Delivery]] = []
        self._order = itertools.count()
        self._under_way = 0
        self._validated = False
        self._arrived = asyncio.Event()

    def offer(self, event: BlobEvent) -> None:
        """Queue an event of the account if it passes the filter."""
        self.counters.raised += 1
        if not self._matches(event):
            return
        self.counters.matched += 1
        for _ in range(self._options.copies):
            delay = 0.0
            if self._options.shuffle_seed is not None:
                delay = self._random.uniform(0, self._options.shuffle_seconds)
            self._put(_Delivery(event, time.monotonic()), delay)

    def idle(self) -> bool:
        """Nothing waits and nothing is under way."""
        return not self._waiting and not self._under_way

    def tried(self) -> bool:
        """Every event was delivered or refused once, as far as there is a webhook that answers."""
        waiting = self._validated and any(not one.attempts for _, _, one in self._waiting)
        return not waiting and not self._under_way

    async def run(self, trust: ssl.SSLContext, webhook: Callable[[], Webhook | None]) -> None:
        """Deliver for ever, once there is a webhook to deliver to and it is validated."""
        async with self._client(trust) as client:
            while not await self._handshake(client, webhook()):
                await asyncio.sleep(HANDSHAKE_SECONDS)
        self._validated = True
        async with asyncio.TaskGroup() as workers:
            for _ in range(self._options.at_once):
                workers.create_task(self._work(trust, webhook))

    async def _work(self, trust: ssl.SSLContext, webhook: Callable[[], Webhook | None]) -> None:
        """One delivery after the other on a connection of its own: a pool looks through all its
        connections for every request, which costs more than the request."""
        async with self._client(trust) as client:
            while True:
                delivery = await self._next()
                await self._deliver(client, webhook(), delivery)

    def _client(self, trust: ssl.SSLContext) -> httpx.AsyncClient:
        seconds = self._options.answer_seconds
        return httpx.AsyncClient(timeout=seconds, verify=trust, trust_env=False)

    def _matches(self, event: BlobEvent) -> bool:
        types = self._filter.get("includedEventTypes")
        begins = str(self._filter.get("subjectBeginsWith", ""))
        ends = str(self._filter.get("subjectEndsWith", ""))
        subject = event.subject
        if not self._filter.get("isSubjectCaseSensitive", False):
            subject, begins, ends = subject.lower(), begins.lower(), ends.lower()
        return (
            (not types or event.type in types)
            and subject.startswith(begins)
            and subject.endswith(ends)
            and all(self._advanced(rule, event) for rule in self._filter.get("advancedFilters", ()))
        )

    def _advanced(self, rule: Mapping[str, Any], event: BlobEvent) -> bool:
        """StringIn over data; it ignores case, as the service does."""
        field = str(rule["key"]).removeprefix("data.")
        value = str(data(event, self._account_name).get(field, "")).lower()
        return value in {str(wanted).lower() for wanted in rule["values"]}

    def _put(self, delivery: _Delivery, delay: float) -> None:
        if self._options.drop or len(self._waiting) >= self._options.capacity:
            self.counters.dropped += 1
            return
        due = time.monotonic() + delay
        heapq.heappush(self._waiting, (due, next(self._order), delivery))
        self._arrived.set()

    async def _next(self) -> _Delivery:
        while True:
            self._arrived.clear()
            wait = self._waiting[0][0] - time.monotonic() if self._waiting else None
            if wait is not None and wait <= 0:
                self._under_way += 1
                return heapq.heappop(self._waiting)[2]
            try:
                async with asyncio.timeout(wait):
                    await self._arrived.wait()
            except TimeoutError:
                continue

    async def _deliver(
        self, client: httpx.AsyncClient, webhook: Webhook | None, delivery: _Delivery
    ) -> None:
        status = await self._post(client, webhook, delivery)
        if status in ACCEPTED:
            self.counters.delivered += 1
        else:
            self.counters.failed += 1
            self._again(delivery, status)
        self._under_way -= 1

    def _again(self, delivery: _Delivery, status: int) -> None:
        attempts = delivery.attempts + 1
        factor = self._options.retry_factor
        scheduled = RETRY_SECONDS[min(attempts, len(RETRY_SECONDS)) - 1]
        wait = max(scheduled, SLOWER.get(status, 0)) * factor
        expired = time.monotonic() + wait > delivery.first + EXPIRES_SECONDS * factor
        if status in NEVER_AGAIN or attempts >= self._options.attempts or expired:
            self.counters.dropped += 1
        else:
            self._put(_Delivery(delivery.event, delivery.first, attempts), wait)

    async def _post(
        self, client: httpx.AsyncClient, webhook: Webhook | None, delivery: _Delivery
    ) -> int:
        """The status of one attempt; 0 for no answer."""
        built = self._build(delivery.event, self._account_name)
        headers = {
            "aeg-event-type": "Notification",
            "aeg-subscription-name": self.name.upper(),
            "aeg-delivery-count": str(delivery.attempts),
            "content-type": f"application/{'cloudevents+' if self._cloud else ''}json",
        }
        body = json.dumps(built if self._cloud else [built])
        return await _status(client, webhook, self._function, body, headers)

    async def _handshake(self, client: httpx.AsyncClient, webhook: Webhook | None) -> bool:
        if webhook is None:
            return False
        try:
            return await self._validate(client, webhook.url(self._function))
        except (httpx.HTTPError, ValueError, KeyError, TypeError):
            return False

    async def _validate(self, client: httpx.AsyncClient, url: str) -> bool:
        if self._cloud:
            answer = await client.options(url, headers={"WebHook-Request-Origin": ORIGIN})
            return answer.headers.get("WebHook-Allowed-Origin") in (ORIGIN, "*")
        code = str(uuid.uuid4())
        event = {
            "id": str(uuid.uuid4()),
            "topic": resource_id(self._account_name),
            "subject": "",
            "data": {"validationCode": code},
            "eventType": "Microsoft.EventGrid.SubscriptionValidationEvent",
            "eventTime": datetime.now(UTC).isoformat(),
            "metadataVersion": "1",
            "dataVersion": "2",
        }
        answer = await client.post(
            url, json=[event], headers={"aeg-event-type": "SubscriptionValidation"}
        )
        return bool(answer.json()["validationResponse"] == code)


def _check_filter(name: str, given: Mapping[str, Any]) -> None:
    """BadInput for a filter that would not be applied here as the service applies it."""
    unknown = given.keys() - FILTERS
    operators = {str(rule["operatorType"]) for rule in given.get("advancedFilters", ())}
    unknown |= operators - {"StringIn"}
    if unknown:
        raise BadInput(
            f"event subscription {name} filters by {', '.join(sorted(unknown))}",
            where="event-subscriptions.json",
            mend="teach the emulator this filter, or use StringIn and the subject filters",
        )


async def _status(
    client: httpx.AsyncClient,
    webhook: Webhook | None,
    function: str,
    body: str,
    headers: Mapping[str, str],
) -> int:
    if webhook is None:
        return 0
    try:
        answer = await client.post(webhook.url(function), content=body, headers=headers)
    except httpx.HTTPError:
        return 0
    return answer.status_code
