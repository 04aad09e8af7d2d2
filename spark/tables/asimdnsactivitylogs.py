"""ASimDnsActivityLogs: DNS activity that was normalised when it was ingested.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/asimdnsactivitylogs.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="asimdnsactivitylogs",
    columns=columns(
        dynamic="AdditionalFields",
        string=(
            "DnsFlags DnsQuery DnsQueryClassName DnsQueryTypeName DnsResponseCodeName "
            "DnsResponseIpCity DnsResponseIpCountry DnsResponseIpRegion DnsResponseName "
            "DnsSessionId Dst DstDescription DstDeviceType DstDomain DstDomainType "
            "DstDvcId DstDvcIdType DstDvcScope DstDvcScopeId DstFQDN DstGeoCity "
            "DstGeoCountry DstGeoRegion DstHostname DstIpAddr DstOriginalRiskLevel Dvc "
            "DvcAction DvcDescription DvcDomain DvcDomainType DvcFQDN DvcHostname DvcId "
            "DvcIdType DvcInterface DvcIpAddr DvcMacAddr DvcOriginalAction DvcOs "
            "DvcOsVersion DvcScope DvcScopeId DvcZone EventMessage EventOriginalSeverity "
            "EventOriginalType EventOriginalUid EventOwner EventProduct "
            "EventProductVersion EventReportUrl EventResult EventResultDetails "
            "EventSchema EventSchemaVersion EventSeverity EventSubType EventType "
            "EventVendor NetworkProtocol NetworkProtocolVersion RuleName Src "
            "SrcDescription SrcDeviceType SrcDomain SrcDomainType SrcDvcId SrcDvcIdType "
            "SrcDvcScope SrcDvcScopeId SrcFQDN SrcGeoCity SrcGeoCountry SrcGeoRegion "
            "SrcHostname SrcIpAddr SrcOriginalRiskLevel SrcOriginalUserType "
            "SrcProcessGuid SrcProcessId SrcProcessName SrcUserId SrcUserIdType "
            "SrcUserScope SrcUserScopeId SrcUserSessionId SrcUserType SrcUsername "
            "SrcUsernameType ThreatCategory ThreatField ThreatFirstReportedTime ThreatId "
            "ThreatIpAddr ThreatLastReportedTime ThreatName ThreatOriginalConfidence "
            "ThreatOriginalRiskLevel_s TransactionIdHex UrlCategory"
        ),
        bool=(
            "DnsFlagsAuthenticated DnsFlagsAuthoritative DnsFlagsCheckingDisabled "
            "DnsFlagsRecursionAvailable DnsFlagsRecursionDesired DnsFlagsTruncated "
            "DnsFlagsZ ThreatIsActive"
        ),
        int=(
            "DnsNetworkDuration DnsQueryClass DnsQueryType DnsResponseCode DstPortNumber "
            "DstRiskLevel EventCount RuleNumber SrcPortNumber SrcRiskLevel "
            "ThreatConfidence ThreatOriginalRiskLevel ThreatRiskLevel"
        ),
        real=(
            "DnsResponseIpLatitude DnsResponseIpLongitude DstGeoLatitude DstGeoLongitude "
            "SrcGeoLatitude SrcGeoLongitude"
        ),
        datetime=("EventEndTime EventStartTime ThreatFirstReportedTime_d ThreatLastReportedTime_d"),
    ),
    kept=(
        "TimeGenerated",
        "EventStartTime",
        "EventVendor",
        "EventProduct",
        "EventType",
        "EventSubType",
        "EventResult",
        "EventResultDetails",
        "EventCount",
        "Dvc",
        "DvcHostname",
        "DvcAction",
        "SrcIpAddr",
        "SrcPortNumber",
        "SrcHostname",
        "SrcFQDN",
        "SrcUsername",
        "SrcProcessName",
        "DstIpAddr",
        "DstPortNumber",
        "NetworkProtocol",
        "DnsQuery",
        "DnsQueryType",
        "DnsQueryTypeName",
        "DnsResponseCodeName",
        "DnsResponseName",
        "DnsSessionId",
        "TransactionIdHex",
    ),
)
