"""Where documents lie, and that no write goes over a version that nobody read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from shared import records as r
from shared.bookkeeping import Budget
from shared.contract import workspace_key
from shared.documents import encode
from shared.errors import BadInput, Conflict
from shared.model import Case, Job, Run
from shared.records import Kept, Records
from shared.timeline import DayRecord, HuntRecord
from tests.memory.storage import MemoryLedger
from tests.unit.house import GUID, START, WORKSPACE, a_run

PLACE = workspace_key(WORKSPACE)


@pytest.fixture
def ledger() -> MemoryLedger:
    return MemoryLedger()


@pytest.fixture
def records(ledger: MemoryLedger) -> Records:
    return Records(ledger)


def test_paths_are_drawn_as_the_ledger_is() -> None:
    run = a_run()
    assert r.run_path(run) == f"active/runs/live/20260309-beaconing-{PLACE}-r0.json"
    assert r.done_path(run.id) == f"done/y=2026/m=03/d=09/{run.id}.json"
    job = "job-20260310000500-0123abcd"
    assert r.done_path(job) == f"done/y=2026/m=03/d=10/{job}.json"
    assert r.job_path(job) == f"active/jobs/{job}.json"
    assert r.mark_path(WORKSPACE, "t1", "2026031000") == f"touched/{PLACE}/t1/2026031000"
    assert r.day_path(WORKSPACE, "t1", "20260310") == f"days/{PLACE}/t1/20260310.json"
    assert r.hunt_path(GUID, WORKSPACE) == f"hunts/{GUID}/{PLACE}.json"
    assert r.case_path("k").startswith("cases/") and r.case_path("k").endswith("/k.json")


def test_a_case_is_found_below_two_hex_digits_of_its_own() -> None:
    folders = {r.case_path(f"key-{n}").split("/")[1] for n in range(500)}
    assert all(len(folder) == 2 and int(folder, 16) >= 0 for folder in folders)
    assert len(folders) > 200


def test_a_missing_document_is_an_empty_one_that_is_created(records: Records) -> None:
    for kept in (
        records.hunt(GUID, WORKSPACE),
        records.day(WORKSPACE, "t1", "20260310"),
        records.budget("20260310"),
        records.case("k", GUID, WORKSPACE),
    ):
        assert kept.etag is None
    saved = records.save(records.budget("20260310"), Budget("20260310", jobs=1))
    assert saved.etag is not None and records.budget("20260310") == saved
    with pytest.raises(Conflict):
        records.save(Kept(saved.path, saved.value, None), Budget("20260310"))


def test_a_write_over_another_version_is_a_conflict(records: Records) -> None:
    first = records.save(records.budget("d"), Budget("d", jobs=1))
    records.save(first, Budget("d", jobs=2))
    with pytest.raises(Conflict):
        records.save(first, Budget("d", jobs=3))
    assert records.budget("d").value.jobs == 2


def test_saving_what_was_read_writes_nothing(records: Records, ledger: MemoryLedger) -> None:
    kept = records.save(records.budget("d"), Budget("d", jobs=1))
    before = ledger.contents()
    assert records.save(kept, replace(kept.value)) is kept
    assert ledger.contents() == before


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b'{"schema": 9}', b'{"schema": 1}'])
def test_a_broken_document_is_said_and_left_alone(
    records: Records, ledger: MemoryLedger, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    good = a_run(id="20260309-good-hunt-r0")
    ledger.create(r.run_path(good), encode(good))
    broken = "active/runs/live/20260309-a-broken-r0.json"
    ledger.plant(broken, content)
    assert [kept.value for kept in records.runs()] == [good]
    assert broken in caplog.text and "quarantined" in caplog.text
    assert ledger.contents()[broken] == content
    with pytest.raises(BadInput):
        records.load(Run, broken)


def test_a_finished_document_lies_among_the_done_and_nowhere_else(
    records: Records, ledger: MemoryLedger
) -> None:
    run = a_run(status="done")
    kept = records.save(Kept(r.run_path(run), run, None), run)
    records.finish(kept, run.id)
    assert list(ledger.contents()) == [r.AGING, r.done_path(run.id)]
    found = records.find_run(run.id)
    assert found is not None and found.value == run


def test_finishing_after_a_crash_between_done_and_active_keeps_what_is_done(
    records: Records, ledger: MemoryLedger
) -> None:
    run = a_run(status="done")
    kept = records.save(Kept(r.run_path(run), run, None), run)
    ledger.create(r.done_path(run.id), encode(run))
    found = records.find_run(run.id)
    assert found is not None and found.path == r.done_path(run.id)
    records.finish(replace(kept, value=replace(run, reason="again")), run.id)
    assert json.loads(ledger.contents()[r.done_path(run.id)]).get("reason") is None
    assert list(ledger.contents()) == [r.AGING, r.done_path(run.id)]


@pytest.mark.parametrize("kind", ["live", "adhoc", "backfill"])
def test_a_run_is_found_in_any_class(records: Records, ledger: MemoryLedger, kind: str) -> None:
    ledger.create(f"active/runs/{kind}/{a_run().id}.json", encode(a_run()))
    assert records.find_run(a_run().id) is not None
    assert records.find_run("20260309-no-such-run-r0") is None


def test_jobs_and_runs_are_listed_by_their_folders(records: Records, ledger: MemoryLedger) -> None:
    job = Job("job-20260310000500-0123abcd", WORKSPACE, (), "running", START, START)
    ledger.create(r.job_path(job.id), encode(job))
    assert [kept.value for kept in records.jobs()] == [job]
    assert records.runs() == []


def test_a_mark_is_written_over_so_that_no_wake_up_is_lost(ledger: MemoryLedger) -> None:
    etags = []
    for _ in range(2):
        r.mark(ledger, WORKSPACE, "t1", "2026031000", START)
        etags.append(next(ledger.list(r.MARKS)).etag)
    assert etags[0] != etags[1]


def test_empty_documents_know_what_they_are_of(records: Records) -> None:
    assert records.hunt(GUID, WORKSPACE).value == HuntRecord(GUID, WORKSPACE)
    assert records.day(WORKSPACE, "t", "d").value == DayRecord(WORKSPACE, "t", "d")
    assert records.case("k", GUID, WORKSPACE).value == Case("k", GUID, WORKSPACE)
