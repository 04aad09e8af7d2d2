"""Slots that are due: runs that begin, their ids, and what never starts twice."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import contract as c
from shared import requests
from shared.errors import Transient
from shared.http_api import status
from shared.model import HuntSpec, Param
from tests.unit import house
from tests.unit.house import (
    GUID,
    OTHER,
    OTHER_GUID,
    WORKSPACE,
    House,
    day_window,
    hours_of_days,
    spec,
)
from tests.unit.time_line import faults, gaps_of, record_of

PLACE = c.workspace_key(WORKSPACE)
THRESHOLD = Param("threshold", 0.7, 0.0, 1.0)


@pytest.fixture
def home() -> House:
    """A hunt with a parameter; the lake was listed once."""
    home = house.build([spec(params=(THRESHOLD,))], settle_seconds="0", coalesce_seconds="600")
    home.tick()
    return home


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


def test_a_hunt_that_comes_with_new_data_knows_the_older_as_well() -> None:
    home = house.build([spec()], settle_seconds="0", coalesce_seconds="0")
    home.land(["2026030801", "2026030922"])
    home.tick()
    newcomer = spec(module="newcomer", guid=OTHER_GUID)
    home.deployment = replace(home.deployment, hunts=[*home.deployment.hunts, newcomer])
    home.land(["2026030923"])
    home.tick(2)
    record = home.deployment.records.hunt(OTHER_GUID, WORKSPACE).value
    assert [(gap.start, gap.reason) for gap in record.gaps] == [
        (day_window("20260308").start, "before the first run")
    ]


def test_a_hunt_lacks_the_tables_that_it_names_beside_its_views_until_one_is_exported() -> None:
    """Its views have data, and it would find nothing without a list: its time line goes on."""
    match = spec(
        module="matching", guid=OTHER_GUID, views=("NetworkSession",), tables=("listone", "listtwo")
    )
    home = house.build([spec(), match], settle_seconds="0", coalesce_seconds="7200")
    home.land(["2026030801", "2026030923"])
    home.tick()
    assert [run.hunt for run in home.runs().values()] == ["beaconing"]
    told = {line["hunt"]: line for line in status(home.deployment)[1]["hunts"]}
    assert (told["matching"]["lacks"], told["matching"]["open_slots"]) == (
        ["listone", "listtwo"],
        0,
    )
    assert told["beaconing"]["lacks"] == []
    before = home.wire.calls
    home.tick()
    assert home.wire.calls - before < 30  # it costs no listing of its own
    home.land(["2026030922"], table="listtwo")
    home.tick(20)
    assert sorted(run.hunt for run in home.runs().values()) == ["beaconing", "matching"]
    assert all(run.slot == day_window("20260309") for run in home.runs().values())
    gaps = home.deployment.records.hunt(OTHER_GUID, WORKSPACE).value.gaps
    assert [gap.reason for gap in gaps] == ["before the first run"]


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


def test_runs_of_a_hunt_are_capped_in_each_workspace_by_itself() -> None:
    home = house.build(
        [spec(slot="hour")], settle_seconds="0", runs_a_hunt_a_day="24", coalesce_seconds="7200",
        jobs_a_day="1", workspaces=f"{WORKSPACE};{OTHER}",
    )  # fmt: skip
    for workspace in (WORKSPACE, OTHER):
        home.land(["2026030822"], workspace=workspace)
    home.tick()
    for workspace in (WORKSPACE, OTHER):
        home.land(["2026030823", *hours_of_days("20260309")], workspace=workspace)
    home.tick(9)
    started = Counter(run.workspace for run in home.runs().values())
    assert started == {WORKSPACE: 24, OTHER: 24}
    runs = home.documents("budget/")["budget/20260310.json"]["runs"]
    assert sorted(runs.values()) == [24, 24] and all(key.startswith(GUID) for key in runs)


def test_a_budget_of_the_release_before_still_counts_what_comes() -> None:
    home = house.build([spec()], settle_seconds="0", coalesce_seconds="7200")
    before = {"schema": 1, "day": "20260310", "jobs": 3, "runs": {GUID: 30}}
    home.ledger.plant("budget/20260310.json", json.dumps(before).encode())
    home.land(["2026030923"])
    home.tick(2)
    assert len(home.runs()) == 1


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


def test_a_run_that_was_cancelled_before_its_slot_was_noted_leaves_a_gap() -> None:
    home = house.build([spec()], settle_seconds="0", coalesce_seconds="600")
    home.tick()
    home.land(["2026030923"])

    def crash(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("after", "ledger.create") and subject.startswith("active/runs/"):
            raise house.Crash

    home.wire.hook = crash
    with pytest.raises(house.Crash):
        home.tick()
    home.wire.hook = lambda *_: None
    (run_id,) = home.runs()
    home.clock.forward(120)
    assert requests.ask_change(home.deployment, "cancel", run_id)
    home.tick(2)
    assert home.runs()[run_id].status == "cancelled"
    assert gaps_of(home) == [("20260309", "20260309", f"run {run_id} cancelled")]
    assert faults(home) == []


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


# --- what was missed ------------------------------------------------------------------------------


def test_runs_of_a_hunt_under_way_are_bounded_and_the_newest_come_first() -> None:
    home = house.build(
        [spec(slot="hour")], settle_seconds="0", coalesce_seconds="0", readback_seconds="0",
        runs_a_hunt_a_day="300",
    )  # fmt: skip
    home.land(["2026030801"])
    home.live(1, 60)
    home.land(hours_of_days("20260308", "20260309"))
    home.tick(3)
    begun = sorted(run.slot.start for run in home.runs().values())[1:]
    newest = day_window("20260309").end - timedelta(hours=1)
    assert begun == [newest - timedelta(hours=n) for n in reversed(range(25))]
    home.live(3, 60)
    assert {run.status for run in home.runs().values()} == {"done"}
    assert len(home.runs()) == 47 and faults(home) == []  # one lies before the first start


def test_what_landed_while_a_time_line_was_broken_is_judged_once_it_is_mended() -> None:
    home = house.build(
        [spec(slot="hour")], settle_seconds="0", coalesce_seconds="0", readback_seconds="0"
    )
    home.land(["2026030921"])
    home.live(1, 60)
    path = f"hunts/{GUID}/{PLACE}.json"
    whole = home.ledger.peek(path) or b""
    home.ledger.plant(path, b"{")
    home.land(["2026030922"])
    home.live(1, 60)
    assert len(home.runs()) == 1
    home.ledger.plant(path, whole)
    home.live(1, 60)
    home.land(["2026031000"])
    home.clock.now = c.hour_start("2026031001")
    home.live(2, 60)
    judged = {f"{run.slot.start:%d%H}": run.status for run in home.runs().values()}
    assert judged == {"0921": "done", "0922": "done", "1000": "done"}
    gaps = [gap.start for gap in record_of(home).gaps]
    assert gaps == [c.hour_start("2026030923")]  # it has no data
