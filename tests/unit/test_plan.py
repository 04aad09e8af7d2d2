"""The plan as the job reads it: whatever is wrong with it is a ValueError that says so."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from spark.plan import Plan, parse_plan

JOB = "job-20260310000500-0123abcd"
KEY = "contoso-9f589367"
RUN = f"20260309-beaconing-{KEY}-r0"
STATE = "tidehuntstate.dfs.core.windows.net"
COPY = f"abfss://tables@{STATE}/{KEY}/vmconnection/job-20260309000500-0123abcd/2026030800"
GOOD: dict[str, Any] = {
    "schema": 1,
    "job_id": JOB,
    "code_hash": "0f" * 16,
    "created": "2026-03-10T00:05:00Z",
    "deadline": "2026-03-10T01:35:00Z",
    "run_seconds": 3600.0,
    "results": f"abfss://results@{STATE}/jobs/{JOB}",
    "tables_root": f"abfss://tables@{STATE}",
    "exports_host": "tidehuntexports.dfs.core.windows.net",
    "workspace": {"resource_id": "/subscriptions/s/workspaces/contoso", "key": KEY},
    "max_findings": 10_000,
    "tables": {
        "vmconnection": {
            "hours": [
                {"hour": "2026030901", "fingerprint": "b", "blobs": 2, "bytes": 9, "copy": None},
                {"hour": "2026030800", "fingerprint": "a", "blobs": 1, "bytes": 7, "copy": COPY},
            ]
        }
    },
    "runs": [
        {
            "run_id": RUN,
            "hunt": {
                "module": "beaconing",
                "guid": "7b0d2c5e-93a1-4a7e-8c37-2f6a4c1d9e55",
                "name": "Beaconing",
                "version": "1.2.0",
                "views": ["NetworkSession"],
                "tables": ["SigninLogs", "VMConnection"],
                "severity": {"Low": 0.5, "High": 1},
                "finding_key": ["SrcIpAddr", "Dst"],
                "entity_columns": ["SrcHostname"],
            },
            "slot": {"start": "2026-03-09T00:00:00Z", "end": "2026-03-10T00:00:00Z"},
            "window": {"start": "2026-02-17T02:00:00+02:00", "end": "2026-03-10T00:00:00Z"},
            "revision": 0,
            "params": {"threshold": 0.7},
            "references": {"allow_list": [{"destination": "ntp"}, {"destination": None}]},
        }
    ],
}
Path = tuple[str | int, ...]


def parse(body: Any) -> Plan:
    return parse_plan(json.dumps(body).encode())


def changed(path: Path, value: Any) -> Any:
    """The good plan with another value at one place."""
    body = copy.deepcopy(GOOD)
    *above, last = path
    inner: Any = body
    for step in above:
        inner = inner[step]
    inner[last] = value
    return body


def without(path: Path) -> Any:
    """The good plan without one field."""
    body = copy.deepcopy(GOOD)
    *above, last = path
    inner: Any = body
    for step in above:
        inner = inner[step]
    del inner[last]
    return body


def places(value: Any, path: Path = ()) -> Iterator[Path]:
    """Where there is something, from the outside in."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    for step, one in inner:
        yield (*path, step)
        if isinstance(one, dict | list):
            yield from places(one, (*path, step))


PLACES = sorted(places(GOOD), key=str)
OWED = [
    path
    for path in PLACES
    if path[-1] not in (*range(9), "name", "vmconnection", "run_seconds")
    and not {"params", "references", "severity"} & {*path[:-1]}
]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


def test_a_good_plan_is_read() -> None:
    plan = parse(GOOD)
    (run,) = plan.runs
    assert plan.deadline == datetime(2026, 3, 10, 1, 35, tzinfo=UTC)
    assert plan.run_seconds == 3600
    assert run.window[0] == datetime(2026, 2, 17, tzinfo=UTC)
    assert run.slot[0].tzinfo is UTC
    assert (run.hunt.severity, run.params) == ({"Low": 0.5, "High": 1.0}, {"threshold": 0.7})
    assert run.references == {"allow_list": ({"destination": "ntp"}, {"destination": None})}


