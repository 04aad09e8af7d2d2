"""The same end, whatever happens: lost and repeated events, lost answers, outages."""

from __future__ import annotations

import random
from collections import Counter
from datetime import timedelta

import pytest

from shared.errors import OutcomeUnknown, Transient
from shared.marks import mark_export
from shared.model import Json
from tests.simulation.faults import acts
from tests.unit import house
from tests.unit.house import TABLE, House, export_path, two_quick_hunts

DAYS = ("20260307", "20260308", "20260309")


def outcome(home: House) -> Json:
    """What must not depend on when something was noticed: everything but times and job ids."""
    runs = {
        run.id: (run.status, run.revision, run.attempt, run.counts, run.incidents)
        for run in home.runs().values()
    }
    hunts = {
        path: (body["watermark"], body["gaps"], {k: s.get("revision") for k, s in _slots(body)})
        for path, body in home.documents("hunts/").items()
    }
    days = {
        path: {hour: (held["fingerprint"], bool(held["copy"])) for hour, held in _hours(body)}
        for path, body in home.documents("days/").items()
    }
    left = [*home.documents("active/"), *home.documents("touched/"), *home.documents("requests/")]
    rows = sorted((r["RunId"], r["FindingId"], r["Evidence"]["Bytes"]) for r in home.sink.rows)
    incidents = {key: one.properties["title"] for key, one in home.incidents.incidents.items()}
    comments = {key: len(held) for key, held in home.incidents.comments.items()}
    return {"runs": runs, "hunts": hunts, "days": days, "left": left, "rows": rows,
            "incidents": incidents, "comments": comments}  # fmt: skip


def _slots(body: Json) -> list[tuple[str, Json]]:
    return sorted(body["slots"].items())


def _hours(body: Json) -> list[tuple[str, Json]]:
    return sorted((hour, {"copy": "", **held}) for hour, held in body["hours"].items())


def history(events: int, seed: int) -> House:
    """Three days land, then late data; each event comes so many times, in any order."""
    home, dice = two_quick_hunts(settle_seconds="1200"), random.Random(seed)  # noqa: S311 no secret
    queue: list[str] = []
    for minute in range(0, 600, 3):
        if minute in (0, 3, 6, 240):
            hours = ["2026030911"] if minute == 240 else house.hours_of_days(DAYS[minute // 3])
            name = "PT05M_1.json" if minute == 240 else "PT05M.json"
            home.land(hours, event=False, name=name)
            queue += events * [export_path(hour, name) for hour in hours]
            dice.shuffle(queue)
        for path in [queue.pop() for _ in range(min(len(queue), dice.randint(0, 40)))]:
            mark_export(home.deployment, f"am-{TABLE}", path)
        home.work()
        home.tick(1, 180)
    assert queue == []
    return home


@pytest.fixture(scope="module")
def without_events() -> Json:
    return outcome(history(0, 0))


def test_timers_alone_judge_the_newest_day_and_its_revision(without_events: Json) -> None:
    assert [run[0] for run in without_events["runs"].values()] == ["done"] * 4
    assert without_events["left"] == [] and len(without_events["rows"]) == 4
    assert len(without_events["incidents"]) == 2


@pytest.mark.parametrize(("events", "seed"), [(1, 0), (1, 1), (3, 2), (3, 3)])
def test_events_change_nothing_but_the_time(without_events: Json, events: int, seed: int) -> None:
    assert outcome(history(events, seed)) == without_events


def script(home: House, minutes: int = 60) -> None:
    """One day of both hunts from its blobs to its incidents; each failed turn is another host's."""
    home.land(["2026030922", "2026030923"], event=False)
    for minute in range(minutes):
        if minute % 5 == 0 and minute and _is_over(home):
            return
        try:
            home.work()
            home.tick()
        except Transient:
            home.deployment = home.beside(f"host-{minute + 2}")
            home.clock.forward(60)


def _is_over(home: House) -> bool:
    paths = list(home.ledger.contents())
    return any("/20260309-" in path for path in paths if path.startswith("done/")) and not any(
        path.startswith("active/") for path in paths
    )


def check(home: House, repeated: int) -> None:
    """All is done, once; rows are repeated only where a cause was injected."""
    assert {run.status for run in home.runs().values()} == {"done"}
    posts = Counter(request.job_id for request in home.engine.requests)
    assert max(posts.values()) == 1
    rows = Counter(row["FindingId"] for row in home.sink.rows)
    assert len(rows) == 2 and sum(rows.values()) <= 2 + repeated
    assert len(home.incidents.incidents) == 2
    assert [*home.documents("active/"), *home.documents("touched/")] == []


@pytest.mark.parametrize("seed", range(12))
def test_two_hours_of_faults_end_like_none(seed: int) -> None:
    home, dice = two_quick_hunts(), random.Random(seed)  # noqa: S311 no secret
    faults: Counter[str] = Counter()

    def fault(_phase: str, what: str, _subject: str) -> None:
        if home.clock() < house.START + timedelta(hours=2) and dice.random() < 0.04:
            faults[what] += 1
            raise OutcomeUnknown("injected") if acts(what) else Transient("injected")

    home.wire.hook = fault
    home.clock.forward(1)
    script(home, 240)
    home.wire.hook = lambda *_: None
    check(home, faults["sink.send"] + faults["ledger.replace"])
    assert sum(faults.values()) > 5
