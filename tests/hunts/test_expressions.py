"""Expressions: every value beside the arithmetic that it comes from, one table an expression."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

from tests.tables import NOON, table

if TYPE_CHECKING:
    from pyspark.sql import Column, SparkSession

pytest.importorskip("pyspark", reason="pyspark is not installed")
x = importlib.import_module("spark.expressions")
F = importlib.import_module("pyspark.sql.functions")
T = importlib.import_module("pyspark.sql.types")

Case = tuple[Any, Any]
"""What goes in, what comes out."""
ALMOST = 1e-9


def outcomes(session: SparkSession, schema: str, cases: Sequence[Case], made: Column) -> list[Any]:
    """The expression over the cases' inputs, in their order; an input is a tuple of columns."""
    inputs = [(n, *given) for n, (given, _) in enumerate(cases)]
    rows = session.createDataFrame(inputs, f"N int, {schema}").select("N", made.alias("Made"))
    return [row.Made for row in sorted(rows.collect())]


def check(session: SparkSession, schema: str, cases: Sequence[Case], made: Column) -> None:
    """Every case comes out as expected; numbers up to rounding."""
    for (given, expected), actual in zip(
        cases, outcomes(session, schema, cases, made), strict=True
    ):
        wanted = pytest.approx(expected, abs=ALMOST) if _is_number(expected) else expected
        assert actual == wanted, given


def _is_number(value: Any) -> bool:
    return isinstance(value, float)


# --- sub-scores -------------------------------------------------------------------------------


def test_resolution(session: SparkSession) -> None:
    cases = [
        (([10.0, 20.0],), 0.5),  # whole seconds: true to half of one
        (([10.0, 20.25],), 0.05),  # fractions: SMALLEST_STEP
        (([],), 0.5),
    ]
    check(session, "Times array<double>", cases, x.resolution("Times"))


def test_relative_spread(session: SparkSession) -> None:
    cases = [
        ((29.8, 300.0, 0.5), 0.1),  # 29.8 / (300 - 2)
        ((0.0, 12.0, 0.5), 0.05),  # no less than the clock's step: 0.5 / (12 - 2)
        ((1.0, 2.0, 0.5), None),  # nothing can be seen within the gap
        ((1.0, 1.5, 0.5), None),
        ((1.0, None, 0.5), None),
    ]
    made = x.relative_spread("Mad", "Median", 2.0, "Step")
    check(session, "Mad double, Median double, Step double", cases, made)


def test_regularity(session: SparkSession) -> None:
    cases = [
        ((0.0,), 1.0),  # a clock
        ((0.15,), 0.75),  # 1 - 0.15 / 0.6
        ((0.6,), 0.0),  # blind
        ((9.0,), 0.0),  # never below nothing
        ((None,), None),
        ((math.nan,), None),
    ]
    check(session, "R double", cases, x.regularity("R", 0.6))


def test_steadiness(session: SparkSession) -> None:
    cases = [
        ((300.0, 0.0), 1.0),
        ((300.0, 45.0), 0.75),  # 1 - (45 / 300) / 0.6 = 1 - 0.15 / 0.6
        ((300.0, 180.0), 0.0),  # 180 / 300 = 0.6
        ((300.0, 900.0), 0.0),
        ((0.0, 1.0), None),
        ((None, None), None),
    ]
    check(session, "Mean double, Dev double", cases, x.steadiness("Mean", "Dev", 0.6))


def test_surprise(session: SparkSession) -> None:
    # r = 0.1: p = (2^0.1 - 2^-0.1) / 2 = (1.0717735 - 0.9330330) / 2 = 0.0693702
    # 4 p (1 - p) = 4 * 0.0693702 * 0.9306298 = 0.2582319; -ln = 1.3538974
    cases = [
        ((11, 0.1), pytest.approx(6.769, abs=0.001)),  # (11 - 1) / 2 * 1.35390
        ((21, 0.1), pytest.approx(13.539, abs=0.001)),  # twice the intervals less one
        ((1, 0.1), 0.0),  # one interval is no surprise
        ((11, 1.0), pytest.approx(0.0, abs=1e-6)),  # p = 0.75, held below a half
        ((11, 50.0), pytest.approx(0.0, abs=1e-6)),
        ((11, None), pytest.approx(0.0, abs=1e-6)),
    ]
    check(session, "Count int, R double", cases, x.surprise("Count", "R"))


def test_evidence(session: SparkSession) -> None:
    cases = [
        ((0.0, 1), 0.0),  # 1 - e^0
        ((5.0, 1), 1 - math.exp(-1)),  # 0.632: one factor of e^5
        ((15.0, 1), 1 - math.exp(-3)),  # 0.950
        ((math.log(20), 20), 0.0),  # twenty tries explain what happens to one in twenty
        ((math.log(20) + 5, 20), 1 - math.exp(-1)),
        ((0.0, 50), 0.0),  # less than chance: never below nothing
        ((None, 1), None),
    ]
    check(session, "S double, Tries int", cases, x.evidence("S", F.col("Tries"), 5.0))


