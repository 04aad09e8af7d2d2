"""ASIM-shaped views: one set of columns, whichever exported table a row came from.

Values come out clean: words such as NULL are nulls, addresses have no port and no brackets,
names no URL around them; what is a name in an address column is a name here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F
from pyspark.sql import types as T

from shared import contract as c
from spark import dns_view
from spark.expressions import address, found, hostname, port, url_port, words
from spark.indicator_values import indicators
from spark.view_values import CONNECTION, Source, protocol, start

__all__ = [
    "DNS",
    "NETWORK_SESSION",
    "SCHEMAS",
    "Params",
    "References",
    "Tables",
    "build",
    "indicators",
    "source_of",
    "used_columns",
]

Tables = Mapping[str, DataFrame]
"""What a hunt gets: its declared tables and views by name, cut to the window."""
References = Mapping[str, DataFrame]
"""Lists that a hunt declares, by name; every column is text."""
Params = Mapping[str, Any]
"""A hunt's parameters by name, typed as its YAML says."""

NETWORK_SESSION = T.StructType(
    [
        *CONNECTION,
        T.StructField("DstHostname", T.StringType()),
        T.StructField("NetworkProtocol", T.StringType()),
        T.StructField("NetworkApplicationProtocol", T.StringType()),
        T.StructField("NetworkSessionId", T.StringType()),
        T.StructField("SrcBytes", T.LongType()),
        T.StructField("DstBytes", T.LongType()),
        T.StructField("Url", T.StringType()),
        T.StructField("SourceTable", T.StringType()),
    ]
)
"""Every row of the view, in this order. EventStartTime is never null where TimeGenerated is not,
and never far from it: see `view_values.start`."""
DNS = dns_view.DNS
"""The same for Dns."""

_DENIED = (
    r"^(?:deny|denied|drop|dropped|block|blocked|reject|rejected|prevent|prevented|discard|"
    r"reset[- ](?:both|client|server))(?:$|[^a-z])"
)
_OTHER_END = (
    "InboundConnectionAccepted",
    "InboundConnectionAttempt",
    "InboundInternetScanInspected",
)
_CONNECTIONS = (*_OTHER_END, "ConnectionSuccess", "ConnectionFailed", "ConnectionAttempt",
                "ConnectionRequest", "ConnectionFound", "ConnectionAcknowledged")  # fmt: skip


def build(view: str, tables: Tables) -> DataFrame:
    """The view over those of its tables that are given. KeyError for a view that is none."""
    parts = [_part(view, name, tables[name]) for name in c.VIEWS[view] if name in tables]
    return reduce(DataFrame.unionByName, parts)


def _part(view: str, name: str, rows: DataFrame) -> DataFrame:
    source = source_of(view, name)
    kept = rows if source.only is None else rows.filter(source.only)
    return kept.select(*source.columns(SCHEMAS[view], name))


def source_of(view: str, table: str) -> Source:
    """What a view makes of a table's rows. KeyError for one that does not feed it."""
    return _SOURCES[view][table]()


def used_columns(view: str, table: str) -> tuple[str, ...]:
    """The columns of a table that a view is made of: what its silence is measured by."""
    return _USED[view][table]


# --- NetworkSession ---------------------------------------------------------------------------


