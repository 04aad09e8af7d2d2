"""A day without a control plane: caught up in two hours, newest first, and nothing doubled.

Product settings, 25 hunts, a request takes 20 ms and a job ten minutes.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from shared import schedule
from shared.contract import hour_key
from shared.gaps import FIRST_START, SKIPPED
from shared.model import HuntSpec, Run
from tests.unit import house
from tests.unit.house import House, spec
from tests.unit.time_line import faults, record_of

REQUEST_SECONDS, JOB_MINUTES = 0.02, 10
LIMIT = timedelta(hours=2)


def guid(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def hunts(catch_up: int | None = None) -> list[HuntSpec]:
    """Six that judge hours and nineteen that judge days, two of these by schedule only."""
    hourly = [spec(module=f"hourly_{n}", guid=guid(n), slot="hour", lookback_days=2,
                   catch_up=catch_up) for n in range(6)]  # fmt: skip
    daily = [spec(module=f"daily_{n}", guid=guid(n), catch_up=catch_up) for n in range(6, 23)]
    timed = [spec(module=f"timed_{n}", guid=guid(n), arrival=False, schedule="0 3 * * *",
                  catch_up=catch_up) for n in range(23, 25)]  # fmt: skip
    return [*hourly, *daily, *timed]


class World:
    """The house, an exporter that writes every hour, and a pool that takes its time."""

    def __init__(self, catch_up: int | None = None) -> None:
        self.home = house.build(hunts(catch_up))
        self.home.clock.now = datetime(2026, 3, 10, 4, tzinfo=UTC)
        self.written = self.home.clock() - timedelta(hours=2)
        self.submitted: dict[str, datetime] = {}
        self.home.wire.hook = self._slowly

    def _slowly(self, phase: str, _operation: str, _subject: str) -> None:
        if phase == "before":
            self.home.clock.forward(REQUEST_SECONDS)

    def export(self, *, event: bool) -> None:
        """What was logged by now lands."""
        while self.written + timedelta(hours=1) <= self.home.clock():
            self.home.land([hour_key(self.written)], event=event)
            self.written += timedelta(hours=1)

    def pool(self) -> None:
        """Jobs that had their time end, with their results."""
        hook, self.home.wire.hook = self.home.wire.hook, lambda *_: None
        for engine_id, job in self.home.engine.jobs.items():
            began = self.submitted.setdefault(job.job_id, self.home.clock())
            if job.state == "queued":
                self.home.engine.enter(engine_id, "running")
            if job.state == "running" and self.home.clock() >= began + timedelta(
                minutes=JOB_MINUTES
            ):
                plan = self.home.plan(job.job_id)
                for run in plan["runs"]:
                    self.home.write_results(plan, run)
                self.home.write_report(plan)
                self.home.engine.enter(engine_id, "succeeded")
        self.home.wire.hook = hook

    def minutes(self, count: float = 1) -> None:
        """A tick of a control plane that is up, and so many minutes to the next."""
        begins = self.home.clock()
        self.export(event=True)
        self.pool()
        self.home.tick(1, 0)
        self.home.clock.now = max(self.home.clock(), begins + timedelta(minutes=count))

    def until(self, moment: datetime) -> None:
        """Ticks until then."""
        while self.home.clock() < moment:
            self.minutes(5)

    def judged(self) -> dict[tuple[str, str], Run]:
        """(hunt, slot) -> the run that ended well."""
        done = [run for run in self.home.runs().values() if run.status == "done"]
        assert len({(run.hunt, run.slot, run.revision) for run in done}) == len(done)
        return {(run.hunt, schedule.key_of(run.slot)): run for run in done}


def down_for_a_day(world: World) -> tuple[set[tuple[str, str]], datetime]:
    """Three hours as usual, then a day of nothing; what was missed, and when it is up again."""
    world.until(datetime(2026, 3, 10, 7, tzinfo=UTC))
    known = set(world.judged())
    world.home.clock.forward(24 * 3600)
    world.export(event=False)
    missed = {
        (hunt.module, key)
        for hunt in world.home.deployment.hunts
        for back in range(24)
        for moment in [datetime(2026, 3, 10, 6, tzinfo=UTC) + timedelta(hours=back)]
        for key in [schedule.slot_key(hunt, hour_key(moment))]
        if schedule.slot_window(key).end <= world.home.clock()
    }
    return missed - known, world.home.clock()


def nothing_doubled(home: House) -> None:
    sent = Counter((row["RunId"], row["FindingId"]) for row in home.sink.rows)
    assert set(sent.values()) == {1}
    posted = Counter(request.job_id for request in home.engine.requests)
    assert set(posted.values()) == {1}
    assert len(home.incidents.incidents) == len(home.deployment.hunts)


def test_a_day_is_caught_up_in_two_hours_newest_first_and_nothing_is_doubled() -> None:
    world = World()
    missed, up = down_for_a_day(world)
    before = len(world.home.engine.requests)
    assert len(missed) == 6 * 24 + 17 + 2
    while not missed <= set(world.judged()):
        assert world.home.clock() - up <= LIMIT, len(missed - set(world.judged()))
        for _ in range(5):
            world.minutes()
    plans = [world.home.plan(one.job_id) for one in world.home.engine.requests[before:]]
    ends = [[run["slot"]["end"] for run in plan["runs"]] for plan in plans]
    caught_up = [one for one in ends if max(one) <= up.isoformat()]
    assert len(caught_up) > 5  # more than at one time, so that there is an order
    newest = [max(one) for one in caught_up if len(one) == 25]
    assert newest == sorted(newest, reverse=True)
    nothing_doubled(world.home)
    for hunt in world.home.deployment.hunts:
        assert not {gap.reason for gap in record_of(world.home, hunt.guid).gaps} - {FIRST_START}


@pytest.mark.parametrize("catch_up", [1, 6])
def test_what_catch_up_leaves_out_is_declared_and_nothing_else(catch_up: int) -> None:
    world = World(catch_up)
    missed, up = down_for_a_day(world)
    world.until(up + LIMIT)
    judged = set(world.judged())
    for hunt in world.home.deployment.hunts:
        mine = sorted((key for module, key in missed if module == hunt.module), reverse=True)
        gaps = record_of(world.home, hunt.guid).gaps
        assert {gap.reason for gap in gaps} <= {FIRST_START, SKIPPED}
        left = {key for key in mine
                for window in [schedule.slot_window(key)]
                if any(gap.start <= window.start < gap.end for gap in gaps)}  # fmt: skip
        assert left == {key for key in mine if (hunt.module, key) not in judged}
        assert len(left) >= len(mine) - catch_up - 2
    nothing_doubled(world.home)
    for hunt in world.home.deployment.hunts:
        if not any(run.hunt == hunt.module for run in active(world.home)):
            assert faults(world.home, hunt.guid) == []


def active(home: House) -> list[Run]:
    return [kept.value for kept in home.deployment.records.runs()]
