"""What a sink or a topic does not take is owed, kept small, and comes later."""

from __future__ import annotations

import json
from contextlib import nullcontext
from dataclasses import replace

import pytest

from shared import control_loop, health, http_api
from shared.errors import Forbidden, Missing, Rejected, TidehuntError, TooLarge, Transient
from shared.health import OWED_BYTES
from shared.messages import Announce
from shared.records import Kept
from shared.told import OWED, Owed
from tests.unit import house
from tests.unit.delivering import delivering, refuse
from tests.unit.house import Crash, a_run
from tests.unit.telling import FAILED, MISSING, STUCK, owed, rows, stuck_and_failed


@pytest.mark.parametrize(
    "error",
    [
        Transient("503"),
        Forbidden("403"),
        Missing("no such stream"),
        Rejected("400"),
        TooLarge("413"),
    ],
)
def test_what_the_sink_refuses_is_owed_and_comes_later(error: TidehuntError) -> None:
    home = stuck_and_failed()

    def hook(phase: str, operation: str, subject: str) -> None:
        MISSING(phase, operation, subject)
        refuse("health.send", error)(phase, operation, subject)

    home.wire.hook = hook
    home.tick(12)
    assert rows(home) == [] and {row["RunId"] for row in owed(home).rows} == {FAILED, STUCK}
    assert f"done/y=2026/m=03/d=09/{FAILED}.json" in home.documents("done/")
    assert http_api.status(home.deployment)[1]["untold"] == {"rows": 2, "messages": 0, "lost": 0}
    home.wire.hook = MISSING
    home.tick(6)
    assert sorted(row["RunId"] for row in rows(home) if row.get("RunId")) == [FAILED, STUCK]
    assert owed(home).rows == () and owed(home).lost == 0


def test_a_poisoned_row_is_dropped_and_spares_the_others(caplog: pytest.LogCaptureFixture) -> None:
    home = house.build()
    given = [{"RowId": str(n), "Kind": "RunEnded", "Status": "failed"} for n in range(5)]
    before = Owed(rows=tuple(given))
    home.deployment.records.save(Kept(OWED, before, None), before)

    class Picky:
        def send(self, payload: bytes) -> None:
            if b'"RowId":"2"' in payload:
                raise Rejected("400")
            home.health.send(payload)

    control_loop.take_turn(replace(home.deployment, health=Picky()))
    assert {row["RowId"] for row in rows(home) if row.get("Status")} == {"0", "1", "3", "4"}
    assert owed(home).rows == ()
    assert "the sink refuses this row alone: 2" in caplog.text


def test_what_is_owed_stays_small_and_alarms_outlive_what_went_well() -> None:
    home = house.build()
    home.wire.hook = refuse("health.send", Transient("503"))
    turn = home.turn()
    for n in range(30):
        reason = "é" * 400
        done = [a_run(id=f"2026030{n % 10}-done-{n:03d}-{i}-r0", status="done") for i in range(10)]
        health.tell_ended(turn, [*done, a_run(id=f"20260309-failed-{n:03d}-r0", status="failed",
                                              reason=reason)])  # fmt: skip
    (body,) = home.documents(OWED).values()
    assert len(json.dumps(body)) <= OWED_BYTES
    kept = owed(home)
    assert all(row["Status"] == "failed" for row in kept.rows)
    assert len(kept.rows) >= 20 and kept.lost == 330 - len(kept.rows)
    home.wire.hook = lambda *_: None
    home.tick(6)
    assert rows(home, "Heartbeat")[-1]["RowsLost"] == kept.lost


def test_messages_that_a_topic_does_not_take_are_said_later() -> None:
    home = delivering()
    home.wire.hook = refuse("notifier.publish", Transient("503"))
    home.live(1)
    assert home.notifier.events == [] and len(owed(home).messages) == 2
    home.wire.hook = lambda *_: None
    home.tick(6)
    assert [event[0] for event in home.notifier.events] == [
        f"{a_run().id}-delivered", f"{a_run().id}-ended",
    ]  # fmt: skip
    assert owed(home).messages == ()


def test_a_topic_that_hangs_costs_one_call_a_time() -> None:
    home = house.build()
    messages = tuple(Announce(f"id-{n}", "K", "s", {}) for n in range(40))
    home.deployment.records.save(Kept(OWED, Owed((), messages), None), Owed((), messages))
    asked: list[str] = []

    def hang(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("before", "notifier.publish"):
            asked.append(subject)
            raise Transient("no answer")

    home.wire.hook = hang
    home.tick()
    assert asked == ["id-0"] and owed(home).messages == messages


@pytest.mark.parametrize("error", [Crash(), Transient("no answer")], ids=["crash", "lost read"])
def test_what_breaks_once_all_rows_are_sent_loses_no_message(error: BaseException) -> None:
    home = delivering()
    broken: list[str] = []

    def fail(phase: str, operation: str, subject: str) -> None:
        # Between the last row and the message, the parts are read again for `delivered.json`.
        if (phase, operation) == ("before", "results.lines") and home.sink.rows and not broken:
            broken.append(subject)
            raise error

    home.wire.hook = fail
    with pytest.raises(Crash) if isinstance(error, Crash) else nullcontext():
        home.tick()
    assert broken and home.notifier.events == []
    home.wire.hook = lambda *_: None
    home.clock.forward(600)
    home.tick()
    assert [event[1] for event in home.notifier.events] == ["Tidehunt.FindingsDelivered"]
