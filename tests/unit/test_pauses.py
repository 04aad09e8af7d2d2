"""The pause: nothing new starts, what runs is delivered, and after it nothing is missing."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from shared import http_api, pauses
from shared.callers import OPERATOR
from shared.errors import Transient
from shared.http_api import answer, start_run, status
from shared.model import Json
from tests.unit import house
from tests.unit.delivering import refuse
from tests.unit.house import WORKSPACE, Crash, House, a_finding, hours_of_days, run_of, spec
from tests.unit.waiting_runs import fast, jobs, numbered, only_run, waiting

EASY = {"X-MS-CLIENT-PRINCIPAL-NAME": "ada@contoso.example"}


def ask(home: House, change: Any, reason: str = "", headers: Any = None) -> tuple[int, Json]:
    """POST /api/pause or /api/resume."""
    body = json.dumps({"reason": reason}).encode()
    return answer(
        lambda: home.deployment,
        {},
        OPERATOR,
        lambda one: http_api.pause(one, change, headers or {}, body),
    )


def pause(home: House, reason: str = "the pool is rebuilt") -> None:
    pauses.ask(home.deployment, "pause", reason, "")
    home.tick()


def resume(home: House) -> None:
    pauses.ask(home.deployment, "resume", "", "")
    home.tick()


# --- asking -------------------------------------------------------------------------------------


def test_it_is_asked_for_and_a_turn_takes_it_up() -> None:
    home = fast()
    home.tick()
    assert ask(home, "pause", "the pool\nis rebuilt")[0] == 202
    assert status(home.deployment)[1]["pause"] is None
    home.tick()
    told = status(home.deployment)[1]["pause"]
    assert (told["reason"], told["by"]) == ("the pool is rebuilt", "")
    assert "tidehunt resume" in told["mend"] and told["since"]
    assert ask(home, "resume")[0] == 202
    home.tick()
    assert status(home.deployment)[1]["pause"] is None
    assert home.documents("pause") == {} and home.documents("requests/") == {}


@pytest.mark.parametrize("reason", ["", "  ", "\n"])
def test_a_pause_without_a_reason_is_refused(reason: str) -> None:
    home = fast()
    code, body = ask(home, "pause", reason)
    assert (code, body["where"], home.documents("requests/")) == (400, "reason", {})


@pytest.mark.parametrize(("auth", "by"), [("easyauth", "ada@contoso.example"), ("keys", "")])
def test_who_asked_is_told_where_easy_auth_tells_it(auth: str, by: str) -> None:
    home = fast(auth=auth)
    body = b'{"reason": "why"}'
    assert http_api.pause(home.deployment, "pause", EASY, body)[0] == 202
    home.tick()
    assert status(home.deployment)[1]["pause"]["by"] == by


def test_who_asks_last_is_heard() -> None:
    home = fast()
    ask(home, "pause", "first thought")
    ask(home, "resume")
    home.tick()
    assert pauses.paused(home.deployment.records) is None


def test_what_is_asked_while_the_contrary_is_carried_out_is_not_lost() -> None:
    home = fast()
    pauses.ask(home.deployment, "pause", "x", "")

    def hook(phase: str, what: str, subject: str) -> None:
        if (phase, what, subject) == ("after", "ledger.create", pauses.PAUSE):
            pauses.ask(home.deployment, "resume", "", "")

    home.wire.hook = hook
    home.tick(2)
    assert pauses.paused(home.deployment.records) is None and home.documents("requests/") == {}


def test_a_second_pause_keeps_since_when_it_lasts() -> None:
    home = fast()
    pause(home, "first")
    since = status(home.deployment)[1]["pause"]["since"]
    pause(home, "second")
    told = status(home.deployment)[1]["pause"]
    assert (told["since"], told["reason"]) == (since, "second")


def test_a_pause_that_cannot_be_read_lasts_and_says_so_until_it_is_ended() -> None:
    home = fast()
    home.ledger.plant(pauses.PAUSE, b"{")
    waiting(home)
    home.tick(3)
    assert home.engine.requests == []
    assert pauses.PAUSE in status(home.deployment)[1]["pause"]["reason"]
    resume(home)
    assert len(home.engine.requests) == 1


# --- what it stops, and what it does not ----------------------------------------------------------


def test_no_job_goes_out_while_it_lasts_not_even_one_that_was_planned() -> None:
    home = fast()
    waiting(home, *numbered(2))
    home.wire.hook = _without_plans
    with contextlib.suppress(Crash):
        home.tick()
    assert [job.status for job in jobs(home)] == ["planned"]
    home.wire.hook = lambda *_: None
    pauses.ask(home.deployment, "pause", "the pool is rebuilt", "")
    home.clock.forward(120)  # until the dead host's claim has run out
    waiting(home, *numbered(1, attempt=1, kind="adhoc"))
    home.tick(90)
    assert home.engine.requests == [] and [job.status for job in jobs(home)] == ["planned"]
    resume(home)
    home.tick()
    assert len(home.engine.requests) == 2


def _without_plans(phase: str, what: str, subject: str) -> None:
    """The host dies before a plan is in the lake, after its job is."""
    if (phase, what) == ("after", "ledger.create") and subject.startswith("active/jobs/"):
        raise Crash


def test_a_job_whose_plan_could_not_be_written_does_not_go_out_either() -> None:
    home = fast()
    waiting(home)
    home.wire.hook = refuse("results.write", Transient("no plan can be written"))
    home.tick()
    assert (only_run(home).status, jobs(home)[0].status) == ("assigned", "planned")
    pause(home)
    home.wire.hook = lambda *_: None
    home.tick(9)
    assert home.engine.requests == []
    resume(home)
    assert [request.job_id for request in home.engine.requests] == [jobs(home)[0].id]


def test_what_runs_is_watched_delivered_and_put_away() -> None:
    home = fast()
    waiting(home)
    home.tick()
    pause(home)
    home.work()
    home.tick(5)
    assert only_run(home).status == "done" and jobs(home) == []
    assert len(home.sink.rows) == len(home.incidents.incidents) == 1


def test_a_deadline_ends_a_job_and_its_run_waits_for_the_end_of_the_pause() -> None:
    home = fast()
    waiting(home)
    home.tick()
    pause(home)
    home.tick(60)
    assert (home.engine.jobs["0"].state, only_run(home).status) == ("cancelled", "waiting")
    assert len(home.engine.requests) == 1
    resume(home)
    assert len(home.engine.requests) == 2


def test_marks_sweeps_and_requests_go_on() -> None:
    home = fast()
    home.tick()
    pause(home)
    home.land(["2026030923"])
    body = b'{"hunt": "beaconing", "end_date": "2026-03-01"}'
    asked = answer(lambda: home.deployment, {}, OPERATOR, lambda one: start_run(one, body))[1]
    home.tick(20)
    told = status(home.deployment)[1]
    assert told["waiting"] == {"marks": 0, "requests": 0, "slots": 1}
    assert [run.id for run in home.runs().values()] == [asked["run_id"]]
    assert only_run(home).status == "waiting"
    swept = told["last_sweep"]
    home.tick(20)
    assert status(home.deployment)[1]["last_sweep"] > swept
    ends = json.dumps({"schema": 1, "kind": "cancel", "run_id": asked["run_id"], "asked": swept})
    home.ledger.plant(f"requests/{asked['run_id']}.cancel.json", ends.encode())
    home.tick()
    assert only_run(home).status == "cancelled"


# --- afterwards -----------------------------------------------------------------------------------


def by_slot(run: Json) -> list[Json]:
    """One finding a slot."""
    return [a_finding(run=run_of(run), dst="192.0.2.8", Evidence={"Bytes": run["bytes"]})]


def _lived(*, paused: tuple[int, int] | None) -> tuple[set[str], set[str], dict[str, Any]]:
    """A day of hourly data, with late blobs; findings, slots that are done, the time line."""
    home = house.build([spec(slot="hour", lookback_days=1)], coalesce_seconds="0",
                       settle_seconds="300", readback_seconds="60",
                       runs_a_hunt_a_day="200")  # fmt: skip
    home.hunting = by_slot
    home.tick()
    hours = hours_of_days("20260309")[-3:] + hours_of_days("20260310")[:14]
    for number, hour in enumerate(hours):
        if paused and number in paused:
            pauses.ask(home.deployment, "pause" if number == paused[0] else "resume", "x", "")
        home.land([hour])
        home.live(0.5)
        home.land([hours[max(0, number - 2)]], name=f"late-{number}.json")
        home.live(0.5)
    home.live(20)
    record = home.deployment.records.hunt(house.GUID, WORKSPACE).value
    done = {run.slot.start.isoformat() for run in home.runs().values() if run.status == "done"}
    assert all(run.status == "done" for run in home.runs().values())
    return {row["FindingId"] for row in home.sink.rows}, done, {
        "watermark": record.watermark, "gaps": record.gaps, "days": home.documents("days/").keys()
    }  # fmt: skip


def test_with_a_pause_in_the_middle_the_outcome_is_the_same() -> None:
    usual = _lived(paused=None)
    assert len(usual[0]) == len(usual[1]) > 10
    assert _lived(paused=(5, 11)) == usual
