"""From sessions to a row per pair with all its events: what is counted, and what is too much.

No key may be too much for a task. One pair with millions of events is thinned out, slice by slice,
before it is put together; millions of pairs with one event each end before they are measured.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from spark import expressions as x
from spark.expressions import series as s

PAIR = ("SrcIpAddr", "Dst", "DstPortNumber")
SERIES = (*PAIR, "SourceTable")
MOMENT = ("Moment", "Session", "SrcPortNumber")
TEXTS = ("EventSubType", "DstIpAddr", "DstHostname", "SrcHostname", "NetworkProtocol")
SIZES = ("SrcBytes", "DstBytes")
CARRIED = (*TEXTS, *SIZES)
NAMES_OF_A_FRONT = 20
"""Host names from which an address is a proxy or a cloud's front, and says little by itself."""
ADDRESSES_OF_A_HOST = 100
"""Addresses that one host has at most in a window, some on each day: what is at more of them
is a word that stands for all, or for none."""
CROWD = 250_000
"""Connections of a pair from which those that lie within the gap count as one, and are not looked
at one by one: in 21 days one every seven seconds."""
SLICE = 6 * 3_600
"""Seconds of a crowd that one task thins out."""
MANY, FEW = 500_000, 250_000
"""Pairs from which on those of a single connection are sought before events are moved, and how many
others there may be then: they are sent to every task."""


def gather(
    sessions: DataFrame, gap: float, crowd: int = CROWD, many: int = MANY
) -> tuple[DataFrame, DataFrame]:
    """A row per pair and table with all its events, and the talkers of each destination.

    `gap`: seconds within which a crowd's connections count as one. `crowd` and `many`: see CROWD
    and MANY.
    """
    connections = select_connections(sessions)
    # Counted now: it is small, is read several times, and says which plan the rest needs.
    calls = count_calls(connections).localCheckpoint()
    fronts, shared = _known(find_fronts(calls)), _known(find_shared_names(calls))
    named, told_apart = (
        rows.transform(tell_names_apart, fronts).transform(drop_shared_names, shared)
        for rows in (calls, connections)
    )
    repeated = told_apart.transform(keep_repeated, find_repeated(named, many))
    crowds = _known(find_crowds(named, crowd))
    if crowds is None:
        events = repeated.transform(take_first_of_session)
    else:
        events = repeated.transform(mark_crowds, crowds).transform(thin_out_crowds, gap)
    return collect_events(events), count_talkers(named)


