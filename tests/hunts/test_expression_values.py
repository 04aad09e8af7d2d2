"""Expressions on values: what comes in dirty goes out clean."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

import pytest

from tests.hunts.expression_cases import check
from tests.tables import NOON, table

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
x = importlib.import_module("spark.expressions")
F = importlib.import_module("pyspark.sql.functions")
T = importlib.import_module("pyspark.sql.types")


def test_duration(session: SparkSession) -> None:
    cases = [
        ((3.5,), "3.5 s"),
        ((60.0,), "60 s"),
        ((300.0,), "5 min"),
        ((7200.0,), "2 h"),
        ((4320.0 * 2,), "2.4 h"),  # 8640 / 3600
    ]
    check(session, "S double", cases, x.duration("S"))


# --- values -----------------------------------------------------------------------------------


ADDRESSES = {
    "10.0.0.1": "10.0.0.1",
    "10.0.0.1:8443": "10.0.0.1",
    "::ffff:10.0.0.1": "10.0.0.1",
    "[2001:DB8::7]:443": "2001:db8:0:0:0:0:0:7",
    "fe80::1%eth0": "fe80:0:0:0:0:0:0:1",
    "2001:0db8:0000:0000:0000:0000:0000:0007": "2001:db8:0:0:0:0:0:7",
    "::1": "0:0:0:0:0:0:0:1",
    "::": None,
    "0.0.0.0:68": None,
    "1.2.3": None,
    "01.2.3.4": None,
    "2001:db8:1": None,
    "1::2::3": None,
    "pc-1.example.net": None,
    "NULL": None,
    "-": None,
    "": None,
    None: None,
}
HOSTNAMES = {
    "PC-1.Example.NET": "pc-1.example.net",
    "pc-1.example.net.": "pc-1.example.net",
    "pc-1:8080": "pc-1",
    "https://user@c2.example.net:8443/a?b#c": "c2.example.net",
    "c2.example.net/path": "c2.example.net",
    "http://10.0.0.1/x": None,
    "10.0.0.1": None,
    "10.0.0.1:80": None,
    "[2001:db8::7]:443": None,
    "2001:db8::7": None,
    "(null)": None,
    "N/A": None,
    None: None,
}


@pytest.mark.parametrize(("cases", "name"), [(ADDRESSES, "address"), (HOSTNAMES, "hostname")])
def test_values_come_out_clean(
    session: SparkSession, cases: dict[str | None, str | None], name: str
) -> None:
    made = x.address("Text") if name == "address" else x.hostname("Text")
    check(session, "Text string", [((text,), wanted) for text, wanted in cases.items()], made)


def test_numbers_with_dots_are_no_addresses(session: SparkSession) -> None:
    cases = [((text,), None) for text in ("256.1.1.1", "1.2.3.4.5", "10.0.0.256", "12345678")]
    check(session, "Text string", cases, x.address(F.col("Text")))


def test_words(session: SparkSession) -> None:
    cases: list[tuple[tuple[str | None], str | None]] = [
        ((f" {word.upper()} ",), None) for word in x.NO_VALUE
    ]
    cases += [((" Null and void ",), "Null and void"), (("0",), "0"), ((None,), None)]
    check(session, "Text string", cases, x.words("Text"))


def test_port(session: SparkSession) -> None:
    cases = [
        ((443, None), 443),
        ((443, "10.0.0.1:80"), 443),
        ((None, "10.0.0.1:80"), 80),
        ((None, "[2001:db8::7]:443"), 443),
        ((None, "pc-1:8080"), 8080),
        ((None, "2001:db8::7"), None),
        ((None, "10.0.0.1"), None),
        ((None, "10.0.0.1:99999"), None),
        ((70_000, None), None),
        ((-1, None), None),
        ((0, None), 0),
    ]
    check(session, "P int, Beside string", cases, x.port("P", "Beside"))


def test_url_port(session: SparkSession) -> None:
    wanted = {
        "https://c2.example.net/a?b#c": 443,
        "HTTP://c2.example.net": 80,
        "http://c2.example.net:8080/x:90": 8080,
        "https://user:80@c2.example.net/a": 443,
        "https://user:80@c2.example.net:8443": 8443,
        "https://[2001:db8::7]:8443/": 8443,
        "https://[2001:db8::7]/": 443,
        "c2.example.net:443": 443,
        "http://c2.example.net:99999/": None,
        "http://c2.example.net/x:90": 80,
        "ftp://c2.example.net/a": None,
        "ftp://c2.example.net:2121/a": 2121,
        "c2.example.net/a": None,
        "https": None,
        "2001:db8::7": None,
        "NULL": None,
        None: None,
    }
    cases = [((text,), port) for text, port in wanted.items()]
    check(session, "Text string", cases, x.url_port("Text"))


def test_private_and_unicast(session: SparkSession) -> None:
    cases = [
        (("10.1.2.3",), (True, True)),
        (("172.16.0.1",), (True, True)),
        (("172.32.0.1",), (False, True)),
        (("192.168.0.1",), (True, True)),
        (("100.64.0.1",), (True, True)),
        (("100.128.0.1",), (False, True)),
        (("169.254.1.1",), (True, True)),
        (("8.8.8.8",), (False, True)),
        (("127.0.0.1",), (False, False)),
        (("224.0.0.251",), (False, False)),
        (("239.255.255.250",), (False, False)),
        (("255.255.255.255",), (False, False)),
        (("223.1.1.1",), (False, True)),
        (("fd00:0:0:0:0:0:0:1",), (True, True)),
        (("fe80:0:0:0:0:0:0:1",), (True, True)),
        (("ff02:0:0:0:0:0:0:fb",), (False, False)),
        (("0:0:0:0:0:0:0:1",), (False, False)),
        (("2001:db8:0:0:0:0:0:7",), (False, True)),
        ((None,), (None, None)),
    ]
    check(session, "Ip string", cases, F.struct(x.is_private("Ip"), x.is_unicast("Ip")))


def test_direction(session: SparkSession) -> None:
    cases = [
        (("10.0.0.1", "192.0.2.7"), "outbound"),
        (("10.0.0.1", "c2.example.net"), "outbound"),  # a name
        (("192.0.2.7", "10.0.0.1"), "inbound"),
        (("10.0.0.1", "172.16.0.1"), "inside"),
        (("192.0.2.7", "192.0.2.8"), "outside"),
    ]
    check(session, "Src string, Dst string", cases, x.direction("Src", "Dst"))


def test_ipv4_number(session: SparkSession) -> None:
    cases = [
        (("10.0.0.1",), 167_772_161),  # 10 * 2^24 + 1
        (("255.255.255.255",), 2**32 - 1),
        (("2001:db8:0:0:0:0:0:7",), None),
        ((None,), None),
    ]
    check(session, "Ip string", cases, x.ipv4_number(F.col("Ip")))


TEXTS = ("SrcIpAddr", "SrcHostname", "DstIpAddr", "DstHostname",
         "destination", "source", "port", "expires", "covers")  # fmt: skip
COVERED = """
    SrcIpAddr | SrcHostname | DstIpAddr | DstHostname      | destination      | source   | port | expires              | covers
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        |          |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.8        |          |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.0/24     |          |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.4/30     |          |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.0/30     |          |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 0.0.0.0/0        |          |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | CDN.Example.net  |          |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | *.example.net    |          |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | example.net      | *.example.net    |          |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | evilexample.net  | *.example.net    |          |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 |                  | *.example.net    |          |      |                      |
    10.0.0.1  | pc-1        |           | cdn.example.net  | 192.0.2.0/24     |          |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  |                  | 10.0.0.1 |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  |                  | PC-1     |      |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        | pc-2     |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        | pc-1     | 443  |                      | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        |          | 80   |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        |          |      | 2026-03-02           |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        |          |      | 2026-03-03           | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  | 192.0.2.7        |          |      | 2026-03-02T12:00:01Z | yes
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  |                  |          |      |                      |
    10.0.0.1  | pc-1        | 192.0.2.7 | cdn.example.net  |                  |          | 443  | 2026-03-03           |
