"""A run's story: for every status it tells what it waits for and what may be typed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shared.http_api import run_summary
from shared.model import Counts
from shared.runs import RUN_TABLE
from tests.unit.house import START, a_run
from workbench.report import explain
from workbench.report.explain import DOES

STATUSES = sorted({row.status for row in RUN_TABLE} | {"done", "failed", "cancelled"})


def story(**changes: Any) -> str:
    return "\n".join(explain(json.loads(json.dumps(run_summary(a_run(**changes))))))


@pytest.mark.parametrize("status", STATUSES)
def test_every_status_has_its_words(status: Any) -> None:
    assert DOES[status] in story(status=status)


def test_a_request_that_no_turn_has_taken_is_told() -> None:
    (line,) = explain({"run_id": "x", "status": "requested", "hunt": "beaconing"})
    assert "next turn" in line


def test_a_held_run_tells_why_since_when_until_when_and_what_to_type() -> None:
    told = story(status="held", reason="403 for an hour", next_at=START, attempt=2, unused=3)
    assert "because: 403 for an hour" in told
    assert "goes on by itself at 2026-03-10T00:05:00 UTC" in told
    assert "jobs used: 2, 3 more were refused or lost by the engine" in told
    assert "tidehunt release 20260309-" in told and "--reason" in told


def test_a_delivery_tells_how_far_it_came() -> None:
    counts = Counts(rows=9, sent=7, set_aside=1, withheld=2, opened=3, quiet=4)
    told = story(status="delivering", step="incidents", counts=counts)
    assert "9 in the manifest, 7 sent" in told and "1 set aside, 2 withheld" in told
    assert "3 opened, 0 updated, 4 quiet" in told and "incidents are being opened" in told


def test_a_failed_run_can_be_judged_again() -> None:
    told = story(status="failed", reason="KeyError")
    assert "tidehunt redrive" in told and "release" not in told


@pytest.mark.parametrize(
    ("kind", "incidents", "says"),
    [
        ("live", True, "(live) on"),
        ("adhoc", False, "(ad-hoc: somebody asked for it, without incidents) on"),
        ("backfill", False, "(backfill: it fills a gap, behind live runs, without incidents) on"),
    ],
)
def test_a_story_tells_the_class_of_its_run(kind: Any, incidents: bool, says: str) -> None:
    assert says in story(kind=kind, incidents=incidents)
