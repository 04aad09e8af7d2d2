"""Indicator match: a host meets what threat intelligence lists.

Behaviour
    A host here connects to a listed address, name or URL, is connected to from a listed address,
    asks for a listed name, or is told a listed address (T1071, T1568). A listed domain covers the
    names below it, label by label; a suffix that strangers share covers itself alone. A URL
    without a path stands for its host. The newest record of an indicator counts, if it is active
    and neither revoked nor deleted, for events within its validity. The score is the
    indicator's confidence, lowered by the kind of contact; a private or a popular destination
    scores `guarded_score` at most, and the evidence says so.
Data
    ThreatIntelligenceIndicator or its successor ThreatIntelIndicators, NetworkSession and Dns,
    14 days of each. A match is told while it is news: its last event, or the first record of its
    indicator in the window, is not older than `news_days` before the newest row.
Blind spots
    Indicators older than the window: Sentinel writes each again within 7 to 12 days, so that 14
    suffice. Events before an indicator of the older table was known count, since it does not say
    since when it is valid. What was valid then and is inactive now. Networks, files, mail
    addresses, patterns of several comparisons; URLs with a path where the log has no URL.
False positives
    Shared hosting, content networks, exits of Tor. Scanners that every open port meets, which is
    why connections from outside stay Low. Tools and analysts that look up listed names.
Triage
    Who lists it, since when, for what; did the connection come about, how much went out; which
    process. Then isolate the host, and block the indicator for all others.
References
    Microsoft Sentinel's rules "TI map ..."; STIX 2.1, indicator; MITRE ATT&CK T1071, T1568.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from spark import expressions as x
from spark.views import Params, References, Tables, indicators

KEY = ("Host", "Indicator", "Direction")
LISTS = ("threatintelligenceindicator", "threatintelindicators")
OUTBOUND, INBOUND, QUERY, ANSWER = "outbound", "inbound", "query", "answer"
VERBS = {OUTBOUND: "connects to", INBOUND: "is reached by", QUERY: "asks for", ANSWER: "is sent to"}
CONTACT = ("TimeGenerated", "Time", "SrcIpAddr", "SrcHostname", "SrcPortNumber", "DstIpAddr",
           "DstHostname", "DstPortNumber", "Session", "SourceTable")  # fmt: skip
SUB_SCORES = ("Confidence", "Contact", "Exactness", "Prevalence")
FEWEST_HOSTS = 20  # with fewer hosts in the data nothing can be said about what is popular
MOST_INDICATORS = 10  # that list the same value, the surest first
SAMPLES = 20


def detect(tables: Tables, refs: References, params: Params) -> DataFrame:
    """One row per host, listed value and kind of contact."""
    contacts = contacts_of(tables)
    listed = indicators(tables).transform(take_sure, params)
    return (
        match_values(contacts, listed)
        .transform(find_events, contacts)
        .transform(sum_up)
        .transform(drop_allowed, refs["allow_list"])
        .transform(gather)
        .transform(count_peers)
        .crossJoin(F.broadcast(measure(tables)))
        .transform(keep_news, params)
        .transform(score, params)
        .transform(describe)
    )


# --- what hosts met ---------------------------------------------------------------------------


def contacts_of(tables: Tables) -> DataFrame:
    """One row per event and value that could be listed: `Direction`, `Kind`, `Observed`."""
    sessions = tables["NetworkSession"].transform(from_sessions)
    return sessions.unionByName(tables["Dns"].transform(from_lookups))


def from_sessions(sessions: DataFrame) -> DataFrame:
    """A connection meets its destination, even when it is denied; its source when it is not."""
    refused = F.lower("DvcAction").rlike("^(?:deny|drop|reset)")
    failed = F.col("EventResult") == "Failure"
    came_about = ~F.coalesce(refused | failed, F.lit(False))
    met = F.array(
        _contact(OUTBOUND, "ip", F.col("DstIpAddr")),
        _contact(OUTBOUND, "name", F.col("DstHostname")),
        _contact(OUTBOUND, "url", x.url("Url")),
        _contact(INBOUND, "ip", F.when(came_about, F.col("SrcIpAddr"))),
    )
    return _contacts(sessions.withColumn("Session", F.col("NetworkSessionId")), met)


def from_lookups(lookups: DataFrame) -> DataFrame:
    """A lookup meets the name that it asks for, and the addresses of its answer."""
    told = F.transform(x.addresses("DnsResponseName"), lambda ip: _contact(ANSWER, "ip", ip))
    asked = F.array(_contact(QUERY, "name", F.col("DnsQuery")))
    met = F.concat(asked, F.coalesce(told, F.slice(asked, 1, 0)))
    # The destination of a lookup is a resolver: who is met is the name, not the resolver.
    resolved = lookups.withColumns(
        {
            "Session": F.col("DnsSessionId"),
            "DstIpAddr": F.lit(None).cast("string"),
            "DstHostname": F.col("DnsQuery"),
            "DstPortNumber": F.lit(None).cast("int"),
        }
    )
    return _contacts(resolved, met)


def _contact(direction: str, kind: str, observed: Column) -> Column:
    return F.struct(
        F.lit(direction).alias("Direction"),
        F.lit(kind).alias("Kind"),
        observed.alias("Observed"),
    )


def _contacts(rows: DataFrame, met: Column) -> DataFrame:
    time = F.coalesce("EventStartTime", "TimeGenerated")
    known = F.filter(met, lambda one: one["Observed"].isNotNull())
    return rows.withColumn("Time", time).select(*CONTACT, F.inline(known))


# --- what is listed ---------------------------------------------------------------------------


def take_sure(listed: DataFrame, params: Params) -> DataFrame:
    """Indicators that are sure enough; an address that is nobody's own is no indicator."""
    confidence = F.coalesce("Listed.Confidence", F.lit(params["unknown_confidence"]))
    is_one_host = (F.col("Kind") != "ip") | x.is_unicast("Value")
    return listed.filter(is_one_host & (confidence >= params["least_confidence"]))


