"""Indicators of threat intelligence: both of Sentinel's tables in one shape, the newest records.

Kind    ip, name or url
Value   an address as the views write it, a host name, a URL without its scheme
Below   True when the names below a name are meant as well
Listed  who lists it, how sure, from when until when; the surest is the greatest
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark.expressions import address, found, hostname, url, words

OLDER, STIX = "threatintelligenceindicator", "threatintelindicators"

LISTED = T.StructType(
    [
        T.StructField("Confidence", T.DoubleType()),
        T.StructField("Recorded", T.TimestampType()),
        T.StructField("ValidUntil", T.TimestampType()),
        T.StructField("ValidFrom", T.TimestampType()),
        T.StructField("FirstRecorded", T.TimestampType()),
        T.StructField("Table", T.StringType()),
        T.StructField("Id", T.StringType()),
        T.StructField("Provider", T.StringType()),
        T.StructField("Description", T.StringType()),
        T.StructField("Tags", T.StringType()),
    ]
)
"""Confidence is 0 to 100. Recorded: when the newest record was ingested, FirstRecorded: the first
in the window."""

SHARED = (
    r"^(?:(?:ac|co|com|edu|go|gov|ne|net|or|org)\.[a-z]{2}|(?:duckdns|hopto|zapto|dyndns|no-ip)\.org"
    r"|(?:ddns|sytes|cloudapp|windows|cloudfront|azurewebsites)\.net|portmap\.(?:io|host)"
    r"|ngrok\.(?:io|app)|git(?:hub|lab)\.io|(?:pages|workers)\.dev|(?:vercel|netlify|web)\.app"
    r"|(?:herokuapp|amazonaws|blogspot|wordpress|trycloudflare)\.com)$"
)
"""Suffixes that strangers share: who lists one does not mean all names below it.

A few common ones; the list of all there are changes every week.
"""
_PATTERN = r"^\s*\[\s*([A-Za-z0-9-]+:[A-Za-z0-9_.-]+)\s*=\s*'([^']*)'\s*\]\s*$"
_STIX_IP = r"^(?:ipv[46]-addr:value|network-traffic:(?:src|dst)_ref\.value)$"


def indicators(tables: Mapping[str, DataFrame]) -> DataFrame:
    """What is listed now, as far as these tables tell; a table that is not given lists nothing.

    Columns: Kind, Value, Below, Listed. A value is there once for each indicator and kind.
    """
    sources = {OLDER: _from_older, STIX: _from_stix}
    older, stix = (source(tables[name]) for name, source in sources.items())
    newest = older.unionByName(stix).transform(_take_newest)
    listed = F.struct(*(F.col(field.name) for field in LISTED.fields)).alias("Listed")
    values = newest.select(F.inline("Values"), listed)
    return values.filter(F.col("Value").isNotNull())


def _from_older(rows: DataFrame) -> DataFrame:
    """A record has a column for each kind of value."""
    ips = ("NetworkIP", "NetworkDestinationIP", "NetworkSourceIP", "EmailSourceIpAddress")
    valued = _values(rows, [address(one) for one in ips], hostname("DomainName"), url("Url"))
    # Allowed is the contrary of bad, and a passive indicator raises nothing that people see.
    harmless = (F.lower("Action") == "allow") | F.col("PassiveOnly")
    live = F.coalesce("Active", F.lit(True)) & ~F.coalesce(harmless, F.lit(False))
    return _records(
        valued,
        OLDER,
        live,
        Id=F.coalesce(words("IndicatorId"), words("ExternalIndicatorId")),
        Confidence=F.col("ConfidenceScore"),
        ValidUntil=F.col("ExpirationDateTime"),
        Provider=F.coalesce(words("IndicatorProvider"), words("SourceSystem")),
        Description=F.coalesce(words("Description"), words("ThreatType")),
        Tags=words("Tags"),
    )


def _from_stix(rows: DataFrame) -> DataFrame:
    """A record has one value, and says of which kind it is."""
    quoted = F.regexp_replace("ObservableValue", r"^\s*'|'\s*$", "")
    named = rows.withColumns(
        {
            "Key": F.lower(F.coalesce(words("ObservableKey"), found(F.col("Pattern"), _PATTERN))),
            "Text": F.coalesce(quoted, F.regexp_extract("Pattern", _PATTERN, 2)),
        }
    )
    is_ip = F.col("Key").rlike(_STIX_IP)
    name = F.when(F.col("Key") == "domain-name:value", hostname("Text"))
    page = F.when(F.col("Key") == "url:value", url("Text"))
    ended = F.coalesce("IsDeleted", F.lit(False)) | F.coalesce("Revoked", F.lit(False))
    said = [F.get_json_object("Data", path) for path in ("$.description", "$.name")]
    return _records(
        _values(named, [F.when(is_ip, address("Text"))], name, page),
        STIX,
        F.coalesce("IsActive", F.lit(True)) & ~ended,
        Id=words("Id"),
        Confidence=F.col("Confidence"),
        ValidFrom=F.col("ValidFrom"),
        ValidUntil=F.col("ValidUntil"),
        Provider=words("Source"),
        Description=F.coalesce(*said),
        Tags=words("Tags"),
    )


def _values(rows: DataFrame, ips: Sequence[Column], name: Column, page: Column) -> DataFrame:
    """`Values`: a URL without a path stands for its host, but not for what is below the host."""
    rows = rows.withColumns({"Name": name, "Page": page})
    is_host = ~F.col("Page").rlike("[/?]")
    covers = F.coalesce(~F.col("Name").rlike(SHARED) & F.col("Name").contains("."), F.lit(False))
    values = [
        *(_value("ip", ip) for ip in (*ips, F.when(is_host, address("Page")))),
        _value("name", F.col("Name"), covers),
        _value("name", F.when(is_host, hostname("Page"))),
        _value("url", F.when(~is_host, F.col("Page"))),
    ]
    return rows.withColumn("Values", F.array(*values))


def _value(kind: str, value: Column, below: Column | None = None) -> Column:
    covers = F.lit(False) if below is None else below
    return F.struct(F.lit(kind).alias("Kind"), value.alias("Value"), covers.alias("Below"))


def _records(rows: DataFrame, table: str, live: Column, **given: Column) -> DataFrame:
    beside = {"Recorded": F.col("TimeGenerated"), "Table": F.lit(table), **given}
    columns = (
        beside.get(field.name, F.lit(None)).cast(field.dataType).alias(field.name)
        for field in LISTED.fields
    )
    return rows.select(*columns, live.alias("Live"), "Values")


def _take_newest(records: DataFrame) -> DataFrame:
    """The newest record of each indicator, unless it says that the indicator has ended.

    Of two records of one moment the one that ends the indicator wins.
    """
    each = W.partitionBy("Table", "Id")
    return (
        records.withColumn("Id", F.coalesce("Id", F.to_json("Values")))
        .withColumn("FirstRecorded", F.min("Recorded").over(each))
        .withColumn("Newest", F.max("Recorded").over(each))
        .filter(F.col("Recorded") == F.col("Newest"))
        .withColumn("IsLive", F.min("Live").over(each))
        .filter(F.col("IsLive"))
    )
