"""Exports: what a line's values become, and which files are export blobs at all."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.tables import frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
exports = importlib.import_module("spark.exports")
F = importlib.import_module("pyspark.sql.functions")
T = importlib.import_module("pyspark.sql.types")
TABLE = importlib.import_module("spark.tables.declared").TABLES["vmconnection"]

HOUR = "2026030901"
DAY = "y=2026/m=03/d=09"
LONG = "x" * 35_000
VALUES: Mapping[str, tuple[str, str, Any]] = {
    "text": ('{"Computer":" pc-1 "}', "Computer", " pc-1 "),
    "other letters": (
        '{"Computer":"\u00e9\u4e2d\U0001d54f"}',
        "Computer",
        "\u00e9\u4e2d\U0001d54f",
    ),
    "escaped line ends": (r'{"Computer":"a\r\nb"}', "Computer", "a\r\nb"),
    "a control character": ('{"Computer":"a\tb\x01c"}', "Computer", "a\tb\x01c"),
    "a carriage return behind": ('{"Computer":"pc-2"}\r', "Computer", "pc-2"),
    "a long value": (f'{{"Computer":"{LONG}"}}', "Computer", LONG),
    "spaces around": ('  {"Computer" : "pc-3"}  ', "Computer", "pc-3"),
    "a word for null": ('{"Computer":"NULL"}', "Computer", "NULL"),
    "null": ('{"Computer":null}', "Computer", None),
    "nothing": ("{}", "Computer", None),
    "a number as text": ('{"DestinationPort":"443"}', "DestinationPort", 443),
    "a number for text": ('{"Computer":7}', "Computer", "7"),
    "text for a number": ('{"DestinationPort":"https"}', "DestinationPort", None),
    "an object for a number": ('{"DestinationPort":{"a":1}}', "DestinationPort", None),
    "too large": ('{"DestinationPort":99999999999}', "DestinationPort", None),
    "a large number": ('{"BytesSent":9007199254740993}', "BytesSent", 9_007_199_254_740_993),
    "a fraction": ('{"BytesSent":12.0}', "BytesSent", 12),
    "nested JSON": (
        '{"RemoteDnsQuestions":["a.net",{"b":1}]}',
        "RemoteDnsQuestions",
        '["a.net",{"b":1}]',
    ),
    "JSON as text": (
        r'{"RemoteDnsQuestions":"[\"a.net\",{\"b\":1}]"}',
        "RemoteDnsQuestions",
        '["a.net",{"b":1}]',
    ),
    "a time of seven digits": (
        '{"TimeGenerated":"2026-03-09T01:02:03.1234567Z"}',
        "TimeGenerated",
        datetime(2026, 3, 9, 1, 2, 3, 123456),  # noqa: DTZ001  Spark's are without a zone
    ),
    "a time elsewhere": (
        '{"TimeGenerated":"2026-03-09T03:02:03+02:00"}',
        "TimeGenerated",
        datetime(2026, 3, 9, 1, 2, 3),  # noqa: DTZ001
    ),
    "no time": ('{"TimeGenerated":"soon"}', "TimeGenerated", None),
}
"""Line, the column that is looked at, and what it holds."""
UNKNOWN = {
    '{"Computer":"a"}': None,
    '{"New":1,"Computer":"a","Old_CF":null}': ["New", "Old_CF"],
    '{"computer":"a"}': ["computer"],  # names of columns are case-sensitive
    json.dumps({f"C{n:02}": 1 for n in range(30)}): [f"C{n:02}" for n in range(20)],
    json.dumps({"L" * 100: 1}): ["L" * 60],
    '{"New":1': None,  # half a line is no row
}
BLOBS = {
    "h=01/m=00/PT05M.json": True,
    "h=01/m=05/PT5M.json": True,
    "h=01/m=10/PT05M_1.json": True,
    "h=01/m=15/PT05M_123456.json": True,
    "h=01/m=20/pt05m.JSON": True,
    "H=01/M=21/pt05m.JSON": True,
    "h=01/m=25/PT05M.json.tmp": False,
    "h=01/m=30/PT05M_.json": False,
    "h=01/m=35/PT05M_1234567.json": False,
    "h=01/m=40/PT15M.json": False,
    "h=01/m=45/notes.json": False,
    "h=01/PT05M.json": False,  # an hour has minutes
    "h=02/m=00/PT05M.json": False,  # another hour
}


def lines_of(session: SparkSession, folder: Path, blobs: Mapping[str, bytes]) -> DataFrame:
    """The lines of one hour, read from a folder with these blobs, named from `h=` on."""
    for name, content in blobs.items():
        path = folder / "WorkspaceResourceId=" / DAY / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    lines: DataFrame = exports.read_lines(session, [folder.as_uri()], [HOUR])
    return lines


TIMES = [
    before + digits + end
    for before in ("2026-03-09T10:11:12", "2026-03-09 10:11:", "2026-03-09T10:11",
                   "2026-03-09T10:", "2026-3-9T10:11:12", "2026-03-09", "+12026-03-09T10:11:12",
                   "9999-12-31T23:59:60", "0001-01-01T00:00:00", "2026-03-09T24:00:00",
                   "T10:11:12", "", " ", "10:11:12:13:14:15")
    for digits in ("", ".", ".1", ".1234567", ".999999999", " ", ":", "1", "\u0661", " UT", "x",
                   "GMT0", ".5Etc/GMT0", "e5", "1e-5", "-5", " 5", "1d")
    for end in ("Z", "ZZ", "z", " Z", "Z ", "+02:00", "-05:30Z", "", "UTC")
]  # fmt: skip


def test_a_time_is_what_spark_makes_of_the_text(session: SparkSession) -> None:
    texts = frame(session, T.StructType().add("Text", "string"), [{"Text": t} for t in TIMES])
    both = texts.select("Text", F.col("Text").cast("timestamp").cast("double").alias("Wanted"),
                        exports.time(F.col("Text")).cast("double").alias("Found"))  # fmt: skip
    rows = both.collect()
    assert [row for row in rows if row["Wanted"] != row["Found"]] == []
    assert sum(row["Wanted"] is not None for row in rows) > 200


@pytest.fixture(scope="module")
def values(session: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Name -> the row that its line became; each line has a blob of its own, a BOM before it."""
    blobs = {
        f"h=01/m=00/PT05M_{n}.json": "\ufeff".encode() + line.encode() + b"\n"
        for n, (line, _, _) in enumerate(VALUES.values())
    }
    lines = lines_of(session, Path(tmp_path_factory.mktemp("values")), blobs)
    rows = {row["_Blob"]: row for row in exports.parse_lines(lines, TABLE).collect()}
    return {name: rows[f"{DAY}/h=01/m=00/PT05M_{n}.json"] for n, name in enumerate(VALUES)}


