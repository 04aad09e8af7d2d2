"""A process that lives to be killed in the middle of a call: python -m tests.contract.wire_caller

It has imported everything; for each line `<route> <name> <given>` it forks a child that tells its
pid, waits for a line, and then makes the call. The parent tells how the child ended.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from shared import bootstrap
from shared.deployment import Deployment
from tests.contract.wire_routes import ROUTES


class Caller:
    """The process as its tests use it, one call at a time."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.contract.wire_caller"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=dict(environment),
            bufsize=0,
        )

    def call(self, route: str, name: str, given: str, before: Callable[[int], None]) -> int:
        """Let a child make a call, once `before` knows its pid; minus the signal that ended it."""
        with self._lock:
            self._tell(f"{route}\t{name}\t{given}")
            before(self._heard())
            self._tell("go")
            return self._heard()

    def end(self) -> None:
        """End the process."""
        streams = (self._process.stdin, self._process.stdout)
        for stream in streams:
            if stream is not None:
                stream.close()
        self._process.wait(10)

    def _tell(self, line: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())

    def _heard(self) -> int:
        assert self._process.stdout is not None
        return int(self._process.stdout.readline())


@contextmanager
def calling(environment: Mapping[str, str]) -> Iterator[Caller]:
    """A running caller."""
    caller = Caller(environment)
    try:
        yield caller
    finally:
        caller.end()


def main() -> None:
    """Fork a child for every line until the input ends."""
    deployment = bootstrap.build(os.environ)
    while line := _line():
        child = os.fork()
        if child == 0:
            _act(deployment, *line.split("\t"))
        _, status = os.waitpid(child, 0)
        _say(os.waitstatus_to_exitcode(status))


def _act(deployment: Deployment, route: str, name: str, given: str) -> None:
    """The child's part: it never comes back."""
    try:
        _say(os.getpid())
        _line()
        ROUTES[route].call(deployment, name, given)
    finally:
        os._exit(0)


def _line() -> str:
    """A line of the input. Unbuffered: parent and child read from the same pipe."""
    read = bytearray()
    while (byte := os.read(0, 1)) not in (b"", b"\n"):
        read += byte
    return read.decode()


def _say(number: int) -> None:
    os.write(1, f"{number}\n".encode())


if __name__ == "__main__":
    main()
