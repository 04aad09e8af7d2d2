"""Real logs that lie beside the repository, read as a job reads them."""

from __future__ import annotations

import importlib
import tarfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from shared.contract import parse_export_blob

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ARCHIVE = Path(__file__).parents[3] / "shared" / "data" / "real-logs.tar.gz"


def unpack(folder: Path, sets: Collection[str]) -> Path:
    """The folder with one lake for each of these sets."""
    with tarfile.open(ARCHIVE) as archive:
        members = [one for one in archive if set(sets) & set(Path(one.name).parts)]
        archive.extractall(folder, members=members, filter="data")
    return folder / "real-logs"


def tables_of(
    session: SparkSession, lake: Path, wanted: Collection[str]
) -> Mapping[str, DataFrame]:
    """Table -> its rows in one lake's export folders; no rows where the lake has none of it."""
    exports: Any = importlib.import_module("spark.exports")
    declared: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES
    rows: dict[str, DataFrame] = {}
    for name in wanted:
        folder = lake / f"am-{name}"
        blobs = [blob.relative_to(folder).as_posix() for blob in folder.rglob("*.json")]
        parsed = [parse_export_blob(folder.name, blob) for blob in blobs]
        hours = sorted({blob.hour for blob in parsed if blob})
        if hours:
            lines = exports.read_lines(session, [folder.as_uri()], hours)
            copy = exports.parse_lines(lines, declared[name])
        else:
            copy = exports.read_copies(session, declared[name], [])
        rows[name] = copy.filter("_Kind = 'row'").select(*declared[name].kept)
    return rows
