"""A pool that takes no jobs: its breaker opens, one probe at a time goes out, a start closes it."""

from __future__ import annotations

import contextlib
import json
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

from shared.errors import OutcomeUnknown, Permanent, Transient
from shared.http_api import status
from shared.model import Json
from tests.unit.delivering import refuse
from tests.unit.house import START, Crash, House
from tests.unit.waiting_runs import fast, jobs, numbered, waiting

FULL = Transient("the Synapse workspace has no free cores")


def breaker(home: House) -> Json:
    return home.documents("pools/").get("pools/hunting.json", {})


def refusing(attempts: list[datetime], home: House, error: Exception) -> Any:
    """A pool that refuses every submission; the list tells when."""

    def hook(phase: str, what: str, _subject: str) -> None:
        if (phase, what) == ("before", "engine.submit"):
            attempts.append(home.clock())
            raise error

    return hook


def many(home: House, count: int = 8) -> None:
    """Runs that have been alone with their jobs before: each gets a job of its own."""
    waiting(home, *numbered(count, attempt=2))


def minutes(moments: list[datetime]) -> list[int]:
    return [round((moment - START).total_seconds() / 60) for moment in moments]


def test_a_pool_that_refuses_gets_one_probe_at_a_time_and_ever_more_seldom() -> None:
    home, attempts = fast(), list[datetime]()
    many(home)
    home.wire.hook = refusing(attempts, home, FULL)
    home.tick(130)
    assert minutes(attempts)[:5] == [0] * 5  # TIDEHUNT_JOBS_AT_ONCE, before anybody knows
    probes = minutes(attempts)[5:]
    gaps = [after - before for before, after in pairwise(probes)]
    assert gaps == sorted(gaps) and gaps[-1] == 30
    assert len(probes) <= 9
    assert {run.attempt for run in home.runs().values()} == {2}  # none was used up
    assert {run.status for run in home.runs().values()} == {"waiting"}


def test_the_budget_of_a_day_outlives_hours_of_refusals() -> None:
    home = fast()
    many(home, 25)
    home.wire.hook = refusing([], home, FULL)
    home.tick(6 * 60)
    budget = home.documents("budget/")["budget/20260310.json"]
    assert budget["jobs"] < 25
    assert (budget.get("core_minutes", 0), budget["reserved"]) == (0, {})


def test_a_probe_that_starts_closes_it_and_all_go_out() -> None:
    home = fast()
    many(home)
    home.wire.hook = refusing([], home, FULL)
    home.tick(20)
    assert breaker(home)["since"] and status(home.deployment)[1]["pool"]["breaker"] == "open"
    home.wire.hook = lambda *_: None
    while not home.engine.requests:
        home.tick()
    home.tick(3)
    assert len(home.engine.requests) == 1 and breaker(home)["probe"] == jobs(home)[0].id
    home.engine.enter("0", "running")
    home.tick(2)
    assert len(home.engine.requests) == 5  # at once
    assert status(home.deployment)[1]["pool"]["breaker"] == "closed"
    home.live(3)
    assert {run.status for run in home.runs().values()} == {"done"}


def test_a_queue_that_stands_opens_it() -> None:
    home = fast()
    many(home)
    home.tick(31)
    assert len(home.engine.requests) == 5 and breaker(home) == {}
    home.tick(3)
    told = status(home.deployment)[1]["pool"]
    assert (told["breaker"], "QUEUE_DEADLINE" in told["reason"]) == ("open", True)
    assert len(home.engine.requests) == 6  # the probe
    home.tick(33)
    assert len(home.engine.requests) == 6
    assert {run.attempt for run in home.runs().values() if run.status == "waiting"} == {2}


def test_answers_that_never_come_open_it_as_well() -> None:
    home = fast()
    many(home)
    home.wire.hook = refuse("engine.submit", OutcomeUnknown("503"))
    home.tick(8)
    assert status(home.deployment)[1]["pool"]["breaker"] == "open"


def test_more_cores_than_the_pool_has_says_nothing_of_its_queue() -> None:
    home = fast()
    many(home)
    home.wire.hook = refuse("engine.submit", Permanent("more cores than the pool has"))
    home.tick(5)
    assert breaker(home) == {}
    assert {run.status for run in home.runs().values()} == {"held"}


def test_people_who_take_back_what_is_queued_do_not_open_it() -> None:
    home = fast()
    many(home, 5)
    home.tick()
    for run in home.runs().values():
        asked = {"schema": 1, "kind": "cancel", "run_id": run.id, "asked": START.isoformat()}
        home.ledger.plant(f"requests/{run.id}.cancel.json", json.dumps(asked).encode())
    home.tick(9)
    assert (jobs(home), breaker(home)) == ([], {})


def test_a_crash_at_any_write_leaves_at_most_one_probe_and_no_stall() -> None:
    crashes = 0
    for number in range(30):
        home, writes = fast(), list[str]()
        many(home, 4)
        home.wire.hook = refusing([], home, FULL)
        home.tick(6)
        home.wire.hook = _dying(writes, number)
        for _ in range(12):
            with contextlib.suppress(Crash):
                home.tick()
        crashes += len(writes) > number
        assert sum(job.state == "queued" for job in home.engine.jobs.values()) <= 1
        home.live(2)
        assert {run.status for run in home.runs().values()} == {"done"}
        assert home.documents("budget/")["budget/20260310.json"]["core_minutes"] > 0
    assert crashes >= 10


def _dying(writes: list[str], number: int) -> Any:
    """The process is gone right after its write of that number."""

    def hook(phase: str, what: str, subject: str) -> None:
        if phase == "after" and what in ("ledger.create", "ledger.replace", "ledger.delete"):
            writes.append(subject)
            if len(writes) == number + 1:
                raise Crash

    return hook


def test_a_planned_job_that_was_not_posted_becomes_the_probe() -> None:
    home = fast()
    many(home, 4)
    home.clock.forward(1)
    home.wire.hook = refusing([], home, FULL)
    home.tick(12)
    ((path, document),) = home.documents("pools/").items()
    home.wire.hook = refuse("results.write", Transient("no plan can be written"))
    while not jobs(home):
        home.tick()
    (job,) = jobs(home)
    assert breaker(home)["probe"] == job.id and document["since"]
    # The host dies before the probe is named: nobody else may post it, until it is named again.
    home.ledger.plant(path, json.dumps({**breaker(home), "probe": ""}).encode())
    home.wire.hook = lambda *_: None
    home.tick(2)
    assert [request.job_id for request in home.engine.requests] == [job.id]
    assert len(jobs(home)) == 1


def test_a_breaker_that_cannot_be_read_stops_nothing() -> None:
    home = fast()
    home.ledger.plant("pools/hunting.json", b"{")
    many(home, 2)
    home.tick()
    assert len(home.engine.requests) == 2
    assert status(home.deployment)[1]["pool"]["breaker"] == "closed"


def test_the_wait_is_told_by_status() -> None:
    home = fast()
    many(home, 4)
    home.wire.hook = refusing([], home, FULL)
    home.tick(3)
    told = status(home.deployment)[1]["pool"]
    assert (told["pool"], told["breaker"], told["reason"]) == ("hunting", "open", FULL.what)
    assert told["since"] == START.isoformat()
    assert datetime.fromisoformat(told["next_try"]) - START <= timedelta(minutes=4)
