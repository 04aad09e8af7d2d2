"""Dns: lookups and their answers, in ASIM's column names.

NULL is a type of record and NA a result that ASIM allows: they are words here, not nulls.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from pyspark.sql import Column
from pyspark.sql import functions as F
from pyspark.sql import types as T

from spark.expressions import address, found, hostname, port, words
from spark.view_values import CONNECTION, Source, protocol, start

DNS = T.StructType(
    [
        *CONNECTION,
        T.StructField("NetworkProtocol", T.StringType()),
        T.StructField("DnsQuery", T.StringType()),
        T.StructField("DnsQueryTypeName", T.StringType()),
        T.StructField("DnsResponseCodeName", T.StringType()),
        T.StructField("DnsResponseName", T.StringType()),
        T.StructField("DnsSessionId", T.StringType()),
        T.StructField("SourceTable", T.StringType()),
    ]
)
"""Every row of the view. DnsQuery is in lower case, without the dot of the root at its end;
DnsResponseName is text: addresses and names of the answer, however the log strings them."""

_RESPONSE = 257
"""The event of a Windows DNS server that is an answer; 256 is the question."""


def _from_dns_events() -> Source:
    """Lookups only: what the agent counts or registers is another sub-type."""
    is_lookup = F.coalesce(F.lower("SubType") == "lookupquery", F.lit(True))
    answered = F.col("ResultCode").isNotNull() | (F.col("EventId") == _RESPONSE)
    is_answer = F.coalesce(answered, F.lit(False))
    succeeded = (F.col("ResultCode") == 0) | (F.upper("Result") == "NOERROR")
    result = F.when(succeeded, "Success").when(is_answer, "Failure").otherwise("NA")
    return Source(
        is_lookup,
        {
            "EventVendor": F.lit("Microsoft"),
            "EventProduct": F.lit("DNS Server"),
            "EventSubType": F.when(is_answer, "response").otherwise("request"),
            "EventResult": result,
            "Dvc": words("Computer"),
            "SrcIpAddr": address("ClientIP"),
            "SrcHostname": hostname("ClientIP"),
            "DnsQuery": _name("Name"),
            "DnsQueryTypeName": _text("QueryType"),
            "DnsResponseCodeName": F.upper(_text("Result")),
            "DnsResponseName": words("IPAddresses"),
        },
    )


def _from_asim_dns_activity_logs() -> Source:
    return Source(
        None,
        {
            "EventStartTime": start("EventStartTime"),
            "EventVendor": words("EventVendor"),
            "EventProduct": words("EventProduct"),
            "EventSubType": F.lower(words("EventSubType")),
            "EventResult": _text("EventResult"),
            "EventCount": F.col("EventCount"),
            "Dvc": F.coalesce(words("DvcHostname"), words("Dvc")),
            "DvcAction": words("DvcAction"),
            "SrcIpAddr": address("SrcIpAddr"),
            "SrcPortNumber": port("SrcPortNumber", "SrcIpAddr"),
            "SrcHostname": F.coalesce(
                hostname("SrcFQDN"), hostname("SrcHostname"), hostname("SrcIpAddr")
            ),
            "SrcUsername": words("SrcUsername"),
            "SrcProcessName": words("SrcProcessName"),
            "DstIpAddr": address("DstIpAddr"),
            "DstPortNumber": port("DstPortNumber", "DstIpAddr"),
            "NetworkProtocol": protocol("NetworkProtocol"),
            "DnsQuery": _name("DnsQuery"),
            "DnsQueryTypeName": F.coalesce(_text("DnsQueryTypeName"), _type_number()),
            "DnsResponseCodeName": F.upper(
                F.coalesce(_text("DnsResponseCodeName"), _text("EventResultDetails"))
            ),
            "DnsResponseName": words("DnsResponseName"),
            "DnsSessionId": F.coalesce(words("DnsSessionId"), words("TransactionIdHex")),
        },
    )


def _name(column: str) -> Column:
    """A queried name; anything but a space may be part of it, as a tunnel's base64 is."""
    return found(F.lower(words(column)), r"^(\S*[^\s.])\.*$")


def _text(column: str) -> Column:
    """Trimmed text, whatever it says; null when there is none."""
    return found(F.trim(column), r"(?s)^(.+)$")


def _type_number() -> Column:
    """The number of a record type whose name the log lacks, as ASIM writes unknown ones."""
    return F.concat(F.lit("TYPE"), F.col("DnsQueryType").cast("string"))


SOURCES: Mapping[str, Callable[[], Source]] = {
    "dnsevents": _from_dns_events,
    "asimdnsactivitylogs": _from_asim_dns_activity_logs,
}
USED: Mapping[str, tuple[str, ...]] = {
    "dnsevents": ("TimeGenerated", "ClientIP", "Name"),
    "asimdnsactivitylogs": ("TimeGenerated", "SrcIpAddr", "DnsQuery"),
}
"""Columns that every source fills: answers are missing in logs of questions."""
