"""Beaconing: one host calls one destination by the clock.

Behaviour
    An implant asks its controller for orders again and again: connections of one source to one
    destination and port, at intervals that spread little around their median (T1071, T1573,
    T1571). Judged are the intervals to the previous connection of the same pair, the same on
    the connections of the pair's most frequent size (an implant inside of browsing to the same
    address), how constant the sizes are, and how many other hosts show the same rhythm.
Data
    NetworkSession, 21 days by default; three days are enough for intervals of minutes. Start
    times, source ports, sent bytes and session ids are used where the log has them. Each table
    is judged by itself, so that a firewall and a sensor do not disturb each other's rhythm.
Blind spots
    Intervals below three seconds: connections up to two seconds apart count as one. Jitter above
    about 50 %. Fewer than five intervals. One long session, UDP that a firewall keeps as one.
    Denied and failed connections: an implant whose controller is down. A proxy as destination,
    unless the log has the host name and no address. Records that sum up several connections
    (EventCount above 1). One source address for many hosts (NAT). Destinations used in turn.
    Requests of many sizes inside of browsing to the same address.
False positives
    A heartbeat of software that only one host runs: licence servers, appliances, monitoring.
    It cannot be told from an implant by statistics: put it on the allow-list, or close it.
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
from spark.views import Params, References, Tables

PAIR = ("SrcIpAddr", "Dst", "DstPortNumber")
SERIES = (*PAIR, "SourceTable")
CARRIED = ("EventSubType", "DstIpAddr", "DstHostname", "SrcHostname", "NetworkProtocol",
           "SrcBytes", "DstBytes")  # fmt: skip
SUB_SCORES = ("Timing", "Regularity", "Steadiness", "Evidence", "Constancy", "Persistence",
              "Prevalence", "Rarity", "Focus")  # fmt: skip
FEWEST_HOSTS = 20  # with fewer hosts in the data nothing can be said about what is rare
COMPARABLE = 0.3  # a host whose own timing reaches this shows a rhythm, not just traffic
GRIDS = (("A", 0.0), ("B", 0.5))
"""Cells of intervals that differ by less than half (0.4 in the logarithm), and these shifted."""
ONE_SIZE = "connections of one size"
PICTURE = 200
"""Times of events that go into the evidence."""

_ALL_ROWS = (W.unboundedPreceding, W.unboundedFollowing)


def detect(tables: Tables, refs: References, params: Params) -> DataFrame:
    """One row per pair of source and destination that calls by the clock."""
    sessions = tables["NetworkSession"]
    return (
        sessions.transform(select_connections)
        .transform(take_first_of_session)
        .transform(mark_bursts, params["gap_seconds"])
        .transform(collect_series)
        .transform(measure_intervals)
        .transform(score_timing, params)
        .transform(keep_best_series)
        .transform(count_peers)
        .join(F.broadcast(count_hosts(sessions)), on="SrcIsPrivate", how="left")
        .transform(score, params)
        .transform(drop_allowed, refs["allow_list"])
        .transform(describe)
    )


def select_connections(sessions: DataFrame) -> DataFrame:
    """Single connections that were made, to one machine; `Dst` is its address, or its name."""
    broadcast = (F.col("NetworkProtocol") == "UDP") & F.col("DstIpAddr").endswith(".255")
    to_one = F.coalesce(x.is_unicast("DstIpAddr") & ~broadcast, F.lit(True))
    refused = F.lower("DvcAction").rlike("^(?:deny|drop|reset)")
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
        )
        .dropna(subset=[*PAIR, "Time"])
    )


def take_first_of_session(connections: DataFrame) -> DataFrame:
    """One row per session, or per moment where there is no session id; repeated rows are gone."""
    moment = F.when(F.col("Session").isNull(), F.col("Time"))
    return (
        connections.withColumn("Moment", moment)
        .repartition(*PAIR)
        .groupBy(*SERIES, "Session", "Moment", "SrcPortNumber")
        .agg(F.min("Time").alias("Time"), *(F.max(name).alias(name) for name in CARRIED))
    )


def mark_bursts(events: DataFrame, gap: float) -> DataFrame:
    """Mark events that begin a burst, in the pair and among its events of the commonest size.

    An end without its beginning counts only in pairs of which no beginning was logged.
    """
    by_size = W.partitionBy(*SERIES, "SrcBytes").rowsBetween(*_ALL_ROWS)
    by_pair = W.partitionBy(*SERIES).rowsBetween(*_ALL_ROWS)
    frequency = F.struct(F.col("SameSize"), -F.col("SrcBytes"))
    common = F.max_by("SrcBytes", F.when(F.col("SrcBytes").isNotNull(), frequency)).over(by_pair)
    is_start, is_end = (F.col("EventSubType").eqNullSafe(kind) for kind in ("Start", "End"))
    before = F.lag("Time").over(W.partitionBy(*SERIES).orderBy("Time"))
    before_common = F.lag("Time").over(W.partitionBy(*SERIES, "IsCommon").orderBy("Time"))
    return (
        events.withColumn("SameSize", F.count("SrcBytes").over(by_size))
        .withColumn("HasStarts", F.max(is_start).over(by_pair))
        .withColumn("CommonBytes", common)
        .filter(~(is_end & F.col("HasStarts")))
        .withColumn("IsCommon", F.coalesce(F.col("SrcBytes") == F.col("CommonBytes"), F.lit(False)))
        .withColumn("Begins", F.coalesce(F.col("Time") - before > gap, F.lit(True)))
        .withColumn("BeginsCommon", F.coalesce(F.col("Time") - before_common > gap, F.lit(True)))
    )


def collect_series(events: DataFrame) -> DataFrame:
    """Two rows per pair and table: all its events, and those of its commonest size."""
    event = F.struct("Time", "SrcBytes", "DstHostname")
    pairs = events.groupBy(*SERIES).agg(
        F.count("Time").alias("Connections"),
        F.sum("SrcBytes").alias("BytesOut"),
        F.sum("DstBytes").alias("BytesIn"),
        F.max("DstIpAddr").alias("DstIpAddr"),
        F.max("SrcHostname").alias("SrcHostname"),
        F.max("NetworkProtocol").alias("NetworkProtocol"),
        F.collect_list(F.when(F.col("Begins"), event)).alias("All"),
        F.collect_list(F.when(F.col("IsCommon") & F.col("BeginsCommon"), event)).alias("Common"),
    )
    everything = F.struct(F.lit("all connections").alias("Series"), F.col("All").alias("Events"))
    one_size = F.struct(F.lit(ONE_SIZE).alias("Series"), F.col("Common").alias("Events"))
    adds_nothing = F.size("Common") > 0.9 * F.size("All")
    both = F.when(adds_nothing, F.array(everything)).otherwise(F.array(everything, one_size))
    return (
        pairs.withColumn("One", F.explode(both))
        .withColumn("Series", F.col("One.Series"))
        .withColumn("Events", F.sort_array("One.Events"))
        .drop("All", "Common", "One")
    )


def measure_intervals(series: DataFrame) -> DataFrame:
    """Medians and spreads of each series' intervals and sizes."""
    sizes = F.filter(F.transform("Events", lambda e: e["SrcBytes"].cast("double")), F.isnotnull)
    days = F.array_distinct(F.transform("Times", lambda time: F.floor(time / 86_400)))
    core = F.filter("Intervals", lambda step: step <= 1.75 * F.col("IntervalSeconds"))
    steps: list[dict[str, Column]] = [
        {
            "Times": F.transform("Events", lambda event: event["Time"]),
            "Hostnames": F.transform("Events", lambda event: event["DstHostname"]),
            "Sizes": F.sort_array(sizes),
        },
        {
            "Intervals": F.sort_array(x.intervals("Times")),
            "Step": x.resolution("Times"),
            "Days": F.size(days),
            "MedianBytes": x.middle("Sizes"),
        },
        {"Count": F.size("Intervals"), "IntervalSeconds": x.middle("Intervals")},
        {
            "Off": x.deviations("Intervals", "IntervalSeconds"),
            "OffSizes": x.deviations("Sizes", "MedianBytes"),
            "Core": core,
        },
        {
            "OffSeconds": x.middle("Off"),
            "OffBytes": x.middle("OffSizes"),
            "CoreMean": x.mean("Core"),
        },
        {"CoreSpread": x.spread("Core", "CoreMean")},
    ]
    for step in steps:
        series = series.withColumns(step)
    return series.drop("Events", "Intervals", "Off", "Core", "Sizes", "OffSizes")


