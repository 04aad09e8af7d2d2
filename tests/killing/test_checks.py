"""Each check of the killer sees in made-up records what it is there for, and passes the rest."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from tests.killing import checks
from tests.killing.checks import Batch, Row
from tests.killing.paper_job import CASES, PARTS, ROWS

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)
RUNS = [
    {"run_id": "run-1", "job": "job-1", "status": "done", "reason": ""},
    {"run_id": "run-2", "job": "job-2", "status": "done", "reason": ""},
]
ROWS_OF_ALL = [
    Row(f"run-{run}", f"{run}-{number}", f"job-{run}", number // ROWS)
    for run in (1, 2)
    for number in range(PARTS * ROWS)
]
BATCHES = [
    Batch("job-0", frozenset({"run-1", "run-2"}), NOON, NOON + timedelta(minutes=1)),
    Batch("job-1", frozenset({"run-1"}), NOON + timedelta(minutes=1), NOON + timedelta(minutes=2)),
    Batch("job-2", frozenset({"run-2"}), NOON + timedelta(minutes=1), None),
]


def part_of(run: str, part: int) -> list[Row]:
    return [row for row in ROWS_OF_ALL if (row.run, row.part) == (run, part)]


def rows_told(rows: Iterable[Row], causes: checks.Causes | None = None) -> list[str]:
    return list(checks.of_rows(list(rows), RUNS, causes or {}))


def test_what_is_right_is_passed() -> None:
    assert list(checks.of_runs(RUNS, [])) == []
    assert rows_told(ROWS_OF_ALL) == []
    assert list(checks.of_jobs(BATCHES)) == []
    assert list(checks.of_deliveries(RUNS, {"run-1": ["job-1"], "run-2": ["job-2"]})) == []
    assert list(checks.of_incidents(CASES)) == []


def test_a_run_that_did_not_end_is_seen() -> None:
    held = {**RUNS[0], "status": "held", "reason": "x"}
    assert list(checks.of_runs([held], ["a.json"])) == [
        "9: run-1 is held: x",
        "10: a.json is unfinished",
    ]


def test_a_lost_row_and_a_second_id_are_seen() -> None:
    told = rows_told(ROWS_OF_ALL[1:])
    assert [one[0] for one in told] == ["1", "2"]
    again = replace(ROWS_OF_ALL[0], finding="other")
    assert [one[0] for one in rows_told([*ROWS_OF_ALL, again])] == ["1", "2"]


def test_rows_come_twice_only_when_their_chunk_was_cut_off() -> None:
    doubled = [*ROWS_OF_ALL, *part_of("run-1", 1)]
    assert rows_told(doubled, {("run-1", 1): 1}) == []
    assert rows_told(doubled) == ["3: run-1: part 1 came 2 times and was cut off 0 times"]


@pytest.mark.parametrize("elsewhere", [("run-1", 0), ("run-2", 1)])
def test_a_kill_elsewhere_is_no_cause(elsewhere: tuple[str, int]) -> None:
    doubled = [*ROWS_OF_ALL, *part_of("run-1", 1)]
    assert [one[0] for one in rows_told(doubled, {elsewhere: 9})] == ["3"]


def test_a_single_row_that_comes_oftener_than_its_chunk_was_cut_off_is_seen() -> None:
    thrice = [*ROWS_OF_ALL, ROWS_OF_ALL[0], ROWS_OF_ALL[0]]
    assert rows_told(thrice, {("run-1", 0): 2}) == []
    told = rows_told(thrice, {("run-1", 0): 1})
    assert told == ["3: run-1: part 0 came 3 times and was cut off 1 times"]


def test_a_second_post_of_a_job_is_seen() -> None:
    ended = replace(BATCHES[0], runs=frozenset())
    assert list(checks.of_jobs([*BATCHES, ended])) == ["4: job-0 was posted 2 times"]


@pytest.mark.parametrize("ended", [None, NOON + timedelta(seconds=61)])
def test_two_live_jobs_of_a_run_are_seen_also_beside_a_third(ended: datetime | None) -> None:
    long = replace(BATCHES[0], ended=ended)
    told = list(checks.of_jobs([BATCHES[1], long, BATCHES[2]]))
    at = NOON + timedelta(minutes=1)
    assert told == [
        f"4: run-1 had two live jobs at {at}: job-0, job-1",
        f"4: run-2 had two live jobs at {at}: job-0, job-2",
    ]
    between = Batch("job-3", frozenset({"run-1"}), NOON, NOON)
    assert list(checks.of_jobs([long, between, BATCHES[1]]))[-1] == told[0]


def test_rows_of_another_job_than_the_run_names_are_seen() -> None:
    other = replace(ROWS_OF_ALL[0], job="job-0")
    assert rows_told([other, *ROWS_OF_ALL[1:]]) == [
        "5: run-1 names job-1 and has rows from ['job-0', 'job-1']"
    ]
    both = {("run-1", 0): 1}
    assert [one[0] for one in rows_told([other, *ROWS_OF_ALL], both)] == ["5"]


def test_a_delivery_from_another_job_is_seen() -> None:
    told = checks.of_deliveries(RUNS, {"run-1": ["job-0", "job-1"]})
    assert list(told) == [
        "5: run-1 names job-1 and was delivered from ['job-0', 'job-1']",
        "5: run-2 names job-2 and was delivered from []",
    ]


def test_an_incident_too_many_is_seen() -> None:
    assert list(checks.of_incidents(CASES + 1)) == [f"7: {CASES + 1} incidents for {CASES} cases"]
