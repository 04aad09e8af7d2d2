"""Persistence by itself: in how many hours of the window a pair has a connection.

Here to show what it is worth: jitter leaves it as it is, and so does chance.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.beacons.events import HOUR, WINDOW, Events, Floats, pairs
from benchmarks.beacons.scoring import LEAST_EVENTS


def judge(events: Events) -> Mapping[int, float]:
    """Pair key -> share of hours; only pairs with enough connections."""
    return {key: score(rows.time) for key, rows in pairs(events) if len(rows) >= LEAST_EVENTS}


def score(times: Floats) -> float:
    """Share of the window's hours, in [0, 1], that one of these times (seconds) lies in."""
    return len(np.unique(times // HOUR)) * HOUR / WINDOW