def score_timing(series: DataFrame, params: Params) -> DataFrame:
    """`Shape` is how regular and steady the intervals are, a little less for one size's events.

    `Timing` weighs it with the evidence, as if the pair were the only one.
    """
    blind, gap = params["blind_spread"], params["gap_seconds"]
    relative = x.relative_spread("OffSeconds", "IntervalSeconds", gap, "Step")
    trust = F.when(F.col("Series") == ONE_SIZE, params["one_size_weight"]).otherwise(1.0)
    shape = F.sqrt(F.col("Regularity") * F.col("Steadiness")) * trust
    enough = F.col("Count") >= params["least_intervals"]
    return (
        series.withColumn("Relative", relative)
        .withColumns(
            {
                "Regularity": x.regularity("Relative", blind),
                "Steadiness": x.steadiness("CoreMean", "CoreSpread", blind),
                "Surprise": x.surprise("Count", "Relative"),
                "Constancy": x.constancy("OffBytes", "MedianBytes"),
            }
        )
        .withColumn("Shape", F.when(enough, shape).otherwise(0.0))
        .withColumn("Timing", _timing(F.lit(1), params))
    )


def _timing(tries: Column, params: Params) -> Column:
    evidence = x.evidence("Surprise", tries, params["evidence_nats"])
    return F.coalesce(F.col("Shape") * evidence, F.lit(0.0))


