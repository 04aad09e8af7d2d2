"""One declared schema per exported table.

A table is what Microsoft's reference says it is: every column that the export can carry, with
its type, so that a column which nobody knows is seen. The columnar copy keeps those that
hunts use; the rest stays in the export blobs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import types as T

TYPES: Mapping[str, T.DataType] = {
    "string": T.StringType(),
    "int": T.IntegerType(),
    "long": T.LongType(),
    "real": T.DoubleType(),
    "bool": T.BooleanType(),
    "datetime": T.TimestampType(),
    # Nested JSON in one export and the same as text in another: text in the copy.
    "dynamic": T.StringType(),
}
"""Log Analytics' words for types -> Spark's."""

STANDARD = {
    "TenantId": "string",
    "TimeGenerated": "datetime",
    "SourceSystem": "string",
    "Type": "string",
    "_BilledSize": "real",
    "_Internal_WorkspaceResourceId": "string",
    "_IsBillable": "string",
    "_ItemId": "string",
    "_ResourceId": "string",
    "_SubscriptionId": "string",
    "_TimeReceived": "datetime",
    "MG": "string",
    "ManagementGroupName": "string",
}
"""Columns that any table's rows may carry."""


@dataclass(frozen=True)
class Table:
    """An exported table: `columns` is all that is known, `kept` goes into the columnar copy.

    A merged day is sorted by `sorted_by`, then by TimeGenerated: what hunts group and look up by
    lies together, which is small, and readers skip what cannot match.
    """

    name: str
    columns: Mapping[str, str]
    kept: tuple[str, ...]
    sorted_by: tuple[str, ...] = ()

    @property
    def known(self) -> tuple[str, ...]:
        """Every column that a row may carry without being remarked."""
        return tuple(sorted({**STANDARD, **self.columns}))

    @property
    def schema(self) -> T.StructType:
        """The kept columns in the copy's order, all nullable."""
        types = {**STANDARD, **self.columns}
        return T.StructType([T.StructField(name, TYPES[types[name]]) for name in self.kept])


def columns(**by_type: str) -> dict[str, str]:
    """Column -> type, from one string of names per type."""
    return {name: kind for kind, names in by_type.items() for name in names.split()}
