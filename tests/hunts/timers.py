"""Times of timers, and what they weigh."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
r = importlib.import_module("spark.expressions.rhythm")

GAP = 2.0
ENOUGH = 8.5
"""Nats at which the hunt's score reaches Medium: 9.3 * -ln(1 - 0.6)."""


def chance(seed: int) -> Any:
    return np.random.default_rng(seed)


def walk(intervals: Any, start: float = 1_000.25) -> Any:
    """Times with these intervals, of a clock with fractions."""
    return start + np.concatenate([[0.0], np.cumsum(intervals)])


def timer(count: int, period: float, jitter: float, seed: int) -> Any:
    return walk(period * (1 + chance(seed).uniform(-jitter, jitter, count)))


def nats(times: Any) -> float:
    rhythm = r.judge(times, GAP)
    return -math.inf if rhythm is None else float(rhythm.nats)
