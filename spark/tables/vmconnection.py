"""VMConnection: connections of monitored machines, summed up by the minute.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/vmconnection.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="vmconnection",
    columns=columns(
        string=(
            "AgentId Computer Confidence ConnectionId Description DestinationIp Direction "
            "FirstReportedDateTime IndicatorThreatType IsActive LastReportedDateTime Machine "
            "MaliciousIp Process ProcessName Protocol RemoteClassification RemoteCountry "
            "RemoteIp SourceIp TLPLevel"
        ),
        int="DestinationPort Severity",
        long=(
            "BytesReceived BytesSent LinksEstablished LinksFailed LinksLive LinksTerminated "
            "ResponseTimeMax ResponseTimeMin ResponseTimeSum Responses"
        ),
        real="RemoteLatitude RemoteLongitude",
        dynamic="RemoteDnsCanonicalNames RemoteDnsQuestions",
    ),
    kept=(
        "TimeGenerated",
        "Computer",
        "Direction",
        "ProcessName",
        "SourceIp",
        "DestinationIp",
        "DestinationPort",
        "Protocol",
        "RemoteIp",
        "RemoteDnsCanonicalNames",
        "RemoteDnsQuestions",
        "BytesSent",
        "BytesReceived",
        "LinksEstablished",
        "LinksFailed",
        "LinksLive",
        "ConnectionId",
    ),
    sorted_by=("DestinationIp", "SourceIp", "DestinationPort"),
)
