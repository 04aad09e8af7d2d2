"""Serves several ASGI apps on several ports from one event loop in one background thread."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import logging
import socket
import threading
from collections.abc import Coroutine, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol

from shared.errors import BadInput
from workbench.emulators.faults import TRANSPORT
from workbench.emulators.tls import Certificate

HOST = "127.0.0.1"
STOP_SECONDS = 2
KEEP_ALIVE_SECONDS = 120
"""Of a connection that nobody uses; the services keep theirs for minutes."""
log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True)
class Site:
    """One app on one port; port 0 takes a free one."""

    name: str
    app: ASGIApp
    port: int = 0
    tls: bool = True


class Server:
    """Starts and stops sites. `logs`: a folder for server.log and, if wished, access.log."""

    def __init__(
        self,
        sites: Sequence[Site],
        certificate: Certificate,
        *,
        logs: Path | None = None,
        access_log: bool = False,
    ) -> None:
        self._sites = list(sites)
        self._certificate = certificate
        self._logs = logs
        self._access_log = access_log and logs is not None
        self._thread: threading.Thread | None = None
        self._loop: asyncio.AbstractEventLoop
        self._servers: list[uvicorn.Server] = []
        self._background: set[asyncio.Task[Any]] = set()

    def start(self) -> dict[str, str]:
        """Bind all ports, then serve; site name -> its URL without a path.

        BadInput when a port is in use or not allowed.
        """
        with contextlib.ExitStack() as bound:
            sockets = [bound.enter_context(_bind(site)) for site in self._sites]
            addresses = {
                site.name: f"{'https' if site.tls else 'http'}://{HOST}:{sock.getsockname()[1]}"
                for site, sock in zip(self._sites, sockets, strict=True)
            }
            _route_logs(self._logs, self._access_log)
            self._servers = [uvicorn.Server(self._config(site)) for site in self._sites]
            bound.pop_all()  # the servers close them
        self._loop = asyncio.new_event_loop()
        self._loop.set_exception_handler(_log_trouble)
        ready: Future[None] = Future()
        self._thread = threading.Thread(
            target=self._serve, args=(sockets, ready), name="local-cloud", daemon=True
        )
        self._thread.start()
        ready.result()
        return addresses

    def spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """Run a coroutine on the loop until it ends or the server stops."""

        def create() -> None:
            task = self._loop.create_task(work)
            self._background.add(task)
            task.add_done_callback(self._ended)

        self._loop.call_soon_threadsafe(create)

    def call(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Run a coroutine on the loop and wait for its result."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def stop(self) -> None:
        """End within seconds, open keep-alive connections or not. Safe to call twice."""
        if self._thread is None:
            return
        for server in self._servers:
            server.should_exit = True
        self._thread.join()
        self._thread = None

    def _serve(self, sockets: Sequence[socket.socket], ready: Future[None]) -> None:
        try:
            self._loop.run_until_complete(self._run(sockets, ready))
            self._loop.run_until_complete(self._loop.shutdown_default_executor())
        except BaseException as error:  # the starter waits in another thread: hand it over
            if ready.done():
                raise
            ready.set_exception(error)
        finally:
            self._loop.close()

    async def _run(self, sockets: Sequence[socket.socket], ready: Future[None]) -> None:
        serving = asyncio.gather(
            *(
                server.serve(sockets=[sock])
                for server, sock in zip(self._servers, sockets, strict=True)
            )
        )
        while not serving.done() and not all(server.started for server in self._servers):
            await asyncio.sleep(0.005)
        if not serving.done():
            ready.set_result(None)
        await serving
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for server in self._servers:
            for connection in list(server.server_state.connections):
                connection.transport.abort()
        await asyncio.sleep(0.01)  # the loop tells the connections that they are lost

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._background.discard(task)
        if not task.cancelled() and task.exception():
            log.error("background work ended", exc_info=task.exception())

    def _config(self, site: Site) -> uvicorn.Config:
        return uvicorn.Config(
            site.app,
            http=_Protocol,
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=self._access_log,
            server_header=False,
            proxy_headers=False,
            timeout_keep_alive=KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=STOP_SECONDS,
            ssl_certfile=self._certificate.chain if site.tls else None,
            ssl_keyfile=self._certificate.key if site.tls else None,
        )


class _Protocol(H11Protocol):
    """Hands the connection to the app as well: a fault may have to drop it."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        # Ours is the type that uvicorn's own protocol declares; asyncio's stub is wider.
        self.app_state = {**self.app_state, TRANSPORT: transport}
        super().connection_made(transport)

    def shutdown(self) -> None:
        """End at once when idle: a TLS connection would wait for the peer's goodbye."""
        if self.cycle is None or self.cycle.response_complete:
            self.transport.abort()
        else:
            super().shutdown()


def _log_trouble(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """A dropped connection or a failed handshake is a client's affair, not the console's."""
    log.warning("%s", context.get("message"), exc_info=context.get("exception"))


def _bind(site: Site) -> socket.socket:
    # Named so that asyncio sets TCP_NODELAY: it looks at the protocol's number.
    bound = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((HOST, site.port))
        bound.listen(2048)
    except OSError as error:
        bound.close()
        why = (
            "is in use" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        )
        raise BadInput(
            f"port {site.port} {why}",
            where=f"{HOST}, for {site.name}",
            mend="stop the process that holds it, or choose another port (0 takes a free one)",
        ) from error
    bound.setblocking(False)
    return bound


def _route_logs(folder: Path | None, access_log: bool) -> None:
    """Send uvicorn's loggers to files: without a handler Python would print to the console."""
    _to_file("uvicorn.error", folder / "server.log" if folder else None)
    _to_file("uvicorn.access", folder / "access.log" if folder and access_log else None)


def _to_file(name: str, file: Path | None) -> None:
    logger = logging.getLogger(name)
    logger.propagate = False
    logger.setLevel(logging.INFO if name.endswith("access") else logging.WARNING)
    for old in list(logger.handlers):
        logger.removeHandler(old)
        old.close()
    if file is None:
        if name.endswith("error"):  # the access log is off when it has no handler
            logger.addHandler(logging.NullHandler())
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    handler = logging.FileHandler(file, encoding="utf-8", delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.addHandler(handler)
