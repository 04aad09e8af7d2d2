"""Cases and incidents: who wins, what stays quiet, and what a hostile text becomes."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import incidents as i
from shared.contract import finding_key, workspace_key
from shared.incidents import Evidence, Open, Quiet, Update, judge
from shared.model import Case, Incident
from tests.unit.house import GUID, OTHER, START, WORKSPACE, a_finding, a_run, day_window, spec

SPEC = spec(quiet_days=30)
KEY = finding_key("contoso", GUID, {"SrcIpAddr": "10.0.0.5"})
NEW = Case(KEY, GUID, WORKSPACE)
DAY = timedelta(days=1)


def evidence(content: str = "a1", **changes: Any) -> Evidence:
    return Evidence(a_finding(**changes), content)


def opened(severity: str = "Medium") -> Case:
    """The case after its first incident was opened."""
    verdict = judge(NEW, None, evidence(Severity=severity), SPEC, START)
    assert isinstance(verdict, Open)
    return replace(verdict.case, opened=START)


def held(case: Case, **changes: Any) -> Incident:
    """The case's incident as Sentinel holds it."""
    given = {"title": "t", "severity": case.severity, "status": "New", **changes}
    return Incident(case.incident_id, '"1"', given)


def closed(case: Case, classification: str) -> Incident:
    return held(case, status="Closed", classification=classification)


# --- generations --------------------------------------------------------------------------------


def test_the_first_evidence_opens_generation_one_under_an_id_that_a_repeat_shares() -> None:
    first = judge(NEW, None, evidence(), SPEC, START)
    assert isinstance(first, Open)
    assert first.case.incident_id == i.incident_id(KEY, 1) != i.incident_id(KEY, 2)
    assert (first.case.generation, first.case.opened) == (1, None)
    # A crash came after saving the case: found as saved, it is the same incident again.
    assert judge(first.case, None, evidence(), SPEC, START + DAY) == first


def test_a_crash_after_creating_is_noticed_so_that_a_deletion_counts_later() -> None:
    saved = replace(opened(), opened=None)
    verdict = judge(saved, held(saved), evidence("a1", Severity="Medium"), SPEC, START)
    assert isinstance(verdict, Quiet) and verdict.case.opened == START
    deleted = judge(verdict.case, None, evidence("b2"), SPEC, START + DAY)
    assert isinstance(deleted, Quiet) and deleted.suppressed


def test_new_evidence_updates_the_open_incident_once() -> None:
    case = opened()
    verdict = judge(case, held(case), evidence("b2"), SPEC, START + DAY)
    assert isinstance(verdict, Update)
    assert verdict.case.evidence == evidence("b2").name
    again = judge(verdict.case, held(case), evidence("b2"), SPEC, START + DAY)
    assert isinstance(again, Quiet) and not again.suppressed
    # A crash before the case was saved writes the same comment under the same id.
    assert judge(case, held(case), evidence("b2"), SPEC, START + DAY) == verdict


@pytest.mark.parametrize("classification", ["TruePositive", "Undetermined", None])
def test_evidence_after_another_closure_opens_the_next_generation(
    classification: str | None,
) -> None:
    case = opened()
    incident = closed(case, classification or "")
    if classification is None:
        del incident.properties["classification"]
    same = judge(case, incident, evidence("a1"), SPEC, START + DAY)
    assert isinstance(same, Quiet) and not same.suppressed
    verdict = judge(case, incident, evidence("b2"), SPEC, START + DAY)
    assert isinstance(verdict, Open)
    assert (verdict.case.generation, verdict.case.incident_id) == (2, i.incident_id(KEY, 2))


# --- quiet --------------------------------------------------------------------------------------


@pytest.mark.parametrize("classification", i.BENIGN)
def test_a_benign_closure_keeps_quiet_for_30_days_and_no_longer(classification: str) -> None:
    case = opened()
    lesson = judge(case, closed(case, classification), evidence("b2"), SPEC, START)
    assert isinstance(lesson, Quiet) and lesson.suppressed
    assert lesson.case.quiet_until == START + 30 * DAY
    assert classification in lesson.reason and case.incident_id in lesson.reason
    taught = lesson.case
    for days in (0, 29):
        verdict = judge(
            taught, closed(case, classification), evidence("c3"), SPEC, START + days * DAY
        )
        assert isinstance(verdict, Quiet) and verdict.suppressed and verdict.case == taught
    after = judge(taught, closed(case, classification), evidence("d4"), SPEC, START + 30 * DAY)
    assert isinstance(after, Open)
    assert (after.case.generation, after.case.quiet_until) == (2, None)


