"""All scenarios of some scripts, piece by piece on every processor."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from tests.crashpoints.explore import Explorer, Scenario
from tests.crashpoints.scripts import SCRIPTS

FIRSTS_A_PIECE = 6
NAMES = tuple(script.name for script in SCRIPTS)
Piece = tuple[str, int]
"""A script, and the first of some of its first faults; ALONE: every fault without a second."""
ALONE = -1


@dataclass
class Verdict:
    """What was judged, a number of scenarios by script, and those that broke something."""

    counts: Counter[str] = field(default_factory=Counter)
    broken: list[Scenario] = field(default_factory=list)
    whole: bool = True
    """False when somebody had no patience."""

    def add(self, other: Verdict) -> None:
        """Together with another piece's."""
        self.counts += other.counts
        self.broken += other.broken


def judge(names: Sequence[str], pairs: bool, told: Callable[[str, Verdict], None]) -> Verdict:
    """Judge every fault of these scripts, alone and with every second one; told of each piece."""
    pieces = [(name, first) for name in names for first in _firsts(name, pairs)]
    verdict = Verdict()
    with multiprocessing.get_context("spawn").Pool(os.cpu_count(), _be_deaf) as processes:
        try:
            for number, piece in enumerate(processes.imap_unordered(_judge_piece, pieces), 1):
                verdict.add(piece)
                told(f"{number} of {len(pieces)} pieces", verdict)
        except KeyboardInterrupt:
            verdict.whole = False
    return verdict


def _firsts(name: str, pairs: bool) -> Iterator[int]:
    yield ALONE
    if pairs:
        yield from range(0, len(explorer(name).firsts()), FIRSTS_A_PIECE)


def _judge_piece(piece: Piece) -> Verdict:
    verdict, (name, first) = Verdict(), piece
    for scenario in _scenarios(explorer(name), first):
        verdict.counts[name] += 1
        verdict.broken.extend([scenario] if scenario.broken else [])
    return verdict


def _scenarios(breaks: Explorer, first: int) -> Iterator[Scenario]:
    if first == ALONE:
        yield from breaks.singles()
        return
    for point in breaks.firsts()[first : first + FIRSTS_A_PIECE]:
        yield from breaks.pairs(point)


@lru_cache(maxsize=1)
def explorer(name: str) -> Explorer:
    """Kept for the pieces of one script, which come one after another."""
    return Explorer(next(script for script in SCRIPTS if script.name == name))


def be_quiet() -> None:
    """Refusals are told by the thousand: their number is no news."""
    logging.getLogger("tidehunt").setLevel(logging.CRITICAL)


def _be_deaf() -> None:
    be_quiet()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # who started this one ends it
