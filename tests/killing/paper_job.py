"""A Spark job on paper: it reads its plan and writes what a real one writes, in a second.

python -m tests.killing.paper_job FOLDER PLAN      FOLDER is the results container
"""

from __future__ import annotations

import json
import sys
import time
from datetime import datetime
from pathlib import Path

from shared import contract as c
from shared.model import Json
from tests.unit.house import a_finding, manifest, run_of

PARTS, ROWS = 2, 15
"""Parts of a run's results, and rows of a part."""
LINGER = "linger"
"""A file in the home: while it is there a job is at work, so that it can be cancelled."""
CASES = 3
"""Findings of a run that deserve an incident, the same in every run."""
SECONDS, LINGERS = 1.0, 20.0
"""What a job takes, and at most while `linger` lies in the home."""


def findings(run: Json, job: str) -> list[Json]:
    """A run's findings, best first; measures differ by slot, identities do not. Each says where it
    was written."""
    start = datetime.fromisoformat(run["slot"]["start"])
    return [
        a_finding(
            f"10.0.0.{number}",
            run=run_of(run),
            Severity="High" if number < CASES else "Low",
            Score=round(0.95 - number / 100, 2),
            Evidence={"Slot": start.isoformat(), "Job": job, "Part": number // ROWS},
        )
        for number in range(PARTS * ROWS)
    ]


def write(folder: Path, plan: Json) -> None:
    """Every run's parts and, last, its manifest."""
    for run in plan["runs"]:
        known = {**run, "workspace": plan["workspace"]["resource_id"]}
        rows, parts = findings(known, plan["job_id"]), {}
        place = folder / c.run_folder(plan["job_id"], run["run_id"])
        place.mkdir(parents=True)
        for part in range(PARTS):
            name = f"part-{part:05d}.jsonl"
            lines = [json.dumps(row) for row in rows[part * ROWS : (part + 1) * ROWS]]
            (place / name).write_text("\n".join(lines) + "\n", encoding="utf-8")
            parts[name] = len(lines)
        whole = place / "manifest.new"
        whole.write_bytes(manifest(plan["job_id"], run["run_id"], parts))
        whole.rename(place / c.MANIFEST_NAME)


def main(folder: Path, plan: Path) -> None:
    """Do the plan."""
    Path("local/blockmgr-1").mkdir(parents=True)
    began = time.monotonic()
    time.sleep(SECONDS)
    while (folder.parents[2] / LINGER).exists() and time.monotonic() < began + LINGERS:
        time.sleep(0.1)
    write(folder, json.loads(plan.read_text("utf-8")))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
