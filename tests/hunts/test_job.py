"""A job from its plan to its manifests, on production URLs, in this process."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared import contract as c
from tests.hunts.small_lake import TABLE, SmallLake, connection, lines, own_hunts, plan_url
from tests.sources import ROOT

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

job = pytest.importorskip("spark.job", reason="pyspark is not installed")
plans = pytest.importorskip("spark.plan")

Json = dict[str, Any]
HOURS = ("2026030723", "2026030800", "2026030912", "2026030923")
BROKEN = "devicenetworkevents"
COUNTING = """
from pyspark.sql import functions as F


def detect(tables, references, params):
    allowed = references["allow_list"].select(F.col("destination").alias("DestinationIp"))
    return (
        tables["vmconnection"]
        .join(allowed, "DestinationIp", how="left_anti")
        .groupBy("DestinationIp")
        .agg(
            F.count(F.lit(1)).alias("Count"),
            F.min("TimeGenerated").alias("FirstSeen"),
            F.max("TimeGenerated").alias("LastSeen"),
        )
        .select(
            "DestinationIp",
            F.lit(params["score"]).alias("Score"),
            F.struct(F.lit(1.0).alias("Volume")).alias("SubScores"),
            F.concat(F.lit("To "), "DestinationIp").alias("Title"),
            F.struct("Count").alias("Evidence"),
            "FirstSeen",
            "LastSeen",
        )
    )
"""
RAISING = "def detect(tables, references, params):\n    raise KeyError('threshold')\n"
ODD = "def detect(tables, references, params):\n    return [1]\n"
UNUSABLE = "import no_such_module\n"
LOST = """
def detect(tables, references, params):
    return tables["vmconnection"].selectExpr("raise_error('the block is lost') DestinationIp",
        "0.8D Score", "named_struct('A', 1) SubScores", "'' Title", "named_struct('B', 1) Evidence",
        "TimeGenerated FirstSeen", "TimeGenerated LastSeen")
