"""Reads export blobs as they are, and writes the columnar copy: one Parquet folder an hour.

A copy holds one row for every line of the blobs, so that nothing has to be counted twice:
the table's kept columns, and

    _Blob        the blob's path from `y=` on
    _BlobBytes   the blob's size when it was listed
    _LineBytes   the line's size with its end
    _Kind        row; dropped (no JSON object: half a line, garbage, an array); blank
    _Unknown     names of columns that the table's reference does not know, null for none

Lines are read as text and parsed with every column as text, then cast one by one: a number
written as text, or a text where a number should be, costs that value and never the row.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import unquote

from pyspark.sql import Column, DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shared import contract as c
from spark.lake import Lake
from spark.plan import Hour, Plan
from spark.tables import Table
from spark.tuning import is_serial

LONGEST_LINE = 16_000_000
"""Bytes. A longer line is skipped by the reader without being held in memory, and counted."""
EXAMINED_BYTES = 16_000_000
"""JSON whose lines are searched for unknown columns; of more than that, an even sample is."""
FILE_BYTES = 2_000_000_000
"""JSON that goes into one Parquet file, about 80 MB of it."""
SLICE_BYTES, SLICE_BYTES_A_CORE = 8_000_000_000, 1_000_000_000
"""JSON that is copied before it is told of, and how much of it there is at least for each core."""

TECHNICAL = T.StructType(
    [
        T.StructField("_Blob", T.StringType()),
        T.StructField("_BlobBytes", T.LongType()),
        T.StructField("_LineBytes", T.LongType()),
        T.StructField("_Kind", T.StringType()),
        T.StructField("_Unknown", T.ArrayType(T.StringType())),
    ]
)
NO_COLUMNS = T.StructType([])
_BLOB = r"(?i)^y=\d{4}/m=\d{2}/d=\d{2}/h=\d{2}/m=\d{2}/PT0?5M(?:_\d{1,6})?\.json$"
_PATH_PARTS, _HOUR_PARTS = 6, 4
_HOUR_DIGITS = ((3, 4), (10, 2), (15, 2), (20, 2))
"""Where year, month, day and hour stand in the end of such a path, and how long they are."""
_BROKEN = "_Broken"


@dataclass(frozen=True)
class Copied:
    """One table's hour, copied: `path` is the URL of its folder, `blobs` how many were read."""

    table: str
    hour: str
    fingerprint: str
    path: str
    blobs: int


def slices(stale: Mapping[str, Hour], cores: int) -> list[dict[str, Hour]]:
    """Stale hours, the newest first, in slices that are copied one after the other."""
    most = max(SLICE_BYTES, cores * SLICE_BYTES_A_CORE)
    made: list[dict[str, Hour]] = []
    held = 0
    for name, hour in sorted(stale.items(), reverse=True):
        if not made or held + hour.bytes > most:
            made.append({})
            held = 0
        made[-1][name] = hour
        held += hour.bytes
    return made


def copy_stale(
    session: SparkSession, lake: Lake, plan: Plan, table: Table, stale: Mapping[str, Hour]
) -> list[Copied]:
    """Copy these hours of a table: blobs changed since they were copied, or the copy is gone.

    Hours whose folders are gone by now are left out. Raises whatever Spark raises.
    """
    folders = _folders(lake, plan, table.name, stale, by_day=is_serial(session))
    if not folders:
        return []
    lines = read_lines(session, folders, sorted(stale))
    blobs = _blobs_by_hour(lines, table.name, stale)
    writing = plan.copy_url(table.name, "_writing")
    _write(parse_lines(lines, table, _one_in(stale.values())), writing, _files(stale.values()))
    written = set(lake.names(writing))
    for hour in blobs:
        give_name(lake, writing, f"Hour={hour}", plan.copy_url(table.name, hour), written)
    lake.delete(writing)
    return [
        Copied(
            table=table.name,
            hour=hour,
            fingerprint=stale[hour].fingerprint,
            path=plan.copy_url(table.name, hour),
            blobs=blobs[hour],
        )
        for hour in sorted(blobs)
    ]


