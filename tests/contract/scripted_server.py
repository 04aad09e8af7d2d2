"""A TLS server on loopback that answers as a script says, and keeps what arrived."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from workbench.emulators.tls import Certificate


@dataclass(frozen=True)
class Arrived:
    """One request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Answer:
    """What to answer. `broken`: the connection is reset in the middle of the body."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    after: float = 0.0
    """Seconds of silence before it."""
    broken: bool = False
    stalls: float = 0.0
    """Seconds of silence in the middle of the body."""


DROP = Answer(status=0)
"""No answer: the connection is reset."""
Step = Answer | Callable[[Arrived], Answer]


class Script(ThreadingHTTPServer):
    """Answers each request by the next step; the last step answers all that follow."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.steps: deque[Step] = deque()
        self.arrived: list[Arrived] = []
        self.lock = threading.Lock()

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.server_address[1]}"

    def play(self, *steps: Step) -> None:
        """Forget what was and answer by these steps."""
        with self.lock:
            self.steps, self.arrived = deque(steps), []

    def step(self, request: Arrived) -> Answer:
        with self.lock:
            self.arrived.append(request)
            step = self.steps.popleft() if len(self.steps) > 1 else self.steps[0]
        return step if isinstance(step, Answer) else step(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that left is part of most scripts."""


@contextmanager
def script(certificate: Certificate) -> Iterator[Script]:
    """A running server."""
    server = Script()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: Script

    def handle_one_request(self) -> None:
        self.raw_requestline = self.rfile.readline(65537)
        if not self.raw_requestline or not self.parse_request():
            self.close_connection = True
            return
        self._answer(self.server.step(self._read()))

    def _read(self) -> Arrived:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        return Arrived(self.command, self.path, headers, self.rfile.read(length))

    def _answer(self, answer: Answer) -> None:
        time.sleep(answer.after)
        if answer.status:
            self.send_response(answer.status)
            missing = 1 if answer.broken or answer.stalls else 0
            self.send_header("Content-Length", str(len(answer.body) + missing))
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
            self.wfile.flush()
        time.sleep(answer.stalls)
        if answer.broken or answer.stalls or not answer.status:
            self._reset()

    def _reset(self) -> None:
        self.close_connection = True
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:
        """The test says what matters."""
