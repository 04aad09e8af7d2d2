"""Scenarios of the indicator match: a host and an indicator of its own each, and what is found."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from tests.tables import NOON, Row
from tests.tables import connection as session_row

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


@dataclass(frozen=True)
class Case:
    """What a host did and what is listed; what is not said is as in a plain hit."""

    severity: str
    sessions: Sequence[Row] = ()
    lookups: Sequence[Row] = ()
    older: Sequence[Row] = ()
    stix: Sequence[Row] = ()


def ip(address: str, **more: Any) -> Row:
    """A record of the older table."""
    row: Row = {
        "TimeGenerated": NOON - 2 * DAY,
        "IndicatorId": f"id-{address}",
        "Active": True,
        "ConfidenceScore": 80.0,
        "ExpirationDateTime": NOON + 30 * DAY,
        "Description": "evil C2",
        "NetworkIP": address,
    }
    return {**row, **more}


def stix(key: str, value: str, **more: Any) -> Row:
    """A record of the table in STIX's shape."""
    row: Row = {
        "TimeGenerated": NOON - 2 * DAY,
        "Id": f"indicator--{value}",
        "IsActive": True,
        "IsDeleted": False,
        "Revoked": False,
        "Confidence": 80,
        "ValidFrom": NOON - 20 * DAY,
        "ValidUntil": NOON + 30 * DAY,
        "ObservableKey": key,
        "ObservableValue": value,
        "Source": "Feed",
        "Data": json.dumps({"name": "evil", "description": "evil C2"}),
    }
    return {**row, **more}


def name(value: str, **more: Any) -> Row:
    return stix("domain-name:value", value, **more)


def goes_to(address: str | None = None, after: timedelta = HOUR, **more: Any) -> list[Row]:
    return [session_row(NOON + after, DstIpAddr=address, **more)]


def asks(query: str | None, after: timedelta = HOUR, **more: Any) -> list[Row]:
    moment = {"TimeGenerated": NOON + after, "EventStartTime": NOON + after}
    return [{**moment, "DnsQuery": query, "SourceTable": "dnsevents", **more}]


def blocked(address: str) -> list[Row]:
    return goes_to(address, DvcAction="Deny", EventResult="Failure")


