"""What the views have in common: their shape, and values that several tables write alike."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark.expressions import words

CONNECTION = (
    T.StructField("TimeGenerated", T.TimestampType()),
    T.StructField("EventStartTime", T.TimestampType()),
    T.StructField("EventVendor", T.StringType()),
    T.StructField("EventProduct", T.StringType()),
    T.StructField("EventSubType", T.StringType()),
    T.StructField("EventResult", T.StringType()),
    T.StructField("EventCount", T.LongType()),
    T.StructField("Dvc", T.StringType()),
    T.StructField("DvcAction", T.StringType()),
    T.StructField("SrcIpAddr", T.StringType()),
    T.StructField("SrcPortNumber", T.IntegerType()),
    T.StructField("SrcHostname", T.StringType()),
    T.StructField("SrcUsername", T.StringType()),
    T.StructField("SrcProcessName", T.StringType()),
    T.StructField("DstIpAddr", T.StringType()),
    T.StructField("DstPortNumber", T.IntegerType()),
)
"""Who asked whom, and who says so: the columns that every view begins with."""


@dataclass(frozen=True)
class Source:
    """What a view makes of a table's rows: of which ones, and the values that it gives."""

    only: Column | None
    """Which rows; None: all."""
    values: Mapping[str, Column]

    @classmethod
    def of(cls, only: Column | None = None, **values: Column) -> Source:
        """Values by the names of the view's columns."""
        return cls(only, values)

    def columns(self, schema: T.StructType, table: str) -> list[Column]:
        """A view's columns; what is not given is null."""
        given = {
            "TimeGenerated": F.col("TimeGenerated"),
            "EventStartTime": F.col("TimeGenerated"),
            "EventCount": F.lit(1),
            "SourceTable": F.lit(table),
            **self.values,
        }
        given["EventCount"] = F.coalesce(given["EventCount"], F.lit(1))
        return [
            given.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name)
            for field in schema
        ]


LONGEST_SESSION, AHEAD = 31 * 86_400, 60
"""Seconds: how far before TimeGenerated a session may have begun, and how far a clock may be off.
What lies outside of them is another clock or a zero date (1601, 1899, 9999), and no time of it."""


def start(column: str) -> Column:
    """When an event began: what the log says, if that can be; else TimeGenerated."""
    seconds = F.col("TimeGenerated").cast("double") - F.col(column).cast("double")
    can_be = seconds.between(-AHEAD, LONGEST_SESSION)
    return F.when(can_be, F.col(column)).otherwise(F.col("TimeGenerated"))


def protocol(column: str) -> Column:
    """TCP, UDP or ICMP, also where the log has the number."""
    text = F.upper(words(column))
    return (
        F.when(text == "6", "TCP")
        .when(text == "17", "UDP")
        .when(text == "1", "ICMP")
        .otherwise(text)
    )