def test_a_deleted_incident_stays_deleted_as_long_and_for_each_generation_anew() -> None:
    case = opened()
    for generation in (1, 2):
        verdict = judge(case, None, evidence("b2"), SPEC, START)
        assert isinstance(verdict, Quiet) and "deleted" in verdict.reason and verdict.suppressed
        still = judge(verdict.case, None, evidence("c3"), SPEC, START + 29 * DAY)
        assert isinstance(still, Quiet) and still.suppressed
        after = judge(verdict.case, None, evidence("c3"), SPEC, START + 30 * DAY)
        assert isinstance(after, Open) and after.case.generation == generation + 1
        case = replace(after.case, opened=START)


def test_an_analyst_who_reopens_or_reclassifies_ends_the_quiet() -> None:
    case = opened()
    verdict = judge(case, closed(case, "FalsePositive"), evidence("b2"), SPEC, START)
    reopened = judge(verdict.case, held(case, status="Active"), evidence("c3"), SPEC, START + DAY)
    assert isinstance(reopened, Update)
    assert (reopened.case.quiet_until, reopened.case.learned_from) == (None, "")
    renamed = judge(verdict.case, closed(case, "TruePositive"), evidence("c3"), SPEC, START + DAY)
    assert isinstance(renamed, Open) and renamed.case.generation == 2


# --- the analyst wins ---------------------------------------------------------------------------

theirs = st.fixed_dictionaries(
    {
        "title": st.text(max_size=20),
        "status": st.sampled_from(["New", "Active"]),
        "owner": st.none() | st.fixed_dictionaries({"objectId": st.uuids().map(str)}),
        "severity": st.sampled_from(["Informational", "Low", "Medium", "High"]),
        "labels": st.lists(st.fixed_dictionaries({"labelName": st.text(max_size=9)}), max_size=3),
        "description": st.text(max_size=20),
        "incidentNumber": st.integers(1, 9),
    }
)


@settings(max_examples=100, deadline=None)
@given(theirs, st.lists(st.sampled_from(["Medium", "High"]), min_size=1, max_size=4))
def test_nothing_that_an_analyst_wrote_is_written_over(
    written: dict[str, Any], severities: list[str]
) -> None:
    case = opened("Medium")
    incident = Incident(case.incident_id, '"1"', dict(written))
    for number, severity in enumerate(severities):
        verdict = judge(case, incident, evidence(f"e{number}", Severity=severity), SPEC, START)
        assert isinstance(verdict, Update)
        case = verdict.case
        incident = replace(incident, properties=verdict.properties)
    kept = {name: value for name, value in incident.properties.items() if name in written}
    if written["severity"] == "Medium":  # still ours: it may rise
        kept["severity"] = "Medium"
    assert kept == written


def test_severity_rises_while_it_is_ours_and_never_falls() -> None:
    case = opened("Medium")
    up = judge(case, held(case), evidence("b2", Severity="High"), SPEC, START)
    assert isinstance(up, Update) and up.properties["severity"] == up.case.severity == "High"
    raised = held(up.case)
    down = judge(up.case, raised, evidence("c3", Severity="Medium"), SPEC, START)
    assert isinstance(down, Update) and down.properties["severity"] == "High"


def test_the_last_activity_moves_forward_only_whatever_the_fractions() -> None:
    case = opened()
    for ours, theirs_, expected in (
        ("2026-03-09T23:00:00Z", "2026-03-09T22:59:59.9999999Z", "2026-03-09T23:00:00Z"),
        ("2026-03-09T23:00:00.5Z", "2026-03-09T23:00:00Z", "2026-03-09T23:00:00.5Z"),
        ("2026-03-09T23:00:00Z", "2026-03-10T00:00:00Z", "2026-03-10T00:00:00Z"),
        ("2026-03-09T23:00:00Z", None, "2026-03-09T23:00:00Z"),
        ("2026-03-09T23:00:00Z", "no time", "no time"),
    ):
        incident = held(case, lastActivityTimeUtc=theirs_)
        verdict = judge(case, incident, evidence("b2", LastSeen=ours), SPEC, START)
        assert isinstance(verdict, Update)
        assert verdict.properties["lastActivityTimeUtc"] == expected


def test_the_last_comments_are_left_to_the_analyst() -> None:
    case = opened()
    for count, comments in ((i.COMMENTS_OF_OURS - 1, True), (i.COMMENTS_OF_OURS, False)):
        incident = held(case, additionalData={"commentsCount": count})
        verdict = judge(case, incident, evidence("b2"), SPEC, START)
        assert isinstance(verdict, Update)
        assert bool(verdict.comment_id) == bool(verdict.comment) == comments


# --- case keys ----------------------------------------------------------------------------------


