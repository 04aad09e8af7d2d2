"""Views: what tables write in ways of their own is one shape, clean, in each view."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

from shared.contract import VIEWS
from tests.tables import table

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
views = importlib.import_module("spark.views")
TABLES: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES

COMMON = """
    TimeGenerated       | DeviceAction | SourceIP            | SourcePort | DestinationIP         | DestinationPort | DestinationHostName | RequestURL             | Protocol | SentBytes
    2026-03-02 12:00:00 | allow        | 10.0.0.1            | 50001      | 203.0.113.9           | 443             | C2.Example.NET      |                        | tcp      | 700
    2026-03-02 12:00:01 | NULL         | [2001:DB8::1]:50002 |            | [2001:db8::7]:8443    |                 | NULL                |                        | 6        | -1
    2026-03-02 12:00:02 | Denied       | pc-1                | 50003      | c2.example.net        | 80              | -                   | http://a.example.net/x | 17       |
    2026-03-02 12:00:03 | TCP reset    | 10.0.0.1            | 99999      | 0.0.0.0               | 443             | 203.0.113.8         | (null)                 | n/a      | 0
"""  # noqa: E501  a drawn table is as wide as its rows
COMMON_SEEN = """
    EventStartTime      | EventResult | EventCount | DvcAction | SrcIpAddr           | SrcPortNumber | SrcHostname | DstIpAddr           | DstPortNumber | DstHostname    | NetworkProtocol | SrcBytes | Url
    2026-03-02 12:00:00 | Success     | 1          | Allow     | 10.0.0.1            | 50001         |             | 203.0.113.9         | 443           | c2.example.net | TCP             | 700      |
    2026-03-02 12:00:01 | Success     | 1          | Allow     | 2001:db8:0:0:0:0:0:1 |              |             | 2001:db8:0:0:0:0:0:7 | 8443         |                | TCP             |          |
    2026-03-02 12:00:02 | Failure     | 1          | Deny      |                     | 50003         | pc-1        |                     | 80            | c2.example.net | UDP             |          | http://a.example.net/x
    2026-03-02 12:00:03 | Success     | 1          | Allow     | 10.0.0.1            |               |             | 203.0.113.8         | 443           |                |                 | 0        |
"""  # noqa: E501
ASA = """
    TimeGenerated       | DeviceAction | ExternalID | StartTime           | Message                                                                                    | SourceIP | DestinationIP
    2026-03-02 12:00:00 | Built        | 0          |                     | %ASA-6-302013: Built outbound TCP connection 4711 for outside:203.0.113.9/443              | 10.0.0.1 | 203.0.113.9
    2026-03-02 12:00:30 | Teardown     |            |                     | %ASA-6-302014: Teardown TCP connection 4711 for outside:203.0.113.9/443 duration 0:00:30 bytes 99 | 10.0.0.1 | 203.0.113.9
    2026-03-02 12:01:00 | allow        | 88         | 2026-03-02 12:00:59 | Built outbound TCP connection 12 duration 0:00:30                                          | 10.0.0.1 | 203.0.113.9
    2026-03-02 12:02:00 | allow        | -5         | 2026-03-02 17:02:00 |                                                                                            | 10.0.0.1 | 203.0.113.9
"""  # noqa: E501
ASA_SEEN = """
    EventStartTime      | EventSubType | NetworkSessionId
    2026-03-02 12:00:00 | Start        | 4711
    2026-03-02 12:00:00 | End          | 4711
    2026-03-02 12:00:59 |              | 88
    2026-03-02 12:02:00 |              |
"""
DEVICE = """
    TimeGenerated       | ActionType                | DeviceName       | LocalIP        | LocalPort | RemoteIP           | RemotePort | RemoteUrl                | Protocol | InitiatingProcessFileName | InitiatingProcessAccountName
    2026-03-02 12:00:00 | ConnectionSuccess         | PC-1.Example.net | 10.0.0.1       | 50001     | 203.0.113.9        | 443        | https://C2.example.net/a | Tcp      | evil.exe                  | Alice
    2026-03-02 12:00:01 | ConnectionFailed          | pc-1             | 10.0.0.1       | 50002     | [2001:db8::7]:8443 |            |                          | Tcp      | evil.exe                  | none
    2026-03-02 12:00:02 | InboundConnectionAccepted | pc-1             | ::ffff:10.0.0.1 | 22       | 10.0.0.2           | 50003      |                          | Tcp      | sshd                      | root
    2026-03-02 12:00:03 | ListeningConnectionCreated | pc-1            | 10.0.0.1       | 22        |                    |            |                          | Tcp      | sshd                      | root
    2026-03-02 12:00:04 |                           |                  | 10.0.0.1       | 50004     | c2.example.net     | 443        | c2.example.net           | Udp      |                           |
    2026-03-02 12:00:05 | HttpConnectionInspected   | pc-1             | 10.0.0.1       | 50005     | 203.0.113.9        | 80         | http://x.example.net/    | Tcp      |                           |
