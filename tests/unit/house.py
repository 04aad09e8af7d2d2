"""A whole deployment in memory: every port, a virtual clock, and a pool that works on paper."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from shared import contract as c
from shared import control_loop
from shared.deployment import Deployment, Turn
from shared.marks import mark_export
from shared.model import HuntSpec, Json, Run, Window
from shared.packing import unpack
from shared.records import Records, kind_of
from shared.settings import Settings, environment_name, load
from tests.memory.services import (
    MemoryEngine,
    MemoryFindingSink,
    MemoryIncidentSink,
    MemoryNotifier,
    MemoryWorkspace,
)
from tests.memory.storage import MemoryExportLake, MemoryLedger, MemoryResultLake
from tests.memory.wire import Wire
from tests.unit.job_reports import report_on

START = datetime(2026, 3, 10, 0, 5, tzinfo=UTC)
TABLE = "commonsecuritylog"
WORKSPACE, OTHER = (
    f"/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc"
    f"/providers/microsoft.operationalinsights/workspaces/{name}"
    for name in ("contoso", "fabrikam")
)
GUID, OTHER_GUID = "7b0d2c5e-93a1-4a7e-8c37-2f6a4c1d9e55", "00000000-0000-4000-8000-000000000001"


@dataclass
class Clock:
    """Virtual time; it stands still until somebody moves it, or moves by a step a look."""

    now: datetime = START
    step: timedelta = timedelta(0)

    def __call__(self) -> datetime:
        self.now += self.step
        return self.now

    def forward(self, seconds: float) -> None:
        """Move it."""
        self.now += timedelta(seconds=seconds)


def spec(**changes: Any) -> HuntSpec:
    """A live hunt over one table that starts on arrival."""
    hunt = HuntSpec(
        module="beaconing",
        guid=GUID,
        name="Beaconing",
        version="1.2.0",
        status="live",
        description="Regular connections",
        severity={"Low": 0.5, "Medium": 0.7, "High": 0.9},
        tactics=("CommandAndControl",),
        techniques=("T1071",),
        views=(),
        tables=(TABLE,),
        finding_key=("SrcIpAddr", "DstIpAddr"),
        entity_mappings=(),
        arrival=True,
    )
    return replace(hunt, **changes)


def environment(**changes: str) -> dict[str, str]:
    """The environment of a usable deployment; changes are by field name."""
    given = {
        "exports_endpoint": "https://tidehuntexports.dfs.core.windows.net",
        "state_endpoint": "https://tidehuntstate.dfs.core.windows.net",
        "workspaces": WORKSPACE,
        "synapse_endpoint": "https://hunts.dev.azuresynapse.net",
        "synapse_pool": "hunting",
        "logs_endpoint": "https://hunts.westeurope-1.ingest.monitor.azure.com",
        "dcr_id": "dcr-00112233445566778899aabbccddeeff",
        "incident_route": "arm",
        "code_hash": "0f" * 16,
        **changes,
    }
    return {environment_name(name): value for name, value in given.items()}


def settings(**changes: str) -> Settings:
    """Usable settings; changes are by field name."""
    loaded, faults = load(environment(**changes))
    assert loaded is not None, faults
    return loaded


def day_window(day: str, days: int = 1) -> Window:
    """`days` days ending with this one."""
    end = c.day_start(day) + timedelta(days=1)
    return Window(end - timedelta(days=days), end)


def a_run(**changes: Any) -> Run:
    """A live run that waits since START."""
    run = Run(
        id=f"20260309-beaconing-{c.workspace_key(WORKSPACE)}-r0",
        hunt="beaconing",
        hunt_guid=GUID,
        workspace=WORKSPACE,
        kind="live",
        slot=day_window("20260309"),
        window=day_window("20260309", 21),
        revision=0,
        status="waiting",
        since=START,
        created=START,
    )
    return replace(run, **changes)


def a_finding(
    src: str = "10.0.0.5", dst: str = "192.0.2.7", *, run: Run | None = None, **changes: Any
) -> Json:
    """A finding as a job writes it."""
    place, guid, start = WORKSPACE, GUID, c.day_start("20260309")
    if run is not None:
        place, guid, start = run.workspace, run.hunt_guid, run.slot.start
    identity = {"SrcIpAddr": src, "DstIpAddr": dst}
    key = c.finding_key(c.workspace_key(place), guid, identity)
    return {
        "FindingKey": key,
        "FindingId": c.finding_id(key, start),
        "Identity": identity,
        "Title": f"Beacon from {src} to {dst}",
        "Severity": "High",
        "Score": 0.93,
        "FirstSeen": "2026-03-09T01:00:00Z",
        "LastSeen": "2026-03-09T23:00:00Z",
        "Entities": identity,
        "SubScores": {"Regularity": 0.97},
        "Evidence": {"Count": 288},
        **changes,
    }


def export_path(hour: str, name: str = "PT05M.json", workspace: str = WORKSPACE) -> str:
    """Where data export writes one blob of an hour."""
    return f"{c.export_hour_folder(workspace, hour)}/m=00/{name}"


Hunting = Callable[[Json], list[Json]]
"""A run as its plan shows it -> its findings, best first."""


def one_beacon(run: Json) -> list[Json]:
    """One finding that tells how much data its job was shown."""
    return [a_finding(run=run_of(run), Evidence={"Bytes": run["bytes"]})]


def run_of(run: Json) -> Run:
    """What ids are made of, from a plan's run."""
    start = datetime.fromisoformat(run["slot"]["start"])
    return a_run(
        workspace=run["workspace"], hunt_guid=run["hunt"]["guid"], slot=Window(start, start)
    )


