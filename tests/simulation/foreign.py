"""Invariant 14: no request leaves for what is not ours, and no raw content of a log comes out.

Strangers' events and requests, a stranger's job in the pool, and findings that an attacker wrote:
none of them may reach a path, a job, a host or an output that it should not.
"""

from __future__ import annotations

import json
import logging
import random
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from functools import lru_cache
from typing import TYPE_CHECKING

from shared import contract as c
from shared import events, http_api
from shared.callers import OPERATOR
from shared.deployment import Deployment
from shared.model import EngineJob, StorageEvent
from tests.simulation.findings import CANARY
from tests.simulation.scale import TABLES
from tests.unit.house import export_path

if TYPE_CHECKING:
    from tests.simulation.safety import Safety
    from tests.simulation.world import World

STRANGERS_JOB = EngineJob("9000001", "nightly etl", "running")
OURS = re.compile(
    r"(turn|owner|sweep|recent|pause|fills)(\.spare)?\.json"
    r"|(hunts|active|done|touched|days|budget|cases|requests|pools|health|archive)"
    r"(/[A-Za-z0-9=._-]+)+"
)
WRITTEN = re.compile(r"jobs/job-[0-9]{14}-[0-9a-f]{8}/(plan|runs/[\w-]+/[a-z-]+(/[\w.-]+)?)\.json")
RAW = re.compile(
    r"<[a-z/!]|\]\(|https?://|[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", re.IGNORECASE
)
"""Markup that renders, links that open, characters that hide: never in an incident's text."""
CONTAINERS = ("am-secretlogs", "am-../ledger", "results", "$logs", "am-commonsecuritylog")
PATHS = (
    "../../ledger/owner.json",
    "WorkspaceResourceId=/subscriptions/%2e%2e/y=2026/m=03/d=10/h=00/m=00/PT05M.json",
    "jobs/job-20260310000000-00000000/runs/../../turn/manifest.json",
    "jobs/nightly/runs/nightly/manifest.json",
    "\x00\r\nforged line",
)
HOSTS = ("evil.example", "tidehuntexports.dfs.core.windows.net.evil.example",
         "tidehuntexports.dfs.core.windows.net", "tidehuntstate.blob.core.windows.net")  # fmt: skip


def plan_strangers(world: World, dice: random.Random, start: datetime, hours: int) -> None:
    """Some twenty events and requests of which nothing may come."""
    world.pool.jobs[STRANGERS_JOB.engine_id] = STRANGERS_JOB
    for _ in range(20):
        moment = start + timedelta(hours=dice.uniform(1, hours))
        world.schedule.at(moment, lambda: world.call("event", _stranger(dice)))


def _stranger(dice: random.Random) -> Callable[[Deployment], object]:
    if dice.random() < 0.3:
        run, asked = dice.choice(PATHS), {"hunt": dice.choice(PATHS), "end_date": "2026-03-10"}
        body = json.dumps(dice.choice((asked, [], {**asked, "params": {"x": CANARY}}))).encode()
        return lambda home: _ask(home, run, body)
    path = dice.choice((*PATHS, export_path("2031010100"), export_path("2026031000")))
    event = StorageEvent(
        "", "Microsoft.Storage.BlobCreated", dice.choice(CONTAINERS), path, dice.choice(HOSTS)
    )
    handler = dice.choice((events.export_blob_created, events.result_created))
    return lambda home: handler(home, event)


def _ask(home: Deployment, run: str, body: bytes) -> None:
    for work in (
        lambda at: http_api.start_run(at, body),
        lambda at: http_api.change_run(at, run, "cancel", b""),
    ):
        code, _ = http_api.answer(lambda: home, {}, OPERATOR, work)
        assert code in (400, 404), f"a stranger's request was answered with {code}"


def nothing_foreign_is_asked_for(safety: Safety, operation: str, subject: str) -> Iterator[str]:
    """14: every path is one of ours."""
    if not _is_ours(operation, subject, safety.world.scale.workspaces):
        yield f"14: {operation} of {subject!r}"


@lru_cache(maxsize=50_000)
def _is_ours(operation: str, subject: str, workspaces: tuple[str, ...]) -> bool:
    port, act = operation.split(".")
    if port == "ledger" and act != "list":
        return bool(OURS.fullmatch(subject)) and ".." not in subject
    if operation == "results.write":
        return bool(WRITTEN.fullmatch(subject)) and ".." not in subject
    if operation == "exports.blobs":
        table, _, folder = subject.partition("/")
        folders = tuple(f"WorkspaceResourceId={one}/y=" for one in workspaces)
        return table in TABLES and folder.startswith(folders) and ".." not in folder
    if operation in ("engine.get", "engine.cancel"):
        return subject != STRANGERS_JOB.engine_id
    return True


def a_job_runs_our_code(safety: Safety, _job_id: str) -> Iterator[str]:
    """14: what is submitted reads our code and our plan, from our account."""
    request, settings = safety.world.pool.requests[-1], safety.world.base.settings
    code = f"abfss://code@{settings.state_account}/{settings.code_hash}/"
    plan = f"abfss://results@{settings.state_account}/{c.plan_path(request.job_id)}"
    if not all(one.startswith(code) for one in (request.main, *request.py_files)):
        yield f"14: {request.job_id} runs {request.main}"
    if request.arguments != (plan,):
        yield f"14: {request.job_id} is given {request.arguments}"


def incidents_hold_plain_text(safety: Safety) -> Iterator[str]:
    """14: what an attacker wrote is text in an incident, and nothing else."""
    world = safety.world
    for (workspace, one), incident in world.incidents.incidents.items():
        if workspace not in world.scale.workspaces:
            yield f"14: incident {one} is in {workspace}"
        comments = world.incidents.comments.get((workspace, one), {}).values()
        texts = (incident.properties["title"], incident.properties["description"], *comments)
        for raw in filter(None, map(RAW.search, texts)):
            yield f"14: incident {one} holds {raw[0]!r}"


def no_finding_is_told_elsewhere(safety: Safety) -> Iterator[str]:
    """14: content of findings is in the findings table and in incidents, and nowhere else."""
    world = safety.world
    for path, content in world.ledger.contents().items():
        if CANARY.encode() in content or CANARY in path:
            yield f"14: {path} holds content of a finding"
    if any(CANARY in json.dumps(event) for event in world.notifier.events):
        yield "14: an announcement holds content of a finding"
    for line in world.leaks.leaked:
        yield f"14: the log holds content of a finding: {line[:200]!r}"
    if not any(CANARY in json.dumps(row) for row in world.sink.rows):
        yield "14: no finding carries the canary: nothing was watched"


class Leaks(logging.Handler):
    """Keeps records above DEBUG that hold what no log may hold."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.leaked: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what leaks."""
        line = record.getMessage()
        if CANARY in line:
            self.leaked.append(line)


CHECKS = (incidents_hold_plain_text, no_finding_is_told_elsewhere)
