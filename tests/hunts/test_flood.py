"""A flood by one bad threshold: the job cuts it, so that the app streams what it delivers alone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from shared import contract as c
from shared.model import Json
from tests.conftest import STATE
from tests.hunts.test_results import KEY, RUN, found, plan, results, row, texts
from tests.unit import house
from tests.unit.delivering import JOB, put, step
from tests.unit.house import a_run, spec

pytestmark = pytest.mark.proof

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

lakes = pytest.importorskip("spark.lake", reason="pyspark is not installed")

FLOOD, QUIET, MOST = 100_000, 50, 1000
LOUD = (
    "cast(id as string) Text", "id Number", "'loud' Host", "0.9 + id / 10000000 Score",
    "named_struct('Regularity', 0.5D) SubScores", "'t' Title", "named_struct('Count', 1) Evidence",
    "timestamp'2026-03-09' FirstSeen", "timestamp'2026-03-10' LastSeen",
)  # fmt: skip
OTHERS = (LOUD[0], "-1 - id Number", "concat('quiet-', id) Host", "0.7D Score", *LOUD[4:])


def test_a_flood_of_one_entity_hides_no_other(session: SparkSession) -> None:
    rows = [row(str(n), 0.95 + n / 10_000, Host="loud") for n in range(40)]
    rows += [row(str(n), 0.6 + n / 1000, Host=f"h{n}") for n in range(100, 112)]
    rows += [row(str(n), 0.55, Host=None) for n in range(200, 203)]
    made = results.to_lines(found(session, rows), RUN, KEY)
    hosts = {
        json.loads(one["Line"])["FindingId"]: json.loads(one["Line"])["Entities"]["Host"]
        for one in made.collect()
    }
    for most, loud in [(20, 20 - 12 - 2), (10, 1), (14, 1), (30, 30 - 15), (54, 54 - 15)]:
        chosen = [hosts[one["FindingId"]] for one in results.choose(made, most).collect()]
        assert len(chosen) == most and chosen.count("loud") == loud


def test_a_flood_is_cut_by_the_job_and_told_by_one_incident(
    session: SparkSession, lake_folder: Path
) -> None:
    loud = session.range(FLOOD - QUIET).selectExpr(*LOUD)
    flood = loud.unionByName(session.range(QUIET).selectExpr(*OTHERS))
    lake, folder = lakes.Lake(session), c.run_folder(JOB, RUN.run_id)
    lines = results.to_lines(flood, RUN, KEY)
    written = results.write_findings(lake, f"abfss://results@{STATE}/{folder}", lines, MOST)
    assert (written.rows, written.withheld) == (MOST, FLOOD - MOST)
    body: Json = {"status": "succeeded", "error": None, "coverage": {}, "timings": {}}
    results.write_manifest(lake, plan(JOB), RUN, body, written)

    on_disk = lake_folder / "state" / "results" / folder
    withheld = {json.loads(line)["FindingId"] for line in texts(on_disk / "withheld")}
    home = house.build([spec()], readback_seconds="600")
    put(home, a_run(), [], rows=MOST, withheld=FLOOD - MOST)
    for name in (c.MANIFEST_NAME, *(part.name for part in written.parts)):
        home.results.plant(f"{folder}/{name}", (on_disk / name).read_bytes())
    run = step(home)

    assert (run.counts.sent, run.counts.withheld, len(withheld)) == (MOST, FLOOD - MOST, 99_000)
    sent = {row["FindingId"]: row["Entities"]["Host"] for row in home.sink.rows}
    assert len(sent) == MOST and not withheld & set(sent)
    assert len(set(sent.values())) == QUIET + 1
    assert (run.counts.opened, len(home.incidents.incidents)) == (20, 21)
    (told,) = [one.properties for one in home.incidents.incidents.values() if "more in" in str(one)]
    assert told["title"] == f"Beaconing: {FLOOD - 20} more in one run"
    assert f"results/{folder}/withheld/" in told["description"]
