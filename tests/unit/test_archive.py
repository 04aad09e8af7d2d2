"""What was done long ago: moved a batch a turn, found again, lost never."""

from __future__ import annotations

import base64
import gzip
import json
import random
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import contract as c
from shared import http_api
from shared.archive import BATCH, FULL, ended_run, find_run, month_path, put_by
from shared.documents import encode
from shared.errors import OutcomeUnknown, TidehuntError
from shared.model import Job, Json, Run
from shared.records import AGING, Kept, done_path, job_path, run_path
from tests.unit.house import START, WORKSPACE, Crash, House, a_run, build, hours_of_days

DAY = "done/y=2026/m=03/d=09"
MONTH = "archive/y=2026/m=03.jsonl.gz"
OLD = START + timedelta(days=37)


@pytest.fixture
def home() -> House:
    return build()


def a_done(number: int, day: str = "20260309") -> Run:
    return a_run(id=f"{day}-beaconing-n{number:03d}-r0", status="done", reason=f"é {number}")


def finish(home: House, runs: list[Run]) -> None:
    records = home.deployment.records
    for run in runs:
        records.finish(records.save(Kept(run_path(run), run, None), run), run.id)


def archived(home: House, path: str = MONTH) -> list[Json]:
    content = home.ledger.contents().get(path)
    return [json.loads(line) for line in gzip.decompress(content).splitlines()] if content else []


def turns(home: House, count: int = 1) -> None:
    for _ in range(count):
        put_by(home.turn())


def test_what_has_ended_for_35_days_lies_in_its_month_and_nowhere_else(home: House) -> None:
    runs = [a_done(number) for number in range(3)]
    finish(home, runs)
    job = Job("job-20260309000000-0123abcd", WORKSPACE, (), "ended", START, START)
    records = home.deployment.records
    records.finish(records.save(Kept(job_path(job.id), job, None), job), job.id)
    before = home.documents(DAY)
    turns(home)
    home.clock.now = START + timedelta(days=35)
    turns(home, 2)
    assert home.documents(DAY) == before and archived(home) == []
    home.clock.now = START + timedelta(days=36)
    turns(home)
    assert home.documents(DAY) == {}
    assert archived(home) == list(before.values())
    assert json.loads(home.ledger.contents()[AGING])["due"] == {}


def test_a_run_that_ended_late_is_counted_from_its_end_not_from_its_slot(home: House) -> None:
    old = replace(a_done(1, "20250101"), since=OLD)
    finish(home, [old])
    home.clock.now = OLD + timedelta(days=35)
    turns(home, 3)
    assert list(home.documents("done/")) == [done_path(old.id)]
    home.clock.now = OLD + timedelta(days=36)
    turns(home, 3)
    assert [body["id"] for body in archived(home, "archive/y=2025/m=01.jsonl.gz")] == [old.id]


def test_a_turn_moves_a_batch_and_no_more(home: House) -> None:
    finish(home, [a_done(number) for number in range(2 * BATCH + 50)])
    turns(home)
    home.clock.now = OLD
    left = []
    for _ in range(3):
        calls = home.wire.calls
        turns(home)
        left.append(len(home.documents(DAY)))
        assert home.wire.calls - calls <= 2 * BATCH + 6
    assert left == [BATCH + 50, 50, 0]
    assert len(archived(home)) == 2 * BATCH + 50


def test_what_was_done_before_there_was_an_archive_is_found_by_one_look(home: House) -> None:
    finish(home, [a_done(1), a_done(2, "20260105")])
    home.ledger.delete(AGING)
    finish(home, [a_done(3)])  # before the look, as it is after an upgrade
    listed: list[str] = []
    home.wire.hook = lambda phase, operation, subject: (
        listed.append(subject) if (phase, operation) == ("before", "ledger.list") else None
    )
    home.clock.now = OLD
    turns(home, 5)
    assert listed.count("done/") == 1 and home.documents("done/") == {}
    assert len(archived(home)) == 2 and len(archived(home, "archive/y=2026/m=01.jsonl.gz")) == 1
    finish(home, [replace(a_done(4), since=OLD)])
    turns(home, 2)
    assert listed.count("done/") == 1


@pytest.mark.parametrize("phase", ["before", "after"])
@pytest.mark.parametrize("error", [Crash(), OutcomeUnknown("lost")], ids=["crash", "no answer"])
@pytest.mark.parametrize("call", range(12))
def test_a_fault_at_any_call_loses_nothing_and_doubles_nothing(
    home: House, phase: str, error: BaseException, call: int
) -> None:
    runs = [a_done(number) for number in range(4)]
    finish(home, runs[:1])
    turns(home)
    home.clock.now = OLD
    finish(home, [replace(runs[1], since=START)])
    turns(home)
    finish(home, [replace(run, since=START) for run in runs[2:]])
    home.clock.forward(60)
    count = -1
    fired: list[str] = []

    def fail(when: str, operation: str, _subject: str) -> None:
        nonlocal count
        count += when == "before"
        if (when, count) == (phase, call) and not fired:
            fired.append(operation)
            raise error

    home.wire.hook = fail
    for _ in range(4):
        try:
            turns(home)
        except (Crash, TidehuntError):
            continue
        found = {body["id"] for body in archived(home)}
        found |= {body["id"] for body in home.documents(DAY).values()}
        assert found == {run.id for run in runs}
    assert fired
    home.wire.hook = lambda *_: None
    turns(home, 2)
    assert sorted(body["id"] for body in archived(home)) == [run.id for run in runs]
    assert home.documents(DAY) == {}


