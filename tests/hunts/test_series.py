"""A pair's events in, its rhythm out: which view speaks, and what is told of it."""

from __future__ import annotations

import importlib
import math
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")
pa: Any = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
np: Any = pytest.importorskip("numpy", reason="numpy is not installed")
cases = importlib.import_module("tests.hunts.connections")
e = importlib.import_module("spark.expressions.collecting")
s = importlib.import_module("spark.expressions.series")
r = importlib.import_module("spark.expressions.rhythm")
pooling = importlib.import_module("spark.expressions.pooling")

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

RULES = cases.RULES
OUT = s.arrow_schema(s.T.StructType([*e.KNOWN, *s.MEASURED, *s.CANDIDATE]))
Event = dict[str, Any]


def events(times: Any, size: int | None = 500, name: str | None = None) -> list[Event]:
    told = {"SrcBytes": size, "DstBytes": 90, "DstHostname": name}
    return [cases.connection(float(t), **told) for t in times]


def measured(pairs: Mapping[str, Sequence[Event]], **changed: Any) -> dict[str, Event]:
    """Destination -> what comes out, through Arrow as in a job."""
    rows = [
        # Of its own port each is an event of its own.
        {**event, "Dst": name, "Pair": number, "SrcPortNumber": port}
        for number, (name, mine) in enumerate(pairs.items())
        for port, event in enumerate(mine)
    ]
    made = s._measured(cases.batches(rows), replace(RULES, **changed), OUT)
    return {row["Dst"]: row for batch in made for row in batch.to_pylist()}


def one(mine: Sequence[Event], **changed: Any) -> Event:
    return measured({"a": mine}, **changed)["a"]


def by_chance(count: int, seed: int, mean: float = 300.0) -> Any:
    return np.cumsum(np.random.default_rng(seed).exponential(mean, count)) + 0.25


CLOCK = np.arange(40) * 300.0


# --- one pair ---------------------------------------------------------------------------------


def test_what_is_told_of_a_clock() -> None:
    row = one(events(CLOCK, name="c2"))
    assert (row["Series"], row["Events"], row["IntervalSeconds"]) == (s.ALL, 40, 300.0)
    assert (row["First"], row["Last"]) == (0.0, 39 * 300.0)
    # 39 * 300 s are three and a quarter hours: four begun ones, of one day.
    assert (row["Hours"], row["Days"]) == (4, 1)
    assert (row["MedianBytes"], row["OffBytes"]) == (500.0, 0.0)
    assert (row["Names"], row["Name"]) == (["c2"], "c2")
    assert row["Moments"] == CLOCK.tolist()
    assert row["PoolTimes"] is None
    assert row["SampleTimes"][-2:] == [37 * 300.0, 39 * 300.0]
    assert (row["SampleSent"], row["SampleReceived"]) == ([500] * s.SAMPLES, [90] * s.SAMPLES)
    assert one(events(CLOCK, size=None))["SampleSent"] == [None] * s.SAMPLES


def test_every_pair_of_a_batch_gets_its_own() -> None:
    rows = measured({"none": [], "once": events([5.0]), "a": events(CLOCK), "b": events(CLOCK * 2)})
    assert {name: row["IntervalSeconds"] for name, row in rows.items()} == {"a": 300.0, "b": 600.0}


def test_the_order_of_events_says_nothing() -> None:
    mine = events(CLOCK, name="b") + events(by_chance(30, 1), 9_000, "a")
    assert one(mine) == one(mine[::-1])


def test_one_size_speaks_inside_of_browsing() -> None:
    browsing = [
        event
        for n, t in enumerate(by_chance(200, 2, mean=60))
        for event in events([t], 900 + 97 * n)
    ]
    row = one(events(CLOCK) + browsing)
    assert (row["Series"], row["Events"], row["MedianBytes"]) == (s.ONE_SIZE, 40, 500.0)
    # Trust is taken off, and that there were two views to speak.
    alone = one(events(CLOCK))
    assert row["Nats"] == pytest.approx(0.9 * alone["Nats"] - math.log(2))
    assert measured({"a": events(CLOCK) + browsing}, one_size=0.0) == {}


def test_without_sizes_all_connections_speak() -> None:
    row = one(events(CLOCK, size=None))
    assert (row["Series"], row["MedianBytes"], row["OffBytes"]) == (s.ALL, None, None)


def test_the_fewest_intervals() -> None:
    assert one(events(CLOCK[:6]))["Series"] == s.ALL
    assert one(events(CLOCK[:5]))["Series"] is None
    assert one(events(CLOCK[:6]), least_intervals=6)["Series"] is None


def test_without_a_rhythm_a_pair_of_one_size_may_be_one_of_many() -> None:
    times = by_chance(30, 3)
    row = one(events(times))
    assert (row["Series"], row["PoolSent"], row["PoolReceived"]) == (None, 500.0, 90.0)
    assert row["PoolTimes"] == times.tolist()
    assert measured({"a": events(times)}, several=0.0) == {}
    of_any_size = [event for n, t in enumerate(times) for event in events([t], 900 + 97 * n)]
    assert measured({"a": of_any_size}) == {}


@pytest.mark.parametrize(
    ("names", "wanted"), [(["a", "b", "b"], "b"), (["a", "b"], "b"), ([], None)]
)
def test_the_commonest_name(names: list[str], wanted: str | None) -> None:
    assert s.commonest(names) == wanted