def keep_best_series(series: DataFrame) -> DataFrame:
    """One row per pair: its best series. Without a rhythm only the pair itself is kept."""
    rank = F.struct("Timing", "Count", "Series", "SourceTable")
    row = F.struct(*(name for name in series.columns if name not in PAIR))
    best = series.groupBy(*PAIR).agg(F.max_by(row, rank).alias("Best")).select(*PAIR, "Best.*")
    rhythmic = F.col("Timing") >= COMPARABLE
    kept = {name: F.when(rhythmic, F.col(name)) for name in ("Times", "Hostnames")}
    return best.withColumns({**kept, "SrcIsPrivate": x.is_private("SrcIpAddr")})


def count_peers(pairs: DataFrame) -> DataFrame:
    """Hosts that talk to the destination; hosts, and destinations, that share the rhythm.

    A rhythm is shared when the interval is, at one address or name. Two overlapping grids of
    intervals stand in for a comparison of each with each. What hosts do elsewhere does not
    count: an implant on forty hosts may call forty places.
    """
    here = _group("Dst", "DstPortNumber")
    name = F.when(F.col("Timing") >= COMPARABLE, x.commonest("Hostnames"))
    talkers = F.size(F.collect_set("SrcIpAddr").over(here))
    place = F.coalesce(F.max("DstHostname").over(here), "Dst")
    named = pairs.withColumn("DstHostname", name).withColumns(
        {"HostsAtDestination": talkers, "Place": place}
    )
    log = F.log("IntervalSeconds") / 0.4
    cells = {f"Grid{name}": F.floor(log + shift) for name, shift in GRIDS}
    rhythmic = named.filter(F.col("Timing") >= COMPARABLE).withColumns(cells)
    hosts = _distinct("SrcIpAddr", "Place", "DstPortNumber")
    places = _distinct("Place", "SrcIpAddr", "DstPortNumber")
    return rhythmic.withColumns(
        {"HostsWithSameRhythm": hosts, "DestinationsWithSameRhythm": places}
    )


def _distinct(column: str, *among: str) -> Column:
    """How many values a column has among the pairs that share these columns and a cell."""
    groups = [_group(*among, f"Grid{name}") for name, _ in GRIDS]
    return F.greatest(*(F.size(F.collect_set(column).over(group)) for group in groups))


def _group(*columns: str) -> WindowSpec:
    return W.partitionBy(*columns).rowsBetween(*_ALL_ROWS)


