"""HTTP: what is answered, to whom, and that it only ever leaves requests."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import __version__, http_api
from shared.adapters.functions_http import encode
from shared.callers import OPERATOR, READER
from shared.deployment import Deployment
from shared.errors import BadInput, Conflict, Permanent, Throttled, TidehuntError
from shared.http_api import answer, change_run, show_run, start_run, status
from shared.http_routes import ROUTES
from shared.model import Json, Param
from shared.records import RECENT_RUNS, Kept, run_path
from tests.unit import house
from tests.unit.house import GUID, House, a_run, spec
from tests.unit.test_callers import principal

ASKED = {"hunt": "beaconing", "end_date": "2026-02-28"}


@pytest.fixture
def home() -> House:
    return house.build([spec(params=(Param("threshold", 0.7, 0.0, 1.0),))])


def ask(home: House, body: Any = None, **changes: Any) -> tuple[int, Json]:
    """POST /api/runs."""
    content = body if isinstance(body, bytes) else json.dumps({**ASKED, **changes}).encode()
    return answer(lambda: home.deployment, {}, OPERATOR, lambda one: start_run(one, content))


# --- roles and errors -----------------------------------------------------------------------------


@pytest.mark.parametrize("route", sorted(ROUTES))
@pytest.mark.parametrize(
    ("headers", "held"),
    [({}, ()), (principal(READER), (READER,)), (principal(OPERATOR), (READER, OPERATOR))],
)
def test_every_route_asks_for_its_role(
    route: str, headers: dict[str, str], held: tuple[str, ...]
) -> None:
    guarded = house.build(auth="easyauth").deployment
    role, reads = ROUTES[route].role, ("status", "show_run", "list_gaps", "list_quiet")
    assert role == (READER if route in reads else OPERATOR)
    asked: list[Deployment] = []

    def work(one: Deployment) -> http_api.Answer:
        asked.append(one)
        return 200, {}

    code, body = answer(lambda: guarded, headers, role, work)
    assert (code, bool(asked)) == ((200, True) if role in held else (403, False))
    assert code == 200 or role in body["mend"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("no day", where="end_date", mend="write it so"), 400),
        (Throttled("429"), 503),
        (Conflict("changed"), 503),
        (Permanent("settings cannot be used", mend="correct them"), 500),
        (TidehuntError("?"), 500),
    ],
)
def test_trouble_becomes_an_answer(home: House, error: TidehuntError, code: int) -> None:
    def work(_: Deployment) -> http_api.Answer:
        raise error

    told, body = answer(lambda: home.deployment, {}, READER, work)
    assert told == code and error.what in body["error"] and "mend" in body
    assert code != 400 or (body["where"], body["mend"]) == ("end_date", "write it so")


def test_a_deployment_that_cannot_be_made_is_an_answer_too() -> None:
    def broken() -> Deployment:
        raise Permanent("settings cannot be used: ...", mend="correct them")

    assert answer(broken, {}, READER, lambda _: (200, {}))[0] == 500


# --- starting -----------------------------------------------------------------------------------


def requests(home: House) -> list[str]:
    """Requests that no turn has taken."""
    return [path for path in home.ledger.contents() if path.startswith("requests/")]


def test_asking_leaves_a_request_under_a_deterministic_id_and_acts_not(home: House) -> None:
    home.tick(seconds=0)
    code, body = ask(home)
    assert code == 202 and body["status_url"] == f"/api/runs/{body['run_id']}"
    assert requests(home) == [f"requests/{body['run_id']}.json"]
    assert ask(home) == (code, body)
    assert ask(house.build(list(home.deployment.hunts))) == (code, body)
    assert len(requests(home)) == 1
    assert ask(home, params={"threshold": 0.9})[1]["run_id"] != body["run_id"]


def test_a_call_takes_the_turn_that_is_overdue(home: House) -> None:
    home.tick(seconds=299)
    ask(home)
    assert len(requests(home)) == 1
    home.clock.forward(1)
    ask(home)
    assert requests(home) == [f"requests/{ask(home)[1]['run_id']}.json"]
    assert len(home.runs()) == 1


def test_the_same_ask_before_and_after_the_run_is_one_run(home: House) -> None:
    run_id = ask(home)[1]["run_id"]
    for _ in range(6):
        home.tick()
        home.work()
        assert ask(home)[1]["run_id"] == run_id
    assert list(home.runs()) == [run_id] and len(home.engine.requests) == 1


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"hunt": "nope"}, "hunt"),
        ({"hunt": 7}, "body"),
        ({"end_date": "2026-02-30"}, "end_date"),
        ({"end_date": "tomorrow"}, "end_date"),
        ({"end_date": 20260228}, "body"),
        ({"lookback_days": 0}, "lookback_days"),
        ({"lookback_days": "21"}, "body"),
        ({"lookback_days": True}, "body"),
        ({"lookback_days": None}, "body"),
        ({"params": []}, "body"),
        ({"params": {"treshold": 1}}, "treshold"),
        ({"params": {"threshold": 5}}, "threshold"),
        ({"incidents": 1}, "body"),
        ({"workspace": "fabrikam"}, "workspace"),
        ({"surprise": 1}, "body"),
        ({"endDate": "2026-02-28"}, "body"),
    ],
)
def test_what_cannot_be_asked_says_where_and_how_to_mend_it(
    home: House, changes: dict[str, Any], where: str
) -> None:
    code, body = ask(home, **changes)
    assert (code, body["where"]) == (400, where) and body["error"] and body["mend"]
    assert home.ledger.contents() == {}


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"[" * 60_000,
     b'{"hunt": "' + b"x" * 64_000 + b'"}',
     b'{"params": {"threshold": NaN}, "hunt": "beaconing", "end_date": "2026-02-28"}',
     b'{"lookback_days": ' + b"9" * 5000 + b"}"],
    ids=range(10),
)  # fmt: skip
def test_a_hostile_body_is_400(home: House, content: bytes) -> None:
    assert ask(home, content)[0] == 400
    assert home.ledger.contents() == {}


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(http_api.RUN_FIELDS)), json_values, max_size=4))
def test_any_body_is_taken_or_refused(changes: dict[str, Any]) -> None:
    home = house.build([spec(params=(Param("threshold", 0.7, 0.0, 1.0),))])
    code, body = ask(home, **changes)
    assert (code, len(home.ledger.contents())) in ((202, 1), (400, 0))
    json.loads(encode(body))


# --- cancelling and showing -------------------------------------------------------------------


def test_a_run_is_shown_from_its_request_to_its_end(home: House) -> None:
    run_id = ask(home)[1]["run_id"]
    assert show_run(home.deployment, run_id)[1]["status"] == "requested"
    home.tick()
    code, body = show_run(home.deployment, run_id)
    assert (code, body["status"], body["kind"]) == (200, "assigned", "adhoc")
    assert body["window"] == {
        "start": "2026-02-08T00:00:00+00:00",
        "end": "2026-03-01T00:00:00+00:00",
    }
    home.live(2, 60)
    body = show_run(home.deployment, run_id)[1]
    assert (body["status"], body["counts"]["sent"]) == ("done", 1)
    assert body["coverage"]["hours_read"] == 24


def test_a_cancel_is_a_request_too(home: House) -> None:
    run_id = ask(home)[1]["run_id"]
    assert change_run(home.deployment, run_id, "cancel", b"")[0] == 202
    home.tick()
    assert show_run(home.deployment, run_id)[1]["status"] == "cancelled"


@pytest.mark.parametrize(
    ("change", "body", "code"),
    [
        ("cancel", b'{"reason": "typed\\u0007 by hand"}', 202),
        ("cancel", b'{"reason": 3}', 400),
        ("cancel", b'{"why": "x"}', 400),
        ("release", b"", 400),
        ("redrive", b"", 400),
        ("explode", b"", 404),
    ],
)
def test_a_change_is_taken_or_refused_with_its_mend(
    home: House, change: str, body: bytes, code: int
) -> None:
    run = a_run()
    home.deployment.records.save(Kept(run_path(run), run, None), run)
    told = answer(
        lambda: home.deployment, {}, OPERATOR, lambda one: change_run(one, run.id, change, body)
    )
    assert told[0] == code and (code == 202 or told[1]["mend"])
    if code == 202:
        home.tick()
        assert show_run(home.deployment, run.id)[1]["reason"] == "typed  by hand"


@pytest.mark.parametrize(
    "run_id", ["20260309-no-such-run-r0", "", "../owner", "x" * 500, "20260309-\x00", "%2e%2e"]
)
def test_what_is_no_run_is_404(home: House, run_id: str) -> None:
    assert show_run(home.deployment, run_id)[0] == 404
    assert change_run(home.deployment, run_id, "cancel", b"")[0] == 404
    assert home.ledger.contents() == {}


# --- status -------------------------------------------------------------------------------------


def test_status_tells_what_runs_waits_and_ended(home: House) -> None:
    fresh = status(home.deployment)[1]
    assert (fresh["idle"], fresh["last_turn"], fresh["version"]) == (True, None, __version__)
    home.land(["2026030923"])
    assert status(home.deployment)[1]["waiting"]["marks"] == 1
    home.tick()
    home.land(["2026030923"], table="mytable_cl", event=False)
    waiting = status(home.deployment)[1]
    assert (waiting["idle"], waiting["waiting"]["slots"]) == (False, 1)
    home.live(3, 60)
    told = status(home.deployment)[1]
    assert told["idle"] and told["active"] == {"runs": [], "jobs": []}
    assert [run["status"] for run in told["recent"]] == ["done"]
    (hunt,) = told["hunts"]
    assert (hunt["hunt"], hunt["judged_until"]) == ("beaconing", "2026-03-10T00:00:00+00:00")
    assert told["ignored_tables"] == ["mytable_cl"] and told["budget"]["jobs"] == 1
    json.loads(encode(told))


def test_status_answers_in_spite_of_a_broken_hunt(home: House) -> None:
    home.tick()
    (path,) = home.documents("hunts/") or {f"hunts/{GUID}/contoso-9f589367.json": {}}
    home.ledger.plant(path, b"{")
    code, body = answer(lambda: home.deployment, {}, READER, status)
    assert (code, len(body["hunts"])) == (200, 1)


def test_status_shows_the_faults_of_hunts_that_were_left_out(home: House) -> None:
    fault = BadInput("names no data", where="hunts/x.yaml:1", mend="add views")
    told = status(replace(home.deployment, hunt_faults=[fault]))[1]
    assert told["hunt_faults"] == ["names no data (hunts/x.yaml:1). Mend: add views"]


def test_the_newest_ends_come_first_and_are_bounded(home: House) -> None:
    for number in range(RECENT_RUNS + 5):
        run = a_run(id=f"20260309-beaconing-n{number:03d}-r0", status="done")
        home.deployment.records.save(Kept(run_path(run), run, None), run)
        home.tick()
    recent = status(home.deployment)[1]["recent"]
    assert len(recent) == RECENT_RUNS
    assert recent[0]["run_id"] == f"20260309-beaconing-n{RECENT_RUNS + 4:03d}-r0"


def test_what_ended_is_told_without_listing_the_years(home: House) -> None:
    asked: list[str] = []
    home.wire.hook = lambda _when, operation, subject: asked.append(f"{operation} {subject}")
    status(home.deployment)
    assert asked and [one for one in asked if "list" in one and "done" in one] == []


def test_a_broken_list_of_what_ended_holds_nothing_up(home: House) -> None:
    home.ledger.plant("recent.json", b"{")
    run = a_run(status="done")
    home.deployment.records.save(Kept(run_path(run), run, None), run)
    home.tick()
    assert home.documents("active/") == {}
    assert [one["run_id"] for one in status(home.deployment)[1]["recent"]] == [run.id]
    assert home.ledger.contents()["recent.json"] == b"{"


def test_what_a_log_wrote_cannot_break_out_of_an_answer() -> None:
    hostile = "</script>\u2028\ud800\x00\x1b"
    assert encode({"x": hostile}).isascii()


@pytest.mark.parametrize("look", range(12))
def test_a_run_that_is_taken_up_between_two_looks_is_never_missing(home: House, look: int) -> None:
    home.tick(seconds=0)
    run_id = ask(home)[1]["run_id"]
    looks = 0

    def take_it_up(when: str, _operation: str, _subject: str) -> None:
        nonlocal looks
        looks += when == "before"
        if looks == look + 1 and when == "before":
            home.wire.hook = lambda *_: None
            home.tick(seconds=0)

    home.wire.hook = take_it_up
    code, body = show_run(home.deployment, run_id)
    assert (code, body.get("run_id")) == (200, run_id)
