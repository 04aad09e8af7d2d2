"""A document that cannot be used: left alone, said once, listed, and nothing else suffers."""

from __future__ import annotations

import json
import logging
import re
from dataclasses import replace

import pytest

from shared import contract as c
from shared import http_api, records, requests
from shared.bookkeeping import Unusable
from shared.control_loop import take_turn
from shared.documents import encode
from shared.errors import BadInput, Quarantined
from shared.incidents import incident_id
from shared.model import Json
from shared.quarantine import LISTED, UNUSABLE, Quarantine
from shared.records import case_path, day_path, done_path, hunt_path, kind_of, spare
from tests.unit.house import (
    GUID,
    TABLE,
    WORKSPACE,
    Crash,
    House,
    a_finding,
    a_run,
    hours_of_days,
    two_quick_hunts,
)

PLACE = c.workspace_key(WORKSPACE)
RUN = a_run().id
OTHER_RUN = RUN.replace("beaconing", "other_hunt")
CASE = str(a_finding()["FindingKey"])
JOB = "job-20260309000000-0123abcd"
BROKEN = {
    "no JSON": b"{",
    "empty": b"",
    "a list": b"[]",
    "nothing that it must have": b'{"schema": 1}',
    "of a later version": b'{"schema": 99}',
    "no schema": b'{"status": "done"}',
}
SPARES_THE_REST: dict[str, str] = {
    "an unfinished run": f"active/runs/live/{RUN}.json",
    "a run that has ended": done_path(RUN),
    "an unfinished job": f"active/jobs/{JOB}.json",
    "a time line": hunt_path(GUID, WORKSPACE),
    "a day": day_path(WORKSPACE, TABLE, "20260308"),
    "a case": case_path(CASE),
    "when it was listed": "sweep.json",
    "what ended last": "recent.json",
    "what ages": "archive/due.json",
    "what is ignored": "health/ignored.json",
    "what is quarantined": "health/quarantined.json",
    "a request": f"requests/{RUN}.json",
}
"""Kind -> where; all that is left goes on, the other hunt above all."""
# Nothing but the schema is an empty one of these, whole.
HAS_DEFAULTS = ("sweep.json", "recent.json", "archive/due.json", "health/ignored.json",
                "health/quarantined.json")  # fmt: skip


def days_of_work(home: House) -> House:
    home.tick()
    home.land(hours_of_days("20260308", "20260309"))
    home.live(1.5, 60.0)
    return home


def listed(home: House) -> Json:
    code, told = http_api.status(home.deployment)
    assert code == 200
    found: Json = told["quarantined"]
    return found


CELLS = [(what, why) for what, path in SPARES_THE_REST.items() for why in BROKEN
         if path not in HAS_DEFAULTS or why != "nothing that it must have"]  # fmt: skip


@pytest.mark.parametrize(("what", "why"), CELLS, ids=[f"{what}: {why}" for what, why in CELLS])
def test_it_is_left_alone_and_listed_and_the_rest_goes_on(what: str, why: str) -> None:
    path = SPARES_THE_REST[what]
    home = two_quick_hunts(incident_route="arm")
    home.exports.plant("unread", "x", b"")
    home.ledger.plant(path, BROKEN[why])
    days_of_work(home)
    assert home.ledger.contents()[path] == BROKEN[why]
    assert json.loads(home.ledger.contents()[done_path(OTHER_RUN)])["status"] == "done"
    assert {row["RunId"] for row in home.sink.rows} >= {OTHER_RUN}
    assert path in listed(home)


@pytest.mark.parametrize("path", ["turn.json", "owner.json", "sweep.json", "recent.json"])
def test_what_there_is_one_of_stops_nothing(path: str) -> None:
    home = two_quick_hunts()
    home.ledger.plant(path, b"{")
    days_of_work(home)
    assert {run.status for run in home.runs().values()} == {"done"} and len(home.runs()) == 2
    assert home.ledger.contents()[path] == b"{"
    assert path in listed(home)


def test_a_claim_that_cannot_be_read_is_claimed_in_its_spare_by_one_at_a_time() -> None:
    home = two_quick_hunts()
    home.ledger.plant("turn.json", b"{")
    inside: list[bool] = []

    def meanwhile(when: str, operation: str, _subject: str) -> None:
        if (when, operation) == ("before", "exports.tables"):
            home.wire.hook = lambda *_: None
            inside.append(take_turn(home.beside("host-2")))

    home.wire.hook = meanwhile
    assert take_turn(home.deployment)
    assert inside == [False]
    assert json.loads(home.ledger.contents()[spare("turn.json")])["owner"] == "host-1"


@pytest.mark.parametrize("path", ["turn.json", "owner.json"])
def test_where_a_later_version_acts_we_do_not(path: str) -> None:
    home = two_quick_hunts()
    home.ledger.plant(path, b'{"schema": 99}')
    with pytest.raises(Quarantined, match="schema 99"):
        take_turn(home.deployment)
    assert set(home.ledger.contents()) == {path, "owner.json"}


def test_a_budget_that_cannot_be_read_spends_nothing_until_the_next_day() -> None:
    home = two_quick_hunts()
    home.clock.forward(3600)
    home.ledger.plant("budget/20260310.json", b"{")
    days_of_work(home)
    assert home.engine.requests == [] and http_api.status(home.deployment)[1]["budget"] is None
    home.live(24, 600.0)
    assert {run.status for run in home.runs().values()} == {"done"} and home.runs()


