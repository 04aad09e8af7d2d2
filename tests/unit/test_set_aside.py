"""What the sink refuses: set aside, tried again by a revision, or the sink's own fault."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import timedelta

import pytest

from shared import contract as c
from shared import refusals
from shared.errors import Rejected, Throttled
from shared.model import Counts, Json, Run
from shared.ports import FindingSink
from shared.records import Kept, run_path
from tests.unit.delivering import JOB, delivering, ids, poisoned, put, sent, set_aside, step
from tests.unit.house import House, a_finding, a_run, build, manifest, spec


@dataclass
class Picky:
    """A sink that refuses requests with a word in them, and counts what it is asked."""

    inner: FindingSink
    word: bytes
    asked: int = 0

    def send(self, payload: bytes) -> None:
        """400 for the whole request."""
        self.asked += 1
        if self.word in payload:
            raise Rejected("400: no")
        self.inner.send(payload)


def picky(home: House, word: str) -> Picky:
    """Let the sink refuse what holds this word."""
    sink = Picky(home.deployment.sink, word.encode())
    home.deployment = replace(home.deployment, sink=sink)
    return sink


def many(count: int, bad: frozenset[int] = frozenset(), part: int = 500) -> House:
    """A run with so many small findings in parts of so many; the bad ones hold a word."""
    home, names = build([spec()], readback_seconds="600"), {}
    for first in range(0, count, part):
        numbers = range(first, min(first + part, count))
        name = f"part-{first // part:05d}.jsonl"
        lines = "".join(json.dumps(_small(n, "poison" if n in bad else "good")) for n in numbers)
        content = lines.replace("}{", "}\n{").encode() + b"\n"
        home.results.plant(f"{c.run_folder(JOB, a_run().id)}/{name}", content)
        names[name] = len(numbers)
    run = a_run(status="delivering", step="sending", job=JOB, counts=Counts(rows=count))
    home.deployment.records.save(Kept(run_path(run), run, None), run)
    home.results.plant(c.manifest_path(JOB, run.id), manifest(JOB, run.id, names))
    return home


def _small(number: int, word: str) -> Json:
    address = f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}"
    return a_finding(address, Severity="Low", Evidence={"Word": word})


def test_a_revision_tries_again_what_was_set_aside() -> None:
    found = [a_finding("10.0.0.1"), a_finding("10.0.0.2")]
    home = delivering(found)
    takes_all = home.deployment
    poisoned(home, ids(found)[0], Rejected("400: no"))
    assert step(home).counts.set_aside == 1
    home.clock.forward(600)
    home.deployment.records.finish(Kept(run_path(a_run()), step(home), ""), a_run().id)
    home.deployment = takes_all
    later = a_run(id=a_run().id[:-1] + "1", revision=1)
    put(home, later, found)
    run = step(home, later.id)
    assert (run.counts.sent, run.counts.unchanged) == (1, 1)
    assert sent(home) == [ids(found)[1], ids(found)[0]]


# --- poisoned rows --------------------------------------------------------------------------------


@pytest.mark.proof
def test_one_poisoned_row_of_100_000_costs_a_few_requests() -> None:
    home = many(100_000, frozenset({77_777}), part=5000)
    sink = picky(home, "poison")
    run = step(home)
    assert (run.counts.sent, run.counts.set_aside, len(set(sent(home)))) == (99_999, 1, 99_999)
    (aside,) = set_aside(home)
    assert aside["reason"] == "400: no" and aside["FindingId"] not in sent(home)
    rows_a_request = 99_999 / (len(home.sink.payloads) or 1)
    assert sink.asked <= len(home.sink.payloads) + 12 and rows_a_request > 500


def test_set_aside_rows_are_written_part_by_part() -> None:
    """What is written grows with the refused rows, not with their square."""
    written: list[int] = []
    for rows in (1000, 2000):
        home = many(rows, frozenset(range(0, rows, 10)))
        picky(home, "poison")
        home.wire.hook = lambda phase, operation, path: (
            written.append(len(home.results.peek(path) or b""))  # noqa: B023  called in this round
            if (phase, operation) == ("after", "results.write") and "set-aside" in path
            else None
        )
        run = step(home)
        assert (run.counts.sent, run.counts.set_aside) == (rows - rows // 10, rows // 10)
        assert len(set_aside(home)) == rows // 10
    assert len(written) == 300 and sum(written[100:]) <= 2.05 * sum(written[:100])


# --- a sink that takes nothing --------------------------------------------------------------------


@pytest.mark.parametrize("before", [0, 1400])
def test_a_sink_that_refuses_everything_holds_the_run_and_blames_no_row(before: int) -> None:
    home = many(3000)
    takes_all = home.deployment
    if before:
        home.wire.hook = lambda phase, operation, _s: _full(home, phase, operation, before)
        step(home)
        home.clock.forward(60)
    sink = picky(home, "FindingId")
    run = step(home)
    assert run.status == "held" and "50 rows were refused" in run.reason and "400" in run.reason
    assert sink.asked <= 2 * refusals.IN_A_ROW + 24
    assert run.counts.set_aside == 0 and set_aside(home) == []
    assert run.counts.sent == len(sent(home)) and (before == 0) == (sent(home) == [])
    home.clock.forward(3599)
    assert step(home).status == "held"
    home.clock.forward(1)
    assert step(home).status == "held" and set_aside(home) == []
    home.deployment = takes_all
    home.clock.forward(3600)
    run = step(home)
    assert (run.counts.sent, run.counts.set_aside, run.step) == (3000, 0, "read-back")
    assert len(sent(home)) == len(set(sent(home))) == 3000


def _full(home: House, phase: str, operation: str, rows: int) -> None:
    if (phase, operation) == ("before", "sink.send") and len(home.sink.rows) >= rows:
        home.wire.hook = lambda *_: None
        raise Throttled("429", retry_after=60)


@pytest.mark.parametrize(("rows", "held"), [(9, False), (10, True), (49, True)])
def test_a_small_run_of_which_nothing_is_taken(rows: int, held: bool) -> None:
    home = many(rows)
    takes_all = home.deployment
    picky(home, "FindingId")
    run = step(home)
    assert (run.status == "held") == held
    assert len(set_aside(home)) == run.counts.set_aside == (0 if held else rows)
    home.deployment = takes_all
    home.clock.forward(3600)
    run = step(home)
    assert (run.counts.sent, run.counts.set_aside) == ((rows, 0) if held else (0, rows))


def test_a_slow_refusal_is_noticed_over_many_turns() -> None:
    """The rows in a row are remembered from turn to turn."""
    home = many(200)
    picky(home, "FindingId")
    home.wire.hook = lambda phase, operation, _s: (
        home.clock.forward(2.0) if (phase, operation) == ("after", "ledger.replace") else None
    )
    turns = 0
    while (run := step(home, seconds=45.0)).status == "delivering":
        turns += 1
        assert turns < 40
    assert (
        turns >= 2 and run.status == "held" and (run.counts.set_aside, set_aside(home)) == (0, [])
    )
    assert run.next_at is not None and run.next_at - home.clock() >= timedelta(minutes=59)


def test_good_rows_between_bad_ones_prove_the_sink_right() -> None:
    home = many(400, frozenset(n for n in range(400) if n % 50))
    picky(home, "poison")
    run = step(home)
    assert (run.step, run.counts.sent, run.counts.set_aside) == ("read-back", 8, 392)


def test_lines_that_never_reach_the_sink_say_nothing_about_it() -> None:
    home = delivering([{"Title": "x"}] * 60 + [a_finding("10.0.0.1")])
    run: Run = step(home)
    assert (run.step, run.counts.sent, run.counts.set_aside) == ("read-back", 1, 60)


def test_what_a_crash_left_behind_the_cursor_counts_for_nothing() -> None:
    found = [a_finding(f"10.0.0.{n}") for n in range(20)]
    home = delivering(found)
    takes_all = home.deployment
    poisoned(home, ids(found)[10], Rejected("400: no"))

    def crash(phase: str, operation: str, _subject: str) -> None:
        if (phase, operation) == ("after", "results.write"):
            raise KeyboardInterrupt

    home.wire.hook = crash
    with pytest.raises(KeyboardInterrupt):
        step(home)
    home.wire.hook = lambda *_: None
    assert len(set_aside(home)) == 1
    home.deployment = takes_all
    run = step(home)
    assert (run.counts.sent, run.counts.set_aside, set_aside(home)) == (20, 0, [])
