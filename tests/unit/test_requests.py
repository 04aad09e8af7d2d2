"""What people ask for: ad-hoc runs, cancels, releases, and runs that are done again."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from shared import contract as c
from shared import requests as asking
from shared.documents import encode
from shared.errors import BadInput, Permanent, Transient
from shared.model import Param, Request, Run
from shared.records import Kept, done_path, run_path
from tests.unit import house
from tests.unit.house import OTHER, WORKSPACE, House, a_run, day_window, spec

PLACE = c.workspace_key(WORKSPACE)
THRESHOLD = Param("threshold", 0.7, 0.0, 1.0)


@pytest.fixture
def home() -> House:
    """A hunt with a parameter; the lake was listed once."""
    home = house.build([spec(params=(THRESHOLD,))], settle_seconds="0", coalesce_seconds="600")
    home.tick()
    return home


def ask(home: House, **changes: Any) -> str:
    """Ask for an ad-hoc run; its id."""
    given: dict[str, Any] = {
        "hunt": "beaconing",
        "workspace": None,
        "end_date": "2026-02-28",
        "lookback_days": None,
        "overrides": {},
        "incidents": True,
        **changes,
    }
    return asking.ask_run(home.deployment, **given).run_id


def requests(home: House) -> list[str]:
    return [path for path in home.ledger.contents() if path.startswith("requests/")]


def finish(home: House, run_id: str) -> None:
    """Put a run away as done, as a turn would."""
    kept = home.deployment.records.find_run(run_id)
    assert kept is not None
    home.deployment.records.finish(Kept(kept.path, replace(kept.value, status="done"), ""), run_id)


# --- ad-hoc requests ------------------------------------------------------------------------------


def test_the_lookback_ends_on_and_includes_the_end_date(home: House) -> None:
    run_id = ask(home)
    home.tick()
    run = home.runs()[run_id]
    assert run.window == day_window("20260228", 21)
    assert (run.slot, run.kind, run.revision) == (day_window("20260228"), "adhoc", 0)
    assert requests(home) == [] and run.status == "assigned"


def test_the_same_request_twice_is_one_run_however_it_is_spelt(home: House) -> None:
    spellings: list[dict[str, Any]] = [
        {},
        {"end_date": "20260228"},
        {"lookback_days": 21},
        {"workspace": "contoso"},
        {"workspace": PLACE},
        {"workspace": WORKSPACE.upper()},
        {"overrides": {"threshold": 0.7}},
    ]
    ids = {ask(home, **spelling) for spelling in spellings}
    assert len(ids) == len(requests(home)) == 1
    home.tick()
    assert {ask(home), *home.runs()} == ids
    finish(home, ids.pop())
    assert ask(home) in home.runs()
    home.tick()
    assert len(home.runs()) == 1 and requests(home) == []


def test_another_request_is_another_run(home: House) -> None:
    ids = {
        ask(home),
        ask(home, end_date="2026-02-27"),
        ask(home, lookback_days=20),
        ask(home, overrides={"threshold": 0.8}),
        ask(home, incidents=False),
    }
    assert len(ids) == 5 and all(c.RUN_ID.fullmatch(run_id) for run_id in ids)
    home.tick()
    assert {run.params["threshold"] for run in home.runs().values()} == {0.7, 0.8}


def test_again_asks_for_the_next_revision_of_an_ended_run_only(home: House) -> None:
    first = ask(home)
    home.tick()
    assert ask(home, again=True) == first
    finish(home, first)
    second = ask(home, again=True)
    assert second == first.removesuffix("0") + "1" == ask(home, again=True)
    home.tick()
    assert home.runs()[second].revision == 1


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"hunt": "beaconin"}, "hunt"),
        ({"hunt": ""}, "hunt"),
        ({"workspace": "fabrikam"}, "workspace"),
        ({"end_date": ""}, "end_date"),
        ({"end_date": "2026-02-29"}, "end_date"),
        ({"end_date": "28.02.2026"}, "end_date"),
        ({"end_date": "9999-12-31"}, "end_date"),
        ({"end_date": "0001-01-01"}, "end_date"),
        ({"end_date": "1999-12-31"}, "end_date"),
        ({"end_date": "２０２６０２２８"}, "end_date"),  # noqa: RUF001 digits of another script
        ({"end_date": None}, "end_date"),
        ({"lookback_days": 0}, "lookback_days"),
        ({"lookback_days": 401}, "lookback_days"),
        ({"lookback_days": True}, "lookback_days"),
        ({"lookback_days": 2.5}, "lookback_days"),
        ({"overrides": {"treshold": 0.7}}, "treshold"),
        ({"overrides": {"threshold": 7}}, "threshold"),
        ({"overrides": {"threshold": float("nan")}}, "threshold"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(
    home: House, changes: dict[str, Any], where: str
) -> None:
    with pytest.raises(BadInput) as error:
        ask(home, **changes)
    assert error.value.where == where and error.value.mend
    assert requests(home) == []


def test_a_workspace_must_be_named_where_there_are_several() -> None:
    home = house.build([spec()], workspaces=f"{WORKSPACE};{OTHER}")
    with pytest.raises(BadInput, match="which workspace"):
        ask(home)
    assert c.workspace_key(OTHER) in ask(home, workspace="fabrikam")


@pytest.mark.parametrize("end_date", ["2000-01-01", "2199-12-31"])
def test_the_first_and_the_last_day_can_be_run(home: House, end_date: str) -> None:
    run_id = ask(home, end_date=end_date, lookback_days=400)
    home.tick(2)
    assert home.runs()[run_id].status == "assigned"


# --- cancels ------------------------------------------------------------------------------------


def test_a_run_that_is_asked_and_taken_back_never_starts(home: House) -> None:
    run_id = ask(home)
    assert asking.ask_change(home.deployment, "cancel", run_id)
    home.tick(2)
    assert home.runs()[run_id].status == "cancelled"
    assert home.engine.requests == [] and requests(home) == []


def test_a_cancel_names_a_run_that_is_there(home: House) -> None:
    for nobody in ("20260309-no-such-run-r0", "../owner", "", "20260309-\x00"):
        assert not asking.ask_change(home.deployment, "cancel", nobody)
    assert requests(home) == []


def test_a_cancel_of_an_ended_run_changes_nothing(home: House) -> None:
    for run in (
        a_run(status="done", reason="x"),
        a_run(id="20260308-beaconing-other-r0", status="failed", reason="y"),
    ):
        home.deployment.records.save(Kept(run_path(run), run, None), run)
        assert asking.ask_change(home.deployment, "cancel", run.id)
    before = home.runs()
    home.tick()
    assert home.runs() == before and requests(home) == []
    assert set(home.documents("done/")) >= {done_path(run_id) for run_id in before}


def test_a_request_that_cannot_be_read_or_carried_out_spares_the_others(home: House) -> None:
    home.ledger.plant("requests/20260101-aaaa-broken-r0.json", b"{")
    gone = Request("run", "20260101-bbbb-gone-r0", home.clock(), "no_such_hunt", WORKSPACE,
                   "20260101", 21)  # fmt: skip
    home.ledger.put(f"requests/{gone.run_id}.json", encode(gone))
    run_id = ask(home)

    def refuse(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("before", "ledger.create") and "20260201" in subject:
            raise Transient("503")

    home.wire.hook = refuse
    stuck = ask(home, end_date="2026-02-01")
    home.tick()
    assert list(home.runs()) == [run_id]
    home.wire.hook = lambda *_: None
    home.tick()
    assert set(home.runs()) == {run_id, stuck}
    assert requests(home) == ["requests/20260101-aaaa-broken-r0.json"]


# --- releases -------------------------------------------------------------------------------------


def only_run(home: House) -> Run:
    (run,) = home.runs().values()
    return run


def held(home: House) -> str:
    """A run that its engine never takes; its id."""
    run_id = ask(home)

    def refuse(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "engine.submit"):
            raise Permanent("more cores than the pool has")

    home.wire.hook = refuse
    home.tick(3)
    assert only_run(home).status == "held"
    home.wire.hook = lambda *_: None
    return run_id


def test_a_released_run_goes_on_at_once(home: House) -> None:
    run_id = held(home)
    home.tick(5)
    assert home.engine.requests == []
    assert asking.ask_change(home.deployment, "release", run_id)
    home.tick(2)
    assert (len(home.engine.requests), only_run(home).status) == (1, "assigned")
    assert requests(home) == []


def test_a_cancel_gives_its_reason(home: House) -> None:
    run_id = held(home)
    assert asking.ask_change(home.deployment, "cancel", run_id, "the pool is gone")
    home.tick()
    assert (only_run(home).status, only_run(home).reason) == ("cancelled", "the pool is gone")


@pytest.mark.parametrize(
    ("change", "status"), [("release", "done"), ("release", "waiting"), ("redrive", "done")]
)
def test_what_does_not_fit_a_run_is_refused(home: House, change: Any, status: Any) -> None:
    run = a_run(status=status)
    home.deployment.records.save(Kept(run_path(run), run, None), run)
    with pytest.raises(BadInput, match=status):
        asking.ask_change(home.deployment, change, run.id)
    assert not asking.ask_change(home.deployment, change, "20260309-no-such-run-r0")
    assert requests(home) == []


# --- runs that are done again -------------------------------------------------------------------


def fail(home: House) -> str:
    """The hunt raises in the job that is under way; the run's id."""
    job = home.engine.requests[-1].job_id
    (run,) = home.plan(job)["runs"]
    home.land_results(job, run["run_id"], [], status="failed", error="KeyError: 'x'")
    home.engine.enter(str(len(home.engine.requests) - 1), "succeeded")
    home.tick(3)
    assert home.runs()[run["run_id"]].status == "failed"
    return str(run["run_id"])


