"""Export events without a pause: python -m benchmarks.soak [--minutes 30] [--rate 120]

The real host process with the emulators. Each event tells of a blob that has just grown; sweeps are
off, so that a lost mark shows: at the end the ledger must know every hour as the lake has it.
Exit code 1: marks lost, less than 100 events per second, or memory that grows.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from statistics import linear_regression, quantiles
from urllib.parse import urlencode, urlsplit

from benchmarks.process import cpu_seconds, held_bytes
from shared import contract as c
from workbench.cloud import ACCOUNTS
from workbench.emulators.eventgrid_delivery import Options
from workbench.emulators.spark_submit import Process, Submission
from workbench.emulators.storage_events import BlobEvent, grid_event
from workbench.home import Home
from workbench.machine import Machine
from workbench.samples import WORKSPACE

TABLE = "commonsecuritylog"
LEAST_RATE = 100.0
MOST_GROWTH = 1.0
"""MB in ten minutes."""
DAYS, BLOBS_AN_HOUR = 7, 12
AT_ONCE = 32
SAMPLE_SECONDS = 5.0
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

    def run(self) -> None:
        """Post until the time is over."""
        self._lock, self._began = threading.Lock(), time.monotonic()
        self._next = self._began
        with ThreadPoolExecutor(AT_ONCE + 1) as threads:
            busy = [threads.submit(self._sample)]
            busy += [threads.submit(self._post_on, number) for number in range(AT_ONCE)]
            for one in busy:
                one.result()

    def _post_on(self, number: int) -> None:
        chance = random.Random(number)  # noqa: S311  an experiment's order
        app = urlsplit(self.machine.app.url)
        there = HTTPConnection(app.hostname or "", app.port, timeout=30)
        while (now := time.monotonic()) < self.until:
            with self._lock:
                turn = max(self._next, now - 1)
                self._next = turn + 1 / self.rate
            time.sleep(max(0.0, turn - now))
            self._post(there, self._grow(chance))
        there.close()

    def _grow(self, chance: random.Random) -> BlobEvent:
        hour = datetime.now(UTC) - timedelta(hours=chance.randrange(24 * DAYS))
        folder = c.export_hour_folder(WORKSPACE, c.hour_key(hour))
        path = f"{folder}/m={5 * chance.randrange(BLOBS_AN_HOUR):02d}/PT05M.json"
        file = self.machine.home.exports / c.export_container(TABLE) / path
        file.parent.mkdir(parents=True, exist_ok=True)
        with file.open("ab") as blob:
            blob.write(b"{}\n")
        return BlobEvent("exports", "PutBlob", c.export_container(TABLE), path)

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


def soak(home: Home, minutes: float, rate: float) -> Soak:
    """Post for so long, wait until every mark is folded, compare ledger and lake."""
    told = Soak()
    silent = Options(drop=True)
    with Machine(home, [WORKSPACE], overrides=CALM, events=silent, submit=_no_pool) as machine:
        cpu, began = cpu_seconds(machine.app_pid()), time.monotonic()
        around = time.process_time()
        Exporter(machine, rate, told, began + 60 * minutes).run()
        told.seconds = time.monotonic() - began
        told.cpu = cpu_seconds(machine.app_pid()) - cpu
        told.cpu_around = time.process_time() - around
        _await_folding(home)
        told.lost = list(lost(home))
    return told


def _no_pool(to: Submission) -> Process:
    """No hunt is measured here: a job ends at once."""
    to.folder.mkdir(parents=True, exist_ok=True)
    return Process([sys.executable, "-c", ""], {}, to)


def _await_folding(home: Home) -> None:
    ends = time.monotonic() + PATIENCE_SECONDS
    marks = home.state / "ledger" / "touched"
    while any(path.is_file() for path in marks.rglob("*")) and time.monotonic() < ends:
        time.sleep(1)


def lost(home: Home) -> Iterator[str]:
    """Hours of which the ledger knows other blobs or bytes than the lake holds, or marks left."""
    ledger, key = home.state / "ledger", c.workspace_key(WORKSPACE)
    for path in (ledger / "touched").rglob("*"):
        if path.is_file():
            yield f"{path.name} is marked and not folded"
    known: dict[str, tuple[int, int]] = {}
    for path in (ledger / "days" / key / TABLE).glob("*.json"):
        for hour, held in json.loads(path.read_text("utf-8"))["hours"].items():
            known[hour] = (held["blobs"], held["bytes"])
    there: dict[str, tuple[int, int]] = {}
    for path in (home.exports / c.export_container(TABLE)).rglob("*.json"):
        parsed = c.parse_export_blob(
            c.export_container(TABLE),
            path.relative_to(home.exports / c.export_container(TABLE)).as_posix(),
        )
        hour = parsed.hour if parsed else path.name
        blobs, size = there.get(hour, (0, 0))
        there[hour] = (blobs + 1, size + path.stat().st_size)
    for hour, held in there.items():
        if known.get(hour) != held:
            yield f"{hour}: {held} in the lake, {known.get(hour)} in the ledger"


def main() -> int:
    """Tell what a long time of events does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--rate", type=float, default=120, help="events per second to offer")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        told = soak(Home(Path(folder) / "home"), options.minutes, options.rate)
    wait = quantiles(told.waits, n=100)
    print(f"{told.posted} events in {told.seconds:.0f} s: {told.rate:.0f} per second")
    print(f"answered in {wait[49] * 1e3:.0f} ms (median), {wait[98] * 1e3:.0f} ms (99 of 100)")
    print(f"{told.refused} deliveries repeated, {len(told.lost)} hours lost")
    print(f"the host used {told.cpu:.0f} s of CPU: {1e3 * told.cpu / told.posted:.1f} ms an event;")
    print(f"emulators and exporter: {1e3 * told.cpu_around / told.posted:.1f} ms an event")
    print(f"the host holds {told.samples[-1][1]:.0f} MB; slope {told.slope:+.2f} MB in ten minutes")
    broken = list(told.violations())
    for one in broken:
        print(f"does not hold: {one}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
