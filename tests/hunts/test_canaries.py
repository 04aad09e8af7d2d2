"""Canaries: they follow the hosts' hours, tell of thresholds and views, and leave no trace."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from shared import contract
from tests.hunts.beacon_rows import PARAMS, SPEC
from tests.hunts.small_lake import (
    TABLE,
    SmallLake,
    lines,
    own_hunts,
    plan_url,
)
from tests.hunts.small_lake import connection as row_of
from tests.tables import NOON, Row, connection, frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
k = importlib.import_module("spark.expressions.canaries")
s = importlib.import_module("spark.expressions.series")
beaconing = importlib.import_module("spark.hunts.beaconing")
job = importlib.import_module("spark.job")
limits = importlib.import_module("spark.limits")
views = importlib.import_module("spark.views")

WEEK = np.arange(490_000, 490_000 + 7 * 24)
OFFICE = WEEK[(WEEK % 24 >= 8) & (WEEK % 24 < 17)]
HOSTS = 4


# --- the made-up calls ------------------------------------------------------------------------


@pytest.mark.parametrize("case", k.CASES, ids=str)
def test_calls_are_made_while_the_host_was_seen(case: Any) -> None:
    hours = np.concatenate([OFFICE[:20], OFFICE[30:]])
    for one in k.calls(case, k.Host("10.0.0.1", hours)):
        assert set(one.times // 3_600) <= set(hours.tolist())
        assert (np.diff(one.times) >= 0).all() and len(one.times) <= 2 * k.MOST_CALLS


@pytest.mark.parametrize("case", k.CASES, ids=str)
def test_intervals_are_as_the_case_says(case: Any) -> None:
    made = k.calls(case, k.Host("10.0.0.1", WEEK))
    times = np.sort(np.concatenate([one.times[one.sent == k.SIZE] for one in made]))
    off = np.abs(np.diff(times) / case.every - 1)
    assert len(times) >= 20 and off.max() <= case.within / 100 + 1e-6
    assert len(made) == (k.ADDRESSES if case.way == k.ANY_OF else 1)


def test_amid_other_calls_half_of_the_calls_are_others() -> None:
    (one,) = k.calls(k.Case(k.AMONG, 300, 0), k.Host("10.0.0.1", WEEK))
    assert np.count_nonzero(one.sent == k.SIZE) == len(one.times) / 2


def test_the_same_host_gets_the_same_calls_and_another_one_others() -> None:
    case = k.Case(k.ALONE, 300, 30)
    first, again, other = (
        k.calls(case, k.Host(host, WEEK))[0].times.tolist()
        for host in ("10.0.0.1", "10.0.0.1", "10.0.0.2")
    )
    assert first == again != other


def test_the_log_is_as_it_is_for_the_host() -> None:
    case = k.Case(k.ALONE, 30, 30)
    (one,) = k.calls(case, k.Host("10.0.0.1", WEEK, whole_seconds=True, has_bytes=False))
    assert (one.times == np.floor(one.times)).all()
    assert np.isnan(one.sent).all() and np.isnan(one.received).all()


# --- what was seen ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def rows() -> list[Row]:
    """Some hosts that are seen each hour of a week, one in office hours, one for an hour only."""
    seen = {f"10.0.0.{n}": WEEK for n in range(HOSTS)}
    seen |= {"10.0.1.1": OFFICE, "10.0.1.2": WEEK[5:6]}
    return [
        connection(
            NOON + timedelta(hours=hour - int(WEEK[0])),
            SrcIpAddr=host,
            DstIpAddr=f"198.18.0.{hour % 200}",
            SrcBytes=700,
        )
        for host, hours in seen.items()
        for hour in hours.tolist()
    ]


@pytest.fixture(scope="module")
def sessions(session: SparkSession, rows: list[Row]) -> DataFrame:
    return frame(session, views.NETWORK_SESSION, rows)


def told(sessions: DataFrame, medium: float = 0.6, **changes: Any) -> dict[str, Any]:
    judged = beaconing.canaries({"NetworkSession": sessions}, {**PARAMS, **changes})
    made: dict[str, Any] = limits.limit(judged, {**SPEC.severity, "Medium": medium})
    return made


def total(limit: Mapping[str, Any], way: str = "") -> float:
    return sum(float(case["seen"]) for case in limit["cases"] if not way or case["way"] == way)


@pytest.fixture(scope="module")
def usual(sessions: DataFrame) -> dict[str, Any]:
    return told(sessions)


def test_every_case_is_told_of_every_host(usual: dict[str, Any]) -> None:
    assert usual["hosts"] == HOSTS + 2
    assert len(usual["cases"]) == len(k.CASES)
    assert len(usual["told"]) == len(k.WAYS)


def test_an_exact_timer_is_seen_wherever_a_host_was_seen_long_enough(usual: dict[str, Any]) -> None:
    seen = {(c["way"], c["every_s"], c["within_percent"]): c["seen"] for c in usual["cases"]}
    assert seen[k.ALONE, 30, 0] == 1
    assert seen[k.ALONE, 3_600, 0] == round((HOSTS + 1) / (HOSTS + 2), 3)
    assert seen[k.ANY_OF, 300, 0] >= seen[k.ANY_OF, 300, 90]


@pytest.mark.parametrize("stricter", [{"medium": 0.72}, {"evidence_nats": 9.3 * 1.2}], ids=str)
def test_a_threshold_raised_by_a_fifth_lowers_the_limit(
    sessions: DataFrame, usual: dict[str, Any], stricter: dict[str, float]
) -> None:
    assert total(told(sessions, **stricter)) < total(usual)


@pytest.mark.parametrize(
    ("view", "way"), [("one_size_weight", k.AMONG), ("several_weight", k.ANY_OF)]
)
def test_a_view_that_is_off_lowers_the_limit(
    sessions: DataFrame, usual: dict[str, Any], view: str, way: str
) -> None:
    without = told(sessions, **{view: 0.0})
    assert total(without, way) < total(usual, way)
    assert total(without, k.ALONE) == total(usual, k.ALONE)


def test_the_order_and_the_repetition_of_rows_change_nothing(
    session: SparkSession, rows: list[Row], usual: dict[str, Any]
) -> None:
    assert told(frame(session, views.NETWORK_SESSION, [*rows[::-1], *rows])) == usual


def test_in_a_log_without_bytes_only_what_is_alone_is_seen(
    session: SparkSession, rows: list[Row]
) -> None:
    blind = told(
        frame(session, views.NETWORK_SESSION, [{**row, "SrcBytes": None} for row in rows]),
        canary_hosts=2,
    )
    assert total(blind, k.ANY_OF) < total(blind, k.AMONG) < total(blind, k.ALONE)


def test_as_many_hosts_are_taken_as_asked_for_and_none_from_outside(
    session: SparkSession, rows: list[Row], sessions: DataFrame
) -> None:
    assert told(sessions, canary_hosts=2)["hosts"] == 2
    outside = [{**row, "SrcIpAddr": "203.0.113.9"} for row in rows[:50]]
    assert told(frame(session, views.NETWORK_SESSION, outside))["hosts"] == 0


# --- in words ---------------------------------------------------------------------------------


def test_the_largest_block_is_told() -> None:
    shares = {(every, within): 1.0 for every in (30, 300, 3_600) for within in (0, 30, 60)}
    assert limits.in_words(shares) == "every 30 s to 1 h, up to 60 % jitter, on 100 % of hosts"
    shares[30, 60] = shares[3_600, 60] = 0.5
    shares[300, 0] = 0.96
    assert limits.in_words(shares) == "every 30 s to 1 h, up to 30 % jitter, on 96 % of hosts"


def test_nothing_seen_is_told_as_such() -> None:
    assert limits.in_words({(30, 0): 0.5, (30, 30): 1.0}) == "nothing on 90 % of hosts"


# --- in a job ---------------------------------------------------------------------------------

CODE = """
from pyspark.sql import functions as F

