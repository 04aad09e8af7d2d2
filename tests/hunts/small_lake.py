"""A few export blobs, and plans for them written by hand, for jobs that run in this process."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from shared import contract as c
from shared.delivery import read_finding
from shared.manifests import Manifest, parse_manifest
from shared.model import Run, Window
from tests.conftest import EXPORTS, STATE
from tests.unit.house import GUID, a_run

Json = dict[str, Any]
SLOT = Window(datetime(2026, 3, 9, tzinfo=UTC), datetime(2026, 3, 10, tzinfo=UTC))
WINDOW = Window(SLOT.start - timedelta(days=1), SLOT.end)
TABLE = "vmconnection"


def lines(*rows: Any) -> bytes:
    """JSON lines; text stays as it is."""
    texts = (row if isinstance(row, str) else json.dumps(row) for row in rows)
    return "".join(f"{text}\n" for text in texts).encode()


def connection(at: str, to: str = "192.0.2.7", **more: Any) -> Json:
    """A row of VMConnection; `at` is a time of 9 March, or a whole one."""
    moment = at if "T" in at else f"2026-03-09T{at}Z"
    return {"TimeGenerated": moment, "DestinationIp": to, "Computer": "pc-1", **more}


class SmallLake:
    """One workspace's blobs in the lake that the session knows."""

    def __init__(self, folder: Path, name: str) -> None:
        self.folder = folder
        self.workspace = (
            f"/subscriptions/s/resourcegroups/r/providers/microsoft.operationalinsights"
            f"/workspaces/{name}"
        )
        self.key = c.workspace_key(self.workspace)
        self.results = folder / "state" / "results"

    def blob(self, hour: str, name: str, content: bytes, *, table: str = TABLE) -> Path:
        """Write an export blob; `name` is `<minute>/<file>`."""
        path = self.hour_folder(hour, table) / f"m={name}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        return path

    def hour_folder(self, hour: str, table: str = TABLE) -> Path:
        """Where the blobs of one hour lie."""
        container = self.folder / "exports" / c.export_container(table)
        return container / c.export_hour_folder(self.workspace, hour)

    def hours(
        self, *hours: str, table: str = TABLE, copies: Mapping[str, str] | None = None
    ) -> Json:
        """A table of a plan: what the app finds when it lists these hours."""
        return {"hours": [self._hour(hour, table, copies or {}) for hour in hours]}

    def _hour(self, hour: str, table: str, copies: Mapping[str, str]) -> Json:
        blobs = [path for path in self.hour_folder(hour, table).rglob("*") if path.is_file()]
        return {
            "hour": hour,
            "fingerprint": f"of-{hour}",
            "blobs": len(blobs),
            "bytes": sum(path.stat().st_size for path in blobs),
            "copy": copies.get(hour),
        }

    def run(self, module: str, **changes: Any) -> Json:
        """A run of a plan; `changes` are fields of its hunt but for params and references."""
        beside = {name: changes.pop(name, {}) for name in ("params", "references")}
        hunt = {
            "module": module,
            "guid": GUID,
            "name": module,
            "version": "1.0.0",
            "views": [],
            "tables": ["VMConnection"],
            "severity": {"Low": 0.5, "Medium": 0.7, "High": 0.9},
            "finding_key": ["DestinationIp"],
            "entity_columns": [],
            **changes,
        }
        slot, window = ({"start": w.start, "end": w.end} for w in (SLOT, WINDOW))
        return {
            "run_id": f"20260309-{module}-{self.key}-r0",
            "hunt": hunt,
            "slot": slot,
            "window": window,
            "revision": 0,
            **beside,
        }

    def plan(self, number: int, tables: Json, runs: Iterable[Json], **changes: Any) -> str:
        """Write a job's plan; its id."""
        job_id = f"job-20260310000500-{number:08x}"
        body = {
            "schema": c.PLAN_SCHEMA,
            "job_id": job_id,
            "code_hash": "0f" * 12,
            "created": SLOT.end + timedelta(minutes=5),
            "deadline": datetime.now(UTC) + timedelta(hours=8),
            "results": f"abfss://results@{STATE}/{c.job_folder(job_id)}",
            "tables_root": f"abfss://tables@{STATE}",
            "exports_host": EXPORTS,
            "workspace": {"resource_id": self.workspace, "key": self.key},
            "max_findings": 100,
            "tables": tables,
            "runs": list(runs),
            **changes,
        }
        path = self.results / c.plan_path(job_id)
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps(body, default=datetime.isoformat), encoding="utf-8")
        return job_id

    def report(self, job_id: str) -> Json:
        """What the job says that it copied."""
        report: Json = json.loads((self.results / c.report_path(job_id)).read_bytes())
        return report

    def manifest(self, job_id: str, module: str) -> Manifest:
        """A run's manifest, as the app reads it."""
        run_id = self.run(module)["run_id"]
        content = (self.results / c.manifest_path(job_id, run_id)).read_bytes()
        return parse_manifest(content, job_id, run_id)

    def findings(self, job_id: str, module: str) -> list[Json]:
        """A run's findings in order, as the app reads them."""
        manifest, run_id = self.manifest(job_id, module), self.run(module)["run_id"]
        folder = self.results / c.run_folder(job_id, run_id)
        content = b"".join((folder / name).read_bytes() for name in manifest.parts)
        return [read_finding(line, self._reader(run_id)) for line in content.splitlines()]

    def _reader(self, run_id: str) -> Run:
        return a_run(id=run_id, workspace=self.workspace, slot=SLOT, window=WINDOW)


def plan_url(job_id: str) -> str:
    """The argument of a job."""
    return f"abfss://results@{STATE}/{c.plan_path(job_id)}"


@contextmanager
def own_hunts(folder: Path) -> Iterator[None]:
    """Modules of this folder join the package of hunts, as a user's own do in the zip."""
    places = importlib.import_module("spark.hunts").__path__
    places.append(str(folder))
    try:
        yield
    finally:
        places.remove(str(folder))
