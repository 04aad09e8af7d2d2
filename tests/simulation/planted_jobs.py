"""Planted bugs of jobs: each is what production code would do without one of its rules.

The first figure of a docstring is the invariant that tells.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from shared import contract as c
from shared.deployment import Deployment
from shared.errors import OutcomeUnknown, Transient
from shared.model import EngineJob, JobRequest, Json
from shared.records import JOBS, Records
from tests.simulation.through import EngineThrough, LedgerThrough, ResultsThrough


class _PostsTwice(EngineThrough):
    def submit(self, request: JobRequest) -> str:
        self.engine.submit(request)
        return self.engine.submit(request)


def posts_twice(home: Deployment) -> Deployment:
    """4: a job id is used for one POST, ever."""
    return replace(home, engine=_PostsTwice(home.engine))


class _Retries(EngineThrough):
    def submit(self, request: JobRequest) -> str:
        for _ in range(3):
            try:
                return self.engine.submit(request)
            except OutcomeUnknown:
                continue
        return self.engine.submit(request)


def retries_the_post(home: Deployment) -> Deployment:
    """4: the client repeats no POST whose answer was lost."""
    return replace(home, engine=_Retries(home.engine))


class _ZeroIsNone(EngineThrough):
    def submit(self, request: JobRequest) -> str:
        engine_id = self.engine.submit(request)
        if int(engine_id) == 0:
            raise OutcomeUnknown("no id in the answer")
        return engine_id

    def list(self) -> list[EngineJob]:
        return [job for job in self.engine.list() if int(job.engine_id)]


def takes_zero_for_none(home: Deployment) -> Deployment:
    """4: the service's first id is 0."""
    return replace(home, engine=_ZeroIsNone(home.engine))


@dataclass
class _PostsAgain(EngineThrough):
    unanswered: dict[str, JobRequest] = field(default_factory=dict)

    def submit(self, request: JobRequest) -> str:
        self.unanswered[request.job_id] = request
        engine_id = self.engine.submit(request)
        del self.unanswered[request.job_id]
        return engine_id

    def list(self) -> list[EngineJob]:
        found = {job.job_id: job for job in self.engine.list()}
        for job_id, request in list(self.unanswered.items()):
            if job_id not in found:
                found[job_id] = EngineJob(self.submit(request), job_id, "queued")
        return list(found.values())


def uses_an_id_again(home: Deployment) -> Deployment:
    """4: a job that is not listed is lost, and its id with it."""
    return replace(home, engine=_PostsAgain(home.engine))


class _OnlyNewest(EngineThrough):
    def list(self) -> list[EngineJob]:
        """The newest job under every name that is looked for: adopted by order."""
        listed = sorted(self.engine.list(), key=lambda job: int(job.engine_id))
        return [replace(listed[-1], job_id=job.job_id) for job in listed]


def adopts_by_order(home: Deployment) -> Deployment:
    """14: what is adopted carries the job's name; the newest job may be a stranger's."""
    return replace(home, engine=_OnlyNewest(home.engine))


@dataclass
class _CountsCapacity(EngineThrough):
    ghosts: int = 0

    def submit(self, request: JobRequest) -> str:
        try:
            return self.engine.submit(request)
        except OutcomeUnknown:
            raise
        except Transient:
            self.ghosts += 1
            return f"ghost-{self.ghosts}"

    def get(self, engine_id: str) -> EngineJob | None:
        if engine_id.startswith("ghost-"):
            return EngineJob(engine_id, "", "failed", "no capacity")
        return self.engine.get(engine_id)


def counts_capacity_as_attempts(home: Deployment) -> Deployment:
    """10: a job that never started is no fault of its runs."""
    return replace(home, engine=_CountsCapacity(home.engine))


@dataclass
class _BelievesCancel(EngineThrough):
    asked: set[str] = field(default_factory=set)

    def cancel(self, engine_id: str) -> None:
        self.engine.cancel(engine_id)
        self.asked.add(engine_id)

    def get(self, engine_id: str) -> EngineJob | None:
        found = self.engine.get(engine_id)
        if found and engine_id in self.asked:
            return replace(found, state="cancelled")
        return found


def believes_a_cancel(home: Deployment) -> Deployment:
    """4: cancelled means seen in a terminal state."""
    return replace(home, engine=_BelievesCancel(home.engine))


@dataclass
class _Deaths(EngineThrough):
    dead: set[str] = field(default_factory=set)

    def get(self, engine_id: str) -> EngineJob | None:
        found = self.engine.get(engine_id)
        if found and found.state in ("failed", "lost", "cancelled"):
            self.dead.add(found.job_id)
        return found


