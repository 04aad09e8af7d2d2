"""The doctor asks each service once, names what it may not do with its mend, and harms nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared import http_api
from shared.adapters.functions_http import encode
from shared.callers import OPERATOR
from shared.contract import hour_key
from shared.doctor import ALWAYS, QUESTIONS, Check, examine
from shared.errors import BadInput, Forbidden, Transient
from shared.http_api import answer
from shared.model import Json
from tests.unit import house
from tests.unit.house import START, House


def verdicts(home: House) -> dict[str, Check]:
    """Check -> what it came to."""
    return {check.name: check for check in examine(home.deployment)}


def lively(**changes: str) -> House:
    """A house into which an hour of this day landed."""
    home = house.build(None, **changes)
    home.land([hour_key(START - timedelta(hours=1))])
    return home


def delivered() -> House:
    """A house that has delivered a run."""
    home = house.build(None, coalesce_seconds="0", settle_seconds="60", readback_seconds="0")
    home.land(house.hours_of_days("20260309"))
    home.live(12, 300)
    assert home.sink.rows
    return home


def break_at(home: House, operation: str, error: Exception) -> None:
    """Let one operation fail."""

    def hook(phase: str, asked: str, _subject: str) -> None:
        if phase == "before" and asked == operation:
            raise error

    home.wire.hook = hook


def test_all_is_well_where_all_answers() -> None:
    home = lively()
    before = dict(home.ledger.contents())
    found = verdicts(home)
    assert {check.verdict for check in found.values()} == {"ok"}
    assert all(check.mend == "" for check in found.values())
    assert dict(home.ledger.contents()) == before, "it leaves nothing in the ledger"
    assert home.incidents.incidents == {} and home.engine.requests == []
    assert set(QUESTIONS) - {"exports", "incidents"} <= set(found)


@pytest.mark.parametrize(
    ("operation", "name", "role"),
    [
        ("ledger.create", "ledger", "Storage Blob Data Contributor"),
        ("ledger.delete", "ledger", "Storage Blob Data Contributor"),
        ("exports.tables", "exports", "Reader"),
        ("results.write", "results", "Storage Blob Data Contributor"),
        ("engine.list", "spark", "Synapse Compute Operator"),
        ("workspace.count", "findings table", "Log Analytics Reader"),
        ("incidents.get", "incidents", "Microsoft Sentinel Responder"),
    ],
)
def test_what_the_app_may_not_do_is_named_with_the_role(
    operation: str, name: str, role: str
) -> None:
    home = lively()
    break_at(home, operation, Forbidden("403"))
    found = verdicts(home)
    assert found[name].verdict == "failed" and role in found[name].mend
    others = [check for key, check in found.items() if key not in (name, "clock")]
    assert all(check.verdict == "ok" for check in others) and len(others) >= 6


def test_a_service_that_does_not_answer_fails_its_check_alone() -> None:
    home = lively()
    break_at(home, "engine.list", Transient("no answer", mend="see the pool"))
    found = verdicts(home)
    assert (found["spark"].verdict, found["spark"].mend) == ("failed", "see the pool")
    assert found["incidents of contoso-9f589367"].verdict == "ok"


def test_tables_that_are_not_exported_or_silent_are_told() -> None:
    home = house.build()
    assert verdicts(home)["exports"].verdict == "failed"
    assert "commonsecuritylog" in verdicts(home)["exports"].mend
    home.land([hour_key(START - timedelta(days=3))])
    silent = verdicts(home)["exports of commonsecuritylog from contoso-9f589367"]
    assert (silent.verdict, silent.mend) == ("warning", "is its export rule on?")


def test_a_clock_that_is_wrong_is_told() -> None:
    home = lively(clock_margin_seconds="60")
    wrong = replace(home.deployment, clock=lambda: home.clock() + timedelta(seconds=31))
    found = {check.name: check for check in examine(wrong)}
    assert found["clock"].verdict == "failed" and found["clock"].said.startswith("31 s")


def test_a_broken_hunt_is_told() -> None:
    home = lively()
    fault = BadInput("no guid", where="mine.yaml:3", mend="give it an id")
    broken = replace(home.deployment, hunt_faults=[fault])
    (first, second) = [check for check in examine(broken) if check.name == "hunts"]
    assert (first.verdict, first.mend) == (
        "failed",
        "give it an id",
    ) and "mine.yaml:3" in first.said
    assert second.verdict == "ok"


def test_columns_that_vanish_on_the_way_are_named() -> None:
    home = delivered()
    assert verdicts(home)["findings table"].verdict == "ok"
    for row in home.sink.rows:
        row.pop("CodeHash")
        row["Hunt"] = ""
    found = verdicts(home)["findings table"]
    assert found.verdict == "failed" and "Hunt, CodeHash" in found.said
    home.sink.rows.clear()
    assert verdicts(home)["findings table"].verdict == "warning"


def test_the_app_never_leaves_these_columns_empty() -> None:
    for row in delivered().sink.rows:
        assert all(row[name] not in (None, "") for name in ALWAYS)


def test_it_answers_over_http() -> None:
    home = lively()
    asked: dict[str, Any] = {}
    code, told = answer(lambda: home.deployment, asked, OPERATOR, http_api.examine)
    body: Json = json.loads(encode(told))
    assert (code, body["well"]) == (200, True)
    assert {"name", "verdict", "said", "mend"} == set(body["checks"][0])
    break_at(home, "engine.list", Forbidden("403"))
    assert answer(lambda: home.deployment, asked, OPERATOR, http_api.examine)[1]["well"] is False
