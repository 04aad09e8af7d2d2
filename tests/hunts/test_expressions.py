"""Sub-scores: every value beside the arithmetic that it comes from."""

from __future__ import annotations

import importlib
import math
from typing import TYPE_CHECKING

import pytest

from tests.hunts.expression_cases import check

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
x = importlib.import_module("spark.expressions")
F = importlib.import_module("pyspark.sql.functions")
T = importlib.import_module("pyspark.sql.types")


# --- sub-scores -------------------------------------------------------------------------------


def test_resolution(session: SparkSession) -> None:
    cases = [
        (([10.0, 20.0],), 0.5),  # whole seconds: true to half of one
        (([10.0, 20.25],), 0.05),  # fractions: SMALLEST_STEP
        (([],), 0.5),
    ]
    check(session, "Times array<double>", cases, x.resolution("Times"))


def test_relative_spread(session: SparkSession) -> None:
    cases = [
        ((29.8, 300.0, 0.5), 0.1),  # 29.8 / (300 - 2)
        ((0.0, 12.0, 0.5), 0.05),  # no less than the clock's step: 0.5 / (12 - 2)
        ((1.0, 2.0, 0.5), None),  # nothing can be seen within the gap
        ((1.0, 1.5, 0.5), None),
        ((1.0, None, 0.5), None),
    ]
    made = x.relative_spread("Mad", "Median", 2.0, "Step")
    check(session, "Mad double, Median double, Step double", cases, made)


def test_regularity(session: SparkSession) -> None:
    cases = [
        ((0.0,), 1.0),  # a clock
        ((0.15,), 0.75),  # 1 - 0.15 / 0.6
        ((0.6,), 0.0),  # blind
        ((9.0,), 0.0),  # never below nothing
        ((None,), None),
        ((math.nan,), None),
    ]
    check(session, "R double", cases, x.regularity("R", 0.6))


def test_steadiness(session: SparkSession) -> None:
    cases = [
        ((300.0, 0.0), 1.0),
        ((300.0, 45.0), 0.75),  # 1 - (45 / 300) / 0.6 = 1 - 0.15 / 0.6
        ((300.0, 180.0), 0.0),  # 180 / 300 = 0.6
        ((300.0, 900.0), 0.0),
        ((0.0, 1.0), None),
        ((None, None), None),
    ]
    check(session, "Mean double, Dev double", cases, x.steadiness("Mean", "Dev", 0.6))


def test_surprise(session: SparkSession) -> None:
    # r = 0.1: p = (2^0.1 - 2^-0.1) / 2 = (1.0717735 - 0.9330330) / 2 = 0.0693702
    # 4 p (1 - p) = 4 * 0.0693702 * 0.9306298 = 0.2582319; -ln = 1.3538974
    cases = [
        ((11, 0.1), pytest.approx(6.769, abs=0.001)),  # (11 - 1) / 2 * 1.35390
        ((21, 0.1), pytest.approx(13.539, abs=0.001)),  # twice the intervals less one
        ((1, 0.1), 0.0),  # one interval is no surprise
        ((11, 1.0), pytest.approx(0.0, abs=1e-6)),  # p = 0.75, held below a half
        ((11, 50.0), pytest.approx(0.0, abs=1e-6)),
        ((11, None), pytest.approx(0.0, abs=1e-6)),
    ]
    check(session, "Count int, R double", cases, x.surprise("Count", "R"))


def test_evidence(session: SparkSession) -> None:
    cases = [
        ((0.0, 1), 0.0),  # 1 - e^0
        ((5.0, 1), 1 - math.exp(-1)),  # 0.632: one factor of e^5
        ((15.0, 1), 1 - math.exp(-3)),  # 0.950
        ((math.log(20), 20), 0.0),  # twenty tries explain what happens to one in twenty
        ((math.log(20) + 5, 20), 1 - math.exp(-1)),
        ((0.0, 50), 0.0),  # less than chance: never below nothing
        ((None, 1), None),
    ]
    check(session, "S double, Tries int", cases, x.evidence("S", F.col("Tries"), 5.0))


def test_constancy(session: SparkSession) -> None:
    cases = [
        ((0.0, 500.0), 1.0),
        ((25.0, 500.0), 0.5),  # 1 - (25 / 500) / 0.1
        ((50.0, 500.0), 0.0),  # a tenth of the median
        ((400.0, 500.0), 0.0),
        ((0.0, 0.0), None),  # no bytes: nothing to judge
        ((None, None), None),
    ]
    check(session, "Mad double, Median double", cases, x.constancy("Mad", "Median"))


def test_persistence(session: SparkSession) -> None:
    cases = [
        ((3, 3), 1.0),
        ((3, 4), 0.75),
        ((1, 21), 1 / 21),
        ((5, 4), 1.0),  # a connection over midnight: never above one
        ((2, 2), None),  # below three days of data
        ((1, None), None),
    ]
    check(session, "Active int, Total int", cases, x.persistence("Active", "Total"))


def test_prevalence(session: SparkSession) -> None:
    cases = [
        ((1, 101), 0.0),
        ((26, 101), 0.25),  # (26 - 1) / (101 - 1)
        ((101, 101), 1.0),
        ((5, 20), 4 / 19),
        ((5, 19), None),  # fewer hosts than 20 say nothing
    ]
    check(session, "Talkers int, Hosts int", cases, x.prevalence("Talkers", "Hosts", 20))


def test_rarity(session: SparkSession) -> None:
    cases = [
        ((1, 90), 1.0),  # ln 1 = 0
        ((2, 90), 1 - math.log(2) / math.log(10)),  # 0.699: one more than a tenth is 10
        ((10, 90), 0.0),
        ((90, 90), 0.0),
        ((2, 19), None),
    ]
    check(session, "Peers int, Hosts int", cases, x.rarity("Peers", "Hosts", 20))


def test_focus(session: SparkSession) -> None:
    cases = [
        ((1,), 1.0),  # 1 - ln(1/2) / ln 4 = 1.5, at most one
        ((2,), 1.0),
        ((4,), 0.5),  # 1 - ln 2 / ln 4
        ((8,), 0.0),  # 1 - ln 4 / ln 4
        ((500,), 0.0),
        ((None,), None),
    ]
    check(session, "Places int", cases, x.focus("Places"))
