"""draft, shadow, live, disabled: each does what it says, also when it becomes another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from shared import requests
from shared.gaps import FIRST_START, SKIPPED
from shared.model import HuntSpec, HuntStatus
from tests.unit import house
from tests.unit.house import House, spec
from tests.unit.time_line import faults, gaps_of, record_of

QUICK = {"coalesce_seconds": "0", "settle_seconds": "60", "readback_seconds": "60"}


def become(home: House, status: HuntStatus, **changes: object) -> None:
    """A deployment with another status of the hunt."""
    hunts: Sequence[HuntSpec] = [spec(status=status, **changes)]
    home.deployment = replace(home.deployment, hunts=hunts)


def began(status: HuntStatus = "live", **changes: object) -> House:
    """A house whose hunt had data of two days and an hour."""
    home = house.build([spec(status=status, **changes)], **QUICK)
    home.land(["2026030812", "2026030912"])
    return home


def ask(home: House) -> str:
    return requests.ask_run(
        home.deployment, hunt="beaconing", workspace=None, end_date="2026-03-09",
        lookback_days=None, overrides={}, incidents=True,
    ).run_id  # fmt: skip


def next_day(home: House, day: int) -> None:
    """It is six in the morning after this day of March, whose data has landed."""
    home.clock.now = house.START.replace(day=day + 1, hour=6)
    home.land([f"202603{day:02d}12"])


@pytest.mark.parametrize("status", ["draft", "disabled"])
def test_what_does_not_start_by_itself_leaves_no_trace(status: HuntStatus) -> None:
    home = began(status)
    home.live(2, 60)
    assert home.runs() == {} and home.documents("hunts/") == {} and home.engine.requests == []


@pytest.mark.parametrize("status", ["draft", "shadow", "live", "disabled"])
def test_every_hunt_runs_when_somebody_asks(status: HuntStatus) -> None:
    home = began(status)
    home.live(0.1, 60)
    run_id = ask(home)
    home.live(1, 60)
    run = home.runs()[run_id]
    assert (run.status, run.kind, run.counts.sent) == ("done", "adhoc", 1)
    assert gaps_of(home) == ([] if status in ("draft", "disabled") else [
        ("20260308", "20260308", FIRST_START)
    ])  # fmt: skip


def test_shadow_ingests_and_opens_no_incident_until_it_is_live() -> None:
    home = began("shadow")
    home.live(1, 60)
    (run,) = home.runs().values()
    assert (run.status, run.counts.sent, run.counts.opened) == ("done", 1, 0)
    assert home.incidents.incidents == {}
    become(home, "live")
    next_day(home, 10)
    home.live(1, 60)
    assert [one.counts.opened for one in home.runs().values()] == [0, 1]
    assert len(home.incidents.incidents) == 1


@pytest.mark.parametrize("minutes", [3, 5])
def test_disabled_while_running_it_finishes_and_delivers_and_starts_nothing(minutes: int) -> None:
    home = began()
    home.tick(minutes)
    (run,) = home.runs().values()
    assert run.status in ("waiting", "assigned")
    become(home, "disabled")
    home.live(1, 60)
    next_day(home, 10)
    home.live(1, 60)
    (run,) = home.runs().values()
    assert (run.status, run.counts.sent, run.counts.opened) == ("done", 1, 1)
    assert len(home.engine.requests) == 1


def test_disabled_with_a_revision_due_it_judges_it_when_it_is_enabled() -> None:
    home = began()
    home.live(1, 60)
    become(home, "disabled")
    home.land(["2026030913"])
    home.live(1, 60)
    assert len(home.runs()) == 1
    become(home, "live")
    home.live(1, 60)
    assert [(run.revision, run.status) for run in home.runs().values()] == [
        (0, "done"),
        (1, "done"),
    ]


@pytest.mark.parametrize(
    ("catch_up", "judged", "gap"),
    [
        (None, ["20260309", "20260310", "20260311", "20260312"], []),
        (1, ["20260309", "20260312"], [("20260310", "20260311", SKIPPED)]),
    ],
)
def test_what_a_disabled_hunt_missed_is_judged_or_declared(
    catch_up: int | None, judged: list[str], gap: list[tuple[str, str, str]]
) -> None:
    home = began()
    home.live(1, 60)
    become(home, "disabled", catch_up=catch_up)
    for day in (10, 11, 12):
        next_day(home, day)
        home.live(0.5, 60)
    assert len(home.runs()) == 1
    become(home, "live", catch_up=catch_up)
    home.live(2, 60)
    assert [run.id[:8] for run in home.runs().values() if run.status == "done"] == judged
    assert [one for one in gaps_of(home) if one[2] != FIRST_START] == gap
    assert faults(home) == []


def test_a_draft_that_was_live_keeps_its_time_line() -> None:
    home = began()
    home.live(1, 60)
    become(home, "draft")
    next_day(home, 10)
    home.live(1, 60)
    assert len(home.runs()) == 1
    become(home, "live")
    home.live(1, 60)
    assert record_of(home).watermark == house.day_window("20260310").end
    assert faults(home) == []
