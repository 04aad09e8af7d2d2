"""A lake on this disk, and what the app knows of it: plans are made by the app's own rules."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.plane import logs
from shared import contract as c
from shared import merges
from shared.documents import decode, encode
from shared.hunt_specs import frozen, parameters, parse
from shared.intake import changed_hours, hours_of
from shared.manifests import read_report
from shared.model import BlobStat, HuntSpec, Json
from shared.plans import table_plan
from shared.timeline import DayRecord

STATE, EXPORTS = "state.dfs.core.windows.net", "exports.dfs.core.windows.net"
ROOT = f"abfss://tables@{STATE}"
WORKSPACE, WARM = (
    f"/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc"
    f"/providers/microsoft.operationalinsights/workspaces/{name}"
    for name in ("contoso", "warm")
)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)


@dataclass(frozen=True)
class BenchLake:
    """A folder with `exports/`, `state/` and the app's memory."""

    folder: Path
    workspace: str = WORKSPACE

    @property
    def key(self) -> str:
        """The workspace in paths."""
        return c.workspace_key(self.workspace)

    @property
    def container(self) -> Path:
        """Where the table's export blobs lie."""
        return self.folder / "exports" / c.export_container(logs.TABLE)

    def fill(self, days: int, rows: int, seed: int = 1, hosts: int = logs.HOSTS) -> int:
        """Write so many days; bytes of JSON."""
        for container in ("results", "tables", "code"):
            (self.folder / "state" / container).mkdir(parents=True, exist_ok=True)
        starts = [FIRST + timedelta(days=n) for n in range(days)]
        return sum(
            logs.write_day(self.container, self.workspace, start, rows, (seed, hosts))
            for start in starts
        )

    def mounts(self) -> dict[str, Path]:
        """`container@host` -> folder."""
        state = {f"{name}@{STATE}": self.folder / "state" / name for name in ("results", "tables")}
        return {**state, f"{c.export_container(logs.TABLE)}@{EXPORTS}": self.container}

    def day_keys(self) -> list[str]:
        """The days that have blobs, oldest first."""
        days = (self.container / f"WorkspaceResourceId={self.workspace}").glob("y=*/m=*/d=*")
        return sorted("".join(part.partition("=")[2] for part in day.parts[-3:]) for day in days)

    def urls(self, days: Collection[str]) -> list[str]:
        """Where these days' blobs lie, as Spark reads them."""
        root = f"abfss://{c.export_container(logs.TABLE)}@{EXPORTS}"
        return [f"{root}/{c.export_day_folder(self.workspace, day)}" for day in sorted(days)]

    def files(self, days: Collection[str]) -> Iterator[Path]:
        """The blobs of these days."""
        for day in sorted(days):
            yield from (self.container / c.export_day_folder(self.workspace, day)).rglob("*.json")

    # --- the app's part ---------------------------------------------------------------------

    def known(self) -> dict[str, DayRecord]:
        """What is remembered of each day, as the lake holds it now."""
        path = self.folder / f"{self.key}.json"
        saved = json.loads(path.read_text()) if path.exists() else {}
        days = {day: decode(DayRecord, body, day) for day, body in saved.items()}
        return {day: self._listed(day, days.get(day)) for day in self.day_keys()}

    def _listed(self, day: str, known: DayRecord | None) -> DayRecord:
        record = known or DayRecord(self.workspace, logs.TABLE, day)
        blobs = [
            BlobStat(str(path.relative_to(self.container)), path.stat().st_size, _etag(path))
            for path in self.files([day])
        ]
        changed = changed_hours(record.hours, hours_of(blobs, self.workspace, logs.TABLE), day)
        return replace(record, hours={**record.hours, **changed})

    def plan(self, days: Sequence[str], *, merge: bool = True) -> str:
        """Write the plan of a job whose run reads these days and judges the last; its id."""
        known = self.known()
        wanted = [f"{day}{hour:02}" for day in days for hour in range(24)]
        # The last day is the one that has just ended.
        now = c.day_start(days[-1]) + timedelta(days=1, minutes=20)
        table = table_plan(
            [known[day] for day in days],
            wanted,
            now=now,
            unread_since=now,
            most_merges=31 if merge else 0,
        )
        tag = random.SystemRandom().getrandbits(32)
        job_id = f"job-{now:%Y%m%d%H%M%S}-{tag:08x}"
        body = self._plan(job_id, now, table, c.day_start(days[0]))
        path = self.folder / "state" / "results" / c.plan_path(job_id)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(body, default=datetime.isoformat), encoding="utf-8")
        return job_id

    def hear(self, job_id: str) -> None:
        """Remember what a job's report tells."""
        content = (self.folder / "state" / "results" / c.report_path(job_id)).read_bytes()
        days = self.known()
        for (_, day), told in read_report(content, job_id, self.workspace, ROOT).items():
            days[day] = merges.after(days[day], told, FIRST)
        saved = {day: encode(record) for day, record in days.items()}
        (self.folder / f"{self.key}.json").write_text(json.dumps(saved), encoding="utf-8")

    def _plan(self, job_id: str, now: datetime, table: Json, begin: datetime) -> Json:
        spec = _spec()
        end = now.replace(hour=0, minute=0)
        return {
            "schema": c.PLAN_SCHEMA,
            "job_id": job_id,
            "code_hash": "0" * 24,
            "created": now,
            "deadline": datetime.now(UTC) + timedelta(hours=8),
            "results": f"abfss://results@{STATE}/{c.job_folder(job_id)}",
            "tables_root": ROOT,
            "exports_host": EXPORTS,
            "workspace": {"resource_id": self.workspace, "key": self.key},
            "max_findings": 10_000,
            "tables": {logs.TABLE: table},
            "runs": [
                {
                    "run_id": f"{c.day_key(begin)}-beaconing-{self.key}-r0",
                    "hunt": frozen(spec),
                    "slot": {"start": end - timedelta(days=1), "end": end},
                    "window": {"start": begin, "end": end},
                    "revision": 0,
                    "params": hunt_parameters(),
                    "references": {},
                }
            ],
        }


def _etag(path: Path) -> str:
    return hashlib.sha256(f"{path.stat().st_mtime_ns}".encode()).hexdigest()[:16]


def hunt_parameters() -> Json:
    """The hunt's parameters, as its spec has them."""
    return parameters(_spec(), {})


def _spec() -> HuntSpec:
    path = Path(__file__).parents[2] / "spark" / "hunts" / "beaconing.yaml"
    return parse(path.read_text("utf-8"), str(path), "beaconing")
