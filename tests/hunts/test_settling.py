"""What is computed at once: few rows lie together, and what is made of a view is made once."""

from __future__ import annotations

import gc
import importlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
settling = importlib.import_module("spark.expressions.settling")


@pytest.mark.parametrize(("together", "parts"), [(5, 1), (4, 3)])
def test_few_rows_are_settled_in_one_place(
    session: SparkSession, together: int, parts: int
) -> None:
    rows, count = settling.settle(session.range(5, numPartitions=3), together)
    assert (count, rows.rdd.getNumPartitions()) == (5, parts)
    assert sorted(row.id for row in rows.collect()) == [0, 1, 2, 3, 4]


def test_what_is_made_of_rows_is_made_once(session: SparkSession) -> None:
    asked = []

    def doubled(rows: DataFrame) -> DataFrame:
        asked.append(rows.count())
        return rows.selectExpr("id * 2 as id")

    def none(rows: DataFrame) -> DataFrame:
        return rows.limit(0)

    one, other = session.range(3), session.range(2)
    assert [row.id for row in settling.once(one, doubled).collect()] == [0, 2, 4]
    assert settling.once(one, none).count() == 0
    assert [row.id for row in settling.once(other, doubled).collect()] == [0, 2]
    assert settling.once(one, doubled) is settling.once(one, doubled)
    assert asked == [3, 2]


def test_what_was_made_of_rows_goes_with_them(session: SparkSession) -> None:
    before = len(settling._MADE)
    rows = session.range(3)
    settling.once(rows, lambda given: given)
    assert len(settling._MADE) == before + 1
    del rows
    gc.collect()
    assert len(settling._MADE) == before
