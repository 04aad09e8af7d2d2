"""Merged days: what a hunt reads is what the blobs hold, whatever happened on the way there."""

from __future__ import annotations

import importlib
import random
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.hunts.copied_lake import DAYS, CopiedLake, counted
from tests.hunts.small_lake import TABLE, SmallLake, connection, lines

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
EARLIER, DAY = DAYS
HOURS = tuple(f"{day}{hour:02}" for day in DAYS for hour in (1, 2, 13, 23))


def rows(hour: str, count: int, start: int = 0) -> bytes:
    """Lines of an hour, in no order, one of them half a line of garbage."""
    at = f"{hour[:4]}-{hour[4:6]}-{hour[6:8]}T{hour[8:]}"
    made = [
        connection(
            f"{at}:{n % 60:02}:00Z",
            to=f"192.0.2.{(n * 7) % 5}",
            SourceIp=(" 10.0.0.1", "fe80::1", "NULL", "pc-1")[n % 4],
            BytesSent=n - 3,
            LinksEstablished=n % 3,
        )
        for n in range(start, start + count)
    ]
    return lines(*made, '{"TimeGenerated": "20')


def landed(session: SparkSession, folder: Path, name: str) -> CopiedLake:
    """Two days of a few hours each."""
    lake = SmallLake(folder, name)
    for number, hour in enumerate(HOURS):
        lake.blob(hour, "00/PT05M.json", rows(hour, 3 + number))
        lake.blob(hour, "05/PT05M.json", rows(hour, 2, 50))
    lake.blob(HOURS[0], "10/PT05M.json", b"")
    return CopiedLake(session, lake)


@pytest.fixture(scope="module")
def settled(session: SparkSession, lake_folder: Path) -> CopiedLake:
    """The days were copied by one job and merged by the next."""
    world = landed(session, lake_folder, "merged")
    copied = world.work()
    assert (len(copied["copies"]), copied["merged"]) == (len(HOURS), [])
    merged = world.work()
    assert merged["copies"] == []
    assert [one["day"] for one in merged["merged"]] == list(DAYS)
    return world


def test_a_merged_day_is_read_without_the_blobs_and_the_hours(settled: CopiedLake) -> None:
    before = counted(settled.raw())
    plan = settled.job().plan
    lake = importlib.import_module("spark.lake").Lake(settled.session)
    code = importlib.import_module("spark.copies")
    chosen = code.choose(code.look(lake, plan, TABLE), HOURS)
    assert len(chosen.folders) == 2 and not chosen.parts
    assert counted(settled.read()) == before


def test_both_ways_of_except_all_are_empty(settled: CopiedLake) -> None:
    read, raw = settled.read(), settled.raw()
    assert read.exceptAll(raw).count() == raw.exceptAll(read).count() == 0
    assert read.count() == raw.count() > 0
    view, made = settled.view(), settled.raw_view()
    assert view.exceptAll(made).count() == made.exceptAll(view).count() == 0
    assert view.count() == made.count() > 0
    assert view.dtypes == made.dtypes


def test_what_the_views_make_of_a_merged_day_lies_beside_its_lines(settled: CopiedLake) -> None:
    job = settled.job()
    settled.jobs_code()._copy(job)
    reading = job.readings().table(job.plan.runs[0], TABLE)
    assert len(reading.chosen.only(viewed=True).folders) == 2
    assert reading.chosen.only(viewed=False).folders == ()
    read = settled.session.read.parquet(str(settled.path(reading.chosen.folders[0])))
    saved = importlib.import_module("spark.saved_views").columns(TABLE)
    assert set(saved.fieldNames()) < set(read.columns)


