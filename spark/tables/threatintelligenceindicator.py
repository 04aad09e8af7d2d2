"""ThreatIntelligenceIndicator: indicators of compromise, as Sentinel wrote them until 2025.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/threatintelligenceindicator.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="threatintelligenceindicator",
    columns=columns(
        string=(
            "Action ActivityGroupNames AdditionalInformation ApplicationId AzureTenantId "
            "Description DiamondModel DomainName EmailEncoding EmailLanguage "
            "EmailRecipient EmailSenderAddress EmailSenderName EmailSourceDomain "
            "EmailSourceIpAddress EmailSubject EmailXMailer ExternalIndicatorId "
            "FileHashType FileHashValue FileMutexName FileName FilePacker FilePath "
            "FileType IndicatorId IndicatorProvider KnownFalsePositives MalwareNames "
            "NetworkCidrBlock NetworkDestinationCidrBlock NetworkDestinationIP NetworkIP "
            "NetworkSourceCidrBlock NetworkSourceIP Tags ThreatType "
            "TrafficLightProtocolLevel Url UserAgent"
        ),
        int=(
            "FileSize NetworkDestinationAsn NetworkDestinationPort NetworkPort "
            "NetworkProtocol NetworkSourceAsn NetworkSourcePort ThreatSeverity"
        ),
        real="ConfidenceScore",
        bool=(
            "Active KillChainActions KillChainC2 KillChainDelivery KillChainExploitation "
            "KillChainReconnaissance KillChainWeaponization PassiveOnly"
        ),
        datetime="ExpirationDateTime FileCompileDateTime FileCreatedDateTime",
    ),
    kept=(
        "TimeGenerated",
        "IndicatorId",
        "ExternalIndicatorId",
        "Active",
        "Action",
        "PassiveOnly",
        "ConfidenceScore",
        "ExpirationDateTime",
        "Description",
        "ThreatType",
        "Tags",
        "IndicatorProvider",
        "SourceSystem",
        "NetworkIP",
        "NetworkDestinationIP",
        "NetworkSourceIP",
        "EmailSourceIpAddress",
        "DomainName",
        "Url",
    ),
)
