"""The Event Grid webhook of the functions host."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import pytest

from tests.system.functions_apps import APP
from tests.system.functions_process import (
    KEY,
    Running,
    running,
    write_app,
)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    app = write_app(tmp_path_factory.mktemp("host") / "app", APP)
    with running(app, **{"AzureWebJobs.off.Disabled": "true"}) as host:
        yield host


def hook(name: str = "taken", key: str = KEY) -> str:
    return f"/runtime/webhooks/EventGrid?functionName={name}&code={key}"


def grid_event(subject: str) -> dict[str, object]:
    return {
        "id": "1",
        "topic": "/t",
        "subject": subject,
        "eventType": "Microsoft.Storage.BlobCreated",
        "eventTime": "2025-01-02T03:04:05.1234567Z",
        "data": {"api": "PutBlob"},
        "dataVersion": "",
        "metadataVersion": "1",
    }


def cloud_event(subject: str) -> dict[str, object]:
    return {
        "specversion": "1.0",
        "id": "1",
        "source": "/s",
        "subject": subject,
        "type": "Microsoft.Storage.BlobCreated",
        "time": "2025-01-02T03:04:05.1234567Z",
        "data": {"api": "PutBlob"},
    }


NOTIFY = {"aeg-event-type": "Notification"}


@pytest.mark.parametrize(
    ("content", "content_type", "expected"),
    [
        ([grid_event("a"), grid_event("b")], "application/json", [("a", 0), ("b", 0)]),
        (cloud_event("c"), "application/cloudevents+json", [("c", 1)]),
        (
            [cloud_event("d"), cloud_event("e")],
            "application/cloudevents-batch+json",
            [("d", 1), ("e", 1)],
        ),
    ],
)
def test_each_event_of_a_delivery_is_one_invocation(
    host: Running, content: object, content_type: str, expected: list[tuple[str, int]]
) -> None:
    before = len(host.notes())
    headers = NOTIFY | {"content-type": content_type}
    answer = host.post(hook(), headers=headers, content=json.dumps(content))
    assert answer.status_code == 202
    notes = sorted(host.notes()[before:], key=lambda note: str(note["subject"]))
    classes = ("EventGridEvent", "CloudEvent")
    assert notes == [
        {
            "kind": "Microsoft.Storage.BlobCreated",
            "subject": subject,
            "cls": classes[schema],
            "data": {"api": "PutBlob"},
        }
        for subject, schema in expected
    ]


def test_one_poisoned_event_fails_the_delivery_after_all_were_tried(host: Running) -> None:
    before = len(host.notes())
    events = [grid_event("poison"), grid_event("healthy")]
    answer = host.post(hook(), headers=NOTIFY, json=events)
    assert (answer.status_code, answer.text) == (500, "RuntimeError: cannot take it")
    assert [note["subject"] for note in host.notes()[before:]] == ["healthy"]


@pytest.mark.parametrize(
    ("path", "headers", "content", "status"),
    [
        (hook("nobody"), NOTIFY, [], 404),
        (hook("echo"), NOTIFY, [], 404),
        (hook("off"), NOTIFY, [grid_event("a")], 404),
        (hook(key="wrong"), NOTIFY, [grid_event("a")], 401),
        (hook(), {}, [grid_event("a")], 400),
        (hook(), {"aeg-event-type": "Gossip"}, [grid_event("a")], 400),
        (hook(), {"aeg-event-type": "Unsubscribe"}, [], 202),
        (hook(), NOTIFY, "text", 500),
        (hook(), NOTIFY, [1], 500),
        (hook(), NOTIFY, [], 202),
    ],
)
def test_what_the_webhook_refuses(
    host: Running, path: str, headers: dict[str, str], content: object, status: int
) -> None:
    before = host.notes()
    assert host.post(path, headers=headers, json=content).status_code == status
    assert host.notes() == before


def test_malformed_json_is_a_failed_delivery(host: Running) -> None:
    assert host.post(hook(), headers=NOTIFY, content=b"{").status_code == 500


@pytest.mark.parametrize(
    "content",
    [
        [{"data": {"validationCode": "c0de"}}],
        {"specversion": "1.0", "data": json.dumps({"validationCode": "c0de"})},
    ],
)
def test_the_subscription_handshake_returns_the_code(host: Running, content: object) -> None:
    headers = {"aeg-event-type": "SubscriptionValidation"}
    answer = host.post(hook(), headers=headers, json=content)
    assert (answer.status_code, answer.json()) == (200, {"validationResponse": "c0de"})


def test_the_cloud_events_handshake_names_its_origin(host: Running) -> None:
    asked = {"WebHook-Request-Origin": "eventgrid.azure.net"}
    answer = httpx.options(host.url + hook(), headers=asked)
    assert answer.status_code == 200
    assert answer.headers["webhook-allowed-origin"] == "eventgrid.azure.net"
    assert httpx.options(host.url + hook()).status_code == 400
