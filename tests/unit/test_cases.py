"""Cases against Sentinel and the ledger: saved before acted on, and no case stops another."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from shared import messages as m
from shared.cases import Cases, settle_incidents
from shared.errors import (
    BadInput,
    Conflict,
    Forbidden,
    Missing,
    OutcomeUnknown,
    Rejected,
    Throttled,
    Transient,
)
from shared.incidents import Evidence, incident_id
from shared.model import HuntSpec, Run
from shared.records import case_path
from shared.runs import decide_run
from tests.unit import house
from tests.unit.house import OTHER, WORKSPACE, House, a_finding, a_run, spec

Hook = Callable[[str, str, str], None]


def evidence(content: str = "a1", src: str = "10.0.0.5", **changes: Any) -> Evidence:
    return Evidence(a_finding(src, **changes), content)


def cases(home: House, hunt: HuntSpec | None = None, seconds: float = 45.0) -> Cases:
    return Cases(home.turn(seconds), hunt or spec())


def settle(home: House, found: Evidence, run: Run | None = None) -> tuple[int, int, int]:
    """(opened, updated, quiet) of one case."""
    done = cases(home).settle(run or a_run(), found)
    return done.opened, done.updated, done.quiet


def settle_all(home: House, found: list[Evidence], run: Run | None = None, **by: Any) -> Run:
    """The run after its incidents."""
    held = [replace(run or a_run(), status="delivering", step="incidents")]

    def decide(event: m.Event) -> None:
        held.append(decide_run(held[-1], event)[0])

    settle_incidents(cases(home, **by), lambda: held[-1], found, decide)
    return held[-1]


def refuse(operation: str, error: Exception, phase: str = "before", subject: str = "") -> Hook:
    def hook(at: str, what: str, about: str) -> None:
        if (at, what) == (phase, operation) and subject in about:
            raise error

    return hook


@pytest.fixture
def home() -> House:
    return house.build()


def the_incident(home: House) -> Any:
    ((place, found),) = home.incidents.incidents.items()
    assert place == (WORKSPACE, found.id)
    return found


# --- one case -----------------------------------------------------------------------------------


def test_first_evidence_opens_then_updates_then_says_nothing_new(home: House) -> None:
    assert settle(home, evidence("a1")) == (1, 0, 0)
    assert settle(home, evidence("b2")) == (0, 1, 0)
    assert settle(home, evidence("b2")) == (0, 0, 1)
    (comments,) = home.incidents.comments.values()
    assert len(home.incidents.incidents) == len(comments) == 1


def test_cases_of_workspaces_never_mix(home: House) -> None:
    run = a_run(workspace=OTHER)
    settle(home, evidence())
    settle(home, Evidence(a_finding(run=run), "a1"), run)
    assert [workspace for workspace, _ in home.incidents.incidents] == [WORKSPACE, OTHER]
    assert len({key for _, key in home.incidents.incidents}) == 2


@pytest.mark.parametrize("phase", ["before", "after"])
def test_an_unknown_outcome_of_opening_is_one_incident_in_the_end(home: House, phase: str) -> None:
    home.wire.hook = refuse("incidents.put", OutcomeUnknown("reset"), phase)
    with pytest.raises(OutcomeUnknown):
        settle(home, evidence())
    home.wire.hook = lambda *_: None
    assert settle(home, evidence()) == ((1, 0, 0) if phase == "before" else (0, 0, 1))
    key = evidence().finding["FindingKey"]
    assert the_incident(home).id == incident_id(key, 1)
    home.incidents.remove(WORKSPACE, the_incident(home).id)
    assert settle(home, evidence("c3")) == (0, 0, 1)  # an analyst deleted it: it stays deleted


def test_a_case_is_saved_before_its_incident_is_created(home: House) -> None:
    order: list[str] = []
    home.wire.hook = lambda phase, what, subject: (
        order.append(subject.split("/")[0]) if phase == "after" and what in EFFECTS else None
    )
    settle(home, evidence())
    key = evidence().finding["FindingKey"]
    assert order == ["budget", "cases", incident_id(key, 1), "cases"]
    assert case_path(key) in home.ledger.contents()


EFFECTS = ("ledger.create", "ledger.replace", "incidents.put")


def test_what_an_analyst_wrote_meanwhile_wins(home: House) -> None:
    settle(home, evidence("a1", Severity="Medium"))
    incident = the_incident(home)

    def analyst(phase: str, what: str, _subject: str) -> None:
        if (phase, what) == ("after", "incidents.get"):
            home.wire.hook = lambda *_: None
            home.incidents.change(WORKSPACE, incident.id, owner={"email": "kim@contoso.example"})

    home.wire.hook = analyst
    with pytest.raises(Exception, match="changed"):
        settle(home, evidence("b2", Severity="High"))
    assert settle(home, evidence("b2", Severity="High")) == (0, 1, 0)
    held = the_incident(home).properties
    assert (held["owner"], held["severity"]) == ({"email": "kim@contoso.example"}, "High")
    (comments,) = home.incidents.comments.values()
    assert len(comments) == 1


def test_a_comment_that_finds_no_room_does_not_stop_the_update(home: House) -> None:
    settle(home, evidence("a1", Severity="Medium"))
    home.wire.hook = refuse("incidents.comment", Rejected("too many comments"))
    assert settle(home, evidence("b2", Severity="High")) == (0, 1, 0)
    assert the_incident(home).properties["severity"] == "High"


@pytest.mark.parametrize("error", [Rejected("400: no such date"), BadInput("no JSON")])
def test_what_sentinel_refuses_stops_this_case_only(home: House, error: Exception) -> None:
    operation = "incidents.put" if isinstance(error, Rejected) else "ledger.read"
    bad = evidence(src="10.0.0.1")
    subject = incident_id(bad.finding["FindingKey"], 1)
    if operation == "ledger.read":
        subject = bad.finding["FindingKey"]
    home.wire.hook = refuse(operation, error, subject=subject)
    run = settle_all(home, [bad, evidence(src="10.0.0.2")])
    assert (run.step, run.case, run.counts.opened) == ("read-back", 2, 1)
    titles = [one.properties["title"] for one in home.incidents.incidents.values()]
    assert titles == ["Beacon from 10.0.0.2 to 192.0.2.7", "Beaconing: 1 more in one run"]


def test_a_broken_case_is_neither_quiet_nor_in_the_way(home: House) -> None:
    home.ledger.plant(case_path(evidence().finding["FindingKey"]), b"{")
    assert cases(home).quiet_reason(a_run(), evidence()) == ""
    assert settle(home, evidence()) == (0, 0, 0)


# --- suppression ----------------------------------------------------------------------------------


def test_rows_are_marked_suppressed_while_a_case_is_quiet(home: House) -> None:
    assert cases(home).quiet_reason(a_run(), evidence("a1")) == ""
    settle(home, evidence("a1"))
    assert cases(home).quiet_reason(a_run(), evidence("b2")) == ""
    home.incidents.change(
        WORKSPACE, the_incident(home).id, status="Closed", classification="BenignPositive"
    )
    reason = cases(home).quiet_reason(a_run(), evidence("b2"))
    assert reason.startswith("quiet until 2026-04-09: incident") and "BenignPositive" in reason
    before = home.ledger.contents()
    assert before == home.ledger.contents()  # asking teaches nothing
    assert settle(home, evidence("b2")) == (0, 0, 1)
    home.clock.forward(29 * 86_400)
    assert cases(home).quiet_reason(a_run(), evidence("c3"))
    home.clock.forward(86_400)
    assert cases(home).quiet_reason(a_run(), evidence("c3")) == ""


def test_findings_below_medium_have_no_case(home: House) -> None:
    low = evidence(Severity="Low")
    before = home.wire.calls
    assert cases(home).quiet_reason(a_run(), low) == ""
    run = settle_all(home, [low, evidence(src="10.0.0.9", Severity="Informational")])
    assert (run.case, home.incidents.incidents, home.wire.calls) == (0, {}, before)


# --- all cases of a run ---------------------------------------------------------------------------


def test_one_case_has_one_incident_from_its_best_finding(home: House) -> None:
    hunt = spec(case_key=("SrcIpAddr",))
    found = [Evidence(a_finding(dst=f"192.0.2.{n}"), "x") for n in range(5)]
    run = settle_all(home, found, hunt=hunt)
    assert (run.case, run.counts.opened) == (1, 1)
    assert the_incident(home).properties["title"].endswith("192.0.2.0")


def test_a_turn_without_room_goes_on_with_the_next_case(home: House) -> None:
    found = [evidence(src=f"10.0.0.{n}") for n in range(6)]
    home.wire.hook = lambda phase, what, _s: (
        home.clock.forward(6) if (phase, what) == ("before", "incidents.put") else None
    )
    run = settle_all(home, found, seconds=20.0)
    assert (run.step, run.case) == ("incidents", 2)
    run = settle_all(home, found, run, seconds=45.0)
    assert (run.step, run.case, len(home.incidents.incidents)) == ("read-back", 6, 6)


@pytest.mark.parametrize("how", ["no incidents", "analytics-rule"])
def test_runs_without_incidents_open_none(how: str) -> None:
    home = house.build(incident_route="analytics-rule" if how != "no incidents" else "arm")
    run = settle_all(home, [evidence()], a_run(incidents=how != "no incidents"))
    assert (run.step, home.incidents.incidents) == ("read-back", {})


def test_the_roll_up_is_opened_once_even_after_a_crash() -> None:
    home = house.build(incidents_a_run="0")
    home.wire.hook = refuse("incidents.put", Transient("reset"), "after")
    with pytest.raises(Transient):
        settle_all(home, [evidence()])
    home.wire.hook = lambda *_: None
    assert settle_all(home, [evidence()]).step == "read-back"
    assert "1 more in one run" in the_incident(home).properties["title"]


# --- what Sentinel does not take now --------------------------------------------------------------


def counted(home: House, day: str = "20260310") -> int:
    return home.deployment.records.budget(day).value.incidents


@pytest.mark.parametrize("error", [Forbidden("403"), Throttled("429"), Transient("503")])
def test_an_incident_that_is_not_taken_is_counted_once_a_day(home: House, error: Exception) -> None:
    home.wire.hook = refuse("incidents.put", error)
    for _ in range(3):
        with pytest.raises(Transient):
            settle(home, evidence())
    assert counted(home) == 1
    home.clock.forward(86_400)
    home.wire.hook = lambda *_: None
    assert settle(home, evidence()) == (1, 0, 0)
    # What may have been opened on either day is counted on both.
    assert (counted(home), counted(home, "20260311")) == (1, 1)
    assert settle(home, evidence("b2")) == (0, 1, 0)
    assert counted(home, "20260311") == 1


def test_each_generation_is_counted(home: House) -> None:
    settle(home, evidence("a1"))
    home.incidents.change(
        WORKSPACE, the_incident(home).id, status="Closed", classification="TruePositive"
    )
    assert settle(home, evidence("b2")) == (1, 0, 0)
    assert counted(home) == 2


@pytest.mark.parametrize("error", [Forbidden("403"), Throttled("429")])
def test_a_roll_up_that_is_refused_is_not_counted(error: Exception) -> None:
    home = house.build(incidents_a_run="0")
    home.wire.hook = refuse("incidents.put", error)
    for _ in range(3):
        with pytest.raises(Transient):
            settle_all(home, [evidence()])
    assert counted(home) == 0
    home.wire.hook = lambda *_: None
    assert settle_all(home, [evidence()]).step == "read-back"
    assert counted(home) == 1


def test_a_conflict_about_a_roll_up_that_is_not_there_is_tried_again() -> None:
    home = house.build(incidents_a_run="0")
    home.wire.hook = refuse("incidents.put", Conflict("409: try again"))
    with pytest.raises(Transient, match="409"):
        settle_all(home, [evidence()])
    home.wire.hook = lambda *_: None
    assert settle_all(home, [evidence()]).step == "read-back"
    assert "1 more in one run" in the_incident(home).properties["title"]


def test_rows_that_are_sent_again_bring_no_deleted_roll_up_back() -> None:
    home = house.build(incidents_a_run="0")
    settle_all(home, [evidence()])
    home.incidents.remove(WORKSPACE, the_incident(home).id)
    settle_all(home, [evidence()], a_run(resent=1))
    assert home.incidents.incidents == {}


def test_a_conflict_about_an_incident_that_is_not_there_is_no_incident(home: House) -> None:
    home.wire.hook = refuse("incidents.put", Conflict("409: try again"))
    with pytest.raises(Transient, match="409"):
        settle(home, evidence())
    home.wire.hook = lambda *_: None
    assert settle(home, evidence()) == (1, 0, 0)


@pytest.mark.parametrize(
    ("operation", "error"),
    [("incidents.put", Conflict("412")), ("incidents.comment", Missing("404"))],
)
def test_an_incident_that_changes_under_us_is_looked_at_again(
    home: House, operation: str, error: Exception
) -> None:
    settle(home, evidence("a1", Severity="Medium"))
    home.wire.hook = refuse(operation, error)
    with pytest.raises(Transient, match="changed meanwhile"):
        settle(home, evidence("b2", Severity="High"))
    home.wire.hook = lambda *_: None
    assert settle(home, evidence("b2", Severity="High")) == (0, 1, 0)
