"""Turns: one at a time, none ended by one broken thing, and the same end whatever happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import contract as c
from shared import control_loop, requests
from shared.bookkeeping import Claim
from shared.deployment import Heard
from shared.errors import BadInput, OutcomeUnknown, Transient
from shared.gaps import FIRST_START
from shared.records import Kept, job_path, run_path
from tests.unit import house
from tests.unit.house import OTHER_GUID, TABLE, WORKSPACE, Crash, House, a_run, two_quick_hunts

DAYS = ("20260307", "20260308", "20260309")


def claim(home: House) -> Claim:
    kept = home.deployment.records.load(Claim, "turn.json")
    assert kept is not None
    return kept.value


# --- the claim ----------------------------------------------------------------------------------


def test_a_turn_excludes_another_process_and_is_the_heartbeat() -> None:
    home = two_quick_hunts()
    other, seen = home.beside("host-2"), []

    def meanwhile(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "exports.tables"):
            seen.append(control_loop.take_turn(other))

    home.wire.hook = meanwhile
    assert control_loop.heartbeat(other) == {"lastTurn": None}
    assert control_loop.take_turn(home.deployment)
    assert seen == [False]
    assert control_loop.heartbeat(other) == {"lastTurn": home.clock().isoformat()}
    assert control_loop.take_turn(other)


@pytest.mark.parametrize("owner", ["host-1", "host-2"])
def test_a_claim_that_ran_out_is_taken_and_not_released_by_who_lost_it(owner: str) -> None:
    home = two_quick_hunts()
    taken: list[bool] = []
    dead: list[str] = []

    def stall(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "exports.tables") and not taken:
            # 45 s of work, the bound of one call, and a minute by which clocks may differ: until
            # then nobody else may act.
            home.clock.forward(114)
            taken.append(control_loop.take_turn(home.beside(owner)))
            home.clock.forward(1)
            home.wire.hook = killed
            with pytest.raises(Crash):
                control_loop.take_turn(home.beside(owner))
            home.wire.hook = lambda *_: None

    def killed(_phase: str, operation: str, _subject: str) -> None:
        dead.append(operation)
        if "ledger.list" in dead:
            raise Crash

    home.wire.hook = stall
    assert control_loop.take_turn(home.deployment)
    assert taken == [False]
    assert claim(home).owner == owner
    assert claim(home).until == home.clock() + timedelta(seconds=55)


@pytest.mark.parametrize("ahead", [-60, 60])
def test_a_clock_that_differs_by_a_minute_neither_takes_a_turn_away_nor_waits(ahead: int) -> None:
    home, seen = two_quick_hunts(), []
    other = home.beside("host-2", clock=lambda: home.clock() + timedelta(seconds=ahead))

    def meanwhile(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "exports.tables"):
            home.clock.forward(44)
            seen.append(control_loop.take_turn(other))

    home.wire.hook = meanwhile
    assert control_loop.take_turn(home.deployment)
    assert seen == [False]
    assert control_loop.take_turn(other)  # what was released is free by any clock


def test_two_at_the_same_moment_are_one_turn() -> None:
    home = two_quick_hunts()
    seen: list[bool | None] = []

    def race(phase: str, operation: str, subject: str) -> None:
        if (phase, operation, subject) == ("after", "ledger.read", "turn.json") and not seen:
            seen.append(None)
            seen.append(control_loop.take_turn(home.beside("host-2")))

    home.wire.hook = race
    assert not control_loop.take_turn(home.deployment)
    assert seen == [None, True]


def test_a_ledger_belongs_to_one_deployment_and_a_stranger_does_not_starve_it() -> None:
    home = two_quick_hunts()
    stranger = home.beside("x", settings=house.settings(deployment="another"))
    home.tick()
    for _ in range(3):
        with pytest.raises(BadInput, match="belongs to deployment 'tidehunt'"):
            control_loop.take_turn(stranger)
        assert control_loop.take_turn(home.deployment)


def test_an_event_takes_a_turn_only_when_the_last_one_is_old() -> None:
    home = two_quick_hunts()
    assert control_loop.take_turn_if_stale(home.deployment)
    home.clock.forward(299)
    assert not control_loop.take_turn_if_stale(home.deployment)
    home.clock.forward(1)
    assert control_loop.take_turn_if_stale(home.deployment)


def test_events_read_the_claim_once_while_a_turn_is_young() -> None:
    home = two_quick_hunts()
    other = home.beside("host-2", heard=Heard())
    home.tick(1, 0)
    before = home.wire.calls
    for _ in range(100):
        assert not control_loop.take_turn_if_stale(other)
    assert home.wire.calls == before + 1
    home.clock.forward(299)
    home.tick(1, 1)  # another host's turn, which this one has not heard of
    assert not control_loop.take_turn_if_stale(other)
    home.clock.forward(299)
    assert control_loop.take_turn_if_stale(other)


def test_a_turn_that_fails_is_released_all_the_same() -> None:
    home = two_quick_hunts()

    def refuse(phase: str, operation: str, subject: str) -> None:
        if (phase, operation, subject) == ("before", "ledger.list", "active/runs/"):
            raise Transient("503")

    home.wire.hook = refuse
    with pytest.raises(Transient):
        control_loop.take_turn(home.deployment)
    home.wire.hook = lambda *_: None
    assert control_loop.take_turn(home.deployment)


# --- isolation ----------------------------------------------------------------------------------


def test_broken_documents_of_every_kind_end_no_turn() -> None:
    home = two_quick_hunts()
    place = c.workspace_key(WORKSPACE)
    for path in (
        "active/runs/live/20260309-a-broken-one-r0.json", "active/jobs/job-x.json",
        "requests/x.json", f"days/{place}/{TABLE}/20260307.json", f"touched/{place}/{TABLE}/x",
        f"hunts/{OTHER_GUID}/{place}.json",
    ):  # fmt: skip
        home.ledger.plant(path, b'{"schema": 1, "what": ')
    home.land(house.hours_of_days(*DAYS))
    stuck = a_run(id="20260301-beaconing-stuck-r0", status="delivering", step="sending", job="j")
    home.deployment.records.save(Kept(run_path(stuck), stuck, None), stuck)
    home.live(2, 60)
    ends = {record.id: record.status for record in _usable_runs(home)}
    assert ends.pop(stuck.id) == "held"
    assert ends == {f"20260309-beaconing-{place}-r0": "done"}


def _usable_runs(home: House) -> list[Any]:
    active = [kept.value for kept in home.deployment.records.runs()]
    done = [path for path in home.ledger.contents() if path.startswith("done/")]
    found = [home.deployment.records.find_run(path.rsplit("/", 1)[1][:-5]) for path in done
             if "/job-" not in path]  # fmt: skip
    return [*active, *(kept.value for kept in found if kept)]


@pytest.mark.parametrize("operation", ["engine.get", "sink.send", "exports.blobs"])
def test_a_service_that_hangs_leaves_room_for_the_others(operation: str) -> None:
    home = two_quick_hunts(jobs_at_once="10", coalesce_seconds="0", settle_seconds="0")
    for day in range(1, 7):
        run = a_run(id=f"2026030{day}-beaconing-n-r0", slot=house.day_window(f"2026030{day}"))
        home.deployment.records.save(Kept(run_path(run), run, None), run)
        home.tick()
    home.work()

    def hang(phase: str, what: str, _subject: str) -> None:
        if (phase, what) == ("before", operation):
            home.clock.forward(10)
            raise Transient("timed out")

    home.wire.hook = hang
    home.land(["2026030923"])
    home.tick(10)
    fresh = [run for run in home.runs().values() if run.slot == house.day_window("20260309")]
    # The six old runs are stuck behind the pool or the sink; or the new ones behind the exports.
    assert len(fresh) == (0 if operation == "exports.blobs" else 2)
    assert bool(home.sink.rows) == (operation == "exports.blobs")


def test_an_idle_turn_costs_the_same_at_any_age() -> None:
    home, costs = two_quick_hunts(), []
    for day in range(3):
        home.land(house.hours_of_days(f"2026030{day + 7}"))
        home.live(24, 300)
        home.tick()
        before = home.wire.calls
        control_loop.take_turn(home.deployment)
        costs.append(home.wire.calls - before)
    assert len(home.documents("done/")) > 4
    assert costs[0] == costs[1] == costs[2] < 25


def test_a_manifests_event_delivers_its_run_before_the_tick() -> None:
    home = two_quick_hunts()
    home.land(house.hours_of_days(*DAYS))
    home.tick(5)
    (request,) = home.engine.requests
    run_id = home.plan(request.job_id)["runs"][0]["run_id"]
    home.work()
    control_loop.deliver_result(home.deployment, request.job_id, "20260309-nobody-x-r0")
    control_loop.deliver_result(home.deployment, "job-20260101000000-00000000", run_id)
    assert home.sink.rows == []
    assert control_loop.deliver_result(home.deployment, request.job_id, run_id)
    assert [row["RunId"] for row in home.sink.rows] == [run_id]


def test_only_the_job_that_a_run_names_decides_about_it() -> None:
    home = two_quick_hunts()
    home.land(house.hours_of_days(*DAYS))
    home.tick(5)
    (request,) = home.engine.requests
    runs = home.runs()
    job = home.deployment.records.jobs()[0].value
    lost = replace(job, id="job-20260310000000-00000000", engine_id=None, status="lost")
    ended = replace(job, id="job-20260310000001-00000000", status="ended", next_at=home.clock())
    for other in (lost, ended):
        home.deployment.records.save(Kept(job_path(other.id), other, None), other)
        for run_id in runs:
            home.land_results(other.id, run_id, [house.a_finding()])
    home.tick(5)
    assert home.runs() == runs and home.sink.rows == []
    assert [kept.value.id for kept in home.deployment.records.jobs()] == [request.job_id]


def test_a_benign_closure_marks_tomorrows_rows_as_suppressed() -> None:
    home = two_quick_hunts()
    home.land(house.hours_of_days("20260309"))
    home.live(12, 300)
    for workspace, incident in list(home.incidents.incidents):
        home.incidents.change(workspace, incident, status="Closed", classification="FalsePositive")
    home.land(house.hours_of_days("20260310"))
    home.live(24, 300)
    marked = [(row["SlotStart"][:10], row["Suppressed"]) for row in home.sink.rows]
    assert sorted(marked) == 2 * [("2026-03-09", False)] + 2 * [("2026-03-10", True)]
    assert len(home.incidents.incidents) == 2
    assert sum(run.counts.quiet for run in home.runs().values()) == 2


# --- runs that came to nothing --------------------------------------------------------------------


def gaps(home: House) -> list[tuple[str, str]]:
    """Start and reason of the gaps that are none of the first start's."""
    (record,) = home.documents("hunts/").values()
    found = [(gap["start"][:10], gap["reason"]) for gap in record.get("gaps", [])]
    return [gap for gap in found if gap[1] != FIRST_START]


