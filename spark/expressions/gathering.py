"""From sessions to connections side by side: what is counted, and what is too much.

No key may be too much for a task. One pair with millions of events is thinned out before it is put
together; of millions of pairs those that can come to nothing end before they are moved. What is
made of a pair's connections is told in `spark.expressions.collecting`.
"""

from __future__ import annotations

import secrets

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
TEXTS_OF_A_CALL = (*SERIES, "DstIpAddr", "DstHostname")
CALL = ("SrcKey", "DstPortNumber", "TableKey", "AddressKey", "NameKey")
"""What connections are counted by: hashes, since texts as keys cost twice as much."""
WHERE = ("DstKey", "DstPortNumber")
"""PLACE by its hash."""
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
SALT = secrets.randbits(63)
"""Of this process's hashes of texts: no name can be made to have the hash of a popular one."""
FEW_TIMES = 1_000
"""Times that a plan names one by one."""


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
    wanted = told_apart.transform(number_pairs).transform(keep_hopeful, hopeful)
    crowds = _any(find_crowds(named, crowd))
    if crowds is None:
        events = wanted.withColumn("Moment", _moment())
    else:
        told = tell_crowds(wanted, crowds)
        events = wanted.transform(thin_out_crowds, told, rules.gap)
    return side_by_side(events), F.broadcast(talkers) if places <= TOGETHER else talkers


def _any(rows: DataFrame) -> DataFrame | None:
    """None when there are none: what joins nothing costs a plan as well."""
    settled, count = settle(rows)
    return settled if count else None


def select_connections(sessions: DataFrame) -> DataFrame:
    """Single connections that were made, to one machine; `Dst` is its address, or its name.

    Beside texts stand their hashes: numbers are counted, and the greatest of them found, where
    rows lie; the greatest text would sort every row. DstKey is that of Dst.
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
            "EventStartTime",
            F.coalesce("DstIpAddr", "DstHostname").alias("Dst"),
            F.col("EventStartTime").cast("double").alias("Time"),
            F.when(is_session, F.xxhash64("NetworkSessionId")).alias("Session"),
            code.cast("byte").alias("Kind"),
            _hash("SrcIpAddr").alias("SrcKey"),
            _hash("SourceTable").alias("TableKey"),
            _key("SrcHostname").alias("SrcName"),
            _key("DstIpAddr").alias("AddressKey"),
            _key("DstHostname").alias("NameKey"),
        )
        .dropna(subset=[*PAIR, "Time"])
        .withColumn("DstKey", F.coalesce("AddressKey", "NameKey"))
    )


def _key(text: str) -> Column:
    return F.when(F.col(text).isNotNull(), _hash(text))


def _hash(text: str) -> Column:
    return F.xxhash64(F.lit(SALT), text)


def count_calls(connections: DataFrame) -> DataFrame:
    """Of each source, destination, name and table: how many connections, the first of them, and
    one of the source's names by its hash."""
    calls = connections.groupBy(*CALL).agg(
        F.count("Time").alias("Calls"),
        F.min("Time").alias("FirstCall"),
        F.max("SrcName").alias("SrcName"),
    )
    return calls.withColumn("DstKey", F.coalesce("AddressKey", "NameKey"))


def find_fronts(calls: DataFrame) -> DataFrame:
    """Addresses that go by many names: AddressKey, NamesHere."""
    there = calls.filter(F.col("AddressKey").isNotNull())
    names = there.groupBy("AddressKey").agg(F.count_distinct("NameKey").alias("NamesHere"))
    return names.filter(F.col("NamesHere") >= NAMES_OF_A_FRONT)


def tell_names_apart(connections: DataFrame, fronts: DataFrame | None) -> DataFrame:
    """At an address of many names the name is the destination."""
    if fronts is None:
        return connections
    joined = connections.join(F.broadcast(fronts), on="AddressKey", how="left")
    is_front = F.col("NamesHere").isNotNull()
    told = {
        name: F.coalesce(F.when(is_front, F.col(by_name)), name)
        for name, by_name in (("DstKey", "NameKey"), ("Dst", "DstHostname"))
        if name in connections.columns
    }
    return joined.withColumns(told).drop("NamesHere")


def find_hopeful(calls: DataFrame, talkers: DataFrame, rules: Rules) -> DataFrame | None:
    """Hashes of the pairs that something may come of: Pair.

    Those have connections enough for a rhythm of their own, or several at a destination that few
    hosts call, which may be one of a pool. None where they are too many to be sent to every task.
    """
    total = F.sum("Calls").alias("Calls")
    pairs = number_pairs(calls).groupBy("Pair", *WHERE).agg(total).filter(F.col("Calls") > 1)
    repeated, count = settle(pairs)
    is_enough = F.col("Calls") >= rules.least_events
    is_pooled = F.lit(rules.several > 0) & (F.col("HostsAtDestination") <= rules.few_hosts)
    placed = talkers.join(F.broadcast(repeated) if count <= FEW else repeated, on=list(WHERE))
    hopeful, count = settle(placed.filter(is_enough | is_pooled).select("Pair"))
    return hopeful if count <= FEW else None


def number_pairs(rows: DataFrame) -> DataFrame:
    """Connections, or calls, with the number of their pair: Pair."""
    return rows.withColumn("Pair", F.xxhash64("SrcKey", "DstKey", "DstPortNumber", "TableKey"))


def keep_hopeful(connections: DataFrame, hopeful: DataFrame | None) -> DataFrame:
    """Without the pairs that nothing can come of: nothing moves them."""
    if hopeful is None:
        return connections
    return connections.join(F.broadcast(hopeful), on="Pair", how="left_semi")


