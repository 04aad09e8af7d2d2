"""What events told of, what only sweeps found, and each table's newest hour."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from shared import arrivals
from shared.arrivals import Arrivals, Heard, LastHour
from shared.contract import hour_key
from tests.unit import house
from tests.unit.house import TABLE, House

NOW = datetime(2026, 3, 10, 12, 30, tzinfo=UTC)
PLACE = "contoso-0123abcd/commonsecuritylog"


def seen(home: House) -> Arrivals:
    kept = home.deployment.records.load(Arrivals, arrivals.PATH)
    return kept.value if kept else Arrivals()


def test_counts_add_up_within_an_hour_and_a_day_of_hours_is_remembered() -> None:
    held = Arrivals()
    for hours in range(30):
        at = NOW + timedelta(hours=hours)
        held = arrivals.heard(arrivals.heard(held, at, 2, 1), at, 0, 3)
    assert len(held.hours) == 24 and set(held.hours.values()) == {Heard(2, 4)}
    assert max(held.hours) == hour_key(NOW + timedelta(hours=29))
    assert arrivals.heard(held, NOW, 0, 0) is held


def test_the_usual_pause_is_the_longest_and_calms_down() -> None:
    held = arrivals.came(Arrivals(), PLACE, ["2026030801", "2026030802", "2026030900"], NOW)
    assert held.tables[PLACE] == LastHour("2026030900", 22.0)
    held = arrivals.came(held, PLACE, [f"20260309{hour:02d}" for hour in range(1, 24)], NOW)
    assert held.tables[PLACE].newest == "2026030923"
    assert held.tables[PLACE].pause == pytest.approx(22 * 0.98**23)


def test_older_hours_and_hours_of_the_future_say_nothing() -> None:
    held = arrivals.came(Arrivals(), PLACE, ["2026031010"], NOW)
    assert arrivals.came(held, PLACE, ["2026030910", "2026031010", "2027010100"], NOW) == held


def test_tables_are_bounded() -> None:
    held = Arrivals()
    for number in range(arrivals.TABLES_MOST + 5):
        held = arrivals.came(held, f"contoso/{number}", ["2026031010"], NOW)
    assert len(held.tables) == arrivals.TABLES_MOST
    assert (
        arrivals.came(held, "contoso/0", ["2026031011"], NOW).tables["contoso/0"].newest[-2:]
        == "11"
    )


def test_marks_are_told_and_a_sweep_counts_new_blobs_of_late_hours_only() -> None:
    home = house.build()
    home.land(["2026030923", "2026030822"], event=False)
    home.tick()
    assert seen(home).hours == {"2026031000": Heard(0, 1)}
    home.land(["2026031000"])
    home.tick()
    assert seen(home).hours == {"2026031000": Heard(1, 1)}
    (last,) = seen(home).tables.values()
    assert last == LastHour("2026031000")


def test_a_blob_that_has_grown_is_no_missing_event() -> None:
    home = house.build()
    home.land(["2026030923"])
    home.tick()
    home.exports.plant(TABLE, house.export_path("2026030923"), b"{}\n{}\n")
    home.clock.forward(900)
    home.tick()
    assert seen(home).hours == {"2026031000": Heard(1, 0)}


def test_turns_without_news_leave_the_document_alone() -> None:
    home = house.build()
    home.land(["2026030923"])
    home.tick()
    before = home.ledger.peek(arrivals.PATH)
    home.clock.forward(3600)
    home.tick(20)
    assert home.ledger.peek(arrivals.PATH) == before is not None
