"""Views that lie beside the lines of a merged day, in columns of their own.

They are what `spark.views` makes of the same lines, and count only for the code that made them: a
signature of that code goes with them, from the job's report into the day's document and from there
into plans. Made by other code, they are made anew from the lines.
"""

from __future__ import annotations

import hashlib
import inspect

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shared import contract as c
from spark import dns_view, expressions, view_values, views

NOT_SAVED = ("TimeGenerated", "SourceTable")
"""Columns of a view that are a column of the line, or the same for the whole table."""
SIGNATURE = hashlib.sha256(
    "".join(map(inspect.getsource, (views, view_values, dns_view, expressions))).encode()
).hexdigest()[:8]
"""Of the code that makes views."""


def columns(table: str) -> T.StructType:
    """What is saved beside a table's lines: for each of its views whether the line is one of its
    rows, and the row's values."""
    return T.StructType(
        [
            field
            for view in _views_of(table)
            for field in (
                T.StructField(_member(view), T.BooleanType()),
                *(T.StructField(_saved(view, one.name), one.dataType) for one in _fields(view)),
            )
        ]
    )


def save(lines: DataFrame, table: str) -> DataFrame:
    """Lines of a table's copy with its views beside them."""
    made = {}
    for view in _views_of(table):
        source = views.source_of(view, table)
        is_row = F.col("_Kind") == "row"
        made[_member(view)] = is_row if source.only is None else is_row & source.only
        values = source.columns(T.StructType(_fields(view)), table)
        names = (_saved(view, one.name) for one in _fields(view))
        made.update(zip(names, values, strict=True))
    return lines.withColumns(made)


def load(lines: DataFrame, view: str, table: str) -> DataFrame:
    """The view's rows from lines with views beside them."""
    given = {"TimeGenerated": F.col("TimeGenerated"), "SourceTable": F.lit(table)}
    return lines.filter(_member(view)).select(
        *(
            given.get(one.name, F.col(_saved(view, one.name))).alias(one.name)
            for one in views.SCHEMAS[view]
        )
    )


def _views_of(table: str) -> list[str]:
    return [view for view, tables in c.VIEWS.items() if table in tables]


def _fields(view: str) -> list[T.StructField]:
    return [one for one in views.SCHEMAS[view] if one.name not in NOT_SAVED]


def _member(view: str) -> str:
    return f"_{view}"


def _saved(view: str, column: str) -> str:
    return f"_{view}_{column}"
