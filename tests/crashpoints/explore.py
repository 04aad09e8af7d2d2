"""Every request of a script x what may become of it, once and in pairs.

A second fault hits every request after the first in the world that the first one made, not in the
plain one's sequence. What follows a fault has no chance in it: worlds that are equal between two
beats go on alike, and are followed once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from shared.deployment import Deployment
from tests.crashpoints import invariants
from tests.crashpoints.scripts import Script
from tests.crashpoints.world import Armed, Fired, Kind, Moment, Seen

Key = tuple[int, ...]


@dataclass(frozen=True)
class Point:
    """One fault: which request of which beat, both from 1, and what becomes of it."""

    beat: int
    request: int
    kind: Kind


@dataclass(frozen=True)
class Fate:
    """How a world ends when nothing more breaks."""

    broken: tuple[str, ...]
    repeats: int
    """How often the row that came most often came."""


@dataclass(frozen=True)
class Tried:
    """A fault that fired, and the fate of its world."""

    point: Point
    fault: Fired
    fate: Fate


@dataclass(frozen=True)
class Step:
    """A beat of a world: what was before it, which faults are in it, and its requests."""

    beat: int
    before: Moment
    armed: Armed
    requests: tuple[Seen, ...]

    def points(self) -> Iterator[Point]:
        """What else can break in it: every request behind its faults, in every way."""
        first = max(self.armed, default=0)
        for seen in self.requests[first:]:
            for kind in seen.kinds:
                yield Point(self.beat, seen.number, kind)


@dataclass(frozen=True)
class Scenario:
    """One or two faults of a script, and what they broke."""

    script: str
    points: tuple[Point, ...]
    broken: tuple[str, ...]


@dataclass
class Explorer:
    """Breaks one script."""

    script: Script
    plant: Callable[[Deployment], Deployment] = lambda home: home
    """A bug to plant: what finds nothing proves nothing."""
    fates: dict[Key, Fate] = field(default_factory=dict)
    """World between two beats -> how it ends."""
    tried: dict[Key, list[Tried]] = field(default_factory=dict)
    """World between two beats -> everything that can break in it from then on."""

    def __post_init__(self) -> None:
        self.world = self.script.build()
        self.world.watch = invariants.watch
        self.world.home.deployment = self.plant(self.world.home.deployment)
        self.plain = list(self._steps())

    def singles(self) -> Iterator[Scenario]:
        """Every fault alone."""
        for step in self.plain:
            for point in step.points():
                yield self._scenario(self._try(step, point))

    def firsts(self) -> list[Point]:
        """Every fault that can be the first of a pair, in order."""
        return [point for step in self.plain for point in step.points()]

    def pairs(self, first: Point) -> Iterator[Scenario]:
        """Every second fault in the world that the first one made."""
        world, plain = self.world, self.plain[first.beat - 1]
        world.put_back(plain.before)
        step = self._step({first.request: first.kind})
        (fault,), after = world.fired, world.moment()
        for point in step.points():
            yield self._scenario(self._try(step, point), (first, fault))
        world.put_back(after)
        for tried in self._all_from_here():
            yield self._scenario(tried, (first, fault))

    def _all_from_here(self) -> list[Tried]:
        key = self.world.key()
        if key not in self.tried:
            steps = list(self._steps())
            self.tried[key] = [self._try(step, point) for step in steps for point in step.points()]
        return self.tried[key]

    def _scenario(self, tried: Tried, *earlier: tuple[Point, Fired]) -> Scenario:
        causes = sum(fault.repeats_rows for fault in (tried.fault, *(one for _, one in earlier)))
        broken, repeats = tried.fate.broken, tried.fate.repeats
        if repeats > 1 + causes:
            broken = (*broken, f"3: a row came {repeats} times for {causes} causes")
        return Scenario(self.script.name, (*(one for one, _ in earlier), tried.point), broken)

    def story(self, scenario: Scenario) -> list[str]:
        """What happens in a scenario, line by line, from its start to its end."""
        world, lines = self.world, list[str]()
        world.put_back(self.plain[0].before)
        world.tell = lines.append
        while not world.at_rest() and not world.late():
            beat = world.number
            world.armed = {one.request: one.kind for one in scenario.points if one.beat == beat}
            world.beat()
        self._end()
        world.tell = None
        return lines

    # --- one world at a time ----------------------------------------------------------------------

    def _try(self, step: Step, point: Point) -> Tried:
        world = self.world
        world.put_back(step.before)
        world.armed = {**step.armed, point.request: point.kind}
        world.beat()
        if len(world.fired) != len(step.armed) + 1:
            raise AssertionError(f"{self.script.name}: {point} did not fire after {step.armed}")
        return Tried(point, world.fired[-1], self._follow())

    def _follow(self) -> Fate:
        """Let the world go on to its end, or to where another one went on from."""
        world, passed = self.world, list[Key]()
        while (fate := self.fates.get(key := world.key())) is None:
            passed.append(key)
            if world.at_rest() or world.late():
                fate = self._end()
                break
            world.beat()
        self.fates.update(dict.fromkeys(passed, fate))
        return fate

    def _end(self) -> Fate:
        """Two more beats, one of them after the next sweep: what ended stays as it is."""
        world = self.world
        if world.at_rest():
            world.home.clock.forward(1800)
            world.beat()
            world.beat()
        broken = tuple(invariants.at_the_end(world, self.script.end))
        return Fate(broken, invariants.repeats(world))

    def _steps(self) -> Iterator[Step]:
        """The world from now to rest, beat by beat; nothing breaks."""
        while not self.world.at_rest() and not self.world.late():
            yield self._step({})

    def _step(self, armed: Armed) -> Step:
        world = self.world
        beat, before = world.number, world.moment()
        world.armed = armed
        world.beat()
        return Step(beat, before, armed, tuple(world.seen))
