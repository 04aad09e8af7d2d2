"""Feeds one target."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings

from tests.contract.scripted_server import Script
from tests.fuzzing.targets import Target

SLOW = 8
"""A target that a server answers gets this part of the examples."""


def feed(target: Target, server: Script, examples: int) -> None:
    """Give a target so many inputs; what does not hold is raised with the smallest of them."""
    holds: Callable[[Any], None] = target.holds
    if target.served is not None:
        served, examples = target.served, max(1, examples // SLOW)

        def holds(one: Any) -> None:
            served(server, one)

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(target.given)
    def fed(one: Any) -> None:
        holds(one)

    fed()
