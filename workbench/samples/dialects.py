"""How each firewall words a connection: the columns that differ from row to row.

Vocabulary after FortiOS, PAN-OS, Check Point's log exporter and the ASA's messages
302013-302016 and 106023, as Sentinel's connectors store them.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from workbench.samples.tenant import FIREWALLS, Host, mac_of
from workbench.samples.traffic import Flow

Row = dict[str, Any]
_NO_NAT = "0.0.0.0"  # noqa: S104 - nothing is bound: PAN-OS writes this for "not translated"
_SERVICES = {
    # port: (Fortinet's service, Palo Alto's application, Check Point's service)
    53: ("DNS", "dns-base", "domain-udp"),
    80: ("HTTP", "web-browsing", "http"),
    123: ("NTP", "ntp-base", "ntp-udp"),
    138: ("SAMBA", "netbios-dg", "nbdatagram"),
    443: ("HTTPS", "ssl", "https"),
    445: ("SMB", "ms-ds-smbv3", "microsoft-ds"),
    993: ("IMAPS", "imap", "IMAP-SSL"),
    3389: ("RDP", "ms-rdp", "Remote_Desktop_Protocol"),
    5432: ("POSTGRESQL", "postgres", "postgresql"),
}


class Record(NamedTuple):
    """One row to be: when the firewall writes it, and whether the connection begins or ends."""

    at: float
    begins: bool
    flow: Flow


class Clock(NamedTuple):
    """Seconds since the start of the first day -> the text of an exported time."""

    midnight: datetime

    def text(self, at: float) -> str:
        """ISO 8601 with seven fractional digits and a Z."""
        ticks = int(at * 10_000_000)
        moment = self.midnight + timedelta(microseconds=ticks // 10)
        return f"{moment.isoformat(timespec='microseconds')[:26]}{ticks % 10}Z"

    def epoch(self, at: float) -> int:
        """Seconds since 1970."""
        return int(self.midnight.timestamp() + at)


def _fortinet(record: Record, host: Host | None, clock: Clock) -> Row:
    flow = record.flow
    action = {"deny": "deny", "fail": "timeout", "interim": "accept"}.get(
        flow.outcome, "close" if flow.proto == "tcp" else "accept"
    )
    log = "0000000020" if flow.outcome == "interim" else "0000000013"
    service = _service(flow, 0)
    known = host is not None
    more = {
        "FTNTFGTeventtime": f"{clock.epoch(record.at)}{int(record.at * 1e9) % 10**9:09d}",
        "FTNTFGTtz": "+0000", "FTNTFGTlogid": log, "cat": "traffic:forward",
        "FTNTFGTsubtype": "forward", "FTNTFGTlevel": "notice", "FTNTFGTvd": "root",
        "FTNTFGTsrcintfrole": "lan" if known else "wan", "FTNTFGTdstintfrole": "wan",
        "FTNTFGTsrccountry": "Reserved", "FTNTFGTdstcountry": "Reserved",
        "FTNTFGTpolicyid": "0" if action == "deny" else "7", "FTNTFGTpolicytype": "policy",
        "FTNTFGTservice": service, "FTNTFGTtrandisp": "noop" if action == "deny" else "snat",
        "FTNTFGTduration": str(int(flow.seconds)), "FTNTFGTsentpkt": str(flow.sent // 900 + 1),
        "FTNTFGTrcvdpkt": str(flow.received // 1200), "FTNTFGTappcat": "unscanned",
    }  # fmt: skip
    return {
        "Activity": f"traffic:forward {action}",
        "AdditionalExtensions": _pairs(more),
        "ApplicationProtocol": service,
        "CommunicationDirection": "1" if known else "0",
        "DestinationHostName": flow.name,
        "DeviceAction": action,
        "DeviceEventClassID": log[-5:],
        "ExternalID": flow.session,
        "ExtID": str(flow.session),
        "LogSeverity": "4" if action == "deny" else "3",
        "Protocol": "6" if flow.proto == "tcp" else "17",
        "ReceivedBytes": flow.received,
        "SentBytes": flow.sent,
        "SimplifiedDeviceAction": {"deny": "Deny", "accept": "Accept"}.get(action, action),
        "SourceHostName": host.name if host else "",
        "SourceMACAddress": mac_of(flow.source) if known else "",
        "SourceTranslatedAddress": "" if action == "deny" else FIREWALLS["fortinet"].outside,
        "SourceTranslatedPort": None if action == "deny" else flow.source_port,
        "SourceUserName": host.user.upper() if host else "",
        "StartTime": clock.text(flow.at),
    }


def _paloalto(record: Record, host: Host | None, clock: Clock) -> Row:
    flow = record.flow
    denied = flow.outcome == "deny"
    reason = {"deny": "policy-deny", "fail": "aged-out"}.get(flow.outcome, "tcp-fin")
    packets = flow.sent // 900 + flow.received // 1200 + 2
    zones = ("trust" if host else "untrust", _zone(flow.target))
    more = {
        "PanOSPacketsReceived": str(packets // 2), "PanOSPacketsSent": str(packets - packets // 2),
        "start": clock.text(flow.at), "PanOSDGl1": "0", "PanOSDGl2": "0", "PanOSDGl3": "0",
        "PanOSDGl4": "0", "PanOSVsysName": "vsys1", "cat": "from-policy",
        "PanOSActionFlags": "0x8000000000000000", "PanOSTunnelID": "0", "PanOSTunnelType": "N/A",
    }  # fmt: skip
    return {
        "AdditionalExtensions": _pairs(more),
        "ApplicationProtocol": "not-applicable" if denied else _service(flow, 1),
        "DeviceAction": "deny" if denied else "allow",
        "DeviceCustomNumber2": packets,
        "DeviceCustomNumber3": int(flow.seconds),
        "DeviceCustomString1": "interzone-default" if denied else "allow-out",
        "DeviceCustomString4": zones[0],
        "DeviceCustomString5": zones[1],
        "DeviceEventClassID": "drop" if denied else "end",
        "DeviceInboundInterface": f"ethernet1/{1 if host else 2}",
        "DeviceOutboundInterface": f"ethernet1/{2 if host else 1}",
        "EventCount": 1,
        "FieldDeviceCustomNumber1": flow.session,
        "FlexNumber1": min(flow.sent + flow.received, 2**31 - 1),
        "Protocol": flow.proto,
        "Reason": "aged-out" if flow.proto == "udp" else reason,
        "ReceiptTime": clock.text(record.at),
        "ReceivedBytes": flow.received,
        "SentBytes": flow.sent,
        "SimplifiedDeviceAction": "Deny" if denied else "Allow",
        "SourceTranslatedAddress": _NO_NAT if denied else FIREWALLS["paloalto"].outside,
        "SourceTranslatedPort": 0 if denied else flow.source_port,
        "StartTime": clock.text(flow.at),
    }


def _checkpoint(record: Record, host: Host | None, clock: Clock) -> Row:
    flow = record.flow
    action = "Drop" if flow.outcome == "deny" else "Accept"
    service = _service(flow, 2)
    more = {
        "layer_name": "Network", "layer_uuid": "b406b732-2437-4848-9741-6eae1f5bf112",
        "match_id": "4" if action == "Accept" else "99", "parent_rule": "0", "rule_action": action,
        "rule_uid": "9e5e6e74-aa9a-4693-b9fe-53712dd27bea", "ifname": "eth1", "logid": "0",
        "loguid": f"{{0x{clock.epoch(record.at):x},0x{flow.session & 0xFF:x},0x1e0a010a,"
        f"0x{flow.session:x}}}",
        "origin": FIREWALLS["checkpoint"].address, "sequencenum": str(flow.session % 97),
        "originsicname": "CN=cp-branch-01,O=branch..wj6ide", "version": "5",
        "inzone": "Internal" if host else "External", "outzone": "External",
        "product": "VPN-1 & FireWall-1", "service_id": service,
        "start_time": str(clock.epoch(flow.at)),
    }  # fmt: skip
    return {
        "Activity": service,
        "AdditionalExtensions": _pairs(more),
        "ApplicationProtocol": service.upper(),
        "CommunicationDirection": "1" if host else "0",
        "DeviceAction": action,
        "DeviceCustomNumber1": int(flow.seconds),
        "DeviceCustomString2": "Cleanup" if action == "Drop" else "Branch to internet",
        "EndTime": clock.text(record.at),
        "Protocol": "6" if flow.proto == "tcp" else "17",
        "ReceiptTime": f"{clock.epoch(record.at)}000",
        "ReceivedBytes": None if action == "Drop" else flow.received,
        "SentBytes": None if action == "Drop" else flow.sent,
        "SimplifiedDeviceAction": action,
        "SourceTranslatedAddress": FIREWALLS["checkpoint"].outside if action == "Accept" else "",
        "SourceTranslatedPort": flow.source_port if action == "Accept" else None,
        "StartTime": clock.text(flow.at),
    }


def _cisco(record: Record, host: Host | None, clock: Clock) -> Row:
    flow, denied = record.flow, record.flow.outcome == "deny"
    direction = "outbound" if host and _zone(flow.target) == "untrust" else "inbound"
    number = _asa_message(record)
    action = "Deny" if denied else "Built" if record.begins else "Teardown"
    severity = "4" if denied else "6"
    return {
        "Activity": f"{action} {flow.proto.upper()} connection",
        "CommunicationDirection": direction.capitalize(),
        "DeviceAction": action,
        "DeviceCustomString2": "outside_access_in" if denied else "",
        "DeviceEventClassID": number,
        "LogSeverity": severity,
        "Message": f"%ASA-{severity}-{number}: {_asa_text(record, number, direction)}",
        "OriginalLogSeverity": severity,
        "Protocol": flow.proto.upper(),
        "ReceiptTime": clock.text(record.at),
        "SimplifiedDeviceAction": "Deny" if denied else "Allow" if record.begins else "Teardown",
    }


def _asa_message(record: Record) -> str:
    if record.flow.outcome == "deny":
        return "106023"
    built, ended = ("302013", "302014") if record.flow.proto == "tcp" else ("302015", "302016")
    return built if record.begins else ended


def _asa_text(record: Record, number: str, direction: str) -> str:
    flow, proto = record.flow, record.flow.proto
    source, target = f"{flow.source}/{flow.source_port}", f"{flow.target}/{flow.port}"
    if number == "106023":
        return (
            f"Deny {proto} src outside:{source} dst dmz:{target} by access-group "
            f'"outside_access_in" [0x{flow.session:x}, 0x0]'
        )
    ends = (f"{_interface(flow.source)}:{source}", f"{_interface(flow.target)}:{target}")
    first, second = reversed(ends) if direction == "outbound" else ends
    if record.begins:
        mapped = f"{FIREWALLS['cisco'].outside}/{flow.source_port}"
        nat = (target, mapped) if direction == "outbound" else (source, target)
        return (
            f"Built {direction} {proto.upper()} connection {flow.session} for {first} "
            f"({nat[0]}) to {second} ({nat[1]})"
        )
    minutes, seconds = divmod(int(flow.seconds), 60)
    return (
        f"Teardown {proto.upper()} connection {flow.session} for {first} to "
        f"{second} duration {minutes // 60}:{minutes % 60:02d}:{seconds:02d} "
        f"bytes {flow.sent + flow.received}{' TCP FINs' if proto == 'tcp' else ''}"
    )


def _service(flow: Flow, vendor: int) -> str:
    unknown = (f"{flow.proto}/{flow.port}", f"unknown-{flow.proto}", f"{flow.proto}-high-ports")
    return _SERVICES.get(flow.port, unknown)[vendor]


def _interface(address: str) -> str:
    return "dmz" if address.startswith("10.40.") else "inside" if _internal(address) else "outside"


def _internal(address: str) -> bool:
    return address.startswith("10.")


def _zone(address: str) -> str:
    return "trust" if _internal(address) else "untrust"


def _pairs(values: dict[str, str]) -> str:
    return ";".join(f"{name}={value}" for name, value in values.items())


DIALECTS: dict[str, Callable[[Record, Host | None, Clock], Row]] = {
    "fortinet": _fortinet,
    "paloalto": _paloalto,
    "checkpoint": _checkpoint,
    "cisco": _cisco,
}