CASES: dict[str, Case] = {
    "address": Case("Medium", goes_to("203.0.113.1"), older=[ip("203.0.113.1")]),
    "sure": Case("High", goes_to("203.0.113.2"), older=[ip("203.0.113.2", ConfidenceScore=100.0)]),
    "unsure": Case("Low", goes_to("203.0.113.3"), older=[ip("203.0.113.3", ConfidenceScore=49.0)]),
    "just below the least confidence": Case(
        "", goes_to("203.0.113.4"), older=[ip("203.0.113.4", ConfidenceScore=24.9)]
    ),
    "no confidence": Case(
        "Low", goes_to("203.0.113.5"), older=[ip("203.0.113.5", ConfidenceScore=None)]
    ),
    "of the sender of a mail": Case(
        "Medium",
        goes_to("203.0.113.6"),
        older=[ip("", NetworkIP=None, EmailSourceIpAddress="203.0.113.6")],
    ),
    "destination with a port": Case(
        "Medium",
        goes_to("203.0.113.7"),
        older=[ip("", NetworkIP="NULL", NetworkDestinationIP="203.0.113.7:443")],
    ),
    "IPv6": Case(
        "Medium",
        goes_to("2001:db8:0:0:0:0:0:9"),
        stix=[stix("ipv6-addr:value", "2001:DB8::9")],
    ),
    "denied": Case("Medium", blocked("203.0.113.8"), older=[ip("203.0.113.8")]),
    "from outside": Case(
        "Low",
        [session_row(NOON, SrcIpAddr="203.0.113.9", DstIpAddr="own")],
        older=[ip("203.0.113.9")],
    ),
    "from outside, refused": Case(
        "",
        [session_row(NOON, SrcIpAddr="203.0.113.10", DstIpAddr="own", DvcAction="Drop ICMP")],
        older=[ip("203.0.113.10")],
    ),
    "benign neighbour": Case("", goes_to("203.0.113.12"), older=[ip("203.0.113.11")]),
    # Validity.
    "expired before": Case(
        "", goes_to("203.0.113.13"), older=[ip("203.0.113.13", ExpirationDateTime=NOON + HOUR)]
    ),
    "expires after": Case(
        "Medium",
        goes_to("203.0.113.14"),
        older=[ip("203.0.113.14", ExpirationDateTime=NOON + HOUR + timedelta(seconds=1))],
    ),
    "never expires": Case(
        "Medium", goes_to("203.0.113.15"), older=[ip("203.0.113.15", ExpirationDateTime=None)]
    ),
    "not yet valid": Case(
        "",
        goes_to("203.0.113.16"),
        stix=[
            stix("ipv4-addr:value", "203.0.113.16", ValidFrom=NOON + HOUR + timedelta(seconds=1))
        ],
    ),
    "valid from that moment on": Case(
        "Medium",
        [*goes_to("203.0.113.17"), *goes_to("203.0.113.17", timedelta(0))],
        stix=[stix("ipv4-addr:value", "203.0.113.17", ValidFrom=NOON + HOUR)],
    ),
    "inactive": Case("", goes_to("203.0.113.18"), older=[ip("203.0.113.18", Active=False)]),
    "to be allowed": Case("", goes_to("203.0.113.19"), older=[ip("203.0.113.19", Action="Allow")]),
    "passive": Case("", goes_to("203.0.113.20"), older=[ip("203.0.113.20", PassiveOnly=True)]),
    "revoked": Case(
        "", goes_to("203.0.113.21"), stix=[stix("ipv4-addr:value", "203.0.113.21", Revoked=True)]
    ),
    "not active": Case(
        "", goes_to("203.0.113.22"), stix=[stix("ipv4-addr:value", "203.0.113.22", IsActive=False)]
    ),
    "deleted since": Case(
        "",
        goes_to("203.0.113.23"),
        stix=[
            stix("ipv4-addr:value", "203.0.113.23"),
            stix("", "", Id="indicator--203.0.113.23", IsDeleted=True, TimeGenerated=NOON - DAY),
        ],
    ),
    "deleted before": Case(
        "Medium",
        goes_to("203.0.113.24"),
        stix=[
            stix("ipv4-addr:value", "203.0.113.24"),
            stix(
                "", "", Id="indicator--203.0.113.24", IsDeleted=True, TimeGenerated=NOON - 5 * DAY
            ),
        ],
    ),
    "newest record says less": Case(
        "Low",
        goes_to("203.0.113.25"),
        older=[
            ip("203.0.113.25", ConfidenceScore=95.0),
            ip("203.0.113.25", ConfidenceScore=35.0, TimeGenerated=NOON - DAY),
        ],
    ),
    "value corrected": Case(
        "",
        goes_to("203.0.113.26"),
        older=[
            ip("203.0.113.26", IndicatorId="corrected"),
            ip("203.0.113.27", IndicatorId="corrected", TimeGenerated=NOON - DAY),
        ],
    ),
    "no id": Case("Medium", goes_to("203.0.113.28"), older=[ip("203.0.113.28", IndicatorId=None)]),
    "both tables": Case(
        "High",
        goes_to("203.0.113.29"),
        older=[ip("203.0.113.29", ConfidenceScore=60.0)],
        stix=[stix("ipv4-addr:value", "203.0.113.29", Confidence=90)],
    ),
    "a pattern only": Case(
        "Medium",
        goes_to("203.0.113.30"),
        stix=[
            stix(
                "",
                "",
                Pattern="[ipv4-addr:value = '203.0.113.30']",
                ObservableKey=None,
                ObservableValue=None,
            )
        ],
    ),
    # Names.
    "asks for the domain": Case(
        "Medium", lookups=asks("evil1.example"), stix=[name("Evil1.example.")]
    ),
    "asks for a name below": Case(
        "Medium", lookups=asks("a.b.evil2.example"), stix=[name("evil2.example")]
    ),
    "asks for a lookalike": Case(
        "", lookups=asks("notevil3.example"), stix=[name("evil3.example")]
    ),
    "asks for the parent": Case("", lookups=asks("evil4.example"), stix=[name("x.evil4.example")]),
    "below a suffix that is shared": Case("", lookups=asks("me.co.uk"), stix=[name("co.uk")]),
    "below a top-level domain": Case("", lookups=asks("me.test"), stix=[name("test")]),
    "connects by name": Case(
        "Medium", goes_to(None, DstHostname="x.evil5.example"), stix=[name("evil5.example")]
    ),
    "is told a listed address": Case(
        "Medium",
        lookups=asks("fine.example", DnsResponseName='["cdn.example", "203.0.113.31"]'),
        older=[ip("203.0.113.31")],
    ),
    "no answer": Case("", lookups=asks(None), older=[ip("203.0.113.32")]),
    # URLs.
    "URL without a path": Case(
        "Medium",
        lookups=asks("evil6.example"),
        older=[ip("", NetworkIP=None, Url="http://http://EVIL6.example:8080/")],
    ),
    "URL of an address": Case(
        "Medium",
        goes_to("203.0.113.33"),
        older=[ip("", NetworkIP=None, Url="http://http://203.0.113.33")],
    ),
    "below the host of a URL": Case(
        "", lookups=asks("x.evil7.example"), stix=[stix("url:value", "http://evil7.example/")]
    ),
    "URL with a path, by its host": Case(
        "", lookups=asks("shared.example"), stix=[stix("url:value", "http://shared.example/a")]
    ),
    "URL with a path, in full": Case(
        "Medium",
        goes_to("198.51.100.1", DstHostname="shared2.example", Url="https://SHARED2.example/a/"),
        stix=[stix("url:value", "http://shared2.example/a")],
    ),
    # Guards and the allow-list.
    "private": Case("Informational", goes_to("10.9.9.9"), older=[ip("10.9.9.9")]),
    "loopback": Case("", goes_to("127.0.0.1"), older=[ip("127.0.0.1")]),
    "multicast": Case("", goes_to("239.255.255.250"), older=[ip("239.255.255.250")]),
    "allowed": Case("", goes_to("203.0.113.40"), older=[ip("203.0.113.40")]),
    "allowed below a name": Case(
        "", lookups=asks("x.allowed.example"), stix=[name("allowed.example")]
    ),
    "entry expired before": Case("Medium", goes_to("203.0.113.42"), older=[ip("203.0.113.42")]),
    "entry for another port": Case("Medium", goes_to("203.0.113.43"), older=[ip("203.0.113.43")]),
    # News.
    "told before": Case(
        "",
        goes_to("203.0.113.44", -3 * DAY),
        older=[ip("203.0.113.44", TimeGenerated=NOON - 5 * DAY)],
    ),
    "old, but listed since yesterday": Case(
        "Medium", goes_to("203.0.113.45", -3 * DAY), older=[ip("203.0.113.45", TimeGenerated=NOON)]
    ),
    "listed again": Case(
        "",
        goes_to("203.0.113.46", -3 * DAY),
        older=[
            ip("203.0.113.46", TimeGenerated=NOON - 7 * DAY),
            ip("203.0.113.46", TimeGenerated=NOON),
        ],
    ),
}
"""Scenario -> the severity that it reaches; "" for none."""
POPULAR, POPULAR_HOSTS = "203.0.113.99", 40
NOBODYS = "203.0.113.98"
"""A listed address that is met by a host that the log does not name."""