"""  # noqa: E501
DEVICE_SEEN = """
    EventStartTime      | EventResult | SrcIpAddr | SrcPortNumber | SrcHostname      | SrcUsername | SrcProcessName | DstIpAddr            | DstPortNumber | DstHostname    | NetworkProtocol | Url
    2026-03-02 12:00:00 | Success     | 10.0.0.1  | 50001         | pc-1.example.net | Alice       | evil.exe       | 203.0.113.9          | 443           | c2.example.net | TCP             | https://C2.example.net/a
    2026-03-02 12:00:01 | Failure     | 10.0.0.1  | 50002         | pc-1             |             | evil.exe       | 2001:db8:0:0:0:0:0:7 | 8443          |                | TCP             |
    2026-03-02 12:00:02 | Success     | 10.0.0.2  | 50003         |                  |             |                | 10.0.0.1             | 22            | pc-1           | TCP             |
    2026-03-02 12:00:04 | Success     | 10.0.0.1  | 50004         |                  |             |                |                      | 443           | c2.example.net | UDP             |
"""  # noqa: E501
ASIM = """
    TimeGenerated       | EventStartTime      | EventResult | EventCount | DvcAction | DvcHostname | Dvc | SrcIpAddr | SrcHostname | SrcFQDN          | DstIpAddr       | DstPortNumber | DstHostname    | DstFQDN | NetworkProtocol | NetworkSessionId | SrcBytes
    2026-03-02 12:00:00 | 2026-03-02 11:59:30 | Success     | 3          | Allow     | FW-1        | fw  | 10.0.0.1  | pc-1        | PC-1.example.net | 203.0.113.9     | 443           | c2             | NULL    | tcp             | abc              | 700
    2026-03-02 12:00:01 | 2026-03-02 17:00:01 | Failure     |            | NULL      | null        | fw  | 10.0.0.1  |             |                  | 203.0.113.9:444 |               | 203.0.113.7    |         | 1               | -                | -3
    2026-03-02 12:00:02 | 2025-12-01 00:00:00 | Success     | 1          | Drop      |             |     | NULL      |             |                  | c2.example.net  | 443           | 203.0.113.6    |         | TCP             |                  | 0
"""  # noqa: E501
ASIM_SEEN = """
    EventStartTime      | EventResult | EventCount | Dvc  | DvcAction | SrcIpAddr | SrcHostname      | DstIpAddr   | DstPortNumber | DstHostname    | NetworkProtocol | NetworkSessionId | SrcBytes
    2026-03-02 11:59:30 | Success     | 3          | FW-1 | Allow     | 10.0.0.1  | pc-1.example.net | 203.0.113.9 | 443           | c2             | TCP             | abc              | 700
    2026-03-02 12:00:01 | Failure     | 1          | fw   | Allow     | 10.0.0.1  |                  | 203.0.113.9 | 444           |                | ICMP            |                  |
    2026-03-02 12:00:02 | Success     | 1          |      | Drop      |           |                  | 203.0.113.6 | 443           | c2.example.net | TCP             |                  | 0
"""  # noqa: E501
MACHINE = """
    TimeGenerated       | Computer | Direction | ProcessName | SourceIp | DestinationIp | DestinationPort | Protocol | RemoteDnsQuestions        | RemoteDnsCanonicalNames | LinksEstablished | BytesSent | ConnectionId
    2026-03-02 12:00:00 | VM-1     | outbound  | curl        | 10.0.0.1 | 203.0.113.9   | 443             | tcp      | ["C2.example.net","b.net"] | ["a.net"]              | 1                | 700       | c-1
    2026-03-02 12:01:00 | VM-1     | Outbound  | curl        | 10.0.0.1 | 203.0.113.9   | 443             | tcp      |                           | ["a.net"]               | 4                | 7         | c-1
    2026-03-02 12:02:00 | VM-1     | outbound  | curl        | 10.0.0.1 | 203.0.113.9   | 443             | tcp      |                           |                         | 0                | 7         | c-1
    2026-03-02 12:03:00 | VM-1     | inbound   | sshd        | 10.0.0.2 | 10.0.0.1      | 22              | tcp      | not JSON                  |                         | 1                |           | c-2
