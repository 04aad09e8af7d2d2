"""Virtual time and a baton: exactly one call runs at a time, and hands on at each I/O.

A call runs production code as it is, in a thread of its own; the thread works only while it holds
the baton. Who goes on is who wakes up first, and how long a call sleeps at an I/O is drawn by the
seed: so the seed alone decides how the calls of all hosts interleave. No real time passes.
"""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

Work = Callable[[], object]
LAST = datetime.max.replace(tzinfo=UTC)


class HostDied(BaseException):
    """The process of a call is gone: nothing in it can catch this."""


@dataclass
class Schedule:
    """What happens when, in virtual time."""

    now: datetime
    current: Call | None = None
    """Whose code runs; None: the world's own."""
    calls: list[Call] = field(default_factory=list)
    """Calls that have not ended."""
    until: datetime = LAST
    over: bool = False
    """True when nothing more is to happen."""
    _heap: list[tuple[datetime, int, Work]] = field(default_factory=list)
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def at(self, moment: datetime, work: Work) -> None:
        """Do this at a moment."""
        heapq.heappush(self._heap, (max(moment, self.now), next(self._numbers), work))

    def after(self, seconds: float, work: Work) -> None:
        """Do this so many seconds from now."""
        self.at(self.now + timedelta(seconds=seconds), work)

    def run(self, until: datetime) -> None:
        """Let everything happen that is due until then."""
        self.until = until
        while self._heap and self._heap[0][0] <= until and not self.over:
            self.now, _, work = heapq.heappop(self._heap)
            work()
        self.now = until

    def is_next(self, moment: datetime) -> bool:
        """True when nothing else happens before."""
        return moment <= self.until and not (self._heap and self._heap[0][0] <= moment)

    def close(self) -> None:
        """End the threads of calls that still sleep."""
        for call in list(self.calls):
            call.host.die()
            call.resume()


@dataclass
class Host:
    """One process after another under one name; its clock may be wrong."""

    name: str
    skew: timedelta = timedelta(0)
    life: int = 0

    @property
    def owner(self) -> str:
        """Names the process that lives now."""
        return f"{self.name}.{self.life}"

    def die(self) -> None:
        """The process is gone, and with it each of its calls; another one starts."""
        self.life += 1


@dataclass(eq=False)
class Call:
    """One call into a host: a tick, an event or a request."""

    schedule: Schedule
    host: Host
    what: str
    work: Work
    raised: BaseException | None = None
    on_end: Callable[[Call], None] = lambda _call: None
    run_id: str = ""
    """The run whose documents it touched last."""
    fault: str = ""
    """What is done to its present request."""
    requests: int = 0
    met: int = 0
    """Interruptions that its requests met."""
    stalled: float = 0.0
    """Seconds for which faults let it stand still."""

    def __post_init__(self) -> None:
        self.began = self.schedule.now
        self._life = self.host.life
        self._mine, self._back = threading.Semaphore(0), threading.Semaphore(0)
        self._thread = threading.Thread(target=self._body, name=self.what, daemon=True)

    def start(self) -> None:
        """Run until its first sleep, or to its end."""
        self.schedule.calls.append(self)
        self._thread.start()
        self.resume()

    def resume(self) -> None:
        """Hand it the baton and wait until it hands it back."""
        self.schedule.current = self
        self._mine.release()
        self._back.acquire()
        self.schedule.current = None

    def sleep(self, seconds: float) -> None:
        """Let others go on meanwhile. Raises HostDied when the host did not live to see the end."""
        wake = self.schedule.now + timedelta(seconds=seconds)
        if self.schedule.is_next(wake):
            self.schedule.now = wake
        else:
            self.schedule.at(wake, self.resume)
            self._back.release()
            self._mine.acquire()
        self.check_alive()

    def check_alive(self) -> None:
        """Raise HostDied when this call's process is gone."""
        if self._life != self.host.life:
            raise HostDied(self.host.name)

    def _body(self) -> None:
        self._mine.acquire()
        try:
            self.work()
        except BaseException as error:  # what it raised is judged by who started it
            self.raised = error
        finally:
            self.schedule.calls.remove(self)
            self.on_end(self)
            self._back.release()
