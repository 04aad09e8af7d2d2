"""Beaconing in logs that nobody here wrote: what is known to be an implant, and what is not."""

from __future__ import annotations

import importlib
import tarfile
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared.contract import parse_export_blob
from tests.hunts.beacon_rows import ROOT, detect, notable, severity

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

exports = importlib.import_module("spark.exports")
views = importlib.import_module("spark.views")
TABLES: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES

pytestmark = pytest.mark.proof
REAL_LOGS = ROOT.parent / "shared" / "data" / "real-logs.tar.gz"
CAPTURES = ("a-net-rats", "a-net-caldera", "a-net-apt29-day2", "a-net-zat", "a-windows")


@pytest.fixture(scope="module")
def real_sessions(
    session: SparkSession, tmp_path_factory: pytest.TempPathFactory
) -> Mapping[str, DataFrame]:
    """Name of the capture -> its sessions, from the export blobs as a job reads them."""
    if not REAL_LOGS.is_file():
        pytest.skip("the real logs lie beside the repository, and they are not there")
    folder = Path(tmp_path_factory.mktemp("real"))
    with tarfile.open(REAL_LOGS) as archive:
        members = [one for one in archive if set(CAPTURES) & set(Path(one.name).parts)]
        archive.extractall(folder, members=members, filter="data")
    return {name: sessions_of(session, folder / "real-logs" / name) for name in CAPTURES}


def sessions_of(session: SparkSession, lake: Path) -> DataFrame:
    """The view over one lake's export folders."""
    rows = {}
    for name, declared in TABLES.items():
        folder = lake / f"am-{name}"
        blobs = [blob.relative_to(folder).as_posix() for blob in folder.rglob("*.json")]
        parsed = [parse_export_blob(folder.name, blob) for blob in blobs]
        if hours := sorted({blob.hour for blob in parsed if blob}):
            lines = exports.read_lines(session, [folder.as_uri()], hours)
            copy = exports.parse_lines(lines, declared)
            rows[name] = copy.filter("_Kind = 'row'").select(*declared.kept)
    view: DataFrame = views.build("NetworkSession", rows)
    return view.cache()


@pytest.fixture(scope="module")
def everything(real_sessions: Mapping[str, DataFrame]) -> DataFrame:
    return reduce(lambda one, more: one.unionAll(more), real_sessions.values())


@pytest.fixture(scope="module")
def found(session: SparkSession, everything: DataFrame) -> list[Any]:
    return detect(session, everything)


def test_implants_in_real_captures_are_found_and_the_background_is_left_alone(
    real_sessions: Mapping[str, DataFrame], found: list[Any]
) -> None:
    bands = {(one.DstIpAddr, one.DstPortNumber): severity(one) for one in found}
    assert bands["86.136.67.231", 1337] in ("Medium", "High")  # a-net-rats: Quasar
    assert bands["172.18.0.3", 7011] in ("Medium", "High")  # a-net-caldera: Manx
    assert bands["10.10.10.5", 80] in ("Medium", "High")  # a-windows: Empire
    assert bands["192.168.0.4", 443] != ""  # a-net-apt29-day2: PoshC2, a timer and its data
    background = real_sessions["a-net-zat"].select("SrcIpAddr", "DstIpAddr").distinct().collect()
    assert len(background) > 100
    assert notable(f for f in found if (f.SrcIpAddr, f.DstIpAddr) in background) == []


def test_every_row_twice_gives_the_same_findings(
    session: SparkSession, everything: DataFrame, found: list[Any]
) -> None:
    assert len(found) > 0
    assert detect(session, everything.unionAll(everything)) == found
