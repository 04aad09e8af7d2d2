"""The whole loop on real Spark: blobs land, events arrive (or not), incidents open."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared.records import Records
from workbench.emulators.eventgrid_delivery import Options
from workbench.home import Home
from workbench.hunt_command import demo_faults
from workbench.hunting import Hunt
from workbench.machine import Machine
from workbench.progress import Progress
from workbench.samples import AnswerKey, make_demo

pytestmark = pytest.mark.slow
Json = dict[str, Any]
SPARK_STARTS_SECONDS = 4
YESTERDAY: date = (datetime.now(UTC) - timedelta(days=1)).date()


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, AnswerKey]:
    """Three days of the demo tenant, made once."""
    folder = tmp_path_factory.mktemp("demo")
    key = make_demo(
        folder / "exports", seed=11, last_day=YESTERDAY, days=3, key_path=folder / "key.json"
    )
    return folder / "exports", key


def hunt_demo(home: Home, demo: tuple[Path, AnswerKey], events: Options) -> tuple[Json, list[str]]:
    """Land the demo in a home, wait, and give the document with the triggers that never fired."""
    source, key = demo
    home.make()
    (home.references / "allow_list.json").write_text(json.dumps(key.allow_list), "utf-8")
    with Machine(home, [key.workspace], events=events) as machine:
        under_way = Hunt(machine, Progress())
        before = {run["run_id"] for run in machine.app.status()["recent"]}
        under_way.land(source)
        under_way.wait_until_idle()
        runs = machine.app.status()["recent"]
        fresh = [run for run in runs if run["run_id"] not in before]
        document = under_way.document(runs, vars(key))
        return {**document, "fresh": fresh}, under_way.silent_triggers(manifests=bool(fresh))


def outcome(home: Home, document: Json) -> Json:
    """What must not depend on events: runs, findings, incidents, consumed marks."""
    ledger = home.state / "ledger"
    return {
        "runs": sorted(
            (run["run_id"], run["status"], run["attempt"], tuple(sorted(run["counts"].items())))
            for run in document["runs"]
        ),
        "findings": sorted(
            (one["finding_id"], one["severity"], one["score"]) for one in document["findings"]
        ),
        "incidents": sorted(
            (one["id"], one["title"], one["severity"]) for one in document["incidents"]
        ),
        "active": sorted(path.name for path in (ledger / "active").rglob("*.json")),
        "marks": sorted(path.name for path in (ledger / "touched").rglob("*") if path.is_file()),
        "done": sorted(
            path.name
            for path in (ledger / "done").rglob("*.json")
            if not path.name.startswith("job-")
        ),
        "cases": sorted(path.name for path in (ledger / "cases").rglob("*.json")),
    }


def interrupt(home: Home, demo: tuple[Path, AnswerKey], events: Options) -> None:
    """Ctrl-C, once Spark is at work."""
    source, key = demo
    with Machine(home, [key.workspace], events=events) as machine:
        Hunt(machine, Progress()).land(source)
        while not any(run["status"] == "assigned" for run in _active(machine)):
            time.sleep(0.2)
        time.sleep(SPARK_STARTS_SECONDS)


def _active(machine: Machine) -> list[Json]:
    runs: list[Json] = machine.app.status()["active"]["runs"]
    return runs


@pytest.fixture(scope="module")
def with_events(
    demo: tuple[Path, AnswerKey], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Home, Json, list[str]]]:
    """The loop as it is meant, once for all tests of this file."""
    home = Home(tmp_path_factory.mktemp("events") / "home")
    document, silent = hunt_demo(home, demo, Options())
    yield home, document, silent
    shutil.rmtree(home.path)


def test_every_trigger_fires_and_the_planted_implants_are_found(
    with_events: tuple[Home, Json, list[str]],
) -> None:
    _, document, silent = with_events
    assert silent == []
    assert [run["status"] for run in document["runs"]] == ["done"]
    assert demo_faults(document) == []
    assert len(document["incidents"]) >= len(document["answer_key"]["implants"])


def test_again_starts_no_job_and_opens_no_incident(
    with_events: tuple[Home, Json, list[str]], demo: tuple[Path, AnswerKey]
) -> None:
    home, first, _ = with_events
    jobs = sorted((home.state / "results" / "jobs").iterdir())
    again, _ = hunt_demo(home, demo, Options())
    assert again["fresh"] == []
    assert sorted((home.state / "results" / "jobs").iterdir()) == jobs
    assert outcome(home, again) == outcome(home, first)


@pytest.mark.parametrize(
    ("events", "interrupted"),
    [
        pytest.param(Options(drop=True), False, id="timers-only"),
        pytest.param(
            Options(copies=3, shuffle_seed=5),
            True,
            id="thrice-shuffled-interrupted",
            marks=pytest.mark.proof,
        ),
    ],
)
def test_the_outcome_depends_neither_on_events_nor_on_an_interruption(
    with_events: tuple[Home, Json, list[str]],
    demo: tuple[Path, AnswerKey],
    tmp_path: Path,
    events: Options,
    interrupted: bool,
) -> None:
    home = Home(tmp_path / "home")
    if interrupted:
        interrupt(home, demo, events)
    document, silent = hunt_demo(home, demo, events)
    assert outcome(home, document) == outcome(with_events[0], with_events[1])
    assert silent == (["export_blob_created", "result_created"] if events.drop else [])


def test_the_ledger_is_made_of_documents_that_load(
    with_events: tuple[Home, Json, list[str]],
) -> None:
    home, _, _ = with_events
    documents = list((home.state / "ledger").rglob("*.json"))
    assert documents
    assert {json.loads(path.read_text("utf-8"))["schema"] for path in documents} == {1, 2}
    assert Records.__doc__
