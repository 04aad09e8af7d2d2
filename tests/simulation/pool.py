"""A Spark pool on paper: it queues, runs, writes as the job does, and goes wrong in ten ways."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING

from shared import contract as c
from shared.errors import Transient
from shared.model import EngineJob, JobRequest, Json
from tests.memory.services import MemoryEngine
from tests.memory.storage import MemoryResultLake
from tests.memory.wire import Wire
from tests.simulation.faults import BEFORE
from tests.simulation.findings import parts_of
from tests.unit import house
from tests.unit.job_reports import report_on

if TYPE_CHECKING:
    from tests.simulation.baton import Schedule

ALIVE = ("queued", "running")
AT_ONCE = 3
FATES = ("fine", "fails", "dies halfway", "dies complete", "lost", "forgotten", "slow queue",
         "slow run", "hunt fails", "empty success", "late manifests")  # fmt: skip


def code_of(job_id: str) -> str:
    """A code hash of the job's own, so that each row tells which job it comes from."""
    return hashlib.sha256(job_id.encode()).hexdigest()[:32]


@dataclass
class Pool(MemoryEngine):
    """`ports.SparkEngine` whose jobs live in virtual time."""

    schedule: Schedule
    results: MemoryResultLake
    wire: Wire
    dice: random.Random
    troubled: Callable[[], bool]
    """True while jobs may go wrong."""
    landed: Callable[[str], None]
    """Told of each manifest's path."""
    padding: int = 0
    """Bytes that each finding carries besides."""
    fates: dict[str, int] = field(default_factory=dict)
    posted: dict[str, datetime] = field(default_factory=dict)
    begun: dict[str, datetime] = field(default_factory=dict)
    """Job that was at work -> when it began."""
    over: dict[str, datetime] = field(default_factory=dict)
    """Job that was at work -> when its process ended, whatever the engine says of it."""
    hanging: set[str] = field(default_factory=set)
    """Jobs whose process does not heed its own deadline: they are for others to cancel."""
    stopping: set[str] = field(default_factory=set)
    """Engine ids of the jobs that were asked to stop."""
    felt_until: datetime = BEFORE
    """How long the last job stands in the queue at most: a probe keeps a pool closed so long."""
    full: tuple[datetime, datetime] | None = None
    """Between these the workspace has no capacity left."""

    def __post_init__(self) -> None:
        super().__init__(self.wire)

    def submit(self, request: JobRequest) -> str:
        """The job is there once the request arrived, whatever becomes of the answer."""
        with self.wire.request("engine.submit", request.job_id):
            if self.full and self.full[0] <= self.schedule.now < self.full[1]:
                raise Transient("MAXIMUM_WORKSPACE_CAPACITY_EXCEEDED")
            engine_id = str(len(self.requests))
            self.requests.append(request)
            self.posted.setdefault(request.job_id, self.schedule.now)
            self.jobs[engine_id] = EngineJob(engine_id, request.job_id, "queued")
            self._live(engine_id)
            return engine_id

    def cancel(self, engine_id: str) -> None:
        """The service stops a job some time after it was asked."""
        with self.wire.request("engine.cancel", engine_id):
            if engine_id not in self.stopping:
                self.stopping.add(engine_id)
                slow = self.dice.random() < 0.3
                wait = self.dice.uniform(200, 1500) if slow else self.dice.uniform(1, 200)
                self.schedule.after(wait, lambda: self._stop(engine_id))

    def alive(self) -> list[EngineJob]:
        """Jobs that the pool still works on."""
        return [
            job for job in self.jobs.values() if job.state in ALIVE and job.job_id in self.posted
        ]

    def _stop(self, engine_id: str) -> None:
        if engine_id in self.jobs and self.jobs[engine_id].state in ALIVE:
            self.enter(engine_id, "cancelled")
            self._is_over(engine_id)

    def _live(self, engine_id: str) -> None:
        fate = self.dice.choice(("fine", *FATES)) if self.troubled() else "fine"
        self.fates[fate] = self.fates.get(fate, 0) + 1
        wait = self.dice.uniform(20, 300) if fate != "slow queue" else 2400
        if fate == "slow queue":
            self.felt_until = self.schedule.now + timedelta(seconds=wait)
        self.schedule.after(wait, lambda: self._begin(engine_id, fate))

    def _begin(self, engine_id: str, fate: str) -> None:
        job = self.jobs.get(engine_id)
        if job is None or job.state != "queued":
            return
        if sum(one.state == "running" for one in self.alive()) >= AT_ONCE:
            self.schedule.after(60, lambda: self._begin(engine_id, fate))
            return
        content = self.results.peek(c.plan_path(job.job_id))
        plan: Json = json.loads(content or b"null")
        if plan is None or self.results.peek(c.claim_path(job.job_id)) is not None:
            self.enter(engine_id, "failed", "no plan, or a second starter")
            return
        self.results.plant(c.claim_path(job.job_id), b"{}")
        self.enter(engine_id, "running")
        self.begun[job.job_id] = self.schedule.now
        self._watch_deadline(engine_id, fate, plan)
        if fate == "lost":
            self.schedule.after(60, lambda: self._end(engine_id, "lost"))
        elif fate == "fails":
            self.schedule.after(60, lambda: self._end(engine_id, "failed"))
        elif fate == "empty success":
            self.schedule.after(60, lambda: self._end(engine_id, "succeeded"))
        else:
            self._work(engine_id, fate, plan)

    def _watch_deadline(self, engine_id: str, fate: str, plan: Json) -> None:
        """As the job's own watch does, alone; one in two slow jobs hangs too hard for it."""
        job_id = plan["job_id"]
        if fate == "slow run" and self.dice.random() < 0.5:
            self.hanging.add(job_id)
            return
        ends = self.schedule.now + timedelta(seconds=plan["run_seconds"])
        ends = min(ends, datetime.fromisoformat(plan["deadline"]))
        self.schedule.at(ends, lambda: self._end(engine_id, "failed"))

    def _work(self, engine_id: str, fate: str, plan: Json) -> None:
        """Steps one after another, each at a time of its own."""
        runs = plan["runs"][: len(plan["runs"]) // 2 or 1 if fate == "dies halfway" else None]
        seconds = 4500.0 if fate == "slow run" else 0.0
        if fate == "forgotten":
            seconds = self.dice.uniform(0, 1500)
            self.schedule.after(self.dice.uniform(0, 600), lambda: self._forget(engine_id))
        report = (c.report_path(plan["job_id"]), report_on(plan))
        seconds += self.dice.uniform(20, 200)
        self.schedule.after(seconds, lambda: self._write(engine_id, plan, *report))
        end = {"dies halfway": "failed", "dies complete": "failed"}.get(fate, "succeeded")
        if fate == "late manifests":
            self.schedule.after(seconds, lambda: self._end(engine_id, "succeeded"))
        for number, run in enumerate(runs):
            seconds += self.dice.uniform(5, 120)
            self._write_run(engine_id, plan, run, seconds, fate == "hunt fails" and number == 0)
        self.schedule.after(seconds + 1, lambda: self._end(engine_id, end))

    def _write_run(
        self, engine_id: str, plan: Json, run: Json, seconds: float, fails: bool
    ) -> None:
        job_id, run_id, counts = plan["job_id"], run["run_id"], {}
        for name, lines in ({} if fails else parts_of(plan, run, self.padding)).items():
            path, content = f"{c.run_folder(job_id, run_id)}/{name}", b"".join(lines)
            counts[name] = len(lines)
            self.schedule.after(seconds - 1, partial(self._write, engine_id, plan, path, content))
        path = c.manifest_path(job_id, run_id)
        # One in two tells of what another job may well do.
        passing = int(job_id[-1], 16) % 2 == 0
        verdict = {"status": "failed", "error": "it raised", "passing": passing} if fails else {}
        body = house.manifest(job_id, run_id, counts, code_hash=code_of(job_id), **verdict)
        self.schedule.after(seconds, lambda: self._write(engine_id, plan, path, body))

    def _write(self, engine_id: str, plan: Json, path: str, content: bytes) -> None:
        """A file of a job lands, unless the job is dead; a forgotten one works on."""
        job = self.jobs.get(engine_id)
        late = job is not None and job.state == "succeeded"
        if job is not None and job.state != "running" and not late:
            return
        if self.schedule.now > datetime.fromisoformat(plan["deadline"]):
            self._end(engine_id, "failed")  # the job ends itself
            return
        self.results.plant(path, content)
        if path.endswith(c.MANIFEST_NAME):
            self.landed(path)

    def _end(self, engine_id: str, state: str) -> None:
        self._is_over(engine_id)
        job = self.jobs.get(engine_id)
        if job is not None and job.state == "running":
            self.jobs[engine_id] = replace(job, state=state)  # type: ignore[arg-type]

    def _is_over(self, engine_id: str) -> None:
        self.over.setdefault(self.requests[int(engine_id)].job_id, self.schedule.now)

    def _forget(self, engine_id: str) -> None:
        self.jobs.pop(engine_id, None)
