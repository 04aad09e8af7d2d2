"""Results that vanish, shrink or change while they are delivered: held with the reason."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from shared import contract as c
from shared.errors import Transient
from shared.model import Run
from tests.unit.delivering import JOB, delivering, ids, sent, step
from tests.unit.house import House, a_finding, a_run, manifest

FOUND = [a_finding(f"10.0.0.{n}", Evidence={"Raw": "x" * 30_000}) for n in range(60)]
FOLDER = c.run_folder(JOB, a_run().id)
PART, SECOND = (f"{FOLDER}/part-0000{n}.jsonl" for n in (0, 1))
MANIFEST = c.manifest_path(JOB, a_run().id)


def two_parts() -> House:
    """A run of 60 findings in two parts; a request takes about 29 of them."""
    home = delivering(FOUND)
    lines = (home.results.peek(PART) or b"").splitlines(keepends=True)
    home.results.plant(PART, b"".join(lines[:40]))
    home.results.plant(SECOND, b"".join(lines[40:]))
    parts = {"part-00000.jsonl": 40, "part-00001.jsonl": 20}
    home.results.plant(MANIFEST, manifest(JOB, a_run().id, parts))
    return home


def stop_after(home: House, requests: int) -> Run:
    """Send so many requests, then meet an outage."""
    home.wire.hook = lambda phase, operation, _s: _out(home, phase, operation, requests)
    run = step(home)
    home.wire.hook = lambda *_: None
    home.clock.forward(60)
    assert len(home.sink.payloads) == requests
    return run


def _out(home: House, phase: str, operation: str, requests: int) -> None:
    if (phase, operation) == ("before", "sink.send") and len(home.sink.payloads) >= requests:
        raise Transient("503")


def gone(home: House, path: str) -> None:
    """Remove a file, as a lifecycle rule would."""
    del home.results._blobs.held[path]


def cut(home: House, path: str, rows: int) -> None:
    """Keep a file's first rows only."""
    lines = (home.results.peek(path) or b"").splitlines(keepends=True)
    home.results.plant(path, b"".join(lines[:rows]))


CHANGES: dict[str, tuple[Callable[[House], None], str]] = {
    "the part under way is gone": (lambda home: gone(home, PART), "no such file"),
    "the next part is gone": (lambda home: gone(home, SECOND), "no such file"),
    "the part under way ends before the cursor": (lambda home: cut(home, PART, 5), "says 60"),
    "the next part is shorter": (lambda home: cut(home, SECOND, 19), "59 rows, its manifest"),
    "the next part is empty": (lambda home: cut(home, SECOND, 0), "40 rows, its manifest"),
    "the next part holds more": (lambda home: grow(home, SECOND), "61 rows, its manifest"),
    "the manifest says less": (
        lambda home: lie(home, {"part-00000.jsonl": 40}), "says 40 rows, it said 60",
    ),
    "the manifest says that it failed": (
        lambda home: lie(home, {}, status="failed"), "says 0 rows, it said 60",
    ),
}  # fmt: skip


def lie(home: House, parts: dict[str, int], **changes: str) -> None:
    """Write another manifest over the run's."""
    home.results.plant(MANIFEST, manifest(JOB, a_run().id, parts, **changes))


def grow(home: House, path: str) -> None:
    """Add a row that no manifest knows."""
    more = json.dumps(a_finding("10.9.9.9")).encode() + b"\n"
    home.results.plant(path, (home.results.peek(path) or b"") + more)


@pytest.mark.parametrize("change", CHANGES)
def test_what_changes_under_way_holds_the_run(change: str) -> None:
    home = two_parts()
    assert stop_after(home, 1).status == "delivering"
    kept = {path: home.results.peek(path) or b"" for path in (PART, SECOND, MANIFEST)}
    make, reason = CHANGES[change]
    make(home)
    run = step(home)
    assert run.status == "held" and reason in run.reason and run.step == "sending"
    assert home.incidents.incidents == {}
    home.clock.forward(3600)
    assert step(home).status == "held"
    if "gone" in change or "the manifest" in change:  # nothing was skipped: it can go on
        for path, content in kept.items():
            home.results.plant(path, content)
        home.clock.forward(3600)
        run = step(home)
        assert (run.step, run.counts.sent, sent(home)) == ("read-back", 60, ids(FOUND))


@pytest.mark.parametrize(
    "change", ["the next part is gone", "the next part is shorter", "the manifest says less"]
)
def test_what_changes_before_the_incidents_holds_the_run(change: str) -> None:
    home = two_parts()
    home.wire.hook = lambda phase, operation, _s: _refuse(phase, operation)
    assert step(home).step == "incidents"
    home.wire.hook = lambda *_: None
    home.clock.forward(60)
    CHANGES[change][0](home)
    run = step(home)
    assert run.status == "held" and home.incidents.incidents == {}


def _refuse(phase: str, operation: str) -> None:
    if (phase, operation) == ("before", "incidents.put"):
        raise Transient("503")


def test_a_manifest_that_is_gone_holds_the_run_after_an_hour() -> None:
    home = two_parts()
    stop_after(home, 1)
    content = home.results.peek(MANIFEST) or b""
    gone(home, MANIFEST)
    seen = []
    for _ in range(62):
        seen.append(step(home).status)
        home.clock.forward(60)
    assert (seen[0], seen[-1]) == ("delivering", "held")
    home.results.plant(MANIFEST, content)
    home.clock.forward(60)
    assert step(home).counts.sent == 60 and sent(home) == ids(FOUND)