def read_copies(
    session: SparkSession, table: Table, folders: Sequence[str], more: T.StructType = NO_COLUMNS
) -> DataFrame:
    """Every line of these folders of a table's copy, with the technical columns and `more`.

    Columns that an older copy does not have are null. Without folders: no rows.
    """
    schema = T.StructType([*table.schema, *TECHNICAL, *more])
    if not folders:
        nothing = F.from_json(F.lit(None), schema).alias("Nothing")
        return session.range(0).select(nothing).select("Nothing.*")
    reader = session.read.schema(schema).option("recursiveFileLookup", "true")
    return reader.parquet(*folders)


def read_lines(session: SparkSession, folders: Sequence[str], hours: Sequence[str]) -> DataFrame:
    """The lines of the export blobs below these folders that belong to these hours.

    Columns: Hour, Line and the technical ones but _Kind and _Unknown. The paths have `m=` twice:
    recursive lookup keeps Spark from taking them for partitions. Other files are ignored.
    """
    reader = (
        session.read.option("recursiveFileLookup", "true")
        .option("pathGlobFilter", "[Pp][Tt]*5[Mm]*.[Jj][Ss][Oo][Nn]")
        .option("lineSep", "\n")
        .option("mapreduce.input.linerecordreader.line.maxlength", str(LONGEST_LINE))
    )
    lines = reader.text(list(folders)).select(
        "value",
        F.substring_index("_metadata.file_path", "/", -_PATH_PARTS).alias("_Blob"),
        F.col("_metadata.file_size").alias("_BlobBytes"),
        (F.octet_length("value") + 1).cast("long").alias("_LineBytes"),
    )
    has_mark = F.col("value").startswith("\ufeff")
    # Asked of every row: the folder's name as it stands costs less than the hour's key.
    names = ["/".join(c.export_hour_folder("", hour).split("/")[-_HOUR_PARTS:]) for hour in hours]
    wanted = F.substring_index(F.lower("_Blob"), "/m=", 2).isin(names)
    return lines.filter(wanted & F.col("_Blob").rlike(_BLOB)).select(
        hour_of_blob().alias("Hour"),
        F.when(has_mark, F.col("value").substr(2, LONGEST_LINE))
        .otherwise(F.col("value"))
        .alias("Line"),
        "_Blob",
        "_BlobBytes",
        "_LineBytes",
    )


def parse_lines(lines: DataFrame, table: Table, one_in: int = 1) -> DataFrame:
    """Lines -> Hour, the table's kept columns and the technical ones.

    Every `one_in`-th line, chosen by its content, is searched for unknown columns.
    """
    as_text = T.StructType([T.StructField(name, T.StringType()) for name in table.kept])
    options = {"columnNameOfCorruptRecord": _BROKEN, "allowUnquotedControlChars": "true"}
    parsed = F.from_json("Line", as_text.add(_BROKEN, T.StringType()), options)
    found = lines.withColumn("Parsed", parsed).withColumn("_Kind", _kind())
    examined = (F.crc32("Line") % one_in == 0) & (F.col("_Kind") == "row")
    return found.withColumn("_Unknown", F.when(examined, _unknown(table))).select(
        "Hour",
        *(_cast(field) for field in table.schema.fields),
        *TECHNICAL.fieldNames(),
    )


def hour_of_blob() -> Column:
    """The hour key that a line's blob belongs to."""
    return F.concat(*(F.substring("_Blob", at, length) for at, length in _HOUR_DIGITS))


def _kind() -> Column:
    # Nearly every line begins so: what is decided by that is not asked of all of its text.
    usual = F.col("Line").startswith("{")
    is_object = (usual | F.col("Line").rlike(r"^\s*\{")) & F.col(f"Parsed.{_BROKEN}").isNull()
    is_row = F.col("Parsed").isNotNull() & is_object
    kind = F.when(is_row, "row").otherwise("dropped")
    return F.when(usual | F.col("Line").rlike(r"\S"), kind).otherwise("blank")


def _unknown(table: Table) -> Column:
    known = F.array(*(F.lit(name) for name in table.known))
    names = F.array_except(F.json_object_keys("Line"), known)
    short = F.transform(F.slice(names, 1, 20), lambda name: F.substring(name, 1, 60))
    return F.when(F.size(names) > 0, short)