def test_views_that_other_code_made_are_made_anew(settled: CopiedLake) -> None:
    merged = settled.days[DAY].merged
    assert merged is not None
    wrong = dict.fromkeys(importlib.import_module("spark.saved_views").columns(TABLE).fieldNames())
    folder = settled.path(merged.path)
    read = settled.session.read.parquet(str(folder))
    kept = read.drop(*wrong).cache()
    assert kept.count() > 0
    kept.write.mode("overwrite").parquet(str(folder))
    before = settled.days[DAY]
    settled.days[DAY] = replace(before, merged=replace(merged, views="0123abcd"))
    assert counted(settled.view()) == counted(settled.raw_view())
    settled.days[DAY] = before


def test_a_merged_day_is_sorted_in_one_file(settled: CopiedLake) -> None:
    merged = settled.days[DAY].merged
    assert merged is not None
    (file,) = settled.path(merged.path).glob("*.parquet")
    found = settled.session.read.parquet(file.as_uri()).collect()
    keys = [(row["DestinationIp"] or "", row["SourceIp"] or "") for row in found]
    assert keys == sorted(keys) and len(set(keys)) > 1


def test_nothing_is_left_half_written(settled: CopiedLake) -> None:
    folders = settled.path(f"{settled.lake.key}/{TABLE}").glob("job-*/*")
    assert {folder.name[0] for folder in folders} == {"2"}


def test_a_late_hour_is_read_from_its_own_copy_and_merged_again(
    session: SparkSession, lake_folder: Path
) -> None:
    world = landed(session, lake_folder, "late")
    world.work()
    world.work()
    first = world.days[DAY].merged
    world.lake.blob(f"{DAY}13", "00/PT05M_1.json", rows(f"{DAY}13", 4, 20))
    world.lake.blob(f"{DAY}14", "00/PT05M.json", rows(f"{DAY}14", 1))
    assert counted(world.read()) == counted(world.raw())
    assert world.days[DAY].merged == first
    assert counted(world.view()) == counted(world.raw_view())
    world.work()
    second = world.days[DAY].merged
    assert first and second and second.path != first.path
    assert len(second.hours) == len(first.hours) + 1
    assert first.path in {one.path for one in world.days[DAY].left}
    assert counted(world.read()) == counted(world.raw())
    old = {one.path for one in world.days[DAY].left}
    assert all(world.path(url).is_dir() for url in old)
    world.now += timedelta(hours=3)
    assert set(world.work()["removed"]) == old
    assert not any(world.path(url).exists() for url in old)
    assert world.days[DAY].left == ()
    assert counted(world.read()) == counted(world.raw())


def test_a_merged_day_that_was_deleted_is_read_from_its_hours(
    session: SparkSession, lake_folder: Path
) -> None:
    world = landed(session, lake_folder, "deleted")
    world.work()
    world.work()
    before = counted(world.raw())
    merged = world.days[DAY].merged
    assert merged is not None
    world.delete(merged.path)
    assert counted(world.read()) == before
    assert world.days[DAY].merged is None
    world.work()
    assert world.days[DAY].merged is not None
    # Hours that are gone too are read from the merged day, and copied again where they can be.
    copy = world.days[DAY].hours[f"{DAY}13"].copy
    world.delete(copy)
    assert counted(world.read()) == before
    again = world.days[EARLIER].merged
    assert again is not None
    world.delete(again.path)
    world.delete(world.days[EARLIER].hours[f"{EARLIER}13"].copy)
    assert counted(world.read()) == before


def test_blobs_that_a_lifecycle_rule_deletes_stay_in_the_copy(
    session: SparkSession, lake_folder: Path
) -> None:
    world = landed(session, lake_folder, "fewer")
    world.work()
    before = counted(world.raw())
    (world.lake.hour_folder(f"{DAY}13") / "m=05" / "PT05M.json").unlink()
    shutil.rmtree(world.lake.hour_folder(f"{DAY}23"))
    world.work()
    assert counted(world.read()) == before != counted(world.raw())


