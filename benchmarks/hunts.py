"""Many hunts in one job: python -m benchmarks.hunts [--hunts 1 5 20] [--days 7] [--rows 20000]

Every job copies one new day of export blobs and reads the merged copies of the days before, as a
daily job does; then each of its hunts looks at all of it. Printed are the bytes of JSON that Spark
says it read, and the seconds, of each job beside the first: ratios of one run on one machine.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.process import Family
from benchmarks.sessions import spark_session
from shared import contract as c
from shared.model import Json

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TABLE = "commonsecuritylog"
EXPORTS, STATE = "exports.dfs.core.windows.net", "state.dfs.core.windows.net"
WORKSPACE = (
    "/subscriptions/s/resourcegroups/r/providers/microsoft.operationalinsights/workspaces/bench"
)
FIRST = datetime(2026, 3, 2, tzinfo=UTC)
KEYS = ("SrcIpAddr", "DstIpAddr", "DstPortNumber", "DstHostname", "NetworkProtocol")
GOALS = {"bytes": 1.05, "wall": 4.0}
"""What twenty hunts may take beside one."""
HUNT = """
from pyspark.sql import functions as F


def detect(tables, references, params):
    return (
        tables["NetworkSession"]
        .filter(F.col("SrcBytes") > {least})
        .groupBy("{key}")
        .agg(
            F.count("SrcBytes").alias("Events"),
            F.sum("SrcBytes").alias("Bytes"),
            F.min("TimeGenerated").alias("FirstSeen"),
            F.max("TimeGenerated").alias("LastSeen"),
        )
        .filter(F.col("Events") > 100)
        .select(
            F.col("{key}").cast("string").alias("Key"),
            F.lit(0.6).alias("Score"),
            F.struct("Bytes").alias("SubScores"),
            F.lit("much").alias("Title"),
            F.struct("Events").alias("Evidence"),
            "FirstSeen",
            "LastSeen",
        )
    )
"""
"""A small hunt of its own for each number: another key, another threshold."""


@dataclass(frozen=True)
class Cost:
    """What a job took: bytes of JSON read, seconds of wall and of CPU."""

    hunts: int
    json_bytes: int
    wall: float
    cpu: float

    def beside(self, one: Cost) -> dict[str, float]:
        """The ratios to another job's."""
        return {
            "bytes": self.json_bytes / one.json_bytes,
            "wall": self.wall / one.wall,
            "cpu": self.cpu / one.cpu,
        }


# --- Spark ------------------------------------------------------------------------------------


def _configuration(folder: Path) -> Mapping[str, str]:
    mounts = {f"{name}@{STATE}": folder / name for name in ("results", "tables")}
    mounts[f"{c.export_container(TABLE)}@{EXPORTS}"] = folder / c.export_container(TABLE)
    for place in mounts.values():
        place.mkdir(parents=True, exist_ok=True)
    return {
        **{
            f"spark.hadoop.fs.viewfs.mounttable.{container}.linkFallback": place.as_uri()
            for container, place in mounts.items()
        },
        "spark.hadoop.fs.abfss.impl": "org.apache.hadoop.fs.viewfs.ViewFileSystemOverloadScheme",
        "spark.hadoop.fs.file.impl": "org.apache.hadoop.fs.RawLocalFileSystem",
        "spark.sql.sources.ignoreDataLocality": "true",
        "spark.driver.memory": "2g",
        "spark.sql.shuffle.partitions": "4",
    }


def last_query(session: SparkSession) -> int:
    """The number of the last query that this session was asked for; -1 before the first."""
    return max((int(query.executionId()) for query in _queries(session)), default=-1)


def text_bytes(session: SparkSession, since: int) -> int:
    """Bytes of JSON lines that a session has read since a query, by Spark's own input metrics.

    Spark remembers the last thousand stages: what a long session did before cannot be asked for.
    """
    jvm: Any = session
    stages = jvm.sparkContext._jsc.sc().statusStore()
    ids: set[int] = set()
    for query in _queries(session):
        if int(query.executionId()) > since and "Scan text" in query.physicalPlanDescription():
            ids |= {int(one) for one in query.stages().mkString(",").split(",") if one}
    return sum(int(stages.lastStageAttempt(one).inputBytes()) for one in ids)