@pytest.mark.parametrize("name", VALUES)
def test_a_value_comes_out_as_its_type_or_as_null(values: dict[str, Any], name: str) -> None:
    _, column, wanted = VALUES[name]
    assert values[name]["_Kind"] == "row"
    assert values[name][column] == wanted


def test_rows_have_the_schema_of_the_table(values: dict[str, Any]) -> None:
    for row in values.values():
        assert list(row.asDict()) == ["Hour", *TABLE.kept, *exports.TECHNICAL.fieldNames()]
        assert row["Hour"] == HOUR


def test_unknown_columns_are_named(session: SparkSession, tmp_path: Path) -> None:
    content = "\n".join(UNKNOWN).encode()
    lines = lines_of(session, tmp_path, {"h=01/m=00/PT05M.json": content})
    parsed = exports.parse_lines(lines, TABLE).select("_LineBytes", "_Unknown").collect()
    found = {row["_LineBytes"]: row["_Unknown"] for row in parsed}
    assert found == {len(line) + 1: names for line, names in UNKNOWN.items()}


def test_a_sample_of_the_lines_is_searched(session: SparkSession, tmp_path: Path) -> None:
    content = "".join(f'{{"New":{n}}}\n' for n in range(400)).encode()
    lines = lines_of(session, tmp_path, {"h=01/m=00/PT05M.json": content})
    parsed = exports.parse_lines(lines, TABLE, one_in=4).select("_Kind", "_Unknown").collect()
    assert {row["_Kind"] for row in parsed} == {"row"}
    assert 60 <= sum(row["_Unknown"] == ["New"] for row in parsed) <= 140  # about 400 / 4


GB = 1_000_000_000


@pytest.mark.parametrize(
    ("sizes", "cores", "wanted"),
    [
        ([], 2, []),
        ([1, 1, 1], 2, [[2, 1, 0]]),
        ([8 * GB], 2, [[0]]),
        ([GB, 7 * GB, 4 * GB, 4 * GB + 1], 2, [[3], [2], [1, 0]]),
        ([9 * GB, 20 * GB, 1], 2, [[2], [1], [0]]),
        ([9 * GB, 20 * GB, 1], 32, [[2, 1, 0]]),
    ],
)
def test_stale_hours_are_copied_in_slices_the_newest_first(
    sizes: list[int], cores: int, wanted: list[list[int]]
) -> None:
    hour = importlib.import_module("spark.plan").Hour
    stale = {f"202603090{n}": hour(f"202603090{n}", "f", 1, size, None)
             for n, size in enumerate(sizes)}  # fmt: skip
    made = exports.slices(stale, cores)
    assert [[int(name[-1]) for name in one] for one in made] == wanted
    assert {name: one for some in made for name, one in some.items()} == stale


def test_only_export_blobs_of_the_hour_are_read(session: SparkSession, tmp_path: Path) -> None:
    blobs = {name: f'{{"Computer":"{name}"}}\n'.encode() for name in BLOBS}
    read = lines_of(session, tmp_path, blobs).select("Line", "_Blob", "_BlobBytes").collect()
    assert {json.loads(row["Line"])["Computer"] for row in read} == {
        name for name, is_blob in BLOBS.items() if is_blob
    }
    for row in read:
        name = json.loads(row["Line"])["Computer"]
        assert row["_Blob"] == f"{DAY}/{name}"
        assert row["_BlobBytes"] == len(blobs[name])
