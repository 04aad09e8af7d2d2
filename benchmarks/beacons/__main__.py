"""`python -m benchmarks.beacons`: run the detectors on fresh seeds, or fix thresholds on others."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from benchmarks.beacons import hunt, notebook, people, persistence, picture, report, rita, scoring
from benchmarks.beacons.scoring import Outcome, Scores, Truth
from benchmarks.beacons.world import make_world
from benchmarks.process import Family
from benchmarks.sessions import spark_session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

FIRST_TUNING_SEED = 1_000
"""Seeds from here on fix thresholds and are never published; those below are."""
THRESHOLDS = Path(__file__).with_name("thresholds.json")
HUNT = "hunt, Medium"
T = TypeVar("T")


@cache
def _family() -> Family:
    """This process and Spark's, from the first look on."""
    return Family(os.getpid())


@dataclass
class Judged:
    """One seed: what there was, and what each detector said of it."""

    there: Truth
    scores: dict[str, Scores] = field(default_factory=dict)
    findings: hunt.Findings | None = None
    cost: dict[str, tuple[float, float]] = field(default_factory=dict)

    def timed(self, step: str, work: Callable[[], T]) -> T:
        """Do a step, and keep what it took in seconds of wall and of CPU, Spark's among them."""
        wall, cpu = time.perf_counter(), _family().seconds()
        made = work()
        self.cost[step] = time.perf_counter() - wall, _family().seconds() - cpu
        return made


def judge(session: SparkSession, seed: int, scratch: Path) -> Judged:
    """Make a seed's world and let every detector judge it."""
    wall, cpu = time.perf_counter(), _family().seconds()
    world = make_world(seed)
    done = Judged(scoring.truth(world))
    done.cost["generator"] = time.perf_counter() - wall, _family().seconds() - cpu
    inside = range(people.INSIDE, people.OUTSIDE)
    said = done.timed("notebook", lambda: notebook.judge(world.events, inside))
    done.scores["notebook, as is"] = {key: float(one.flagged) for key, one in said.items()}
    done.scores["notebook, ranked"] = {key: one.score for key, one in said.items()}
    done.scores["RITA-like"] = done.timed("RITA-like", lambda: rita.judge(world.events))
    hours = done.timed("hours", lambda: persistence.judge(world.events))
    done.scores["hours, ranked"] = hours
    folder = scratch / f"seed-{seed}"
    found = done.timed("hunt", lambda: hunt.judge(session, world.events, folder))
    done.findings = found
    by_pair = {key: one.score for key, one in found.by_pair.items()}
    done.scores[HUNT] = done.scores["hunt, ranked"] = by_pair
    return done


def thresholds() -> Mapping[str, float]:
    """Detector -> least score that counts: its own, or the one fixed on the tuning seeds."""
    fixed: Mapping[str, float] = json.loads(THRESHOLDS.read_text("utf-8"))["thresholds"]
    return {"notebook, as is": 1.0, HUNT: hunt.spec().severity[hunt.FOUND], **fixed}


def tune(seeds: Sequence[Judged], numbers: Sequence[int], rate: float) -> None:
    """Fix the thresholds of what is ranked at this false-positive rate, and write them down."""
    ranked = ("notebook, ranked", "RITA-like", "hours, ranked", "hunt, ranked")
    fixed = {
        name: scoring.threshold_at([(one.there, one.scores[name]) for one in seeds], rate)
        for name in ranked
    }
    told = {"seeds": list(numbers), "per_10000": rate, "thresholds": fixed}
    THRESHOLDS.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")


def outcomes(seeds: Sequence[Judged]) -> Mapping[str, Outcome]:
    """Detector -> its counts over all seeds."""
    limits = thresholds()
    return {
        name: scoring.total(
            scoring.outcome(one.there, one.scores[name], limits[name]) for one in seeds
        )
        for name in seeds[0].scores
    }


def by_calls(seeds: Sequence[Judged]) -> dict[str, dict[str, float]]:
    """Detector -> bracket of an implant's connections -> recall."""
    limits = thresholds()
    counted = {
        name: scoring.total(
            scoring.by_calls(one.there, one.scores[name], limits[name]) for one in seeds
        )
        for name in seeds[0].scores
    }
    return {
        name: {calls: one.recall(calls) for calls in scoring.CALLS.values() if calls in one.planted}
        for name, one in counted.items()
    }


def mean_cost(seeds: Sequence[Judged]) -> dict[str, tuple[float, float]]:
    """Step -> mean seconds of wall and of CPU."""
    return {
        step: (
            sum(one.cost[step][0] for one in seeds) / len(seeds),
            sum(one.cost[step][1] for one in seeds) / len(seeds),
        )
        for step in seeds[0].cost
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    given = _parser().parse_args(arguments)
    if given.picture:
        picture.needed()
    first = FIRST_TUNING_SEED if given.tune else given.first
    numbers = range(first, first + given.seeds)
    if not given.tune and numbers.stop > FIRST_TUNING_SEED:
        raise SystemExit(f"seeds from {FIRST_TUNING_SEED} on fix thresholds: take lower ones")
    seeds = list(_judged(numbers))
    if given.tune:
        tune(seeds, numbers, given.rate)
    counted, cost = outcomes(seeds), mean_cost(seeds)
    print(f"seeds {numbers.start} to {numbers.stop - 1}\n\n{report.table(counted)}\n")
    print(report.costs(cost))
    if given.explain:
        made = [(one.there, one.findings) for one in seeds if one.findings is not None]
        print(f"\n{report.reasons(made)}")
    told = {
        "seeds": list(numbers),
        "thresholds": thresholds(),
        "seconds": cost,
        "detectors": report.figures(counted),
        "by_calls": by_calls(seeds),
        "distribution": scoring.distribution([(one.there, one.scores[HUNT]) for one in seeds]),
    }
    if given.json:
        given.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    if given.picture:
        picture.draw(told, hunt.spec().severity, given.picture)
    return 0


def _judged(numbers: Sequence[int]) -> Iterator[Judged]:
    with (
        tempfile.TemporaryDirectory() as name,
        spark_session(Path(name), hunt.configuration()) as session,
    ):
        for number in numbers:
            yield judge(session, number, Path(name))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.beacons", description=__doc__)
    parser.add_argument("--seeds", type=int, default=3, help="how many seeds (default 3)")
    parser.add_argument("--first", type=int, default=1, help="the first of them (default 1)")
    parser.add_argument("--json", type=Path, help="write the figures to this file too")
    parser.add_argument("--picture", type=Path, help="draw the figures as PNG; needs matplotlib")
    parser.add_argument("--explain", action="store_true", help="sub-scores of what the hunt misses")
    parser.add_argument("--tune", action="store_true", help="fix thresholds, on tuning seeds")
    parser.add_argument(
        "--rate", type=float, default=1.0, help="false positives per 10,000 to fix them at"
    )
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