class Crash(BaseException):
    """The process is gone: nothing in it can catch this."""


@dataclass
class House:
    """A deployment and everything that it can touch. `beside` is a second host of the same."""

    deployment: Deployment
    clock: Clock
    wire: Wire
    ledger: MemoryLedger
    exports: MemoryExportLake
    results: MemoryResultLake
    engine: MemoryEngine
    sink: MemoryFindingSink
    incidents: MemoryIncidentSink
    notifier: MemoryNotifier
    health: MemoryFindingSink
    hunting: Hunting = one_beacon

    def beside(self, owner: str, **changes: Any) -> Deployment:
        """Another process over the same stores."""
        return replace(self.deployment, owner=owner, **changes)

    def turn(self, seconds: float = 45.0) -> Turn:
        """A turn from now on, for what works inside of one."""
        return Turn(self.deployment, self.clock() + timedelta(seconds=seconds))

    def land(
        self, hours: Iterable[str], content: str = "{}", *, event: bool = True, **where: str
    ) -> None:
        """Export blobs land, one an hour, and their events arrive unless they are lost."""
        table = where.pop("table", TABLE)
        for hour in hours:
            path = export_path(hour, **where)
            self.exports.plant(table, path, content.encode())
            if event:
                mark_export(self.deployment, c.export_container(table), path)

    def tick(self, times: int = 1, seconds: float = 60.0) -> None:
        """The timer fires, and fires again."""
        for _ in range(times):
            control_loop.take_turn(self.deployment)
            self.clock.forward(seconds)

    def live(self, hours: float, seconds: float = 300.0) -> None:
        """Turns and a working pool for so many hours."""
        until = self.clock() + timedelta(hours=hours)
        while self.clock() < until:
            self.work()
            self.tick(1, seconds)

    def work(self) -> None:
        """The pool does every job that it has, on paper and without faults of the app's wire."""
        hook, self.wire.hook = self.wire.hook, lambda *_: None
        for engine_id, job in self.engine.jobs.items():
            if job.state in ("queued", "running"):
                plan = self.plan(job.job_id)
                for run in plan["runs"]:
                    self.write_results(plan, run)
                self.write_report(plan)
                self.engine.enter(engine_id, "succeeded")
        self.wire.hook = hook

    def plan(self, job_id: str) -> Json:
        """A job's plan."""
        content = self.results.read(c.plan_path(job_id), 50_000_000)
        assert content is not None
        plan: Json = json.loads(content)
        return plan

    def write_results(self, plan: Json, run: Json) -> None:
        """A run's part and, last, its manifest."""
        hours = [hour for table in plan["tables"].values() for hour in table["hours"]]
        shown = {"workspace": plan["workspace"]["resource_id"], "bytes": sum_of(hours, "bytes")}
        self.land_results(plan["job_id"], run["run_id"], self.hunting({**run, **shown}))

    def land_results(self, job_id: str, run_id: str, found: list[Json], **changes: Any) -> None:
        """These findings as one part, and the manifest."""
        lines = "".join(json.dumps(finding) + "\n" for finding in found)
        self.results.plant(f"{c.run_folder(job_id, run_id)}/part-00000.jsonl", lines.encode())
        body = manifest(job_id, run_id, {"part-00000.jsonl": len(found)}, **changes)
        self.results.plant(c.manifest_path(job_id, run_id), body)

    def write_report(self, plan: Json) -> None:
        """What the job copied, merged and removed."""
        self.results.plant(c.report_path(plan["job_id"]), report_on(plan))

    def runs(self) -> dict[str, Run]:
        """Every run, finished or not, by its id."""
        records = Records(self.ledger)
        paths = [path for path in self.ledger.contents() if kind_of(path) is Run]
        found = (records.load(Run, path) for path in sorted(paths))
        return {kept.value.id: kept.value for kept in found if kept}

    def documents(self, folder: str) -> dict[str, Json]:
        """The ledger's documents below a folder, time lines as objects."""
        held = {p: json.loads(b) for p, b in self.ledger.contents().items() if p.startswith(folder)}
        return {path: unpack(body) if "texts" in body else body for path, body in held.items()}


