"""Marks and listings: bounded, idempotent, and never in the way of each other."""

from __future__ import annotations

from datetime import timedelta

import pytest

from shared import intake
from shared.contract import hour_key, workspace_key
from shared.errors import Transient
from shared.marks import mark_export
from shared.timeline import Hour
from tests.unit import house
from tests.unit.house import (
    GUID,
    OTHER,
    OTHER_GUID,
    START,
    TABLE,
    WORKSPACE,
    House,
    export_path,
    spec,
)

HOUR = "2026030923"
PLACE = workspace_key(WORKSPACE)
HUNT = f"hunts/{GUID}/{PLACE}.json"
TABLES = (TABLE, "vmconnection")


@pytest.fixture
def home() -> House:
    return house.build()


def marks(home: House) -> list[str]:
    return list(home.documents("touched/"))


def day(home: House, table: str = TABLE, key: str = "20260309") -> dict[str, Hour]:
    """Hour -> what is recorded of it."""
    return dict(home.deployment.records.day(WORKSPACE, table, key).value.hours)


def changed(home: House) -> dict[str, str]:
    """Slot -> when its data changed, as the hunt knows it."""
    slots = home.documents("hunts/").get(HUNT, {}).get("slots", {})
    return {key: slot["changed"] for key, slot in slots.items()}


def take(home: House) -> int:
    return intake.take_marks(home.turn())


# --- marks are bounded ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("container", "path", "why"),
    [
        ("am-syslog", export_path(HOUR), "a table that no hunt reads"),
        ("results", export_path(HOUR), "no export blob"),
        (f"am-{TABLE}", "WorkspaceResourceId=/x/y.json", "no export blob"),
        (f"am-{TABLE}", export_path(HOUR) + "/../x", "no export blob"),
        (f"am-{TABLE}", export_path(HOUR).replace("PT05M", "PT5S"), "no export blob"),
        (f"am-{TABLE}", export_path(HOUR).replace("/d=09/", "/d=32/"), "no export blob"),
        (f"am-{TABLE}", export_path(HOUR, workspace=OTHER), "a workspace that is not in"),
        (f"am-{TABLE}", export_path("2026020223"), "an hour older than 35 days"),
        (f"am-{TABLE}", export_path("2026031002"), "an hour older than 35 days or in the future"),
        (f"am-{TABLE}", export_path("2099010100"), "an hour older than 35 days or in the future"),
    ],
)
def test_what_nobody_hunts_on_leaves_no_mark(
    home: House, container: str, path: str, why: str
) -> None:
    assert mark_export(home.deployment, container, path).startswith(why)
    assert home.ledger.contents() == {}


def test_an_events_mark_is_one_write_of_one_document_an_hour(home: House) -> None:
    for name in ("PT05M.json", "PT5M.json", "PT05M_1.json"):
        path = export_path(HOUR, name).upper().replace("PT05M", "pt05m")
        assert mark_export(home.deployment, f"AM-{TABLE}", path) == ""
    assert marks(home) == [f"touched/{PLACE}/{TABLE}/{HOUR}"]
    assert home.wire.calls == 3
    for hour in ("2026020301", "2026031001"):
        assert mark_export(home.deployment, f"am-{TABLE}", export_path(hour)) == ""


def test_marks_of_nothing_known_are_removed(home: House) -> None:
    for path in (f"touched/nobody-12345678/t/{HOUR}", f"touched/{PLACE}/{TABLE}/2026023023",
                 f"touched/{PLACE}/x", f"touched/{PLACE}/{TABLE}/{HOUR}/deeper"):  # fmt: skip
        home.ledger.plant(path, b"{}")
    assert take(home) == 0
    assert marks(home) == []


# --- folding ------------------------------------------------------------------------------------


def test_a_mark_becomes_hours_of_a_day_and_a_changed_slot(home: House) -> None:
    home.land([HOUR], "{}\n{}\n")
    assert take(home) == 1
    assert marks(home) == []
    assert (day(home)[HOUR].blobs, day(home)[HOUR].bytes) == (1, 6)
    assert list(changed(home)) == ["20260309"]


