"""Results: what Spark writes is what the control plane reads, byte for byte and id for id."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared import contract as c
from shared.delivery import read_finding
from shared.manifests import parse_manifest
from tests.conftest import STATE
from tests.unit.house import GUID, WORKSPACE, a_run, day_window

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

results = pytest.importorskip("spark.results", reason="pyspark is not installed")
plans = pytest.importorskip("spark.plan")
lakes = pytest.importorskip("spark.lake")

KEY = c.workspace_key(WORKSPACE)
READER = a_run()
HUNT = plans.Hunt(
    module="a_hunt",
    guid=GUID,
    version="1.2.0",
    severity={"Low": 0.5, "High": 0.9, "Medium": 0.7},
    views=(),
    tables=(),
    finding_key=("Text", "Number"),
    entity_columns=("Host", "Text"),
)
SLOT, WINDOW = ((w.start, w.end) for w in (day_window("20260309"), day_window("20260309", 21)))
RUN = plans.Run(READER.id, HUNT, SLOT, WINDOW, 0, {"threshold": 0.7}, {})
SCHEMA = (
    "Text string, Number long, Host string, Score double, SubScores struct<Regularity:double>, "
    "Title string, Evidence struct<Count:long>, FirstSeen timestamp, LastSeen timestamp"
)
SEEN = datetime(2026, 3, 9, 1, 2, 3, 4, tzinfo=UTC)
HOSTILE = (
    "", " ", "~", "|", "1:a", "a|Number=3:443", "a\n", "\r\n", "\t\0\x1f", "\u2028\u0085", '"', "'",
    "\\", "\\n", "`", "{}", "$.x", "%s", "NULL", "null", "\u00e9", "e\u0301", "\u0130\u00df\u03c2",
    "\U0001d54f", "\U0001f469\u200d\U0001f467", "\ufeffx", "\ufffd", "\U0010ffff", "x" * 5000,
)  # fmt: skip
NUMBERS = (None, 0, -1, 443, 2**63 - 1)


def row(text: str | None = "a", score: float | None = 0.8, **more: Any) -> dict[str, Any]:
    """One row as a hunt gives it."""
    return {
        "Text": text,
        "Number": 443,
        "Host": "pc-1",
        "Score": score,
        "SubScores": {"Regularity": 0.5},
        "Title": "Beacon",
        "Evidence": {"Count": 288},
        "FirstSeen": SEEN,
        "LastSeen": None,
        **more,
    }


def found(session: SparkSession, rows: Sequence[dict[str, Any]], **types: str) -> DataFrame:
    """A hunt's findings; `types` replaces or adds columns of the schema."""
    kinds = dict(one.split(" ", 1) for one in SCHEMA.split(", ")) | types
    schema = ", ".join(f"{name} {kind}" for name, kind in kinds.items())
    return session.createDataFrame(list(rows), schema)


def lines(findings: DataFrame, run: Any = RUN) -> list[bytes]:
    return [one["Line"].encode() for one in results.to_lines(findings, run, KEY).collect()]


def read(findings: DataFrame, run: Any = RUN) -> list[dict[str, Any]]:
    """The findings as the control plane reads them."""
    return [read_finding(line, READER) for line in lines(findings, run)]


# --- ids ----------------------------------------------------------------------------------------


def hostile_identities() -> list[dict[str, Any]]:
    """Every hostile text, and texts made of pieces of them, with and without a number."""
    chance = random.Random(20260309)  # noqa: S311  the same texts every time
    pieces = [*(text for text in HOSTILE if len(text) < 20), *map(str, NUMBERS), "=", ":", "2:"]
    made = ["".join(chance.choices(pieces, k=chance.randint(2, 9))) for _ in range(200)]
    texts = [None, *dict.fromkeys((*HOSTILE, *made))]
    return [{"Text": text, "Number": NUMBERS[n % len(NUMBERS)]} for n, text in enumerate(texts)]


def test_ids_made_by_spark_are_those_of_the_contract(session: SparkSession) -> None:
    identities = hostile_identities()
    findings = read(found(session, [row(**identity, score=0.8) for identity in identities]))
    keys = {c.finding_key(KEY, GUID, identity): identity for identity in identities}
    assert len(keys) == len(identities)
    assert {one["FindingKey"]: one["Identity"] for one in findings} == keys
    assert {one["FindingId"] for one in findings} == {c.finding_id(k, SLOT[0]) for k in keys}


