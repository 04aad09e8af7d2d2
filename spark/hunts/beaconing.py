"""Beaconing: one host calls one destination by the clock.

Behaviour
    An implant asks its controller for orders again and again: connections of one source to one
    destination and port, each some time after the one before: a period, give or take a jitter
    (T1071, T1573, T1571). A timer's intervals lie between a shortest and a longest one; those
    of people and of chance do not. Judged is how much better a timer explains them than life
    does, for all connections of a pair; for those of its most frequent size (an implant inside
    of browsing to the same address); and for those to several destinations of one source that
    have one port and one size (controllers in turn, or any of eight). Views are compared as
    evidence, less what more tries make likely. How many other hosts share the rhythm lowers
    the score, and so does a rhythm of somebody's working days (once a day, at about the same
    time, never at weekends); constant sizes, activity on all days and a destination that is new
    raise it. A host is known by its name where the log has one, a destination by name and
    address: a host on leased addresses is one host, a service behind a proxy no new place.
Data
    NetworkSession, 21 days by default; three days are enough for intervals of minutes. Start
    times, source ports, bytes and session ids are used where the log has them; several
    destinations are seen only where it has bytes. Each table is judged by itself, so that a
    firewall and a sensor do not disturb each other's rhythm. An address that goes by twenty
    names or more, as a proxy or a cloud's front, is told apart by name. From outside to inside
    counts as well as from inside to outside.
Blind spots
    Intervals below three seconds: connections up to two seconds apart count as one. Calls at
    random. Jitter above about 90 %; above about 60 % where a call comes less often than every
    three hours, or where more than one row in a hundred is lost. Fewer than five intervals; few
    calls with much jitter. Intervals of a few seconds in a log that has no start times, and whose
    rows come late by as much. What is started once on each working day of a person. A rhythm
    that its host also has towards sixteen places or more. Hosts without a name whose address
    changes: each of their addresses shares the rhythm.
    One long session, UDP that a firewall keeps as one. Denied and failed connections: an
    implant whose controller is down. A proxy whose log has no host name. Rows that tell no port
    of the destination, neither by itself nor in a URL. Records that sum up several connections
    (EventCount above 1). One source address for many hosts (NAT). More than sixteen
    destinations, or such that more than three hosts call. Requests of many sizes inside of
    browsing to the same address. A rhythm that three hosts or more share, unless it is new. Of
    more than a quarter of a million connections of one pair, those within the gap count as one,
    and its sums are of those that count; repeated rows are counted here.
False positives
    A heartbeat of software that only one host or two run: licence servers, appliances,
    monitoring. It cannot be told from an implant by statistics: put it on the allow-list, or
    close it. Software that has just been installed on a few hosts. A page that somebody opens
    once a day at a fixed time, weekends included.
Triage
    Which process connects, since when; do name and certificate fit what the host does; do other
    hosts with the same software show the rhythm. Then isolate, and keep the memory.
References
    Active Countermeasures' RITA (scores by interval and size); MITRE ATT&CK T1071, T1573.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame, WindowSpec
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from spark import expressions as x
from spark.expressions import canaries as k
from spark.expressions import gathering as g
from spark.expressions import pooling
from spark.expressions import rhythm as r
from spark.expressions import series as s
from spark.expressions.settling import once, settle
from spark.views import Params, References, Tables

PAIR = g.PAIR
SOURCE = ("SrcIpAddr", "DstPortNumber", "SourceTable")
SUB_SCORES = ("Timing", "Regularity", "Steadiness", "Constancy", "Persistence", "Prevalence",
              "Rarity", "Focus", "Novelty", "Habit")  # fmt: skip
ALONE = ("HostsAtDestination", "HostsWithSameRhythm", "DestinationsWithSameRhythm")
FEWEST_HOSTS = 20  # with fewer hosts in the data nothing can be said about what is rare
SHARED, EXACT = 0.2, 0.1
"""Widths, as logarithms, within which hosts, and destinations, have an interval in common."""
NEW_AFTER = 3.0
"""Days of data without a destination after which it counts as new."""

TOGETHER = 10_000
"""Pairs with a rhythm that one task compares, each with its picture's times."""

