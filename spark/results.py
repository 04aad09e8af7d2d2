"""What a run found -> lines of JSON, best first, then the manifest: its results are complete.

Ids are made with native expressions and equal `contract.finding_key` and `contract.finding_id`.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pyspark import StorageLevel
from pyspark.sql import Column, DataFrame, Row
from pyspark.sql import Window as W
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shared import contract as c
from spark.lake import Lake
from spark.plan import Plan, Run

FEW = 100
"""Findings that the driver can hold, each at its longest."""
PART_BYTES = 5_000_000
TITLE_CHARACTERS = 500
WITHHELD = "withheld"
ENTITIES = 10
"""In a flood, one entity's share of what is delivered is one of so many."""
_TIME = "yyyy-MM-dd'T'HH:mm:ss.SSSSSS'Z'"
_AS_IT_IS = (T.StringType, T.IntegerType, T.LongType, T.ShortType, T.ByteType)
_OBJECT = (T.StructType, T.MapType)
OBJECTS = ("SubScores", "Evidence")
MEASURES = ("Score", *OBJECTS, "Title", "FirstSeen", "LastSeen")


@dataclass(frozen=True)
class Part:
    """One file of findings."""

    name: str
    bytes: int
    rows: int
    sha256: str


@dataclass(frozen=True)
class Written:
    """What a run's results amount to."""

    parts: tuple[Part, ...]
    rows: int
    withheld: int


def to_lines(found: DataFrame, run: Run, workspace_key: str) -> DataFrame:
    """A hunt's findings -> Score, FindingId, Entity, Line; below the lowest band they are dropped.

    An id comes as often as the hunt gives its key: `keep_first` is for that.
    ValueError names the columns that the hunt owes, or that no reader would take.
    """
    _check_columns(found, run)
    # Few steps: Spark looks at all that there is of a plan again for each.
    key = uuid5(_identity_text(found, run, workspace_key))
    kept = (
        found.withColumn("Score", finite(F.col("Score").cast("double"), T.DoubleType()))
        .withColumn("Severity", _severity(run.hunt.severity))
        .filter(F.col("Severity").isNotNull())
        .withColumns(
            {
                "FindingKey": key,
                "FindingId": uuid5(F.concat(key, F.lit(f"|{run.slot[0]:%Y%m%d%H}"))),
                "Entity": F.col(_entity(run)).cast("string"),
            }
        )
    )
    evidence = finite(F.col("Evidence"), found.schema["Evidence"].dataType)
    whole, short = (_line(kept, run, told) for told in (evidence, F.lit(None).cast("string")))
    is_long = F.octet_length("Line") > c.LINE_BYTES
    line = F.when(is_long, short).otherwise(F.col("Line")).alias("Line")
    return kept.withColumn("Line", whole).select("Score", "FindingId", "Entity", line)


def _entity(run: Run) -> str:
    """The column of the entity that a flood is cut by: the first that the spec maps."""
    return (*run.hunt.entity_columns, *run.hunt.finding_key)[0]


def _check_columns(found: DataFrame, run: Run) -> None:
    owed = {*run.hunt.finding_key, *run.hunt.entity_columns, *MEASURES} - set(found.columns)
    if owed:
        raise ValueError(f"hunt {run.hunt.module} gives no column {', '.join(sorted(owed))}")
    flat = [name for name in OBJECTS if not isinstance(found.schema[name].dataType, _OBJECT)]
    if flat:
        raise ValueError(f"hunt {run.hunt.module}: {', '.join(flat)} must be a struct or a map")


def _severity(bands: Mapping[str, float]) -> Column:
    """The highest band that the score reaches; null below all of them."""
    severity = F.lit(None).cast("string")
    for name, lowest in sorted(bands.items(), key=lambda band: band[1]):
        severity = F.when(F.col("Score") >= lowest, F.lit(name)).otherwise(severity)
    return severity


def _plain(found: DataFrame, name: str) -> Column:
    """Text and whole numbers as they are; anything else as text, so that it reads the same."""
    kind = found.schema[name].dataType
    return F.col(name) if isinstance(kind, _AS_IT_IS) else F.col(name).cast("string")


