"""What must hold of a deployment whose host was killed: invariants 1 to 7, 9 and 10 in words.

The checks know records alone; `tests/killing/story.py` reads them where the services keep them.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from tests.killing.paper_job import CASES, PARTS, ROWS

Json = dict[str, Any]
Causes = Mapping[tuple[str, int], int]
"""Run and part -> how often what was being sent of it was cut off, or stayed without an answer."""


@dataclass(frozen=True)
class Row:
    """One row of the findings table: whose it is, and which job wrote it into which part."""

    run: str
    finding: str
    job: str
    part: int


@dataclass(frozen=True)
class Batch:
    """One POST that the pool took; `ended` is None while it is alive."""

    job: str
    runs: frozenset[str]
    """Of its plan."""
    began: datetime
    ended: datetime | None


def of_runs(runs: Iterable[Json], unfinished: Iterable[str]) -> Iterator[str]:
    """9, 10: every run is done, and nothing is left."""
    for run in runs:
        if run["status"] != "done":
            yield f"9: {run['run_id']} is {run['status']}: {run['reason']}"
    for name in unfinished:
        yield f"10: {name} is unfinished"


def of_rows(rows: Collection[Row], runs: Sequence[Json], causes: Causes) -> Iterator[str]:
    """1, 2, 3, 5: every finding is there, under one id, from one job, doubled only for a cause."""
    for run in runs:
        mine = [row for row in rows if row.run == run["run_id"]]
        found = {row.finding for row in mine}
        if len(found) != PARTS * ROWS:
            yield f"1: {run['run_id']}: {len(found)} of {PARTS * ROWS} findings are in the table"
        jobs = sorted({row.job for row in mine})
        if jobs != [run["job"]]:
            yield f"5: {run['run_id']} names {run['job']} and has rows from {jobs}"
    known = {run["run_id"] for run in runs}
    names = {row.finding for row in rows if row.run in known}
    if len(names) != len(runs) * PARTS * ROWS:
        yield f"2: {len(names)} FindingIds for {len(runs)} runs"
    yield from _doubled(rows, causes)


def _doubled(rows: Iterable[Row], causes: Causes) -> Iterator[str]:
    copies = Counter((row.run, row.part, row.finding) for row in rows)
    most: dict[tuple[str, int], int] = defaultdict(int)
    for (run, part, _), times in copies.items():
        most[run, part] = max(most[run, part], times)
    for (run, part), times in sorted(most.items()):
        cut = causes.get((run, part), 0)
        if times > 1 + cut:
            yield f"3: {run}: part {part} came {times} times and was cut off {cut} times"


def of_jobs(batches: Collection[Batch]) -> Iterator[str]:
    """4: one POST per job id, and one live job per run."""
    for job, posts in Counter(batch.job for batch in batches).items():
        if posts > 1:
            yield f"4: {job} was posted {posts} times"
    by_run: dict[str, list[Batch]] = defaultdict(list)
    for batch in sorted(batches, key=lambda one: one.began):
        for run in batch.runs:
            by_run[run] += [batch]
    for run, line in sorted(by_run.items()):
        for number, batch in enumerate(line):
            for alive in line[:number]:
                if alive.ended is None or alive.ended > batch.began:
                    yield f"4: {run} had two live jobs at {batch.began}: {alive.job}, {batch.job}"


def of_deliveries(runs: Iterable[Json], told: Mapping[str, Sequence[str]]) -> Iterator[str]:
    """5: what was delivered of a run says the job that the run names, and no other."""
    for run in runs:
        jobs = sorted(told.get(run["run_id"], ()))
        if jobs != [run["job"]]:
            yield f"5: {run['run_id']} names {run['job']} and was delivered from {jobs}"


def of_incidents(count: int) -> Iterator[str]:
    """7: one incident a case."""
    if count != CASES:
        yield f"7: {count} incidents for {CASES} cases"