"""  # noqa: E501
MACHINE_SEEN = """
    EventStartTime      | EventCount | Dvc  | SrcIpAddr | SrcHostname | SrcProcessName | DstIpAddr   | DstPortNumber | DstHostname    | NetworkProtocol | NetworkSessionId | SrcBytes
    2026-03-02 12:00:00 | 1          | VM-1 | 10.0.0.1  | vm-1        | curl           | 203.0.113.9 | 443           | c2.example.net | TCP             | c-1              | 700
    2026-03-02 12:01:00 | 4          | VM-1 | 10.0.0.1  | vm-1        | curl           | 203.0.113.9 | 443           | a.net          | TCP             | c-1              | 7
    2026-03-02 12:03:00 | 1          | VM-1 | 10.0.0.2  |             |                | 10.0.0.1    | 22            | vm-1           | TCP             | c-2              |
"""  # noqa: E501

LOOKUPS = """
    TimeGenerated       | Computer | SubType     | EventId | ClientIP            | Name                   | QueryType | IPAddresses          | ResultCode | Result
    2026-03-02 12:00:00 | dns-1    | LookupQuery | 257     | 10.0.0.1            | C2.Example.NET.        | A         | 203.0.113.9,2001:DB8::7 | 0       | NOERROR
    2026-03-02 12:00:01 | dns-1    | LookupQuery | 256     | [2001:DB8::1]:50002 | t+/x.tunnel.example    | NULL      |                      |            |
    2026-03-02 12:00:02 | dns-1    |             | 257     | pc-1                | gone.example           | A         |                      | 3          | NXDOMAIN
    2026-03-02 12:00:03 | dns-1    | Dynamic     | 260     | 10.0.0.1            | pc-2.example           | A         | 10.0.0.2             | 0          | NOERROR
"""  # noqa: E501
LOOKUPS_SEEN = """
    EventStartTime      | EventSubType | EventResult | Dvc   | SrcIpAddr            | SrcHostname | DnsQuery            | DnsQueryTypeName | DnsResponseCodeName | DnsResponseName
    2026-03-02 12:00:00 | response     | Success     | dns-1 | 10.0.0.1             |             | c2.example.net      | A                | NOERROR             | 203.0.113.9,2001:DB8::7
    2026-03-02 12:00:01 | request      | NA          | dns-1 | 2001:db8:0:0:0:0:0:1 |             | t+/x.tunnel.example | NULL             |                     |
    2026-03-02 12:00:02 | response     | Failure     | dns-1 |                      | pc-1        | gone.example        | A                | NXDOMAIN            |
"""  # noqa: E501
ASIM_DNS = """
    TimeGenerated       | EventStartTime      | EventSubType | EventResult | EventCount | DvcHostname | Dvc | SrcIpAddr       | SrcPortNumber | SrcHostname | DstIpAddr | DstPortNumber | NetworkProtocol | DnsQuery | DnsQueryType | DnsQueryTypeName | DnsResponseCodeName | EventResultDetails | DnsResponseName            | TransactionIdHex
    2026-03-02 12:00:00 | 2026-03-02 11:59:59 | Response     | Success     | 2          | NULL        | s-1 | 10.0.0.1:5353   |               | PC-1        | 10.0.0.53 | 53            | UDP             | A.Example | 1           | A                | NOERROR             | x                  | ["b.example", "192.0.2.9"] | 7c67
    2026-03-02 12:00:01 |                     | request      | NA          |            | s-2         |     | [fe80::1]:5353  |               | null        |           |               | 17              | NULL     | 10           | NULL             |                     | NA                 | null                       |
    2026-03-02 12:00:02 |                     | request      | NA          | 1          | s-2         |     | pc-2            | 99            |             |           |               |                 | .        | 65281        |                  |                     |                    |                            |
