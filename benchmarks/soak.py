"""Export events without a pause: python -m benchmarks.soak [--minutes 30] [--rate 120]

The real host process with the emulators. It knows every hour of a month of the tables before the
first event, so that what grows is not what it has to know: the first sweeps find them, later ones
are off. Each event tells of a blob that has just grown. Hours of one day that are marked together
are listed together, so that the next event hides a lost mark: every tenth event is alone on its day
until its mark is folded, and then the ledger must know its hour as the lake has it. At the end it
must know every hour so.
Exit code 1: marks lost, less than 100 events per second, or memory that grows.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException
from itertools import cycle
from pathlib import Path
from statistics import linear_regression, quantiles
from urllib.parse import urlencode, urlsplit

from benchmarks.process import cpu_seconds, held_bytes
from benchmarks.soaked import Day, days_of, held, lost, other
from shared import contract as c
from shared.records import day_path, mark_path
from workbench.cloud import ACCOUNTS
from workbench.emulators.eventgrid_delivery import Options
from workbench.emulators.spark_submit import Process, Submission
from workbench.emulators.storage_events import BlobEvent, grid_event
from workbench.home import Home
from workbench.machine import Machine

LEAST_RATE = 100.0
MOST_GROWTH = 1.0
"""MB in ten minutes."""
PLACES = 6_000
CROWDED = 0.25
"""Share of the days that all but the lonely events go to."""
ALONE = 10
"""One of so many events is alone on its day: to fold one takes a few requests."""
AT_ONCE = 32
SAMPLE_SECONDS = 5.0
NEVER = 86_400.0
"""Nobody writes past the emulators but the exporter, who tells of it."""
WARM_UP = 0.2
"""Share of the samples that tell of the start, not of the slope."""
PATIENCE_SECONDS = 300.0
CALM = {
    # The product's own pace; the workbench's is a demo's.
    "TIDEHUNT_TICK_SCHEDULE": "*/10 * * * * *",
    "TIDEHUNT_TURN_SECONDS": "45",
    "TIDEHUNT_CALL_SECONDS": "10",
    "TIDEHUNT_COALESCE_SECONDS": "3600",
    "TIDEHUNT_SETTLE_SECONDS": "3600",
    "TIDEHUNT_SWEEP_SECONDS": "80000",
}


@dataclass
class Soak:
    """What was posted, and what it cost."""

    posted: int = 0
    refused: int = 0
    """Deliveries that had to be repeated."""
    seconds: float = 0.0
    cpu: float = 0.0
    cpu_around: float = 0.0
    """Of the emulators and the exporter, which share a process, in seconds; `cpu` is the host's."""
    waits: list[float] = field(default_factory=list)
    samples: list[tuple[float, float]] = field(default_factory=list)
    """(seconds, MB held by the host)."""
    lost: list[str] = field(default_factory=list)
    places: int = 0
    """Hours of tables that events told of."""
    followed: int = 0
    """Marks that were alone on their day and were found folded, before the day was marked again."""

    @property
    def rate(self) -> float:
        """Accepted events per second."""
        return self.posted / self.seconds if self.seconds else 0.0

    @property
    def slope(self) -> float:
        """MB in ten minutes, by regression over the samples after the warm-up."""
        steady = self.samples[int(len(self.samples) * WARM_UP) :]
        if len(steady) < 3:
            return 0.0
        return 600 * linear_regression(*zip(*steady, strict=True)).slope

    def violations(self) -> Iterator[str]:
        """What does not hold, in words."""
        if self.lost:
            yield f"{len(self.lost)} hours are not as the lake has them: {self.lost[:3]}"
        if self.rate < LEAST_RATE:
            yield f"{self.rate:.0f} events per second, {LEAST_RATE:.0f} are promised"
        if self.slope >= MOST_GROWTH:
            yield f"memory grows by {self.slope:.2f} MB in ten minutes"


