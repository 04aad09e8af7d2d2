"""Asking for a fill: what it would cost, what cannot be asked, what is told of gaps."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from rich.console import Console

from shared import contract as c
from shared import fills
from shared.callers import OPERATOR
from shared.gaps import FIRST_START
from shared.http_api import answer, change_run, fill_gaps, list_gaps, show_run, status
from shared.model import Json
from tests.unit import house
from tests.unit.filling import begun
from tests.unit.house import OTHER, OTHER_GUID, WORKSPACE, House, spec
from workbench.gap_commands import estimate_lines, gap_lines
from workbench.report import explain, render_status

PLACE = c.workspace_key(WORKSPACE)
CORES = 4 + 2 * 4
"""A driver and two executors of four cores each."""


def post(home: House, **body: Any) -> tuple[int, Json]:
    """POST /api/gaps/fill."""
    content = json.dumps({"hunt": "beaconing", **body}).encode()
    return answer(lambda: home.deployment, {}, OPERATOR, lambda one: fill_gaps(one, content))


# --- the estimate ---------------------------------------------------------------------------------


def test_an_estimate_tells_the_cost_and_asks_for_nothing() -> None:
    home = begun()
    code, told = post(home, estimate=True)
    (one,) = told["estimates"]
    assert (code, one["slots"], one["jobs"], one["incidents"]) == (200, 7, 1, False)
    # Windows of 21 days that end with the second to the eighth of March: 27 days, 7 of them known.
    assert (one["days"], one["days_known"], one["days_looked_at"]) == (27, 7, 27)
    assert one["bytes"] == 7 * len("{}")
    assert home.documents("active/fills/") == {}
    assert "fills" not in told


def test_an_estimate_of_hours_rests_on_past_jobs_or_on_the_deadline() -> None:
    home = begun()
    job = home.deployment.records.recent()[0].job or ""
    path = next(path for path in home.ledger.contents() if job in path)
    body = home.documents("done/")[path]
    lasted = {**body, "started": "2026-03-10T00:30:00+00:00", "since": "2026-03-10T00:45:00+00:00"}
    home.ledger.put(path, lasted)
    (one,) = post(home, estimate=True)[1]["estimates"]
    assert (one["vcore_hours"], one["rests_on"]) == (CORES * 0.25, "the hunt's last 1 jobs")
    home.ledger.delete("recent.json")
    (one,) = post(home, estimate=True)[1]["estimates"]
    assert (one["vcore_hours"], one["rests_on"]) == (CORES * 1.0, "the deadline of each job")


def test_an_estimate_of_years_looks_at_some_days_and_scales() -> None:
    home = begun()
    home.clock.forward(1)
    (one,) = post(home, estimate=True, **{"from": "2024-06-01"})[1]["estimates"]
    assert one["days_looked_at"] == 60 and one["days"] > 600
    assert one["bytes"] == round(7 * len("{}") * one["days"] / 60)
    assert one["jobs"] == -(-one["slots"] // 25)


# --- asking ---------------------------------------------------------------------------------------


def test_a_fill_is_asked_for_each_workspace_that_has_something_to_fill() -> None:
    home = house.build([spec()], workspaces=f"{WORKSPACE};{OTHER}", settle_seconds="60",
                       coalesce_seconds="0", readback_seconds="60")  # fmt: skip
    home.land(["2026030812", "2026030912"])
    home.land(["2026030812", "2026030912"], workspace=OTHER)
    home.live(1, 60)
    code, told = post(home)
    assert code == 202 and len(told["fills"]) == len(told["estimates"]) == 2
    (only,) = post(home, workspace="fabrikam")[1]["fills"]
    assert c.workspace_key(OTHER) in only and c.RUN_ID.fullmatch(only)


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"hunt": "beaconin"}, "hunt"),
        ({"hunt": "off_one"}, "off_one"),
        ({"hunt": "draft_one"}, "draft_one"),
        ({"workspace": "nowhere"}, "workspace"),
        ({"from": "2026-02-30"}, "end_date"),
        ({"from": "2020-01-01"}, "from"),
        ({"from": "2026-03-09"}, "beaconing"),
        ({"from": "2026-03-08", "to": "2026-03-07"}, "beaconing"),
        ({"since": "2026-03-08"}, "body"),
        ({"incidents": "yes"}, "body"),
    ],
)
def test_what_cannot_be_filled_is_refused_with_its_place(body: Json, where: str) -> None:
    home = begun()
    off = spec(module="off_one", guid=OTHER_GUID, status="disabled")
    others = [off, replace(off, module="draft_one", status="draft")]
    home.deployment = replace(home.deployment, hunts=[*home.deployment.hunts, *others])
    code, told = post(home, **body)
    assert (code, told["where"]) == (400, where)
    assert told["mend"] and home.documents("active/fills/") == {}


def test_before_the_first_run_there_is_nothing_to_fill() -> None:
    code, told = post(house.build([spec()]), **{"from": "2026-03-01"})
    assert code == 400 and "nothing to fill" in told["error"]


def test_a_fill_is_cancelled_like_a_run() -> None:
    home = begun()
    (asked,) = post(home)[1]["fills"]
    code, told = change_run(home.deployment, asked, "cancel", b'{"reason": "too dear"}')
    assert (code, told["run_id"]) == (202, asked)
    assert home.documents("active/fills/")[f"active/fills/{asked}.json"]["cancelled"] == "too dear"
    for nobody in ("20260310-fill-nobody", "../turn", ""):
        assert change_run(home.deployment, nobody, "cancel", b"")[0] == 404
    assert change_run(home.deployment, asked, "release", b"")[0] == 404


# --- telling --------------------------------------------------------------------------------------


def test_gaps_of_every_hunt_are_told_and_the_fills_with_them() -> None:
    home = begun()
    post(home)
    home.ledger.plant(f"hunts/{OTHER_GUID}/{PLACE}.json", b"{")
    broken = spec(module="broken_one", guid=OTHER_GUID)
    home.deployment = replace(home.deployment, hunts=[broken, *home.deployment.hunts])
    code, told = list_gaps(home.deployment)
    assert code == 200
    assert told["gaps"] == [
        {
            "hunt": "beaconing",
            "workspace": PLACE,
            "start": "2026-03-02T00:00:00+00:00",
            "end": "2026-03-09T00:00:00+00:00",
            "slots": 7,
            "reason": FIRST_START,
        }
    ]
    assert [(one["started"], one["left_until"]) for one in told["fills"]] == [
        (0, "2026-03-09T00:00:00+00:00")
    ]
    home.live(1, 60)
    told = fills.told(home.deployment)
    assert (told["gaps"], told["fills"]) == ([], [])
    assert [(one["started"], one["reason"]) for one in told["ended"]] == [
        (7, "every slot was started")
    ]


def test_a_fill_is_explained_like_a_run_while_it_is_under_way_and_after() -> None:
    home = begun()
    (fill,) = post(home)[1]["fills"]
    code, told = show_run(home.deployment, fill)
    assert (code, told["fill"], told["started"]) == (200, fill, 0)
    assert next(explain(told)).startswith(f"{fill}, 2026-03-02T00:00 to 2026-03-09T00:00")
    home.live(1, 60)
    code, told = show_run(home.deployment, fill)
    assert (code, told["reason"]) == (200, "every slot was started")
    assert show_run(home.deployment, f"{fill}x")[0] == 404


def test_status_is_not_idle_while_a_fill_is_under_way() -> None:
    home = begun()
    assert status(home.deployment)[1]["idle"] is True
    (asked,) = post(home)[1]["fills"]
    told = status(home.deployment)[1]
    assert told["idle"] is False and [one["fill"] for one in told["fills"]] == [asked]
    console = Console(record=True, width=300)
    render_status(json.loads(json.dumps(told)), console)
    assert f"filling: {asked}, 2026-03-02T00:00 to 2026-03-09T00:00" in console.export_text()


def test_gaps_and_estimates_in_words() -> None:
    home = begun()
    (line,) = gap_lines(fills.told(home.deployment))
    assert line == (
        f"gap: beaconing on {PLACE}, 2026-03-02T00:00 to 2026-03-09T00:00, 7 slots: {FIRST_START}"
    )
    lines = "\n".join(estimate_lines(post(home, estimate=True)[1]["estimates"]))
    assert "without incidents" in lines and "7 slots in about 1 job\n" in lines
    assert "in 27 days (7 of 27 that were looked at are known)" in lines
    post(home)
    home.live(1, 60)
    lines = "\n".join(gap_lines(fills.told(home.deployment)))
    assert "no gaps: every slot was judged" in lines
    assert "7 started, 0 without data, 0 judged before; every slot was started" in lines
