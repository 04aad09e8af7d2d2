"""A deployment whose host is killed over and over, and what must hold at its end.

The host is the real process with its real adapters; the services are the emulators, over HTTP. It
is killed with SIGKILL at a request: before the effect, or after it and without an answer.
"""

from __future__ import annotations

import json
import os
import random
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.errors import TidehuntError
from tests.killing.paper_job import CASES, PARTS, ROWS
from workbench.emulators.faults import ANY, Fault, Kind
from workbench.emulators.spark_submit import Process, Submission
from workbench.home import Home
from workbench.machine import APP_FOLDER, Machine
from workbench.samples import WORKSPACE

Json = dict[str, Any]
REACH = 40
"""A kill comes at one of so many requests after the host is up."""
PATIENCE_SECONDS = 120.0
_FINDINGS = "select body from row where name = 'TidehuntFindings_CL'"
BEFORE_ITS_JOB = ("requested", "waiting")
BRISK = {
    # A turn that is cut off holds the next one up for as long as its claim.
    "TIDEHUNT_TURN_SECONDS": "5",
    "TIDEHUNT_CALL_SECONDS": "1",
    "TIDEHUNT_UNKNOWN_SECONDS": "1",
    "TIDEHUNT_GRACE_SECONDS": "2",
    "TIDEHUNT_RETRY_SECONDS": "1",
    "TIDEHUNT_SWEEP_SECONDS": "3",
    "TIDEHUNT_SETTLE_SECONDS": "1",
    "TIDEHUNT_READBACK_SECONDS": "0",
    "TIDEHUNT_JOBS_A_DAY": "10000",
}


def submit(to: Submission) -> Process:
    """Start a job on paper."""
    host, _, path = str(to.request["args"][0]).removeprefix("abfss://").partition("/")
    folder = to.mounts[host]
    command = [sys.executable, "-m", "tests.killing.paper_job", str(folder), str(folder / path)]
    to.folder.mkdir(parents=True, exist_ok=True)
    return Process(command, {**os.environ, "PYTHONPATH": str(APP_FOLDER)}, to)


@dataclass
class Story:
    """One deployment and its killer."""

    home: Home
    kills: int
    seed: int
    killed: int = 0
    hit: set[str] = field(default_factory=set)
    """Routes at which the app was killed, by earlier stories too: the others are aimed at."""
    seen: set[str] = field(default_factory=set)
    """Routes that the app has used."""
    asked: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    """Runs that somebody cancelled."""
    runs: list[Json] = field(default_factory=list)
    """Every run, once the story is told."""

    def tell(self) -> list[str]:
        """Live until the host was killed so often and all work is done; what does not hold."""
        self._random = random.Random(self.seed)  # noqa: S311  an experiment's order
        with Machine(self.home, [WORKSPACE], overrides=BRISK, submit=submit) as machine:
            self._machine = machine
            self._land()
            while self.killed < self.kills:
                self._arm()
                self._ask()
                if len(self.asked) % 3 == 0:
                    self._cancel()
                self._until_idle()
            machine.cloud.faults.clear()
            self._until_idle()
            self.seen, self.hit = self._used(), self.hit | self._killed_at()
            recent = [run["run_id"] for run in machine.app.status()["recent"]]
            self.runs = [machine.app.run(one) for one in sorted({*recent, *self.asked})]
        return list(violations(self.home, self.runs, self.killed, self.given_up))

    def _land(self) -> None:
        day = datetime.now(UTC) - timedelta(days=1)
        place = f"am-commonsecuritylog/WorkspaceResourceId={WORKSPACE}"
        for hour in range(3):
            folder = self.home.exports / place / f"{day:y=%Y/m=%m/d=%d}/h={hour:02d}/m=00"
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "PT05M.json").write_text("{}\n", encoding="utf-8")

    def _ask(self) -> None:
        day = datetime.now(UTC) - timedelta(days=2 + len(self.asked))
        while True:
            try:
                asked = {"hunt": "beaconing", "end_date": f"{day:%Y-%m-%d}"}
                self.asked.append(self._machine.app.start_run(**asked))
                return
            except TidehuntError:
                self._revive()

    def _cancel(self) -> None:
        """Give the last run up while its job is at work, if it still is."""
        while True:
            try:
                while (run := self._machine.app.run(self.asked[-1]))["status"] in BEFORE_ITS_JOB:
                    time.sleep(0.1)
                if run["status"] == "assigned":
                    self.given_up.append(self.asked[-1])
                    self._machine.app.change(self.asked[-1], "cancel", "not needed")
                return
            except TidehuntError:
                self._revive()

    def _arm(self) -> None:
        kind: Kind = "before" if self._random.random() < 0.5 else "lost"
        faults = self._machine.cloud.faults
        faults.clear()
        fault = Fault(kind, also=self._machine.kill_app)
        missed = sorted(self._used() - self.hit - self._killed_at())
        if missed and self._random.random() < 0.5:
            faults.add(self._random.choice(missed), fault)
        else:
            faults.add(ANY, *[None] * self._random.randrange(REACH), fault)

    def _used(self) -> set[str]:
        return set(self._machine.cloud.faults.seen) - {""}

    def _killed_at(self) -> set[str]:
        return {route for route, _ in self._machine.cloud.faults.fired}

    def _revive(self) -> None:
        """Start the host again if it is dead, and set the next trap."""
        ends = time.monotonic() + 2
        while self._machine.app_is_alive() and time.monotonic() < ends:
            time.sleep(0.02)
        if not self._machine.app_is_alive():
            self.killed += 1
            if self.killed < self.kills:
                self._arm()
            self._machine.start_app()

    def _until_idle(self) -> None:
        ends, before = time.monotonic() + PATIENCE_SECONDS, datetime.now(UTC)
        while time.monotonic() < ends:
            try:
                if self._is_idle(self._machine.app.status(), before):
                    return
                time.sleep(0.1)
            except TidehuntError:
                self._revive()
                ends = time.monotonic() + PATIENCE_SECONDS
        raise AssertionError(f"still at work: {json.dumps(self._machine.app.status())}")

    @staticmethod
    def _is_idle(status: Json, since: datetime) -> bool:
        swept = status["last_sweep"]
        return bool(status["idle"] and swept and datetime.fromisoformat(swept) > since)