def quick() -> House:
    at_once = {"coalesce_seconds": "0", "settle_seconds": "60", "readback_seconds": "0"}
    return house.build(None, **at_once)


def fail(home: House) -> None:
    """The hunt raises in the job that is under way."""
    (engine_id, job), *_ = (
        (key, job) for key, job in home.engine.jobs.items() if job.state == "queued"
    )
    (run,) = home.plan(job.job_id)["runs"]
    home.land_results(job.job_id, run["run_id"], [], status="failed", error="KeyError: 'x'")
    home.engine.enter(engine_id, "succeeded")


def test_a_failed_run_leaves_a_declared_gap_that_late_data_closes() -> None:
    home = quick()
    home.land(house.hours_of_days("20260309"))
    home.tick(4)
    fail(home)
    home.tick(3)
    (run,) = home.runs().values()
    assert (run.status, gaps(home)) == ("failed", [("2026-03-09", f"run {run.id} failed")])
    home.land(["2026030907"], content="{}{}")
    home.live(1)
    assert sorted(one.status for one in home.runs().values()) == ["done", "failed"]
    assert gaps(home) == []


def test_a_failed_revision_of_a_slot_that_was_judged_is_no_gap() -> None:
    home = quick()
    home.land(house.hours_of_days("20260309"))
    home.live(1)
    home.land(["2026030907"], content="{}{}")
    home.tick(8)
    fail(home)
    home.tick(3)
    assert [one.status for one in home.runs().values()] == ["done", "failed"]
    assert gaps(home) == []


def test_a_cancelled_run_leaves_a_declared_gap() -> None:
    home = quick()
    home.land(house.hours_of_days("20260309"))
    home.tick(3)
    (run,) = home.runs().values()
    assert requests.ask_change(home.deployment, "cancel", run.id)
    home.tick(3)
    assert gaps(home) == [("2026-03-09", f"run {run.id} cancelled")]


def test_a_run_that_its_slot_never_named_leaves_a_gap_when_it_is_cancelled() -> None:
    home = quick()
    home.land(house.hours_of_days("20260309"))
    lost: list[str] = []

    def lose_the_answer(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("after", "ledger.create") and "active/runs/" in subject:
            lost.append(subject)
            raise OutcomeUnknown("no answer")

    home.wire.hook = lose_the_answer
    while not lost:
        home.tick()
    home.wire.hook = lambda *_: None
    (run,) = home.runs().values()
    assert requests.ask_change(home.deployment, "cancel", run.id)
    home.tick(3)
    assert gaps(home) == [("2026-03-09", f"run {run.id} cancelled")]
