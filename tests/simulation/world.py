"""Workspaces, hunts, three hosts and everything around them, from one seed."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Literal

from shared import control_loop
from shared.deployment import Deployment
from shared.errors import TidehuntError
from shared.records import JOBS, MARKS, RUNS, Records
from tests.memory.services import (
    MemoryFindingSink,
    MemoryIncidentSink,
    MemoryNotifier,
    MemoryWorkspace,
)
from tests.memory.storage import MemoryExportLake, MemoryLedger, MemoryResultLake
from tests.memory.wire import Wire
from tests.simulation import foreign
from tests.simulation.baton import Call, Host, HostDied, Schedule
from tests.simulation.faults import FORBIDDEN_STILL, Faults, acts
from tests.simulation.pool import Pool
from tests.simulation.scale import catching_up, scale_of, specs
from tests.simulation.sink import Sink
from tests.simulation.story import Story, Unexpected
from tests.simulation.tenant import Analyst, Exports, Operator
from tests.simulation.upkeep import Upkeep
from tests.unit import house

START = datetime.fromisoformat("2026-03-10T00:05:00+00:00")
HEALING = timedelta(hours=3)
"""So long after the last fault the timer stays as it was: what must be over in time is over."""
WATCHING = 300.0
"""Seconds between two ticks while there is a job."""
IDLE, IDLE_AND_HEALED = 900.0, 7200.0
"""Seconds between two ticks when there is nothing to do but to sweep."""
UNFINISHED = ("active", "touched", "requests")
Mode = Literal["usual", "none", "thrice"]


@dataclass
class World:
    """Everything of one seed; `run` lets it happen."""

    seed: int
    only: Collection[int] | None = None
    """Numbers of the faults that may fire; None: all."""
    calm: bool = False
    """Without faults and without people: what is left is blobs and ticks."""
    plant: Callable[[Deployment], Deployment] = lambda home: home
    """A bug to plant: what finds nothing proves nothing."""
    story: Story = field(default_factory=Story)
    raised: list[str] = field(default_factory=list)
    """What calls raised that no caller expects."""
    watch: Callable[[str, str], None] = lambda _operation, _subject: None
    """Told of each effect, before its answer is lost."""
    trouble: Callable[[str], None] = lambda _trouble: None
    """Told of what was found broken."""
    marked: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    """Path of a mark -> how often it was written, and when last."""
    each_tick: Callable[[], None] = lambda: None
    """Told of each tick."""
    turns: int = 0
    longest: int = 0
    """Requests of the turn that made the most."""
    slowest: float = 0.0
    """Seconds of the turn that took longest, but for those that a fault let it stand still."""

    def __post_init__(self) -> None:
        self.scale = scale_of(self.seed)
        self.schedule = Schedule(START)
        self.dice = self._dice("world")
        self.latency = self._dice("latency")
        self.wire = Wire(clock=lambda: self.schedule.now, hook=self._hook)
        begins = START + timedelta(hours=self.dice.randint(1, self.scale.hours - 6))
        troubled = timedelta(hours=0 if self.calm else 6)
        self.faults = Faults(self.seed, begins, begins + troubled, self.only)
        self.events_mode: Mode = self.dice.choice(("usual", "usual", "usual", "none", "thrice"))
        self.unexpected, self.leaks = Unexpected(), foreign.Leaks()
        self.lasted, self._ticks_at = 0.0, START
        self._build_services()
        self.hosts = [Host(f"host-{n}", self._skew()) for n in (1, 2, 3)]
        self.tenant = Exports(self, self._dice("exports"))
        self.analyst = Analyst(self, self._dice("analyst"))
        self.operator = Operator(self, self._dice("operator"))
        self.upkeep = Upkeep(self, self._dice("upkeep"))
        self.base = self.plant(self._deployment())

    def _dice(self, what: str) -> random.Random:
        return random.Random(f"{self.seed} {what}")  # noqa: S311 no secret

    def _skew(self) -> timedelta:
        """Two clocks differ by a minute at most: TIDEHUNT_CLOCK_MARGIN_SECONDS."""
        return timedelta(seconds=self.dice.choice((-30.0, 0.0, 30.0)))

    def _build_services(self) -> None:
        self.ledger, self.exports = MemoryLedger(self.wire), MemoryExportLake(self.wire)
        self.results = MemoryResultLake(self.wire)
        self.pool = Pool(
            self.schedule, self.results, self.wire, self._dice("pool"),
            lambda: self.faults.start <= self.schedule.now < self.faults.end,
            lambda path: self.tenant.landed_result(path),  # noqa: PLW0108 it comes later
            self.scale.padding,
        )  # fmt: skip
        if self.dice.random() < 0.5 and not self.calm:
            begins = self.faults.start + timedelta(hours=self.dice.uniform(0, 5))
            self.pool.full = begins, begins + timedelta(hours=self.dice.uniform(0.5, 2))
        self.sink = Sink(self.wire, self.ledger, lambda: self.schedule.current)
        self.incidents = MemoryIncidentSink(self.wire)
        self.notifier = MemoryNotifier(self.wire)
        self.health = MemoryFindingSink(self.wire, "health.send")

    def _deployment(self) -> Deployment:
        quick = {"settle_seconds": "600", "coalesce_seconds": "900", "readback_seconds": "600"}
        quick = quick if self.dice.random() < 0.8 else {}
        hunts = specs(self.scale.hunts)
        limits = {"runs_a_hunt_a_day": "1000", "workspaces": ";".join(self.scale.workspaces)}
        return Deployment(
            settings=house.settings(**{**quick, **limits, **self.scale.caps}),
            hunts=hunts if self.calm else catching_up(hunts, self._dice("catch up")),
            records=Records(self.ledger),
            exports=self.exports,
            results=self.results,
            engine=self.pool,
            sink=self.sink,
            health=self.health,
            workspace=MemoryWorkspace(self.sink, self.wire),
            incidents=self.incidents,
            notifier=self.notifier,
            clock=lambda: self.schedule.now,
            owner="nobody",
        )

    # --- calls --------------------------------------------------------------------------------

    def call(self, what: str, work: Callable[[Deployment], object]) -> None:
        """One call into any of the hosts."""
        host = self.dice.choice(self.hosts)
        home = replace(self.base, owner=host.owner, clock=self._clock(host))

        def end(call: Call) -> None:
            self._ended(call)
            if what == "tick":
                self.lasted = (self.schedule.now - call.began).total_seconds()
                self.slowest = max(self.slowest, self.lasted - call.stalled)

        call = Call(self.schedule, host, what, lambda: work(home), on_end=end)
        call.start()

    def _clock(self, host: Host) -> Callable[[], datetime]:
        """A host's clock: no two looks at it tell the same time."""
        looks = itertools.count()
        tick = timedelta(microseconds=1)
        return lambda: self.schedule.now + host.skew + next(looks) * tick

    def _ended(self, call: Call) -> None:
        self.longest = max(self.longest, call.requests)
        if call.raised is not None and not isinstance(call.raised, HostDied | TidehuntError):
            self.raised.append(f"{call.what} raised {type(call.raised).__name__}: {call.raised}")
        self._wake()

    def _hook(self, phase: str, operation: str, subject: str) -> None:
        call = self.schedule.current
        if call is None:
            return
        if phase == "before":
            call.check_alive()
            slow = self.latency.random() < 0.01
            call.sleep(self.latency.uniform(0.5, 9.0) if slow else self.latency.random() * 0.08)
            _keep_focus(call, subject)
            call.requests += 1
            call.fault = self.faults.draw(self.schedule.now, call, operation, subject)
            call.met += self.faults.interrupts(call.fault)
            self._say(call, operation, subject)
            self.faults.before(call, operation)
        else:
            if subject.startswith(MARKS) and acts(operation) and operation != "ledger.delete":
                self.marked[subject] = self.marked.get(subject, (0, None))[0] + 1, self.schedule.now
            if operation == "ledger.replace":
                self.sink.saw_written(call, subject)
            self.watch(operation, subject)
            self.faults.after(call, operation)

    def _say(self, call: Call, operation: str, subject: str) -> None:
        now, who = self.schedule.now, call.host.owner
        if call.fault and call.fault != FORBIDDEN_STILL:
            self.story.tell(now, who, f"FAULT {call.fault}: {operation} {subject}")
        elif acts(operation) and subject != control_loop.CLAIM:
            self.story.tell(now, who, f"{operation} {subject}")
        else:
            self.story.note(now, who, f"{operation} {subject}")

    def tell(self, who: str, what: str) -> None:
        """A line of the story."""
        self.story.tell(self.schedule.now, who, what)

    # --- time ---------------------------------------------------------------------------------

    def run(self) -> None:
        """All of it: blobs land, hosts tick, faults come and end."""
        self.tenant.plan(START, self.scale.hours)
        for person in () if self.calm else (self.analyst, self.operator, self.upkeep):
            person.plan(START, self.scale.hours)
        if not self.calm:
            foreign.plan_strangers(self, self._dice("strangers"), START, self.scale.hours)
        self._plan_tick(0)
        self.schedule.run(START + self.scale.length)

    def _tick(self) -> None:
        """The timer fires, now and then on two hosts; it jumps over times of which nobody waits."""
        self.turns += 1
        self.each_tick()
        self.call("tick", control_loop.take_turn)
        if self.dice.random() < 0.2:
            self.schedule.after(
                self.dice.uniform(0, 3), lambda: self.call("tick", control_loop.take_turn)
            )
        if self._troubled() and self.dice.random() < 0.02:
            self.dice.choice(self.hosts).skew = self._skew()
        self._plan_tick(self._pause())

    def _plan_tick(self, seconds: float) -> None:
        """The next tick, in place of the one that was planned."""
        self._ticks_at = at = self.schedule.now + timedelta(seconds=seconds)
        self.schedule.at(at, lambda: self._tick() if self._ticks_at == at else None)

    def _wake(self) -> None:
        """There is something to do: the timer does not jump over it."""
        pause = (WATCHING if self.ledger.paths(JOBS) else self.scale.pause) * 2
        if self._ticks_at > self.schedule.now + timedelta(seconds=pause) and self.is_busy():
            self._plan_tick(pause)

    def _troubled(self) -> bool:
        return self.faults.start <= self.schedule.now < self.faults.end

    def _pause(self) -> float:
        if self.lasted > 15.0:
            return 60.0  # there was more to do than one turn could
        if self._troubled():
            return self.scale.tick
        slower = 2 if self.schedule.now > self.faults.end + HEALING else 1
        if self.ledger.paths(JOBS):
            return WATCHING * slower  # what a job used is known as often as it is looked at
        if self.is_busy():
            return self.scale.pause * slower
        return IDLE if slower == 1 else IDLE_AND_HEALED

    def is_busy(self) -> bool:
        """True while the ledger holds something that is not finished."""
        return any(self.ledger.paths(folder) for folder in UNFINISHED)

    def unfinished(self) -> list[str]:
        """Paths of the documents that something is still to be done about."""
        return [path for folder in UNFINISHED for path in self.ledger.paths(folder)]

    def run_ids(self) -> list[str]:
        """Ids of all runs, finished or not."""
        return [
            path.rsplit("/", 1)[-1].removesuffix(".json")
            for path in [*self.ledger.paths(RUNS), *self.ledger.paths("done")]
            if "/job-" not in path
        ]


def _keep_focus(call: Call, subject: str) -> None:
    """Which run a call is busy with, by the documents that it asks for."""
    if subject.startswith("active/runs/"):
        call.run_id = subject.rsplit("/", 1)[-1].removesuffix(".json")
    elif subject.startswith("jobs/") and "/runs/" in subject:
        call.run_id = subject.split("/")[3]