def test_a_failed_slot_is_judged_again_at_once_and_its_gap_closes(home: House) -> None:
    home.land(["2026030923"])
    home.tick(15)
    run_id = fail(home)
    (record,) = home.documents("hunts/").values()
    assert [gap["reason"] for gap in record["gaps"]] == [f"run {run_id} failed"]
    assert asking.ask_change(home.deployment, "redrive", run_id)
    assert asking.ask_change(home.deployment, "redrive", run_id)
    home.live(1, 60)
    again = home.runs()[run_id.replace("-r0", "-r1")]
    assert (len(home.runs()), again.status, again.revision, again.kind) == (2, "done", 1, "live")
    (record,) = home.documents("hunts/").values()
    assert record.get("gaps", []) == []


def test_a_slot_that_a_newer_run_has_is_not_judged_a_third_time(home: House) -> None:
    home.land(["2026030923"])
    home.tick(15)
    run_id = fail(home)
    asking.ask_change(home.deployment, "redrive", run_id)
    home.live(1, 60)
    asking.ask_change(home.deployment, "redrive", run_id)
    home.live(1, 60)
    assert len(home.runs()) == 2 and requests(home) == []


def test_an_ad_hoc_run_is_done_again_as_it_was_asked(home: House) -> None:
    run_id = ask(home, lookback_days=3, overrides={"threshold": 0.9}, incidents=False)
    home.tick(2)
    assert fail(home) == run_id
    asking.ask_change(home.deployment, "redrive", run_id)
    home.live(1, 60)
    first, again = home.runs()[run_id], home.runs()[run_id.replace("-r0", "-r1")]
    assert (again.status, again.window, again.params, again.incidents, again.kind) == (
        "done", first.window, {"threshold": 0.9}, False, "adhoc"
    )  # fmt: skip


def test_a_crash_while_a_slot_is_taken_up_again_makes_one_run(home: House) -> None:
    home.land(["2026030923"])
    home.tick(15)
    run_id = fail(home)
    asking.ask_change(home.deployment, "redrive", run_id)
    for crashed in range(6):
        left = crashed

        def crash(phase: str, operation: str, subject: str) -> None:
            nonlocal left
            if phase == "after" and operation.startswith("ledger.") and "r1" in subject:
                left -= 1
                if left < 0:
                    raise house.Crash

        home.wire.hook = crash
        try:
            home.tick()
        except house.Crash:
            home.clock.forward(60)
        home.wire.hook = lambda *_: None
    home.live(2, 60)
    assert sorted(run.status for run in home.runs().values()) == ["done", "failed"]
