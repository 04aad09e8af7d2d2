"""ASimNetworkSessionLogs: network sessions that were normalised when they were ingested.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/asimnetworksessionlogs.
"""

from __future__ import annotations

from spark.tables import Table, columns

_SIDES = {
    f"{side}{name}": kind
    for side in ("Src", "Dst")
    for name, kind in columns(
        string=(
            "AppId ApplicationEntityKey AppName AppType Description DeviceType Domain DomainType "
            "DvcId DvcIdType FQDN GeoCity GeoCountry GeoRegion Hostname InterfaceGuid "
            "InterfaceName IpAddr MacAddr NatIpAddr OriginalUserType SubscriptionId "
            "SystemEntityKey UserEntityKey UserId UserIdType Username UsernameType UserType "
            "VlanId Zone"
        ),
        int="NatPortNumber PortNumber",
        long="Bytes Packets",
        real="GeoLatitude GeoLongitude",
        dynamic="UserAdditionalIds",
    ).items()
}

TABLE = Table(
    name="asimnetworksessionlogs",
    columns=_SIDES
    | columns(
        string=(
            "Dvc DvcAction DvcDescription DvcDomain DvcDomainType DvcEntityKey DvcFQDN "
            "DvcHostname DvcId DvcIdType DvcInboundInterface DvcInterface DvcIpAddr DvcMacAddr "
            "DvcOriginalAction DvcOs DvcOsVersion DvcOutboundInterface DvcSubscriptionId DvcZone "
            "EventMessage EventOriginalResultDetails EventOriginalSeverity EventOriginalSubType "
            "EventOriginalType EventOriginalUid EventProduct EventProductVersion EventReportUrl "
            "EventResult EventResultDetails EventSchema EventSchemaVersion EventSeverity "
            "EventSubType EventType EventVendor NetworkApplicationProtocol "
            "NetworkConnectionHistory NetworkDirection NetworkIcmpType NetworkProtocol "
            "NetworkProtocolVersion NetworkRuleName NetworkSessionId ThreatCategory ThreatField "
            "ThreatId ThreatIpAddr ThreatName ThreatOriginalConfidence ThreatOriginalRiskLevel"
        ),
        int=(
            "EventCount NetworkDuration NetworkIcmpCode NetworkRuleNumber ThreatConfidence "
            "ThreatRiskLevel"
        ),
        long="NetworkBytes NetworkPackets",
        bool=(
            "TcpFlagsAck TcpFlagsFin TcpFlagsPsh TcpFlagsRst TcpFlagsSyn TcpFlagsUrg ThreatIsActive"
        ),
        datetime="EventEndTime EventStartTime ThreatFirstReportedTime ThreatLastReportedTime",
        dynamic="AdditionalEntities AdditionalFields",
    ),
    kept=(
        "TimeGenerated",
        "EventStartTime",
        "EventEndTime",
        "EventVendor",
        "EventProduct",
        "EventType",
        "EventResult",
        "EventCount",
        "Dvc",
        "DvcHostname",
        "DvcAction",
        "SrcIpAddr",
        "SrcPortNumber",
        "SrcHostname",
        "SrcFQDN",
        "SrcUsername",
        "SrcBytes",
        "DstIpAddr",
        "DstPortNumber",
        "DstHostname",
        "DstFQDN",
        "DstBytes",
        "NetworkProtocol",
        "NetworkApplicationProtocol",
        "NetworkDirection",
        "NetworkDuration",
        "NetworkSessionId",
    ),
    sorted_by=("DstIpAddr", "SrcIpAddr", "DstPortNumber"),
)
