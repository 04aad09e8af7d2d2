"""How large a world is, by its seed. Most are small, so that many cost little; one in 100 is whole.

| seeds             | hunts   | workspaces | hours of data | share |
|-------------------|---------|------------|---------------|-------|
| number 25 of 100  | 25      | 2          | 48            | 1 %   |
| others, one in 10 | 5       | 2          | 20            | 10 %  |
| the rest          | 2 to 5  | 1 or 2     | 10 to 16      | 89 %  |

One in four of those that are not whole has caps so small that they bite.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

from shared.model import HuntSpec
from tests.unit import house
from tests.unit.house import OTHER, WORKSPACE

TABLES = ("commonsecuritylog", "signinlogs")
WHOLE_ONE_IN, FIRST_WHOLE = 100, 25
REVISIONS = timedelta(hours=24)
"""What the latest data needs for its last revision."""
_KINDS: tuple[Mapping[str, Any], ...] = (
    {"module": "by_day", "slot": "day", "tables": TABLES[:1]},
    {"module": "by_hour", "slot": "hour", "tables": TABLES[:1], "case_key": ("DstIpAddr",)},
    {"module": "by_schedule", "slot": "day", "arrival": False, "schedule": "30 */6 * * *",
     "tables": TABLES[1:]},
    {"module": "in_the_shadow", "slot": "hour", "status": "shadow", "tables": TABLES[1:]},
    {"module": "of_both", "slot": "day", "tables": TABLES, "schedule": "0 3 * * *"},
)  # fmt: skip


@dataclass(frozen=True)
class Scale:
    """What a world holds, and how fast its timer is while there are faults."""

    hunts: tuple[int, ...] = (0, 1, 2, 3, 4)
    """Numbers of the hunts; each five are of all kinds."""
    workspaces: tuple[str, ...] = (WORKSPACE, OTHER)
    hours: int = 20
    """So long does data land."""
    tick: float = 60.0
    """Seconds between two ticks while there are faults."""
    caps: Mapping[str, str] = field(default_factory=dict)
    """Settings so small that they bite; none: the defaults, which do not."""

    @property
    def length(self) -> timedelta:
        """From the first blob to rest: what a cap puts off waits for the next days."""
        return timedelta(hours=self.hours) + REVISIONS + timedelta(days=2 if self.caps else 0)

    @property
    def padding(self) -> int:
        """Bytes that each finding carries besides, so that a cap in MB bites."""
        return 9_000 if self.caps else 0

    @property
    def pause(self) -> float:
        """Seconds between two ticks when all is well and something is still to be done."""
        return 1800.0 if self.caps else 300.0


def scale_of(seed: int) -> Scale:
    """By the table above."""
    dice = random.Random(f"{seed} scale")  # noqa: S311 no secret
    if seed % WHOLE_ONE_IN == FIRST_WHOLE:
        return Scale(tuple(range(25)), hours=48, tick=300.0)
    caps = _caps(dice) if dice.random() < 0.25 else {}
    tick = dice.choice((60.0, 120.0, 120.0, 180.0))
    if dice.random() < 0.1:
        return Scale(tick=tick, caps=caps)
    hunts = sorted(dice.sample(range(5), dice.randint(2, 5)))
    places = (WORKSPACE, OTHER)[: dice.choice((1, 2, 2))]
    return Scale(tuple(hunts), places, dice.randint(10, 16), tick, caps)


def _caps(dice: random.Random) -> Mapping[str, str]:
    return {
        "jobs_a_day": str(dice.choice((8, 12, 20))),
        "vcore_hours_a_day": str(dice.choice((40, 60, 500))),
        "megabytes_a_day": "1",
        "incidents_a_day": str(dice.choice((2, 5))),
        "incidents_a_run": str(dice.choice((1, 2))),
        "runs_a_hunt_a_day": str(dice.choice((12, 25))),
    }


def catching_up(hunts: list[HuntSpec], dice: random.Random) -> list[HuntSpec]:
    """The hunts, some of which judge only the newest of the slots that were missed."""
    return [replace(spec, catch_up=dice.choice((None, None, None, 2, 6))) for spec in hunts]


def specs(numbers: tuple[int, ...]) -> list[HuntSpec]:
    """By day and by hour, on arrival and by schedule, live and in the shadow."""
    return [_spec(number) for number in numbers]


def _spec(number: int) -> HuntSpec:
    kind = _KINDS[number % len(_KINDS)]
    again = f"_{number // len(_KINDS)}" if number >= len(_KINDS) else ""
    changes = {**kind, "module": f"{kind['module']}{again}"}
    guid = f"00000000-0000-4000-8000-{number:012d}"
    return house.spec(lookback_days=1 + number % 2, guid=guid, **changes)