@dataclass
class _IgnoresTheDead(ResultsThrough):
    deaths: _Deaths

    def read(self, path: str, limit: int) -> bytes | None:
        named = c.parse_manifest_path(path)
        if named is not None and named[0] in self.deaths.dead:
            return None
        return self.results.read(path, limit)


def ignores_a_dead_jobs_manifest(home: Deployment) -> Deployment:
    """1: a dead job with a complete manifest is delivered."""
    deaths = _Deaths(home.engine)
    return replace(home, engine=deaths, results=_IgnoresTheDead(home.results, deaths))


class _AnyJobs(ResultsThrough):
    """Takes a run's files from whichever job wrote its manifest."""

    def read(self, path: str, limit: int) -> bytes | None:
        where = self._where(path)
        found = self.results.read(where, limit)
        job, other = (one.split("/")[1].encode() for one in (path, where))
        return found.replace(other, job) if found else None

    def lines(self, path: str, offset: int, limit: int) -> Iterator[tuple[bytes, int]]:
        return self.results.lines(self._where(path), offset, limit)

    def _where(self, path: str) -> str:
        _, job, *rest = path.split("/", 4)
        if len(rest) < 3 or self._finished(job, rest[1]):
            return path
        jobs = sorted({one.name.split("/")[1] for one in self.results.paths("jobs")})
        finished = next((one for one in jobs if self._finished(one, rest[1])), job)
        return "/".join(["jobs", finished, *rest])

    def _finished(self, job: str, run: str) -> bool:
        return self.results.read(c.manifest_path(job, run), 10**7) is not None


def delivers_from_any_job(home: Deployment) -> Deployment:
    """5: only the job that the run names is delivered."""
    return replace(home, results=_AnyJobs(home.results))


@dataclass
class _SavesLate(LedgerThrough):
    """Keeps back the document that says that a job is being submitted."""

    late: threading.local = field(default_factory=threading.local)

    def replace(self, path: str, body: Json, etag: str) -> str:
        if path.startswith(JOBS) and body.get("status") == "submitting":
            self.late.waiting = (path, body, etag)
            return "late"
        if etag == "late" and getattr(self.late, "waiting", None):
            self.catch_up()
        return self.ledger.replace(path, body, self.late.etag if etag == "late" else etag)

    def catch_up(self) -> None:
        """Write what was kept back."""
        self.late.etag = self.ledger.replace(*self.late.waiting)
        self.late.waiting = ()


@dataclass
class _PostsFirst(EngineThrough):
    saves: _SavesLate

    def submit(self, request: JobRequest) -> str:
        engine_id = self.engine.submit(request)
        self.saves.catch_up()
        return engine_id


def posts_before_it_saves(home: Deployment) -> Deployment:
    """4: save first, then act."""
    saves = _SavesLate(home.records.ledger)
    return replace(home, records=Records(saves), engine=_PostsFirst(home.engine, saves))


@dataclass
class _ReservesLate(LedgerThrough):
    """Keeps back what a job costs."""

    late: threading.local = field(default_factory=threading.local)

    def replace(self, path: str, body: Json, etag: str) -> str:
        if not path.startswith("budget/"):
            return self.ledger.replace(path, body, etag)
        before = self.ledger.read(path)
        if before is None or before.body.get("jobs", 0) == body.get("jobs", 0):
            return self.ledger.replace(path, body, etag)
        self.late.waiting = (path, body)
        return "late"

    def catch_up(self) -> None:
        """Write what was kept back."""
        path, body = self.late.waiting
        self.ledger.put(path, body)


@dataclass
class _PaysLater(EngineThrough):
    reserves: _ReservesLate

    def submit(self, request: JobRequest) -> str:
        engine_id = self.engine.submit(request)
        self.reserves.catch_up()
        return engine_id


def reserves_after_the_post(home: Deployment) -> Deployment:
    """8: spend is reserved before the act."""
    reserves = _ReservesLate(home.records.ledger)
    return replace(home, records=Records(reserves), engine=_PaysLater(home.engine, reserves))


class _NeverEnds(ResultsThrough):
    """Plans without the deadlines of the job."""

    def write(self, path: str, content: bytes) -> None:
        if path.endswith("/plan.json"):
            plan = json.loads(content)
            later = datetime.fromisoformat(plan["deadline"]) + timedelta(days=1)
            plan |= {"deadline": later.isoformat(), "run_seconds": 86_400}
            content = json.dumps(plan).encode()
        self.results.write(path, content)


def gives_no_deadline(home: Deployment) -> Deployment:
    """8: a job ends itself: what is reserved for it ends with its deadline."""
    return replace(home, results=_NeverEnds(home.results))