def sum_of(hours: Iterable[Mapping[str, Any]], name: str) -> int:
    """The sum of one number over a plan's hours."""
    return sum(int(hour[name]) for hour in hours)


def manifest(job_id: str, run_id: str, parts: Mapping[str, int], **changes: Any) -> bytes:
    """A manifest's content."""
    body = {
        "schema": c.MANIFEST_SCHEMA,
        "job_id": job_id,
        "run_id": run_id,
        "status": "succeeded",
        "parts": [{"name": name, "rows": rows} for name, rows in parts.items()],
        "rows": sum(parts.values()),
        "withheld": 0,
        "code_hash": "0f" * 16,
        "coverage": {"hours_planned": 24, "hours_read": 24, "hours_missing": []},
        **changes,
    }
    return json.dumps(body).encode()


def hours_of_days(*days: str) -> list[str]:
    """Every hour of these days."""
    return [f"{day}{hour:02d}" for day in days for hour in range(24)]


def days_before(day: str, count: int) -> Iterator[str]:
    """`count` days, the last of them this one."""
    for back in range(count - 1, -1, -1):
        yield c.day_key(c.day_start(day) - timedelta(days=back))


def build(hunts: Iterable[HuntSpec] | None = None, **changes: str) -> House:
    """A house; `changes` are settings by field name."""
    clock = Clock()
    wire = Wire(clock=clock)
    ledger, exports, results = MemoryLedger(wire), MemoryExportLake(wire), MemoryResultLake(wire)
    engine, sink, incidents = MemoryEngine(wire), MemoryFindingSink(wire), MemoryIncidentSink(wire)
    notifier, health = MemoryNotifier(wire), MemoryFindingSink(wire, "health.send")
    deployment = Deployment(
        settings=settings(**changes),
        hunts=[spec()] if hunts is None else list(hunts),
        records=Records(ledger),
        exports=exports,
        results=results,
        engine=engine,
        sink=sink,
        health=health,
        workspace=MemoryWorkspace(sink, wire),
        incidents=incidents,
        notifier=notifier,
        clock=clock,
        owner="host-1",
    )
    others = (ledger, exports, results, engine, sink, incidents, notifier, health)
    return House(deployment, clock, wire, *others)


def two_quick_hunts(**changes: str) -> House:
    """Two hunts of one table that need minutes for what takes hours."""
    hunts = [spec(), spec(module="other_hunt", guid=OTHER_GUID)]
    at_once = {"coalesce_seconds": "60", "settle_seconds": "120", "readback_seconds": "60"}
    return build(hunts, **{**at_once, **changes})
