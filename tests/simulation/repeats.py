"""Invariant 3, at rest: rows come once, again only for a cause, and from a revision if changed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING

from shared.model import Json
from tests.simulation.seen import runs_of

if TYPE_CHECKING:
    from tests.simulation.safety import Safety


def duplicates_have_a_cause(safety: Safety) -> Iterator[str]:
    """3: a row is sent once per revision, and once more for each time that a fault kept its sender
    from writing down what it had sent, or that rows of its run were lost after they were taken."""
    sent: Counter[tuple[str, str]] = Counter()
    causes: Counter[tuple[str, str]] = Counter()
    lost: Counter[str] = Counter()
    for sending in safety.world.sink.sendings:
        lost[sending.run_id] += sending.swallowed
        for row in () if sending.swallowed else sending.rows:
            sent[sending.run_id, row["FindingId"]] += 1
            causes[sending.run_id, row["FindingId"]] += sending.repeats
    for (run_id, finding), times in sent.items():
        known = causes[run_id, finding] + lost[run_id]
        if times > 1 + known:
            yield f"3: run {run_id} sent {finding} {times} times for {known} causes"


def revisions_send_changes(safety: Safety) -> Iterator[str]:
    """3: a revision sends only what the one before did not say in the same words, unless rows of
    its own were lost on the way.

    One that a person cancelled says nothing: its cases may lack their incidents, so that the next
    revision starts afresh.
    """
    sink = safety.world.sink
    last: dict[tuple[str, str], Json] = {}
    done = {run.id for run in runs_of(safety.world) if run.status == "done"}
    again = {sending.run_id for sending in sink.sendings if sending.swallowed}
    for sending in sink.sendings:
        if sending.run_id not in done or not sending.saved:
            continue
        for row in sending.rows:
            place = sending.run_id.rpartition("-r")[0], row["FindingId"]
            before = last.get(place)
            if before and _same(before, row) and sending.run_id not in again:
                yield f"3: {row['RunId']} sent {row['FindingId']} as it was in {before['RunId']}"
            last[place] = row


def _same(before: Json, row: Json) -> bool:
    """Whether another revision said it in the same words."""
    words = ("Severity", "Evidence")
    same = all(before[name] == row[name] for name in words)
    return same and before["RunId"] != row["RunId"]


CHECKS = (duplicates_have_a_cause, revisions_send_changes)