def _identity_text(found: DataFrame, run: Run, workspace_key: str) -> Column:
    """`contract.canonical_identity` as an expression: lengths are in code points in both."""
    parts: list[Column] = [F.lit(f"{workspace_key}|{run.hunt.guid}")]
    for name in sorted(run.hunt.finding_key):
        value = _plain(found, name).cast("string")
        length = F.length(value).cast("string")
        parts.append(F.lit(f"|{name}="))
        parts.append(F.coalesce(F.concat(length, F.lit(":"), value), F.lit("~")))
    return F.concat(*parts)


def uuid5(name: Column) -> Column:
    """RFC 4122, version 5, in the contract's namespace: SHA-1 of namespace and name."""
    digest = F.sha1(F.concat(F.unhex(F.lit(c.NAMESPACE.hex)), F.encode(name, "UTF-8")))
    variant = F.translate(F.substring(digest, 17, 1), "0123456789abcdef", "89ab89ab89ab89ab")
    return F.concat_ws(
        "-",
        F.substring(digest, 1, 8),
        F.substring(digest, 9, 4),
        F.concat(F.lit("5"), F.substring(digest, 14, 3)),
        F.concat(variant, F.substring(digest, 18, 3)),
        F.substring(digest, 21, 12),
    )


def finite(value: Column, kind: T.DataType) -> Column:
    """The value with null for every NaN and infinity, however deep: JSON knows neither."""
    if not any(word in kind.simpleString() for word in ("double", "float")):
        return value
    if isinstance(kind, T.DoubleType | T.FloatType):
        bad = F.isnan(value) | (F.abs(value) == float("inf"))
        return F.when(~bad, value)
    if isinstance(kind, T.ArrayType):
        element = kind.elementType
        return F.transform(value, lambda one: finite(one, element))
    if isinstance(kind, T.MapType):
        inner = kind.valueType
        return F.transform_values(value, lambda _, one: finite(one, inner))
    if isinstance(kind, T.StructType):
        fields = [
            finite(value.getField(field.name), field.dataType).alias(field.name)
            for field in kind.fields
        ]
        return F.when(value.isNotNull(), F.struct(*fields))
    return value


def _line(named: DataFrame, run: Run, evidence: Column) -> Column:
    """A finding as one line of JSON; one too long for a reader comes without its evidence."""
    entities = sorted({*run.hunt.finding_key, *run.hunt.entity_columns})
    sub_scores = finite(F.col("SubScores"), named.schema["SubScores"].dataType)
    line = F.struct(
        "FindingId",
        "FindingKey",
        F.struct(*(_plain(named, n).alias(n) for n in run.hunt.finding_key)).alias("Identity"),
        "Score",
        "Severity",
        sub_scores.alias("SubScores"),
        F.substring(F.coalesce("Title", F.lit("")), 1, TITLE_CHARACTERS).alias("Title"),
        F.struct(*(_plain(named, n).alias(n) for n in entities)).alias("Entities"),
        evidence.alias("Evidence"),
        F.date_format("FirstSeen", _TIME).alias("FirstSeen"),
        F.date_format("LastSeen", _TIME).alias("LastSeen"),
    )
    return F.to_json(line, {"ignoreNullFields": "false"})


def write_findings(lake: Lake, folder: str, lines: DataFrame, most: int) -> Written:
    """Write at most `most` findings as parts, best first, and the others into `withheld/`.

    `lines` has Score, FindingId, Entity and Line, and is read several times.
    """
    told = lines.agg(F.count("*").alias("Lines"), F.count_distinct("FindingId").alias("Ids"))
    count, found = told.first() or (0, 0)
    if found < count:
        # On disk: a flood has no room in memory.
        lines = keep_first(lines).persist(StorageLevel.DISK_ONLY)
    try:
        if found <= most:
            return Written(tuple(_write_best(lake, folder, lines, most)), found, 0)
        return _write_flood(lake, folder, lines, most, found)
    finally:
        lines.unpersist()


def write_few(lake: Lake, folder: str, rows: Iterable[Row]) -> Written:
    """The same for a few rows that have been collected, all of which are delivered."""
    best: dict[str, Row] = {}
    for row in sorted(rows, key=lambda row: (-row["Score"], row["FindingId"], row["Line"])):
        best.setdefault(row["FindingId"], row)
    parts = _write_parts(lake, folder, (row["Line"] for row in best.values()))
    return Written(tuple(parts), len(best), 0)