def test_a_slot_whose_run_is_broken_waits_alone_and_costs_no_run_of_the_day() -> None:
    home = days_of_work(two_quick_hunts())
    broken = "20260310-beaconing-" + f"{PLACE}-r0"
    home.ledger.plant(f"active/runs/live/{broken}.json", b"{")
    home.land(hours_of_days("20260310")[:3])
    home.clock.forward(24 * 3600)
    home.live(2, 60.0)
    home.land(hours_of_days("20260311")[:2])
    home.clock.forward(24 * 3600)
    home.live(2, 60.0)
    ended = {run.id for run in home.deployment.records.recent()}
    assert broken.replace("20260310", "20260311") in ended and broken not in ended
    for path in home.documents("budget/"):
        assert json.loads(home.ledger.contents()[path])["runs"].get(GUID, 0) <= 1, path


def test_a_run_in_a_status_of_a_later_version_is_skipped_and_no_second_one_starts() -> None:
    home = two_quick_hunts()
    home.tick()
    home.land(hours_of_days("20260309"))
    home.tick(4)
    path = f"active/runs/live/{RUN}.json"
    body = {**json.loads(home.ledger.contents()[path]), "status": "reviewing"}
    home.ledger.plant(path, json.dumps(body).encode())
    home.land(["2026030903"], "changed")
    home.live(3, 60.0)
    assert json.loads(home.ledger.contents()[path]) == body
    mine = [run_id for run_id in _run_ids(home) if "beaconing" in run_id]
    assert mine == [RUN] and "reviewing" in listed(home)[path]


def _run_ids(home: House) -> list[str]:
    runs = [path for path in home.ledger.contents() if path.startswith(("active/runs/", "done/"))]
    return sorted({path.rpartition("/")[2].removesuffix(".json") for path in runs})


def test_a_broken_document_is_said_once_and_again_when_it_breaks_otherwise(
    caplog: pytest.LogCaptureFixture,
) -> None:
    home = two_quick_hunts()
    path = hunt_path(GUID, WORKSPACE)

    def said() -> int:
        return sum(path in record.message for record in caplog.records
                   if record.levelno >= logging.WARNING)  # fmt: skip

    home.ledger.plant(path, b"{")
    home.tick()
    home.land(hours_of_days("20260309"))
    home.tick(10)
    assert said() == 1
    home.ledger.plant(path, b"[]")
    home.tick(10)
    assert said() == 2


def test_a_mended_document_leaves_the_list_of_every_process() -> None:
    home = two_quick_hunts()
    path = case_path(CASE)
    home.ledger.plant(path, b"{")
    days_of_work(home)
    other = replace(home.deployment, records=type(home.deployment.records)(home.ledger))
    assert path in http_api.status(other)[1]["quarantined"]
    home.ledger.delete(path)
    take_turn(other)
    assert path not in http_api.status(other)[1]["quarantined"]
    home.tick()
    assert listed(home) == {}


def test_the_list_is_bounded_whatever_breaks() -> None:
    quarantine = Quarantine()
    for number in range(2 * LISTED):
        quarantine.put(f"cases/{number:03}", BadInput("x" * 10_000))
    told = quarantine.listed({}, lambda _path: True)
    assert len(told) == LISTED and sum(map(len, told.values())) < 32_000


def test_a_person_is_told_which_document_of_theirs_is_broken() -> None:
    home = two_quick_hunts()
    home.ledger.plant(done_path(RUN), b"{")
    with pytest.raises(Quarantined) as error:
        requests.ask_change(home.deployment, "cancel", RUN)
    assert error.value.where == done_path(RUN)
    code, told = http_api.answer(
        lambda: home.deployment, {}, "Reader", lambda house: http_api.show_run(house, RUN)
    )
    assert (code, told["where"]) == (400, done_path(RUN))


def test_a_case_that_is_broken_is_rolled_up_and_its_finding_is_delivered() -> None:
    home = two_quick_hunts()
    home.ledger.plant(case_path(CASE), b"{")
    days_of_work(home)
    assert {row["FindingKey"] for row in home.sink.rows} >= {CASE}
    assert (WORKSPACE, incident_id(CASE, 1)) not in home.incidents.incidents
    titles = sorted(one.properties["title"] for one in home.incidents.incidents.values())
    assert titles == ["Beacon from 10.0.0.5 to 192.0.2.7", "Beaconing: 1 more in one run"]


def test_every_document_of_a_ledger_has_its_kind() -> None:
    home = days_of_work(two_quick_hunts())
    unknown = [path for path in home.ledger.contents()
               if kind_of(path) is None and not path.startswith("touched/")]  # fmt: skip
    assert unknown == []


def test_a_crash_after_a_run_was_put_away_is_healed_with_a_broken_list() -> None:
    home = two_quick_hunts()
    home.ledger.plant("archive/due.json", b"{")
    home.ledger.plant(spare("archive/due.json"), b"{")
    crash = Crash()

    def die(when: str, operation: str, subject: str) -> None:
        if (when, operation) == ("after", "ledger.create") and subject == done_path(RUN):
            home.wire.hook = lambda *_: None
            raise crash

    home.wire.hook = die
    with pytest.raises(Crash):
        days_of_work(home)
    home.clock.forward(120)
    home.live(2, 60.0)
    assert home.documents("active/") == {}
    assert {run.status for run in home.runs().values()} == {"done"}


def test_every_document_that_the_map_names_can_be_looked_at_again() -> None:
    named = re.findall(r"^(\S.*?\.json) {2}", records.__doc__ or "", re.MULTILINE)
    assert len(named) > 20
    assert [path for path in named if kind_of(path) is None] == []


@pytest.mark.parametrize("path", ["fills.json", "pools/hunting.json"])
def test_another_process_lists_it_until_it_is_mended(path: str) -> None:
    home = two_quick_hunts()
    home.ledger.plant(path, b"{")
    home.ledger.put(UNUSABLE, encode(Unusable({path: "as another process said"})))
    home.tick()
    assert path in listed(home)
    home.ledger.delete(path)
    home.tick()
    assert path not in listed(home)