# --- where both meet --------------------------------------------------------------------------


def match_values(contacts: DataFrame, listed: DataFrame) -> DataFrame:
    """Observed values that are listed, with who lists them.

    Joined are the distinct values of both sides, millions each, so nothing is broadcast.
    """
    candidates = F.when(F.col("Kind") == "name", x.parents("Observed"))
    values = contacts.select("Kind", "Observed").distinct()
    surest = W.partitionBy("Kind", "Observed", "Value").orderBy(F.col("Listed").desc())
    return (
        values.withColumn("Value", F.explode(F.coalesce(candidates, F.array("Observed"))))
        .join(listed, on=["Kind", "Value"], how="inner")
        .withColumn("IsExact", F.col("Value") == F.col("Observed"))
        .filter(F.col("IsExact") | F.col("Below"))
        .drop("Below")
        .distinct()
        .withColumn("Place", F.row_number().over(surest))
        .filter(F.col("Place") <= MOST_INDICATORS)
        .groupBy("Kind", "Observed", "Value", "IsExact")
        .agg(F.sort_array(F.collect_list("Listed"), asc=False).alias("Lists"))
    )


def find_events(matched: DataFrame, contacts: DataFrame) -> DataFrame:
    """The events behind the matched values, each once, that an indicator was valid for."""
    is_valid = F.filter("Lists", _is_valid)
    ours = F.coalesce("SrcIpAddr", "SrcHostname")
    met = F.coalesce("DstIpAddr", "DstHostname")
    answered = F.when(F.col("Direction") == ANSWER, F.col("Observed"))
    return (
        contacts.join(matched, on=["Kind", "Observed"], how="inner")
        .withColumn("Lists", is_valid)
        .filter(F.size("Lists") > 0)
        .withColumns(
            {
                "Host": F.when(F.col("Direction") == INBOUND, met).otherwise(ours),
                "HostName": F.when(F.col("Direction") == INBOUND, F.col("DstHostname")).otherwise(
                    F.col("SrcHostname")
                ),
                "DstIpAddr": F.coalesce(answered, "DstIpAddr"),
                "Indicator": F.col("Value"),
                "Listed": F.get("Lists", F.lit(0)),
                "Indicators": F.size("Lists"),
            }
        )
        .drop("Lists", "Value")
        # A row that was exported twice is one event.
        .distinct()
    )


