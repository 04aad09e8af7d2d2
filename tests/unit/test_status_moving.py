"""A status that is told while work goes on misses nothing of it."""

from __future__ import annotations

from datetime import datetime

import pytest

from shared.http_api import status
from shared.model import Json
from tests.unit import house
from tests.unit.house import House


def told_while_a_turn_happens(home: House, after: int) -> tuple[Json, bool]:
    """The status, of which so many requests were answered before a turn; whether it came to it."""
    begun = home.wire.calls

    def hook(phase: str, _operation: str, _subject: str) -> None:
        if phase == "before" and home.wire.calls - begun > after:
            home.wire.hook = lambda *_: None
            home.tick()
            met.append(after)

    met: list[int] = []
    home.wire.hook = hook
    _, told = status(home.deployment)
    home.wire.hook = lambda *_: None
    return told, bool(met)


@pytest.mark.parametrize("stage", ["marked", "settling", "not told"])
def test_what_moves_meanwhile_is_seen_once_at_least(stage: str) -> None:
    moved = 0
    while True:
        home = house.build(settle_seconds="120", coalesce_seconds="0")
        home.tick(20)
        landed = home.clock()
        home.land(["2026030923"], event=stage != "not told")
        if stage == "settling":
            home.tick()
            home.clock.forward(120)
        told, met = told_while_a_turn_happens(home, moved)
        if not met:
            break
        seen = stage != "not told" or datetime.fromisoformat(told["last_sweep"]) > landed
        assert not (told["idle"] and seen), f"a turn after {moved} requests"
        moved += 1
    assert moved > 8
