"""Is it a timer? What the times of one series say, weighed against life. No Spark, no session.

Times and intervals are seconds. Evidence is in nats: the natural logarithm of how much better a
timer explains the intervals than the most regular life does.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

WHOLE_SECONDS, FRACTIONS = 0.5, 0.05
"""Seconds that a clock is good for, with whole seconds and with fractions."""
SHAPES = ((1, 1.443), (2, 1.192), (4, 1.089))
"""Life: gamma renewals, from chance (1) to as regular as anything without a clock (4). Beside each
shape stands its mean over its median."""
STRETCH = (0.6, 0.75, 0.87, 1.0, 1.15, 1.35, 1.65)
"""Means that are tried, as multiples of the one that the median tells."""
OUTLIERS = (0.02, 0.1, 0.3)
"""Shares of intervals that may be anything: missed beats, nights, retries."""
RANGE = 10.0
"""Logarithm of the range that such an interval comes from: its density is 1 / (RANGE * x)."""
NARROWEST = 0.1
"""Least width of a timer's intervals over their middle: more exact than +-5 % is no more
evidence, or five retries after a minute each would count for as much as a day of jitter."""
WIDEST = 30.0
"""Longest interval of a timer over its shortest: 90 % of jitter is 19, by chance a bit more."""
DAILY, DAILY_JITTER = 3 * 3_600.0, 0.62
"""What recurs more seldom than every three hours must have less jitter than that: from the rhythm
of people's days, with nights and lunch, a timer of 90 % cannot be told."""
MOST = 384
"""Intervals that are looked at one by one; of more, so many quantiles."""
GRID = 40
"""Quantiles between which the timer's shortest and longest intervals are sought."""


@dataclass(frozen=True)
class Rhythm:
    """The timer that explains a series best."""

    nats: float
    """How much better than life it does; negative when life explains it."""
    period: float
    jitter: float
    """How far intervals are off the period at most, as a share of it."""
    inside: float
    """Share of the intervals that the timer explains."""

    @property
    def longest(self) -> float:
        """Seconds of the longest interval that the timer explains."""
        return self.period * (1 + self.jitter)


def clock_step(times: Floats) -> float:
    """Seconds that a series' clock is good for."""
    return WHOLE_SECONDS if bool(np.all(times == np.floor(times))) else FRACTIONS


def first_of_bursts(times: Floats, gap: float) -> Bools:
    """Which of ascending times lie more than `gap` seconds behind the one before."""
    first: Bools = np.concatenate([[True], np.diff(times) > gap])
    return first[: len(times)]


def apart(times: Floats, gap: float) -> Bools:
    """Which of ascending times lie more than `gap` seconds behind the last one that counts."""
    counts: Bools = np.zeros(len(times), np.bool_)
    at, ordered = 0, times.tolist()
    while at < len(ordered):
        counts[at] = True
        at = bisect_right(ordered, ordered[at] + gap, at)
    return counts


def find(times: Floats, gap: float, least: int) -> tuple[Bools, Rhythm] | None:
    """Which of ascending times count, and their rhythm; None with fewer than `least` intervals.

    Of connections up to `gap` apart the first counts: of each burst, or of each `gap`. A timer's
    retries are bursts; a quick timer and its data are told apart better by the gap. But that
    makes a beat out of whatever goes on and on, no slower than twice the gap.
    """
    bursts = first_of_bursts(times, gap)
    ways = [bursts]
    if not bursts.all() and not np.array_equal(steady := apart(times, gap), bursts):
        ways.append(steady)
    found: list[tuple[Bools, Rhythm]] = []
    for way in ways:
        rhythm = judge(times[way], gap) if np.count_nonzero(way) >= max(least + 1, 3) else None
        if rhythm is not None and (way is bursts or rhythm.longest > 2 * gap):
            found.append((way, rhythm))
    return max(found, key=lambda one: one[1].nats, default=None)