def test_an_identity_of_other_types_is_text(session: SparkSession) -> None:
    types = {"Real": "double", "Yes": "boolean", "At": "timestamp", "Price": "decimal(9,2)"}
    given = row(Real=1e10, Yes=True, At=SEEN, Price=None, Small=7)
    hunt = plans.Hunt(**{**vars(HUNT), "finding_key": (*types, "Small"), "entity_columns": ()})
    run = plans.Run(**{**vars(RUN), "hunt": hunt})
    (finding,) = read(found(session, [given], **types, Small="smallint"), run)
    assert finding["Identity"] == {
        "Real": "1.0E10", "Yes": "true", "At": "2026-03-09 01:02:03.000004",
        "Price": None, "Small": 7,
    }  # fmt: skip
    assert finding["Entities"] == finding["Identity"]


# --- what a line says ---------------------------------------------------------------------------


def test_bands_begin_at_their_score_and_nothing_is_below_the_lowest(session: SparkSession) -> None:
    nan, inf = float("nan"), float("inf")
    wanted = {
        0.5: "Low", 0.6999999999: "Low", 0.7: "Medium", 0.8999999999: "Medium", 0.9: "High",
        1.0: "High",
    }  # fmt: skip
    scores = [*wanted, 0.4999999999, 0.0, -1.0, None, nan, inf, -inf]
    findings = read(found(session, [row(str(n), score) for n, score in enumerate(scores)]))
    assert {one["Score"]: one["Severity"] for one in findings} == wanted
    assert len(findings) == len(wanted)


def test_no_number_that_json_does_not_know_is_written(session: SparkSession) -> None:
    nan, inf = float("nan"), float("inf")
    deep = {"One": nan, "List": [1.5, inf, None], "Inner": [{"X": -inf, "Y": "NaN"}, None]}
    evidence = (
        "struct<One:double,List:array<double>,Inner:array<struct<X:float,Y:string>>,"
        "Map:map<string,double>,Empty:struct<X:double>>"
    )
    given = row(Evidence={**deep, "Map": {"a": nan, "b": 2.0}}, SubScores={"Regularity": inf})
    (line,) = lines(found(session, [given], Evidence=evidence))
    finding = read_finding(line, READER)
    assert finding["Evidence"] == {
        "One": None,
        "List": [1.5, None, None],
        "Inner": [{"X": None, "Y": "NaN"}, None],
        "Map": {"a": None, "b": 2.0},
        "Empty": None,
    }
    assert finding["SubScores"] == {"Regularity": None}


def test_a_line_is_what_the_control_plane_stores(session: SparkSession) -> None:
    (finding,) = read(found(session, [row(Title=None, Host="a\nb", Evidence=None)]))
    key = c.finding_key(KEY, GUID, {"Text": "a", "Number": 443})
    assert finding == {
        "FindingId": c.finding_id(key, SLOT[0]),
        "FindingKey": key,
        "Identity": {"Text": "a", "Number": 443},
        "Score": 0.8,
        "Severity": "Medium",
        "SubScores": {"Regularity": 0.5},
        "Title": "",
        "Entities": {"Host": "a\nb", "Number": 443, "Text": "a"},
        "Evidence": None,
        "FirstSeen": "2026-03-09T01:02:03.000004Z",
        "LastSeen": None,
    }


def test_a_line_too_long_for_a_reader_comes_without_its_evidence(session: SparkSession) -> None:
    long = row(Evidence={"Raw": "x" * c.LINE_BYTES}, Title="t" * 10_000)
    (line,) = lines(found(session, [long], Evidence="struct<Raw:string>"))
    finding = read_finding(line, READER)
    assert len(line) < c.LINE_BYTES
    assert finding["Evidence"] is None and finding["Title"].startswith("tttt")


def test_columns_that_a_hunt_owes_are_named(session: SparkSession) -> None:
    less = found(session, [row()]).drop("Title", "Host", "Number", "LastSeen")
    with pytest.raises(ValueError, match=r"a_hunt .*Host, LastSeen, Number, Title"):
        results.to_lines(less, RUN, KEY)


