"""Coverage: every line of every blob is accounted for, whatever is wrong with it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.hunts.small_lake import TABLE, SmallLake, connection, lines, own_hunts, plan_url

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

job = pytest.importorskip("spark.job", reason="pyspark is not installed")
exports = pytest.importorskip("spark.exports")
TABLES = pytest.importorskip("spark.tables.declared").TABLES

Json = dict[str, Any]
NOTHING = """
def detect(tables, references, params):
    rows = tables["vmconnection"].limit(0)
    return rows.selectExpr(
        "DestinationIp", "0.0D Score", "named_struct('A', 0.0D) SubScores", "'' Title",
        "named_struct('A', 0.0D) Evidence", "TimeGenerated FirstSeen", "TimeGenerated LastSeen",
    )
"""
HOURS = [f"20260309{hour:02}" for hour in (1, 2, 3, 4, 6, 7, 8, 10)]
EMPTY, VANISHED = "2026030910", "2026030907"


def land(lake: SmallLake) -> None:
    """Blobs that are broken in every way that is known; the numbers are counted below."""
    good = [connection("01:00:00"), connection("01:01:00"), connection("01:02:00")]
    lake.blob("2026030901", "00/PT05M.json", lines(*good) + b'{"TimeGenerated":"2026-03-09T0')
    lake.blob("2026030901", "05/PT05M.json", lines(connection("01:05:00"))[:-1])
    bom, crlf = b"\xef\xbb\xbf", lines(connection("02:00:00"), connection("02:00:01"))
    lake.blob("2026030902", "00/PT5M.json", bom + crlf.replace(b"\n", b"\r\n"))
    lake.blob("2026030902", "00/PT05M_1.json", lines(connection("02:00:02", New=1, Old_CF="x")))
    same = connection("03:00:00")
    garbage = ("no JSON", '["an", "array"]', "7", "", "  ", '{"a": 1', "\x00\x01")
    lake.blob("2026030903", "00/PT05M.json", lines(same, same, same, *garbage))
    lake.blob("2026030903", "05/PT05M.json", b"")
    texts = connection("04:00:00", DestinationPort="443", BytesSent="much", BytesReceived="7")
    lake.blob("2026030904", "00/PT05M.json", lines(texts, connection("soon", SourceIp=10)))
    lake.blob("2026030904", "55/PT05M.json", lines(connection("04:55:00")))
    # No Python time can hold the first, and no manifest more of the second.
    strange = {"\U0001f600" * 50 + str(number): 1 for number in range(9)}
    wild = connection("+294247-01-09T00:00:00Z") | strange
    lake.blob("2026030908", "00/PT05M.json", lines(wild))
    huge = b'{"Computer":"' + b"x" * exports.LONGEST_LINE + b'"}\n'
    lake.blob("2026030906", "00/pt05m.json", huge + lines(connection("06:59:59")))
    lake.blob(EMPTY, "00/PT05M.json", b"")
    lake.blob(VANISHED, "00/PT05M.json", lines(connection("07:00:00")))


@pytest.fixture(scope="module")
def covered(
    session: SparkSession, lake_folder: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[SmallLake, str]:
    """A lake, and the job that a hunt over all of it ran in."""
    lake = SmallLake(lake_folder, "covered")
    land(lake)
    tables = {TABLE: lake.hours(*HOURS)}
    lake.blob("2026030905", "00/PT05M.json", lines(connection("05:00:00")))  # landed too late
    lake.blob("2099010100", "00/PT05M.json", lines(connection("2099-01-01T00:00:00Z")))
    lake.blob("2026030901", "00/notes.json", b"no export blob\n")
    shutil.rmtree(lake.hour_folder(VANISHED))
    shutil.rmtree(lake.hour_folder("2026030904") / "m=55")
    run = lake.run("nothing_found", views=["NetworkSession"])
    job_id = lake.plan(0xC0, tables, [run])
    folder = tmp_path_factory.mktemp("hunts")
    (folder / "nothing_found.py").write_text(NOTHING, encoding="utf-8")
    with own_hunts(folder):
        assert job.main([plan_url(job_id)]) == 0
    return lake, job_id


@pytest.fixture(scope="module")
def told(covered: tuple[SmallLake, str]) -> Json:
    """The coverage that the control plane reads."""
    lake, job_id = covered
    manifest = lake.manifest(job_id, "nothing_found")
    assert manifest.error == ""
    return manifest.coverage


@pytest.fixture(scope="module")
def copies(session: SparkSession, covered: tuple[SmallLake, str]) -> dict[str, Json]:
    """Hour -> what the report says of its copy, and what the copy holds."""
    lake, job_id = covered
    return {one["hour"]: one | held(session, one["path"]) for one in lake.report(job_id)["copies"]}


def held(session: SparkSession, path: str) -> Json:
    """Lines, rows and dropped lines of the copy of an hour."""
    sums = {name: f"coalesce(sum({name}), 0)" for name in ("lines", "rows", "dropped")}
    blobs = exports.per_blob(exports.read_copies(session, TABLES[TABLE], [path]))
    row = blobs.selectExpr(*(f"{text} as {name}" for name, text in sums.items())).first()
    return dict(row.asDict())


def counts(copy: Json) -> tuple[int, int, int, int]:
    return copy["blobs"], copy["lines"], copy["rows"], copy["dropped"]


def test_a_truncated_last_line_is_dropped_and_one_without_an_end_is_not(
    copies: dict[str, Json],
) -> None:
    assert counts(copies["2026030901"]) == (2, 5, 4, 1)


def test_a_byte_order_mark_and_carriage_returns_cost_no_row(copies: dict[str, Json]) -> None:
    assert counts(copies["2026030902"]) == (2, 3, 3, 0)


def test_garbage_is_dropped_blank_lines_are_none_and_doubles_are_kept(
    copies: dict[str, Json],
) -> None:
    assert counts(copies["2026030903"]) == (2, 8, 3, 5)


def test_a_value_of_the_wrong_type_costs_no_row_and_what_is_gone_is_not_counted(
    copies: dict[str, Json],
) -> None:
    assert counts(copies["2026030904"]) == (1, 2, 2, 0)


def test_a_huge_line_is_dropped_and_its_neighbour_read(copies: dict[str, Json]) -> None:
    blobs, total, rows, dropped = counts(copies["2026030906"])
    # Where Spark splits the blob, what is beyond the limit is a line of its own.
    assert (blobs, rows) == (1, 1) and 1 <= dropped <= 2 and total == rows + dropped


def test_an_hour_of_empty_blobs_is_copied_and_one_that_vanished_is_not(
    copies: dict[str, Json],
) -> None:
    assert counts(copies[EMPTY]) == (1, 0, 0, 0)
    assert set(copies) == set(HOURS) - {VANISHED}


def test_hours_that_the_plan_does_not_name_are_not_read(
    copies: dict[str, Json], told: Json
) -> None:
    assert not {"2026030905", "2099010100"} & set(copies)
    assert told["last_data"].startswith("2026-03-09T06:59:59")


def test_the_sums_are_those_of_the_hours(copies: dict[str, Json], told: Json) -> None:
    table = told["tables"][TABLE]
    blobs, *sums = map(sum, zip(*map(counts, copies.values()), strict=True))
    assert [table["lines"], table["rows"], table["dropped"]] == sums
    assert sums[1] == 4 + 3 + 3 + 2 + 1 + 1
    # As planned: two are empty, and one was gone when the job came.
    assert (table["blobs"], table["empty_blobs"], blobs) == (11, 3, 10)


def test_unknown_columns_are_named_in_little_room(told: Json) -> None:
    unknown = told["tables"][TABLE]["unknown_columns"]
    assert unknown[:2] == ["New", "Old_CF"]
    assert unknown[2].startswith("\\U0001f600\\U0001f600")
    assert len(json.dumps(unknown)) < 20 * 125


def test_hours_and_days_are_counted(told: Json) -> None:
    assert (told["hours_planned"], told["hours_read"]) == (8, 7)
    # From the first hour with data to the slot's end there are 23.
    assert told["hours_missing"] == 23 - 7
    assert (told["days_in_window"], told["days_with_data"]) == (2, 1)
    assert told["first_data"].startswith("2026-03-09T01:00:00")


def test_null_shares_are_of_the_rows(told: Json) -> None:
    nulls = told["tables"][TABLE]["nulls"]
    assert nulls["TimeGenerated"] == round(1 / 14, 4)  # "soon"
    assert nulls["DestinationIp"] == 0
    assert nulls["DestinationPort"] == round(13 / 14, 4)
    assert nulls["BytesSent"] == 1  # "much"
    assert nulls["BytesReceived"] == round(13 / 14, 4)
    assert nulls["SourceIp"] == round(13 / 14, 4)


def test_tables_of_a_view_that_have_no_blobs_are_not_told(told: Json) -> None:
    assert list(told["tables"]) == [TABLE]
    assert len(json.dumps(told)) < 32_000
