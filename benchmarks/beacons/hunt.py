"""Our hunt, called as a job calls it: through `detect`, over its view as Parquet, by its spec."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.beacons.events import Events, pair_key
from benchmarks.beacons.world import address, name
from shared.hunt_specs import parameters, parse
from shared.model import HuntSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

HUNT = "beaconing"
FIRST = datetime(2026, 1, 5, tzinfo=UTC)
"""A Monday; the window's first moment."""
FOUND = "Medium"
FILES = 8


@dataclass(frozen=True)
class Finding:
    """What the benchmark keeps of a finding: its score, and why."""

    score: float
    sub_scores: Mapping[str, float | None]
    judged_by: str


@dataclass(frozen=True)
class Findings:
    """The best finding per pair key, and the least score that counts as found."""

    by_pair: Mapping[int, Finding]
    found_from: float


def spec() -> HuntSpec:
    """The hunt's own spec."""
    path = Path(__file__).parents[2] / "spark" / "hunts" / f"{HUNT}.yaml"
    return parse(path.read_text("utf-8"), str(path), HUNT)


def configuration() -> Mapping[str, str]:
    """What the hunt runs with: a job's own settings, and room for a world."""
    of_a_job: Mapping[str, str] = importlib.import_module("spark.job").SQL
    return {
        **of_a_job,
        "spark.driver.memory": "4g",
        "spark.sql.shuffle.partitions": "8",
    }


def judge(session: SparkSession, events: Events, folder: Path) -> Findings:
    """Write the view, hunt, and keep each pair's best finding."""
    write_view(events, folder)
    rows = _hunt(session, folder)
    keys = {_identity(s, d, p): pair_key(s, d, p) for s, d, p in _pairs(events)}
    by_pair: dict[int, Finding] = {}
    for row in rows:
        key = int(keys[row.SrcIpAddr, row.Dst, row.DstPortNumber])
        made = Finding(row.Score, row.SubScores.asDict(), row.JudgedBy)
        by_pair[key] = max(by_pair.get(key, made), made, key=lambda one: one.score)
    return Findings(by_pair, spec().severity[FOUND])


def _hunt(session: SparkSession, folder: Path) -> list[Any]:
    module = importlib.import_module(f"spark.hunts.{HUNT}")
    views, job = (importlib.import_module(f"spark.{one}") for one in ("views", "job"))
    sessions = session.read.schema(views.NETWORK_SESSION).parquet(folder.as_uri())
    refs = {"allow_list": job.reference(session, "allow_list", ())}
    found = module.detect({"NetworkSession": sessions}, refs, dict(parameters(spec(), {})))
    kept = ("SrcIpAddr", "Dst", "DstPortNumber", "Score", "SubScores", "Evidence.JudgedBy")
    rows: list[Any] = found.select(*kept).collect()
    return rows


def _pairs(events: Events) -> list[list[int]]:
    every = np.stack([events.source, events.destination, events.port])
    pairs: list[list[int]] = np.unique(every, axis=1).T.tolist()
    return pairs


def _identity(source: int, destination: int, port: int) -> tuple[str, str, int]:
    return _source(source), address(destination), port


def _source(number: int) -> str:
    return f"10.0.{number >> 8}.{number & 255}"


def write_view(events: Events, folder: Path) -> None:
    """NetworkSession as Parquet: what this world does not tell is null."""
    folder.mkdir(parents=True, exist_ok=True)
    table = _view(events)
    size = -(-len(events) // FILES)
    for number in range(FILES):
        part = table.slice(number * size, size)
        pq.write_table(part, folder / f"part-{number}.parquet", compression="zstd")


def _view(events: Events) -> pa.Table:
    views = importlib.import_module("spark.views")
    arrow_schema = importlib.import_module("pyspark.sql.pandas.types").to_arrow_schema
    schema = arrow_schema(views.NETWORK_SESSION)
    count = len(events)
    given = _columns(events)
    columns = [
        given[field.name].cast(field.type) if field.name in given else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _columns(events: Events) -> Mapping[str, Any]:
    count = len(events)
    micros = pa.array(np.round(events.time * 1e6).astype(np.int64) + round(FIRST.timestamp() * 1e6))
    time_column = micros.cast(pa.timestamp("us", tz="UTC"))
    # From the time, so that a row that is written twice is the same row.
    ephemeral = 49_152 + np.round(events.time * 1e3).astype(np.int64) * 7_919 % 16_000
    return {
        "TimeGenerated": time_column,
        "EventStartTime": time_column,
        "EventVendor": _same("Contoso", count),
        "EventResult": _same("Success", count),
        "EventCount": pa.array(np.ones(count, np.int64)),
        "DvcAction": _same("Allow", count),
        "SrcIpAddr": _texts(events.source, _source),
        "SrcPortNumber": pa.array(ephemeral),
        "DstIpAddr": _texts(events.destination, address),
        "DstHostname": _texts(events.destination, name),
        "DstPortNumber": pa.array(events.port),
        "NetworkProtocol": pa.array(np.where(np.isin(events.port, (53, 123)), "UDP", "TCP")),
        "SrcBytes": pa.array(events.sent),
        "DstBytes": pa.array(events.received),
        "SourceTable": _same("commonsecuritylog", count),
    }


def _same(text: str, count: int) -> Any:
    return pa.repeat(text, count)


def _texts(numbers: Any, told: Any) -> Any:
    """The text of each number, made once for each different one."""
    different, which = np.unique(numbers, return_inverse=True)
    return pa.array([told(int(one)) for one in different], pa.string()).take(pa.array(which))