def test_an_archived_run_is_found_when_somebody_asks(home: House) -> None:
    run = a_done(7)
    finish(home, [run, a_done(8)])
    turns(home)
    home.clock.now = OLD
    turns(home)
    for look in (find_run, ended_run):
        found = look(home.deployment.records, run.id, home.clock())
        assert found is not None and found.value == run
    assert find_run(home.deployment.records, "20260309-beaconing-n999-r0", OLD) is None
    code, told = http_api.show_run(home.deployment, run.id)
    assert (code, told["status"]) == (200, "done")


def test_a_month_is_read_only_for_what_may_lie_in_it(home: House) -> None:
    read: list[str] = []
    home.wire.hook = lambda _phase, _operation, subject: read.append(subject)
    for look in (find_run, ended_run):
        assert look(home.deployment.records, a_done(1).id, START + timedelta(days=36)) is None
        assert MONTH in read
        read.clear()
        assert look(home.deployment.records, a_done(1).id, START + timedelta(days=34)) is None
        assert MONTH not in read


def test_what_a_run_did_is_not_done_again_for_lying_in_the_archive(home: House) -> None:
    home.tick()
    home.land(hours_of_days("20260309"))
    asked = b'{"hunt": "beaconing", "end_date": "2026-03-09", "lookback_days": 1}'
    run_id = http_api.start_run(home.deployment, asked)[1]["run_id"]
    home.live(3)
    posts, rows = len(home.engine.requests), len(home.sink.rows)
    home.clock.now = OLD + timedelta(days=1)
    home.live(2)
    assert home.documents("done/y=2026/m=03/d=09") == {} and archived(home)
    assert http_api.start_run(home.deployment, asked)[1]["run_id"] == run_id
    home.live(3)
    assert (len(home.engine.requests), len(home.sink.rows)) == (posts, rows)
    again = http_api.start_run(home.deployment, asked[:-1] + b', "again": true}')[1]["run_id"]
    assert again == f"{run_id.removesuffix('-r0')}-r1"
    home.live(3)
    assert home.runs()[again].counts.unchanged == 1 and len(home.sink.rows) == rows


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"{"), gzip.compress(b"{}")[:-5]],
    ids=["no gzip", "no JSON", "cut off"],
)
def test_a_broken_month_is_never_written_over(home: House, content: bytes) -> None:
    run = a_done(1)
    finish(home, [run])
    turns(home)
    home.ledger.plant(MONTH, content)
    home.clock.now = OLD
    turns(home)
    assert home.ledger.contents()[MONTH] == content
    assert list(home.documents(DAY)) == [done_path(run.id)]
    assert MONTH in http_api.status(home.deployment)[1]["quarantined"]


def test_a_broken_month_keeps_no_other_back(home: House) -> None:
    finish(home, [a_done(1), a_done(2, "20260308"), a_done(3, "20260401")])
    turns(home)
    home.ledger.plant(MONTH, b"no gzip")
    home.clock.now = START + timedelta(days=70)
    turns(home)
    assert [body["id"] for body in archived(home, "archive/y=2026/m=04.jsonl.gz")] == [
        a_done(3, "20260401").id
    ]
    home.ledger.plant(MONTH, gzip.compress(b""))
    turns(home, 2)
    assert len(archived(home)) == 2


def test_a_full_month_goes_on_in_another_file(home: House) -> None:
    finish(home, [a_done(1), a_done(2)])
    noise = base64.b64encode(random.Random(7).randbytes(FULL)).decode()  # noqa: S311  no secret
    first = gzip.compress(json.dumps({**encode(a_done(1)), "noise": noise}).encode() + b"\n", 1)
    home.ledger.plant(MONTH, first)
    turns(home)
    home.clock.now = OLD
    turns(home)
    assert home.ledger.contents()[MONTH] == first
    second = archived(home, "archive/y=2026/m=03.2.jsonl.gz")
    assert [body["id"] for body in second] == [a_done(2).id] and home.documents(DAY) == {}
    for run in (a_done(1), a_done(2)):
        found = find_run(home.deployment.records, run.id, home.clock())
        assert found is not None and found.value == run


def test_a_broken_document_stays_where_it_is_and_the_others_go(home: House) -> None:
    finish(home, [a_done(1)])
    home.ledger.plant(f"{DAY}/20260309-broken-n1-r0.json", b"{")
    turns(home)
    home.clock.now = OLD
    turns(home, 3)
    assert next(iter(home.ledger.list(DAY))).path == f"{DAY}/20260309-broken-n1-r0.json"
    assert len(archived(home)) == 1


def test_what_a_later_version_wrote_comes_through_whole(home: House) -> None:
    finish(home, [a_done(1)])
    body = {**home.documents(DAY)[done_path(a_done(1).id)], "later": [1]}
    home.ledger.plant(done_path(a_done(1).id), json.dumps(body).encode())
    turns(home)
    home.clock.now = OLD
    turns(home)
    assert archived(home) == [body]


def test_paths_of_months() -> None:
    assert month_path(DAY) == MONTH
    assert month_path(
        done_path(f"20251231-x-{c.workspace_key(WORKSPACE)}-r0").rpartition("/")[0]
    ) == ("archive/y=2025/m=12.jsonl.gz")