"""  # noqa: E501  a drawn table is as wide as its rows


def test_is_allowed(session: SparkSession) -> None:
    schema = T.StructType([T.StructField(name, T.StringType()) for name in TEXTS])
    drawn = table(session, schema, COVERED).withColumns(
        {
            "DstPortNumber": F.lit(443),
            "Last": F.lit(NOON.timestamp()),
            "Expected": F.coalesce(F.col("covers") == "yes", F.lit(False)),
            "Allowed": F.coalesce(x.is_allowed("", "Last"), F.lit(False)),
        }
    )
    assert [row for row in drawn.collect() if row.Allowed != row.Expected] == []


# --- what lookups and indicators hold -----------------------------------------------------------


def test_addresses(session: SparkSession) -> None:
    cases = [
        (("192.0.2.1,192.0.2.2;192.0.2.1",), ["192.0.2.1", "192.0.2.2"]),
        (('["cdn.example", "192.0.2.9", "2001:DB8::7"]',), ["192.0.2.9", "2001:db8:0:0:0:0:0:7"]),
        (("a.example, ::ffff:192.0.2.3",), ["192.0.2.3"]),
        (("no address",), []),
        (("",), []),
        ((None,), None),
    ]
    check(session, "V string", cases, x.addresses("V"))


def test_parents(session: SparkSession) -> None:
    deep = ".".join("abcdefghijkl")
    cases = [
        (("a.b.evil.example",), ["a.b.evil.example", "b.evil.example", "evil.example"]),
        (("evil.example",), ["evil.example"]),
        (("localhost",), ["localhost"]),
        ((deep,), [deep, *(".".join("abcdefghijkl"[n:]) for n in range(2, 11))]),
        ((None,), None),
    ]
    check(session, "V string", cases, x.parents("V"))


def test_url(session: SparkSession) -> None:
    cases = [
        (("https://Evil.Example/A/b/?Q=1#part",), "evil.example/A/b/?Q=1"),
        (("http://http://192.0.2.1/",), "192.0.2.1"),
        (("hxxp://u:p@evil.example:8080",), "evil.example:8080"),
        (("evil.example/a/",), "evil.example/a"),
        (("NULL",), None),
        (("http://",), None),
        ((None,), None),
    ]
    check(session, "V string", cases, x.url("V"))
