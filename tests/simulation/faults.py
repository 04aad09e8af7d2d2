"""Faults at the wire, drawn by the seed: each seed prefers some kinds, so that they pile up."""

from __future__ import annotations

import random
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache

from shared.errors import Forbidden, OutcomeUnknown, Throttled, Transient
from tests.simulation.baton import Call, HostDied

SWALLOWED = "rows swallowed"
KINDS = (
    "crash before",
    "crash after",
    "answer lost",
    "request lost",
    "throttled",
    "forbidden",
    "stalled before",
    "stalled after",
    SWALLOWED,
)
FORBIDDEN_STILL = "forbidden still"
ACTS = frozenset(
    "create replace put delete write submit cancel send publish comment".split()  # noqa: SIM905
)
RARE = {"engine.submit": 30, "sink.send": 10, "incidents.put": 10, "incidents.comment": 10}
"""Few of these are made: each is hit so many times as often."""
STALLS = (5.0, 30.0, 70.0, 200.0, 700.0, 3000.0)
LONGEST_STALL = timedelta(seconds=max(STALLS))
BEYOND_THE_CLAIM = 60.0
"""Who stood still for so long may act beside the next one: the claim ran out meanwhile."""
FELT = {
    "crash before": timedelta(minutes=3),
    "crash after": timedelta(minutes=3),
    "stalled before": timedelta(minutes=3),
    "stalled after": timedelta(minutes=3),
    "throttled": timedelta(minutes=10),
}
"""How long others feel a fault: until the claim runs out, or the service is to be asked again."""
BEFORE = datetime.min.replace(tzinfo=UTC)


@cache
def acts(operation: str) -> bool:
    """True for a request that changes something."""
    return operation.split(".")[1] in ACTS


@dataclass(frozen=True)
class Fault:
    """One that fired; `run_id` is the run that the call was busy with."""

    number: int
    kind: str
    at: datetime
    host: str
    operation: str
    subject: str
    run_id: str


@dataclass
class Faults:
    """Decides what is done to each request between two moments."""

    seed: int
    start: datetime
    end: datetime
    only: Collection[int] | None = None
    """Numbers of the faults that may fire, to find those that matter; None: all."""
    fired: list[Fault] = field(default_factory=list)
    felt_until: datetime = BEFORE
    """When the last of them was over, for others than the call that it met."""
    _drawn: int = 0
    _closed: dict[str, datetime] = field(default_factory=dict)
    """Service -> until when it forbids everything."""

    def __post_init__(self) -> None:
        self._dice = random.Random(f"{self.seed} faults")  # noqa: S311 no secret
        self._rate = self._dice.choice((0.001, 0.003, 0.01))
        self._kinds = self._dice.sample(KINDS, self._dice.randint(2, len(KINDS)))

    def draw(self, now: datetime, call: Call, operation: str, subject: str) -> str:
        """The kind of fault that this request meets, or ""."""
        service = operation.split(".", 1)[0]
        if now < self._closed.get(service, now):
            return FORBIDDEN_STILL
        if not self.start <= now < self.end:
            return ""
        rate = self._rate * RARE.get(operation, 1)
        if self._dice.random() >= rate:
            return ""
        kind, length = self._kind(operation), self._dice.uniform(300, 5400)
        if kind == SWALLOWED and operation != "sink.send":
            return ""
        self._drawn += 1
        if self.only is not None and self._drawn not in self.only:
            return ""
        if kind == "forbidden":
            self._closed[service] = min(now + timedelta(seconds=length), self.end)
        fault = Fault(self._drawn, kind, now, call.host.owner, operation, subject, call.run_id)
        self.fired.append(fault)
        felt = self._closed[service] if kind == "forbidden" else now + FELT.get(kind, timedelta(0))
        self.felt_until = max(self.felt_until, felt)
        return kind

    def _kind(self, operation: str) -> str:
        """Only what is sent can be swallowed: it is then preferred."""
        if operation == "sink.send" and SWALLOWED in self._kinds and self._dice.random() < 0.4:
            return SWALLOWED
        return self._dice.choice(self._kinds)

    @staticmethod
    def interrupts(fault: str) -> bool:
        """True for what keeps a request from its effect, or its caller from the answer."""
        return fault not in ("", SWALLOWED) and not fault.startswith("stalled")

    def before(self, call: Call, operation: str) -> None:
        """What happens instead of the request, or before it."""
        if call.fault == "crash before":
            call.host.die()
            raise HostDied(call.host.name)
        if call.fault == "request lost":
            raise self._unanswered(operation)
        if call.fault == "throttled":
            raise Throttled("injected 429", retry_after=self._dice.choice((1.0, 60.0, 600.0)))
        if call.fault in ("forbidden", FORBIDDEN_STILL):
            raise Forbidden("injected 403")
        if call.fault == "stalled before":
            self._stall(call)

    def after(self, call: Call, operation: str) -> None:
        """What happens once the request had its effect."""
        if call.fault == "crash after":
            call.host.die()
            raise HostDied(call.host.name)
        if call.fault == "answer lost":
            raise self._unanswered(operation)
        if call.fault == "stalled after":
            self._stall(call)

    def _stall(self, call: Call) -> None:
        seconds = self._dice.choice(STALLS)
        call.stalled += seconds
        call.sleep(seconds)

    @staticmethod
    def _unanswered(operation: str) -> Transient:
        """As the adapters tell it: only of what acts is the outcome in doubt."""
        if acts(operation):
            return OutcomeUnknown("injected: no answer")
        return Transient("injected: no answer")
