"""The algorithm of the notebook that this project replaces, in our own words and code.

Source: Microsoft's "Detect potential network beaconing using Apache Spark" (Sentinel notebooks),
as its steps can be read: one day of a firewall's log; destinations inside are dropped; sources
with more than 100 rows and destinations with fewer than 25 sources stay. The interval is the
time since the same source's last event to *any* destination, in whole seconds; more than 15 stay.
Rows are counted by (source, destination, port, interval). Each count is summed with those of the
two groups before it, and a group's share of these sums over its (source, destination, port), in
per cent, has to exceed 75, and all the sums together 100.

The notebook orders the groups by a constant, so their order is chance; here they go by interval,
which is the kindest reading. It looks at one day; here every day of the window is looked at, and
the best one counts, as if somebody ran it daily.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from benchmarks.beacons.events import DAY, DAYS, Events, Ints

LEAST_ROWS, MOST_SOURCES = 100, 25
LEAST_SECONDS, LEAST_PERCENT, LEAST_TOTAL = 15, 75.0, 100


@dataclass(frozen=True)
class Verdict:
    """The best day of one pair. `total` is the sum of all three-group sums."""

    percent: float
    total: int

    @property
    def flagged(self) -> bool:
        """Whether the notebook would have told it."""
        return self.percent > LEAST_PERCENT and self.total > LEAST_TOTAL

    @property
    def score(self) -> float:
        """A number to rank by where the notebook has thresholds only; in [0, 1].

        Its percentage, and below its least total in proportion less.
        """
        return self.percent / 100 * min(1.0, self.total / LEAST_TOTAL)


def judge(events: Events, inside: range) -> Mapping[int, Verdict]:
    """Pair key -> its best day; `inside` are the destinations that are dropped."""
    best: dict[int, Verdict] = {}
    day = (events.time // DAY).astype(np.int64)
    outside = (events.destination < inside.start) | (events.destination >= inside.stop)
    for number in range(DAYS):
        for key, verdict in judge_day(events.take((day == number) & outside)).items():
            if key not in best or verdict.score > best[key].score:
                best[key] = verdict
    return best


def judge_day(events: Events) -> Mapping[int, Verdict]:
    """Pair key -> verdict on one day's events."""
    rows = events.take(_busy_sources(events) & _rare_destinations(events))
    order = np.lexsort((rows.time, rows.source))
    rows = rows.take(order)
    same = rows.source[1:] == rows.source[:-1]
    steps = np.diff(np.floor(rows.time)).astype(np.int64)
    kept = np.flatnonzero(same & (steps > LEAST_SECONDS))
    return _percentages(rows.key[kept + 1], steps[kept])


def _busy_sources(events: Events) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    _, which, count = np.unique(events.source, return_inverse=True, return_counts=True)
    return np.asarray(count[which] > LEAST_ROWS)


def _rare_destinations(events: Events) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    both = np.unique(np.stack([events.destination, events.source]), axis=1)
    places, sources = np.unique(both[0], return_counts=True)
    return np.isin(events.destination, places[sources < MOST_SOURCES])


def _percentages(keys: Ints, steps: Ints) -> Mapping[int, Verdict]:
    if not len(keys):
        return {}
    groups, counts = np.unique(np.stack([keys, steps]), axis=1, return_counts=True)
    starts = np.flatnonzero(np.r_[True, groups[0, 1:] != groups[0, :-1]])
    ends = np.r_[starts[1:], len(counts)].astype(np.int64)
    return {
        int(groups[0, start]): verdict(counts[start:end])
        for start, end in zip(starts, ends, strict=True)
    }


def verdict(counts: Ints) -> Verdict:
    """From the counts of one pair's intervals, in the order of the groups.

    8, 1, 1 has the sums 8, 9, 10: 10 of 27, 37.0 per cent.
    """
    before = np.concatenate([[0, 0], counts])
    sums = before[2:] + before[1:-1] + before[:-2]
    return Verdict(100 * float(sums.max() / sums.sum()), int(sums.sum()))