def _known(rows: DataFrame) -> DataFrame | None:
    """Few rows, computed now; None when there are none: what joins nothing costs a plan as well."""
    known = rows.localCheckpoint()
    return None if known.isEmpty() else known


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
    return (
        sessions.filter(to_one & made)
        .select(
            *("SrcIpAddr", "DstPortNumber", "SourceTable", "SrcPortNumber", *CARRIED),
            F.coalesce("DstIpAddr", "DstHostname").alias("Dst"),
            F.col("EventStartTime").cast("double").alias("Time"),
            F.when(is_session, F.col("NetworkSessionId")).alias("Session"),
            F.when(F.col("SrcHostname").isNotNull(), F.xxhash64("SrcHostname")).alias("SrcName"),
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


def find_repeated(calls: DataFrame, many: int) -> DataFrame | None:
    """Hashes of the pairs that have more than one connection: Pair.

    None where that would spare little: where pairs are few, or such pairs too many.
    """
    if calls.count() < many:
        return None
    totals = calls.groupBy(_pair().alias("Pair")).agg(F.sum("Calls").alias("Calls"))
    repeated = totals.filter(F.col("Calls") > 1).select("Pair").localCheckpoint()
    return repeated if repeated.count() <= FEW else None


def _pair() -> Column:
    return F.xxhash64(*SERIES)


def keep_repeated(connections: DataFrame, repeated: DataFrame | None) -> DataFrame:
    """Without the pairs of one connection: nothing can be told of it, and nothing moves it."""
    if repeated is None:
        return connections
    known = connections.withColumn("Pair", _pair())
    return known.join(F.broadcast(repeated), on="Pair", how="left_semi").drop("Pair")


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
    place = ("Dst", "DstPortNumber")
    source = F.coalesce("SrcName", F.xxhash64("SrcIpAddr"))
    hosts = calls.groupBy(*place).agg(F.count_distinct(source).alias("HostsAtDestination"))
    # Places are few where calls are many: one name of them all is no task's burden.
    name = F.coalesce("DstHostname", "Dst").alias("Name")
    places = calls.groupBy(*place, name).agg(F.min("FirstCall").alias("FirstCall"))
    begun = places.withColumn("FirstHere", F.min("FirstCall").over(W.partitionBy("Name")))
    since = begun.groupBy(*place).agg(F.min("FirstHere").alias("FirstHere"))
    return hosts.join(since, on=list(place))


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
    """`Slice` of the time for a crowd's connections, null for all others."""
    joined = connections.join(F.broadcast(crowds), on=list(SERIES), how="left")
    part = F.when(F.col("IsCrowd"), F.floor(F.col("Time") / SLICE))
    return joined.withColumn("Slice", part).drop("IsCrowd")


def take_first_of_session(connections: DataFrame) -> DataFrame:
    """One row per session, or per moment where there is no session id; repeated rows are gone."""
    moment = F.when(F.col("Session").isNull(), F.col("Time"))
    # By pair, and sorted by pair: so they can be put together where, and as, they are.
    apart = connections.withColumn("Moment", moment).repartition(*PAIR)
    return _one_of_each(apart, *SERIES, *MOMENT)


def thin_out_crowds(connections: DataFrame, gap: float) -> DataFrame:
    """The same, and of a crowd's connections one per moment, whatever their session.

    Its moments are as long as the gap in which connections count as one, a second at least.
    """
    is_crowd = F.col("Slice").isNotNull()
    exact = F.when(F.col("Session").isNull(), F.col("Time"))
    moment = F.when(is_crowd, F.floor(F.col("Time") / max(gap, 1.0)).cast("double"))
    own = {name: F.when(~is_crowd, F.col(name)) for name in ("Session", "SrcPortNumber")}
    marked = connections.withColumns({"Moment": F.coalesce(moment, exact), **own})
    # Of numbers first, where the rows lie: few of a crowd's are moved, and sorted, at all.
    keys = (*SERIES, "Slice", "Session", "Moment", "SrcPortNumber", *TEXTS)
    few = marked.groupBy(*keys).agg(
        F.min("Time").alias("Time"), *(F.max(name).alias(name) for name in SIZES)
    )
    # What tells most of them apart comes first: all of a crowd's have one pair.
    return _one_of_each(few.repartition(*PAIR, "Slice"), *MOMENT, "Slice", *SERIES)


def _one_of_each(connections: DataFrame, *keys: str) -> DataFrame:
    return connections.groupBy(*keys).agg(
        F.min("Time").alias("Time"), *(F.max(name).alias(name) for name in CARRIED)
    )


def collect_events(events: DataFrame) -> DataFrame:
    """One row per pair and table with all its events; of a single one nothing can be told.

    An end without its beginning counts only in pairs of which no beginning was logged.
    """
    is_start, is_end = (F.col("EventSubType").eqNullSafe(kind) for kind in ("Start", "End"))
    begun = F.count(F.when(~is_end, F.lit(1)))
    one = s.event("Time", "SrcBytes", "DstBytes", "DstHostname", "EventSubType")
    pairs = events.groupBy(*SERIES).agg(
        F.when(F.max(is_start), begun).otherwise(F.count("Time")).alias("Connections"),
        F.sum("SrcBytes").alias("BytesOut"),
        F.sum("DstBytes").alias("BytesIn"),
        F.max("DstIpAddr").alias("DstIpAddr"),
        F.max("DstHostname").alias("DstHostname"),
        F.max("SrcHostname").alias("SrcHostname"),
        F.max("NetworkProtocol").alias("NetworkProtocol"),
        F.collect_list(one).alias(s.EVENTS),
    )
    return pairs.filter(F.size(s.EVENTS) > 1)