def test_constancy(session: SparkSession) -> None:
    cases = [
        ((0.0, 500.0), 1.0),
        ((25.0, 500.0), 0.5),  # 1 - (25 / 500) / 0.1
        ((50.0, 500.0), 0.0),  # a tenth of the median
        ((400.0, 500.0), 0.0),
        ((0.0, 0.0), None),  # no bytes: nothing to judge
        ((None, None), None),
    ]
    check(session, "Mad double, Median double", cases, x.constancy("Mad", "Median"))


def test_persistence(session: SparkSession) -> None:
    cases = [
        ((3, 3), 1.0),
        ((3, 4), 0.75),
        ((1, 21), 1 / 21),
        ((5, 4), 1.0),  # a connection over midnight: never above one
        ((2, 2), None),  # below three days of data
        ((1, None), None),
    ]
    check(session, "Active int, Total int", cases, x.persistence("Active", "Total"))


def test_prevalence(session: SparkSession) -> None:
    cases = [
        ((1, 101), 0.0),
        ((26, 101), 0.25),  # (26 - 1) / (101 - 1)
        ((101, 101), 1.0),
        ((5, 20), 4 / 19),
        ((5, 19), None),  # fewer hosts than 20 say nothing
    ]
    check(session, "Talkers int, Hosts int", cases, x.prevalence("Talkers", "Hosts", 20))


def test_rarity(session: SparkSession) -> None:
    cases = [
        ((1, 90), 1.0),  # ln 1 = 0
        ((2, 90), 1 - math.log(2) / math.log(10)),  # 0.699: one more than a tenth is 10
        ((10, 90), 0.0),
        ((90, 90), 0.0),
        ((2, 19), None),
    ]
    check(session, "Peers int, Hosts int", cases, x.rarity("Peers", "Hosts", 20))


def test_focus(session: SparkSession) -> None:
    cases = [
        ((1,), 1.0),  # 1 - ln(1/2) / ln 4 = 1.5, at most one
        ((2,), 1.0),
        ((4,), 0.5),  # 1 - ln 2 / ln 4
        ((8,), 0.0),  # 1 - ln 4 / ln 4
        ((500,), 0.0),
        ((None,), None),
    ]
    check(session, "Places int", cases, x.focus("Places"))


# --- arrays -----------------------------------------------------------------------------------


def test_intervals(session: SparkSession) -> None:
    cases = [
        (([1.0, 4.0, 4.5],), [3.0, 0.5]),
        (([7.0],), []),
        (([],), []),
    ]
    check(session, "Times array<double>", cases, x.intervals("Times"))


def test_middle(session: SparkSession) -> None:
    cases = [
        (([1.0, 2.0, 9.0],), 2.0),
        (([1.0, 2.0, 3.0, 9.0],), 2.5),  # (2 + 3) / 2
        (([5.0],), 5.0),
        (([],), None),
    ]
    check(session, "V array<double>", cases, x.middle("V"))


def test_mean_and_spread(session: SparkSession) -> None:
    cases = [
        (([2.0, 4.0, 6.0], 4.0), (4.0, math.sqrt(8 / 3))),  # (4 + 0 + 4) / 3
        (([3.0], 3.0), (3.0, 0.0)),
        (([], None), (None, None)),
    ]
    made = F.struct(x.mean("V"), x.spread("V", "C"))
    actual = outcomes(session, "V array<double>, C double", cases, made)
    assert [tuple(row) for row in actual] == [pytest.approx(wanted) for _, wanted in cases]


def test_deviations(session: SparkSession) -> None:
    cases = [(([1.0, 5.0, 12.0], 5.0), [0.0, 4.0, 7.0])]
    check(session, "V array<double>, C double", cases, x.deviations("V", "C"))


def test_commonest(session: SparkSession) -> None:
    cases = [
        ((["a", "b", "b", None, None, None],), "b"),  # nulls are nobody's name
        ((["a", "b"],), "b"),  # the greater of two equally frequent
        (([None],), None),
        (([],), None),
    ]
    check(session, "V array<string>", cases, x.commonest("V"))


def test_sample(session: SparkSession) -> None:
    cases = [
        ((list(range(10)),), [0, 3, 6]),  # a step of 10 / 3: places 0, 3.3, 6.7
        (([1, 2],), [1, 2]),
        (([],), []),
    ]
    check(session, "V array<int>", cases, x.sample("V", 3))


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
    "256.1.1.1": None,
    "1.2.3": None,
    "1.2.3.4.5": None,
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


def test_words(session: SparkSession) -> None:
    cases = [((f" {word.upper()} ",), None) for word in x.NO_VALUE]
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
            "Times": F.array(F.lit(0.0), F.lit(NOON.timestamp())),
            "Expected": F.coalesce(F.col("covers") == "yes", F.lit(False)),
            "Allowed": F.coalesce(x.is_allowed("", "Times"), F.lit(False)),
        }
    )
    assert [row for row in drawn.collect() if row.Allowed != row.Expected] == []