"""  # noqa: E501
ASIM_DNS_SEEN = """
    EventStartTime      | EventSubType | EventResult | EventCount | Dvc | SrcIpAddr            | SrcPortNumber | SrcHostname | DstIpAddr | NetworkProtocol | DnsQuery  | DnsQueryTypeName | DnsResponseCodeName | DnsResponseName            | DnsSessionId
    2026-03-02 11:59:59 | response     | Success     | 2          | s-1 | 10.0.0.1             | 5353          | pc-1        | 10.0.0.53 | UDP             | a.example | A                | NOERROR             | ["b.example", "192.0.2.9"] | 7c67
    2026-03-02 12:00:01 | request      | NA          | 1          | s-2 | fe80:0:0:0:0:0:0:1   | 5353          |             |           | UDP             |           | NULL             | NA                  |                            |
    2026-03-02 12:00:02 | request      | NA          | 1          | s-2 |                      | 99            | pc-2        |           |                 |           | TYPE65281        |                     |                            |
"""  # noqa: E501


@pytest.mark.parametrize(
    ("name", "written", "seen"),
    [
        pytest.param("dnsevents", LOOKUPS, LOOKUPS_SEEN, id="dnsevents"),
        pytest.param("asimdnsactivitylogs", ASIM_DNS, ASIM_DNS_SEEN, id="asimdnsactivitylogs"),
        pytest.param("commonsecuritylog", COMMON, COMMON_SEEN, id="commonsecuritylog"),
        pytest.param("commonsecuritylog", ASA, ASA_SEEN, id="an ASA's pairs of rows"),
        pytest.param("devicenetworkevents", DEVICE, DEVICE_SEEN, id="devicenetworkevents"),
        pytest.param("asimnetworksessionlogs", ASIM, ASIM_SEEN, id="asimnetworksessionlogs"),
        pytest.param("vmconnection", MACHINE, MACHINE_SEEN, id="vmconnection"),
    ],
)
def test_rows_come_out_clean(session: SparkSession, name: str, written: str, seen: str) -> None:
    of = "Dns" if name in VIEWS["Dns"] else "NetworkSession"
    shape = views.DNS if of == "Dns" else views.NETWORK_SESSION
    view = views.build(of, {name: table(session, TABLES[name].schema, written)})
    expected = table(session, shape, seen)
    drawn = [cell.strip() for cell in seen.strip().splitlines()[0].split("|")]
    assert in_order(view.select(drawn)) == in_order(expected.select(drawn))
    assert columns(view.schema) == columns(shape)
    assert {row.SourceTable for row in view.select("SourceTable").collect()} == {name}


def columns(schema: Any) -> list[tuple[str, str]]:
    """Names and types in their order; a column that is always filled may say so."""
    return [(field.name, field.dataType.typeName()) for field in schema.fields]


def in_order(rows: DataFrame) -> list[dict[str, Any]]:
    return [row.asDict() for row in rows.orderBy("EventStartTime", "EventResult").collect()]


def test_without_an_action_the_device_is_the_source(session: SparkSession) -> None:
    drawing = """
        TimeGenerated       | DeviceName | LocalIP  | RemoteIP    | InitiatingProcessFileName
        2026-03-02 12:00:00 | pc-1       | 10.0.0.1 | 203.0.113.9 | curl
    """
    rows = table(session, TABLES["devicenetworkevents"].schema, drawing)
    view = views.build("NetworkSession", {"devicenetworkevents": rows})
    (row,) = view.select("SrcIpAddr", "SrcHostname", "SrcProcessName").collect()
    assert tuple(row) == ("10.0.0.1", "pc-1", "curl")


def test_a_view_is_made_of_the_tables_that_are_there(session: SparkSession) -> None:
    given = {
        "commonsecuritylog": table(session, TABLES["commonsecuritylog"].schema, COMMON),
        "vmconnection": table(session, TABLES["vmconnection"].schema, MACHINE),
    }
    counted = views.build("NetworkSession", given).groupBy("SourceTable").count().collect()
    assert dict(counted) == {"commonsecuritylog": 4, "vmconnection": 3}


def test_what_is_no_view_is_an_error() -> None:
    with pytest.raises(KeyError):
        views.build("NoSuchView", {})


@pytest.mark.parametrize(
    ("view", "name"), [(view, name) for view, names in VIEWS.items() for name in names]
)
def test_the_used_columns_are_kept_in_the_copy(view: str, name: str) -> None:
    assert set(views.used_columns(view, name)) <= set(TABLES[name].kept)


@pytest.mark.parametrize("name", TABLES)
def test_the_columns_of_a_copy_are_declared_once(name: str) -> None:
    kept = TABLES[name].kept
    assert kept[0] == "TimeGenerated" and len(set(kept)) == len(kept)
    assert set(kept) <= set(TABLES[name].known)
