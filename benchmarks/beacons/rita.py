"""A score like RITA's, with arithmetic of our own.

After Active Countermeasures' RITA, as its documentation describes the score: four parts of equal
weight, each in [0, 1], over all connections of a pair in the window.

    timing    mean of 1 - |Bowley skew| and 1 - MAD / median of the intervals
    sizes     the same of the bytes sent
    steady    share of the hours between first and last connection that have one: the count of
              connections against the time that they took
    duration  time from the first to the last connection, as a share of the window

Times are whole seconds and repeated ones count once. Fewer than four intervals score 0. Unlike
RITA, which looks at one day, it is given the whole window; prevalence and other modifiers that
RITA adds for the ranking of threats are left out.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from benchmarks.beacons.events import HOUR, WINDOW, Events, Floats, pairs

LEAST_INTERVALS = 4


def judge(events: Events) -> Mapping[int, float]:
    """Pair key -> score in [0, 1]; only pairs with enough connections."""
    scores = ((key, score(rows.time, rows.sent)) for key, rows in pairs(events) if len(rows) > 4)
    return {key: value for key, value in scores if value > 0}


def score(times: Floats, sent: np.ndarray[tuple[int], np.dtype[np.int64]]) -> float:
    """One pair's score from its times (seconds, ascending) and the bytes of each connection."""
    seconds = np.unique(np.floor(times))
    if len(seconds) <= LEAST_INTERVALS:
        return 0.0
    span = float(seconds[-1] - seconds[0])
    hours = len(np.unique(seconds // HOUR)) / (seconds[-1] // HOUR - seconds[0] // HOUR + 1)
    parts = (
        regularity(np.diff(seconds)),
        regularity(sent.astype(np.float64)),
        float(hours),
        span / WINDOW,
    )
    return sum(parts) / len(parts)


def regularity(values: Floats) -> float:
    """Mean of two scores: symmetry by Bowley's skew, and narrowness by MAD over median.

    10, 10, 10, 20: quartiles 10, 10, 12.5, so skew 1 and symmetry 0; MAD 0, so narrowness 1.
    """
    low, middle, high = (float(q) for q in np.percentile(values, (25, 50, 75)))
    skew = (low + high - 2 * middle) / (high - low) if high > low else 0.0
    mad = float(np.median(np.abs(values - middle)))
    narrow = max(0.0, 1 - mad / middle) if middle > 0 else 0.0
    return (1 - abs(skew) + narrow) / 2
