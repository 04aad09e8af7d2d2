"""DeviceNetworkEvents: the same connections as the sensors of a few workstations tell them."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from workbench.samples.dialects import Clock
from workbench.samples.tenant import TENANT_ID, WORKSPACE, Host, Tenant
from workbench.samples.traffic import Flow

_FOLDERS = {
    "msedge.exe": "c:\\program files (x86)\\microsoft\\edge\\application\\msedge.exe",
    "outlook.exe": "c:\\program files\\microsoft office\\root\\office16\\outlook.exe",
    "shieldsvc.exe": "c:\\program files\\shieldgrid\\shieldsvc.exe",
}


def sensors(tenant: Tenant) -> dict[str, Host]:
    """Address -> host, for the workstations that have a sensor."""
    hosts = [*tenant.of("fortinet", "ops")[1:2], *tenant.of("fortinet", "desk")[:3]]
    return {host.ip: host for host in hosts}


def sees(flow: Flow) -> bool:
    """The sensor tells of TCP connections that came about, once each."""
    return flow.proto == "tcp" and flow.outcome == "allow"


def line(flow: Flow, host: Host, clock: Clock) -> bytes:
    """The exported JSON line of a connection, without its end; its time is the beginning."""
    program = flow.program or "svchost.exe"
    digest = hashlib.sha256(program.encode()).hexdigest()
    row: dict[str, Any] = {
        "ActionType": "ConnectionSuccess",
        "AdditionalFields": "",
        "AppGuardContainerId": "",
        "DeviceId": hashlib.sha256(host.name.encode()).hexdigest()[:40],
        "DeviceName": f"{host.name}.corp.example.com",
        "InitiatingProcessAccountDomain": "corp",
        "InitiatingProcessAccountName": host.user,
        "InitiatingProcessAccountSid": f"S-1-5-21-1004336348-1177238915-682003330-{host.ip[-2:]}",
        "InitiatingProcessCommandLine": f'"{program}"',
        "InitiatingProcessFileName": program,
        "InitiatingProcessFolderPath": _FOLDERS.get(program, f"c:\\windows\\system32\\{program}"),
        "InitiatingProcessId": int(digest[:3], 16) * 4 + 400,
        "InitiatingProcessIntegrityLevel": "Medium",
        "InitiatingProcessMD5": digest[:32],
        "InitiatingProcessParentFileName": "explorer.exe",
        "InitiatingProcessParentId": 1044,
        "InitiatingProcessSHA1": digest[:40],
        "InitiatingProcessSHA256": digest,
        "InitiatingProcessTokenElevation": "TokenElevationTypeDefault",
        "LocalIP": host.ip,
        "LocalIPType": "Private",
        "LocalPort": flow.source_port,
        "MachineGroup": "workstations",
        "Protocol": "Tcp",
        "RemoteIP": flow.target,
        "RemoteIPType": "Private" if flow.target.startswith("10.") else "Public",
        "RemotePort": flow.port,
        "RemoteUrl": flow.name,
        "ReportId": flow.session % 1_000_000,
        "SourceSystem": "",
        "TenantId": TENANT_ID,
        "TimeGenerated": clock.text(flow.at),
        "Timestamp": clock.text(flow.at),
        "Type": "DeviceNetworkEvents",
        "_Internal_WorkspaceResourceId": WORKSPACE,
    }
    return json.dumps(row, separators=(",", ":")).encode()
