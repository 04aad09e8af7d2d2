"""Rows of connections in, whole pairs with their events out: what is one event, and whose."""

from __future__ import annotations

import importlib
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("pyspark", reason="pyspark is not installed")
pytest.importorskip("pyarrow", reason="pyarrow is not installed")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
cases = importlib.import_module("tests.hunts.connections")
e = importlib.import_module("spark.expressions.collecting")

Row = dict[str, Any]


def collected(rows: Sequence[Row], size: int = 1_000) -> list[Row]:
    found = list(cases.told(cases.batches(rows, size)))
    return sorted(found, key=lambda pair: str([pair[name] for name in e.SERIES]))


def one(*rows: Row) -> Row:
    (pair,) = collected(rows)
    return pair


def test_what_is_known_of_a_pair() -> None:
    pair = one(
        cases.connection(60.0, SrcBytes=5, DstBytes=7, DstHostname="a", SrcHostname="laptop"),
        cases.connection(0.0, SrcBytes=4, DstIpAddr="203.0.113.1", NetworkProtocol="TCP"),
        cases.connection(30.0, DstHostname="b"),
    )
    assert {name: pair[name] for name in e.KNOWN.fieldNames()} == {
        "SrcIpAddr": "10.0.0.1",
        "Dst": "203.0.113.1",
        "DstPortNumber": 443,
        "SourceTable": "commonsecuritylog",
        "Connections": 3,
        "BytesOut": 9,
        "BytesIn": 7,
        "DstIpAddr": "203.0.113.1",
        "DstHostname": "b",
        "SrcHostname": "laptop",
        "NetworkProtocol": "TCP",
    }
    assert pair["Times"] == [0.0, 30.0, 60.0]
    assert pair["Names"] == [None, "b", "a"]
    assert str(pair["Sent"]) == "[4.0, nan, 5.0]"


def test_what_nothing_tells_is_null() -> None:
    pair = one(cases.connection(0.0), cases.connection(60.0))
    unknown = ("BytesOut", "BytesIn", *e.TEXTS)
    assert [pair[name] for name in unknown] == [None] * 6


def test_rows_of_one_session_are_one_event() -> None:
    pair = one(
        cases.connection(10.0, Session=1, SrcBytes=5, DstHostname="a"),
        cases.connection(12.0, Session=1, SrcBytes=900, DstHostname="b"),
        cases.connection(99.0, Session=1, SrcPortNumber=7),
        cases.connection(50.0, Session=0),
        cases.connection(0.0),
    )
    assert pair["Times"] == [0.0, 10.0, 50.0, 99.0]
    assert (pair["Connections"], pair["BytesOut"]) == (4, 900)
    assert (pair["Sent"][1], pair["Names"][1]) == (900.0, "b")


def test_rows_of_one_moment_and_port_are_one_event() -> None:
    rows = [cases.connection(5.0, SrcPortNumber=port) for port in (1, 2, None, 0)]
    assert one(*rows, *rows)["Times"] == [5.0] * 4


def test_an_end_counts_only_where_no_beginning_is() -> None:
    ends = [cases.connection(60.0 * n + 7, Kind=e.END, SrcBytes=1) for n in range(3)]
    starts = [cases.connection(60.0 * n, Kind=e.START) for n in range(3)]
    other = cases.connection(500.0)
    assert one(*ends)["Times"] == [7.0, 67.0, 127.0]
    both = one(*ends, *starts, other)
    assert both["Times"] == [0.0, 60.0, 120.0, 500.0]
    assert (both["Connections"], both["BytesOut"]) == (4, 3)
    # A beginning and its end are one event, and it began.
    sessions = [{**row, "Session": n, "Moment": None} for rows in (starts, ends)
                for n, row in enumerate(rows)]  # fmt: skip
    assert one(*sessions)["Times"] == [0.0, 60.0, 120.0]


@pytest.mark.parametrize("times", [[], [5.0], [5.0, 5.0]])
def test_of_a_single_event_nothing_is_told(times: list[float]) -> None:
    beside = [cases.connection(n, Pair=2, Dst="203.0.113.2") for n in (1.0, 2.0)]
    (pair,) = collected([*map(cases.connection, times), *beside])
    assert pair["Dst"] == "203.0.113.2"


