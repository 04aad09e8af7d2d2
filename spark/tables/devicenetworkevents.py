"""DeviceNetworkEvents: connections that Defender for Endpoint saw on a device.

Columns: learn.microsoft.com/azure/azure-monitor/reference/tables/devicenetworkevents.
"""

from __future__ import annotations

from spark.tables import Table, columns

TABLE = Table(
    name="devicenetworkevents",
    columns=columns(
        string=(
            "ActionType AdditionalFields AppGuardContainerId DeviceId DeviceName "
            "InitiatingProcessAccountDomain InitiatingProcessAccountName "
            "InitiatingProcessAccountObjectId InitiatingProcessAccountSid "
            "InitiatingProcessAccountUpn InitiatingProcessCommandLine InitiatingProcessFileName "
            "InitiatingProcessFolderPath InitiatingProcessIntegrityLevel InitiatingProcessMD5 "
            "InitiatingProcessParentFileName InitiatingProcessRemoteSessionDeviceName "
            "InitiatingProcessRemoteSessionIP InitiatingProcessSHA1 InitiatingProcessSHA256 "
            "InitiatingProcessTokenElevation InitiatingProcessUniqueId "
            "InitiatingProcessVersionInfoCompanyName "
            "InitiatingProcessVersionInfoFileDescription "
            "InitiatingProcessVersionInfoInternalFileName "
            "InitiatingProcessVersionInfoOriginalFileName "
            "InitiatingProcessVersionInfoProductName "
            "InitiatingProcessVersionInfoProductVersion LocalIP LocalIPType MachineGroup "
            "Protocol RemoteIP RemoteIPType RemoteUrl"
        ),
        int="LocalPort RemotePort",
        long=(
            "InitiatingProcessFileSize InitiatingProcessId InitiatingProcessParentId "
            "InitiatingProcessSessionId LogonID ReportId"
        ),
        bool="IsInitiatingProcessRemoteSession",
        datetime="InitiatingProcessCreationTime InitiatingProcessParentCreationTime Timestamp",
    ),
    kept=(
        "TimeGenerated",
        "DeviceId",
        "DeviceName",
        "ActionType",
        "LocalIP",
        "LocalPort",
        "RemoteIP",
        "RemotePort",
        "RemoteUrl",
        "Protocol",
        "InitiatingProcessFileName",
        "InitiatingProcessFolderPath",
        "InitiatingProcessCommandLine",
        "InitiatingProcessId",
        "InitiatingProcessSHA1",
        "InitiatingProcessAccountDomain",
        "InitiatingProcessAccountName",
        "InitiatingProcessParentFileName",
        "ReportId",
    ),
    sorted_by=("RemoteIP", "DeviceName", "RemotePort"),
)
