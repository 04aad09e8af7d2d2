"""A house with a run in delivery."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from shared import contract as c
from shared import deliveries
from shared.model import Json, Run
from shared.records import Kept, run_path
from tests.unit import house
from tests.unit.house import House, a_finding, a_run, spec

JOB = "job-20260310000000-0123abcd"
Hook = Callable[[str, str, str], None]


def delivering(found: list[Json] | None = None, *, run: Run | None = None, **changes: str) -> House:
    """A house with one run whose results have landed."""
    home = house.build([spec()], readback_seconds="600", **changes)
    found = [a_finding(f"10.0.0.{n}") for n in range(1, 4)] if found is None else found
    put(home, run or a_run(), found)
    return home


def put(home: House, run: Run, found: list[Json], **body: Any) -> None:
    """A run in delivery with these findings as its results."""
    rows = body.get("rows", len(found))
    counts = replace(run.counts, rows=rows, withheld=body.get("withheld", 0))
    run = replace(run, status="delivering", step="sending", job=JOB, attempt=1, counts=counts)
    home.deployment.records.save(Kept(run_path(run), run, None), run)
    home.land_results(JOB, run.id, found, **body)


def step(home: House, run_id: str = a_run().id, seconds: float = 45.0) -> Run:
    """One step of a run, as a turn makes it; the run after it."""
    kept = home.deployment.records.find_run(run_id)
    assert kept is not None
    runs = {kept.path: kept}
    deliveries.step_run(home.turn(seconds), runs, kept.path)
    return home.runs()[run_id]


def refuse(operation: str, error: Exception, when: Callable[[str], bool] = lambda _: True) -> Hook:
    """A hook that refuses an operation where its subject is meant."""

    def hook(phase: str, what: str, subject: str) -> None:
        if (phase, what) == ("before", operation) and when(subject):
            raise error

    return hook


def sent(home: House) -> list[str]:
    """FindingIds in the order in which the sink took them."""
    return [row["FindingId"] for row in home.sink.rows]


def ids(found: list[Json]) -> list[str]:
    """FindingIds of findings."""
    return [finding["FindingId"] for finding in found]


def set_aside(home: House, run_id: str = a_run().id) -> list[Json]:
    """What is set aside of a run, in order."""
    held = home.results.paths(f"{c.run_folder(JOB, run_id)}/set-aside")
    bodies = [json.loads(home.results.peek(blob.name) or b"") for blob in held]
    return [row for body in bodies for row in body["rows"]]


def poisoned(home: House, bad: str, error: Exception) -> None:
    """Let the sink refuse every request that carries this finding."""
    inner = home.deployment.sink.send

    class Picky:
        def send(self, payload: bytes) -> None:
            if bad.encode() in payload:
                raise error
            inner(payload)

    home.deployment = replace(home.deployment, sink=Picky())