def keep_first(lines: DataFrame) -> DataFrame:
    """One line per FindingId, the best: every line is moved, which is for repeated ids alone."""
    first = W.partitionBy("FindingId").orderBy(F.col("Score").desc(), F.col("Line"))
    ranked = lines.withColumn("Rank", F.row_number().over(first))
    return ranked.filter(F.col("Rank") == 1).drop("Rank")


def _write_flood(lake: Lake, folder: str, lines: DataFrame, most: int, found: int) -> Written:
    chosen = choose(lines, most).persist(StorageLevel.DISK_ONLY)
    try:
        named = F.broadcast(chosen)
        best = lines.join(named, on="FindingId", how="left_semi")
        parts = tuple(_write_best(lake, folder, best, most))
        rest = lines.join(named, on="FindingId", how="left_anti")
        rest.select("Line").write.mode("overwrite").text(f"{folder}/{WITHHELD}")
    finally:
        chosen.unpersist()
    rows = sum(part.rows for part in parts)
    return Written(parts, rows, found - rows)


def choose(lines: DataFrame, most: int) -> DataFrame:
    """FindingId of the `most` findings to deliver: the best, but of one entity only a share.

    What an entity has above its share comes after all others: whoever makes one host look bad ten
    thousand times does not hide another host.
    """
    best_first = (F.col("Score").desc(), F.col("FindingId"))
    within = W.partitionBy("Entity").orderBy(*best_first)
    above_share = F.row_number().over(within) > max(1, most // ENTITIES)
    return (
        lines.select("FindingId", "Score", "Entity")
        .withColumn("AboveShare", above_share)
        .orderBy("AboveShare", *best_first)
        .limit(most)
        .select("FindingId")
    )


def _write_best(lake: Lake, folder: str, lines: DataFrame, most: int) -> Iterator[Part]:
    # With a limit it is one partition, else each partition that holds nothing is a job.
    best = lines.orderBy(F.col("Score").desc(), F.col("FindingId")).limit(most).select("Line")
    return _write_parts(lake, folder, (row["Line"] for row in best.toLocalIterator()))


def _write_parts(lake: Lake, folder: str, lines: Iterable[str]) -> Iterator[Part]:
    for number, batch in enumerate(_batches(lines)):
        content = b"".join(batch)
        name = f"part-{number:05d}.jsonl"
        lake.write(f"{folder}/{name}", content)
        yield Part(name, len(content), len(batch), hashlib.sha256(content).hexdigest())


def _batches(lines: Iterable[str]) -> Iterator[list[bytes]]:
    batch: list[bytes] = []
    size = 0
    for text in lines:
        line = text.encode() + b"\n"
        if batch and size + len(line) > PART_BYTES:
            yield batch
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield batch


def write_manifest(
    lake: Lake, plan: Plan, run: Run, body: Mapping[str, Any], written: Written | None = None
) -> None:
    """Write a run's manifest under its final name, last: a rename raises another event type.

    `body` has status, error, passing (whether a failure may pass by itself: another job is worth
    it), coverage and timings. ValueError above 1 MB.
    """
    parts = [vars(part) for part in written.parts] if written else []
    manifest = {
        "schema": c.MANIFEST_SCHEMA,
        "job_id": plan.job_id,
        "run_id": run.run_id,
        "hunt": {"guid": run.hunt.guid, "module": run.hunt.module, "version": run.hunt.version},
        "workspace": plan.workspace_key,
        "slot": _window(run.slot),
        "window": _window(run.window),
        "revision": run.revision,
        "code_hash": plan.code_hash,
        "params": dict(run.params),
        "parts": parts,
        "rows": written.rows if written else 0,
        "withheld": written.withheld if written else 0,
        **body,
    }
    content = json.dumps(manifest).encode()
    if len(content) > c.MANIFEST_BYTES:
        raise ValueError(f"the manifest has {len(content)} bytes, {c.MANIFEST_BYTES} are allowed")
    lake.write(f"{plan.run_url(run.run_id)}/{c.MANIFEST_NAME}", content)


def _window(window: tuple[Any, Any]) -> dict[str, str]:
    start, end = (moment.isoformat().replace("+00:00", "Z") for moment in window)
    return {"start": start, "end": end}
