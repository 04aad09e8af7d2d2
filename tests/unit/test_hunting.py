"""What `tidehunt hunt` works out by itself: windows, shares of stages, the answer key."""

from __future__ import annotations

import io
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contract import day_key, day_start
from shared.errors import Transient
from shared.incidents import incident_id
from workbench import readback
from workbench.hunting import Hunt, job_timings, stages, windows_to_cover
from workbench.progress import Progress

DAYS = st.sets(
    st.integers(0, 400).map(lambda n: day_key(day_start("20240101") + timedelta(days=n)))
)


def test_the_newest_day_first_then_back_until_every_day_is_covered() -> None:
    days = {"20240816", "20240228", "20240226"}
    assert windows_to_cover(days, 21) == ["20240816", "20240228"]
    assert windows_to_cover(days, 1) == ["20240816", "20240228", "20240226"]
    assert windows_to_cover(set(), 21) == []


@given(DAYS, st.integers(1, 60))
def test_every_day_is_covered_once_and_each_window_ends_on_a_day_with_data(
    days: set[str], lookback: int
) -> None:
    ends = windows_to_cover(days, lookback)
    covered = [day_key(day_start(end) - timedelta(days=n)) for end in ends for n in range(lookback)]
    assert days <= set(covered)
    assert len(covered) == len(set(covered))
    assert set(ends) <= days


def test_a_jobs_shared_copy_is_counted_once() -> None:
    timings = {"copy_s": 10.0, "hunt_s": 2.0}
    runs = [{"job": "j1", "coverage": {"timings": timings}} for _ in range(2)]
    assert job_timings(runs) == {"Spark: copy": 10.0, "Spark: hunt": 4.0}


def test_sparks_own_stages_stand_for_the_wait_and_add_up_to_it() -> None:
    runs = [{"job": "j1", "coverage": {"timings": {"copy_s": 10.0, "hunt_s": 2.0}}}]
    told = stages({"landing": 3.0, "Spark": 20.0, "delivering": 1.0}, runs)
    assert told == {
        "landing": 3.0,
        "Spark: copy": 10.0,
        "Spark: hunt": 2.0,
        "Spark: start, queue, end": 8.0,
        "delivering": 1.0,
    }
    assert stages({"Spark": 20.0}, []) == {"Spark": 20.0}


def finding(severity: str, **entities: object) -> dict[str, object]:
    """A finding as the document carries it."""
    return {"severity": severity, "entities": entities, "finding_key": "k"}


def test_the_answer_key_is_compared_at_medium_and_above() -> None:
    implant = {"name": "i", "SrcIpAddr": "10.0.0.1", "DstIpAddr": "192.0.2.1", "DstPortNumber": 443}
    benign = {
        "name": "b",
        "DstIpAddrs": ["198.51.100.1"],
        "DstPortNumber": 123,
        "hosts": ["10.0.0.2"],
    }
    key = {"implants": [implant], "benign": [benign]}
    at = {"SrcIpAddr": "10.0.0.1", "DstIpAddr": "192.0.2.1", "DstPortNumber": "443"}
    beat = {"SrcIpAddr": "10.0.0.2", "DstIpAddr": "198.51.100.1", "DstPortNumber": 123}

    seen = readback.compare(key, [finding("Medium", **at), finding("Low", **beat)])
    assert (seen["implants"][0]["found"], seen["benign"][0]["flagged"]) == (True, False)

    seen = readback.compare(key, [finding("Low", **at), finding("High", **beat)])
    assert (seen["implants"][0]["found"], seen["implants"][0]["severity"]) == (False, "Low")
    assert seen["benign"][0]["flagged"] is True

    assert readback.compare(key, [])["implants"][0]["severity"] is None


def test_a_finding_is_linked_to_the_newest_generation_of_its_case() -> None:
    found = [finding("High"), {**finding("High"), "finding_key": "other"}]
    incidents = [{"id": incident_id("k", 1)}, {"id": incident_id("k", 3)}]
    readback.link(found, incidents)
    assert [one["incident_id"] for one in found] == [incident_id("k", 3), None]


@pytest.mark.parametrize("moving", [True, False])
def test_progress_is_one_line_a_stage_and_keeps_the_time(moving: bool) -> None:
    class Screen(io.StringIO):
        def isatty(self) -> bool:
            return moving

    screen = Screen()
    progress = Progress(screen)
    progress.stage("landing", "1 blob")
    progress.stage("landing", "2 blobs")
    progress.stage("hunting")
    progress.end()
    text = screen.getvalue()
    assert set(progress.timings) == {"landing", "hunting"}
    assert text.count("2 blobs") == 1
    assert ("\x1b[2K" in text) is moving


class BusyApp:
    """Answers late at first."""

    def __init__(self, refusals: int) -> None:
        self.refusals = refusals

    def status(self) -> dict[str, object]:
        """As a busy machine's app does."""
        return {"active": {"runs": []}, "waiting": {"marks": 0, "requests": 0, "slots": 0}}

    def run(self, _run_id: str) -> dict[str, str]:
        """Refused so many times, then over."""
        self.refusals -= 1
        if self.refusals >= 0:
            raise Transient("503: read a document: the answer was lost")
        return {"status": "done"}


def test_a_busy_app_is_asked_again() -> None:
    app = BusyApp(refusals=2)
    machine: Any = SimpleNamespace(
        app=app, app_is_alive=lambda: True, home=SimpleNamespace(require_room=lambda: None)
    )
    Hunt(machine, Progress(io.StringIO())).wait_for(["a-run"])
    assert app.refusals == -1
