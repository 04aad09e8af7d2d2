"""A deployment that grows old in seconds: its days are written as they end, and some are lived.

On a day that is written, 200 runs and 48 jobs come into `done/`, days, budgets and cases go on, and
what is old is archived by the loop's own code. On a day that is lived, hours land and the whole
control loop works, turn by turn, and what each turn asks of the stores is counted.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from shared import archive, schedule
from shared import contract as c
from shared.bookkeeping import Budget
from shared.documents import encode
from shared.model import Entry, HuntSpec, Job, Run
from shared.records import AGING, Kept, Records, done_path, run_path
from shared.timeline import DayRecord, Hour, Slot
from tests.memory.storage import MemoryLedger
from tests.memory.wire import Wire
from tests.unit.house import START, TABLE, WORKSPACE, House, build, spec

HOURLY, DAILY, RUNS, JOBS = 8, 8, 200, 48
ARCHIVING_TURNS = 4
"""Of a day that is written."""
OWNED = "00000000-0000-4000-8000-000000000000"
PLACE = c.workspace_key(WORKSPACE)
OLD = timedelta(days=35)


def hunts(by: int) -> list[HuntSpec]:
    """Eight that judge hours and eight that judge days: 200 runs a day; or fewer, by a divisor."""
    guid = "00000000-0000-4000-8000-0000000000{:02d}"
    by_hour = [spec(module=f"by_hour_{n}", guid=guid.format(n), slot="hour", lookback_days=1)
               for n in range(HOURLY // by)]  # fmt: skip
    by_day = [spec(module=f"by_day_{n}", guid=guid.format(50 + n), lookback_days=1)
              for n in range(DAILY // by)]  # fmt: skip
    return [*by_hour, *by_day]


@dataclass
class TurnCost:
    """What one turn asked for: calls and entries of listings, and the archive's apart, which come
    when a folder has aged, at whichever turn that is."""

    calls: int = 0
    entries: int = 0
    archive: int = 0
    archive_entries: int = 0


@dataclass
class CountingLedger(MemoryLedger):
    """Tells of every entry that a listing gives."""

    wire: Wire
    tell: Callable[[str], None]

    def __post_init__(self) -> None:
        super().__init__(self.wire)

    def list(self, prefix: str) -> Iterator[Entry]:
        for entry in super().list(prefix):
            self.tell(prefix)
            yield entry


def _house(tell: Callable[[str], None], by: int) -> House:
    quick = {"coalesce_seconds": "60", "settle_seconds": "300", "readback_seconds": "60"}
    home = build(hunts(by), runs_a_hunt_a_day="100", **quick)
    ledger = CountingLedger(home.wire, tell)
    deployment = replace(home.deployment, records=Records(ledger))
    return replace(home, deployment=deployment, ledger=ledger)


class Years:
    """A house and the number of its days."""

    def __init__(self, by: int = 1) -> None:
        self.days = 0
        self.cost = TurnCost()
        self.house = _house(self._count_entry, by)
        self.house.tick()

    def write_days(self, until: int) -> None:
        """Let days pass until that many have; time lines are written for the last 37."""
        while self.days < until:
            start = START.replace(minute=0) + timedelta(days=self.days)
            self.house.clock.now = start + timedelta(days=1, minutes=5)
            write_day(self.house, start)
            if until - self.days <= OLD.days + 2:
                write_time_lines(self.house, start)
            self.days += 1
            for _ in range(ARCHIVING_TURNS if self.days < until else 0):
                archive.put_by(self.house.turn())
        self.house.tick()  # what is left of the last day's archiving comes with what is lived

    def live_hours(self, count: int) -> list[TurnCost]:
        """Hours of real work, a turn every ten minutes; what each turn cost.

        It is the day after the last that was written.
        """
        self.days += 1
        costs = []
        for _ in range(count):
            hour = self.house.clock().replace(minute=0) - timedelta(hours=1)
            self.house.land([c.hour_key(hour)])
            for _ in range(6):
                self.house.work()
                costs.append(self._turn())
        return costs

    def settle(self) -> None:
        """Let a day and more pass without anything new, until all is judged.

        Then the lake is empty: what a sweep finds is the same on all days that are lived.
        """
        for _ in range(30):
            self.house.work()
            self.house.tick(1, 3600)
        assert self.house.documents("active/") == {}
        self.house.exports.expire()
        self.days += 1

    def _turn(self) -> TurnCost:
        self.cost = cost = TurnCost()
        self.house.wire.hook = self._count_call
        self.house.tick(1, 600)
        self.house.wire.hook, self.cost = lambda *_: None, TurnCost()
        return cost

    def biggest(self) -> tuple[int, str]:
        """Bytes and path of the biggest document."""
        held = self.house.ledger.contents().items()
        return max((len(body), path) for path, body in held if path.endswith(".json"))

    def biggest_month(self) -> int:
        """Bytes of the biggest month of the archive."""
        held = self.house.ledger.contents().items()
        return max((len(body) for path, body in held if path.endswith(".gz")), default=0)

    def _count_call(self, phase: str, operation: str, subject: str) -> None:
        if phase == "before":
            moved = (operation, subject) == ("ledger.replace", AGING)
            old = moved or self._is_archive(subject)
            self.cost.calls += not old
            self.cost.archive += old

    def _count_entry(self, prefix: str) -> None:
        old = self._is_archive(prefix)
        self.cost.entries += not old
        self.cost.archive_entries += old

    def _is_archive(self, subject: str) -> bool:
        day = subject.removeprefix("done/y=").replace("/m=", "").replace("/d=", "")[:8]
        old = day.isdigit() and day < c.day_key(self.house.clock() - OLD)
        return subject.startswith("archive/y=") or (subject.startswith("done/y=") and old)


def write_day(home: House, start: datetime) -> None:
    """All that a day of 200 runs leaves behind, but for the time lines."""
    records, day = home.deployment.records, c.day_key(start)
    for number in range(JOBS):
        at = start + timedelta(minutes=30 * number)
        job = Job(f"job-{at:%Y%m%d%H%M%S}-{number:08x}", WORKSPACE, (), "ended", at, at)
        home.ledger.plant(done_path(job.id), json.dumps(encode(job)).encode())
    for hunt in home.deployment.hunts:
        for key in _keys(hunt, day):
            run = _run(hunt, key)
            home.ledger.plant(done_path(run.id), json.dumps(encode(run)).encode())
    for number in range(RUNS - sum(len(_keys(hunt, day)) for hunt in home.deployment.hunts)):
        other = replace(run, id=f"{day}-some-other-n{number:03d}-r0")
        home.ledger.plant(done_path(other.id), json.dumps(encode(other)).encode())
    # One goes the whole way: the folder is known to age, and the run to have ended last.
    last = replace(run, id=f"{day}-the-last-r0", since=home.clock())
    records.remember(last.id)
    records.finish(records.save(Kept(run_path(last), last, None), last), last.id)
    records.save(records.budget(day), Budget(day, JOBS, 4_000_000, 1, {OWNED: 24}))
    held = {f"{day}{hour:02d}": Hour(1, 2, "f" * 24) for hour in range(24)}
    records.save(records.day(WORKSPACE, TABLE, day), DayRecord(WORKSPACE, TABLE, day, held))
    case = records.case(f"00000000-0000-4000-9000-0000{day}", OWNED, WORKSPACE)
    records.save(case, replace(case.value, generation=1, severity="High"))


def write_time_lines(home: House, start: datetime) -> None:
    """Every slot of the day judged once, as its runs left it."""
    records, day = home.deployment.records, c.day_key(start)
    for hunt in home.deployment.hunts:
        kept = records.hunt(hunt.guid, WORKSPACE)
        slots = {key: _slot(hunt, key) for key in _keys(hunt, day)}
        record = replace(kept.value, slots={**kept.value.slots, **slots})
        end = schedule.slot_window(max(slots)).end
        records.save(kept, schedule.forget(replace(record, watermark=end), home.clock()))


def _keys(hunt: HuntSpec, day: str) -> list[str]:
    return [day] if hunt.slot == "day" else [f"{day}{hour:02d}" for hour in range(24)]


def _slot(hunt: HuntSpec, key: str) -> Slot:
    changed = schedule.slot_window(key).end + timedelta(minutes=4, microseconds=17)
    return Slot(changed, changed, _run(hunt, key).id, 0)


def _run(hunt: HuntSpec, key: str) -> Run:
    slot = schedule.slot_window(key)
    at = slot.end + timedelta(minutes=40)
    run_id = f"{key[:8]}-{hunt.module}-{PLACE}{key[8:] and '-h' + key[8:]}-r0"
    window = schedule.lookback_window(slot, 1)
    run = Run(run_id, hunt.module, hunt.guid, WORKSPACE, "live", slot, window, 0, "done", at, at)
    coverage = {"hours_planned": 24, "hours_read": 24, "hours_missing": []}
    return replace(run, coverage=coverage, job=f"job-{at:%Y%m%d%H%M%S}-00000000")
