"""Cases of one expression in one table: what goes in beside what has to come out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

Case = tuple[Any, Any]
"""What goes in, what comes out."""
ALMOST = 1e-9


def outcomes(session: SparkSession, schema: str, cases: Sequence[Case], made: Column) -> list[Any]:
    """The expression over the cases' inputs, in their order; an input is a tuple of columns."""
    inputs = [(n, *given) for n, (given, _) in enumerate(cases)]
    rows = session.createDataFrame(inputs, f"N int, {schema}").select("N", made.alias("Made"))
    return [row.Made for row in sorted(rows.collect())]


def check(session: SparkSession, schema: str, cases: Sequence[Case], made: Column) -> None:
    """Every case comes out as expected; numbers up to rounding."""
    for (given, expected), actual in zip(
        cases, outcomes(session, schema, cases, made), strict=True
    ):
        wanted = pytest.approx(expected, abs=ALMOST) if _is_number(expected) else expected
        assert actual == wanted, given


def _is_number(value: Any) -> bool:
    return isinstance(value, float)
