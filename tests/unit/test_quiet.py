"""Quiet cases are told page by page, and one that is revoked speaks again."""

from __future__ import annotations

import json
import uuid
from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from shared import http_api, quiet
from shared.callers import OPERATOR, READER
from shared.documents import encode
from shared.errors import Transient
from shared.http_api import answer
from shared.model import Case, Json
from shared.records import case_path
from tests.unit import house
from tests.unit.delivering import refuse
from tests.unit.house import GUID, START, WORKSPACE, House

UNTIL = START + timedelta(days=30)


def case(number: int, **changes: Any) -> Case:
    """A case that was closed as a false positive."""
    key = str(uuid.UUID(int=number))
    held = {"quiet_until": UNTIL, "learned_from": f"incident {number} was closed", **changes}
    return Case(key, GUID, WORKSPACE, 1, f"i-{number}", "High", **held)


def keep(home: House, *cases: Case) -> None:
    for one in cases:
        home.ledger.plant(case_path(one.key), json.dumps(encode(one)).encode())


def listed(home: House, after: str = "") -> Json:
    """GET /api/quiet."""
    code, told = answer(
        lambda: home.deployment, {}, READER, lambda one: http_api.list_quiet(one, after)
    )
    assert code == 200
    return told


def revoke(home: House, key: str, body: bytes = b'{"reason": "it was none"}') -> tuple[int, Json]:
    """POST /api/quiet/{case}/revoke."""
    work = lambda one: http_api.revoke_quiet(one, key, {}, body)  # noqa: E731
    return answer(lambda: home.deployment, {}, OPERATOR, work)


def test_what_is_quiet_now_is_listed_with_its_end_and_its_reason() -> None:
    home = house.build()
    keep(home, case(1), case(2, quiet_until=None), case(3, quiet_until=START), case(4))
    told = listed(home)
    assert told["next"] is None
    assert {one["case"][-1]: one["reason"] for one in told["quiet"]} == {
        "1": "incident 1 was closed",
        "4": "incident 4 was closed",
    }
    (first, _) = sorted(told["quiet"], key=lambda one: str(one["case"]))
    assert first == {
        "case": case(1).key, "hunt": "beaconing", "workspace": "contoso-9f589367",
        "until": UNTIL.isoformat(), "reason": "incident 1 was closed", "incident": "i-1",
    }  # fmt: skip


def test_pages_end_and_hold_every_case_once() -> None:
    home = house.build()
    keep(home, *(case(n) for n in range(1, 2 * quiet.PAGE + 20)))
    pages = [listed(home)]
    while pages[-1]["next"] is not None:
        pages.append(listed(home, pages[-1]["next"]))
    assert len(pages) == 3
    found = [one["case"] for page in pages for one in page["quiet"]]
    assert sorted(found) == sorted(case(n).key for n in range(1, 2 * quiet.PAGE + 20))


def test_what_was_written_before_any_quiet_time_began_is_not_read() -> None:
    home = house.build()
    keep(home, case(1))
    home.clock.now = START + timedelta(days=32)
    before = home.wire.calls
    assert listed(home)["quiet"] == []
    assert home.wire.calls - before <= 3


def test_a_case_that_cannot_be_read_hides_no_other() -> None:
    home = house.build()
    keep(home, case(1), case(2))
    home.ledger.plant(case_path(case(1).key), b"{")
    assert [one["case"] for one in listed(home)["quiet"]] == [case(2).key]


@pytest.mark.parametrize("again", [False, True])
def test_a_revoked_case_is_quiet_no_longer_and_keeps_its_lesson(again: bool) -> None:
    home = house.build()
    keep(home, case(1))
    for _ in range(1 + again):
        assert revoke(home, case(1).key)[0] == 202
    assert listed(home)["quiet"] != [], "a turn takes it up"
    home.tick()
    assert listed(home)["quiet"] == [] and home.documents("requests/") == {}
    (left,) = home.documents("cases/").values()
    assert left["learned_from"] == "incident 1 was closed"


@pytest.mark.parametrize(
    ("key", "body", "code"),
    [
        (case(9).key, b"", 404),
        ("../../turn", b"", 404),
        (case(1).key.upper() + "x", b"", 404),
        (case(2).key, b"", 400),
        (case(1).key, b'{"why": 1}', 400),
        (case(1).key, b"", 202),
    ],
)
def test_what_cannot_be_revoked_is_said(key: str, body: bytes, code: int) -> None:
    home = house.build()
    keep(home, case(1), case(2, quiet_until=None))
    assert revoke(home, key, body)[0] == code
    assert len(home.documents("requests/")) == (code == 202)


@pytest.mark.parametrize("looked_at", [True, False])
def test_a_word_that_the_analyst_had_taken_back_is_news_when_it_comes_again(
    looked_at: bool,
) -> None:
    home = house.build(None, coalesce_seconds="0", settle_seconds="60", readback_seconds="0")
    home.land(house.hours_of_days("20260309"))
    home.live(12, 300)
    ((workspace, incident),) = list(home.incidents.incidents)
    close = partial(home.incidents.change, workspace, incident, status="Closed")
    close(classification="FalsePositive")
    home.land(house.hours_of_days("20260310"))
    home.live(24, 300)
    close(classification="TruePositive")
    (told,) = listed(home)["quiet"]
    home.wire.hook = (lambda *_: None) if looked_at else refuse("incidents.get", Transient("503"))
    revoke(home, told["case"])
    home.tick()
    home.wire.hook = lambda *_: None
    close(classification="FalsePositive")
    home.land(house.hours_of_days("20260311"))
    home.live(24, 300)
    # Where Sentinel did not tell, one incident too many is opened rather than one too few.
    assert len(home.incidents.incidents) == (1 if looked_at else 2)


def test_after_a_revocation_the_next_finding_opens_an_incident() -> None:
    home = house.build(None, coalesce_seconds="0", settle_seconds="60", readback_seconds="0")
    home.land(house.hours_of_days("20260309"))
    home.live(12, 300)
    for workspace, incident in list(home.incidents.incidents):
        home.incidents.change(workspace, incident, status="Closed", classification="FalsePositive")
    home.land(house.hours_of_days("20260310"))
    home.live(24, 300)
    assert len(home.incidents.incidents) == 1
    (told,) = listed(home)["quiet"]
    assert "FalsePositive" in told["reason"]
    assert revoke(home, told["case"])[0] == 202
    home.land(house.hours_of_days("20260311"))
    home.live(24, 300)
    assert len(home.incidents.incidents) == 2
    marked = {row["SlotStart"][:10]: row["Suppressed"] for row in home.sink.rows}
    assert marked == {"2026-03-09": False, "2026-03-10": True, "2026-03-11": False}
