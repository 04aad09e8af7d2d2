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


def test_regularity(session: SparkSession) -> None:
    cases = [
        ((0.0,), 1.0),  # a clock
        ((0.3,), 0.7),
        ((1.5,), 0.0),  # never below nothing
        ((None,), None),
        ((math.nan,), None),
    ]
    check(session, "J double", cases, x.regularity("J"))


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
        ((1, 90), 1.0),
        ((2, 90), 0.5),
        ((4, 20), 0.25),
        ((2, 19), None),  # fewer hosts than 20 say nothing
    ]
    check(session, "Peers int, Hosts int", cases, x.rarity("Peers", "Hosts", 20))


def test_focus(session: SparkSession) -> None:
    cases = [
        ((1,), 1.0),  # 1 - ln(1/4) / ln 4 = 2, at most one
        ((4,), 1.0),
        ((8,), 0.5),  # 1 - ln 2 / ln 4
        ((16,), 0.0),  # 1 - ln 4 / ln 4
        ((500,), 0.0),
        ((None,), None),
    ]
    check(session, "Places int", cases, x.focus("Places"))


def test_novelty(session: SparkSession) -> None:
    cases = [
        ((1_000.0, 1_000.0), 0.0),
        ((130_600.0, 1_000.0), 0.5),  # one and a half days of three
        ((900_000.0, 1_000.0), 1.0),
        ((500.0, 1_000.0), 0.0),  # never below nothing
        ((1_000.0, None), 0.0),
    ]
    check(session, "First double, Begin double", cases, x.novelty("First", "Begin", 3.0))
