"""The ledger is lost and told again: no POST, no row, no incident more, and all goes on."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import contract as c
from shared import rebuild
from shared.errors import BadInput
from shared.model import Json
from shared.records import Records, hunt_path
from tests.memory.storage import MemoryLedger
from tests.unit.house import (
    GUID,
    WORKSPACE,
    House,
    a_finding,
    hours_of_days,
    run_of,
    two_quick_hunts,
)

PLACE = c.workspace_key(WORKSPACE)


def a_world(until: float = 3.0) -> House:
    """Three days of two hunts, an ad-hoc run, a revision; then so many hours more."""
    home = two_quick_hunts()
    home.hunting = some_findings
    home.tick()
    home.land(hours_of_days("20260308", "20260309"))
    home.live(1, 120.0)
    home.land(["2026030903"], "late")
    home.live(until, 120.0)
    return home


def some_findings(run: Json) -> list[Json]:
    """One that stays as it is, one that tells of the data, one below what opens incidents."""
    where = run_of(run)
    return [
        a_finding(run=where),
        a_finding("10.0.0.6", run=where, Evidence={"Bytes": run["bytes"]}, Severity="Medium"),
        a_finding("10.0.0.7", run=where, Severity="Low"),
    ]


def lose(home: House) -> House:
    """The same world with an empty ledger."""
    ledger = MemoryLedger(home.wire)
    return replace(
        home, ledger=ledger, deployment=replace(home.deployment, records=Records(ledger))
    )


def lost_and_rebuilt(home: House) -> House:
    again = lose(home)
    rebuild.apply(again.deployment, rebuild.documents(again.deployment))
    return again


def effects(home: House) -> tuple[int, int, int, int]:
    comments = sum(len(one) for one in home.incidents.comments.values())
    return (len(home.engine.requests), len(home.sink.rows), len(home.incidents.incidents), comments)


def test_nothing_is_done_again_after_the_end() -> None:
    home = a_world()
    before = effects(home)
    assert before[0] >= 2 and before[1] >= 6 and before[2] == 4
    again = lost_and_rebuilt(home)
    again.live(6, 300.0)
    assert effects(again) == before
    assert again.runs() == home.runs()


def test_it_tells_what_the_living_ledger_tells() -> None:
    home = a_world()
    built = rebuild.documents(home.deployment)
    assert list(rebuild.differences(home.deployment, built)) == []
    ends = {path: body for path, body in built.items() if path.startswith("done/")}
    assert ends == {
        path: body for path, body in home.documents("done/").items() if "/job-" not in path
    }


def test_a_difference_is_told_by_its_path() -> None:
    home = a_world()
    built = rebuild.documents(home.deployment)
    paths = sorted(path for path in built if path.startswith(("cases/", "done/", "hunts/")))
    home.ledger.delete(paths[0])
    body = json.loads(home.ledger.contents()[paths[-1]])
    home.ledger.plant(paths[-1], json.dumps({**body, "slots": {}}).encode())
    home.ledger.plant("cases/00/odd.json", b'{"schema": 1}')
    assert list(rebuild.differences(home.deployment, built)) == [
        "not rebuilt: cases/00/odd.json",
        f"not in the ledger: {paths[0]}",
        f"differs: {paths[-1]}",
    ]


def test_looking_writes_nothing_anywhere() -> None:
    home = a_world()
    ledger, before = home.ledger.contents(), effects(home)
    rebuild.documents(home.deployment)
    assert home.ledger.contents() == ledger and effects(home) == before


@pytest.mark.parametrize("turns", range(2, 24, 3))
def test_a_loss_at_any_time_doubles_nothing_for_the_user(turns: int) -> None:
    """Lost on its way: what was sent and not recorded yet is sent again, under the same ids."""
    home = two_quick_hunts()
    home.hunting = some_findings
    home.tick()
    home.land(hours_of_days("20260309"))
    for number in range(turns):
        if number > 6:
            home.work()
        home.tick()
    again = lost_and_rebuilt(home)
    again.live(12, 120.0)
    assert {run.status for run in again.runs().values()} == {"done"}
    assert again.documents("active/") == {}
    ids = [request.job_id for request in again.engine.requests]
    assert len(ids) == len(set(ids)) <= 2
    findings = {row["FindingId"] for row in again.sink.rows}
    assert len(findings) == 6 and len(again.incidents.incidents) == 4
    assert max(again.sink.rows.count(row) for row in again.sink.rows) <= 2


def close(classification: str) -> Callable[[House, str], None]:
    def closing(home: House, incident: str) -> None:
        changes = {"status": "Closed", "classification": classification}
        home.incidents.change(WORKSPACE, incident, **changes)

    return closing


def delete(home: House, incident: str) -> None:
    home.incidents.remove(WORKSPACE, incident)


def leave(_home: House, _incident: str) -> None:
    return None


@pytest.mark.parametrize(
    "analyst",
    [leave, close("TruePositive"), close("BenignPositive"), delete],
    ids=["untouched", "true positive", "benign", "deleted"],
)
def test_the_analyst_s_word_outlives_the_ledger(analyst: Callable[[House, str], None]) -> None:
    """The next day has the same beacons: it ends as if the ledger had never been lost."""
    ends = []
    for loses in (False, True):
        home = a_world()
        for _, incident in list(home.incidents.incidents):
            analyst(home, incident)
        home = lost_and_rebuilt(home) if loses else home
        home.land(hours_of_days("20260310")[:20])
        home.clock.now = c.day_start("20260311") + timedelta(hours=1)
        home.live(3, 120.0)
        status = {
            name: one.properties["status"] for (_, name), one in home.incidents.incidents.items()
        }
        ends.append((status, sorted(home.runs()), len(home.sink.rows)))
    assert ends[0] == ends[1]
    assert any(run_id.startswith("20260310") for run_id in ends[0][1])


def test_what_landed_while_it_was_lost_is_judged() -> None:
    home = a_world()
    home.land(["2026030905"], "landed unseen", event=False)
    again = lost_and_rebuilt(home)
    again.live(6, 300.0)
    fresh = set(again.runs()) - set(home.runs())
    assert fresh == {f"20260309-{hunt}-{PLACE}-r2" for hunt in ("beaconing", "other_hunt")}
    assert {again.runs()[run_id].counts.unchanged for run_id in fresh} == {2}


def test_copies_of_hours_are_found_again() -> None:
    home = a_world()
    again = lost_and_rebuilt(home)
    before, after = ({path: day["hours"] for path, day in one.documents("days/").items()}
                     for one in (home, again))  # fmt: skip
    assert after == before != {}


def test_time_lines_have_their_gaps_and_watermarks() -> None:
    home = a_world()
    again = lost_and_rebuilt(home)
    path = hunt_path(GUID, WORKSPACE)
    was, now = (one.documents(path)[path] for one in (home, again))
    assert now["gaps"] == was["gaps"] != [] and now["watermark"] == was["watermark"]
    assert {key: slot.get("run") for key, slot in now["slots"].items()} == {
        key: slot.get("run") for key, slot in was["slots"].items()
    }


def test_only_an_empty_ledger_is_written_to() -> None:
    home = a_world()
    before = home.ledger.contents()
    with pytest.raises(BadInput, match="not empty"):
        rebuild.apply(home.deployment, rebuild.documents(home.deployment))
    assert home.ledger.contents() == before


def test_nobody_acts_on_half_a_ledger() -> None:
    home = a_world()
    again = lose(home)
    built = rebuild.documents(again.deployment)
    with pytest.raises(BadInput):
        rebuild.apply(again.deployment, {**built, "\x00": {}})
    before, calls = again.ledger.contents(), effects(again)
    again.tick(3)
    assert again.ledger.contents() == before and effects(again) == calls


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"schema": 1}', b'{"schema": 1, "runs": [7]}'])
def test_a_broken_plan_spares_the_others(content: bytes) -> None:
    home = a_world()
    home.results.plant(c.plan_path("job-20260309000000-0123abcd"), content)
    assert list(rebuild.differences(home.deployment, rebuild.documents(home.deployment))) == []


def test_how_a_run_ended_is_believed_of_its_own_folder_only() -> None:
    home = a_world()
    mine = next(run for run in home.runs().values() if run.status == "done")
    path = c.ended_path(mine.job or "", mine.id)
    body = {**json.loads(home.results.peek(path) or b""), "job": "job-20260309000000-0123abcd"}
    home.results.plant(path, json.dumps(body).encode())
    built = rebuild.documents(home.deployment)
    assert [one for one in built if mine.id in one] == [f"active/runs/{mine.kind}/{mine.id}.json"]