def count_hosts(sessions: DataFrame) -> DataFrame:
    """How many hosts and days the data has, for sources inside and outside."""
    inside = x.is_private("SrcIpAddr").alias("SrcIsPrivate")
    seen = sessions.select(inside, "SrcIpAddr", F.to_date("TimeGenerated").alias("Day"))
    return seen.groupBy("SrcIsPrivate").agg(
        F.count_distinct("SrcIpAddr").alias("HostsInData"),
        F.count_distinct("Day").alias("DaysInData"),
    )


def score(pairs: DataFrame, params: Params) -> DataFrame:
    """Constancy and persistence raise a timing score; what is common here lowers it."""
    hosts = F.col("HostsAtDestination")
    scores = {
        # Where many hosts call, one of them looks regular by chance: each call is one more try.
        "Timing": _timing(hosts, params),
        "Evidence": x.evidence("Surprise", hosts, params["evidence_nats"]),
        "Persistence": x.persistence("Days", "DaysInData"),
        "Prevalence": x.prevalence("HostsAtDestination", "HostsInData", FEWEST_HOSTS),
        "Rarity": x.rarity("HostsWithSameRhythm", "HostsInData", FEWEST_HOSTS),
        "Focus": x.focus("DestinationsWithSameRhythm"),
    }
    timing = F.col("Timing")
    constant = params["constancy_weight"] * F.coalesce("Constancy", F.lit(0.0))
    persistent = params["persistence_weight"] * F.coalesce("Persistence", F.lit(0.0))
    raised = timing + timing * (1 - timing) * (constant + persistent)
    uncommon = F.least(F.coalesce("Rarity", F.lit(1.0)), F.col("Focus"))
    common = 1 - params["rarity_weight"] * (1 - uncommon)
    popular = 1 - params["prevalence_weight"] * F.coalesce("Prevalence", F.lit(0.0))
    return pairs.withColumns(scores).withColumn("Score", F.round(raised * common * popular, 4))


def drop_allowed(pairs: DataFrame, allow_list: DataFrame) -> DataFrame:
    """Drop what an entry of the allow-list names, unless the entry had expired by then."""
    entries = allow_list.select(*(F.col(name).alias(f"a_{name}") for name in allow_list.columns))
    return pairs.join(F.broadcast(entries), on=x.is_allowed("a_", "Times"), how="left_anti")


def describe(pairs: DataFrame) -> DataFrame:
    """The columns of a finding."""
    return pairs.select(
        *(*PAIR, "DstIpAddr", "DstHostname", "SrcHostname", "Score"),
        F.struct(*(F.round(name, 4).alias(name) for name in SUB_SCORES)).alias("SubScores"),
        _title().alias("Title"),
        _evidence().alias("Evidence"),
        F.element_at("Times", 1).cast("timestamp").alias("FirstSeen"),
        F.element_at("Times", -1).cast("timestamp").alias("LastSeen"),
    )


def _title() -> Column:
    place = F.substring(F.coalesce("DstHostname", "Dst"), 1, 100)
    return F.concat(
        F.col("SrcIpAddr"),
        F.lit(" calls "),
        F.concat_ws(":", place, F.col("DstPortNumber").cast("string")),
        F.lit(" every "),
        x.duration("IntervalSeconds"),
    )


def _evidence() -> Column:
    """Facts for people; EventTimes (epoch seconds) is for the picture."""
    names = F.filter(F.array_distinct("Hostnames"), F.isnotnull)
    # For a timer that adds up to j per cent either way, the median deviation is half of j.
    jitter = 200 * F.col("OffSeconds") / F.col("IntervalSeconds")
    moments = F.transform(x.sample("Times", PICTURE), lambda time: time.cast("decimal(13,3)"))
    return F.struct(
        F.size("Times").alias("Events"),
        "Connections",
        F.col("Series").alias("JudgedBy"),
        F.round("IntervalSeconds", 3).alias("IntervalSeconds"),
        F.round(jitter, 1).alias("JitterPercent"),
        *("BytesOut", "BytesIn", "MedianBytes", "Days", "DaysInData", "HostsInData"),
        *("HostsAtDestination", "HostsWithSameRhythm", "DestinationsWithSameRhythm"),
        *("NetworkProtocol", "SourceTable"),
        F.slice(F.sort_array(names), 1, 5).alias("Hostnames"),
        moments.alias("EventTimes"),
    )