def test_two_pairs_of_one_number_are_told_apart() -> None:
    rows = [
        cases.connection(60.0 * n, **{name: value})
        for n in range(4)
        for name, value in (
            ("Dst", "203.0.113.2"),
            ("SrcIpAddr", "10.0.0.2"),
            ("DstPortNumber", 80),
            ("SourceTable", "vmconnection"),
            ("Dst", "203.0.113.1"),
        )
    ]
    pairs = collected(rows)
    assert len(pairs) == 5
    assert [pair["Times"] for pair in pairs] == [[0.0, 60.0, 120.0, 180.0]] * 5


# --- any rows ---------------------------------------------------------------------------------

SMALL = st.none() | st.integers(0, 2)
TEXT = st.none() | st.sampled_from(["a", "b", "ä"])
NUMBERS = {"x": 1, "y": 1, "z": -1}
"""Two of these destinations have one number: a hash may do that."""
ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.sampled_from([-5.0, 0.0, 1.0, 1.5, 60.0]),
            "Dst": st.sampled_from(list(NUMBERS)),
            "SourceTable": TEXT,
            "Session": SMALL,
            "SrcPortNumber": SMALL,
            "Kind": st.sampled_from([e.OTHER, e.END, e.START]),
            **dict.fromkeys(e.SIZES, SMALL),
            **dict.fromkeys(e.TEXTS, TEXT),
        }
    ),
    max_size=30,
)


def by_hand(rows: Iterable[Row]) -> list[Row]:
    """The same, one row after the other."""
    groups: dict[Any, dict[Any, list[Row]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        series = tuple(row[name] for name in e.SERIES)
        groups[series][tuple(row[name] for name in e.MOMENT)].append(row)
    made = []
    for series, moments in groups.items():
        events = [
            {
                "Time": min(row["Time"] for row in same),
                **{name: _most(same, name) for name in ("Kind", *e.SIZES, *e.TEXTS)},
            }
            for same in moments.values()
        ]
        if any(event["Kind"] == e.START for event in events):
            counting = [event for event in events if event["Kind"] != e.END]
        else:
            counting = events
        counting.sort(key=_order)
        if len(counting) < 2:
            continue
        sums = {name: [one[name] for one in events if one[name] is not None] for name in e.SIZES}
        made.append(
            {
                **dict(zip(e.SERIES, series, strict=True)),
                "Connections": len(counting),
                "BytesOut": sum(sums["SrcBytes"]) if sums["SrcBytes"] else None,
                "BytesIn": sum(sums["DstBytes"]) if sums["DstBytes"] else None,
                **{name: _most(events, name) for name in e.TEXTS},
                "Times": [event["Time"] for event in counting],
                "Sent": [_float(event["SrcBytes"]) for event in counting],
                "Received": [_float(event["DstBytes"]) for event in counting],
                "Names": [event["DstHostname"] for event in counting],
            }
        )
    return made


def _most(rows: Iterable[Row], name: str) -> Any:
    return max((row[name] for row in rows if row[name] is not None), default=None)


def _float(size: int | None) -> float:
    return float("nan") if size is None else float(size)


def _order(event: Row) -> tuple[Any, ...]:
    last = float("inf")
    sizes = (last if event[name] is None else event[name] for name in e.SIZES)
    return event["Time"], *sizes, event["DstHostname"] or ""


@settings(max_examples=300, deadline=None)
@given(ROWS, st.integers(1, 40), st.integers(0, 9))
def test_as_by_hand_whatever_the_rows_and_batches(drawn: Any, size: int, seed: int) -> None:
    rows = [cases.connection(row.pop("time"), Pair=NUMBERS[row["Dst"]], **row) for row in drawn]
    shuffled = [rows[n] for n in np.random.default_rng(seed).permutation(len(rows))]
    given_ = cases.batches(shuffled, size)
    assert sorted(map(repr, cases.told(given_))) == sorted(map(repr, by_hand(rows)))


def test_no_pair_is_torn_where_a_batch_or_a_group_of_batches_ends() -> None:
    lengths = [e.ROWS // 2, 3, e.ROWS + 7, 2, 2, e.ROWS // 2]
    rows = [
        cases.connection(float(t), Pair=number, Dst=f"d{number}")
        for number, length in enumerate(lengths)
        for t in range(length)
    ]
    found = {pair["Dst"]: pair["Connections"] for pair in collected(rows, 999)}
    assert found == {f"d{number}": length for number, length in enumerate(lengths)}
