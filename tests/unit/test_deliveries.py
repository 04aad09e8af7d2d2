"""A run's results on their way: cursor, refusals, revisions, the read-back, and caps."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta

import pytest

from shared import contract as c
from shared import delivered, deliveries, delivery
from shared.errors import Forbidden, OutcomeUnknown, Permanent, Rejected, Throttled, TooLarge
from shared.model import Cursor
from shared.records import Kept, run_path
from tests.unit import house
from tests.unit.delivering import JOB, delivering, ids, poisoned, put, refuse, sent, set_aside, step
from tests.unit.house import House, a_finding, a_run, manifest, spec

# --- the way through ------------------------------------------------------------------------------


def test_a_run_sends_opens_and_waits_for_its_read_back() -> None:
    home = delivering()
    run = step(home)
    assert (run.step, run.counts.sent, run.counts.opened, run.case) == ("read-back", 3, 3, 3)
    assert len(home.incidents.incidents) == 3
    assert step(home).status == "delivering"
    home.clock.forward(600)
    run = step(home)
    assert (run.status, run.counts.confirmed) == ("done", 3)
    home.tick()
    assert [event[1] for event in home.notifier.events] == [
        "Tidehunt.FindingsDelivered", "Tidehunt.RunEnded",
    ]  # fmt: skip


def test_requests_stay_below_900_kb() -> None:
    found = [a_finding(f"10.0.{n}.1", Evidence={"Raw": "é" * 25_000}) for n in range(60)]
    home = delivering(found)
    run = step(home)
    assert run.counts.sent == 60 and sent(home) == ids(found)
    assert len(home.sink.payloads) == 4 and max(home.sink.payloads) <= delivery.REQUEST_BYTES


def test_no_findings_need_no_request_and_no_incident() -> None:
    home = delivering([])
    home.clock.forward(600)
    step(home)
    home.clock.forward(600)
    assert step(home).status == "done"
    assert home.sink.payloads == [] and home.incidents.incidents == {}


def test_a_crash_after_a_request_repeats_that_request_at_most() -> None:
    found = [a_finding(f"10.0.{n}.1", Evidence={"Raw": "x" * 50_000}) for n in range(40)]
    home = delivering(found)
    saves: list[int] = []

    def crash(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("before", "ledger.replace") and subject.startswith("active/runs"):
            saves.append(1)
            if len(saves) == 2:
                raise KeyboardInterrupt

    home.wire.hook = crash
    with pytest.raises(KeyboardInterrupt):
        step(home)
    home.wire.hook = lambda *_: None
    assert home.runs()[a_run().id].cursor != Cursor()
    step(home)
    assert list(dict.fromkeys(sent(home))) == ids(found)
    assert len(sent(home)) - len(found) == 17  # the second request, once more


def test_a_turn_without_room_goes_on_where_it_stopped() -> None:
    found = [a_finding(f"10.0.{n}.1") for n in range(50)]
    home = delivering(found)
    home.wire.hook = lambda phase, operation, _s: (
        home.clock.forward(1.0) if (phase, operation) == ("before", "ledger.read") else None
    )
    turns = 0
    while step(home, seconds=20.0).step == "sending":
        turns += 1
        assert turns < 50
    assert turns > 2 and sent(home) == ids(found)


# --- refusals -----------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [Rejected("400: no"), TooLarge("413: no")])
@pytest.mark.parametrize("bad", [0, 41, 99])
def test_a_poisoned_row_is_set_aside_with_its_reason(error: Exception, bad: int) -> None:
    found = [a_finding(f"10.0.{n}.1") for n in range(100)]
    home = delivering(found)
    poisoned(home, ids(found)[bad], error)
    run = step(home)
    assert (run.counts.sent, run.counts.set_aside) == (99, 1)
    assert sent(home) == [one for one in ids(found) if one != ids(found)[bad]]
    (aside,) = set_aside(home)
    assert (aside["FindingId"], aside["reason"]) == (ids(found)[bad], str(error))


def test_lines_that_are_no_findings_are_set_aside_and_the_rest_is_sent() -> None:
    good = [a_finding("10.0.0.1"), a_finding("10.0.0.2", Evidence={"Ratio": 17})]
    home = delivering([good[0], {"Title": "x"}, good[1], a_finding("10.0.0.3", Score=7)])
    path = f"{c.run_folder(JOB, a_run().id)}/part-00000.jsonl"
    content = home.results.read(path, 10**6) or b""
    home.results.plant(path, content.replace(b'"Ratio": 17', b'"Ratio": 1e999'))
    run = step(home)
    assert (run.counts.sent, run.counts.set_aside, sent(home)) == (1, 3, ids(good[:1]))
    assert ["KeyError" in one["reason"] for one in set_aside(home)] == [True, False, False]


def test_a_line_of_a_megabyte_is_set_aside() -> None:
    home = delivering([a_finding(Evidence={"Raw": "x" * c.LINE_BYTES}), a_finding("10.0.0.9")])
    assert (step(home).counts.set_aside, len(sent(home))) == (1, 1)


def test_throttling_is_remembered_and_not_slept() -> None:
    home = delivering()
    home.wire.hook = refuse("sink.send", Throttled("429", retry_after=240))
    run = step(home)
    assert (run.status, run.next_at) == ("delivering", home.clock() + timedelta(seconds=240))
    home.wire.hook = lambda *_: None
    home.clock.forward(239)
    assert step(home).counts.sent == 0
    home.clock.forward(1)
    assert step(home).counts.sent == 3
    assert home.documents("budget/")["budget/20260310.json"]["bytes"] == sum(home.sink.payloads)


def test_a_ledger_that_throttles_gives_back_nothing_of_what_the_sink_took() -> None:
    home = delivering()
    fired: list[str] = []

    def hook(at: str, what: str, subject: str) -> None:
        saves_the_run = (at, what) == ("before", "ledger.replace") and "/runs/" in subject
        if saves_the_run and home.sink.payloads and not fired:
            fired.append(subject)
            raise Throttled("429", retry_after=60)

    home.wire.hook = hook
    step(home)
    assert fired and home.documents("budget/")["budget/20260310.json"]["bytes"] == sum(
        home.sink.payloads
    )


def test_an_unknown_outcome_is_sent_again_with_the_same_ids() -> None:
    home = delivering()
    home.wire.hook = lambda phase, operation, _s: _lose(home, phase, operation)
    step(home)
    home.clock.forward(60)
    assert step(home).counts.sent == 3
    assert sent(home) == 2 * ids([a_finding(f"10.0.0.{n}") for n in range(1, 4)])


def _lose(home: House, phase: str, operation: str) -> None:
    if (phase, operation) == ("after", "sink.send"):
        home.wire.hook = lambda *_: None
        raise OutcomeUnknown("reset")


def test_forbidden_holds_after_an_hour_and_goes_on_by_itself() -> None:
    home = delivering()
    home.wire.hook = refuse("sink.send", Forbidden("403"))
    seen = []
    for _ in range(70):
        seen.append(step(home).status)
        home.clock.forward(60)
    assert seen[:60] == ["delivering"] * 60 and seen[61:] == ["held"] * 9
    home.wire.hook = lambda *_: None
    assert (step(home).status, len(sent(home))) == ("delivering", 3)


@pytest.mark.parametrize(
    ("operation", "error"),
    [("sink.send", Permanent("404: no such rule")), ("results.lines", Permanent("404: no part")),
     ("sink.send", RuntimeError("a bug"))],
)  # fmt: skip
def test_what_never_succeeds_is_told_at_once_and_tried_hourly(
    operation: str, error: Exception
) -> None:
    home = delivering()
    home.wire.hook = refuse(operation, error)
    run = step(home)
    assert run.status == "held" and run.reason
    home.wire.hook = lambda *_: None
    home.clock.forward(3599)
    assert step(home).status == "held"
    home.clock.forward(1)
    assert step(home).counts.sent == 3


def test_a_run_without_its_hunt_is_held_rather_than_without_incidents() -> None:
    home = delivering()
    hunts, home.deployment = home.deployment.hunts, replace(home.deployment, hunts=[])
    assert step(home).status == "held" and sent(home) == []
    home.deployment = replace(home.deployment, hunts=hunts)
    home.clock.forward(3600)
    assert step(home).counts.opened == 3


@pytest.mark.parametrize("rows", [2, 4])
def test_parts_that_do_not_hold_what_the_manifest_says_are_no_delivery(rows: int) -> None:
    home = delivering()
    path = c.manifest_path(JOB, a_run().id)
    home.results.plant(path, manifest(JOB, a_run().id, {"part-00000.jsonl": rows}))
    run = a_run()
    kept = home.deployment.records.find_run(run.id)
    assert kept is not None
    counts = replace(kept.value.counts, rows=rows)
    home.deployment.records.save(kept, replace(kept.value, counts=counts))
    run = step(home)
    assert run.status == "held" and f"3 rows, its manifest says {rows}" in run.reason


# --- revisions ----------------------------------------------------------------------------------


def test_a_revision_sends_and_judges_what_changed_only() -> None:
    home = delivering()
    step(home)
    home.clock.forward(600)
    kept = Kept(run_path(a_run()), step(home), "")
    home.deployment.records.finish(kept, a_run().id)
    later = a_run(id=a_run().id[:-1] + "1", revision=1)
    put(home, later, [a_finding("10.0.0.1"), a_finding("10.0.0.2", Evidence={"Count": 300}),
                      a_finding("10.0.0.7")])  # fmt: skip
    run = step(home, later.id)
    assert (run.counts.sent, run.counts.unchanged) == (2, 1)
    assert (run.counts.updated, run.counts.opened, run.case) == (1, 1, 2)
    assert [row["Revision"] for row in home.sink.rows] == [0, 0, 0, 1, 1]
    home.sink.rows.clear()  # the workspace lost them: the whole revision is sent again, in the end
    for _ in range(4):
        home.clock.forward(600)
        run = step(home, later.id)
    assert (run.resent, run.counts.sent, run.counts.unchanged, len(home.sink.rows)) == (1, 3, 0, 3)
    home.clock.forward(600)
    assert step(home, later.id).status == "done"


# --- read-back ----------------------------------------------------------------------------------


def test_rows_that_do_not_show_are_sent_again_twice_and_then_held() -> None:
    home = delivering()
    home.wire.hook = lambda phase, operation, _s: (
        home.sink.rows.clear() if (phase, operation) == ("before", "workspace.count") else None
    )
    seen = []
    for _ in range(12):
        seen.append((step(home).status, len(home.sink.payloads)))
        home.clock.forward(600)
    assert [requests for _, requests in seen] == [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]
    assert seen[-1][0] == "held" and len(home.incidents.incidents) == 3
    for _ in range(8):
        step(home)
        home.clock.forward(600)
    assert len(home.sink.payloads) == 3


# --- caps ---------------------------------------------------------------------------------------


def test_incidents_of_a_run_are_capped_and_the_rest_is_rolled_up_once() -> None:
    home = delivering(incidents_a_run="2")
    run = step(home)
    assert (run.counts.opened, len(home.incidents.incidents)) == (2, 3)
    (roll_up,) = [one for one in home.incidents.incidents.values() if "more in" in str(one)]
    assert roll_up.properties["title"] == "Beaconing: 1 more in one run"


def test_incidents_of_a_day_are_capped_and_what_is_left_is_rolled_up() -> None:
    home = delivering(incidents_a_day="1")
    run = step(home)
    assert (run.counts.opened, run.case, len(home.incidents.incidents)) == (1, 3, 2)
    assert home.documents("budget/")["budget/20260310.json"]["incidents"] == 2


def test_roll_ups_stay_within_a_tenth_beyond_the_cap() -> None:
    home = house.build([spec()], incidents_a_day="1")
    for day in ("05", "06", "07"):
        put(home, a_run(id=f"202603{day}-beaconing-x-r0"), [a_finding()], withheld=9)
    for path, kept in {one.path: one for one in home.deployment.records.runs()}.items():
        deliveries.step_run(home.turn(), {path: kept}, path)
    assert len(home.incidents.incidents) == 2
    assert home.documents("budget/")["budget/20260310.json"]["incidents"] == 2
    assert {run.step for run in home.runs().values()} == {"read-back"}


def test_withheld_findings_open_one_roll_up() -> None:
    home = house.build([spec()])
    put(home, a_run(), [a_finding()], withheld=90_000)
    run = step(home)
    assert (run.counts.withheld, run.counts.opened, len(home.incidents.incidents)) == (90_000, 1, 2)


def test_the_days_megabytes_are_reserved_before_they_are_sent() -> None:
    found = [a_finding(f"10.0.{n}.1", Evidence={"Raw": "x" * 50_000}) for n in range(40)]
    home = delivering(found, megabytes_a_day="1")
    run = step(home)
    assert (run.status, run.counts.sent) == ("delivering", 17) and "MEGABYTES_A_DAY" in run.reason
    home.clock.forward(3600)
    assert step(home).status == "held"
    home.clock.forward(23 * 3600)
    assert step(home).counts.sent == 34


@pytest.mark.parametrize("folder", ["active", "done"])
def test_a_revision_sends_changes_also_when_the_one_before_is_not_put_away_yet(folder: str) -> None:
    first = a_run(status="done", job=JOB)
    home = delivering(run=replace(first, id=first.id.replace("-r0", "-r1"), revision=1))
    records, found = home.deployment.records, [a_finding(f"10.0.0.{n}") for n in range(1, 4)]
    hashes = {
        one["FindingId"]: delivery.content_hash(json.dumps(one).encode()) for one in found[:2]
    }
    delivered.write(home.turn(), first, hashes)
    kept = records.save(Kept(run_path(first), first, None), first)
    if folder == "done":
        records.finish(kept, first.id)
    step(home, first.id.replace("-r0", "-r1"))
    assert sent(home) == ids(found[2:])