# --- what must hold -------------------------------------------------------------------------------


def violations(
    home: Home, runs: list[Json], kills: int, given_up: Sequence[str] = ()
) -> Iterator[str]:
    """What of the first invariants does not hold at rest, in words."""
    left = [run for run in runs if run["status"] != "cancelled" or run["run_id"] not in given_up]
    yield from _unfinished(home, left)
    yield from _rows(home, left, kills)
    yield from _jobs(home, left)
    yield from _incidents(home)


def _unfinished(home: Home, runs: list[Json]) -> Iterator[str]:
    for run in runs:
        if run["status"] != "done":
            yield f"9: {run['run_id']} is {run['status']}: {run['reason']}"
    for path in (home.state / "ledger" / "active").rglob("*.json"):
        yield f"10: {path.name} is unfinished"


def _rows(home: Home, runs: list[Json], kills: int) -> Iterator[str]:
    stored = [json.loads(body) for (body,) in _query(home, "logs", _FINDINGS)]
    sent = Counter((row["RunId"], row["FindingId"]) for row in stored)
    for run in runs:
        found = {finding for run_id, finding in sent if run_id == run["run_id"]}
        if len(found) != PARTS * ROWS:
            yield f"1: {run['run_id']}: {len(found)} of {PARTS * ROWS} findings are in the table"
    known = {run["run_id"] for run in runs}
    names = {finding for run_id, finding in sent if run_id in known}
    if len(names) != len(runs) * PARTS * ROWS:
        yield f"2: {len(names)} FindingIds for {len(runs)} runs"
    twice = sum(sent.values()) - len(sent)
    if twice > kills * ROWS:
        yield f"3: {twice} rows came twice by {kills} kills"


def _jobs(home: Home, runs: list[Json]) -> Iterator[str]:
    bodies = [json.loads(body) for (body,) in _query(home, "livy", "select body from batch")]
    for name, posts in Counter(str(batch["request"]["name"]) for batch in bodies).items():
        if posts > 1:
            yield f"4: {name} was posted {posts} times"
    jobs = home.state / "results" / "jobs"
    for run in runs:
        delivered = jobs.glob(f"*/runs/{run['run_id']}/delivered.json")
        told = sorted(path.parts[-4] for path in delivered)
        if told != [run["job"]]:
            yield f"5: {run['run_id']} names {run['job']} and was delivered from {told}"


def _incidents(home: Home) -> Iterator[str]:
    query = "select count(*) from resource where kind = 'incidents'"
    ((count,),) = _query(home, "sentinel", query)
    if count != CASES:
        yield f"7: {count} incidents for {CASES} cases"


def _query(home: Home, name: str, query: str) -> list[Any]:
    database = sqlite3.connect(home.path / "emulators" / f"{name}.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()