@pytest.mark.parametrize("column", ["SubScores", "Evidence"])
def test_objects_that_no_reader_would_take_are_named(session: SparkSession, column: str) -> None:
    flat = found(session, [{**row(), column: "text"}], **{column: "string"})
    with pytest.raises(ValueError, match=f"a_hunt: {column} must be a struct"):
        results.to_lines(flat, RUN, KEY)


# --- files --------------------------------------------------------------------------------------


def write(session: SparkSession, folder: str, findings: DataFrame, most: int) -> Any:
    """Write findings as a job does."""
    made = results.to_lines(findings, RUN, KEY).persist()
    lake = lakes.Lake(session)
    url = f"abfss://results@{STATE}/{folder}"
    written = results.write_findings(lake, url, made, most)
    made.unpersist()
    return written


def texts(folder: Path) -> list[str]:
    """The lines of every text file that Spark wrote into a folder."""
    return [line for file in folder.glob("part-*") for line in file.read_text().splitlines()]


def test_parts_are_small_and_best_first_and_the_cap_parts_ties_cleanly(
    session: SparkSession, lake_folder: Path
) -> None:
    ties = (
        "cast(id as string) Text", "id Number", "'h' Host", "0.5 + id % 5 / 10 Score",
        "named_struct('Regularity', 0.5D) SubScores", "'t' Title",
        "named_struct('Raw', repeat('\u00e9', 2000)) Evidence",
        "timestamp'2026-03-09' FirstSeen", "timestamp'2026-03-10' LastSeen",
    )  # fmt: skip
    written = write(session, "cap", session.range(3000).selectExpr(*ties), 2800)
    folder = lake_folder / "state" / "results" / "cap"
    contents = [(folder / part.name).read_bytes() for part in written.parts]
    assert len(contents) >= 3 and all(c.PART_NAME.fullmatch(part.name) for part in written.parts)
    for part, content in zip(written.parts, contents, strict=True):
        assert part.bytes == len(content) <= results.PART_BYTES
        assert part.rows == content.count(b"\n")
        assert part.sha256 == hashlib.sha256(content).hexdigest()
    delivered = [read_finding(one, READER) for one in b"".join(contents).splitlines()]
    withheld = [read_finding(one.encode(), READER) for one in texts(folder / "withheld")]
    order = [(-one["Score"], one["FindingId"]) for one in delivered]
    rest = sorted((-one["Score"], one["FindingId"]) for one in withheld)
    assert (written.rows, written.withheld) == (2800, 200) == (len(order), len(rest))
    assert order == sorted(order) and order[-1] < rest[0]
    assert order[-1][0] == rest[0][0], "the cap lies within a tie"
    assert len({*order, *rest}) == 3000


def test_what_is_above_the_cap_is_counted_and_readable(
    session: SparkSession, lake_folder: Path
) -> None:
    made = results.to_lines(found(session, [row(text) for text in "abc"]), RUN, KEY).persist()
    for most, delivered in [(0, 0), (2, 2), (3, 3), (4, 3)]:
        url = f"abfss://results@{STATE}/most-{most}"
        written = results.write_findings(lakes.Lake(session), url, made, most)
        withheld = lake_folder / "state" / "results" / f"most-{most}" / "withheld"
        assert (written.rows, written.withheld) == (delivered, 3 - delivered)
        assert len(written.parts) == min(1, delivered)
        assert len(texts(withheld)) == 3 - delivered
        assert withheld.exists() == (delivered < 3)
    made.unpersist()


@pytest.mark.parametrize("most", [10, 1], ids=["all delivered", "a flood"])
def test_of_findings_with_one_id_the_best_is_kept(
    session: SparkSession, lake_folder: Path, most: int
) -> None:
    twice = [row("a", 0.6, Host="x"), row("a", 0.95, Host="y"), row("a", 0.7), row("b", 0.6)]
    written = write(session, f"twice-{most}", found(session, [*twice, *twice]), most)
    folder = lake_folder / "state" / "results" / f"twice-{most}"
    told = [*texts(folder), *texts(folder / "withheld")]
    best, other = (read_finding(line.encode(), READER) for line in told)
    assert (written.rows, written.withheld) == (min(most, 2), 2 - min(most, 2))
    assert (best["Score"], best["Entities"]["Host"]) == (0.95, "y")
    assert (other["Identity"]["Text"], other["Score"]) == ("b", 0.6)


