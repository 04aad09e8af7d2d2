"""Faults on demand: a queue of instructions per named route, as googleapis/storage-testbench has.

    unheard     nothing happens, the connection is dropped without an answer
    before      the error is answered, nothing happened
    after       the effect is kept, the error is answered
    lost        the effect is kept, the connection is dropped without an answer
    reset       the effect is kept, the connection is reset in the middle of the answer's body
    slow        the effect is kept at once, the answer comes `seconds` later
    late        the effect itself comes `seconds` later, whether or not the caller still waits

One request takes one instruction. A fault test ends by asserting that `pending()` is empty.
"""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from starlette.routing import BaseRoute, Match, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

Kind = Literal["unheard", "before", "after", "lost", "reset", "slow", "late"]
ANY = "*"
"""The route that stands for every request that meets no fault of its own."""
TRANSPORT = "transport"
"""Key of the connection's asyncio transport in an ASGI scope's state (see server.py)."""


@dataclass(frozen=True)
class Fault:
    """One instruction. `retry_after` is in seconds; None sends no such header."""

    kind: Kind
    status: int = 503
    retry_after: int | None = None
    seconds: float = 0.0
    code: str = ""
    """The service's error code, sent as x-ms-error-code."""
    also: Callable[[], None] | None = None
    """What happens at that moment besides, e.g. that the caller is killed."""


class Faults:
    """The queues. Instructions may be added from any thread."""

    def __init__(self) -> None:
        self._queues: dict[str, deque[Fault | None]] = {}
        self.seen: Counter[str] = Counter()
        """Requests so far, by route."""
        self.fired: Counter[tuple[str, Kind]] = Counter()
        """Faults so far, by route and kind."""

    def add(self, route: str, *faults: Fault | None) -> None:
        """Let the next requests of a route, or of ANY, meet these faults, in this order; None lets
        one pass."""
        self._queues.setdefault(route, deque()).extend(faults)

    def take(self, route: str) -> Fault | None:
        """The next instruction of a route, which is thereby used."""
        queue = self._queues.get(route) or self._queues.get(ANY)
        fault = queue.popleft() if queue else None
        self.seen[route] += 1
        if fault is not None:
            self.fired[route, fault.kind] += 1
        return fault

    def pending(self) -> dict[str, list[Fault]]:
        """What has not fired, by route."""
        left = {route: [one for one in queue if one] for route, queue in self._queues.items()}
        return {route: faults for route, faults in left.items() if faults}

    def clear(self) -> None:
        """Forget what has not fired."""
        self._queues.clear()


class FaultMiddleware:
    """ASGI middleware: `name_of` names the route of a request, "" for none."""

    def __init__(self, app: ASGIApp, faults: Faults, name_of: Callable[[Scope], str]) -> None:
        self._app = app
        self._faults = faults
        self._name_of = name_of

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request, with its fault if it has one."""
        fault = self._faults.take(self._name_of(scope)) if scope["type"] == "http" else None
        if fault is None:
            await self._app(scope, receive, send)
        else:
            await self._fail(fault, scope, receive, send)

    async def _fail(self, fault: Fault, scope: Scope, receive: Receive, send: Send) -> None:
        if fault.kind in ("unheard", "before"):
            _act(fault)
            await _drain(receive)
            await (_cut([], scope, send) if fault.kind == "unheard" else _refuse(fault, send))
            return
        if fault.kind == "late":
            receive = await _held(receive)
            await asyncio.sleep(fault.seconds)
        answer: list[Message] = []
        await self._app(scope, receive, _keep(answer))
        _act(fault)
        if fault.kind == "after":
            await _refuse(fault, send)
        elif fault.kind in ("lost", "reset"):
            await _cut(answer if fault.kind == "reset" else [], scope, send)
        else:
            await asyncio.sleep(fault.seconds if fault.kind == "slow" else 0)
            await _replay(answer, send)


def route_names(routes: Sequence[BaseRoute]) -> Callable[[Scope], str]:
    """A `name_of` for Starlette routes: method and path template, e.g. `GET /items/{id:int}`."""

    def name_of(scope: Scope) -> str:
        found = [r for r in routes if isinstance(r, Route) and r.matches(scope)[0] is Match.FULL]
        return f"{scope['method']} {found[0].path}" if found else ""

    return name_of


def _act(fault: Fault) -> None:
    if fault.also is not None:
        fault.also()


async def _drain(receive: Receive) -> None:
    """Read the body to its end: a server that answers early resets the caller's upload."""
    while (await receive()).get("more_body"):
        pass


async def _held(receive: Receive) -> Receive:
    """The body, read now: the app gets it even when the caller is gone by then."""
    messages = [await receive()]
    while messages[-1].get("more_body"):
        messages.append(await receive())
    left = iter(messages)

    async def again() -> Message:
        return next(left, {"type": "http.disconnect"})

    return again


def _keep(answer: list[Message]) -> Send:
    async def send(message: Message) -> None:
        answer.append(message)

    return send


async def _replay(answer: list[Message], send: Send) -> None:
    for message in answer:
        await send(message)


async def _refuse(fault: Fault, send: Send) -> None:
    headers = [(b"content-length", b"0")]
    if fault.retry_after is not None:
        headers.append((b"retry-after", str(fault.retry_after).encode()))
    if fault.code:
        headers.append((b"x-ms-error-code", fault.code.encode()))
    await send({"type": "http.response.start", "status": fault.status, "headers": headers})
    await send({"type": "http.response.body", "body": b""})


async def _cut(answer: list[Message], scope: Scope, send: Send) -> None:
    """Send the head and half of the body, if any, then drop the connection."""
    if answer:
        body = b"".join(message.get("body", b"") for message in answer[1:])
        length = (b"content-length", str(len(body) + 1).encode())  # one byte that never comes
        headers = [h for h in answer[0]["headers"] if h[0].lower() != b"content-length"]
        await send({**answer[0], "headers": [*headers, length]})
        half = body[: len(body) // 2]
        await send({"type": "http.response.body", "body": half, "more_body": True})
    transport: asyncio.Transport = scope["state"][TRANSPORT]
    transport.abort()
