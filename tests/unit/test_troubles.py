"""What people see of what stands still or is silent: in the API's words and on the screen."""

from __future__ import annotations

import io
from datetime import timedelta

import pytest
from rich.console import Console

from shared import http_api
from shared.errors import Missing
from shared.records import Kept, run_path
from shared.troubles import troubles
from tests.unit import house
from tests.unit.delivering import delivering, refuse
from tests.unit.house import START, a_run
from tests.unit.telling import MISSING, STUCK, end, rows, stuck_and_failed
from workbench.report import render_status

HOUR = timedelta(hours=1)


def test_status_says_what_is_held_and_silent_with_since_reason_and_mend() -> None:
    home = delivering()
    home.wire.hook = refuse("sink.send", Missing("the stream is not there"))
    home.tick()
    end(home, "20260309", 1, "SourceIp")
    told = http_api.status(home.deployment)[1]
    held, dark = told["alarms"]
    assert (held["alarm"], held["subject"]) == ("RunHeld", a_run().id)
    assert (held["since"], held["reason"]) == (START.isoformat(), "the stream is not there")
    assert f"tidehunt release {a_run().id}" in held["mend"]
    assert (dark["alarm"], dark["reason"]) == ("ColumnDark", "null in all of 9 rows of the window")
    page = io.StringIO()
    render_status(told, Console(file=page, width=400))
    assert f"ALARM RunHeld {a_run().id} since 2026-03-10T00:05:00: the stream" in page.getvalue()
    (run,) = told["active"]["runs"]
    assert run["changes"] == {
        "release": f"POST /api/runs/{run['run_id']}/release",
        "cancel": f"POST /api/runs/{run['run_id']}/cancel",
    }
    assert run["next_at"] and run["since"] and run["reason"]


def test_a_late_run_says_in_status_what_it_waits_for() -> None:
    home = house.build()
    kept = a_run(created=START - 9 * HOUR, next_at=START + 9 * HOUR, reason="no capacity")
    home.deployment.records.save(Kept(run_path(kept), kept, None), kept)
    home.tick()
    (late,) = http_api.status(home.deployment)[1]["alarms"]
    assert (late["alarm"], late["reason"]) == ("RunLate", "waiting without results: no capacity")
    assert late["mend"] == f"tidehunt explain {kept.id}"


@pytest.mark.parametrize(
    ("status", "changes"),
    [
        ("waiting", {"cancel"}),
        ("held", {"release", "cancel"}),
        ("failed", {"redrive"}),
        ("cancelled", {"redrive"}),
        ("done", set()),
    ],
)
def test_a_run_says_what_may_be_asked_of_it(status: str, changes: set[str]) -> None:
    told = http_api.run_summary(a_run(status=status))["changes"]
    assert set(told) == changes
    assert all(route == f"POST /api/runs/{a_run().id}/{name}" for name, route in told.items())


def test_alarms_are_shown_while_their_document_is_broken() -> None:
    home = stuck_and_failed()
    home.wire.hook = MISSING
    home.ledger.put("health/alarms.json", {"schema": 99})
    home.tick(2)
    end(home, "20260309", 1, "SourceIp")
    told = troubles(home.deployment, [])["alarms"]
    assert {one["alarm"] for one in told} == {"ColumnDark", "DocumentUnusable"}
    raised = [row["Subject"] for row in rows(home, "AlarmRaised")]
    assert raised[:2] == ["health/alarms.json", STUCK] and len(raised) == 3