def test_a_merge_that_fails_costs_no_run(session: SparkSession, lake_folder: Path) -> None:
    world = landed(session, lake_folder, "failing")
    world.work()
    job = world.job()
    # Where this job's folder belongs there is a file.
    world.path(job.plan.copy_url(TABLE, DAY)).parent.touch()
    assert job.plan.upkeep[TABLE].merge == DAYS
    assert world.jobs_code()._copy(job)["merged"] == []
    assert job.broken == {}
    read = job.readings().table(job.plan.runs[0], TABLE)
    assert counted(read.lines) == counted(world.raw())


@pytest.mark.parametrize("seed", range(3))
def test_a_random_history_reads_what_the_blobs_hold(
    session: SparkSession, lake_folder: Path, seed: int
) -> None:
    """Late rows, half lines, repeated blobs, jobs that die before or after they told."""
    dice = random.Random(seed)  # noqa: S311  a history, no secret
    world = landed(session, lake_folder, f"random{seed}")
    for _ in range(4):
        for _ in range(dice.randint(0, 3)):
            change(world, dice)
        fate = dice.choice(("works", "works", "dies", "dies merging", "tells late"))
        if fate == "works":
            world.work()
        elif fate == "dies":
            world.work(report=False)
        elif fate == "dies merging":
            die_merging(world)
        else:
            job = world.job()
            done = world.jobs_code()._copy(job)
            change(world, dice)
            world.work()
            world.hear(job.plan.job_id, done)
        world.now += timedelta(hours=dice.choice((0, 3)))
    assert counted(world.read()) == counted(world.raw())
    assert counted(world.view()) == counted(world.raw_view())


def change(world: CopiedLake, dice: random.Random) -> None:
    """Something happens to one hour."""
    hour = dice.choice((*HOURS, f"{DAY}05"))
    minute = f"{dice.randrange(12) * 5:02}"
    path = world.lake.hour_folder(hour) / f"m={minute}" / "PT05M.json"
    content = path.read_bytes() if path.exists() else b""
    what = dice.choice(("late", "half", "grown", "repeated", "copy folder gone"))
    if what == "late":
        name = f"{minute}/PT05M_{dice.randrange(1000)}.json"
        world.lake.blob(hour, name, rows(hour, dice.randint(1, 4), dice.randrange(90)))
    elif what == "half":
        world.lake.blob(hour, f"{minute}/PT05M.json", content + rows(hour, 1)[:-30])
    elif what == "grown":
        world.lake.blob(hour, f"{minute}/PT05M.json", content + rows(hour, 2, 70))
    elif what == "repeated":
        world.lake.blob(hour, f"{minute}/PT05M_{dice.randrange(1000)}.json", content)
    else:
        record: Any = world.days.get(hour[:8])
        urls = [one.copy for one in record.hours.values() if one.copy] if record else []
        urls += [record.merged.path] if record and record.merged else []
        there = [url for url in urls if world.path(url).is_dir()]
        if there:
            world.delete(dice.choice(there))


def die_merging(world: CopiedLake) -> None:
    """A job ends while it merges: some of what it wrote lies under its last name, some does not."""
    job = world.job()
    done = world.jobs_code()._copy(job)
    for one in done["merged"][1:]:
        source = world.path(one["path"])
        source.rename(source.parent / "_merging")


def test_folders_that_tasks_list_hold_the_same(session: SparkSession, lake_folder: Path) -> None:
    """As on ABFS: the roots are hours, and more of them than the driver lists itself."""
    world = landed(session, lake_folder, "listed")
    for hour in range(5, 12):
        world.lake.blob(f"{DAY}{hour:02}", "00/PT05M.json", rows(f"{DAY}{hour:02}", 1))
    session.conf.set("spark.tidehunt.listing", "parallel")
    try:
        assert len(world.work()["copies"]) == len(HOURS) + 7
        world.work()
        assert counted(world.read()) == counted(world.raw())
        assert session.conf.get("spark.sql.sources.parallelPartitionDiscovery.threshold") == "8"
    finally:
        session.conf.set("spark.tidehunt.listing", "serial")
