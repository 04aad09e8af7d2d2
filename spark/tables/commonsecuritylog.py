"""CommonSecurityLog: Common Event Format rows of firewalls, proxies and other appliances.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/commonsecuritylog.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="commonsecuritylog",
    columns=columns(
        string=(
            "Activity AdditionalExtensions ApplicationProtocol CollectorHostName "
            "CommunicationDirection Computer DestinationDnsDomain DestinationHostName "
            "DestinationIP DestinationMACAddress DestinationNTDomain DestinationProcessName "
            "DestinationServiceName DestinationTranslatedAddress DestinationUserID "
            "DestinationUserName DestinationUserPrivileges DeviceAction DeviceAddress "
            "DeviceCustomDate1 DeviceCustomDate1Label DeviceCustomDate2 DeviceCustomDate2Label "
            "DeviceCustomFloatingPoint1Label DeviceCustomFloatingPoint2Label "
            "DeviceCustomFloatingPoint3Label DeviceCustomFloatingPoint4Label "
            "DeviceCustomIPv6Address1 DeviceCustomIPv6Address1Label DeviceCustomIPv6Address2 "
            "DeviceCustomIPv6Address2Label DeviceCustomIPv6Address3 "
            "DeviceCustomIPv6Address3Label DeviceCustomIPv6Address4 "
            "DeviceCustomIPv6Address4Label DeviceCustomNumber1Label DeviceCustomNumber2Label "
            "DeviceCustomNumber3Label DeviceCustomString1 DeviceCustomString1Label "
            "DeviceCustomString2 DeviceCustomString2Label DeviceCustomString3 "
            "DeviceCustomString3Label DeviceCustomString4 DeviceCustomString4Label "
            "DeviceCustomString5 DeviceCustomString5Label DeviceCustomString6 "
            "DeviceCustomString6Label DeviceDnsDomain DeviceEventCategory DeviceEventClassID "
            "DeviceExternalID DeviceFacility DeviceInboundInterface DeviceMacAddress DeviceName "
            "DeviceNtDomain DeviceOutboundInterface DevicePayloadId DeviceProduct "
            "DeviceTimeZone DeviceTranslatedAddress DeviceVendor DeviceVersion EventOutcome "
            "ExtID FileCreateTime FileHash FileID FileModificationTime FileName FilePath "
            "FilePermission FileType FlexDate1 FlexDate1Label FlexNumber1Label "
            "FlexNumber2Label FlexString1 FlexString1Label FlexString2 FlexString2Label "
            "IndicatorThreatType LogSeverity MaliciousIP MaliciousIPCountry Message "
            "OldFileCreateTime OldFileHash OldFileID OldFileModificationTime OldFileName "
            "OldFilePath OldFilePermission OldFileType OriginalLogSeverity ProcessName "
            "Protocol Reason ReceiptTime RemoteIP RemotePort ReportReferenceLink "
            "RequestClientApplication RequestContext RequestCookies RequestMethod RequestURL "
            "SimplifiedDeviceAction SourceDnsDomain SourceHostName SourceIP SourceMACAddress "
            "SourceNTDomain SourceProcessName SourceServiceName SourceTranslatedAddress "
            "SourceUserID SourceUserName SourceUserPrivileges ThreatConfidence ThreatDescription"
        ),
        int=(
            "DestinationPort DestinationProcessId DestinationTranslatedPort DeviceCustomNumber1 "
            "DeviceCustomNumber2 DeviceCustomNumber3 EventCount EventType FileSize FlexNumber1 "
            "FlexNumber2 OldFileSize ProcessID SourcePort SourceProcessId SourceTranslatedPort "
            "ThreatSeverity"
        ),
        # The reference says int for ExternalID; session ids of firewalls do not fit into one.
        long=(
            "ExternalID FieldDeviceCustomNumber1 FieldDeviceCustomNumber2 "
            "FieldDeviceCustomNumber3 ReceivedBytes SentBytes"
        ),
        real=(
            "DeviceCustomFloatingPoint1 DeviceCustomFloatingPoint2 DeviceCustomFloatingPoint3 "
            "DeviceCustomFloatingPoint4 MaliciousIPLatitude MaliciousIPLongitude"
        ),
        datetime="EndTime StartTime",
    ),
    kept=(
        "TimeGenerated",
        "StartTime",
        "EndTime",
        "DeviceVendor",
        "DeviceProduct",
        "DeviceName",
        "Computer",
        "DeviceEventClassID",
        "Activity",
        "DeviceAction",
        "SimplifiedDeviceAction",
        "EventOutcome",
        "Message",
        "CommunicationDirection",
        "Protocol",
        "ApplicationProtocol",
        "SourceIP",
        "SourcePort",
        "SourceHostName",
        "SourceUserName",
        "DestinationIP",
        "DestinationPort",
        "DestinationHostName",
        "SentBytes",
        "ReceivedBytes",
        "EventCount",
        "RequestURL",
        "RequestMethod",
        "RequestClientApplication",
        "ExtID",
        "ExternalID",
        "DeviceCustomNumber1",
        "FieldDeviceCustomNumber1",
        "DeviceCustomNumber1Label",
    ),
    sorted_by=("DestinationIP", "SourceIP", "DestinationPort"),
)
