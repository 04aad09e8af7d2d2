"""What a job reads, once for all of its runs that look at the same window.

A table's folders are listed once and its coverage is counted once. A view that several runs share
is kept, up to a size: what makes it clean costs more than a hunt that reads a few columns of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import reduce
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from shared import contract as c
from spark import saved_views, views
from spark.copies import NOTHING, NOTHING_CHOSEN, Chosen, Copies, choose, read_chosen
from spark.coverage import hours_of
from spark.plan import Plan, Run
from spark.tables.declared import TABLES

KEPT_BYTES = 20_000_000_000
"""JSON that a kept view was made of at most, some 2 GB when it is kept. More than that is read
anew by each run, which the disks of a pool hold out and a full disk would not."""
Window = tuple[datetime, datetime]


@dataclass(frozen=True)
class Reading:
    """A table in a window: every line of its copies, and the hours that these are of."""

    lines: DataFrame
    hours: tuple[str, ...]
    chosen: Chosen = NOTHING_CHOSEN
    """Where the lines are read from, if from copies."""


@dataclass
class Readings:
    """The readings of one job. `copies`: table -> what there is of its copy."""

    session: SparkSession
    plan: Plan
    copies: Mapping[str, Copies]
    facts: dict[Any, dict[str, Any]] = field(default_factory=dict)
    """What coverage knows already: see `coverage`."""
    _tables: dict[tuple[str, Window], Reading] = field(default_factory=dict)
    _views: dict[tuple[str, Window], DataFrame] = field(default_factory=dict)

    def table(self, run: Run, name: str) -> Reading:
        """A table in the run's window. ValueError when no schema is declared for it."""
        if name not in TABLES:
            raise ValueError(f"no schema is declared for table {name}")
        key = (name, run.window)
        if key not in self._tables:
            self._tables[key] = self._read(run, name)
        return self._tables[key]

    def _read(self, run: Run, name: str) -> Reading:
        wanted = [hour.hour for hour in hours_of(self.plan, run, name)]
        chosen = choose(self.copies.get(name, NOTHING), wanted)
        return Reading(read_chosen(self.session, TABLES[name], chosen), chosen.hours, chosen)

    def rows(self, run: Run, name: str) -> DataFrame:
        """The table's rows inside of the window, with the columns that hunts use."""
        lines = _in_window(self.table(run, name).lines, run.window)
        return lines.select(*TABLES[name].kept)

    def view(self, run: Run, name: str) -> DataFrame:
        """A view over the tables that feed it, inside of the window.

        Tables that the plan has no hour of are left out: Spark would plan, and compile, what makes
        them clean all the same, and few workspaces export all of them.
        """
        key = (name, run.window)
        if key not in self._views:
            fed = [table for table in c.VIEWS[name] if hours_of(self.plan, run, table)]
            parts = [self._part(run, name, table) for table in fed or c.VIEWS[name][:1]]
            built = reduce(DataFrame.unionByName, parts)
            shared = self._wanted(self.plan.runs, key) > 1 and self._bytes(run, name) <= KEPT_BYTES
            self._views[key] = built.persist(StorageLevel.MEMORY_AND_DISK) if shared else built
        return self._views[key]

    def _part(self, run: Run, view: str, name: str) -> DataFrame:
        """What a table has for a view: as it was saved where it was, else made of its rows."""
        chosen, table = self.table(run, name).chosen, TABLES[name]
        saved = chosen.only(viewed=True)
        if not saved.urls:
            return views.build(view, {name: self.rows(run, name)})
        columns = saved_views.columns(name)
        lines = _in_window(read_chosen(self.session, table, saved, columns), run.window)
        part = saved_views.load(lines, view, name)
        rest = chosen.only(viewed=False)
        if not rest.urls:
            return part
        rows = _in_window(read_chosen(self.session, table, rest), run.window).select(*table.kept)
        return part.unionByName(views.build(view, {name: rows}))

    def release(self, left: Sequence[Run]) -> None:
        """Let go of the views that none of the runs that are left will look at."""
        for key in [key for key in self._views if not self._wanted(left, key)]:
            self._views.pop(key).unpersist()

    def _wanted(self, runs: Sequence[Run], key: tuple[str, Window]) -> int:
        return sum(key[0] in run.hunt.views and run.window == key[1] for run in runs)

    def _bytes(self, run: Run, view: str) -> int:
        hours = (hours_of(self.plan, run, table) for table in c.VIEWS[view])
        return sum(hour.bytes for of_table in hours for hour in of_table)


def _in_window(lines: DataFrame, window: Window) -> DataFrame:
    start, end = (F.lit(moment.isoformat()).cast("timestamp") for moment in window)
    inside = (F.col("TimeGenerated") >= start) & (F.col("TimeGenerated") < end)
    return lines.filter((F.col("_Kind") == "row") & inside)
