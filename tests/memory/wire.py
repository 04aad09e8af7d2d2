"""What all in-memory ports share: a clock that is given, and a place where faults come in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

Phase = Literal["before", "after"]
Hook = Callable[[Phase, str, str], None]
"""Called with (phase, operation such as `ledger.create`, what it is about).

What it raises before the effect is a lost request; after it, a lost answer.
"""

START = datetime(2026, 1, 1, tzinfo=UTC)


def _still() -> datetime:
    return START


def _nothing(_phase: Phase, _operation: str, _subject: str) -> None:
    return None


@dataclass
class Wire:
    """The way to a service. One wire may be shared by all ports of a simulation."""

    clock: Callable[[], datetime] = _still
    hook: Hook = _nothing
    calls: int = 0
    """I/O calls so far."""

    def request(self, operation: str, subject: str) -> Request:
        """Around the effect of one request."""
        return Request(self, operation, subject)


@dataclass
class Request:
    """One request: entered before its effect, left after it, unless the service refused."""

    wire: Wire
    operation: str
    subject: str

    def __enter__(self) -> None:
        self.wire.calls += 1
        self.wire.hook("before", self.operation, self.subject)

    def __exit__(self, refused: object, *_: object) -> None:
        if refused is None:
            self.wire.hook("after", self.operation, self.subject)
