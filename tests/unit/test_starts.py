"""Runs that begin: due slots, requests, their ids, and what never starts twice."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import contract as c
from shared import starts
from shared.documents import encode
from shared.errors import BadInput, Transient
from shared.model import HuntSpec, Param, Request
from shared.records import Kept, done_path, run_path
from tests.unit import house
from tests.unit.house import GUID, OTHER, OTHER_GUID, WORKSPACE, House, a_run, day_window, spec

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
    return starts.ask_run(home.deployment, **given).run_id


def requests(home: House) -> list[str]:
    return [path for path in home.ledger.contents() if path.startswith("requests/")]


def finish(home: House, run_id: str) -> None:
    """Put a run away as done, as a turn would."""
    kept = home.deployment.records.find_run(run_id)
    assert kept is not None
    home.deployment.records.finish(Kept(kept.path, replace(kept.value, status="done"), ""), run_id)


# --- due slots ----------------------------------------------------------------------------------


def test_a_due_slot_becomes_one_waiting_run_that_names_itself(home: House) -> None:
    home.land(["2026030923"])
    home.tick()
    (run,) = home.runs().values()
    assert run.id == f"20260309-beaconing-{PLACE}-r0" and c.RUN_ID.fullmatch(run.id)
    assert (run.slot, run.window) == (day_window("20260309"), day_window("20260309", 21))
    assert (run.kind, run.params, run.incidents) == ("live", {"threshold": 0.7}, True)
    assert run.next_at == run.created + timedelta(seconds=600)
    home.tick(5)
    assert list(home.runs()) == [run.id]


def test_an_hourly_slot_has_its_hour_in_its_id() -> None:
    home = house.build([spec(slot="hour")], settle_seconds="0")
    home.land(["2026030923"])
    home.tick()
    assert list(home.runs()) == [f"20260309-beaconing-{PLACE}-h23-r0"]


def test_a_shadow_hunt_runs_without_incidents_and_a_draft_not_at_all() -> None:
    hunts = [spec(status="shadow"), spec(module="draft_one", guid=OTHER_GUID, status="draft")]
    home = house.build(hunts, settle_seconds="0")
    home.land(["2026030923"])
    home.tick()
    assert [(run.hunt, run.incidents) for run in home.runs().values()] == [("beaconing", False)]


def test_a_scheduled_run_does_not_wait_for_others() -> None:
    home = house.build([spec(arrival=False, schedule="15 0 * * *")], settle_seconds="0")
    home.land(["2026030923"])
    home.tick(10)
    assert home.runs() == {}
    home.tick()
    (run,) = home.runs().values()
    assert run.status == "assigned"  # though others coalesce for an hour
    record = home.deployment.records.hunt(GUID, WORKSPACE).value
    assert record.next_fire == house.START + timedelta(days=1, minutes=10)


def test_a_hunt_that_comes_later_judges_the_newest_slot_of_what_is_there() -> None:
    home = house.build([spec()], settle_seconds="0", coalesce_seconds="7200")
    home.land(["2026030801", "2026030923"])
    home.tick()
    newcomer = spec(module="newcomer", guid=OTHER_GUID)
    home.deployment = replace(home.deployment, hunts=[*home.deployment.hunts, newcomer])
    home.tick()
    assert [run.slot for run in home.runs().values()] == 2 * [day_window("20260309")]
    before = home.wire.calls
    home.tick()
    assert home.wire.calls - before < 30  # it got acquainted once
    record = home.deployment.records.hunt(OTHER_GUID, WORKSPACE).value
    assert [gap.reason for gap in record.gaps] == ["before the first run"]


def test_nothing_starts_before_the_lake_was_listed_once() -> None:
    home = house.build(settle_seconds="0", coalesce_seconds="0")

    def silent(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("before", "exports.tables"):
            raise Transient("503")

    home.wire.hook = silent
    home.land(["2026030923"])
    home.tick(3)
    assert home.runs() == {}
    home.wire.hook = lambda *_: None
    home.tick()
    assert len(home.runs()) == 1


def test_runs_of_a_hunt_are_capped_by_the_day_before_any_job_is_planned() -> None:
    hunts = [spec(slot="hour"), spec(module="other_hunt", guid=OTHER_GUID)]
    home = house.build(
        hunts, settle_seconds="0", runs_a_hunt_a_day="4", coalesce_seconds="7200", jobs_a_day="1"
    )
    home.land(["2026030900"])
    home.tick()
    home.land([f"20260309{hour:02d}" for hour in range(1, 12)])
    home.tick(5)
    of_hour = [run_id for run_id in home.runs() if "-h" in run_id]
    assert len(of_hour) == 4 and of_hour[-1].endswith("-h11-r0")
    assert len(home.runs()) == 5
    home.clock.forward(24 * 3600)
    home.tick(2)
    assert len([run_id for run_id in home.runs() if "-h" in run_id]) == 8


def test_one_hunts_trouble_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    hunts = [spec(), spec(module="other_hunt", guid=OTHER_GUID)]
    home = house.build(hunts, settle_seconds="0", coalesce_seconds="0")
    home.ledger.plant(f"hunts/{GUID}/{PLACE}.json", b'{"schema": 99}')
    home.land(["2026030923"])
    home.tick()
    assert [run.hunt for run in home.runs().values()] == ["other_hunt"]
    assert f"hunts/{GUID}/{PLACE}.json" in caplog.text


def test_an_unexpected_trouble_spares_the_other_hunts_too(home: House) -> None:
    hunts: list[HuntSpec] = [
        spec(module="bad_cron", guid=OTHER_GUID, schedule="61 * * * *"), *home.deployment.hunts,
    ]  # fmt: skip
    home.deployment = replace(home.deployment, hunts=hunts)
    home.land(["2026030923"])
    home.tick()
    assert "beaconing" in {run.hunt for run in home.runs().values()}


def test_a_crash_after_saving_the_run_finds_it_again_by_its_id(home: House) -> None:
    home.land(["2026030923"])
    saved = f"active/runs/live/20260309-beaconing-{PLACE}-r0.json"

    def crash(phase: str, operation: str, subject: str) -> None:
        replaces = (phase, operation) == ("before", "ledger.replace")
        if replaces and subject.startswith("hunts/") and saved in home.ledger.contents():
            raise Transient("503")

    home.wire.hook = crash
    home.tick()
    before = home.ledger.contents()[saved]
    assert home.deployment.records.hunt(GUID, WORKSPACE).value.watermark is None
    home.wire.hook = lambda *_: None
    home.tick()
    assert home.deployment.records.hunt(GUID, WORKSPACE).value.watermark is not None
    assert home.ledger.contents()[saved] == before


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
    assert starts.ask_cancel(home.deployment, run_id)
    home.tick(2)
    assert home.runs()[run_id].status == "cancelled"
    assert home.engine.requests == [] and requests(home) == []


def test_a_cancel_names_a_run_that_is_there(home: House) -> None:
    for nobody in ("20260309-no-such-run-r0", "../owner", "", "20260309-\x00"):
        assert not starts.ask_cancel(home.deployment, nobody)
    assert requests(home) == []


def test_a_cancel_of_an_ended_run_changes_nothing(home: House) -> None:
    for run in (
        a_run(status="done", reason="x"),
        a_run(id="20260308-beaconing-other-r0", status="failed", reason="y"),
    ):
        home.deployment.records.save(Kept(run_path(run), run, None), run)
        assert starts.ask_cancel(home.deployment, run.id)
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
