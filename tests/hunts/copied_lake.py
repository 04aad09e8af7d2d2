"""Blobs that land and change, and the app's memory of their copies, for jobs in this process."""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared import contract as c
from shared import merges
from shared.intake import changed_hours, hours_of
from shared.manifests import read_report
from shared.model import BlobStat
from shared.plans import table_plan
from shared.timeline import DayRecord
from tests.conftest import EXPORTS, STATE
from tests.hunts.small_lake import SLOT, TABLE, WINDOW, SmallLake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Json = dict[str, Any]
DAYS = ("20260308", "20260309")
VIEW = "NetworkSession"
ROOT = f"abfss://tables@{STATE}"
ALIVE = timedelta(hours=2)


@dataclass
class CopiedLake:
    """One workspace's blobs of one table; the plans of its jobs are made by the app's own rules."""

    session: SparkSession
    lake: SmallLake
    now: datetime = SLOT.end + merges.SETTLED
    days: dict[str, DayRecord] = field(default_factory=dict)
    jobs: int = 0

    def work(self, *, report: bool = True) -> Json:
        """One job from its plan to its report; without `report` the app never hears of it."""
        job = self.job()
        done = self.jobs_code()._copy(job)
        if report:
            self.hear(job.plan.job_id, done)
        return dict(done)

    def hear(self, job_id: str, done: Mapping[str, Any]) -> None:
        """Fold what a job did into the days, as the app does."""
        content = json.dumps(done).encode()
        told = read_report(content, job_id, self.lake.workspace, ROOT)
        for (_, day), one in told.items():
            self.days[day] = merges.after(self.days[day], one, self.now)

    def job(self) -> Any:
        """A job, planned now."""
        self.list_exports()
        wanted = c.hours_between(WINDOW.start, WINDOW.end)
        table = table_plan(
            [self.days[day] for day in DAYS],
            wanted,
            now=self.now,
            unread_since=self.now - ALIVE,
        )
        self.jobs += 1
        tag = int(hashlib.sha256(self.lake.key.encode()).hexdigest()[:4], 16)
        number = tag * 0x10000 + self.jobs
        run = self.lake.run("nothing")
        job_id = self.lake.plan(number, {TABLE: table}, [run])
        content = (self.lake.results / c.plan_path(job_id)).read_bytes()
        plan = importlib.import_module("spark.plan").parse_plan(content)
        lake = importlib.import_module("spark.lake").Lake(self.session)
        code = self.jobs_code()
        code.configure(self.session, plan)
        return code.Job(self.session, lake, plan)

    def list_exports(self) -> None:
        """What the app's sweep finds."""
        root = self.lake.folder / "exports" / c.export_container(TABLE)
        for day in DAYS:
            known = self.days.get(day, DayRecord(self.lake.workspace, TABLE, day))
            folder = root / c.export_day_folder(self.lake.workspace, day)
            files = [path for path in folder.rglob("*") if path.is_file()]
            blobs = [
                BlobStat(
                    str(path.relative_to(root)),
                    path.stat().st_size,
                    hashlib.sha256(path.read_bytes()).hexdigest()[:16],
                )
                for path in files
            ]
            seen = hours_of(blobs, self.lake.workspace, TABLE)
            changed = changed_hours(known.hours, seen, day)
            self.days[day] = replace(known, hours={**known.hours, **changed})

    def read(self) -> DataFrame:
        """Every line that a run of a job would read now."""
        job = self.job()
        self.hear(job.plan.job_id, self.jobs_code()._copy(job))
        frame: DataFrame = job.readings().table(job.plan.runs[0], TABLE).lines
        return frame

    def raw(self) -> DataFrame:
        """Every line of the window's blobs, from the blobs themselves."""
        exports = importlib.import_module("spark.exports")
        table = importlib.import_module("spark.tables.declared").TABLES[TABLE]
        first = c.export_day_folder(self.lake.workspace, DAYS[0]).partition("/y=")[0]
        folder = f"abfss://{c.export_container(TABLE)}@{EXPORTS}/{first}"
        wanted = c.hours_between(WINDOW.start, WINDOW.end)
        frame: DataFrame = exports.parse_lines(
            exports.read_lines(self.session, [folder], wanted), table
        )
        return frame.drop("Hour")

    def view(self) -> DataFrame:
        """The view that a run of a job would read now."""
        job = self.job()
        self.hear(job.plan.job_id, self.jobs_code()._copy(job))
        frame: DataFrame = job.readings().view(job.plan.runs[0], VIEW)
        return frame

    def raw_view(self) -> DataFrame:
        """The view made of the blobs themselves."""
        rows = self.raw().filter("_Kind = 'row'")
        inside = rows.filter(
            (rows.TimeGenerated >= WINDOW.start) & (rows.TimeGenerated < WINDOW.end)
        )
        frame: DataFrame = importlib.import_module("spark.views").build(VIEW, {TABLE: inside})
        return frame

    def path(self, url: str) -> Path:
        """Where a folder of the copy lies."""
        return self.lake.folder / "state" / "tables" / url.removeprefix(f"{ROOT}/")

    def delete(self, url: str) -> None:
        """As a lifecycle rule, or a person, would."""
        shutil.rmtree(self.path(url))

    @staticmethod
    def jobs_code() -> Any:
        """`spark.job`, which imports pyspark."""
        return importlib.import_module("spark.job")


def counted(frame: DataFrame) -> Counter[str]:
    """Rows with how often they come: both ways of exceptAll at once."""
    return Counter(str(row) for row in frame.collect())
