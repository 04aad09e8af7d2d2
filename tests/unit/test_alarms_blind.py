"""What the control plane cannot see or use is raised as an alarm, and ends as one."""

from __future__ import annotations

from shared.contract import workspace_key
from shared.errors import Forbidden, Transient
from tests.unit import house
from tests.unit.delivering import refuse
from tests.unit.house import GUID, WORKSPACE, House

KEY = workspace_key(WORKSPACE)


def blind(home: House) -> list[tuple[str, str]]:
    kinds = ("LakeUnseen", "DocumentUnusable", "HuntLate")
    return [(row["Kind"], row["Alarm"]) for row in home.health.rows if row.get("Alarm") in kinds]


def test_a_lake_that_was_never_listed_is_raised_and_ends() -> None:
    home = house.build()
    home.wire.hook = refuse("exports.tables", Forbidden("no role"))
    home.live(1)
    assert blind(home) == [("AlarmRaised", "LakeUnseen")]
    home.wire.hook = lambda *_: None
    home.live(1)
    assert blind(home)[1:] == [("AlarmEnded", "LakeUnseen")]


def test_a_lake_that_cannot_be_listed_any_more_is_raised_after_the_bound() -> None:
    home = house.build(late_seconds="3600")
    home.live(1)
    home.wire.hook = refuse("exports.tables", Forbidden("the role was taken away"))
    home.live(1)
    assert blind(home) == []
    home.live(1)
    assert blind(home) == [("AlarmRaised", "LakeUnseen")]


def test_a_document_that_cannot_be_used_is_raised_and_ends() -> None:
    home = house.build()
    path = f"hunts/{GUID}/{KEY}.json"
    home.live(1)
    whole = home.ledger.peek(path) or b""
    home.ledger.plant(path, b"{")
    home.live(1)
    assert blind(home) == [("AlarmRaised", "DocumentUnusable")]
    home.ledger.plant(path, whole)
    home.live(1)
    assert blind(home)[1:] == [("AlarmEnded", "DocumentUnusable")]


def test_a_hunt_that_cannot_start_is_late() -> None:
    home = house.build(late_seconds="3600", settle_seconds="60")
    home.live(1)
    home.land(house.hours_of_days("20260309"))
    home.wire.hook = refuse("ledger.create", Transient("503"), lambda path: "budget/" in path)
    home.live(3)
    assert ("AlarmRaised", "HuntLate") in blind(home)
