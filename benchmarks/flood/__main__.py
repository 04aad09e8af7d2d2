"""A flood through the whole product: python -m benchmarks.flood [--findings 10000000]

Spark, a driver of 4 GB on this machine, runs the real job; the real app delivers to the emulators.
Prints what came of it and what it took; the exit code is 1 when something does not hold.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.process import peak_bytes
from shared.contract import withheld_folder
from shared.model import Json
from workbench.home import Home
from workbench.machine import Machine
from workbench.samples import WORKSPACE

DELIVERED, INCIDENTS = 10_000, 20
MEMORY = 300_000_000
LOOK_SECONDS = 3.0
ENDED = ("done", "failed", "cancelled", "held")
SETTINGS = {
    "TIDEHUNT_HUNT_FOLDERS": str(Path(__file__).with_name("hunts")),
    "TIDEHUNT_DRIVER_MEMORY": "4g",
    "TIDEHUNT_DRIVER_CORES": "2",
    "TIDEHUNT_RUN_DEADLINE_SECONDS": "14400",
    "TIDEHUNT_SETTLE_SECONDS": "14400",  # nothing but the flood is hunted
    "TIDEHUNT_SWEEP_SECONDS": "600",
    "TIDEHUNT_TICK_SCHEDULE": "*/5 * * * * *",
}


@dataclass(frozen=True)
class Outcome:
    """What came of a flood; sizes in bytes, times in seconds."""

    run: Json
    stored: int
    """Distinct FindingIds in the findings table."""
    rows: int
    roll_ups: list[Json]
    incidents: int
    withheld: int
    """Lines that can be read in the lake."""
    app_peak: int
    seconds: float

    def violations(self, findings: int) -> Iterator[str]:
        """What does not hold, in words."""
        most = min(findings, DELIVERED)
        counts = self.run["counts"]
        if self.run["status"] != "done":
            yield f"the run is {self.run['status']}: {self.run['reason']}"
        if (self.stored, self.rows, counts["sent"]) != (most, most, most):
            yield f"{self.stored} findings in {self.rows} rows are stored, not {most}"
        if not counts["withheld"] == self.withheld == findings - most:
            yield f"{counts['withheld']} withheld, {self.withheld} readable, not {findings - most}"
        if len(self.roll_ups) != 1 or self.incidents != INCIDENTS + 1:
            yield f"{self.incidents} incidents, {len(self.roll_ups)} of them roll-ups"
        if self.app_peak >= MEMORY:
            yield f"the app held {self.app_peak / 1e6:.0f} MB"


def flood(home: Home, findings: int) -> Outcome:
    """Ask for a run that finds so much, and wait for its end."""
    began, day = time.monotonic(), datetime.now(UTC) - timedelta(days=1)
    with Machine(home, [WORKSPACE], overrides=SETTINGS) as machine:
        place = f"am-commonsecuritylog/WorkspaceResourceId={WORKSPACE}"
        hour = home.exports / place / f"{day:y=%Y/m=%m/d=%d}/h=03/m=00"
        hour.mkdir(parents=True)
        (hour / "PT05M.json").write_text(f'{{"TimeGenerated": "{day:%Y-%m-%dT03:00:01Z}"}}\n')
        asked = machine.app.start_run(
            hunt="too_many",
            end_date=f"{day:%Y-%m-%d}",
            lookback_days=1,
            params={"findings": findings},
        )
        run = _await(machine, asked)
        peak = peak_bytes(machine.app_pid())
    return _outcome(home, run, peak, time.monotonic() - began)


def _await(machine: Machine, run_id: str) -> Json:
    said = ""
    while True:
        run = machine.app.run(run_id)
        now = f"{run['status']} {run.get('step', '')}".strip()
        if now != said:
            print(f"{datetime.now(UTC):%H:%M:%S} {now}", flush=True)
            said = now
        if run["status"] in ENDED:
            return run
        time.sleep(LOOK_SECONDS)


def _outcome(home: Home, run: Json, peak: int, seconds: float) -> Outcome:
    query = "select body from row where name = 'TidehuntFindings_CL'"
    stored = [json.loads(body) for body in _bodies(home, "logs", query)]
    query = "select body from resource where kind = 'incidents'"
    incidents = [json.loads(body) for body in _bodies(home, "sentinel", query)]
    results = home.state / "results" / withheld_folder(run["job"], run["run_id"])
    return Outcome(
        run=run,
        stored=len({row["FindingId"] for row in stored}),
        rows=len(stored),
        roll_ups=[one for one in incidents if "roll-up" in json.dumps(one)],
        incidents=len(incidents),
        withheld=sum(_lines(path) for path in results.glob("part-*")),
        app_peak=peak,
        seconds=seconds,
    )


def _lines(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for line in file if line.startswith(b'{"FindingId":"'))


def _bodies(home: Home, name: str, query: str) -> list[str]:
    database = sqlite3.connect(home.path / "emulators" / f"{name}.db")
    try:
        return [str(body) for (body,) in database.execute(query)]
    finally:
        database.close()


def main() -> int:
    """Tell what a flood does."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.flood", description=__doc__)
    parser.add_argument("--findings", type=int, default=10_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        outcome = flood(Home(Path(folder) / "home"), options.findings)
    counts, timings = outcome.run["counts"], outcome.run.get("coverage", {}).get("timings", {})
    print(f"{options.findings} findings, {outcome.seconds:.0f} s; the job's stages: {timings}")
    print(f"{outcome.stored} delivered, {outcome.withheld} withheld and readable, {counts}")
    print(f"{outcome.incidents} incidents, {len(outcome.roll_ups)} roll-up")
    print(f"the app held at most {outcome.app_peak / 1e6:.0f} MB")
    broken = list(outcome.violations(options.findings))
    for one in broken:
        print(f"does not hold: {one}")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
