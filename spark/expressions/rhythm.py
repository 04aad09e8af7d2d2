"""Is it a timer? What the times of one series say, weighed against life. No Spark, no session.

Times and intervals are seconds. Evidence is in nats: the natural logarithm of how much better a
timer explains the intervals than the most regular life does.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

HOUR, DAY = 3_600, 86_400
"""Seconds."""
WHOLE_SECONDS, FRACTIONS = 0.5, 0.05
"""Seconds that a clock is good for, with whole seconds and with fractions."""
SHAPES = ((1, 1.443), (2, 1.192), (4, 1.089))
"""Life: gamma renewals, from chance (1) to as regular as anything without a clock (4). Beside each
shape stands its mean over its median."""
STRETCH = (0.6, 0.75, 0.87, 1.0, 1.15, 1.35, 1.65)
"""Means that are tried, as multiples of the one that the median tells."""
OUTLIERS = (0.02, 0.1, 0.3)
"""Shares of intervals that may be anything: nights, retries, other calls."""
RANGE = 10.0
"""Logarithm of the range that such an interval comes from: its density is 1 / (RANGE * x)."""
NARROWEST = 0.1
"""Least width of a timer's intervals over their middle: more exact than +-5 % is no more
evidence, or five retries after a minute each would count for as much as a day of jitter."""
WIDEST = 30.0
"""Longest interval of a timer over its shortest: 90 % of jitter is 19, by chance a bit more."""
DAILY, DAILY_JITTER = 3 * HOUR, 0.62
"""What recurs more seldom than every three hours must have less jitter than that: from the rhythm
of people's days, with nights and lunch, a timer of 90 % cannot be told."""
MOST = 384
"""Intervals that are looked at one by one; of more, so many quantiles."""
LOSSES, BEATS = (0.0, 0.1, 0.3), 4
"""Shares of beats that the log may lack, and beats that an interval has at most then."""
LOSS_JITTER = 0.62
"""With more jitter than that, and lost beats, a timer looks like life."""
GRID = 40
"""Quantiles between which the timer's shortest and longest intervals are sought."""
ENDS = (1, 2, 4, 6)
"""So many intervals at either end that may be none of the timer's, beside quantiles."""


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
    first: Bools = np.ones(len(times), np.bool_)
    np.greater(times[1:] - times[:-1], gap, out=first[1:])
    return first


def apart(times: Floats, gap: float) -> Bools:
    """Which of ascending times lie more than `gap` seconds behind the last one that counts."""
    counts: Bools = np.zeros(len(times), np.bool_)
    at, ordered = 0, times.tolist()
    while at < len(ordered):
        counts[at] = True
        at = bisect_right(ordered, ordered[at] + gap, at)
    return counts


def least_events(intervals: int) -> int:
    """Events with at least so many intervals between them, of which something can be told."""
    return max(intervals + 1, 3)


def find(times: Floats, gap: float, least: int) -> tuple[Bools, Rhythm] | None:
    """Which of ascending times count, and their rhythm; None with fewer than `least` intervals.

    Of connections up to `gap` apart the first counts: of each burst, or of each `gap`. A timer's
    retries are bursts; a quick timer and its data are told apart better by the gap. But that
    makes a beat out of whatever goes on and on, no slower than twice the gap.
    """
    enough = least_events(least)
    if len(times) < enough:
        return None
    bursts = first_of_bursts(times, gap)
    ways = [bursts]
    if not bursts.all() and not np.array_equal(steady := apart(times, gap), bursts):
        ways.append(steady)
    found: list[tuple[Bools, Rhythm]] = []
    for way in ways:
        rhythm = judge(times[way], gap) if np.count_nonzero(way) >= enough else None
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
    if known[-1] <= known[0] * (1 + tolerance):
        return float(known[0]), float(known[0]) * (1 + tolerance)
    ends = np.searchsorted(known, known * (1 + tolerance), side="right")
    low = float(known[int(np.argmax(ends - np.arange(len(known))))])
    return low, low * (1 + tolerance)


def judge(times: Floats, gap: float) -> Rhythm | None:
    """The rhythm of ascending times that lie more than `gap` apart; None when there is none.

    Timer: intervals lie evenly between a shortest and a longest one, and some beats are lost.
    Life: they are those of a gamma renewal. Either may have outliers of any length. All are
    fitted, and the likelihoods of the best compared. From the intervals the gap is taken off:
    they cannot be shorter, and what is left of exponential ones is exponential.
    """
    if len(times) < 3:
        return None
    intervals = np.sort(times[1:] - times[:-1]) - gap
    count = len(intervals)
    seen = intervals
    if count > MOST:
        seen = intervals[np.round(np.linspace(0, count - 1, MOST)).astype(np.int64)]
    step = clock_step(times)
    seen = np.maximum(seen, step / 10)
    logs = np.log(seen)
    timer = _timer(seen, logs, step, gap)
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


