"""What has to be within its time, looked at before each tick: 9 what is told, 10 what is done."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from shared.documents import decode
from shared.health_rows import RAISED, RUN_ENDED
from shared.model import Run
from shared.pauses import PAUSE
from shared.records import RUNS
from shared.settings import environment_name
from shared.told import OWED, Owed
from tests.simulation.world import HEALING

if TYPE_CHECKING:
    from tests.simulation.safety import Safety
    from tests.simulation.world import World

TOLD_WITHIN = timedelta(minutes=15)
A_BEAT = timedelta(minutes=6)
"""From one heartbeat to the next, by clocks that differ."""
TURNS = 2
"""The timer jumps: so many whole turns have to have been there as well."""
OF_BACKFILL = 3
"""Live runs go first: a run of backfill may take so many times as long."""


class Told:
    """What the health table says: which runs have ended, and which are held."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.ended: set[str] = set()
        self._held: dict[str, bool] = {}
        self._read = 0

    def look(self) -> None:
        """Read the rows that came since the last look."""
        rows = self.world.health.rows
        for row in rows[self._read :]:
            if row["Kind"] == RUN_ENDED:
                self.ended.add(f"{row['RunId']} {row['Status']}")
            elif row.get("Alarm") == "RunHeld":
                self._held[row["RunId"]] = row["Kind"] == RAISED
        self._read = len(rows)

    def says(self, run: Run) -> bool:
        """Whether the state of a run that failed or is held is told."""
        if run.status == "held":
            return self._held.get(run.id, False)
        return f"{run.id} {run.status}" in self.ended


class OnTime:
    """Watches the times of a world."""

    def __init__(self, safety: Safety) -> None:
        self.safety = safety
        self.paused_until = safety.world.faults.start
        self._ticks: deque[datetime] = deque(maxlen=TURNS)

    def look(self) -> Iterator[str]:
        """Everything that is late now."""
        world = self.safety.world
        self.safety.told.look()
        if world.ledger.peek(PAUSE) is not None:
            self.paused_until = world.schedule.now
        runs = [run for path in world.ledger.paths(RUNS) if (run := self.safety.run_at(path))]
        if len(self._ticks) == TURNS:
            yield from self._untold(runs)
        yield from self._late(runs)
        self._ticks.append(world.schedule.now)

    def _untold(self, runs: list[Run]) -> Iterator[str]:
        """9: what failed or is held has a health row within 15 minutes without faults."""
        world, now = self.safety.world, self.safety.world.schedule.now
        calm = world.faults.felt_until
        for run in runs:
            since = max(run.since, calm)
            over = self._ticks[0] > since + A_BEAT and now - since > TOLD_WITHIN
            if over and run.status in ("held", "failed") and not self.safety.told.says(run):
                yield f"9: run {run.id} is {run.status} since {run.since}, and no row says so"
        content = world.ledger.peek(OWED)
        if content and self._ticks[0] > calm + A_BEAT and now - calm > TOLD_WITHIN:
            owed = decode(Owed, json.loads(content), OWED)
            for row in owed.rows:
                if datetime.fromisoformat(row["TimeGenerated"]) < self._ticks[0]:
                    yield f"9: a health row of {row['TimeGenerated']} is owed still"

    def _late(self, runs: list[Run]) -> Iterator[str]:
        """10: two hours after the last fault, nothing is older than its waits and two hours.

        A pause is no stall, nor is a probe that stands in the queue, which keeps the pool closed:
        from their end on it counts. The timer jumps most where caps bite.
        """
        world, settings = self.safety.world, self.safety.world.base.settings
        now = world.schedule.now
        healed = max(world.faults.end, self.paused_until, world.pool.felt_until)
        limit = timedelta(seconds=7200 + settings.coalesce_seconds + settings.readback_seconds)
        limit += timedelta(seconds=8 * world.scale.pause if world.scale.caps else 0)
        if now > world.faults.end + HEALING and self.paused_until == now:
            yield "10: everything is paused still"
        for run in runs if now > healed + limit else ():
            most = limit * (OF_BACKFILL if run.kind == "backfill" else 1)
            if now - max(run.created, healed) > most and not self.safety.capped.holds(run, now):
                yield f"10: run {run.id} is {run.status} since {run.since}: {run.reason}"
        yield from self._old_marks(healed)

    def _old_marks(self, healed: datetime) -> Iterator[str]:
        world = self.safety.world
        seconds = world.base.settings.settle_seconds + max(2 * 900, 4 * world.scale.pause)
        for path in world.ledger.paths("touched"):
            marked = json.loads(world.ledger.peek(path) or b"")["at"]
            old = world.schedule.now - max(datetime.fromisoformat(marked), healed)
            if old > timedelta(seconds=seconds):
                yield f"10: mark {path} is {old} old"


class Capped:
    """Which runs a cap of the day has delayed."""

    def __init__(self) -> None:
        self.full: set[tuple[str, bool]] = set()
        """(day, of backfill) that had no room for another job."""
        self.waited: set[str] = set()
        """Runs whose bytes the day had no room for."""

    def saw(self, run: Run) -> bool:
        """A run was written; True when the day has no room for its bytes."""
        waits = environment_name("megabytes_a_day") in run.reason
        if waits:
            self.waited.add(run.id)
        return waits

    def holds(self, run: Run, now: datetime) -> bool:
        """True when there was a day in its life on which a cap kept it waiting."""
        whole_days = range((now.date() - run.created.date()).days + 1)
        days = {f"{run.created + timedelta(days=n):%Y%m%d}" for n in whole_days}
        mine = {(day, run.kind == "backfill") for day in days}
        return run.id in self.waited or not mine.isdisjoint(self.full)