def number_calls(rows: DataFrame) -> DataFrame:
    """Connections, or calls, with the number of their call: Call. It tells a name from an address
    of the same text, since a hash skips what is null."""
    known = (F.coalesce(name, F.lit(0)) for name in ("AddressKey", "NameKey"))
    return rows.withColumn("Call", F.xxhash64("SrcKey", "DstPortNumber", "TableKey", *known))


def find_crowds(calls: DataFrame, least: int) -> DataFrame:
    """Calls of pairs that have more connections than that, which cannot be looked at one by one:
    Call, which is a number, and FirstCall."""

    def more(rows: DataFrame, *keys: str) -> DataFrame:
        total = rows.groupBy(*keys).agg(F.sum("Calls").alias("Calls"))
        return total.filter(F.col("Calls") > least).select(*keys)

    # A crowd's source has as many: few have, and of millions of pairs only theirs are moved.
    busy = F.broadcast(more(calls, "SrcKey"))
    theirs = number_pairs(calls.join(busy, on="SrcKey", how="left_semi"))
    crowds = theirs.join(F.broadcast(more(theirs, "Pair")), on="Pair", how="left_semi")
    return number_calls(crowds).select("Call", "FirstCall")


def count_talkers(calls: DataFrame) -> DataFrame:
    """How many hosts talk to a destination, and since when to it or to a name that it goes by."""
    source = F.coalesce("SrcName", "SrcKey")
    hosts = calls.groupBy(*WHERE).agg(F.count_distinct(source).alias("HostsAtDestination"))
    # Places are few where calls are many: one name of them all is no task's burden.
    name = F.coalesce("NameKey", "DstKey").alias("Name")
    places = calls.groupBy(*WHERE, name).agg(F.min("FirstCall").alias("FirstCall"))
    begun = places.withColumn("FirstHere", F.min("FirstCall").over(W.partitionBy("Name")))
    since = begun.groupBy(*WHERE).agg(F.min("FirstHere").alias("FirstHere"))
    return hosts.join(since, on=list(WHERE))


def add_talkers(pairs: DataFrame, talkers: DataFrame) -> DataFrame:
    """Pairs with what is known of their destinations: HostsAtDestination, FirstHere."""
    keyed = pairs.withColumn("DstKey", _hash("Dst"))
    return keyed.join(talkers, on=list(WHERE), how="left").drop("DstKey")


def host() -> Column:
    """What a source is known by: its name, so that its addresses of many days are one host."""
    return F.coalesce("SrcHostname", "SrcIpAddr")


def find_shared_names(calls: DataFrame) -> DataFrame:
    """Hashes of names of sources that are no host's: SrcName, IsShared."""
    named = calls.filter(F.col("SrcName").isNotNull())
    names = named.groupBy("SrcName").agg(F.count_distinct("SrcKey").alias("Addresses"))
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


def _moment() -> Column:
    """What tells a connection from others where no session does; repeated rows have one."""
    return F.when(F.col("Session").isNull(), F.col("Time"))


def tell_crowds(connections: DataFrame, crowds: DataFrame) -> DataFrame:
    """Texts of crowds' calls, as the first connection of each has them: Call and CrowdTexts."""
    times = {round(row["FirstCall"] * 1e6) for row in crowds.select("FirstCall").collect()}
    there = connections
    if len(times) <= FEW_TIMES:
        # Files are asked for little else then.
        moments = [F.timestamp_micros(F.lit(one)) for one in sorted(times)]
        there = connections.filter(F.col("EventStartTime").isin(moments))
    first = F.broadcast(crowds.withColumnRenamed("FirstCall", "Time"))
    texts = F.struct(*TEXTS_OF_A_CALL).alias("CrowdTexts")
    told = number_calls(there).join(first, on=["Call", "Time"]).select("Call", texts)
    settled, _ = settle(told.dropDuplicates(["Call"]))
    return settled


def thin_out_crowds(connections: DataFrame, crowds: DataFrame, gap: float) -> DataFrame:
    """Connections with their moments, and of a crowd's one per moment, whatever their session.

    Its moments are as long as the gap in which connections count as one, a second at least. While
    they are thinned out they go by the number of their call, and no text is a key.
    """
    number = F.broadcast(crowds.select("Call", F.col("Call").alias("CrowdCall")))
    marked = number_calls(connections).join(number, on="Call", how="left")
    is_crowd = F.col("CrowdCall").isNotNull()
    moment = F.when(is_crowd, F.floor(F.col("Time") / max(gap, 1.0)).cast("double"))
    own = {
        name: F.when(~is_crowd, F.col(name))
        for name in (*TEXTS_OF_A_CALL, "Session", "SrcPortNumber")
    }
    keyed = marked.withColumns({"Moment": F.coalesce(moment, _moment()), **own})
    keys = ("CrowdCall", "Pair", *TEXTS_OF_A_CALL, *e.MOMENT, "SrcHostname", "NetworkProtocol")
    # Of numbers, where the rows lie: few of a crowd's are moved at all.
    thin = keyed.groupBy(*keys).agg(
        F.min("Time").alias("Time"), *(F.max(name).alias(name) for name in ("Kind", *SIZES))
    )
    told = F.broadcast(crowds.withColumnRenamed("Call", "CrowdCall"))
    named = thin.join(told, on="CrowdCall", how="left")
    texts = {name: F.coalesce(name, f"CrowdTexts.{name}") for name in TEXTS_OF_A_CALL}
    return named.withColumns(texts)


def side_by_side(connections: DataFrame) -> DataFrame:
    """Connections as `collecting.collect` takes them."""
    return connections.repartition("Pair").sortWithinPartitions("Pair").select(*e.ROW)