_ALL_ROWS = (W.unboundedPreceding, W.unboundedFollowing)


def detect(tables: Tables, refs: References, params: Params) -> DataFrame:
    """One row per pair of source and destination that calls by the clock."""
    sessions = tables["NetworkSession"]
    rules = _rules(params)
    connections, talkers = g.gather(sessions, rules)
    series = (
        connections.transform(s.measure, rules)
        .transform(g.add_talkers, talkers)
        .transform(drop_allowed, refs["allow_list"], may_be_pooled(rules))
        .transform(put_together, rules)
    )
    # Few have a rhythm: where they lie together, what is left to do is one task's.
    rhythms, _ = settle(series, TOGETHER)
    return (
        rhythms.transform(keep_best_series)
        .transform(count_peers)
        .join(F.broadcast(count_hosts(once(sessions, see_hosts))), on="SrcIsPrivate", how="left")
        .transform(score, params)
        .transform(drop_allowed, refs["allow_list"])
        .transform(describe)
    )


def canaries(tables: Tables, params: Params) -> DataFrame:
    """Made-up implants of some hosts, scored as pairs are: a row per host and case.

    They are alone in what they do, at places that are as old as they are.
    """
    seen = once(tables["NetworkSession"], see_hosts)
    return (
        k.plant(sample_hosts(seen, params["canary_hosts"]), _rules(params))
        .withColumns({name: F.lit(1) for name in ALONE})
        .withColumn("FirstHere", F.col("First"))
        .join(F.broadcast(count_hosts(seen)), on="SrcIsPrivate", how="left")
        .transform(score, params)
        .select(*k.CASE.fieldNames(), "Score")
    )


def see_hosts(sessions: DataFrame) -> DataFrame:
    """A row for each source, day and hour: since when in it, and what the log is like there."""
    time = F.col("EventStartTime").cast("double")
    hour = F.floor(time / r.HOUR).alias("Hour")
    day = F.floor(F.col("TimeGenerated").cast("double") / r.DAY).alias("Day")
    return sessions.groupBy("SrcIpAddr", day, hour).agg(
        F.min("TimeGenerated").alias("TimeGenerated"),
        F.bool_and(time == F.floor(time)).alias("WholeSeconds"),
        (F.count("SrcBytes") > 0).alias("HasBytes"),
    )


def sample_hosts(seen: DataFrame, count: int) -> DataFrame:
    """So many hosts inside, always the same ones, and what the log is like for them."""
    log = (F.collect_set("Hour"), F.bool_and("WholeSeconds"), F.bool_or("HasBytes"))
    inside = seen.withColumn("SrcIsPrivate", x.is_private("SrcIpAddr")).filter("SrcIsPrivate")
    hosts = inside.dropna(subset=["Hour"]).groupBy("SrcIpAddr", "SrcIsPrivate")
    told = hosts.agg(*(one.alias(name) for one, name in zip(log, k.LOG, strict=True)))
    return told.orderBy(F.xxhash64("SrcIpAddr"), "SrcIpAddr").limit(count)


def _rules(params: Params) -> s.Rules:
    return s.Rules(
        gap=params["gap_seconds"],
        least_intervals=params["least_intervals"],
        tolerance=params["size_tolerance"],
        one_size=params["one_size_weight"],
        several=params["several_weight"],
        most_destinations=params["most_destinations"],
        few_hosts=params["few_hosts"],
    )


def may_be_pooled(rules: s.Rules) -> Column:
    """Pairs without a rhythm that few hosts call. Those with one are peers, allowed or not."""
    return F.col("Nats").isNull() & (F.col("HostsAtDestination") <= rules.few_hosts)


def put_together(pairs: DataFrame, rules: s.Rules) -> DataFrame:
    """Pairs with a rhythm, and pools of a source's destinations that have one together."""
    # Here, and not where they are put together: most pairs have no rhythm, and many hosts.
    wanted = pairs.filter(F.col("Nats").isNotNull() | may_be_pooled(rules))
    side_by_side = wanted.repartition("SrcIpAddr", "DstPortNumber").sortWithinPartitions(
        *SOURCE, "Dst"
    )
    return pooling.add_pools(side_by_side, rules, SOURCE)


