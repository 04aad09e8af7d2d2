"""Events are hints: they mark, wake a turn, or are forgotten; they never fail for being foreign."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared import contract as c
from shared import events
from shared.model import StorageEvent
from tests.unit import house
from tests.unit.house import TABLE, House, export_path

HOUR = "2026030923"
EXPORTS = "tidehuntexports.blob.core.windows.net"
STATE = "tidehuntstate.dfs.core.windows.net"


def event(container: str, path: str, host: str) -> StorageEvent:
    return StorageEvent("1", "Microsoft.Storage.BlobCreated", container, path, host)


def awake() -> House:
    """A house whose last turn was just now, so that no event takes one."""
    home = house.build(settle_seconds="0", coalesce_seconds="0", readback_seconds="0")
    home.tick()
    return home


def marks(home: House) -> list[str]:
    return list(home.documents("touched/"))


@pytest.mark.parametrize("host", [EXPORTS, EXPORTS.replace(".blob.", ".dfs.")])
def test_an_export_blobs_event_marks_its_hour(host: str) -> None:
    home = awake()
    events.export_blob_created(home.deployment, event(f"am-{TABLE}", export_path(HOUR), host))
    assert len(marks(home)) == 1 and home.engine.requests == []


@pytest.mark.parametrize(
    "foreign",
    [
        None,
        event(
            f"am-{TABLE}", export_path(HOUR), "tidehuntexports.blob.core.windows.net.evil.example"
        ),
        event(f"am-{TABLE}", export_path(HOUR), "evil.example"),
        event(f"am-{TABLE}", export_path(HOUR), ""),
        event(f"am-{TABLE}", export_path(HOUR), STATE),
        event("am-syslog", export_path(HOUR), EXPORTS),
        event("results", "x" * 5000, EXPORTS),
        event(f"am-{TABLE}", "../../ledger/turn.json", EXPORTS),
    ],
)
def test_what_is_foreign_is_forgotten(foreign: StorageEvent | None) -> None:
    home = awake()
    before = home.ledger.contents()
    events.export_blob_created(home.deployment, foreign)
    events.result_created(home.deployment, foreign)
    assert home.ledger.contents() == before


def test_an_event_takes_a_turn_when_the_timer_is_dead() -> None:
    home = awake()
    home.clock.forward(3600)
    events.export_blob_created(home.deployment, event(f"am-{TABLE}", export_path(HOUR), EXPORTS))
    assert marks(home) == []  # taken, though it held nothing
    home.clock.forward(3600)
    events.export_blob_created(home.deployment, None)
    assert home.documents("turn.json")["turn.json"]["ended"] == home.clock().isoformat()


def test_a_manifests_event_delivers_its_run() -> None:
    home = awake()
    home.land([HOUR])
    home.tick()
    (request,) = home.engine.requests
    home.work()
    (run_id,) = home.runs()
    landed = event("results", c.manifest_path(request.job_id, run_id), STATE)
    for other in (
        replace(landed, container=f"am-{TABLE}"),
        replace(landed, url_host=EXPORTS),
        replace(landed, path=landed.path.replace("manifest", "delivered")),
        replace(landed, path=landed.path.replace("jobs/", "jobs/../jobs/")),
    ):
        events.result_created(home.deployment, other)
        assert home.sink.rows == []
    events.result_created(home.deployment, landed)
    assert [row["RunId"] for row in home.sink.rows] == [run_id]
    events.result_created(home.deployment, landed)
    assert len(home.sink.rows) == 1


def test_an_event_without_a_manifest_behind_it_changes_nothing() -> None:
    home = awake()
    home.land([HOUR])
    home.tick()
    (request,), (run,) = home.engine.requests, home.runs().values()
    events.result_created(
        home.deployment, event("results", c.manifest_path(request.job_id, run.id), STATE)
    )
    assert home.runs()[run.id] == run


@settings(max_examples=80, deadline=None)
@given(st.text(max_size=40), st.text(max_size=120), st.text(max_size=40), st.booleans())
def test_no_event_can_set_more_than_a_bounded_mark(
    container: str, path: str, host: str, ours: bool
) -> None:
    home = awake()
    before = set(home.ledger.contents())
    spoofed: Any = event(container, path, EXPORTS if ours else host)
    events.export_blob_created(home.deployment, spoofed)
    events.result_created(home.deployment, replace(spoofed, url_host=STATE if ours else host))
    assert set(home.ledger.contents()) == before


def test_a_spoofed_flood_is_bounded_by_tables_and_hours() -> None:
    home = awake()
    for number in range(3000):
        hour = c.hour_key(home.clock() - timedelta(hours=number))
        for name in ("PT05M.json", "PT05M_9.json"):
            events.export_blob_created(
                home.deployment, event(f"am-{TABLE}", export_path(hour, name), EXPORTS)
            )
    assert len(marks(home)) == 35 * 24