def _is_valid(listed: Column) -> Column:
    begun = listed["ValidFrom"].isNull() | (listed["ValidFrom"] <= F.col("Time"))
    lasts = listed["ValidUntil"].isNull() | (F.col("Time") < listed["ValidUntil"])
    return begun & lasts


def sum_up(events: DataFrame) -> DataFrame:
    """One row per finding and destination: what an allow-list can name."""
    return events.groupBy(
        *KEY, "Kind", "Observed", "IsExact", "HostName", "SrcIpAddr", "SrcHostname", "DstIpAddr",
        "DstHostname", "DstPortNumber", "SourceTable",
    ).agg(
        F.count("Time").alias("Events"),
        F.min("Time").alias("First"),
        F.max("Time").alias("Last"),
        F.max("TimeGenerated").alias("Logged"),
        F.max("Listed").alias("Listed"),
        F.max("Indicators").alias("Indicators"),
        F.max("Time").cast("double").alias("LastSeconds"),
    )  # fmt: skip


def drop_allowed(rows: DataFrame, allow_list: DataFrame) -> DataFrame:
    """Drop what an entry of the allow-list names, unless the entry had expired by then."""
    entries = allow_list.select(*(F.col(name).alias(f"a_{name}") for name in allow_list.columns))
    return rows.join(F.broadcast(entries), on=x.is_allowed("a_", "LastSeconds"), how="left_anti")


def gather(rows: DataFrame) -> DataFrame:
    """One row per finding."""
    sample = F.struct(
        F.col("First").alias("Time"),
        "Last",
        F.col("Observed").alias("Met"),
        F.col("DstPortNumber").alias("Port"),
        "Events",
        F.col("SourceTable").alias("Table"),
    )
    in_order = W.partitionBy(*KEY, "Kind").orderBy("Sample", "DstIpAddr", "DstHostname")
    return (
        rows.withColumn("Sample", sample)
        .withColumn("Place", F.row_number().over(in_order))
        .groupBy(*KEY, "Kind")
        .agg(
            F.sum("Events").alias("Events"),
            F.min("First").alias("FirstSeen"),
            F.max("Last").alias("LastSeen"),
            F.max("Logged").alias("Logged"),
            F.max("Listed").alias("Listed"),
            F.max("Indicators").alias("Indicators"),
            F.max("IsExact").alias("IsExact"),
            F.max("HostName").alias("HostName"),
            F.sort_array(F.collect_set("SourceTable")).alias("Tables"),
            F.sort_array(F.collect_list(F.when(F.col("Place") <= SAMPLES, F.col("Sample")))).alias(
                "Samples"
            ),
        )
    )


# --- what it is worth -------------------------------------------------------------------------


def count_peers(findings: DataFrame) -> DataFrame:
    """Hosts that met the same listed value."""
    same = W.partitionBy("Kind", "Indicator").rowsBetween(
        W.unboundedPreceding, W.unboundedFollowing
    )
    return findings.withColumn("Hosts", F.size(F.collect_set("Host").over(same)))


def measure(tables: Tables) -> DataFrame:
    """One row: hosts in the data, and the newest moment that it holds."""
    nobody = F.lit(None).cast("string").alias("SrcIpAddr")
    sessions, lookups = (
        tables[name].select("SrcIpAddr", "TimeGenerated") for name in ("NetworkSession", "Dns")
    )
    older, stix = (tables[name].select(nobody, "TimeGenerated") for name in LISTS)
    return (
        sessions.unionAll(lookups)
        .unionAll(older)
        .unionAll(stix)
        .agg(
            F.count_distinct("SrcIpAddr").alias("HostsInData"),
            F.max("TimeGenerated").alias("Newest"),
        )
    )


