"""Where the past of a table is read from: folders of hours, and of days that were merged.

A merged day counts for the hours that the plan says, and only for them. What is not there any more
was deleted by somebody: a merged day is read from its hours then, and an hour is copied again.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import types as T

from spark.exports import NO_COLUMNS, hour_of_blob, read_copies
from spark.lake import Lake
from spark.plan import Hour, Merged, Plan
from spark.saved_views import SIGNATURE
from spark.tables import Table


@dataclass(frozen=True)
class MergedDay:
    """A day that this job merged: `hours` -> the fingerprints of what it was made from; `views`:
    which code made the views beside its lines."""

    table: str
    day: str
    path: str
    hours: Mapping[str, str]
    views: str


@dataclass(frozen=True)
class Copies:
    """What there is of a table's columnar copy."""

    hours: Mapping[str, str]
    """Hour -> URL of its folder."""
    merged: tuple[Merged, ...]
    lost: tuple[str, ...] = ()
    """URLs that the plan names and that are not there."""

    def stale(self, planned: Collection[Hour]) -> dict[str, Hour]:
        """The planned hours that cannot be read before they are copied."""
        readable = {*self.hours, *(hour for day in self.merged for hour in day.hours)}
        return {hour.hour: hour for hour in planned if hour.hour not in readable}

    def adding(self, made: Mapping[str, str]) -> Copies:
        """The same with the hours that this job has copied."""
        return Copies({**self.hours, **made}, self.merged, self.lost)

    def merging(self, made: Collection[MergedDay]) -> Copies:
        """The same with the days that this job has merged."""
        days = {day.day: day for day in self.merged}
        days |= {
            one.day: Merged(one.day, one.path, tuple(one.hours), (), one.views) for one in made
        }
        return Copies(self.hours, tuple(days.values()), self.lost)


NOTHING = Copies({}, ())


@dataclass(frozen=True)
class Chosen:
    """What to read for some hours: `folders` whole, `parts` without the hours `but`."""

    hours: tuple[str, ...]
    folders: tuple[str, ...]
    parts: tuple[str, ...]
    but: tuple[str, ...]
    viewed: frozenset[str] = field(default=frozenset(), kw_only=True)
    """Of these folders those beside whose lines lie the views that this code would make."""

    @property
    def urls(self) -> tuple[str, ...]:
        """All folders."""
        return (*self.folders, *self.parts)

    def only(self, *, viewed: bool) -> Chosen:
        """Those with views, or those without."""
        folders, parts = (
            tuple(url for url in urls if (url in self.viewed) == viewed)
            for urls in (self.folders, self.parts)
        )
        return replace(self, folders=folders, parts=parts)


NOTHING_CHOSEN = Chosen((), (), (), ())


def look(lake: Lake, plan: Plan, table: str) -> Copies:
    """Which of the folders that the plan names are there.

    One listing for all that one job made of the table.
    """
    hours = {hour.hour: hour.copy for hour in plan.hours(table) if hour.copy}
    merged = plan.merged.get(table, ())
    named = {*hours.values(), *(day.path for day in merged)}
    parents = {url.rpartition("/")[0] for url in named}
    there = {f"{parent}/{name}" for parent in parents for name in lake.names(parent)}
    return Copies(
        hours={hour: url for hour, url in hours.items() if url in there},
        merged=tuple(day for day in merged if day.path in there),
        lost=tuple(sorted(named - there)),
    )


def choose(copies: Copies, wanted: Collection[str]) -> Chosen:
    """The fewest folders that hold these hours once.

    A merged day is read when most of it is wanted, or when there is nothing else.
    """
    folders: list[str] = []
    parts: list[str] = []
    but: set[str] = set()
    hours = set(wanted) & copies.hours.keys()
    read = set(hours)
    for day in copies.merged:
        inside = set(wanted).intersection(day.hours)
        held = len(day.hours) + len(day.stale)
        if inside <= hours and 2 * len(inside) <= held:
            continue
        without = {*day.stale, *day.hours} - inside
        (parts if without else folders).append(day.path)
        but |= without
        read |= inside
        hours -= inside
    folders += (copies.hours[hour] for hour in hours)
    return Chosen(
        *(tuple(sorted(part)) for part in (read, folders, parts, but)),
        viewed=frozenset(day.path for day in copies.merged if day.views == SIGNATURE),
    )


def read_chosen(
    session: SparkSession, table: Table, chosen: Chosen, more: T.StructType = NO_COLUMNS
) -> DataFrame:
    """Every line of the chosen hours, with the technical columns and `more` that lie beside."""
    lines = read_copies(session, table, chosen.folders, more)
    if not chosen.parts:
        return lines
    parts = read_copies(session, table, chosen.parts, more)
    some = parts.filter(~hour_of_blob().isin(*chosen.but))
    return lines.unionByName(some) if chosen.folders else some