def keep_best_series(series: DataFrame) -> DataFrame:
    """One row per pair: the table, or the pool, with the most evidence."""
    rank = F.struct("Nats", "Events", "Series", "SourceTable")
    row = F.struct(*(name for name in series.columns if name not in PAIR))
    best = series.groupBy(*PAIR).agg(F.max_by(row, rank).alias("Best")).select(*PAIR, "Best.*")
    return best.withColumns(
        {
            "DstHostname": F.coalesce("Name", "DstHostname"),
            "SrcIsPrivate": x.is_private("SrcIpAddr"),
        }
    )


def count_peers(pairs: DataFrame) -> DataFrame:
    """Hosts, and destinations, that share the rhythm.

    A rhythm is shared when the interval is, at one name, or at one address and port. A name is one
    place on all of its ports: some hosts come by a proxy. Two overlapping grids of intervals stand
    in for a comparison of each with each. What hosts do elsewhere does not count: an implant on
    forty hosts may call forty places.
    """
    address = F.concat_ws(":", "Dst", "DstPortNumber")
    place = F.coalesce(F.max("DstHostname").over(_group("Dst", "DstPortNumber")), address)
    placed = pairs.withColumns({"Place": place, "Peer": g.host()})
    return placed.withColumns(
        {
            "HostsWithSameRhythm": _sharing("Peer", SHARED, "Place"),
            "DestinationsWithSameRhythm": _sharing("Place", EXACT, "SrcIpAddr", "DstPortNumber"),
        }
    )


def _sharing(column: str, width: float, *among: str) -> Column:
    """How many values a column has among the pairs that share these columns and a cell."""
    cells = (F.floor(F.log("IntervalSeconds") / width + shift) for shift in (0.0, 0.5))
    groups = (W.partitionBy(*among, cell).rowsBetween(*_ALL_ROWS) for cell in cells)
    return F.greatest(*(F.size(F.collect_set(column).over(group)) for group in groups))


def _group(*columns: str) -> WindowSpec:
    return W.partitionBy(*columns).rowsBetween(*_ALL_ROWS)


def count_hosts(seen: DataFrame) -> DataFrame:
    """How many hosts and days the data has, and since when, for sources inside and outside.

    A host is an address here: a word that stands for all of them would leave too few to compare.
    """
    day = F.to_date("TimeGenerated").alias("Day")
    # Addresses and days are few: only they are asked about, and counted apart.
    days = seen.groupBy("SrcIpAddr", day).agg(F.min("TimeGenerated").alias("Begin"))
    inside = x.is_private("SrcIpAddr").alias("SrcIsPrivate")
    return days.groupBy(inside).agg(
        F.count_distinct("SrcIpAddr").alias("HostsInData"),
        F.count_distinct("Day").alias("DaysInData"),
        F.min("Begin").cast("double").alias("DataBegin"),
    )


def score(pairs: DataFrame, params: Params) -> DataFrame:
    """Constancy and persistence raise a timing score; what is common here lowers it."""
    scores = {
        # Where many hosts call, one of them looks regular by chance: each call is one more try.
        "Timing": x.evidence("Nats", F.col("HostsAtDestination"), params["evidence_nats"]),
        "Regularity": x.regularity("Jitter"),
        "Steadiness": F.col("Inside"),
        "Constancy": x.constancy("OffBytes", "MedianBytes"),
        "Persistence": x.persistence("Days", "DaysInData"),
        "Prevalence": x.prevalence("HostsAtDestination", "HostsInData", FEWEST_HOSTS),
        "Rarity": x.rarity("HostsWithSameRhythm", "HostsInData", FEWEST_HOSTS),
        "Focus": x.focus("DestinationsWithSameRhythm"),
        "Novelty": x.novelty("FirstHere", "DataBegin", NEW_AFTER),
        "Habit": F.col("KeepsWorkingDays").cast("double"),
    }
    timing = F.col("Timing")
    constant = params["constancy_weight"] * F.coalesce("Constancy", F.lit(0.0))
    persistent = params["persistence_weight"] * F.coalesce("Persistence", F.lit(0.0))
    raised = timing + timing * (1 - timing) * (constant + persistent)
    known = 1 - params["novelty_weight"] * F.col("Novelty")
    shared = (1 - F.coalesce("Rarity", F.lit(1.0))) * known
    common = 1 - params["rarity_weight"] * F.greatest(shared, 1 - F.col("Focus"))
    popular = 1 - params["prevalence_weight"] * F.coalesce("Prevalence", F.lit(0.0))
    human = 1 - params["habit_weight"] * F.coalesce("Habit", F.lit(0.0))
    lowered = common * popular * human
    return pairs.withColumns(scores).withColumn("Score", F.round(raised * lowered, 4))