def keep_news(findings: DataFrame, params: Params) -> DataFrame:
    """Matches of which the last event or the indicator is new: the others were told before."""
    since = F.col("Newest").cast("double") - params["news_days"] * 86_400
    newest = F.greatest("Logged", "Listed.FirstRecorded").cast("double")
    return findings.filter(newest >= since)


def score(findings: DataFrame, params: Params) -> DataFrame:
    """The confidence in the indicator, lowered by what kind of contact there was."""
    known = F.coalesce("Listed.Confidence", F.lit(params["unknown_confidence"]))
    weights = {name: params[f"{name}_weight"] for name in (INBOUND, QUERY, ANSWER)}
    contact = F.lit(1.0)
    for direction, weight in weights.items():
        contact = F.when(F.col("Direction") == direction, weight).otherwise(contact)
    scores = {
        "Confidence": F.least(F.greatest(known / 100, F.lit(0.0)), F.lit(1.0)),
        "Contact": contact,
        "Exactness": F.when(F.col("IsExact"), 1.0).otherwise(params["below_weight"]),
        "Prevalence": x.prevalence("Hosts", "HostsInData", FEWEST_HOSTS),
    }
    private = (F.col("Kind") == "ip") & x.is_private("Indicator")
    popular = F.col("Prevalence") >= params["popular_share"]
    guard = F.when(private, "a private address").when(popular, "many hosts go there")
    alone = F.col("Confidence") * F.col("Contact") * F.col("Exactness")
    guarded = F.least(alone, F.lit(params["guarded_score"]))
    return (
        findings.withColumns(scores)
        .withColumn("Guard", guard)
        .withColumn("Score", F.round(F.when(F.col("Guard").isNull(), alone).otherwise(guarded), 4))
    )


def describe(findings: DataFrame) -> DataFrame:
    """The columns of a finding."""
    return findings.select(
        *(*KEY, "HostName", "Score"),
        x.address("Host").alias("HostIpAddr"),
        *(
            F.when(F.col("Kind") == kind, F.col("Indicator")).alias(name)
            for kind, name in (
                ("ip", "IndicatorIpAddr"),
                ("name", "IndicatorDomain"),
                ("url", "IndicatorUrl"),
            )
        ),
        F.struct(*(F.round(name, 4).alias(name) for name in SUB_SCORES)).alias("SubScores"),
        _title().alias("Title"),
        _evidence().alias("Evidence"),
        *("FirstSeen", "LastSeen"),
    )


def _title() -> Column:
    verb = F.element_at(
        F.create_map(*(F.lit(x) for pair in VERBS.items() for x in pair)), F.col("Direction")
    )
    what = F.substring(F.concat(F.lit("listed: "), F.col("Listed.Description")), 1, 100)
    host = F.coalesce("Host", F.lit("an unknown host"))
    told = F.concat_ws(" ", host, verb, F.substring("Indicator", 1, 100))
    return F.concat_ws(", ", told, what)


def _evidence() -> Column:
    """Facts for people: what happened, who lists it, and why the score is as it is."""
    return F.struct(
        "Events",
        F.col("Listed.Id").alias("IndicatorId"),
        F.col("Listed.Description").alias("Description"),
        F.col("Listed.Tags").alias("Tags"),
        F.col("Listed.Provider").alias("ListedBy"),
        F.col("Listed.Table").alias("IndicatorTable"),
        F.col("Listed.Confidence").alias("IndicatorConfidence"),
        *(F.col(f"Listed.{name}").alias(name) for name in ("ValidFrom", "ValidUntil")),
        F.col("Listed.Recorded").alias("Recorded"),
        *("Indicators", "Hosts", "HostsInData", "Guard", "Tables", "Samples"),
    )