def same_size(sizes: Floats, tolerance: float) -> tuple[float, float]:
    """The range [low, low * (1 + tolerance)] that most sizes lie in, the lower of two equals.

    NaN is no size. NaN, NaN when there is none.
    """
    known = np.sort(sizes[~np.isnan(sizes)])
    if not len(known):
        return math.nan, math.nan
    ends = np.searchsorted(known, known * (1 + tolerance), side="right")
    low = float(known[int(np.argmax(ends - np.arange(len(known))))])
    return low, low * (1 + tolerance)


def judge(times: Floats, gap: float) -> Rhythm | None:
    """The rhythm of ascending times that lie more than `gap` apart; None when there is none.

    Timer: intervals lie evenly between a shortest and a longest one. Life: they are those of a
    gamma renewal. Either may have outliers of any length. All are fitted, and the likelihoods of
    the best compared. From the intervals the gap is taken off: they cannot be shorter, and what
    is left of exponential ones is exponential.
    """
    if len(times) < 3:
        return None
    intervals = np.sort(np.diff(times)) - gap
    count = len(intervals)
    seen = intervals
    if count > MOST:
        seen = intervals[np.round(np.linspace(0, count - 1, MOST)).astype(np.int64)]
    step = clock_step(times)
    seen = np.maximum(seen, step / 10)
    logs = np.log(seen)
    timer = _timer(seen, logs, step)
    if timer is None:
        return None
    likelihood, low, high, inside = timer
    weight = count / len(seen)
    middle = (low + high) / 2
    # Chance first: nearly all that is no timer is done with then.
    best = _life(seen, logs, *SHAPES[0])
    if likelihood > best:
        best = max(best, *(_life(seen, logs, *shape) for shape in SHAPES[1:]))
    period = middle + gap
    return Rhythm((likelihood - best) * weight, period, (high - low) / 2 / period, inside)


def _timer(x: Floats, logs: Floats, step: float) -> tuple[float, float, float, float] | None:
    """Likelihood, shortest and longest interval, share inside: of the best timer."""
    count = len(x)
    places = np.unique(np.round(np.linspace(0, count - 1, GRID + 1)).astype(np.int64))
    first, last = (side.ravel() for side in np.meshgrid(places, places, indexing="ij"))
    # A timer explains at least half of its intervals.
    kept = (last - first >= 0.5 * count) & (x[last] <= WIDEST * x[first])
    first, last = first[kept], last[kept]
    low, high = x[first], x[last]
    middle = (low + high) / 2
    # The extremes of n draws lie inside of the range that they are drawn from.
    width = (high - low) * (1 + 2 / np.maximum(last - first, 1))
    width = np.maximum(width, np.maximum(2 * step, NARROWEST * middle))
    human = (middle > DAILY) & (width / 2 > DAILY_JITTER * middle)
    first, last, width = first[~human], last[~human], width[~human]
    if not len(first):
        return None
    within = last - first + 1
    anything = np.concatenate([[0.0], np.cumsum(-logs - math.log(RANGE))])
    without = anything[first] + anything[-1] - anything[last + 1]
    per_share = [
        within * (math.log(1 - share) - np.log(width))
        + (count - within) * math.log(share)
        + without
        for share in OUTLIERS
    ]
    likelihood = np.max(per_share, axis=0)
    best = int(np.argmax(likelihood))
    ends = float(x[first[best]]), float(x[last[best]])
    return float(likelihood[best]), *ends, float(within[best]) / count


def _life(x: Floats, logs: Floats, shape: int, mean_over_median: float) -> float:
    """Likelihood of the best gamma renewal of this shape, with outliers."""
    means = float(np.median(x)) * mean_over_median * np.array(STRETCH)[:, None]
    scale = shape / means
    regular = shape * np.log(scale) - math.lgamma(shape) + (shape - 1) * logs - scale * x
    density = np.exp(regular)
    anything = 1 / (RANGE * x)
    return max(
        float(np.log((1 - share) * density + share * anything).sum(axis=1).max())
        for share in OUTLIERS
    )