def drop_allowed(pairs: DataFrame, allow_list: DataFrame, among: Column | None = None) -> DataFrame:
    """Drop what an entry of the allow-list names, unless the entry had expired by then.

    `among`: which pairs are looked at; None: all.
    """
    entries = allow_list.select(*(F.col(name).alias(f"a_{name}") for name in allow_list.columns))
    allowed = x.is_allowed("a_", "Last")
    on = allowed if among is None else among & allowed
    return pairs.join(F.broadcast(entries), on=on, how="left_anti")


def describe(pairs: DataFrame) -> DataFrame:
    """The columns of a finding."""
    return pairs.select(
        *(*PAIR, "DstIpAddr", "DstHostname", "SrcHostname", "Score"),
        F.struct(*(F.round(name, 4).alias(name) for name in SUB_SCORES)).alias("SubScores"),
        _title().alias("Title"),
        _evidence().alias("Evidence"),
        F.col("First").cast("timestamp").alias("FirstSeen"),
        F.col("Last").cast("timestamp").alias("LastSeen"),
    )


def _title() -> Column:
    place = F.substring(F.coalesce("DstHostname", "Dst"), 1, 100)
    others = F.size("Destinations") - 1
    more = F.when(others > 0, F.concat(F.lit(" and "), others.cast("string"), F.lit(" more")))
    return F.concat(
        F.col("SrcIpAddr"),
        F.lit(" calls "),
        F.concat_ws(":", place, F.col("DstPortNumber").cast("string")),
        F.coalesce(more, F.lit("")),
        F.lit(" every "),
        x.duration("IntervalSeconds"),
    )


def _evidence() -> Column:
    """Facts for people; EventTimes (epoch seconds) is for the picture, Samples tells sizes too."""
    moments = F.transform("Moments", lambda time: time.cast("decimal(13,3)"))
    samples = F.arrays_zip("SampleTimes", "SampleSent", "SampleReceived").cast(
        "array<struct<Time: decimal(13,3), BytesOut: bigint, BytesIn: bigint>>"
    )
    hours = F.floor(F.col("Last") / r.HOUR) - F.floor(F.col("First") / r.HOUR) + 1
    return F.struct(
        "Events",
        "Connections",
        F.col("Series").alias("JudgedBy"),
        x.direction("SrcIpAddr", "Dst").alias("Direction"),
        F.round("IntervalSeconds", 3).alias("IntervalSeconds"),
        F.round(100 * F.col("Jitter"), 1).alias("JitterPercent"),
        F.round("Nats", 1).alias("Nats"),
        *("BytesOut", "BytesIn", "MedianBytes", "Days", "DaysInData", "HostsInData"),
        F.round(F.col("Days") / F.col("DaysInData"), 3).alias("ShareOfDays"),
        F.round(F.col("Hours") / hours, 3).alias("ShareOfHours"),
        *("HostsAtDestination", "HostsWithSameRhythm", "DestinationsWithSameRhythm"),
        F.col("FirstHere").cast("timestamp").alias("DestinationFirstSeen"),
        *("NetworkProtocol", "SourceTable"),
        F.col("Names").alias("Hostnames"),
        "Destinations",
        moments.alias("EventTimes"),
        samples.alias("Samples"),
    )
