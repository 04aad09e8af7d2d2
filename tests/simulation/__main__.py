"""`python -m tests.simulation 200`: so many seeds, or `--seed 17` alone; violations come last.

`--mutants` plants bugs instead, each until one of at most so many seeds tells of it.
"""

from __future__ import annotations

import argparse
import logging
from collections import Counter

from tests.simulation.mutants import Verdict, hunt_all
from tests.simulation.planted import PLANTED, rule_of, told_by
from tests.simulation.simulate import Outcome, shrink, simulate_all


def main() -> int:
    """Run the seeds; 1 when one of them breaks an invariant."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("seeds", nargs="?", type=int, default=20, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seed", type=int, help="this seed alone, with its story")
    parser.add_argument("--no-shrink", action="store_true", help="tell the story as it was")
    parser.add_argument("--mutants", nargs="?", const="", help="planted bugs: all, or named so")
    given = parser.parse_args()
    logging.getLogger("tidehunt").propagate = False
    if given.mutants is not None:
        return _hunt_down(given.mutants, given.seeds)
    first, count = (given.first, given.seeds) if given.seed is None else (given.seed, 1)
    outcomes = [_told(one) for one in simulate_all(range(first, first + count))]
    broken = [outcome for outcome in outcomes if outcome.broken]
    _tell_counts(outcomes)
    if broken:
        _tell(broken[0] if given.no_shrink else shrink(broken[0]))
    for outcome in broken:
        for trouble in outcome.broken:
            print(f"seed {outcome.seed}: {trouble}")
    return 1 if broken else 0


def _hunt_down(name: str, seeds: int) -> int:
    plants = [plant for plant in PLANTED if name in plant.__name__]
    verdicts = [_judged(verdict, seeds) for verdict in hunt_all(plants, seeds)]
    found = sum(verdict.seed is not None for verdict in verdicts)
    print(f"{found} of {len(plants)} planted bugs found within {seeds} seeds")
    return 0 if found == len(plants) else 1


def _judged(verdict: Verdict, seeds: int) -> Verdict:
    plant, seed = verdict.plant, verdict.seed
    where = f"ALIVE after {seeds} seeds" if seed is None else f"found at seed {seed}"
    besides = f" (and by {', '.join(verdict.others)})" if verdict.others else ""
    print(f"{plant.__name__}: {where} by invariant {told_by(plant)}{besides}: {rule_of(plant)}")
    print(f"    {verdict.told or 'nothing told'}", flush=True)
    return verdict


def _told(outcome: Outcome) -> Outcome:
    verdict = f"{len(outcome.broken)} violations, digest {outcome.digest[:12]}"
    # Told at once as well: to find the shortest story may take longer than there is time.
    print("\n    ".join([f"seed {outcome.seed}: {verdict}", *outcome.broken]), flush=True)
    return outcome


def _tell_counts(outcomes: list[Outcome]) -> None:
    faults = Counter(fault.kind for outcome in outcomes for fault in outcome.faults)
    fates = sum((outcome.fates for outcome in outcomes), Counter())
    counts = sum((outcome.counts for outcome in outcomes), Counter())
    for what, told in (("faults", faults), ("jobs", fates), ("counts", counts)):
        line = ", ".join(f"{name} {number}" for name, number in sorted(told.items()))
        print(f"{what}: {line}")


def _tell(outcome: Outcome) -> None:
    print(f"\nseed {outcome.seed}, with {len(outcome.faults)} faults:")
    print("\n".join(outcome.story))
    print()


if __name__ == "__main__":
    raise SystemExit(main())
