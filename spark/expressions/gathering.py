"""From sessions to connections side by side: what is counted, and what is too much.

No key may be too much for a task. One pair with millions of events is thinned out before it is put
together; of millions of pairs those that can come to nothing end before they are moved. What is
made of a pair's connections is told in `spark.expressions.collecting`.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from spark import expressions as x
from spark.expressions import collecting as e
from spark.expressions.collecting import SERIES, SIZES, TEXTS
from spark.expressions.series import Rules
from spark.expressions.settling import TOGETHER, settle

PLACE = ("Dst", "DstPortNumber")
PAIR = ("SrcIpAddr", *PLACE)
NAMES_OF_A_FRONT = 20
"""Host names from which an address is a proxy or a cloud's front, and says little by itself."""
ADDRESSES_OF_A_HOST = 100
"""Addresses that one host has at most in a window, some on each day: what is at more of them
is a word that stands for all, or for none."""
CROWD = 250_000
"""Connections of a pair from which those that lie within the gap count as one, and are not looked
at one by one: in 21 days one every seven seconds."""
MANY, FEW = 50_000, 250_000
"""Pairs from which on those that can come to nothing are left out before events are moved, and how
many others there may be then: they are sent to every task."""


def gather(
    sessions: DataFrame, rules: Rules, crowd: int = CROWD, many: int = MANY
) -> tuple[DataFrame, DataFrame]:
    """Connections (`collecting.ROW`) side by side by pair, and the talkers of each destination.

    `crowd` and `many`: see CROWD and MANY.
    """
    connections = select_connections(sessions)
    # Counted now: it is small, is read several times, and says which plan the rest needs.
    calls, count = settle(count_calls(connections))
    fronts, shared = _any(find_fronts(calls)), _any(find_shared_names(calls))
    named, told_apart = (
        rows.transform(tell_names_apart, fronts).transform(drop_shared_names, shared)
        for rows in (calls, connections)
    )
    talkers, places = settle(count_talkers(named))
    hopeful = find_hopeful(named, talkers, rules) if count >= many else None
    wanted = told_apart.transform(keep_hopeful, hopeful)
    crowds = _any(find_crowds(named, crowd))
    if crowds is None:
        events = wanted.withColumn("Moment", _moment())
    else:
        events = wanted.transform(mark_crowds, crowds).transform(thin_out_crowds, rules.gap)
    return side_by_side(events), F.broadcast(talkers) if places <= TOGETHER else talkers


def _any(rows: DataFrame) -> DataFrame | None:
    """None when there are none: what joins nothing costs a plan as well."""
    settled, count = settle(rows)
    return settled if count else None


def select_connections(sessions: DataFrame) -> DataFrame:
    """Single connections that were made, to one machine; `Dst` is its address, or its name.

    SrcName is the hash of the source's name, null for none: numbers are counted, and the greatest
    of them found, where rows lie; the greatest text would sort every row.
    """
    broadcast = (F.col("NetworkProtocol") == "UDP") & F.col("DstIpAddr").endswith(".255")
    to_one = F.coalesce(x.is_unicast("DstIpAddr") & ~broadcast, F.lit(True))
    action = F.lower("DvcAction")
    refused = action.startswith("deny") | action.startswith("drop") | action.startswith("reset")
    failed = F.col("EventResult") == "Failure"
    made = ~F.coalesce(refused | failed, F.lit(False)) & (F.col("EventCount") == 1)
    # Requests inside of one session are events of their own; its interim records are not.
    is_session = F.col("NetworkSessionId").isNotNull() & F.col("Url").isNull()
    kind = F.col("EventSubType")
    code = F.when(kind == "Start", e.START).when(kind == "End", e.END).otherwise(e.OTHER)
    return (
        sessions.filter(to_one & made)
        .select(
            *("SrcIpAddr", "DstPortNumber", "SourceTable", "SrcPortNumber", *TEXTS, *SIZES),
            F.coalesce("DstIpAddr", "DstHostname").alias("Dst"),
            F.col("EventStartTime").cast("double").alias("Time"),
            F.when(is_session, F.xxhash64("NetworkSessionId")).alias("Session"),
            F.when(F.col("SrcHostname").isNotNull(), F.xxhash64("SrcHostname")).alias("SrcName"),
            code.cast("byte").alias("Kind"),
        )
        .dropna(subset=[*PAIR, "Time"])
    )


def count_calls(connections: DataFrame) -> DataFrame:
    """Of each source, destination, name and table: how many connections, the first of them, and
    one of the source's names by its hash."""
    return connections.groupBy(*SERIES, "DstIpAddr", "DstHostname").agg(
        F.count("Time").alias("Calls"),
        F.min("Time").alias("FirstCall"),
        F.max("SrcName").alias("SrcName"),
    )


def find_fronts(calls: DataFrame) -> DataFrame:
    """Addresses that go by many names: DstIpAddr, NamesHere."""
    there = calls.filter(F.col("DstIpAddr").isNotNull())
    names = there.groupBy("DstIpAddr").agg(F.count_distinct("DstHostname").alias("NamesHere"))
    return names.filter(F.col("NamesHere") >= NAMES_OF_A_FRONT)


def tell_names_apart(connections: DataFrame, fronts: DataFrame | None) -> DataFrame:
    """At an address of many names the name is the destination."""
    if fronts is None:
        return connections
    by_name = F.when(F.col("NamesHere").isNotNull(), F.col("DstHostname"))
    joined = connections.join(F.broadcast(fronts), on="DstIpAddr", how="left")
    return joined.withColumn("Dst", F.coalesce(by_name, "Dst")).drop("NamesHere")