def test_a_case_is_the_finding_key_unless_the_spec_groups() -> None:
    run, finding = a_run(), a_finding()
    assert i.case_key(finding, run, SPEC) == finding["FindingKey"]
    by_host = spec(case_key=("SrcIpAddr",))
    same = i.case_key(a_finding(dst="198.51.100.9"), run, by_host)
    assert i.case_key(finding, run, by_host) == same != finding["FindingKey"]
    assert i.case_key(a_finding("10.0.0.6"), run, by_host) != same
    assert i.case_key(finding, replace(run, workspace=OTHER), by_host) != same
    assert i.case_key(finding, replace(run, slot=day_window("20260101")), by_host) == same


def test_identity_wins_over_entities_and_missing_columns_are_null() -> None:
    by_host = spec(case_key=("SrcIpAddr", "DstHostname"))
    key = i.case_key(a_finding(Entities={"SrcIpAddr": "6.6.6.6"}), a_run(), by_host)
    for entities in (None, {}, {"SrcIpAddr": "7.7.7.7"}):
        assert i.case_key(a_finding(Entities=entities), a_run(), by_host) == key
    assert workspace_key(WORKSPACE) not in key


# --- texts --------------------------------------------------------------------------------------

HOSTILE = (
    "[click](http://evil.example/a)",
    "[click]<//evil.example>",
    "![x](https://evil.example/p.png)",
    "!<[x]>(javascript://evil)",
    "<script>alert(1)</script>",
    "<https://evil.example>",
    "xhttp://evil.example HTTPS://EVIL.example hTTp://e",
    "a\r\nb\x00c\x1b[31m\u202etxt.exe\u2028\u2029\x85\ud800",
    "`; rm -rf`",
    "[a]: ftp://evil.example\n[a][a]",
    "\u200b](\u200bhttp://evil",
)
FORBIDDEN = re.compile(r"\]\(|\]\[|\]:|!\[|://|https?:|[<>`]|[\x00-\x09\x0b-\x1f\x7f-\x9f]", re.I)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_is_plain_everywhere(text: str) -> None:
    finding = a_finding(
        Title=text,
        Entities={"DstHostname": text, text: 1},
        Evidence={"Url": text, "Nested": [text]},
        FirstSeen=text,
    )
    properties = i.new_incident(finding, SPEC)
    for written in (properties["title"], properties["description"], i.describe(finding, 30_000)):
        assert not FORBIDDEN.search(written), written
    assert "\n" not in properties["title"]


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet=st.one_of(st.characters(), st.sampled_from("[]()<>!`:/htps \n"))))
def test_no_text_brings_markup_or_a_link(text: str) -> None:
    plain = i.plain(text)
    assert not FORBIDDEN.search(plain) and "\n" not in plain
    assert plain.isprintable() and i.plain(plain) == plain


def test_plain_text_is_left_as_it_is() -> None:
    text = "Beacon from 10.0.0.5 to péré.example:443 (288 times, 5 % jitter) — [High]"
    assert i.plain(text) == text


def test_long_texts_are_cut_to_what_sentinel_takes() -> None:
    finding = a_finding(
        Title="\U0001f600" * 900, Evidence={f"Field{n}": "y" * 600 for n in range(100)}
    )
    properties = i.new_incident(finding, SPEC)
    assert len(properties["title"]) == i.TITLE_LIMIT
    assert len(properties["description"]) == i.DESCRIPTION_LIMIT
    assert len(i.describe(finding, i.COMMENT_LIMIT)) == i.COMMENT_LIMIT
    json.dumps(properties).encode()


def test_a_new_incident_has_sentinels_shape() -> None:
    properties = i.new_incident(a_finding(), SPEC)
    assert properties["severity"] == "High" and properties["status"] == "New"
    assert properties["labels"] == [{"labelName": "Tidehunt"}, {"labelName": "beaconing"}]
    assert properties["firstActivityTimeUtc"] == "2026-03-09T01:00:00Z"
    assert "Regularity: 0.97" in properties["description"]
    assert a_finding()["FindingId"] in properties["description"]
    bare = i.new_incident(a_finding(FirstSeen=None, LastSeen=None), SPEC)
    assert "firstActivityTimeUtc" not in bare


def test_a_roll_up_says_how_many_and_where() -> None:
    properties = i.roll_up(a_run(job="job-1"), spec(name="<b>x</b>"), 3, 40)
    assert "43 more" in properties["title"] and "<" not in properties["title"]
    assert a_run().id in properties["description"] and "40 withheld" in properties["description"]
    folder = f"results/jobs/job-1/runs/{a_run().id}/withheld/"
    assert folder in properties["description"]
    assert folder not in i.roll_up(a_run(job="job-1"), spec(), 3, 0)["description"]
