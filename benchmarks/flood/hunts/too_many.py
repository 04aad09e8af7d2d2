"""Findings from nothing: one host makes half of them, a thousand hosts the others."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

HOSTS = 1000


def detect(
    tables: Mapping[str, DataFrame],
    refs: Mapping[str, DataFrame],  # noqa: ARG001  a hunt's signature
    params: Mapping[str, Any],
) -> DataFrame:
    """As many findings as `params` says; scores of 0.7 to 1, the loud host's above the others'."""
    session = tables["commonsecuritylog"].sparkSession
    ids = session.range(0, int(params["findings"]), 1, 16)
    loud = F.col("id") % 2 == 0
    spread = F.pmod(F.xxhash64("id"), F.lit(1000)) / 10_000
    return ids.select(
        F.when(loud, F.lit("10.200.0.1"))
        .otherwise(_address("10.", F.col("id") % HOSTS))
        .alias("SrcIpAddr"),
        _address("192.", F.col("id")).alias("DstIpAddr"),
        F.when(loud, 0.9 + spread).otherwise(0.7 + spread).alias("Score"),
        F.struct(F.lit(0.97).alias("Regularity"), spread.alias("Rarity")).alias("SubScores"),
        F.lit("Too many").alias("Title"),
        F.struct(F.col("id").alias("Number"), F.lit(288).alias("Count")).alias("Evidence"),
        F.lit("2026-03-09T01:00:00Z").cast("timestamp").alias("FirstSeen"),
        F.lit("2026-03-09T23:00:00Z").cast("timestamp").alias("LastSeen"),
    )


def _address(network: str, number: Column) -> Column:
    parts = [F.floor(number / 256**n) % 256 for n in (2, 1, 0)]
    return F.concat(F.lit(network), F.concat_ws(".", *(part.cast("string") for part in parts)))
