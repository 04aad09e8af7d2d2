"""Every request of every script broken once, in every way; `make crashpoints` breaks all pairs."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from shared.deployment import Deployment
from tests.crashpoints.explore import Explorer, Point, Scenario
from tests.crashpoints.judge import NAMES, explorer
from tests.crashpoints.scripts import SCRIPTS
from tests.simulation.planted_jobs import posts_twice
from tests.simulation.planted_sinks import writes_over_the_analyst

PORTS = {
    "ledger.read", "ledger.create", "ledger.replace", "ledger.put", "ledger.delete", "ledger.list",
    "exports.tables", "exports.blobs", "results.read", "results.write", "results.lines",
    "engine.submit", "engine.get", "engine.list", "engine.cancel", "sink.send", "workspace.count",
    "incidents.get", "incidents.put", "incidents.comment", "notifier.publish", "health.send",
}  # fmt: skip


def told(breaks: Explorer, broken: list[Scenario]) -> str:
    """The first violation as a story."""
    lines = [f"{one.points}: {'; '.join(one.broken)}" for one in broken]
    return "\n".join([*breaks.story(broken[0]), *lines]) if broken else ""


@pytest.mark.parametrize("name", NAMES)
def test_a_fault_at_any_request_is_healed(name: str) -> None:
    breaks = explorer(name)
    scenarios = list(breaks.singles())
    broken = [scenario for scenario in scenarios if scenario.broken]
    assert not broken, told(breaks, broken)
    assert len({one.points for one in scenarios}) == len(scenarios) > 300


def lost_submission(breaks: Explorer) -> Point:
    return next(
        Point(step.beat, seen.number, "request lost")
        for step in breaks.plain
        for seen in step.requests
        if seen.operation == "engine.submit"
    )


def test_any_second_fault_is_healed_where_a_submission_was_lost() -> None:
    breaks = explorer("cancel")
    scenarios = list(breaks.pairs(lost_submission(breaks)))
    broken = [scenario for scenario in scenarios if scenario.broken]
    assert not broken, told(breaks, broken)
    assert "engine.list" in {
        tried.fault.operation for one in breaks.tried.values() for tried in one
    }
    assert len(scenarios) > 300


def operations(breaks: Explorer) -> set[str]:
    return {seen.operation for step in breaks.plain for seen in step.requests}


def test_the_scripts_reach_every_port_by_every_way() -> None:
    met = set[str]().union(*(operations(Explorer(script)) for script in SCRIPTS))
    assert met == PORTS - {"engine.list"}  # asked for only after a lost submission


@pytest.mark.parametrize(
    ("name", "bug", "invariant"),
    [("plain", posts_twice, "4"), ("late", writes_over_the_analyst, "6")],
)
def test_a_planted_bug_is_found(
    name: str, bug: Callable[[Deployment], Deployment], invariant: str
) -> None:
    script = next(script for script in SCRIPTS if script.name == name)
    troubles = (trouble for one in Explorer(script, bug).singles() for trouble in one.broken)
    assert any(trouble.startswith(f"{invariant}:") for trouble in troubles)