def detect(tables, references, params):
    return tables["NetworkSession"].selectExpr(
        "DstIpAddr", "0.8D Score", "named_struct('A', 0.5D) SubScores", "SrcHostname Title",
        "named_struct('Sessions', SrcBytes) Evidence", "TimeGenerated FirstSeen",
        "TimeGenerated LastSeen",
    )

def canaries(tables, params):
    made = tables["NetworkSession"].limit(1).selectExpr(
        "'canary' Way", "30 EverySeconds", "0 WithinPercent", "{score} Score", "'canary' DstIpAddr")
    return made
"""


def test_no_canary_gets_into_what_a_job_writes_but_for_the_limit(
    session: SparkSession, lake_folder: Path, tmp_path: Path
) -> None:
    """A flood, so that findings are withheld as well."""
    (tmp_path / "told_by_canaries.py").write_text(CODE.format(score="1.0D"), encoding="utf-8")
    lake = SmallLake(lake_folder, "traces")
    rows = [row_of(f"00:00:0{n}", f"192.0.2.{n}", LinksEstablished=1) for n in range(5)]
    lake.blob("2026030900", "00/PT05M.json", lines(*rows))
    run = lake.run(
        "told_by_canaries", views=["NetworkSession"], tables=[], finding_key=["DstIpAddr"]
    )
    tables = {TABLE: {**lake.hours("2026030900"), "merge": ["20260309"]}}
    job_id = lake.plan(0xCA11, tables, [run], max_findings=2)
    with own_hunts(tmp_path):
        assert job.main([plan_url(job_id)]) == 0
        sys.modules.pop("spark.hunts.told_by_canaries")
    results = lake.results / contract.job_folder(job_id)
    written = {path: path.read_bytes() for path in results.rglob("*") if path.is_file()}
    told = {path.name for path, content in written.items() if b"canary" in content}
    assert told == {contract.MANIFEST_NAME}
    withheld = [path for path in written if path.parent.name == "withheld"]
    assert sum(written[path].count(b"FindingId") for path in withheld) == 3
    made = lake.report(job_id)
    assert (len(made["copies"]), len(made["merged"])) == (1, 1)
    for one in (*made["copies"], *made["merged"]):
        texts = [str(row) for row in session.read.parquet(one["path"]).collect()]
        assert len(texts) == len(rows) and not any("canary" in text for text in texts)


@pytest.mark.parametrize(("score", "told"), [("1.0D", 1.0), ("no_column", None)])
def test_a_job_tells_the_limit_and_finds_what_it_finds_without(
    session: SparkSession, lake_folder: Path, tmp_path: Path, score: str, told: float | None
) -> None:
    assert session is not None
    (tmp_path / "told_by_canaries.py").write_text(CODE.format(score=score), encoding="utf-8")
    lake = SmallLake(lake_folder, f"canaries-{told}")
    lake.blob("2026030900", "00/PT05M.json", lines(row_of("00:00:01", LinksEstablished=1)))
    run = lake.run(
        "told_by_canaries", views=["NetworkSession"], tables=[], finding_key=["DstIpAddr"]
    )
    job_id = lake.plan(0xCA0 + len(score), {TABLE: lake.hours("2026030900")}, [run])
    with own_hunts(tmp_path):
        assert job.main([plan_url(job_id)]) == 0
        sys.modules.pop("spark.hunts.told_by_canaries")
    found = lake.findings(job_id, "told_by_canaries")
    assert [one["Entities"]["DstIpAddr"] for one in found] == ["192.0.2.7"]
    limit = lake.manifest(job_id, "told_by_canaries").coverage.get("limit")
    if limit is None:
        assert told is None
    else:
        assert limit["hosts"] == 1 and [case["seen"] for case in limit["cases"]] == [told]
        assert [case["way"] for case in limit["cases"]] == ["canary"]
