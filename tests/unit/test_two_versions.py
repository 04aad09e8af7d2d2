"""Documents of the version before: all load, and a ledger full of them comes to its end."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest

from shared import contract as c
from shared import http_api
from shared.documents import decode, newest
from shared.fills import ENDED
from shared.model import RUN_TERMINAL, EngineJob, Job, JobStatus, Json, Run, RunStatus
from shared.records import _KINDS, Kept, Records, kind_of
from shared.timeline import Fills, HuntRecord
from tests.golden.ledger import NOW, written
from tests.memory.storage import MemoryLedger
from tests.unit.house import TABLE, WORKSPACE, House, a_finding, build, export_path, spec

SETS = sorted((Path(__file__).resolve().parent.parent / "golden").glob("*/ledger.json"))
ALIVE = ("submitting", "running", "cancelling", "ended")
"""Jobs in these statuses may be known to the engine."""


def test_there_is_a_set_of_golden_files() -> None:
    assert SETS


@pytest.fixture(params=SETS, ids=lambda path: path.parent.name)
def documents(request: pytest.FixtureRequest) -> dict[str, Json]:
    return read(request.param)


def read(path: Path) -> dict[str, Json]:
    loaded: dict[str, Json] = json.loads(path.read_text(encoding="utf-8"))
    return loaded


def runs_of(documents: dict[str, Json]) -> dict[str, Run]:
    """Path -> run, of a set's unfinished and finished runs."""
    return {path: decode(Run, body, path) for path, body in documents.items()
            if kind_of(path) is Run}  # fmt: skip


def jobs_of(documents: dict[str, Json]) -> list[Job]:
    return [decode(Job, body, path) for path, body in documents.items() if kind_of(path) is Job]


def moved_in(documents: dict[str, Json]) -> House:
    """A house over that ledger, with what was around it: engine jobs, results, rows, exports."""
    runs = runs_of(documents).values()
    hunts = {run.hunt: spec(module=run.hunt, guid=run.hunt_guid) for run in runs}
    home = build(hunts.values())
    home.clock.now = NOW
    for path, body in documents.items():
        home.ledger.plant(path, json.dumps(body).encode())
    for hour in ("2026030901", "2026030905"):
        home.exports.plant(TABLE, export_path(hour), b"{}")
    for run in runs:
        if run.step or run.status == "assigned":
            home.land_results(run.job or "", run.id, [a_finding(run=run)])
        if run.step in ("incidents", "read-back"):
            row = {"FindingId": a_finding(run=run)["FindingId"], "RunId": run.id}
            home.sink.rows.append(row)
    for job in jobs_of(documents):
        if job.status in ALIVE:
            state = "succeeded" if job.status == "ended" else "running"
            number = job.engine_id or "77"
            home.engine.jobs[number] = EngineJob(number, job.id, state)  # type: ignore[arg-type]
            plan = {"job_id": job.id, "runs": [], "tables": {}}
            home.results.plant(c.plan_path(job.id), json.dumps(plan).encode())
    return home


def test_every_kind_of_document_has_a_golden_one_and_is_in_the_next_set() -> None:
    kinds = {kind for _, kind in _KINDS}
    assert {kind_of(path) for one in SETS for path in read(one)} >= kinds
    assert {kind_of(path) for path in written()} >= kinds


def test_time_lines_are_there_in_every_schema() -> None:
    lines = [
        body for one in SETS for path, body in read(one).items() if kind_of(path) is HuntRecord
    ]
    assert {body["schema"] for body in lines} == set(range(1, newest(HuntRecord) + 1))


def test_every_document_loads_and_is_saved_again_as_it_was(documents: dict[str, Json]) -> None:
    ledger = MemoryLedger()
    records = Records(ledger)
    for path, body in documents.items():
        kind = kind_of(path)
        if kind is None:
            continue
        ledger.plant(path, json.dumps(body).encode())
        kept: Kept[Any] | None = records.load(kind, path)
        assert kept is not None
        ledger.put(path, kept.whole())
        again: Kept[Any] | None = records.load(kind, path)
        assert again == replace(kept, etag=ledger.version(path)), path
        assert again.body is not None and again.body["schema"] == newest(kind)
        if body["schema"] == newest(kind):
            assert {**again.body, **body} == again.body, path
    assert records.quarantine.met == {}


def test_runs_and_jobs_are_in_every_status_that_there_was(documents: dict[str, Json]) -> None:
    """A status that is new is in the next set; one that was dropped must still be read."""
    assert {run.status for run in runs_of(documents).values()} <= set(get_args(RunStatus))
    kept = {"waiting", "assigned", "delivering", "held", *RUN_TERMINAL}
    assert {run.status for run in runs_of(documents).values()} >= kept
    jobs = {job.status for job in jobs_of(documents)}
    assert jobs >= {"planned", "submitting", "running", "cancelling", "ended", "lost"}
    assert jobs <= set(get_args(JobStatus))


def test_a_ledger_full_of_them_comes_to_its_end(documents: dict[str, Json]) -> None:
    before = runs_of(documents)
    home = moved_in(documents)
    home.live(6, 300.0)
    ended = home.runs()
    assert http_api.status(home.deployment)[1]["quarantined"] == {}
    assert [
        *home.documents("active/"),
        *home.documents("touched/"),
        *home.documents("requests/"),
    ] == []
    otherwise = {run.hunt: run.status for run in ended.values() if run.status != "done"}
    assert otherwise == {"broken": "failed", "taken_back": "cancelled", "job_gone": "cancelled"}
    assert {run.id for run in before.values()} <= set(ended)


def test_what_had_been_delivered_is_not_delivered_again(documents: dict[str, Json]) -> None:
    before = runs_of(documents)
    home = moved_in(documents)
    home.live(6, 300.0)
    delivered = {run.id for run in before.values() if run.step in ("incidents", "read-back")}
    rows = [row["RunId"] for row in home.sink.rows]
    assert delivered and all(rows.count(run_id) == 1 for run_id in delivered)
    assert not set(rows) & {run.id for run in before.values() if run.status == "done"}
    posted = [request.job_id for request in home.engine.requests]
    assert not set(posted) & {job.id for job in jobs_of(documents) if job.status != "planned"}


def test_time_lines_go_on_from_where_they_were(documents: dict[str, Json]) -> None:
    home = moved_in(documents)
    home.live(6, 300.0)
    for path, body in documents.items():
        if kind_of(path) is HuntRecord:
            before = decode(HuntRecord, body, path)
            after = home.deployment.records.hunt(before.hunt_guid, WORKSPACE).value
            assert after.watermark is not None and after.watermark == before.watermark
            assert after.slots["20260309"].revision >= before.slots["20260309"].revision >= 0


def test_what_waited_goes_on_and_what_was_owed_is_told() -> None:
    documents = read(SETS[-1])
    home = moved_in(documents)
    home.live(6, 300.0)
    state = http_api.status(home.deployment)[1]
    assert state["pause"] is None and state["pool"]["breaker"] == "closed"
    fills = home.deployment.records.load(Fills, ENDED)
    assert fills is not None and [one.empty for one in fills.value.ended] == [2, 1]
    assert "row-0" in [row["RowId"] for row in home.health.rows]
    assert "event-0" in [event[0] for event in home.notifier.events]
    assert home.documents("health/owed")["health/owed.json"]["lost"] == 3
