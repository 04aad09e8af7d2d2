"""Made exports: CommonSecurityLog rows of 66 columns and about 2.5 kB, in 288 blobs a day."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from shared import contract as c

TABLE = "commonsecuritylog"
BLOB_SECONDS = 300
FIXED = {
    "TenantId": "7f2c8a54-0c3e-4d1b-9a65-2f6a1c0e9b11",
    "SourceSystem": "OpsManager",
    "Type": "CommonSecurityLog",
    "_Internal_WorkspaceResourceId": "/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/"
    "resourcegroups/soc/providers/microsoft.operationalinsights/workspaces/contoso",
    "_ResourceId": "/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc/"
    "providers/microsoft.compute/virtualmachines/collector-01",
    "_SubscriptionId": "5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11",
    "MG": "00000000-0000-0000-0000-000000000001",
    "DeviceVendor": "Fortinet",
    "DeviceProduct": "Fortigate",
    "DeviceVersion": "v7.4.3",
    "DeviceName": "fw-edge-01",
    "DeviceAddress": "10.0.0.1",
    "DeviceExternalID": "FG1K0F3917000001",
    "DeviceFacility": "local7",
    "DeviceEventClassID": "00013",
    "DeviceEventCategory": "traffic:forward",
    "DeviceInboundInterface": "port3-lan",
    "DeviceOutboundInterface": "port1-wan",
    "DeviceTimeZone": "+0000",
    "Computer": "collector-01",
    "CollectorHostName": "collector-01",
    "Activity": "traffic:forward close",
    "LogSeverity": "3",
    "OriginalLogSeverity": "notice",
    "SimplifiedDeviceAction": "Accept",
    "CommunicationDirection": "Outbound",
    "SourceNTDomain": "CORP",
    "SourceUserPrivileges": "user",
    "DestinationDnsDomain": "",
    "DestinationServiceName": "web-browsing",
    "DestinationNTDomain": "",
    "DeviceCustomString1Label": "policy",
    "DeviceCustomString1": "allow-outbound-web",
    "DeviceCustomString2Label": "application",
    "DeviceCustomString3Label": "country",
    "DeviceCustomString3": "United States",
    "DeviceCustomString4Label": "profile",
    "DeviceCustomString4": "default-utm-profile-with-deep-inspection",
    "DeviceCustomString5Label": "vdom",
    "DeviceCustomString5": "root",
    "DeviceCustomString6Label": "zone",
    "DeviceCustomString6": "trust-to-untrust",
    "DeviceCustomNumber1Label": "sessionid",
    "DeviceCustomNumber2Label": "duration",
    "EventOutcome": "success",
    "ThreatConfidence": "",
    "IndicatorThreatType": "",
}
"""Columns that say the same on every row; with the others below they are 66."""
EXTENSION = (
    "logid=0000000013;FTNTFGTsubtype=forward;FTNTFGTvd=root;FTNTFGTeventtime=%(clock)d;"
    "FTNTFGTpolicyid=%(policy)d;FTNTFGTpoluuid=b1ac58c6-61b4-51ee-1c3c-%(policy)012d;"
    "FTNTFGTtransport=%(sport)d;FTNTFGTduration=%(lasts)d;FTNTFGTsentpkt=%(packets)d;"
    "FTNTFGTsrcmac=00:0c:29:%(host)02x:5d:9a;FTNTFGTdstcountry=United States;FTNTFGTcrscore=5"
)
VARYING = (
    '"TimeGenerated":"%(time)s","ReceiptTime":"%(time)s","EndTime":"%(time)s",'
    '"StartTime":"%(time)s","SourceIP":"10.1.%(high)d.%(low)d","SourcePort":%(sport)d,'
    '"SourceHostName":"pc-%(host)04d","SourceUserName":"user%(host)04d",'
    '"SourceMACAddress":"00:0c:29:%(host)02x:5d:9a","DestinationIP":"%(to)s",'
    '"DestinationPort":%(port)d,"DestinationHostName":"%(name)s","Protocol":"TCP",'
    '"ApplicationProtocol":"HTTPS","SentBytes":%(sent)d,"ReceivedBytes":%(got)d,'
    '"ExternalID":%(session)d,"DeviceCustomString2":"app-%(policy)d","AdditionalExtensions":"'
    + EXTENSION
    + '"'
)
ROW = json.dumps(FIXED, separators=(",", ":")).replace("%", "%%")[:-1] + "," + VARYING + "}\n"
HOSTS, PLACES = 250, 5_000


def write_day(
    container: Path, workspace: str, start: datetime, rows: int, world: tuple[int, int]
) -> int:
    """Write one day's blobs below a table's container; how many bytes there are.

    A world has a seed, and so many hosts.
    """
    (seed, hosts), written = world, 0
    dice = np.random.default_rng([seed, start.toordinal()])
    seconds = np.sort(np.concatenate([dice.random(rows - rows // 10) * 86_400, _beats(rows // 10)]))
    columns = _columns(dice, len(seconds), hosts)
    ends = np.searchsorted(seconds, np.arange(1, 289) * BLOB_SECONDS)
    first = 0
    for number, last in enumerate(ends):
        lines = [
            ROW % _row(start, float(seconds[n]), {k: v[n] for k, v in columns.items()})
            for n in range(first, int(last))
        ]
        at = start + timedelta(seconds=number * BLOB_SECONDS)
        folder = container / c.export_hour_folder(workspace, c.hour_key(at)) / f"m={at:%M}"
        folder.mkdir(parents=True)
        content = "".join(lines).encode()
        (folder / "PT05M.json").write_bytes(content)
        first, written = int(last), written + len(content)
    return written


def _beats(count: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """A tenth of the rows come by the clock."""
    return np.linspace(0, 86_399, count) if count else np.zeros(0)


def _columns(
    dice: np.random.Generator, count: int, hosts: int
) -> dict[str, np.ndarray[tuple[int], np.dtype[np.int64]]]:
    place = np.minimum(dice.zipf(1.3, count), PLACES).astype(np.int64)
    return {
        "host": dice.integers(0, hosts, count),
        "place": place,
        "sport": dice.integers(1024, 65_536, count),
        "sent": (dice.lognormal(7, 1, count)).astype(np.int64),
        "got": (dice.lognormal(9, 2, count)).astype(np.int64),
        "session": dice.integers(1, 2**40, count),
    }


def _row(start: datetime, second: float, row: dict[str, int]) -> dict[str, object]:
    host, place, sport = int(row["host"]), int(row["place"]), int(row["sport"])
    moment = start + timedelta(seconds=second)
    return {
        **row,
        "time": f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z",
        "clock": int(moment.timestamp()),
        "high": host // 250,
        "low": host % 250 + 1,
        "to": f"198.{18 + place // 65_536}.{place // 256 % 256}.{place % 256}",
        "port": 443 if place % 7 else 8443,
        "name": f"site{place:05d}.example.com",
        "policy": place % 40,
        "lasts": sport % 300,
        "packets": sport % 97,
    }
