"""The two baselines, and what scores are worth: each number worked out by hand beside it."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.beacons import notebook, persistence, report, rita
from benchmarks.beacons.events import WINDOW, Events, calls, concat, pair_key
from benchmarks.beacons.scoring import (
    Outcome,
    Truth,
    bracket,
    by_calls,
    distribution,
    outcome,
    threshold_at,
    total,
)

INSIDE = range(3_000, 4_000)
C2 = int(pair_key(1, 9_000, 443))


def every(seconds: float, count: int, *, source: int = 1, place: int = 9_000) -> Events:
    times = np.arange(count, dtype=np.float64) * seconds
    return calls(times, source, place, 443, (np.full(count, 100), np.full(count, 50)))


# --- the notebook -----------------------------------------------------------------------------


def test_an_exact_beacon_alone_on_its_host_is_flagged() -> None:
    said = notebook.judge(every(60, 1_440), INSIDE)[C2]
    # One group of 1,439 intervals: its sum is all there is.
    assert (said.percent, said.total, said.flagged, said.score) == (100.0, 1_439, True, 1.0)


def test_a_group_is_summed_with_the_two_before_it() -> None:
    said = notebook.verdict(np.array([8, 1, 1]))
    # Sums 8, 9, 10, together 27.
    assert said.percent == pytest.approx(1000 / 27)
    assert said.total == 27
    said = notebook.verdict(np.array([30, 20, 10, 40]))
    # Sums 30, 50, 60, 70, together 210.
    assert said.percent == pytest.approx(7000 / 210)
    assert said.total == 210
    assert said.score == pytest.approx(70 / 210)


def test_below_its_least_total_it_ranks_lower() -> None:
    said = notebook.verdict(np.array([50]))
    assert (said.percent, said.flagged, said.score) == (100.0, False, 0.5)


def test_another_connection_of_the_host_resets_the_interval() -> None:
    other = every(60, 1_440, place=9_001)
    both = concat([every(60, 1_440), Events(other.time + 50, *list(vars(other).values())[1:])])
    said = notebook.judge(both, INSIDE)
    # 10 s after the other one: too short to count. The other one comes 50 s after it.
    assert set(said) == {int(pair_key(1, 9_001, 443))}


def test_quiet_sources_popular_places_and_those_inside_are_dropped() -> None:
    assert notebook.judge(every(900, 96), INSIDE) == {}
    assert notebook.judge(every(60, 1_440, place=3_000), INSIDE) == {}
    crowd = [every(60, 200, source=number) for number in range(25)]
    assert notebook.judge(concat(crowd), INSIDE) == {}
    assert len(notebook.judge(concat(crowd[1:]), INSIDE)) == 24


def test_days_are_judged_by_themselves() -> None:
    said = notebook.judge(every(60, 1_440 + 200), INSIDE)[C2]
    assert said.total == 1_439


# --- the score like RITA's --------------------------------------------------------------------


def test_regularity_of_equal_values_is_whole() -> None:
    assert rita.regularity(np.full(9, 60.0)) == 1.0


def test_regularity_by_skew_and_deviation() -> None:
    # Quartiles 20, 30, 40: no skew. Deviations 20, 10, 0, 10, 20: MAD 10, a third of 30.
    assert rita.regularity(np.array([10.0, 20, 30, 40, 50])) == pytest.approx((1 + 2 / 3) / 2)
    # Quartiles 10, 10, 12.5: skew 1. MAD 0.
    assert rita.regularity(np.array([10.0, 10, 10, 20])) == pytest.approx(0.5)


def test_the_score_is_the_mean_of_four_parts() -> None:
    # Timing 1, sizes 1, a connection in each of its hours 1, one day of 21.
    one = every(60, 1_441)
    assert rita.score(one.time, one.sent) == pytest.approx((3 + 86_400 / WINDOW) / 4)
    # Every 2 h: 11 connections in 21 hours.
    slow = every(7_200, 11)
    assert rita.score(slow.time, slow.sent) == pytest.approx((2 + 11 / 21 + 72_000 / WINDOW) / 4)


def test_repeated_seconds_count_once_and_four_are_too_few() -> None:
    twice = concat([every(60, 30), every(60, 30)])
    assert rita.judge(twice)[C2] == pytest.approx(rita.judge(every(60, 30))[C2])
    assert rita.judge(every(60, 4)) == {}


# --- hours alone ------------------------------------------------------------------------------


def test_persistence_is_the_share_of_hours_however_often_in_each() -> None:
    day = 24 / (WINDOW / 3_600)
    assert persistence.judge(every(60, 1_440)) == {C2: pytest.approx(day)}
    assert persistence.judge(every(3_600, 24)) == {C2: pytest.approx(day)}
    assert persistence.judge(every(7_200, 12)) == {C2: pytest.approx(day / 2)}
    assert persistence.judge(every(60, 4)) == {}


# --- what scores are worth --------------------------------------------------------------------

THERE = Truth(
    implants={("fixed", 0): [1], ("fixed", 1): [2, 3], ("Poisson", 0): [4]},
    kinds={10: "background", 11: "background", 12: "hard", 13: "shared by 3-5 hosts"},
    calls={("fixed", 0): 7, ("fixed", 1): 8, ("Poisson", 0): 100},
)


def test_an_implant_is_found_by_any_of_its_pairs() -> None:
    made = outcome(THERE, {1: 0.2, 3: 0.9, 11: 0.9, 12: 0.1, 13: 0.9}, 0.5)
    assert (made.recall("fixed"), made.recall("Poisson"), made.mean_recall) == (0.5, 0.0, 0.5)
    assert (made.rate("background"), made.rate("hard")) == (5_000.0, 0.0)
    assert made.rate("background", "hard") == pytest.approx(10_000 / 3)
    assert (made.share_below("shared"), made.share_below("rare")) == (0.0, 1.0)


def test_seeds_add_up() -> None:
    one, two = outcome(THERE, {1: 0.9}, 0.5), outcome(THERE, {1: 0.9, 2: 0.9, 4: 0.9}, 0.5)
    both = total([one, two])
    assert (both.recall("fixed"), both.recall("Poisson")) == (0.75, 0.5)
    assert both.scored == {"background": 4, "hard": 2, "shared by 3-5 hosts": 2}
    assert total([]) == Outcome()


def test_implants_are_told_by_their_connections_too() -> None:
    crowd = Truth({("browsing 1 times", 0): [5]}, {}, {("browsing 1 times", 0): 500})
    both = total(by_calls(there, {1: 0.2, 3: 0.9, 4: 0.9, 5: 0.9}, 0.5) for there in (THERE, crowd))
    assert both.planted == {"under 8": 1, "8-15": 1}  # neither Poisson nor a person's site
    assert (both.recall("under 8"), both.recall("8-15")) == (0.0, 1.0)


def test_scores_are_counted_in_steps_by_kind() -> None:
    made = distribution([(THERE, {1: 0.62, 2: 0.99, 3: 0.6, 11: 1.0})])
    steps = {kind: np.repeat(range(20), counts).tolist() for kind, counts in made.items()}
    assert steps == {
        "implant": [0, 12, 19],  # the best of its pairs
        "background": [0, 19],
        "hard": [0],
        "shared by 3-5 hosts": [0],
    }


def test_a_threshold_lets_through_what_the_rate_allows() -> None:
    kinds = dict.fromkeys(range(20_000), "background") | {50_000: "shared by 3-5 hosts"}
    scores = {n: n / 20_000 for n in range(20_000)} | {50_000: 5.0}
    least = threshold_at([(Truth({}, kinds), scores)], 1.0)
    # Two of 20,000 may pass; shared clocks do not count.
    assert sum(score >= least for n, score in scores.items() if kinds[n] == "background") == 2


def test_shared_services_are_told_by_how_many_share() -> None:
    assert [bracket(n) for n in (3, 5, 6, 15, 280)] == [
        "shared by 3-5 hosts", "shared by 3-5 hosts", "shared by 6-14 hosts",
        "shared by 15 or more hosts", "shared by 15 or more hosts",
    ]  # fmt: skip


def test_tables_are_aligned() -> None:
    text = report.aligned([["a", "bb"], ["ccc", "1"], []])
    assert text == "a    bb\nccc   1\n"
