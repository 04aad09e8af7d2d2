"""Timer triggers and time-outs of the functions host."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import pytest

from tests.system.functions_apps import TIMERS
from tests.system.functions_process import (
    running,
    wait_for,
    write_app,
)
from workbench.host.timer import check_schedule, next_beat


def test_timers_beat_never_overlap_and_drop_what_they_missed(tmp_path: Path) -> None:
    settings = {"Values": {"BEAT": "*/1 * * * * *", "SEEN": "environment wins"}}
    app = write_app(tmp_path / "app", TIMERS)
    (app / "local.settings.json").write_text(json.dumps(settings))
    with running(app) as host:
        wait_for(lambda: host.tally("overlong")["succeeded"] >= 3)
        failing, notes = host.tally("failing"), host.notes()
    overlong = [note for note in notes if note["name"] == "overlong"]
    assert [note["late"] for note in overlong] == [False] + [True] * (len(overlong) - 1)
    for earlier, later in pairwise(overlong):
        assert later["at"] >= earlier["end"]
    quick = [note["at"] for note in notes if note["name"] == "quick"]
    assert len(quick) >= 3
    assert len({int(at) for at in quick}) == len(quick)
    assert [note["late"] for note in notes if note["name"] == "at_start"] == [False]
    assert failing["failed"] >= 3
    assert failing["succeeded"] == 0


def test_beats_are_computed_in_utc_from_now_on() -> None:
    now = datetime(2025, 1, 2, 3, 4, 5, 900_000, UTC)
    assert next_beat("*/1 * * * * *", now) == datetime(2025, 1, 2, 3, 4, 6, tzinfo=UTC)
    assert next_beat("0 */5 * * * *", now) == datetime(2025, 1, 2, 3, 5, tzinfo=UTC)
    assert next_beat("30 4 * * *", now) == datetime(2025, 1, 2, 4, 30, tzinfo=UTC)
    assert next_beat("0 0 9 * * mon", now) == datetime(2025, 1, 6, 9, tzinfo=UTC)


@pytest.mark.parametrize("schedule", ["", "* * *", "61 * * * * *", "00:00:10", "0 0 0 30 2 *"])
def test_a_schedule_that_never_beats_is_refused(schedule: str) -> None:
    with pytest.raises(ValueError, match="schedule"):
        check_schedule(schedule)


def test_a_function_over_its_time_is_reported_and_still_does_not_overlap(tmp_path: Path) -> None:
    code = TIMERS.replace("time.sleep(1.3)", "time.sleep(2.2)")
    app = write_app(tmp_path / "app", code, functionTimeout="00:00:01")
    with running(app, BEAT="*/1 * * * * *") as host:
        wait_for(lambda: host.tally("overlong")["failed"] >= 2)
        tally, notes = host.tally("overlong"), host.notes()
        log = [line["message"] for line in host.log()]
    assert "Timeout value of 1.0 s was exceeded" in tally["last_error"]
    assert any("Timeout value of 1.0 s was exceeded by function: overlong" in m for m in log)
    assert tally["succeeded"] == 0
    overlong = [note for note in notes if note["name"] == "overlong"]
    for earlier, later in pairwise(overlong):
        assert later["at"] >= earlier["end"]
