"""Binds the functions of one folder to their triggers and answers HTTP for all of them."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from workbench.host import eventgrid, http, timer
from workbench.host.index import Function, HostSettings, Index, Json
from workbench.host.invoke import Invoker

_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
_DRAIN_SECONDS = 2.0
log = logging.getLogger("host")


class FunctionsServer:
    """One function app: its routes, its Event Grid webhook, its timers, the admin routes.

    `key` is master key, function key and system key in one.
    """

    def __init__(self, folder: Path, settings: HostSettings, index: Index, key: str) -> None:
        self._prefix, self._index, self._key = settings.route_prefix, index, key
        self._began = time.monotonic()
        self._routes: list[http.Route] = []
        self._events: dict[str, Function] = {}
        self._timers: list[Function] = []
        for function in tuple(index.functions):
            self._bind(function)
        self._routes.sort(key=lambda route: route.rank)
        names = [function.name for function in index.functions]
        self._invoker = Invoker(names, folder, settings.timeout, _threads())
        self._admin: dict[str, Callable[[], Any]] = {
            "/admin/host/status": self._status,
            "/admin/functions": self._list,
            "/admin/tidehunt/invocations": self._invocations,
        }

    def _bind(self, function: Function) -> None:
        """Bind one function; what its trigger refuses costs this function alone."""
        try:
            if function.disabled:
                return
            if function.kind == "httpTrigger":
                self._routes.append(http.make_route(self._prefix, function))
            elif function.kind == "timerTrigger":
                timer.check_schedule(str(function.trigger["schedule"]))
                self._timers.append(function)
            else:
                self._events[function.name] = function
        except ValueError as error:
            self._index.functions.remove(function)
            self._index.function_errors[function.name] = str(error)

    def application(self) -> ASGIApp:
        """The ASGI application; timers run from its start-up to its shutdown."""
        others = self._others()

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            # Deliveries are many and carry the key: what guards pages is not for them.
            if scope["type"] == "http" and scope["path"].lower() == eventgrid.PATH:
                request = Request(scope, receive)
                answer = eventgrid.receive(request, self._events, self._key, self._invoker)
                await (await _finished(answer))(scope, receive, send)
            else:
                await others(scope, receive, send)

        return serve

    def _others(self) -> Starlette:
        return Starlette(
            routes=[Route("/{path:path}", self._answer, methods=list(_METHODS))],
            # A web page that rebinds its name to this machine must not reach anonymous routes.
            middleware=[Middleware(TrustedHostMiddleware, ["127.0.0.1", "localhost"])],
            lifespan=self._lifespan,
        )

    def report(self) -> None:
        """Say in the log what was found, and loudly what was not."""
        for error in self._index.errors:
            log.error("The worker could not load the app: %s", error)
        for name, reason in self._index.function_errors.items():
            log.error("The '%s' function is in error: %s", name, reason)
        log.info("%d functions found", len(self._index.functions))

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(timer.keep_time(one, self._invoker)) for one in self._timers]
        yield
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._drain()

    async def _drain(self) -> None:
        """Let timer functions under way return: what is cut off in a turn holds the next one up."""
        ends = time.monotonic() + _DRAIN_SECONDS
        while time.monotonic() < ends and any(map(self._invoker.busy, self._timers)):
            await asyncio.sleep(0.02)

    async def _answer(self, request: Request) -> Response:
        return await _finished(self._dispatch(request))

    async def _dispatch(self, request: Request) -> Response:
        path = request.url.path.lower()
        if path.startswith("/admin/"):
            return self._administer(request, path)
        if path == "/":
            return PlainTextResponse("Your function app is up and running.")
        return await http.serve(request, self._routes, self._key, self._invoker)

    def _administer(self, request: Request, path: str) -> Response:
        if not http.authorized(request, self._key):
            return Response(status_code=401)
        if request.method != "GET" or path not in self._admin:
            return Response(status_code=404)
        return JSONResponse(self._admin[path]())

    def _status(self) -> Json:
        return {
            "state": "Running",
            "functions": len(self._index.functions),
            "errors": self._index.errors,
            "functionErrors": self._index.function_errors,
            "processUptime": int((time.monotonic() - self._began) * 1000),
        }

    def _list(self) -> list[Json]:
        return [
            {
                "name": function.name,
                "language": "python",
                "isDisabled": function.disabled,
                "config": {"bindings": list(function.bindings)},
            }
            for function in self._index.functions
        ]

    def _invocations(self) -> Json:
        return {
            function.name: {"trigger": function.kind} | asdict(self._invoker.tallies[function.name])
            for function in self._index.functions
        }


async def _finished(answer: Awaitable[Response]) -> Response:
    try:
        return await answer
    except asyncio.CancelledError:  # the host stops, and the grace is over
        return Response(status_code=503)


def _threads() -> int | None:
    """Size of the pool by the worker's own setting, None for Python's default."""
    text = os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT", "")
    return int(text) if text.isdigit() and int(text) > 0 else None