def test_many_hours_of_a_day_are_listed_at_once(home: House) -> None:
    seen: list[str] = []
    home.wire.hook = lambda phase, operation, subject: (
        seen.append(subject) if (phase, operation) == ("before", "exports.blobs") else None
    )
    home.land([f"20260309{hour:02d}" for hour in range(24)])
    home.land(["2026030801", "2026030802"])
    assert take(home) == 26
    folders = sorted(subject.rsplit("workspaces/contoso/", 1)[1] for subject in seen)
    assert folders == [
        "y=2026/m=03/d=08/h=01",
        "y=2026/m=03/d=08/h=02",
        "y=2026/m=03/d=09",
    ]
    assert len(day(home)) == 24


def test_the_order_is_touch_then_save_then_delete(home: House) -> None:
    order: list[str] = []
    home.land([HOUR])
    home.wire.hook = lambda phase, operation, subject: (
        order.append(subject.split("/")[0])
        if phase == "after" and operation in ("ledger.create", "ledger.delete")
        else None
    )
    take(home)
    assert order == ["hunts", "days", "touched", "health"]


def test_a_mark_that_is_written_again_meanwhile_survives(home: House) -> None:
    home.land([HOUR])
    late = export_path(HOUR, "PT05M_1.json")

    def another_blob(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("after", "exports.blobs") and not landed:
            landed.append(late)
            home.exports.plant(TABLE, late, b"{}")
            mark_export(home.deployment, f"am-{TABLE}", late)

    landed: list[str] = []
    home.wire.hook = another_blob
    take(home)
    assert len(marks(home)) == 1 and day(home)[HOUR].blobs == 1
    take(home)
    assert marks(home) == [] and day(home)[HOUR].blobs == 2


def test_identical_content_again_is_no_change(home: House) -> None:
    home.land([HOUR])
    take(home)
    before = (home.documents("days/"), changed(home))
    home.clock.forward(60)
    home.land([HOUR])
    assert take(home) == 1
    assert (home.documents("days/"), changed(home)) == before


def test_a_blob_that_grows_or_a_sibling_is_a_change(home: House) -> None:
    home.land([HOUR])
    take(home)
    prints = {day(home)[HOUR].fingerprint}
    for content, name in (("{}\n{}", "PT05M.json"), ("{}", "PT05M_1.json")):
        home.clock.forward(60)
        home.land([HOUR], content, name=name)
        take(home)
        prints.add(day(home)[HOUR].fingerprint)
        assert changed(home) == {"20260309": home.clock().isoformat()}
    assert len(prints) == 3 and day(home)[HOUR].blobs == 2


def test_raw_blobs_that_a_lifecycle_rule_deletes_are_no_change(home: House) -> None:
    home.land([HOUR])
    home.land([HOUR], name="PT05M_1.json")
    take(home)
    before = day(home)
    emptier = house.build()
    emptier.land([HOUR], event=False)
    home.exports._tables = emptier.exports._tables
    mark_export(home.deployment, f"am-{TABLE}", export_path(HOUR))
    take(home)
    assert day(home) == before


def test_the_fingerprint_hides_the_order_of_a_listing(home: House) -> None:
    home.land([HOUR])
    home.land([HOUR], name="PT05M_1.json")
    blobs = home.exports.blobs(TABLE, "")
    assert intake.hours_of(blobs, WORKSPACE, TABLE) == intake.hours_of(
        reversed(blobs), WORKSPACE, TABLE
    )
    assert intake.hours_of(blobs, OTHER, TABLE) == {}


# --- sweeps -------------------------------------------------------------------------------------


def test_a_sweep_finds_what_events_missed(home: House) -> None:
    home.land([HOUR, "2026020401"], event=False)
    intake.sweep(home.turn())
    assert list(day(home)) == [HOUR] and list(day(home, key="20260204")) == ["2026020401"]
    assert set(changed(home)) == {"20260309", "20260204"}


def test_sweeps_come_by_tier(home: House) -> None:
    listed: list[int] = []
    for minute in range(0, 121, 5):
        before = home.wire.calls
        home.clock.now = START + timedelta(minutes=minute)
        home.exports.plant(TABLE, "x", b"")
        intake.sweep(home.turn())
        listed.append(home.wire.calls - before)
    assert [count > 2 for count in listed] == [minute % 15 == 0 for minute in range(0, 121, 5)]
    assert [n * 5 for n, count in enumerate(listed) if count > 36] == [0, 60, 120]


def test_a_sweep_that_needs_many_turns_goes_on_where_it_stopped(home: House) -> None:
    home.land([hour_key(START - timedelta(days=back)) for back in range(1, 36)], event=False)
    home.wire.hook = lambda phase, operation, _subject: (
        home.clock.forward(1.0) if (phase, operation) == ("after", "exports.blobs") else None
    )
    turns = 0
    while home.documents("sweep.json")["sweep.json"].get("month") is None if turns else True:
        intake.sweep(home.turn())
        turns += 1
        assert turns < 10
    assert turns > 1
    assert len(home.documents("days/")) == 35


def test_a_turn_without_room_has_swept_nothing_and_says_so(home: House) -> None:
    home.land([HOUR], event=False)
    intake.sweep(home.turn(seconds=0.0))
    swept = home.documents("sweep.json").get("sweep.json", {})
    assert swept.get("recent") is None and swept.get("month") is None
    intake.sweep(home.turn())
    assert list(day(home)) == [HOUR] and set(changed(home)) == {"20260309"}


def test_a_table_that_nobody_hunts_on_is_said_once(
    home: House, caplog: pytest.LogCaptureFixture
) -> None:
    home.land([HOUR], table="mytable_cl", event=False)
    for _ in range(3):
        intake.sweep(home.turn())
        home.clock.forward(901)
    assert caplog.text.count("mytable_cl") == 1
    assert home.documents("health/")["health/ignored.json"]["tables"] == ["mytable_cl"]
    assert home.documents("days/") == {}


def test_refreshing_lists_days_of_any_age_for_an_ad_hoc_run(home: House) -> None:
    home.land(["2019010105"], event=False)
    intake.refresh(home.turn(), WORKSPACE, TABLE, ["20190101", "20190102"])
    assert list(day(home, key="20190101")) == ["2019010105"]
    assert changed(home) == {}


def test_a_table_is_written_down_before_the_next_one_is_looked_at() -> None:
    """What a turn holds is one table's, however many changed; what is done is done."""
    home, order = two_tables(), list[str]()
    home.wire.hook = lambda phase, operation, subject: (
        order.append(f"{operation} {next(t for t in TABLES if t in subject)}")
        if phase == "after" and any(table in subject for table in TABLES)
        else None
    )
    assert take(home) == 2
    folded = ["exports.blobs", "ledger.read", "ledger.create", "ledger.delete"]
    assert order == [f"{done} {table}" for table in TABLES for done in folded]


# --- isolation ----------------------------------------------------------------------------------


def two_tables() -> House:
    home = house.build([spec(tables=TABLES)])
    for table in TABLES:
        home.land([HOUR], table=table)
    return home


def test_a_table_that_cannot_be_listed_keeps_its_marks_and_spares_the_others() -> None:
    home = two_tables()

    def refuse(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("before", "exports.blobs") and subject.startswith(TABLE):
            raise Transient("503")

    home.wire.hook = refuse
    assert take(home) == 1
    assert list(day(home, "vmconnection")) == [HOUR] and day(home) == {}
    assert marks(home) == [f"touched/{PLACE}/{TABLE}/{HOUR}"]
    intake.sweep(home.turn())
    home.wire.hook = lambda *_: None
    assert take(home) == 1 and list(day(home)) == [HOUR]


def test_a_broken_day_spares_the_other_days() -> None:
    home = two_tables()
    home.ledger.plant(f"days/{PLACE}/{TABLE}/20260309.json", b"{broken")
    assert take(home) == 1
    intake.sweep(home.turn())
    assert list(day(home, "vmconnection")) == [HOUR]
    assert home.ledger.contents()[f"days/{PLACE}/{TABLE}/20260309.json"] == b"{broken"


def test_a_broken_hunt_spares_the_other_hunts() -> None:
    home = house.build([spec(), spec(module="other", guid=OTHER_GUID)])
    home.ledger.plant(HUNT, b"[]")
    home.land([HOUR])
    assert take(home) == 1
    other = home.documents("hunts/00000000")
    assert [list(body["slots"]) for body in other.values()] == [["20260309"]]
    assert home.ledger.contents()[HUNT] == b"[]"


def test_a_crash_between_the_writes_loses_no_wake_up(home: House) -> None:
    home.land([HOUR])

    def conflict(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("before", "ledger.create") and subject.startswith("days/"):
            raise Transient("503")

    home.wire.hook = conflict
    take(home)
    assert len(marks(home)) == 1 and list(changed(home)) == ["20260309"]
    home.wire.hook = lambda *_: None
    home.clock.forward(60)
    take(home)
    assert marks(home) == [] and list(day(home)) == [HOUR]