def _from_common_security_log() -> Source:
    denied = _says_denied("DeviceAction") | _says_denied("SimplifiedDeviceAction")
    cn1 = F.coalesce(F.col("FieldDeviceCustomNumber1"), F.col("DeviceCustomNumber1").cast("long"))
    names_session = F.lower("DeviceCustomNumber1Label").isin("sessionid", "session id")
    session = F.coalesce(
        words("ExtID"),
        _positive(F.col("ExternalID")),
        F.when(names_session, _positive(cn1)),
        _in_message(r" connection (\d+) "),
    )
    return Source.of(
        EventStartTime=F.coalesce(_asa_start(), start("StartTime")),
        EventVendor=words("DeviceVendor"),
        EventProduct=words("DeviceProduct"),
        EventSubType=_begins_or_ends(),
        EventResult=F.when(denied, "Failure").otherwise("Success"),
        EventCount=F.col("EventCount"),
        Dvc=F.coalesce(words("DeviceName"), words("Computer")),
        DvcAction=F.when(denied, "Deny").otherwise("Allow"),
        SrcIpAddr=address("SourceIP"),
        SrcPortNumber=port("SourcePort"),
        SrcHostname=F.coalesce(hostname("SourceHostName"), hostname("SourceIP")),
        SrcUsername=words("SourceUserName"),
        DstIpAddr=F.coalesce(address("DestinationIP"), address("DestinationHostName")),
        # A proxy's log often has no port but the URL's.
        DstPortNumber=F.coalesce(port("DestinationPort", "DestinationIP"), url_port("RequestURL")),
        DstHostname=F.coalesce(
            hostname("DestinationHostName"), hostname("DestinationIP"), hostname("RequestURL")
        ),
        NetworkProtocol=protocol("Protocol"),
        NetworkApplicationProtocol=words("ApplicationProtocol"),
        NetworkSessionId=session,
        SrcBytes=_not_negative("SentBytes"),
        DstBytes=_not_negative("ReceivedBytes"),
        Url=words("RequestURL"),
    )


def _begins_or_ends() -> Column:
    """Cisco's ASA writes a row when it builds a connection and one when it tears it down."""
    action = F.lower(F.trim("DeviceAction"))
    return F.when(action == "built", "Start").when(action == "teardown", "End")


def _in_message(pattern: str) -> Column:
    """A value that only the text of an ASA's message has."""
    return F.when(F.col("Message").startswith("%ASA-"), found(F.col("Message"), pattern))


def _asa_start() -> Column:
    """When a connection began that an ASA says was torn down after `duration h:mm:ss`.

    Not more than 999 hours before: see `view_values.start`.
    """
    parts = F.split(_in_message(r" duration (\d{1,3}:\d{2}:\d{2})"), ":")
    seconds = F.aggregate(parts, F.lit(0), lambda total, part: total * 60 + part.cast("int"))
    began = F.col("TimeGenerated").cast("double") - seconds
    return began.cast("timestamp")


def _from_device_network_events() -> Source:
    """Connections only: what was inspected or listened to is another event of the same one."""
    inbound = F.coalesce(F.col("ActionType").isin(*_OTHER_END), F.lit(False))
    remote, local = address("RemoteIP"), address("LocalIP")
    failed = F.col("ActionType") == "ConnectionFailed"
    is_connection = F.col("ActionType").isNull() | F.col("ActionType").isin(*_CONNECTIONS)
    return Source.of(
        is_connection,
        EventVendor=F.lit("Microsoft"),
        EventProduct=F.lit("M365 Defender for Endpoint"),
        EventResult=F.when(failed, "Failure").otherwise("Success"),
        Dvc=words("DeviceName"),
        DvcAction=F.lit("Allow"),
        SrcIpAddr=F.when(inbound, remote).otherwise(local),
        SrcPortNumber=F.when(inbound, port("RemotePort")).otherwise(port("LocalPort")),
        SrcHostname=F.when(~inbound, hostname("DeviceName")),
        SrcUsername=F.when(~inbound, words("InitiatingProcessAccountName")),
        SrcProcessName=F.when(~inbound, words("InitiatingProcessFileName")),
        DstIpAddr=F.when(inbound, local).otherwise(remote),
        DstPortNumber=F.when(inbound, port("LocalPort")).otherwise(port("RemotePort", "RemoteIP")),
        DstHostname=F.when(inbound, hostname("DeviceName")).otherwise(
            F.coalesce(hostname("RemoteUrl"), hostname("RemoteIP"))
        ),
        NetworkProtocol=protocol("Protocol"),
        Url=F.when(words("RemoteUrl").contains("/"), words("RemoteUrl")),
    )