"""
HUNTS = {"counting": COUNTING, "raising": RAISING, "odd_one": ODD, "unusable": UNUSABLE,
         "lost": LOST}  # fmt: skip


def land(lake: SmallLake) -> None:
    """Rows around the window of 8 and 9 March; an hour before it; and a table that cannot be."""
    before, start = "2026-03-07T23:59:59.9999999Z", "2026-03-08T00:00:00Z"
    late, end = "2026-03-09T23:59:59.9999990Z", "2026-03-10T00:00:00Z"
    lake.blob("2026030723", "55/PT05M.json", lines(connection(before, "a")))
    lake.blob("2026030800", "00/PT05M.json", lines(connection(before, "b"), connection(start, "c")))
    lake.blob("2026030912", "00/PT05M.json", lines(connection("12:00:00", "192.0.2.7")))
    lake.blob("2026030912", "00/PT05M_1.json", lines(connection("12:00:00", "192.0.2.7")))
    lake.blob("2026030912", "05/PT5M.json", lines(connection("12:05:00", "known")))
    lake.blob("2026030923", "55/PT05M.json", lines(connection(late, "d"), connection(end, "e")))
    lake.blob("2026030912", "00/PT05M.json", lines(connection("12:00:00")), table=BROKEN)
    # Where this table's copies belong there is a file.
    tables = lake.folder / "state" / "tables" / lake.key
    tables.mkdir(parents=True)
    (tables / BROKEN).touch()


def counting(lake: SmallLake, score: float = 0.8) -> Json:
    known = {"allow_list": [{"destination": "known", "port": 53}, {"port": None}]}
    return lake.run("counting", params={"score": score}, references=known)


def passing(job_id: str, lake: SmallLake, module: str) -> bool:
    """What a manifest says of its failure."""
    path = c.manifest_path(job_id, lake.run(module)["run_id"])
    return bool(json.loads((lake.results / path).read_bytes())["passing"])


@pytest.fixture(scope="module")
def lake(lake_folder: Path) -> SmallLake:
    made = SmallLake(lake_folder, "jobs")
    land(made)
    return made


@pytest.fixture(scope="module")
def hunts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = Path(tmp_path_factory.mktemp("hunts"))
    for name, code in HUNTS.items():
        (folder / f"{name}.py").write_text(code, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def first(session: SparkSession, lake: SmallLake, hunts: Path) -> str:
    """A job of many runs, most of which fail."""
    tables = {
        TABLE: lake.hours(*HOURS),
        BROKEN: lake.hours("2026030912", table=BROKEN),
        "signinlogs": {"hours": []},
    }
    runs = [
        lake.run("raising"),
        lake.run("odd_one"),
        lake.run("unusable"),
        lake.run("missing_hunt"),
        lake.run("unknown_table", tables=["SigninLogs", "VMConnection"]),
        lake.run("broken_table", tables=["VMConnection", "DeviceNetworkEvents"]),
        lake.run("lost"),
        counting(lake),
    ]
    job_id = lake.plan(1, tables, runs)
    with own_hunts(hunts):
        assert job.main([plan_url(job_id)]) == 0
    return job_id


# --- runs ---------------------------------------------------------------------------------------


def test_a_window_holds_its_start_and_not_its_end(first: str, lake: SmallLake) -> None:
    found = {one["Identity"]["DestinationIp"]: one for one in lake.findings(first, "counting")}
    assert set(found) == {"c", "192.0.2.7", "d"}
    assert found["c"]["FirstSeen"] == "2026-03-08T00:00:00.000000Z"
    assert found["d"]["LastSeen"] == "2026-03-09T23:59:59.999999Z"
    assert found["192.0.2.7"]["Evidence"] == {"Count": 2}
    assert {one["Severity"] for one in found.values()} == {"Medium"}


@pytest.mark.parametrize(
    ("module", "why"),
    [
        ("raising", "KeyError: 'threshold'"),
        ("odd_one", "TypeError: hunt odd_one gives a list"),
        ("unusable", "ModuleNotFoundError: .*no_such_module"),
        ("missing_hunt", "ModuleNotFoundError: .*missing_hunt"),
        ("unknown_table", "ValueError: .*table signinlogs"),
        ("broken_table", f"{BROKEN} cannot be copied: "),
        ("lost", "Py4JJavaError: .*the block is lost"),
    ],
)
def test_a_run_fails_alone_and_says_why(first: str, lake: SmallLake, module: str, why: str) -> None:
    manifest = lake.manifest(first, module)
    assert (manifest.parts, manifest.rows) == ((), 0)
    assert re.search(why, manifest.error)
    assert passing(first, lake, module) == (module in ("broken_table", "lost"))


def test_the_manifest_is_written_last_under_its_final_name(first: str, lake: SmallLake) -> None:
    folders = list((lake.results / c.job_folder(first) / "runs").iterdir())
    assert len(folders) == 8
    for folder in folders:
        times = {path.name: path.stat().st_mtime_ns for path in folder.rglob("*")}
        assert max(times, key=lambda name: times[name]) == c.MANIFEST_NAME
    names = {path.name for path in lake.results.rglob("*")}
    assert [name for name in names if name.startswith((".", "_")) and name != "_SUCCESS"] == []


def test_the_manifest_says_what_ran(first: str, lake: SmallLake) -> None:
    manifest = lake.manifest(first, "counting")
    assert (manifest.error, manifest.rows, manifest.withheld) == ("", 3, 0)
    assert manifest.code_hash == "0f" * 12
    assert not passing(first, lake, "counting")
    assert manifest.coverage["hours_read"] == 3
    assert manifest.coverage["tables"][TABLE]["rows"] == 7
    first_data, last_data = (manifest.coverage[name] for name in ("first_data", "last_data"))
    assert (first_data, last_data) == ("2026-03-08T00:00:00Z", "2026-03-09T23:59:59Z")
    assert set(manifest.coverage["timings"]) >= {"session_s", "copy_s", "hunt_s", "coverage_s"}


# --- copies -------------------------------------------------------------------------------------


def test_the_report_names_every_hour_that_was_copied(first: str, lake: SmallLake) -> None:
    report = lake.report(first)
    copies = {one["hour"]: one for one in report["copies"]}
    assert sorted(copies) == list(HOURS)
    twelve = copies["2026030912"]
    assert (twelve["table"], twelve["fingerprint"]) == (TABLE, "of-2026030912")
    assert twelve["blobs"] == 3
    folder = c.copy_folder(lake.key, TABLE, first, "2026030912")
    assert twelve["path"].endswith(f".dfs.core.windows.net/{folder}")
    assert list((lake.folder / "state" / "tables" / folder).glob("*.parquet"))
    assert list(report["broken"]) == [BROKEN]


def test_fresh_copies_are_read_and_no_export_blob_is(
    session: SparkSession, first: str, lake: SmallLake, hunts: Path
) -> None:
    copies = {one["hour"]: one["path"] for one in lake.report(first)["copies"]}
    gone = "2026030800"
    tables = {TABLE: lake.hours(*HOURS, copies={**copies, gone: f"{copies[gone]}-gone"})}
    hidden = lake.folder / "hidden"
    exports = lake.folder / "exports" / c.export_container(TABLE)
    ours = exports / c.export_day_folder(lake.workspace, "20260309").partition("/y=")[0]
    ours.rename(hidden)
    job_id = lake.plan(2, tables, [counting(lake, 0.95)])
    try:
        with own_hunts(hunts):
            assert job.main([plan_url(job_id)]) == 0
    finally:
        hidden.rename(ours)
    before, after = (
        {one["FindingId"] for one in lake.findings(one_of, "counting")}
        for one_of in (first, job_id)
    )
    assert lake.report(job_id)["copies"] == []
    assert after < before and len(after) == 2
    assert {one["Severity"] for one in lake.findings(job_id, "counting")} == {"High"}
    assert lake.manifest(job_id, "counting").coverage["hours_planned"] == 3
    assert lake.manifest(job_id, "counting").coverage["hours_read"] == 2


# --- claim, plan, deadline ----------------------------------------------------------------------


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_second_starter_of_a_job_writes_nothing(first: str, lake: SmallLake) -> None:
    before = contents(lake.folder / "state")
    assert job.main([plan_url(first)]) == 3
    assert contents(lake.folder / "state") == before


@pytest.mark.parametrize(
    ("number", "change"),
    [
        (0x20, {"schema": 2}),
        (0x21, {"workspace": None}),
        (0x22, {"job_id": "../x"}),
        (0x23, {"deadline": "soon"}),
    ],
)
def test_a_plan_that_cannot_be_used_is_refused(
    session: SparkSession,
    lake: SmallLake,
    capsys: pytest.CaptureFixture[str],
    number: int,
    change: Json,
) -> None:
    job_id = lake.plan(number, {}, [counting(lake)], **change)
    before = contents(lake.folder / "state")
    assert job.main([plan_url(job_id)]) == 2
    assert contents(lake.folder / "state") == before
    assert plan_url(job_id) in capsys.readouterr().err


def test_no_plan_is_no_job(session: SparkSession, capsys: pytest.CaptureFixture[str]) -> None:
    nowhere = plan_url("job-20260310000500-ffffffff")
    unmounted = "abfss://ledger@tidehuntstate.dfs.core.windows.net/plan.json"
    arguments: tuple[list[str], ...] = (
        [],
        [nowhere, nowhere],
        [nowhere],
        [unmounted],
        ["gopher://plan"],
    )
    assert [job.main(given) for given in arguments] == [2] * 5
    assert capsys.readouterr().err.count("tidehunt job: ") == 5


def test_a_job_whose_deadline_has_passed_does_not_begin(
    session: SparkSession, lake: SmallLake
) -> None:
    job_id = lake.plan(0x40, {}, [], deadline=datetime.now(UTC) - timedelta(seconds=1))
    before = contents(lake.folder / "state")
    assert job.main([plan_url(job_id)]) == 4
    assert contents(lake.folder / "state") == before


@pytest.mark.parametrize(("number", "bound"), [(0x41, "deadline"), (0x42, "run_seconds")])
def test_a_job_ends_at_its_deadline_whatever_it_does(
    lake: SmallLake, number: int, bound: str
) -> None:
    soon = datetime.now(UTC) + timedelta(milliseconds=50)
    changes = {"deadline": soon} if bound == "deadline" else {"run_seconds": 0.05}
    job_id = lake.plan(number, {}, [], **changes)
    code = (
        "import sys, time; from pathlib import Path; from spark.job import watch_deadline;"
        "from spark.plan import parse_plan; from datetime import UTC, datetime;"
        "plan = parse_plan(Path(sys.argv[1]).read_bytes());"
        "watch_deadline(plan, datetime.now(UTC)); time.sleep(60)"
    )
    plan = lake.results / c.plan_path(job_id)
    ended = subprocess.run(
        [sys.executable, "-c", code, str(plan)],
        cwd=ROOT, capture_output=True, text=True, timeout=50, check=False,
    )  # fmt: skip
    assert ended.returncode == 4, ended.stderr
    assert job_id in ended.stderr and "deadline" in ended.stderr


# --- references ---------------------------------------------------------------------------------


@pytest.mark.parametrize("entries", [[], [{"destination": "1"}]], ids=len)
def test_only_a_reference_list_with_entries_costs_a_join(
    session: SparkSession, entries: list[Json]
) -> None:
    allowed = job.reference(session, "allow_list", entries).hint("broadcast")
    rows: Any = session.range(3)
    left = rows.join(allowed, on=rows.id == allowed.destination, how="left_anti")
    assert [row.id for row in left.collect()] == ([0, 2] if entries else [0, 1, 2])
    plan: str = left._jdf.queryExecution().optimizedPlan().toString()
    assert plan.count("Join LeftAnti") == len(entries)


@pytest.mark.parametrize(
    ("name", "entries", "columns", "rows"),
    [
        ("allow_list", [], ["destination", "expires", "owner", "port", "reason", "source"], []),
        (
            "assets",
            [{"host": "pc-1", "weight": 7}, {"host": None, "note": "x"}],
            ["host", "note", "weight"],
            [("pc-1", None, "7"), (None, "x", None)],
        ),
        ("empty", [], [], []),
    ],
)
def test_a_reference_list_is_a_table_of_text(
    session: SparkSession, name: str, entries: list[Json], columns: list[str], rows: list[Any]
) -> None:
    table = job.reference(session, name, entries)
    assert table.columns == columns
    assert {kind for _, kind in table.dtypes} <= {"string"}
    assert [tuple(row) for row in table.collect()] == rows