def test_a_sample_has_both_ends() -> None:
    assert s.evenly(1_001, 5).tolist() == [0, 250, 500, 750, 1_000]
    assert s.evenly(3, 5).tolist() == [0, 1, 2]
    assert s.evenly(1, 5).tolist() == [0]


@pytest.mark.parametrize("seed", range(5))
def test_names_at_one_moment_are_told_in_whatever_order_they_come(seed: int) -> None:
    """Three calls at each moment, of one size: which of them counts is no matter of order."""
    names = [f"{letter}.example.net" for letter in "cab"]
    mine = [event for t in CLOCK for name in names for event in events([t], name=name)]
    shuffled = [mine[n] for n in np.random.default_rng(seed).permutation(len(mine))]
    assert one(shuffled) == one(mine)
    assert one(shuffled)["Name"] == "a.example.net"


def test_a_null_is_no_name() -> None:
    assert one(events(CLOCK))["Names"] == []
    row = one(events(CLOCK[:20]) + events(CLOCK[20:], name="b"))
    assert (row["Names"], row["Name"]) == (["b"], "b")


# --- several destinations ---------------------------------------------------------------------

ROW = {"SrcIpAddr": "10.0.0.1", "SourceTable": "t", "Nats": None, "HostsAtDestination": 1}
POOLED = pa.schema(
    [
        ("HostsAtDestination", pa.int32()),
        *OUT,
    ]
)


def of_eight(seed: int, **more: Any) -> list[Event]:
    """Rows of eight destinations to which one timer's calls go by chance."""
    chance = np.random.default_rng(seed)
    times = np.cumsum(600 * (1 + chance.uniform(-0.2, 0.2, 200)))
    dealt = chance.integers(0, 8, len(times))
    return [
        {
            **dict.fromkeys(POOLED.names),
            **ROW,
            "Dst": f"d{n}",
            "PoolTimes": times[dealt == n].tolist(),
            "PoolSent": 500.0 + n,
            "Connections": int((dealt == n).sum()),
            "BytesOut": 1_000,
            **more,
        }
        for n in range(8)
    ]


def with_pools(rows: Sequence[Event], size: int = 1_000, **changed: Any) -> list[Event]:
    """The rows that come out, in batches of this size."""
    batches = pa.Table.from_pylist(list(rows), POOLED).to_batches(max_chunksize=size)
    source = ["SrcIpAddr", "SourceTable"]
    out = pa.schema([one for one in POOLED if not one.name.startswith("Pool")])
    made = pooling._with_pools(batches, replace(RULES, **changed), source, out)
    return [row for batch in made for row in batch.to_pylist()]


def test_a_pool_is_told_under_its_first_destination() -> None:
    (row,) = with_pools(of_eight(1))
    assert (row["Dst"], row["Series"], row["Events"]) == ("d0", s.SEVERAL, 200)
    assert row["Destinations"] == [f"d{n}" for n in range(8)]
    assert (row["Connections"], row["BytesOut"], row["BytesIn"]) == (200, 8_000, None)
    assert row["MedianBytes"] == 503.5
    assert row["IntervalSeconds"] == pytest.approx(600, rel=0.05)


def test_batches_may_end_anywhere() -> None:
    rows = [*of_eight(1), *of_eight(2, SrcIpAddr="10.0.0.2")]
    whole = with_pools(rows)
    assert [row["SrcIpAddr"] for row in whole] == ["10.0.0.1", "10.0.0.2"]
    assert with_pools(rows, size=3) == whole


def test_a_pair_with_a_rhythm_goes_by_as_it_is() -> None:
    known = {**dict.fromkeys(POOLED.names), **ROW, "Dst": "k", "Nats": 50.0, "Series": s.ALL}
    rows = with_pools([*of_eight(1), known])
    assert [(row["Dst"], row["Series"]) for row in rows] == [("k", s.ALL), ("d0", s.SEVERAL)]
    assert rows[0] == {name: value for name, value in known.items() if name in rows[0]}


def test_a_million_places_of_one_size_take_no_memory() -> None:
    """Batches are made as they are asked for, so that all there is to be held is what is held."""
    count, size = 40_000, 1_000
    few = {"PoolTimes": [1.0, 500.0], "PoolSent": 500.0, "Connections": 2}

    def batches() -> Iterator[Any]:
        for first in range(0, count, size):
            rows = [
                {**dict.fromkeys(POOLED.names), **ROW, **few, "Dst": f"{n:06}"}
                for n in range(first, first + size)
            ]
            yield from pa.Table.from_pylist(rows, POOLED).to_batches()

    tracemalloc.start()
    before = pa.total_allocated_bytes()
    most = 0
    out = pa.schema([one for one in POOLED if not one.name.startswith("Pool")])
    for _ in pooling._with_pools(batches(), RULES, ["SrcIpAddr", "SourceTable"], out):
        most = max(most, pa.total_allocated_bytes() - before)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 20_000_000  # the rows as objects took 57 MB
    assert most < 5_000_000


def test_two_sources_have_no_pool_together() -> None:
    rows = of_eight(1)
    apart = [{**row, "SrcIpAddr": f"10.0.1.{n}"} for n, row in enumerate(rows)]
    assert with_pools(apart) == []