def _from_asim_network_session_logs() -> Source:
    return Source.of(
        EventStartTime=start("EventStartTime"),
        EventVendor=words("EventVendor"),
        EventProduct=words("EventProduct"),
        EventResult=words("EventResult"),
        EventCount=F.col("EventCount"),
        Dvc=F.coalesce(words("DvcHostname"), words("Dvc")),
        DvcAction=F.coalesce(words("DvcAction"), F.lit("Allow")),
        SrcIpAddr=address("SrcIpAddr"),
        SrcPortNumber=port("SrcPortNumber"),
        SrcHostname=F.coalesce(hostname("SrcFQDN"), hostname("SrcHostname")),
        SrcUsername=words("SrcUsername"),
        DstIpAddr=F.coalesce(address("DstIpAddr"), address("DstHostname")),
        DstPortNumber=port("DstPortNumber", "DstIpAddr"),
        DstHostname=F.coalesce(hostname("DstFQDN"), hostname("DstHostname"), hostname("DstIpAddr")),
        NetworkProtocol=protocol("NetworkProtocol"),
        NetworkApplicationProtocol=words("NetworkApplicationProtocol"),
        NetworkSessionId=words("NetworkSessionId"),
        SrcBytes=_not_negative("SrcBytes"),
        DstBytes=_not_negative("DstBytes"),
    )


def _from_vm_connection() -> Source:
    """One row a minute and connection: kept where links were made in that minute."""
    asked = F.coalesce(
        F.get_json_object("RemoteDnsQuestions", "$[0]"),
        F.get_json_object("RemoteDnsCanonicalNames", "$[0]"),
    )
    outbound = F.lower("Direction") == "outbound"
    return Source.of(
        F.col("LinksEstablished") > 0,
        EventVendor=F.lit("Microsoft"),
        EventProduct=F.lit("VMConnection"),
        EventResult=F.lit("Success"),
        EventCount=F.col("LinksEstablished"),
        Dvc=words("Computer"),
        DvcAction=F.lit("Allow"),
        SrcIpAddr=address("SourceIp"),
        SrcHostname=F.when(outbound, hostname("Computer")),
        SrcProcessName=F.when(outbound, words("ProcessName")),
        DstIpAddr=address("DestinationIp"),
        DstPortNumber=port("DestinationPort", "DestinationIp"),
        DstHostname=F.when(outbound, hostname(asked)).otherwise(hostname("Computer")),
        NetworkProtocol=protocol("Protocol"),
        NetworkSessionId=words("ConnectionId"),
        SrcBytes=_not_negative("BytesSent"),
        DstBytes=_not_negative("BytesReceived"),
    )


def _says_denied(column: str) -> Column:
    return F.coalesce(F.lower(F.trim(column)).rlike(_DENIED), F.lit(False))


def _positive(number: Column) -> Column:
    return F.when(number > 0, number.cast("string"))


def _not_negative(column: str) -> Column:
    return F.when(F.col(column) >= 0, F.col(column))


SCHEMAS: Mapping[str, T.StructType] = {"NetworkSession": NETWORK_SESSION, "Dns": DNS}
"""View -> its columns."""
_SOURCES: Mapping[str, Mapping[str, Callable[[], Source]]] = {
    "NetworkSession": {
        "commonsecuritylog": _from_common_security_log,
        "devicenetworkevents": _from_device_network_events,
        "asimnetworksessionlogs": _from_asim_network_session_logs,
        "vmconnection": _from_vm_connection,
    },
    "Dns": dns_view.SOURCES,
}
_USED: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "NetworkSession": {
        "commonsecuritylog": (
            "TimeGenerated", "StartTime", "DeviceAction", "SourceIP", "SourcePort",
            "DestinationIP", "DestinationPort", "DestinationHostName", "RequestURL", "SentBytes",
            "ReceivedBytes", "ExtID", "ExternalID",
        ),
        "devicenetworkevents": (
            "TimeGenerated", "ActionType", "LocalIP", "LocalPort", "RemoteIP", "RemotePort",
            "RemoteUrl",
        ),
        "asimnetworksessionlogs": (
            "TimeGenerated", "EventStartTime", "DvcAction", "SrcIpAddr", "SrcPortNumber",
            "DstIpAddr", "DstPortNumber", "DstHostname", "DstFQDN", "SrcBytes", "DstBytes",
            "NetworkSessionId",
        ),
        "vmconnection": (
            "TimeGenerated", "Direction", "SourceIp", "DestinationIp", "DestinationPort",
            "LinksEstablished", "BytesSent", "BytesReceived",
        ),
    },
    "Dns": dns_view.USED,
}  # fmt: skip
