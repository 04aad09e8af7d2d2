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
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import contract as c
from shared.errors import TidehuntError
from tests.killing import checks
from tests.killing.checks import Batch, Causes, Row
from tests.killing.paper_job import LINGER, ROWS
from workbench.emulators.faults import ANY, Fault, Kind
from workbench.emulators.spark_submit import Process, Submission
from workbench.home import Home
from workbench.machine import APP_FOLDER, Machine
from workbench.samples import WORKSPACE

Json = dict[str, Any]
FINAL = ("success", "dead", "killed")
REACH = 40
"""A kill comes at one of so many requests after the host is up."""
AIMED_REACH = 3
"""The same at one route: findings come in parts, between them the health of runs."""
ACTS = ("POST /dataCollectionRules/", "POST /livyApi/")
PATIENCE_SECONDS = 120.0
_FINDINGS = "select body from row where name = 'TidehuntFindings_CL'"
_INCIDENTS = "select count(*) from resource where kind = 'incidents'"
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
    """Routes at which the app was killed, by earlier stories too: at any other it will be."""
    seen: set[str] = field(default_factory=set)
    """Routes that the app has used, in earlier stories too: a killed one does not come that far."""
    asked: list[str] = field(default_factory=list)
    given_up: list[str] = field(default_factory=list)
    """Runs that somebody cancelled."""
    runs: list[Json] = field(default_factory=list)
    """Every run, once the story is told."""
    cut_off: Counter[tuple[str, int]] = field(default_factory=Counter)
    """Run and part -> kills that met it before it was known to be sent."""
    unanswered: set[tuple[str, int, str]] = field(default_factory=set)
    """Run, part and next try of what a busy machine did not answer in time."""

    @property
    def causes(self) -> Causes:
        """How often each part of each run may have been sent once more."""
        return self.cut_off + Counter((run, part) for run, part, _ in self.unanswered)

    def tell(self) -> list[str]:
        """Live until the host was killed so often and all work is done; what does not hold."""
        self._random = random.Random(self.seed)  # noqa: S311  an experiment's order
        with Machine(self.home, [WORKSPACE], overrides=BRISK, submit=submit) as machine:
            self._machine = machine
            self._land()
            while self.killed < self.kills:
                self._arm()
                if self._random.random() < 0.5:
                    self._cancel()
                else:
                    self._ask()
                self._until_idle()
            machine.cloud.faults.clear()
            self._until_idle()
            self.seen, self.hit = self.seen | self._used(), self.hit | self._killed_at()
            recent = [run["run_id"] for run in machine.app.status()["recent"]]
            self.runs = [machine.app.run(one) for one in sorted({*recent, *self.asked})]
        return list(violations(self.home, self.runs, self.causes, self.given_up))

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
        """Ask for a run and give it up while its job is at work."""
        linger = self.home.path / LINGER
        linger.touch()
        self._ask()
        while linger.exists():
            try:
                status = self._machine.app.run(self.asked[-1])["status"]
                if status in BEFORE_ITS_JOB:
                    time.sleep(0.1)
                    continue
                if status == "assigned":
                    self.given_up.append(self.asked[-1])
                    self._machine.app.change(self.asked[-1], "cancel", "not needed")
                    self._await_cancelled()
                linger.unlink()
            except TidehuntError:
                self._revive()

    def _await_cancelled(self) -> None:
        """Until nothing is asked of its job any more."""
        while self._machine.app.status()["active"]["jobs"]:
            time.sleep(0.1)

    def _arm(self) -> None:
        kind: Kind = "before" if self._random.random() < 0.5 else "lost"
        faults = self._machine.cloud.faults
        faults.clear()
        fault = Fault(kind, also=self._machine.kill_app)
        # Where no kill was yet, the next request is one: some routes are met once in many kills.
        used = self.seen | self._used()
        for route in sorted(used - self.hit - self._killed_at()):
            faults.add(route, fault)
        # Most requests are the ledger's: those whose repeat has an effect would be met too seldom.
        acts = sorted(one for one in used if one.startswith(ACTS))
        if acts and self._random.random() < 0.5:
            aim = self._random.choice(acts)
            faults.add(aim, *[None] * self._random.randrange(AIMED_REACH), fault)
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
            self.cut_off.update(_being_sent(self.home))
            if self.killed < self.kills:
                self._arm()
            else:
                self._machine.cloud.faults.clear()
            self._machine.start_app()

    def _until_idle(self) -> None:
        ends, before = time.monotonic() + PATIENCE_SECONDS, datetime.now(UTC)
        while time.monotonic() < ends:
            try:
                status = self._machine.app.status()
                self._note(status)
                if self._is_idle(status, before):
                    return
                time.sleep(0.1)
            except TidehuntError:
                self._revive()
                ends = time.monotonic() + PATIENCE_SECONDS
        raise AssertionError(f"still at work: {json.dumps(self._machine.app.status())}")

    def _note(self, status: Json) -> None:
        for run in status["active"]["runs"]:
            if run["step"] == "sending" and run["reason"]:
                part = run["counts"]["sent"] // ROWS
                self.unanswered.add((run["run_id"], part, str(run["next_at"])))

    @staticmethod
    def _is_idle(status: Json, since: datetime) -> bool:
        swept = status["last_sweep"]
        return bool(status["idle"] and swept and datetime.fromisoformat(swept) > since)