def _queries(session: SparkSession) -> Iterator[Any]:
    jvm: Any = session
    queries = jvm._jsparkSession.sharedState().statusStore().executionsList()
    return (queries.apply(number) for number in range(queries.size()))


# --- a lake -----------------------------------------------------------------------------------


def land(folder: Path, days: int, rows: int) -> dict[str, Json]:
    """Hour -> what the plan says of it; `rows` a day, in hours of one blob."""
    chance = random.Random(7)  # noqa: S311  made data has to repeat, not to keep a secret
    hours: dict[str, Json] = {}
    for number in range(days * 24):
        start = FIRST + timedelta(hours=number)
        hour = c.hour_key(start)
        place = folder / c.export_container(TABLE) / c.export_hour_folder(WORKSPACE, hour) / "m=00"
        place.mkdir(parents=True)
        text = "".join(_row(chance, start) for _ in range(rows // 24))
        (place / "PT05M.json").write_text(text, "utf-8")
        hours[hour] = {
            "hour": hour,
            "fingerprint": hour,
            "blobs": 1,
            "bytes": len(text),
            "copy": None,
        }
    return hours


def _row(chance: random.Random, start: datetime) -> str:
    """A firewall's row of about 1.2 kB, most of which no hunt reads."""
    time_of = start + timedelta(seconds=chance.uniform(0, 3_600))
    host = chance.randrange(300)
    row = {
        "TenantId": "6f2a1f0e-7d53-4c1e-9a40-0d6f1f6b7c11",
        "TimeGenerated": f"{time_of:%Y-%m-%dT%H:%M:%S.%f}Z",
        "DeviceVendor": "Fortinet",
        "DeviceProduct": "Fortigate",
        "DeviceAction": "accept",
        "SourceIP": f"10.0.{host >> 8}.{host & 255}",
        "SourcePort": chance.randrange(49_152, 65_536),
        "DestinationIP": f"203.0.{chance.randrange(100)}.{chance.randrange(256)}",
        "DestinationPort": chance.choice((53, 80, 443, 8443)),
        "DestinationHostName": f"host-{chance.randrange(5_000)}.example.net",
        "Protocol": chance.choice(("tcp", "udp")),
        "SentBytes": chance.randrange(100, 100_000),
        "ReceivedBytes": chance.randrange(100, 1_000_000),
        "AdditionalExtensions": ";".join(f"FTNTFGTfield{n}={chance.random()}" for n in range(20)),
        "Type": "CommonSecurityLog",
    }
    return json.dumps(row) + "\n"


def plan(folder: Path, number: int, table: Json, hunts: int) -> str:
    """Write a job's plan; its URL. `table` is what it says of the one table: hours and days."""
    job_id = f"job-20260310000500-{number:08x}"
    end = FIRST + timedelta(days=len(table["hours"]) // 24)
    key = c.workspace_key(WORKSPACE)
    body = {
        "schema": c.PLAN_SCHEMA,
        "job_id": job_id,
        "code_hash": "0f" * 12,
        "created": end,
        "deadline": datetime.now(UTC) + timedelta(hours=8),
        "results": f"abfss://results@{STATE}/{c.job_folder(job_id)}",
        "tables_root": f"abfss://tables@{STATE}",
        "exports_host": EXPORTS,
        "workspace": {"resource_id": WORKSPACE, "key": key},
        "max_findings": 1_000,
        "tables": {TABLE: table},
        "runs": [_run(one, key, end) for one in range(hunts)],
    }
    path = folder / "results" / c.plan_path(job_id)
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(body, default=datetime.isoformat), "utf-8")
    return f"abfss://results@{STATE}/{c.plan_path(job_id)}"


def _run(number: int, key: str, end: datetime) -> Json:
    module = f"bench_{number:02d}"
    hunt = {
        "module": module,
        "guid": f"6f2a1f0e-7d53-4c1e-9a40-{number:012x}",
        "version": "1.0.0",
        "severity": {"Medium": 0.5},
        "views": ["NetworkSession"],
        "tables": [],
        "finding_key": ["Key"],
        "entity_columns": [],
    }
    return {
        "run_id": f"{end - timedelta(days=1):%Y%m%d}-{module}-{key}-r0",
        "hunt": hunt,
        "slot": {"start": end - timedelta(days=1), "end": end},
        "window": {"start": FIRST, "end": end},
        "revision": 0,
        "params": {},
        "references": {},
    }


def write_hunts(folder: Path, hunts: int) -> None:
    """A module for each number, in a folder that joins the package of hunts."""
    folder.mkdir()
    for number in range(hunts):
        code = HUNT.format(key=KEYS[number % len(KEYS)], least=100 * (number + 1))
        (folder / f"bench_{number:02d}.py").write_text(code, "utf-8")
    importlib.import_module("spark.hunts").__path__.append(str(folder))


# --- the measure ------------------------------------------------------------------------------


def measure(session: SparkSession, folder: Path, args: argparse.Namespace) -> Iterator[Cost]:
    """The cost of a job for each number of hunts; what was warmed up before is not counted."""
    hours = land(folder, args.days, args.rows)
    write_hunts(folder / "hunts", max(args.hunts))
    past = list(hours.values())[:-24]
    for one in _job(folder, 0xFFFF, {"hours": past}, 1)["copies"]:
        hours[one["hour"]]["copy"] = one["path"]
    days = sorted({hour["hour"][:8] for hour in past})
    report = _job(folder, 0xFFFE, {"hours": past, "merge": days}, 1)
    merged = [{**one, "hours": sorted(one["hours"]), "stale": []} for one in report["merged"]]
    table = {"hours": list(hours.values()), "merged": merged}
    _job(folder, 0xFFFD, table, 2)
    family = Family(os.getpid())
    for hunts in args.hunts:
        since, wall, cpu = last_query(session), time.perf_counter(), family.seconds()
        _job(folder, hunts, table, hunts)
        yield Cost(
            hunts,
            text_bytes(session, since),
            time.perf_counter() - wall,
            family.seconds() - cpu,
        )


def _job(folder: Path, number: int, table: Json, hunts: int) -> Json:
    """Run a job to its end; its report. RuntimeError when it or one of its runs fails."""
    url = plan(folder, number, table, hunts)
    if importlib.import_module("spark.job").main([url]) != 0:
        raise RuntimeError(f"the job failed: {url}")
    place = (folder / "results" / url.partition(f"{STATE}/")[2]).parent
    for path in place.glob("runs/*/manifest.json"):
        manifest = json.loads(path.read_bytes())
        if manifest["status"] != "succeeded":
            raise RuntimeError(f"{path.parent.name}: {manifest['error']}")
    report: Json = json.loads((place / "report.json").read_bytes())
    return report


def main() -> int:
    """Print what each number of hunts took; 1 when twenty take more than the goals allow."""
    parser = argparse.ArgumentParser(prog="benchmarks.hunts", description=__doc__)
    parser.add_argument("--hunts", type=int, nargs="+", default=[1, 5, 20])
    parser.add_argument("--days", type=int, default=7)
    parser.add_argument("--rows", type=int, default=20_000, help="a day")
    args = parser.parse_args()
    with (
        tempfile.TemporaryDirectory() as name,
        spark_session(Path(name), _configuration(Path(name)), quick=True) as session,
    ):
        costs = list(measure(session, Path(name), args))
    for cost in costs:
        beside = ", ".join(f"{name} {ratio:.2f}" for name, ratio in cost.beside(costs[0]).items())
        print(
            f"{cost.hunts:3d} hunts: {cost.json_bytes / 1e6:.1f} MB of JSON, {cost.wall:.1f} s, "
            f"{cost.cpu:.1f} s CPU; beside {costs[0].hunts}: {beside}"
        )
    faults = missed(costs)
    print(*(f"MISSED: {fault}" for fault in faults), sep="\n", end="\n" if faults else "")
    return int(bool(faults))


def missed(costs: Sequence[Cost]) -> list[str]:
    """The goals that the job with the most hunts misses beside the first."""
    most = max(costs, key=lambda cost: cost.hunts).beside(costs[0])
    return [
        f"{name} {most[name]:.2f}, at most {goal} allowed"
        for name, goal in GOALS.items()
        if most[name] > goal
    ]


if __name__ == "__main__":
    raise SystemExit(main())