@dataclass
class Exporter:
    """Writes blobs and posts their events, at a rate or as fast as the host takes them.

    A thread a connection, with the standard library's client: what posts must not take the
    processors from what is measured.
    """

    machine: Machine
    rate: float
    soak: Soak
    until: float
    days: Sequence[Day]

    def run(self) -> None:
        """Post until the time is over."""
        self._lock, self._began = threading.Lock(), time.monotonic()
        self._next = self._began
        with ThreadPoolExecutor(AT_ONCE + 1) as threads:
            busy = [threads.submit(self._sample)]
            some = int(CROWDED * len(self.days))
            busy += [
                threads.submit(
                    self._post_on, self.days[n:some:AT_ONCE], self.days[some + n :: AT_ONCE]
                )
                for n in range(AT_ONCE)
            ]
            for one in busy:
                one.result()

    def _post_on(self, crowded: Sequence[Day], lonely: Sequence[Day]) -> None:
        """Round and round over days that no other thread has."""
        app = urlsplit(self.machine.app.url)
        there = HTTPConnection(app.hostname or "", app.port, timeout=30)
        hours = cycle((day, hour) for day in crowded for hour in range(24))
        for number, crowd in enumerate(hours):
            if not self._await_turn():
                break
            day = lonely[number // ALONE % len(lonely)]
            alone = number % ALONE == 0 and self._is_folded(day)
            self._post(there, self._grow(*((day, number // ALONE % 24) if alone else crowd)))
        there.close()

    def _await_turn(self) -> bool:
        """Wait for the rate; False when the time is over."""
        now = time.monotonic()
        with self._lock:
            turn = max(self._next, now - 1)
            self._next = turn + 1 / self.rate
        time.sleep(max(0.0, turn - now))
        return now < self.until

    def _is_folded(self, day: Day) -> bool:
        """True when nothing of a day is under way; what was told of it must be known then."""
        ledger = self.machine.home.state / "ledger"
        # The mark first: a day is saved before its marks are deleted.
        if day.last and (ledger / mark_path(day.workspace, day.table, day.last)).exists():
            return False
        known = held(ledger / day_path(day.workspace, day.table, day.key))
        wrong = list(other(day.written, known))
        with self._lock:
            self.soak.followed += bool(day.last) and not wrong
            self.soak.lost += wrong
        return True

    def _grow(self, day: Day, number: int) -> BlobEvent:
        path = day.grow(self.machine.home.exports, number)
        day.last = f"{day.key}{number:02d}"
        return BlobEvent("exports", "PutBlob", c.export_container(day.table), path)

    def _post(self, there: HTTPConnection, event: BlobEvent) -> None:
        """Deliver until it is accepted, as Event Grid does."""
        body = json.dumps([grid_event(event, ACCOUNTS["exports"])])
        query = urlencode({"functionName": "export_blob_created", "code": self.machine.app.key})
        began = time.monotonic()
        while not self._is_accepted(there, f"/runtime/webhooks/EventGrid?{query}", body):
            with self._lock:
                self.soak.refused += 1
            began = time.monotonic()
        with self._lock:
            self.soak.waits.append(time.monotonic() - began)
            self.soak.posted += 1

    @staticmethod
    def _is_accepted(there: HTTPConnection, path: str, body: str) -> bool:
        kind = {"aeg-event-type": "Notification", "Content-Type": "application/json"}
        try:
            there.request("POST", path, body, kind)
            with there.getresponse() as answer:
                answer.read()
                return answer.status < 300
        except (OSError, HTTPException):
            there.close()
            return False

    def _sample(self) -> None:
        pid = self.machine.app_pid()
        while time.monotonic() < self.until:
            sample = (time.monotonic() - self._began, held_bytes(pid) / 1e6)
            self.soak.samples.append(sample)
            time.sleep(SAMPLE_SECONDS)


def soak(home: Home, minutes: float, rate: float, places: int = PLACES) -> Soak:
    """Post for so long, wait until every mark is folded, compare ledger and lake."""
    days = days_of(max(places, 2 * 24 * AT_ONCE), datetime.now(UTC))
    for day in days:
        for number in range(24):
            day.grow(home.exports, number)
    told = Soak(places=24 * len(days))
    silent = Options(drop=True)
    places_of = list(dict.fromkeys(day.workspace for day in days))
    with Machine(
        home,
        places_of,
        overrides=CALM,
        events=silent,
        submit=_no_pool,
        look_seconds=NEVER,
    ) as machine:
        _await_sweeps(machine)
        cpu, began = cpu_seconds(machine.app_pid()), time.monotonic()
        around = time.process_time()
        Exporter(machine, rate, told, began + 60 * minutes, days).run()
        told.seconds = time.monotonic() - began
        told.cpu = cpu_seconds(machine.app_pid()) - cpu
        told.cpu_around = time.process_time() - around
        _await_folding(home)
        told.lost = list(dict.fromkeys([*told.lost, *lost(home)]))
    return told


def _await_sweeps(machine: Machine) -> None:
    """The first ones find every hour, and would find what a lost mark told of as well."""
    print("the first sweeps go over the month", flush=True)
    ends = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < ends:
        if machine.app.status()["last_sweep"] is not None and not list(lost(machine.home)):
            return
        time.sleep(1)
    raise TimeoutError(f"the first sweeps did not end within {PATIENCE_SECONDS:.0f} s")


def _no_pool(to: Submission) -> Process:
    """No hunt is measured here: a job ends at once."""
    to.folder.mkdir(parents=True, exist_ok=True)
    return Process([sys.executable, "-c", ""], {}, to)


def _await_folding(home: Home) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    marks = home.state / "ledger" / "touched"
    while any(path.is_file() for path in marks.rglob("*")) and time.monotonic() < ends:
        time.sleep(1)


def main() -> int:
    """Tell what a long time of events does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=120, help="events per second to offer")
    parser.add_argument("--places", type=int, default=PLACES, help="hours of tables, at most")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = soak(Home(Path(folder) / "home"), options.minutes, options.rate, options.places)
    wait = quantiles(told.waits, n=100)
    print(f"{told.posted} events in {told.seconds:.0f} s: {told.rate:.0f} per second")
    print(f"answered in {wait[49] * 1e3:.0f} ms (median), {wait[98] * 1e3:.0f} ms (99 of 100)")
    print(f"{told.refused} deliveries repeated, {len(told.lost)} hours lost")
    print(f"{told.places} hours of tables, each marked {told.posted / told.places:.1f} times;")
    print(f"{told.followed} of the marks were alone on their day and were found folded")
    print(f"the host used {told.cpu:.0f} s of CPU: {1e3 * told.cpu / told.posted:.1f} ms an event;")
    print(f"emulators and exporter: {1e3 * told.cpu_around / told.posted:.1f} ms an event")
    print(f"the host holds {told.samples[-1][1]:.0f} MB; slope {told.slope:+.2f} MB in ten minutes")
    broken = list(told.violations())
    for one in broken:
        print(f"does not hold: {one}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