def test_a_job_ends_at_the_earlier_of_its_deadlines() -> None:
    plan = parse(GOOD)
    began = plan.created + timedelta(minutes=10)
    assert plan.ends(began) == began + timedelta(hours=1)
    assert plan.ends(began + timedelta(hours=1)) == plan.deadline
    assert parse(without(("run_seconds",))).ends(began) == plan.deadline


def test_hours_come_oldest_first_and_a_table_without_has_none() -> None:
    plan = parse(GOOD)
    assert [(hour.hour, hour.copy) for hour in plan.hours("vmconnection")] == [
        ("2026030800", COPY),
        ("2026030901", None),
    ]
    assert plan.hours("dnsevents") == ()


def test_a_run_reads_its_own_tables_and_those_of_its_views_each_once() -> None:
    (run,) = parse(GOOD).runs
    assert run.sources[:2] == ("signinlogs", "vmconnection")
    assert sorted(run.sources[2:]) == [
        "asimnetworksessionlogs",
        "commonsecuritylog",
        "devicenetworkevents",
    ]


def test_paths_are_made_of_roots_and_names() -> None:
    plan = parse(changed(("results",), f"{GOOD['results']}/"))
    assert plan.run_url(RUN) == f"{GOOD['results']}/runs/{RUN}"
    assert plan.copy_url("vmconnection", "2026030901") == (
        f"abfss://tables@{STATE}/{KEY}/vmconnection/{JOB}/2026030901"
    )


@pytest.mark.parametrize("path", OWED, ids=str)
def test_a_plan_without_a_field_is_refused(path: Path) -> None:
    with pytest.raises(ValueError, match="plan"):
        parse(without(path))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("schema",), 2),
        (("job_id",), "job-1"),
        (("job_id",), f"{JOB}/.."),
        (("created",), "2026-03-10T00:05:00"),
        (("deadline",), "soon"),
        (("deadline",), "0001-01-01T00:00:00+14:00"),
        (("run_seconds",), 0),
        (("run_seconds",), float("nan")),
        (("run_seconds",), "3600"),
        (("code_hash",), None),
        (("results",), 7),
        (("max_findings",), -1),
        (("max_findings",), "10"),
        (("max_findings",), True),
        (("max_findings",), float("inf")),
        (("workspace",), "contoso"),
        (("tables",), []),
        (("tables", "VMConnection"), {"hours": []}),
        (("tables", "../x"), {"hours": []}),
        (("tables", "vmconnection", "hours", 0, "hour"), "2026030924"),
        (("tables", "vmconnection", "hours", 0, "hour"), "../2026030900"),
        (("tables", "vmconnection", "hours", 0, "hour"), 2026030901),
        (("tables", "vmconnection", "hours", 0, "copy"), 7),
        (("runs",), {"a": 1}),
        (("runs", 0), None),
        (("runs", 0, "run_id"), "../../x"),
        (("runs", 0, "hunt", "module"), "os.path"),
        (("runs", 0, "hunt", "module"), "Beaconing"),
        (("runs", 0, "hunt", "views"), "NetworkSession"),
        (("runs", 0, "hunt", "tables"), [None]),
        (("runs", 0, "hunt", "finding_key"), "SrcIpAddr"),
        (("runs", 0, "hunt", "severity"), {"High": "much"}),
        (("runs", 0, "params"), None),
        (("runs", 0, "references"), {"allow_list": [7]}),
        (("runs", 0, "references"), ["allow_list"]),
        (("runs", 0, "slot"), ["2026-03-09T00:00:00Z", "2026-03-10T00:00:00Z"]),
        (("runs", 0, "window", "start"), None),
    ],
)  # fmt: skip
def test_a_plan_that_nobody_writes_is_refused(path: Path, value: Any) -> None:
    with pytest.raises(ValueError, match=r"plan|isoformat|float"):
        parse(changed(path, value))


@pytest.mark.parametrize(
    "content",
    [b"", b"\xff\xfe", b"null", b"7", b"[]", b"{}", b"{", b"[" * 100_000, b'"' + b"x" * 10],
)
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        parse_plan(content)


@given(st.sampled_from(PLACES), json_values)
def test_any_change_gives_a_plan_or_says_what_is_wrong(path: Path, value: Any) -> None:
    try:
        plan = parse(changed(path, value))
    except ValueError as error:
        assert str(error)
    else:
        assert isinstance(plan, Plan)
        assert all(isinstance(run.hunt.finding_key, tuple) for run in plan.runs)
