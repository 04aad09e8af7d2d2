"""Small things that a hunt computes at once, since what comes after is planned better for it."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakKeyDictionary

from pyspark.sql import DataFrame

TOGETHER = 200_000
"""Rows of numbers and short texts that one task goes through in no time."""

_MADE: WeakKeyDictionary[DataFrame, dict[str, DataFrame]] = WeakKeyDictionary()


def settle(rows: DataFrame, together: int = TOGETHER) -> tuple[DataFrame, int]:
    """The rows, computed now, and how many there are.

    So few as `together` lie in one part then: nothing has to be moved for what is done with them
    next, and that takes seconds less to plan.
    """
    settled = rows.localCheckpoint()
    count = settled.count()
    return (settled.coalesce(1) if count <= together else settled), count


def once(rows: DataFrame, make: Callable[[DataFrame], DataFrame]) -> DataFrame:
    """What a function makes of these rows, settled: the same for all who ask while there are rows.

    Rows are the same when they are one object, as a job's views are.
    """
    made = _MADE.setdefault(rows, {})
    name = f"{make.__module__}.{make.__qualname__}"
    if name not in made:
        made[name], _ = settle(make(rows))
    return made[name]
