"""DnsEvents: lookups and their answers, as the agent on Windows DNS servers logs them.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/dnsevents.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="dnsevents",
    columns=columns(
        string=(
            "ClientIP Computer Confidence Description IPAddresses IndicatorThreatType "
            "MaliciousIP Message Name QueryType RemoteIPCountry Result SubType "
            "TaskCategory"
        ),
        int="EventId ResultCode Severity",
        real="RemoteIPLatitude RemoteIPLongitude",
    ),
    kept=(
        "TimeGenerated",
        "Computer",
        "SubType",
        "EventId",
        "ClientIP",
        "Name",
        "QueryType",
        "IPAddresses",
        "ResultCode",
        "Result",
    ),
)