def find_hopeful(calls: DataFrame, talkers: DataFrame, rules: Rules) -> DataFrame | None:
    """Hashes of the pairs that something may come of: Pair.

    Those have connections enough for a rhythm of their own, or several at a destination that few
    hosts call, which may be one of a pool. None where they are too many to be sent to every task.
    """
    total = F.sum("Calls").alias("Calls")
    pairs = calls.groupBy(_pair().alias("Pair"), *PLACE).agg(total).filter(F.col("Calls") > 1)
    repeated, count = settle(pairs)
    is_enough = F.col("Calls") >= rules.least_events
    is_pooled = F.lit(rules.several > 0) & (F.col("HostsAtDestination") <= rules.few_hosts)
    placed = talkers.join(F.broadcast(repeated) if count <= FEW else repeated, on=list(PLACE))
    hopeful, count = settle(placed.filter(is_enough | is_pooled).select("Pair"))
    return hopeful if count <= FEW else None


def _pair() -> Column:
    return F.xxhash64(*SERIES)


def keep_hopeful(connections: DataFrame, hopeful: DataFrame | None) -> DataFrame:
    """Without the pairs that nothing can come of: nothing moves them."""
    if hopeful is None:
        return connections
    known = connections.withColumn("Pair", _pair())
    return known.join(F.broadcast(hopeful), on="Pair", how="left_semi").drop("Pair")


def find_crowds(calls: DataFrame, least: int) -> DataFrame:
    """Pairs that have more connections than that: they cannot be looked at one by one."""

    def more(rows: DataFrame, *keys: str) -> DataFrame:
        total = rows.groupBy(*keys).agg(F.sum("Calls").alias("Calls"))
        return total.filter(F.col("Calls") > least).select(*keys)

    # A crowd's source has as many: few have, and of millions of pairs only theirs are moved.
    busy = F.broadcast(more(calls, "SrcIpAddr"))
    crowds = more(calls.join(busy, on="SrcIpAddr", how="left_semi"), *SERIES)
    return crowds.withColumn("IsCrowd", F.lit(True))


def count_talkers(calls: DataFrame) -> DataFrame:
    """How many hosts talk to a destination, and since when to it or to a name that it goes by."""
    source = F.coalesce("SrcName", F.xxhash64("SrcIpAddr"))
    hosts = calls.groupBy(*PLACE).agg(F.count_distinct(source).alias("HostsAtDestination"))
    # Places are few where calls are many: one name of them all is no task's burden.
    name = F.coalesce("DstHostname", "Dst").alias("Name")
    places = calls.groupBy(*PLACE, name).agg(F.min("FirstCall").alias("FirstCall"))
    begun = places.withColumn("FirstHere", F.min("FirstCall").over(W.partitionBy("Name")))
    since = begun.groupBy(*PLACE).agg(F.min("FirstHere").alias("FirstHere"))
    return hosts.join(since, on=list(PLACE))


def host() -> Column:
    """What a source is known by: its name, so that its addresses of many days are one host."""
    return F.coalesce("SrcHostname", "SrcIpAddr")


def find_shared_names(calls: DataFrame) -> DataFrame:
    """Hashes of names of sources that are no host's: SrcName, IsShared."""
    named = calls.filter(F.col("SrcName").isNotNull())
    names = named.groupBy("SrcName").agg(F.count_distinct("SrcIpAddr").alias("Addresses"))
    shared = names.filter(F.col("Addresses") > ADDRESSES_OF_A_HOST)
    return shared.select("SrcName", F.lit(True).alias("IsShared"))


def drop_shared_names(rows: DataFrame, shared: DataFrame | None) -> DataFrame:
    """Null in place of a source's name, and of its hash, that is no host's."""
    if shared is None:
        return rows
    joined = rows.join(F.broadcast(shared), on="SrcName", how="left")
    is_own = F.col("IsShared").isNull()
    names = {"SrcName", "SrcHostname"}.intersection(rows.columns)
    return joined.withColumns({name: F.when(is_own, F.col(name)) for name in names}).drop(
        "IsShared"
    )


def mark_crowds(connections: DataFrame, crowds: DataFrame) -> DataFrame:
    """`IsCrowd` is true for a crowd's connections, null for all others."""
    return connections.join(F.broadcast(crowds), on=list(SERIES), how="left")


def _moment() -> Column:
    """What tells a connection from others where no session does; repeated rows have one."""
    return F.when(F.col("Session").isNull(), F.col("Time"))


def thin_out_crowds(connections: DataFrame, gap: float) -> DataFrame:
    """Connections with their moments, and of a crowd's one per moment, whatever their session.

    Its moments are as long as the gap in which connections count as one, a second at least.
    """
    is_crowd = F.col("IsCrowd").isNotNull()
    moment = F.when(is_crowd, F.floor(F.col("Time") / max(gap, 1.0)).cast("double"))
    own = {name: F.when(~is_crowd, F.col(name)) for name in ("Session", "SrcPortNumber")}
    marked = connections.withColumns({"Moment": F.coalesce(moment, _moment()), **own})
    # Of numbers, where the rows lie: few of a crowd's are moved at all.
    return marked.groupBy(*SERIES, *e.MOMENT, *TEXTS).agg(
        F.min("Time").alias("Time"), *(F.max(name).alias(name) for name in ("Kind", *SIZES))
    )


def side_by_side(connections: DataFrame) -> DataFrame:
    """Connections as `collecting.collect` takes them."""
    numbered = connections.withColumn("Pair", _pair()).repartition("Pair")
    return numbered.sortWithinPartitions("Pair").select(*e.ROW)
