"""`tidehunt status`: what stops the hunts stands at the top, with the command that ends it."""

from __future__ import annotations

from io import StringIO

from rich.console import Console

from shared import pauses
from shared.errors import Transient
from shared.http_api import status
from tests.unit.delivering import refuse
from tests.unit.house import House
from tests.unit.waiting_runs import fast, numbered, waiting
from workbench.report import render_status


def told(home: House) -> list[str]:
    """The lines of the terminal."""
    screen = StringIO()
    render_status(status(home.deployment)[1], Console(file=screen, width=60))
    return screen.getvalue().splitlines()


def test_a_usual_day_tells_what_was_spent() -> None:
    home = fast()
    waiting(home)
    home.tick()
    lines = told(home)
    assert (
        "spent today: 1 of 300 jobs, 12 of 500 vCore hours, 0 of 500 megabytes, 0 of 200 incidents"
    ) in lines
    assert not [line for line in lines if line.startswith(("PAUSED", "POOL", "REACHED"))]


def test_a_pause_is_told_with_its_reason_and_its_end() -> None:
    home = fast()
    pauses.ask(home.deployment, "pause", "the [red]pool is rebuilt", "ada@contoso.example")
    home.tick()
    lines = told(home)
    (paused,) = [n for n, line in enumerate(lines) if line.startswith("PAUSED since 2026-03-10T")]
    assert lines[paused].endswith("by ada@contoso.example: the [red]pool is rebuilt")
    assert "tidehunt resume" in lines[paused + 1] and paused < 4


def test_an_open_breaker_is_told_with_its_reason_and_its_next_try() -> None:
    home = fast()
    waiting(home, *numbered(4, attempt=2))
    home.wire.hook = refuse("engine.submit", Transient("no free cores"))
    home.tick(2)
    lines = told(home)
    (at,) = [n for n, line in enumerate(lines) if line.startswith("POOL hunting STARTS NO JOBS")]
    assert lines[at].endswith(": no free cores") and "next at 2026-03-10T00:0" in lines[at + 1]
    home.wire.hook = lambda *_: None
    home.tick(5)
    assert any("tries it" in line and "job job-2026" in line for line in told(home))


def test_a_cap_that_is_reached_is_told_by_its_setting() -> None:
    home = fast(vcore_hours_a_day="12")
    waiting(home)
    home.tick()
    assert [line for line in told(home) if line.startswith("REACHED: TIDEHUNT_VCORE_HOURS_A_DAY;")]
