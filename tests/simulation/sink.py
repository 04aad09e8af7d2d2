"""The findings table of a world: it remembers who sent what, and whether that was written down."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from shared.errors import Rejected
from shared.model import Json
from shared.records import RUNS
from tests.memory.services import MemoryFindingSink
from tests.memory.storage import MemoryLedger
from tests.memory.wire import Wire
from tests.simulation.baton import Call, HostDied
from tests.simulation.faults import BEYOND_THE_CLAIM, SWALLOWED
from tests.simulation.findings import POISON
from tests.simulation.seen import RUN_KINDS

AFTER_THE_EFFECT = ("answer lost", "crash after")


@dataclass(eq=False)
class Sending:
    """One request of rows that was accepted."""

    call: Call
    run_id: str
    rows: list[Json]
    swallowed: bool
    counted: int
    """Rows of the run that the ledger knew to be sent before it."""
    met: int
    """Interruptions that its call had met before its effect."""
    saved: bool = False
    """True once its own call has written down that these rows are sent."""
    until_saved: float = 0.0
    """Seconds for which its call had stood still by then."""

    @property
    def repeats(self) -> bool:
        """True when a fault kept its call from writing down what it sent, or did so for longer
        than its claim: another one has sent it before or meanwhile."""
        stood = self.until_saved if self.saved else self.call.stalled
        if stood >= BEYOND_THE_CLAIM:
            return True
        died = isinstance(self.call.raised, HostDied)
        return not self.saved and (died or self.call.met > self.met)


class Sink(MemoryFindingSink):
    """Refuses poisoned rows, and loses rows that it accepted when a fault says so."""

    def __init__(
        self, wire: Wire, ledger: MemoryLedger, current: Callable[[], Call | None]
    ) -> None:
        super().__init__(wire)
        self.ledger, self.current = ledger, current
        self.first_sent: dict[tuple[str, str], datetime] = {}
        """(run, finding) -> when it was accepted first, swallowed or not."""
        self.sendings: list[Sending] = []
        self._unsaved: dict[Call, Sending] = {}

    def send(self, payload: bytes) -> None:
        """As the service: the whole request, or none of it."""
        with self._wire.request("sink.send", f"{len(payload)} bytes"):
            if POISON.encode() in payload:
                raise Rejected("send rows: 400")
            rows = json.loads(payload)
            for row in rows:
                self.first_sent.setdefault((row["RunId"], row["FindingId"]), self._wire.clock())
            call = self.current()
            swallowed = call is not None and call.fault == SWALLOWED
            self.rows.extend([] if swallowed else rows)
            self.payloads.append(len(payload))
            if call is not None:
                self._remember(call, rows, swallowed)

    def _remember(self, call: Call, rows: list[Json], swallowed: bool) -> None:
        run_id = rows[0]["RunId"]
        met = call.met - (call.fault in AFTER_THE_EFFECT)
        counted = self._counted(run_id)
        self._unsaved[call] = Sending(call, run_id, rows, swallowed, counted, met)
        self.sendings.append(self._unsaved[call])

    def saw_written(self, call: Call, path: str) -> None:
        """A call wrote a document: it may be what it had to write after its last request."""
        mine = self._unsaved.get(call)
        if mine is not None and path.endswith(f"/{mine.run_id}.json"):
            mine.saved, mine.until_saved = self._counted(mine.run_id) > mine.counted, call.stalled
            if mine.saved:
                del self._unsaved[call]

    def _counted(self, run_id: str) -> int:
        for kind in RUN_KINDS:
            content = self.ledger.peek(f"{RUNS}{kind}/{run_id}.json")
            if content is not None:
                sent: int = json.loads(content).get("counts", {}).get("sent", 0)
                return sent
        return 0