def test_a_few_are_written_as_many_are(session: SparkSession, lake_folder: Path) -> None:
    rows = [row("a", 0.6, Host="x"), row("a", 0.95, Host="y"), row("b", 0.95), row("c", 0.1)]
    made = results.to_lines(found(session, [*rows, row("d"), row("e"), rows[0]]), RUN, KEY)
    lake, url = lakes.Lake(session), f"abfss://results@{STATE}"
    many = results.write_findings(lake, f"{url}/as-many", made, 10)
    few = results.write_few(lake, f"{url}/as-few", made.collect())
    assert few == many and few.rows == 4 and few.parts[0].sha256
    assert results.write_few(lake, f"{url}/none", ()) == results.Written((), 0, 0)


def test_nothing_found_is_no_part(session: SparkSession, lake_folder: Path) -> None:
    written = write(session, "none", found(session, [row(score=0.1)]), 10)
    assert written == results.Written((), 0, 0)
    assert not (lake_folder / "state" / "results" / "none").exists()


# --- manifest -----------------------------------------------------------------------------------


def plan(job_id: str) -> Any:
    return plans.Plan(
        job_id=job_id,
        code_hash="0f" * 12,
        created=SLOT[1],
        deadline=SLOT[1],
        run_seconds=None,
        results=f"abfss://results@{STATE}/{c.job_folder(job_id)}",
        tables_root=f"abfss://tables@{STATE}",
        exports_host="",
        workspace=WORKSPACE,
        workspace_key=KEY,
        max_findings=10,
        tables={},
        merged={},
        upkeep={},
        runs=(RUN,),
    )


def test_the_control_plane_reads_the_manifest_that_is_written(
    session: SparkSession, lake_folder: Path
) -> None:
    job_id = "job-20260310000500-000000aa"
    parts = (
        results.Part("part-00000.jsonl", 10, 2, "00"),
        results.Part("part-00001.jsonl", 5, 1, ""),
    )
    body = {
        "status": "succeeded", "error": None, "coverage": {"hours_read": 3},
        "timings": {"hunt_s": 1.5},
    }  # fmt: skip
    written = results.Written(parts, 3, 4)
    results.write_manifest(lakes.Lake(session), plan(job_id), RUN, body, written)
    content = (lake_folder / "state/results" / c.manifest_path(job_id, RUN.run_id)).read_bytes()
    manifest = parse_manifest(content, job_id, RUN.run_id)
    assert manifest.parts == ("part-00000.jsonl", "part-00001.jsonl")
    assert (manifest.rows, manifest.withheld, manifest.code_hash) == (3, 4, "0f" * 12)
    assert manifest.coverage == {"hours_read": 3, "timings": {"hunt_s": 1.5}}
    said = json.loads(content)
    assert said["slot"] == {"start": "2026-03-09T00:00:00Z", "end": "2026-03-10T00:00:00Z"}
    assert said["window"]["start"] == "2026-02-17T00:00:00Z"
    assert (said["params"], said["revision"], said["workspace"]) == ({"threshold": 0.7}, 0, KEY)
    assert said["parts"][0] == {"name": "part-00000.jsonl", "bytes": 10, "rows": 2, "sha256": "00"}


def test_a_failed_run_tells_why(session: SparkSession, lake_folder: Path) -> None:
    job_id = "job-20260310000500-000000ab"
    body = {"status": "failed", "error": "KeyError: \ud800\n", "coverage": {}, "timings": {}}
    results.write_manifest(lakes.Lake(session), plan(job_id), RUN, body)
    content = (lake_folder / "state/results" / c.manifest_path(job_id, RUN.run_id)).read_bytes()
    manifest = parse_manifest(content, job_id, RUN.run_id)
    assert (manifest.error[:9], manifest.parts, manifest.rows) == ("KeyError:", (), 0)


def test_a_manifest_that_no_reader_takes_is_not_written(
    session: SparkSession, lake_folder: Path
) -> None:
    job_id = "job-20260310000500-000000ac"
    body = {"status": "failed", "error": "x" * c.MANIFEST_BYTES, "coverage": {}, "timings": {}}
    with pytest.raises(ValueError, match="1000000 are allowed"):
        results.write_manifest(lakes.Lake(session), plan(job_id), RUN, body)
    assert not (lake_folder / "state/results" / c.job_folder(job_id)).exists()