# --- several destinations of one source -------------------------------------------------------


@dataclass(frozen=True)
class Member:
    """A destination that has no rhythm of its own, and calls of mostly one size."""

    destination: str
    times: Floats
    sent: float
    received: float
    """Bytes of a typical call; NaN when the log has none."""


@dataclass(frozen=True)
class Pool:
    """Destinations that share one timer. `tries`: how many pools the source could have had."""

    members: tuple[Member, ...]
    times: Floats
    rhythm: Rhythm
    tries: int


LARGEST_SHARE = 0.6
"""Share of a pool's calls that go to one destination at most: else it is that one's rhythm."""
CELL = 0.06
"""Width of a size's cell, as a logarithm; cells overlap by half, so 3 % apart is together."""


def find_pools(members: list[Member], gap: float, least: int, most: int) -> list[Pool]:
    """Pools of two to `most` destinations with one timer, the best first; no member is in two.

    Of calls to several destinations in turn, or to any of them, each destination sees too little:
    together they are a timer's. Together are those whose sizes, both ways, are near to equal.
    """
    cells: dict[tuple[int, ...], list[Member]] = {}
    for one in sorted(members, key=lambda one: one.destination):
        for cell in _cells(one):
            cells.setdefault(cell, []).append(one)
    groups = {tuple(one.destination for one in cell): cell for cell in cells.values()}
    chosen = [cell for cell in groups.values() if _is_pool(cell, least, most)]
    pools = [pool for cell in chosen if (pool := _pool(cell, gap, least, len(chosen)))]
    pools.sort(key=lambda pool: (-pool.rhythm.nats, pool.members[0].destination))
    taken: set[str] = set()
    apart = []
    for pool in pools:
        names = {one.destination for one in pool.members}
        if not names & taken:
            apart.append(pool)
            taken |= names
    return apart


def _cells(one: Member) -> list[tuple[int, ...]]:
    known = [size for size in (one.sent, one.received) if not math.isnan(size)]
    logs = [math.log(size + 1) / CELL for size in known]
    return [
        (len(known), *(v for log, half in zip(logs, halves, strict=True) for v in _cell(log, half)))
        for halves in product((0, 1), repeat=len(known))
    ]


def _cell(log: float, half: int) -> tuple[int, int]:
    return half, math.floor(log + half / 2)


def _is_pool(cell: list[Member], least: int, most: int) -> bool:
    counts = [len(one.times) for one in cell]
    enough = sum(counts) > least and 2 <= len(cell) <= most
    return enough and max(counts) <= LARGEST_SHARE * sum(counts)


def _pool(cell: list[Member], gap: float, least: int, tries: int) -> Pool | None:
    """The pool without those that disturb its rhythm: another's calls are not to be blamed."""
    members = cell
    times, rhythm = _together(members, gap, least)
    while rhythm is not None and rhythm.nats > 0 and len(members) > 2:
        fewer = [[one for one in members if one is not left_out] for left_out in members]
        judged = [
            (_together(rest, gap, least), rest)
            for rest in fewer
            if _is_pool(rest, least, len(cell))
        ]
        better = [one for one in judged if one[0][1] and one[0][1].nats > rhythm.nats]
        if not better:
            break
        (times, rhythm), members = max(better, key=lambda one: one[0][1].nats if one[0][1] else 0)
    if rhythm is None or rhythm.nats <= 0:
        return None
    return Pool(tuple(sorted(members, key=lambda one: one.destination)), times, rhythm, tries)


def _together(members: list[Member], gap: float, least: int) -> tuple[Floats, Rhythm | None]:
    times = np.sort(np.concatenate([one.times for one in members]))
    found = find(times, gap, least)
    return (times, None) if found is None else (times[found[0]], found[1])
