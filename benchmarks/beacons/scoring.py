"""What scores are worth: thresholds, recall per class, false positives per 10,000 scored pairs.

A pair is scored when it has five connections or more. Implants are counted by implant, found
when any of their pairs is; all else is counted by pair.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np

from benchmarks.beacons.implants import KINDS
from benchmarks.beacons.world import Label, World

Scores = Mapping[int, float]
"""Pair key -> score; a pair that is not in it scores 0."""
LEAST_EVENTS = 5
PER = 10_000
BACKGROUND = "background"
NEGATIVES = (BACKGROUND, "hard")
"""Kinds whose false positives fix a threshold: what has no clock."""
CALLS = {0: "under 8", 8: "8-15", 16: "16-49", 50: "50-199", 200: "200 or more"}
"""Least connections of an implant -> name of its bracket."""
BINS = 20
BRACKETS = ((3, 5), (6, 14), (15, 1_000_000))
"""Shared services by how many hosts have the software."""


@dataclass(frozen=True)
class Truth:
    """What there was to find in one world."""

    implants: Mapping[tuple[str, int], Sequence[int]]
    """(class, number) -> its pairs."""
    kinds: Mapping[int, str]
    """Scored pair that is no implant's -> its kind."""
    calls: Mapping[tuple[str, int], int] = field(default_factory=dict)
    """(class, number) -> its connections, to all its places, as the log has them."""


def truth(world: World) -> Truth:
    """The world's implants, and what else has enough connections to be scored."""
    keys, counts = np.unique(world.events.key, return_counts=True)
    hosts = Counter(label.name for label in world.labels.values() if label.kind == "shared")
    implants: dict[tuple[str, int], list[int]] = {}
    for key, label in world.labels.items():
        if label.kind == "implant":
            implants.setdefault((label.name, label.number), []).append(key)
    enough = keys[counts >= LEAST_EVENTS].tolist()
    kinds = {key: _kind(world.labels.get(key), hosts) for key in enough}
    events = dict(zip(keys.tolist(), counts.tolist(), strict=True))
    calls = {one: sum(events.get(key, 0) for key in pairs) for one, pairs in implants.items()}
    harmless = {key: kind for key, kind in kinds.items() if kind != "implant"}
    return Truth(implants, harmless, calls)


def _kind(label: Label | None, hosts: Mapping[str, int]) -> str:
    if label is None:
        return BACKGROUND
    return bracket(hosts[label.name]) if label.kind == "shared" else label.kind


def bracket(hosts: int) -> str:
    """The kind of a service that so many hosts share."""
    low, high = next(one for one in BRACKETS if hosts <= one[1])
    return (
        f"shared by {low}-{high} hosts"
        if high < BRACKETS[-1][1]
        else f"shared by {low} or more hosts"
    )


@dataclass(frozen=True)
class Outcome:
    """Counts of one detector, of one seed or of several."""

    found: Mapping[str, int] = field(default_factory=dict)
    planted: Mapping[str, int] = field(default_factory=dict)
    flagged: Mapping[str, int] = field(default_factory=dict)
    scored: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: Outcome) -> Outcome:
        both = zip(vars(self).values(), vars(other).values(), strict=True)
        return Outcome(*(_sum(one, two) for one, two in both))

    def recall(self, name: str) -> float:
        """Share of a class's implants that were found."""
        return self.found.get(name, 0) / self.planted[name]

    @property
    def mean_recall(self) -> float:
        """The mean of the classes that count for it, each with the same weight."""
        counting = [name for name in self.planted if KINDS[name].in_mean]
        return sum(self.recall(name) for name in counting) / len(counting)

    def rate(self, *kinds: str) -> float:
        """Flagged per 10,000 scored pairs of these kinds; 0 when there were none."""
        flagged, scored = (sum(one.get(k, 0) for k in kinds) for one in (self.flagged, self.scored))
        return PER * flagged / scored if scored else 0.0

    def share_below(self, prefix: str) -> float:
        """Share of the pairs whose kind begins so that were left alone; 1 when there were none."""
        return 1 - self.rate(*(kind for kind in self.scored if kind.startswith(prefix))) / PER


def _sum(one: Mapping[str, int], two: Mapping[str, int]) -> Mapping[str, int]:
    return {name: one.get(name, 0) + two.get(name, 0) for name in {**one, **two}}


def outcome(there: Truth, scores: Scores, threshold: float) -> Outcome:
    """What a detector that flags from this score on finds, and flags beside it."""
    flagged = {key for key, score in scores.items() if score >= threshold}
    planted = Counter(name for name, _ in there.implants)
    found = Counter(name for (name, _), keys in there.implants.items() if flagged & set(keys))
    wrong = Counter(kind for key, kind in there.kinds.items() if key in flagged)
    return Outcome(found, planted, wrong, Counter(there.kinds.values()))


def by_calls(there: Truth, scores: Scores, threshold: float) -> Outcome:
    """Implants found and planted by their connections, a name of `CALLS` for each bracket.

    Poisson does not count, nor do those whose pair has a person's connections beside theirs.
    """
    flagged = {key for key, score in scores.items() if score >= threshold}
    counting = [one for one in there.implants if _is_alone(*one)]
    brackets = {one: _calls(there.calls[one]) for one in counting}
    found = Counter(brackets[one] for one in counting if flagged & set(there.implants[one]))
    return Outcome(found, Counter(brackets.values()))


def _is_alone(name: str, _number: int) -> bool:
    return KINDS[name].in_mean and not KINDS[name].behind_site


def _calls(count: int) -> str:
    return next(name for least, name in reversed(CALLS.items()) if count >= least)


def distribution(seeds: Iterable[tuple[Truth, Scores]]) -> dict[str, list[int]]:
    """Kind -> pairs (of implants: each one's best pair) by their score, in `BINS` equal steps."""
    scores: dict[str, list[float]] = {}
    for there, said in seeds:
        for key, kind in there.kinds.items():
            scores.setdefault(kind, []).append(said.get(key, 0.0))
        best = [max(said.get(key, 0.0) for key in keys) for keys in there.implants.values()]
        scores.setdefault("implant", []).extend(best)
    edges = np.linspace(0, 1, BINS + 1)
    return {kind: np.histogram(values, edges)[0].tolist() for kind, values in scores.items()}


def total(outcomes: Iterable[Outcome]) -> Outcome:
    """The counts of several seeds."""
    return reduce(Outcome.__add__, outcomes, Outcome())


def threshold_at(seeds: Iterable[tuple[Truth, Scores]], rate: float) -> float:
    """The least threshold with at most `rate` false positives per 10,000 scored negatives."""
    values: list[float] = []
    for there, scores in seeds:
        values += [scores.get(key, 0.0) for key, kind in there.kinds.items() if kind in NEGATIVES]
    allowed = int(rate * len(values) / PER)
    worst = sorted(values, reverse=True)[allowed]
    return float(np.nextafter(worst, np.inf))
