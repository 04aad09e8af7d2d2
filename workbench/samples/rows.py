"""Exported lines of the demo tenant: full-width CommonSecurityLog rows.

Columns are in alphabetical order, as Log Analytics exports them. Each vendor fills its own
columns; what it has no word for is empty or null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from workbench.samples.dialects import DIALECTS, Clock, Record, Row
from workbench.samples.tenant import COLLECTOR, FIREWALLS, TENANT_ID, WORKSPACE, Host
from workbench.samples.traffic import Flow

_ENCODE = json.JSONEncoder(separators=(",", ":"), check_circular=False).encode
_LINGER = {"fortinet": 180.0, "paloalto": 30.0, "checkpoint": 40.0, "cisco": 120.0}
"""A UDP session has no end: it is written down when it has been idle for so many seconds."""
_EMPTY = (
    "ApplicationProtocol", "CommunicationDirection", "DestinationHostName",
    "DestinationTranslatedAddress", "DestinationUserName", "DeviceCustomString1",
    "DeviceCustomString1Label", "DeviceCustomString2", "DeviceCustomString2Label",
    "DeviceCustomString3", "DeviceCustomString3Label", "DeviceEventCategory", "DeviceFacility",
    "DeviceInboundInterface", "DeviceOutboundInterface", "EventOutcome", "ExtID",
    "MaliciousIP", "Message", "OriginalLogSeverity", "Reason", "ReceiptTime", "RemoteIP",
    "RemotePort", "RequestURL", "SourceHostName", "SourceMACAddress", "SourceServiceName",
    "SourceTranslatedAddress", "SourceUserID", "SourceUserName",
)  # fmt: skip


def records(flow: Flow) -> Iterator[Record]:
    """When a connection shows in its firewall's log: at its end, on an ASA at its start too."""
    if flow.outcome in ("deny", "fail"):
        yield Record(flow.at, True, flow)
        return
    if flow.proto == "udp":
        flow = flow._replace(seconds=flow.seconds + _LINGER[flow.firewall])
    if flow.firewall == "cisco":
        yield Record(flow.at, True, flow)
    yield Record(flow.at + flow.seconds, False, flow)


def line(record: Record, hosts: dict[str, Host], clock: Clock) -> bytes:
    """The exported JSON line of a record, without its end."""
    flow = record.flow
    row = _BASES[flow.firewall] | _common(record, clock)
    row |= DIALECTS[flow.firewall](record, hosts.get(flow.source), clock)
    return _ENCODE(row).encode()


def _common(record: Record, clock: Clock) -> Row:
    flow = record.flow
    ticks = int(record.at * 1e7)
    return {
        "DestinationIP": flow.target,
        "DestinationPort": flow.port,
        "SourceIP": flow.source,
        "SourcePort": flow.source_port,
        "TimeGenerated": clock.text(record.at),
        "_ItemId": f"{flow.session:08x}-{ticks & 0xFFFF:04x}-4e1a-9{ticks >> 16 & 0xFFF:03x}"
        f"-{ticks >> 28:08x}{flow.source_port:04x}",
    }


def _base(vendor: str, **fixed: Any) -> Row:
    firewall = FIREWALLS[vendor]
    row: Row = dict.fromkeys(_EMPTY, "") | {
        "Activity": "", "AdditionalExtensions": "", "CollectorHostName": "cef-collector-01",
        "Computer": firewall.name, "DestinationIP": "", "DestinationPort": 0, "DeviceAction": "",
        "DeviceAddress": firewall.address, "DeviceExternalID": firewall.serial,
        "DeviceEventClassID": "", "DeviceName": firewall.name, "LogSeverity": "3", "Protocol": "",
        "ReceivedBytes": None, "SentBytes": None, "SimplifiedDeviceAction": "", "SourceIP": "",
        "SourcePort": 0, "SourceSystem": "OpsManager", "TenantId": TENANT_ID, "TimeGenerated": "",
        "Type": "CommonSecurityLog", "_Internal_WorkspaceResourceId": WORKSPACE, "_ItemId": "",
        "_ResourceId": COLLECTOR,
    }  # fmt: skip
    return dict(sorted((row | fixed).items()))


_BASES: dict[str, Row] = {
    "fortinet": _base(
        "fortinet", DeviceVendor="Fortinet", DeviceProduct="Fortigate", DeviceVersion="v7.4.3",
        DeviceInboundInterface="port2", DeviceOutboundInterface="port1", ExternalID=0,
        SourceTranslatedPort=None, StartTime="",
    ),
    "paloalto": _base(
        "paloalto", DeviceVendor="Palo Alto Networks", DeviceProduct="PAN-OS",
        DeviceVersion="10.2.7", Activity="TRAFFIC", LogSeverity="1", DeviceCustomNumber1=None,
        DeviceCustomNumber1Label="SessionID", DeviceCustomNumber2=0,
        DeviceCustomNumber2Label="Packets", DeviceCustomNumber3=0,
        DeviceCustomNumber3Label="Elapsed time in seconds", DeviceCustomString1Label="Rule",
        DeviceCustomString2="any", DeviceCustomString2Label="URL Category",
        DeviceCustomString3="vsys1", DeviceCustomString3Label="Virtual System",
        DeviceCustomString4="", DeviceCustomString4Label="Source Zone", DeviceCustomString5="",
        DeviceCustomString5Label="Destination Zone", DeviceCustomString6="sentinel",
        DeviceCustomString6Label="LogProfile", DestinationTranslatedPort=0, EventCount=1,
        FieldDeviceCustomNumber1=0, FlexNumber1=0, FlexNumber1Label="Total bytes",
        FlexString1="0x19", FlexString1Label="Flags", SourceTranslatedPort=0, StartTime="",
    ),
    "checkpoint": _base(
        "checkpoint", DeviceVendor="Check Point", DeviceProduct="VPN-1 & FireWall-1",
        DeviceVersion="Check Point", DeviceEventClassID="Log", LogSeverity="Unknown",
        DeviceCustomNumber1=0, DeviceCustomNumber1Label="Elapsed",
        DeviceCustomString2Label="Rule Name", DestinationTranslatedPort=None, EndTime="",
        SourceTranslatedPort=None, StartTime="",
    ),
    "cisco": _base(
        "cisco", DeviceVendor="Cisco", DeviceProduct="ASA", DeviceVersion="9.16",
        DeviceCustomString2Label="NetworkRuleName", DeviceFacility="local4",
        DeviceInboundInterface="dmz", DeviceOutboundInterface="outside",
    ),
}  # fmt: skip