# --- what must hold -------------------------------------------------------------------------------


def violations(
    home: Home, runs: list[Json], causes: Causes, given_up: Sequence[str] = ()
) -> Iterator[str]:
    """What of the first invariants does not hold at rest, in words."""
    left = [run for run in runs if run["status"] != "cancelled" or run["run_id"] not in given_up]
    active = (home.state / "ledger" / "active").rglob("*.json")
    yield from checks.of_runs(left, [path.name for path in active])
    yield from checks.of_rows(_rows(home), left, causes)
    yield from checks.of_jobs(_batches(home))
    yield from checks.of_deliveries(left, _delivered(home))
    ((count,),) = _query(home, "sentinel", _INCIDENTS)
    yield from checks.of_incidents(count)


def _being_sent(home: Home) -> Iterator[tuple[str, int]]:
    """Run and part of which the ledger does not know whether they were sent: after a kill."""
    for path in (home.state / "ledger" / "active" / "runs").rglob("*.json"):
        run = json.loads(path.read_bytes())
        cursor = run.get("cursor", {})
        # Behind its first byte, a part that fits one request is known to be sent.
        if run.get("step") == "sending" and not cursor.get("offset"):
            yield run["id"], cursor.get("part", 0)


def _rows(home: Home) -> list[Row]:
    stored = [json.loads(body) for (body,) in _query(home, "logs", _FINDINGS)]
    told = [(row, json.loads(row["Evidence"])) for row in stored]
    return [Row(row["RunId"], row["FindingId"], at["Job"], at["Part"]) for row, at in told]


def _batches(home: Home) -> list[Batch]:
    bodies = [json.loads(body) for (body,) in _query(home, "livy", "select body from batch")]
    return [_batch(home, body) for body in bodies]


def _batch(home: Home, body: Json) -> Batch:
    job, times = str(body["request"]["name"]), body["times"]
    plan = json.loads((home.state / "results" / c.plan_path(job)).read_bytes())
    ends = [datetime.fromisoformat(times[state]) for state in FINAL if state in times]
    runs = frozenset(run["run_id"] for run in plan["runs"])
    began = datetime.fromisoformat(times["not_started"])
    return Batch(job, runs, began, min(ends, default=None))


def _delivered(home: Home) -> dict[str, list[str]]:
    """Run -> the jobs that something was delivered from."""
    told: dict[str, list[str]] = defaultdict(list)
    for path in (home.state / "results" / "jobs").glob("*/runs/*/delivered.json"):
        told[path.parts[-2]].append(path.parts[-4])
    return told


def _query(home: Home, name: str, query: str) -> list[Any]:
    database = sqlite3.connect(home.path / "emulators" / f"{name}.db")
    try:
        return database.execute(query).fetchall()
    finally:
        database.close()