def _timer(
    x: Floats, logs: Floats, step: float, gap: float
) -> tuple[float, float, float, float] | None:
    """Likelihood, shortest and longest interval, share explained: of the best timer."""
    count = len(x)
    boxes = _boxes(x, step)
    if not len(boxes.width):
        return None
    anything = np.concatenate([[0.0], np.cumsum(-logs - math.log(RANGE))])
    beats = _beats(x, boxes, anything, gap)
    steady = np.where(boxes.width / 2 <= LOSS_JITTER * boxes.middle, 0.0, -np.inf)
    trials = _likelihoods(beats, count) + anything[-1]
    trials[:, 1:] += steady
    _, loss, best = np.unravel_index(int(np.argmax(trials)), trials.shape)
    used = beats if loss else beats[:1]
    explained = float(sum(beat.count[best] for beat in used)) / count
    ends = float(x[boxes.first[best]]), float(x[boxes.last[best]])
    return float(trials.max()), *ends, explained


@dataclass(frozen=True)
class _Boxes:
    """Timers to try: places of the shortest and the longest interval, width and middle."""

    first: Ints
    last: Ints
    width: Floats
    middle: Floats


def _boxes(x: Floats, step: float) -> _Boxes:
    """Timers that explain at least half of the ordered intervals, missed beats apart."""
    first, last, wider = _spans(len(x))
    low, high = x[first], x[last]
    middle = (low + high) / 2
    width = np.maximum((high - low) * wider, np.maximum(2 * step, NARROWEST * middle))
    daily = (middle <= DAILY) | (width / 2 <= DAILY_JITTER * middle)
    kept = daily & (high <= WIDEST * low)
    return _Boxes(first[kept], last[kept], width[kept], middle[kept])


@lru_cache(maxsize=MOST)
def _spans(count: int) -> tuple[Ints, Ints, Floats]:
    """Places of the ends of at least half of so many intervals, and how much wider they lie.

    The extremes of n draws lie inside of the range that they are drawn from. At the ends single
    places are tried too: where a log lacks a few rows, a few intervals are too long.
    """
    even = np.round(np.linspace(0, count - 1, GRID + 1)).astype(np.int64)
    few = np.array([n for n in ENDS if n < count // 8], np.int64)
    places = np.unique(np.concatenate([even, few, count - 1 - few]))
    first, last = (side.ravel() for side in np.meshgrid(places, places, indexing="ij"))
    kept = last - first >= 0.5 * count
    first, last = first[kept], last[kept]
    return first, last, 1 + 2 / np.maximum(last - first, 1)


@dataclass(frozen=True)
class _Beat:
    """Of each timer the intervals of so many beats: how many, how they are explained, or not."""

    count: Ints
    density: Floats
    anything: Floats


def _beats(x: Floats, boxes: _Boxes, anything: Floats, gap: float) -> list[_Beat]:
    """Intervals of one beat, of two when one was missed, of three, each no beat's before.

    The sum of n even intervals has n times their mean and n times their variance; it is taken
    for even too. From each interval the gap was taken off, so the sum lacks it but once.
    """
    beats: list[_Beat] = []
    low, top = boxes.first, boxes.last + 1
    for n in range(1, BEATS + 1):
        half, center = boxes.width * math.sqrt(n) / 2, n * boxes.middle + (n - 1) * gap
        if n > 1:
            low = np.maximum(np.searchsorted(x, center - half), top)
            top = np.maximum(np.searchsorted(x, center + half, side="right"), low)
        beats.append(_Beat(top - low, -np.log(2 * half), anything[top] - anything[low]))
    return beats


def _likelihoods(beats: list[_Beat], count: int) -> Floats:
    """Of all timers, by share of OUTLIERS and of LOSSES, less what any interval has.

    Of `count` intervals those that are beats have (1 - share) * (1 - loss) * loss ** missed times
    their density, the others the share of outliers. Where none is lost only one beat counts.
    """
    shares, losses = np.log(OUTLIERS), np.array(LOSSES)
    explained = np.cumsum([beat.count for beat in beats], axis=0)
    missed = np.sum([n * beat.count for n, beat in enumerate(beats)], axis=0)
    known = np.cumsum([beat.count * beat.density - beat.anything for beat in beats], axis=0)
    odds = (np.log1p(-np.array(OUTLIERS)) - shares)[:, None]
    value: Floats = np.empty((len(OUTLIERS), len(LOSSES), len(missed)))
    value[:, 0] = explained[0] * odds + known[0]
    for n, loss in enumerate(losses[1:], start=1):
        of_loss = explained[-1] * math.log(1 - loss) + missed * math.log(loss)
        value[:, n] = explained[-1] * odds + of_loss + known[-1]
    value += count * shares[:, None, None]
    return value


def _life(x: Floats, logs: Floats, shape: int, mean_over_median: float) -> float:
    """Likelihood of the best gamma renewal of this shape, with outliers; of ordered intervals."""
    median = (x[(len(x) - 1) // 2] + x[len(x) // 2]) / 2
    means = median * mean_over_median * np.array(STRETCH)[:, None]
    scale = shape / means
    regular = shape * np.log(scale) - math.lgamma(shape) + (shape - 1) * logs - scale * x
    density = np.exp(regular)
    anything = 1 / (RANGE * x)
    return max(
        float(np.log((1 - share) * density + share * anything).sum(axis=1).max())
        for share in OUTLIERS
    )