def _cast(field: T.StructField) -> Column:
    value = F.when(F.col("_Kind") == "row", F.col(f"Parsed.{field.name}"))
    if field.dataType == T.TimestampType():
        return time(value).alias(field.name)
    return value.cast(field.dataType).alias(field.name)


def time(text: Column) -> Column:
    """A text as a timestamp, as Spark casts it in a session in UTC.

    A zone costs more than all of the rest: Spark makes an expression anew for each row to look for
    it. A Z behind the digits of a second says no more than the session does, so it is left out.
    """
    bare = text.substr(F.lit(1), F.length(text) - 1)
    minutes = F.substring(text, 14, 4)
    has_seconds = minutes.startswith(":") & minutes.endswith(":")
    is_number = bare.substr(F.lit(18), F.length(bare)).cast("double").isNotNull()
    says_utc = text.endswith("Z") & F.substring(text, -2, 1).between("0", "9")
    return F.when(says_utc & has_seconds & is_number, bare).otherwise(text).cast("timestamp")


def per_blob(copies: DataFrame, *more: Column) -> DataFrame:
    """One row a blob: Lines, Rows, Dropped, and what else is asked for.

    A line that the reader skipped for its length is missing in the sum of the lines' sizes.
    """
    # Up to four bytes are missing for other reasons: a BOM, which the reader eats, and a last end.
    skipped = F.max("_BlobBytes") - F.sum("_LineBytes") > 4
    overlong = F.when(skipped, 1).otherwise(0)
    return copies.groupBy("_Blob").agg(
        (F.count_if(F.col("_Kind") != "blank") + overlong).alias("Lines"),
        F.count_if(F.col("_Kind") == "row").alias("Rows"),
        (F.count_if(F.col("_Kind") == "dropped") + overlong).alias("Dropped"),
        *more,
    )


def give_name(lake: Lake, writing: str, name: str, folder: str, written: Collection[str]) -> None:
    """Give what was written its final name; what has no lines has an empty folder."""
    if name in written:
        lake.rename(f"{writing}/{name}", folder)
    else:
        lake.make_folder(folder)


def _write(parsed: DataFrame, folder: str, files: int) -> None:
    """One write for all hours; each hour in as few files as its size asks for."""
    spread = parsed.repartition("Hour", F.crc32("_Blob") % files)
    spread.write.mode("overwrite").partitionBy("Hour").parquet(folder)


def _files(hours: Iterable[Hour]) -> int:
    return 1 + max(hour.bytes for hour in hours) // FILE_BYTES


def _one_in(hours: Iterable[Hour]) -> int:
    return 1 + sum(hour.bytes for hour in hours) // EXAMINED_BYTES


def _folders(
    lake: Lake, plan: Plan, table: str, stale: Collection[str], *, by_day: bool
) -> list[str]:
    """The folders of hours that are there; of days, where most of a day is stale, if asked for.

    Where folders are listed one by one, listing a day costs as much as listing an hour; reading
    it does not.
    """
    days: dict[str, list[str]] = defaultdict(list)
    for hour in plan.hours(table):
        days[hour.hour[:8]].append(hour.hour)
    root = f"abfss://{c.export_container(table)}@{plan.exports_host}"
    folders = []
    for day, hours in sorted(days.items()):
        changed = [hour for hour in hours if hour in stale]
        there = lake.names(f"{root}/{c.export_day_folder(plan.workspace, day)}") if changed else []
        if by_day and there and 2 * len(changed) > len(hours):
            folders.append(f"{root}/{c.export_day_folder(plan.workspace, day)}")
        else:
            named = {hour: c.export_hour_folder(plan.workspace, hour) for hour in changed}
            folders += [f"{root}/{url}" for url in named.values() if url.split("/")[-1] in there]
    return folders


def _blobs_by_hour(lines: DataFrame, table: str, stale: Collection[str]) -> Counter[str]:
    """How many blobs were listed for each hour, empty ones among them."""
    urls = (unquote(url).partition("WorkspaceResourceId=") for url in lines.inputFiles())
    blobs = (c.parse_export_blob(c.export_container(table), url[1] + url[2]) for url in urls)
    return Counter(blob.hour for blob in blobs if blob and blob.hour in stale)
