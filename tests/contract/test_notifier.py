"""`ports.Notifier`: CloudEvents for playbooks."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from azure.eventgrid import EventGridPublisherClient

from shared.adapters.eventgrid import EventGridNotifier
from shared.errors import OutcomeUnknown
from shared.model import Json
from shared.ports import Notifier
from tests.contract.conftest import CALL_SECONDS
from tests.memory.services import MemoryNotifier
from workbench.cloud import LocalCloud
from workbench.emulators.eventgrid import TOPIC_PATH
from workbench.emulators.faults import Fault, Faults


@dataclass(frozen=True)
class Bench:
    """A notifier, and what arrived under an id: (kind, subject, data)."""

    notifier: Notifier
    arrived: Callable[[str], list[tuple[str, str, Json]]]


def emulator(cloud: LocalCloud, credential: Any) -> Bench:
    client = EventGridPublisherClient(f"{cloud.addresses['services']}{TOPIC_PATH}", credential)

    def arrived(event_id: str) -> list[tuple[str, str, Json]]:
        found = [event for event in cloud.topic.published() if event["id"] == event_id]
        assert all(event["specversion"] == "1.0" for event in found)
        assert all(event["source"] == "/tidehunt/test" for event in found)
        return [(event["type"], event["subject"], event["data"]) for event in found]

    return Bench(EventGridNotifier(client, "/tidehunt/test", CALL_SECONDS), arrived)


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        notifier = MemoryNotifier()
        return Bench(notifier, lambda want: [e[1:] for e in notifier.events if e[0] == want])
    return emulator(request.getfixturevalue("cloud"), request.getfixturevalue("credential"))


def test_an_event_arrives_as_it_was_published(bench: Bench) -> None:
    event, data = str(uuid.uuid4()), {"findings": 2, "hunts": ["beaconing"], "note": "é\n<b>"}
    bench.notifier.publish(event, "Tidehunt.RunEnded", "runs/20260101-x", data)
    assert bench.arrived(event) == [("Tidehunt.RunEnded", "runs/20260101-x", data)]


def test_a_repeat_keeps_its_id(bench: Bench) -> None:
    event = str(uuid.uuid4())
    for _ in range(2):
        bench.notifier.publish(event, "Tidehunt.FindingsDelivered", "runs/1", {})
    assert bench.arrived(event) == [("Tidehunt.FindingsDelivered", "runs/1", {})] * 2


@pytest.mark.parametrize("kind", ["after", "lost"])
def test_a_lost_answer_is_unknown(
    cloud: LocalCloud, credential: Any, faults: Faults, kind: Any
) -> None:
    bench, event = emulator(cloud, credential), str(uuid.uuid4())
    faults.add(f"POST {TOPIC_PATH}", Fault(kind))
    with pytest.raises(OutcomeUnknown):
        bench.notifier.publish(event, "Tidehunt.RunEnded", "runs/1", {})
    assert len(bench.arrived(event)) == 1
