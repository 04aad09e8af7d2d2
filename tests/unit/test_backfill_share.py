"""A fill is started gradually, newest first, and stands in nobody's way."""

from __future__ import annotations

from datetime import timedelta

from shared import backfill, classes, fills
from shared import contract as c
from tests.unit import house
from tests.unit.filling import DAYS, backfilled, begun, ended, fill
from tests.unit.house import OTHER_GUID, days_before, spec
from tests.unit.time_line import faults, gaps_of

# --- gradually, and behind everything else --------------------------------------------------------


def test_a_year_is_filled_a_few_runs_at_a_time_newest_first() -> None:
    home = begun()
    days = tuple(days_before("20260301", 365))
    home.land([f"{day}12" for day in days], event=False)
    (asked,) = fill(home, first=days[0])
    bound, most, seen = backfill.runs_at_once(home.deployment.settings), 0, list[str]()
    for _ in range(400):
        home.work()
        home.tick(1, 120)
        waiting = [p for p in home.ledger.contents() if p.startswith(classes.BACKFILL)]
        most = max(most, len(waiting))
        fresh = {run.id[:8] for run in backfilled(home)} - set(seen)
        assert not seen or not fresh or max(fresh) < min(seen)
        seen += sorted(fresh, reverse=True)
        if ended(home) and not home.documents("active/"):
            break
    assert most == bound == 50
    assert seen == sorted([*days, *DAYS[:-1]], reverse=True)
    assert ended(home)[0].id == asked.id and ended(home)[0].started == 372
    assert len(home.engine.requests) <= 1 + 372 / 25 + 2


def test_backfill_has_a_quarter_of_the_jobs_and_live_runs_the_rest() -> None:
    home = begun(jobs_at_once="8")
    home.land([f"{day}12" for day in days_before("20260301", 120)], event=False)
    fill(home, first=c.day_key(house.START - timedelta(days=100)))
    home.tick(3)
    carried = [kept.value for kept in home.deployment.records.jobs()]
    assert [classes.is_backfill(job.runs) for job in carried] == [True, True]
    home.clock.now = house.START + timedelta(days=1)
    home.land(["2026031012"])
    home.tick(3)
    carried = [kept.value for kept in home.deployment.records.jobs()]
    assert sorted(classes.is_backfill(job.runs) for job in carried) == [False, True, True]


def test_a_live_run_goes_before_the_backfill_that_waits() -> None:
    home = begun(jobs_at_once="1")
    home.clock.now = house.START + timedelta(days=1)
    home.land(["2026031012"])
    home.tick()
    fill(home)
    home.tick(2)
    (job,) = [kept.value for kept in home.deployment.records.jobs()]
    assert not classes.is_backfill(job.runs) and backfilled(home)


def test_backfill_has_a_quarter_of_the_days_jobs() -> None:
    home = begun(jobs_a_day="8", jobs_at_once="40")
    home.land([f"{day}12" for day in days_before("20260301", 120)], event=False)
    fill(home, first=c.day_key(house.START - timedelta(days=120)))
    for _ in range(20):
        home.work()
        home.tick()
    assert home.deployment.records.budget("20260310").value.backfill == 2
    assert len(home.engine.requests) == 3  # the live one besides


def test_backfill_leaves_the_last_quarter_of_the_days_bytes_to_live_runs() -> None:
    live, old = house.a_run(), house.a_run(kind="backfill")
    assert [classes.within_cap(old, used, 100) for used in (75, 76)] == [True, False]
    assert [classes.within_cap(live, used, 100) for used in (100, 101)] == [True, False]


def test_two_hunts_fill_side_by_side_and_one_hunt_one_fill_after_the_other() -> None:
    home = begun(spec(), spec(module="other_hunt", guid=OTHER_GUID))
    home.land([f"{day}12" for day in days_before("20260301", 90)], event=False)
    year = {"first": "2025-12-10"}
    (one,), (other,) = fill(home, **year), fill(home, **year, hunt="other_hunt")
    home.clock.forward(1)
    (second,) = fill(home, **year)
    home.tick(2)
    started = {kept.value.id: kept.value.started for kept in fills.open_fills(home.deployment)}
    assert started == {one.id: 25, other.id: 25, second.id: 0}


def test_backfill_leaves_the_last_quarter_of_the_days_hours_to_live_runs() -> None:
    # A job reserves twelve cores for an hour; the live one was over at once.
    home = begun(vcore_hours_a_day="15")
    fill(home)
    home.live(1, 60)
    assert {run.status for run in backfilled(home)} == {"waiting"}
    assert home.deployment.records.jobs() == []


def test_a_turn_without_room_for_all_leaves_the_rest_to_the_next() -> None:
    home = begun(days=tuple(days_before("20260309", 20)))
    fill(home)

    def slowly(phase: str, operation: str, _subject: str) -> None:
        home.clock.forward(0.2 if phase == "before" else 0)

    home.wire.hook = slowly
    for before in (0, 1, 2):
        home.tick()
        assert before < len(backfilled(home)) < 19
    home.wire.hook = lambda *_: None
    home.live(2, 60)
    assert len(backfilled(home)) == 19 and (gaps_of(home), faults(home)) == ([], [])
