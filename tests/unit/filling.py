"""Gaps and fills as tests make them."""

from __future__ import annotations

from typing import Any

import pytest

from shared import fills
from shared.model import HuntSpec, Run
from shared.timeline import Fill, Fills
from tests.unit import house
from tests.unit.house import House, days_before, spec

QUICK = {"coalesce_seconds": "0", "settle_seconds": "60", "readback_seconds": "60"}
DAYS = tuple(days_before("20260309", 8))
"""The second to the ninth of March: the newest is judged at first, the others are a gap."""


def begun(*hunts: HuntSpec, days: tuple[str, ...] = DAYS, **changes: str) -> House:
    """A house whose hunts have judged the newest of these days."""
    home = house.build(hunts or [spec()], **{**QUICK, **changes})
    home.land([f"{day}12" for day in days])
    home.live(1, 60)
    assert [run.status for run in home.runs().values()] == ["done"] * len(home.deployment.hunts)
    return home


def fill(home: House, **changes: Any) -> list[Fill]:
    """Ask for a fill."""
    given = {"hunt": "beaconing", "workspace": None, "first": None, "last": None}
    planned = fills.plan_fills(home.deployment, **{**given, "incidents": False, **changes})
    fills.leave(home.deployment, planned)
    return planned


def backfilled(home: House) -> list[Run]:
    return [run for run in home.runs().values() if run.kind == "backfill"]


def ended(home: House) -> list[Fill]:
    kept = home.deployment.records.load(Fills, fills.ENDED)
    return list(kept.value.ended) if kept else []


def settle(home: House) -> None:
    """Turns until nothing is left to do."""
    for _ in range(40):
        home.work()
        home.tick()
        if not home.documents("active/fills/") and not home.documents("active/"):
            return
    pytest.fail("something is left")
