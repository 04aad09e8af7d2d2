"""A small Azure Functions host for one machine: python -m workbench.host --app FOLDER

Serves a v2 function app over the public azure.functions API: HTTP, Event Grid and timer triggers
on plain http at 127.0.0.1. The environment variable TIDEHUNT_HOST_KEY is the host's only key:
master key, function key and Event Grid system key in one; the app does not get to see it.

    GET /admin/host/status           state, number of functions, why functions are missing
    GET /admin/functions             the functions with their bindings
    GET /admin/tidehunt/invocations  by name: trigger, started, succeeded, failed, busy, last,
                                     last_error

Logs are JSON lines on stderr. Exit codes: 0 stopped, 1 the server died, 2 it cannot start (one
line on stderr says why). The host ends with its parent.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from workbench.host.index import (
    Json,
    UnusableApp,
    apply_local_settings,
    index_app,
    read_host_settings,
)
from workbench.host.invoke import current
from workbench.host.server import FunctionsServer

KEY_SETTING = "TIDEHUNT_HOST_KEY"
ADDRESS = "127.0.0.1"
_LEVELS = {
    "Trace": logging.DEBUG,
    "Debug": logging.DEBUG,
    "Warning": logging.WARNING,
    "Error": logging.ERROR,
    "Critical": logging.CRITICAL,
    "None": logging.CRITICAL + 1,
}
_WATCH_SECONDS = 0.05
_GRACE_SECONDS = 1
_JOIN_SECONDS = 3.6
"""From the signal to the end at most: the grace for answers, then the drain of timers."""


class JsonLines(logging.Formatter):
    """One JSON object a record: no control character of a message can forge a line."""

    def format(self, record: logging.LogRecord) -> str:
        line: Json = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if invocation := current.get():
            line["function"] = invocation.function_name
            line["invocation"] = invocation.invocation_id
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)


def main(arguments: list[str] | None = None) -> int:
    """Run the host until it is stopped; returns the exit code."""
    # Until there is something to stop in order, a signal simply ends the process.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))
    options = _options(arguments)
    # Before the working directory changes.
    address_file = options.address_file.absolute() if options.address_file else None
    try:
        listener = _listen(options.port)
        server = _load(options.app.resolve())
    except UnusableApp as error:
        sys.stderr.write(f"functions host: {error}\n")
        return 2
    return _serve(server, listener, address_file, options.parent)


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m workbench.host", description="Serves a function app locally."
    )
    parser.add_argument("--app", type=Path, required=True, help="folder with function_app.py")
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument(
        "--address-file", type=Path, help='gets {"url", "pid"} once requests are answered'
    )
    parser.add_argument(
        "--parent", type=int, default=os.getppid(), help="end when this is no longer the parent"
    )
    return parser.parse_args(arguments)


def _listen(port: int) -> socket.socket:
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if os.name == "posix":  # on Windows the option lets two servers share a port
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((ADDRESS, port))
    except (OSError, OverflowError) as error:
        raise UnusableApp(
            f"cannot listen on {ADDRESS}:{port} ({error}). "
            "Mend: stop what uses the port, or choose another one with --port"
        ) from error
    return listener


def _load(folder: Path) -> FunctionsServer:
    """The server over one folder; the working directory becomes that folder, as in Azure."""
    key = os.environ.pop(KEY_SETTING, "")
    if not key:
        raise UnusableApp(f"{KEY_SETTING} is not set. Mend: set it to a key of your choice")
    settings = read_host_settings(folder)
    apply_local_settings(folder, os.environ)
    _log_to_stderr(settings.log_levels)
    os.chdir(folder)
    server = FunctionsServer(folder, settings, index_app(folder, settings, os.environ), key)
    server.report()
    return server


def _log_to_stderr(levels: Mapping[str, str]) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for category, level in levels.items():
        logger = logging.getLogger(None if category == "default" else category)
        logger.setLevel(_LEVELS.get(level, logging.INFO))
    logging.captureWarnings(capture=True)


def _serve(
    app: FunctionsServer, listener: socket.socket, address_file: Path | None, parent: int
) -> int:
    """Serve until a signal or the parent's end; 0, or 1 when the server died by itself."""
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    server = uvicorn.Server(_configuration(app))
    # In a thread of its own, uvicorn leaves the signals to us.
    thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
    thread.start()
    unwritten = address_file
    while thread.is_alive() and os.getppid() == parent and not stop.wait(_WATCH_SECONDS):
        if server.started and unwritten:
            _write_address(unwritten, listener.getsockname()[1])
            unwritten = None
    died = not thread.is_alive()
    server.should_exit = True
    thread.join(_JOIN_SECONDS)
    return int(died)


def _configuration(app: FunctionsServer) -> uvicorn.Config:
    return uvicorn.Config(
        app.application(),
        http="h11",
        ws="none",
        loop="asyncio",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )


def _write_address(path: Path, port: int) -> None:
    """Written aside and renamed: whoever waits for the file never reads half of it."""
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.write_text(json.dumps({"url": f"http://{ADDRESS}:{port}", "pid": os.getpid()}))
    draft.replace(path)


if __name__ == "__main__":
    code = main()
    logging.shutdown()
    # A function that still runs in its thread would keep an ordinary exit waiting.
    os._exit(code)
