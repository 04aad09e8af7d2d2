"""Event Grid: what is delivered, how often, in which form."""

from __future__ import annotations

import itertools
import json
import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest
from azure.functions.eventgrid import EventGridEventInConverter
from azure.functions.meta import Datum

from shared.errors import BadInput
from tests.system import lake, webhook
from tests.system.webhook import KEY, Webhook, until
from workbench.cloud import INFRA, LocalCloud
from workbench.emulators.eventgrid_delivery import Options
from workbench.emulators.storage_events import BlobEvent

EXPORT = "WorkspaceResourceId=/subscriptions/s/y=2026/m=01/d=02/h=03/m=05/PT05M.json"
FAST = Options(retry_factor=0.005)
"""First retry after 50 ms."""


@pytest.fixture
def hook(tmp_path: Path) -> Iterator[Webhook]:
    with webhook.serving(tmp_path) as serving:
        yield serving


def _infra(folder: Path, **changes: Any) -> Path:
    """The repository's infra, its subscriptions changed."""
    infra = folder / "infra"
    shutil.copytree(INFRA, infra)
    subscriptions = json.loads((infra / "event-subscriptions.json").read_text())
    changed = [{**subscription, **changes} for subscription in subscriptions]
    (infra / "event-subscriptions.json").write_text(json.dumps(changed))
    return infra


@contextmanager
def _cloud(
    folder: Path, hook: Webhook | None, events: Options = FAST, infra: Path = INFRA
) -> Iterator[LocalCloud]:
    with LocalCloud(folder / "home", events=events, infra=infra) as cloud:
        if hook:
            cloud.connect(hook.address, KEY)
        yield cloud


def _raise(cloud: LocalCloud, *events: BlobEvent) -> None:
    async def publish() -> None:
        for event in events:
            cloud.grid.publish(event)

    cloud.server.call(publish())


def _export(number: int = 0) -> BlobEvent:
    path = EXPORT.replace("PT05M", f"PT05M_{number}")
    return BlobEvent("exports", "PutBlob", "am-securityevent", path, blob_type="AppendBlob")


def _decoded(event: dict[str, Any]) -> func.EventGridEvent | func.CloudEvent:
    """As Microsoft's library hands it to a function."""
    return EventGridEventInConverter.decode(Datum(json.dumps(event), "json"), trigger_metadata=None)


def test_a_landed_blob_arrives_as_a_cloud_event(tmp_path: Path, hook: Webhook) -> None:
    with _cloud(tmp_path, hook) as cloud:
        file = cloud.lake("exports") / "am-SecurityEvent" / EXPORT
        file.parent.mkdir(parents=True)
        file.write_bytes(b"{}\n")
        until(lambda: len(hook.notifications()) == 1)
        until(cloud.grid.idle)
        counters = cloud.grid.counters()["export-blob-created"]
    arrival = hook.notifications()[0]
    assert arrival.function == "export_blob_created"
    assert arrival.headers["content-type"].startswith("application/cloudevents+json")
    event = arrival.body
    subject = f"/blobServices/default/containers/am-securityevent/blobs/{EXPORT}"
    assert event["subject"] == subject
    assert event["type"] == "Microsoft.Storage.BlobCreated"
    assert event["specversion"] == "1.0"
    assert event["source"].endswith("/Microsoft.Storage/storageAccounts/tidehuntexports")
    host = "https://tidehuntexports.blob.core.windows.net"
    assert event["data"]["url"] == f"{host}/am-securityevent/{EXPORT}"
    assert event["data"]["api"] == "PutBlob"
    assert (event["data"]["blobType"], event["data"]["contentLength"]) == ("AppendBlob", 0)
    assert (counters.raised, counters.matched, counters.delivered) == (1, 1, 1)
    decoded = _decoded(event)
    assert isinstance(decoded, func.CloudEvent)
    assert decoded.subject == subject


def test_the_other_schema_is_an_array_validated_by_its_own_handshake(
    tmp_path: Path, hook: Webhook
) -> None:
    infra = _infra(tmp_path, eventDeliverySchema="EventGridSchema")
    with _cloud(tmp_path, hook, infra=infra) as cloud:
        _raise(cloud, _export())
        until(lambda: len(hook.notifications()) == 1)
    handshakes = [a for a in hook.arrivals if a.headers["aeg-event-type"] != "Notification"]
    assert {a.headers["aeg-event-type"] for a in handshakes} == {"SubscriptionValidation"}
    assert {a.function for a in handshakes} == {"export_blob_created", "result_created"}
    event = hook.notifications()[0].body[0]
    assert event["eventType"] == "Microsoft.Storage.BlobCreated"
    assert event["topic"].endswith("/storageAccounts/tidehuntexports")
    assert (event["dataVersion"], event["metadataVersion"]) == ("", "1")
    decoded = _decoded(event)
    assert isinstance(decoded, func.EventGridEvent)
    assert decoded.event_time is not None


def test_nothing_is_delivered_before_the_handshake_and_nothing_is_lost(
    tmp_path: Path, hook: Webhook
) -> None:
    hook.refuse_handshakes = 3
    with _cloud(tmp_path, None) as cloud:
        _raise(cloud, *(_export(number) for number in range(5)))
        assert not cloud.grid.idle()
        cloud.connect(hook.address, KEY)
        until(lambda: len(hook.notifications()) == 5)
    kinds = [arrival.method for arrival in hook.arrivals if arrival.function != "result_created"]
    assert kinds.index("POST") > kinds.index("OPTIONS")


def test_a_wrong_key_never_gets_past_the_handshake(tmp_path: Path, hook: Webhook) -> None:
    with _cloud(tmp_path, None) as cloud:
        cloud.connect(hook.address, "wrong")
        _raise(cloud, _export())
        with pytest.raises(AssertionError):
            until(lambda: bool(hook.notifications()), 1.0)
        assert cloud.grid.tried() and not cloud.grid.idle()


def test_a_refused_event_has_been_tried_and_waits_for_its_next_attempt(
    tmp_path: Path, hook: Webhook
) -> None:
    hook.statuses.append(503)
    with _cloud(tmp_path, hook) as cloud:
        _raise(cloud, _export())
        until(lambda: len(hook.notifications()) == 1)
        until(cloud.grid.tried)
        assert not cloud.grid.idle()


def test_an_event_that_is_late_has_not_been_tried(tmp_path: Path, hook: Webhook) -> None:
    with _cloud(tmp_path, hook, Options(shuffle_seed=1, shuffle_seconds=300)) as cloud:
        _raise(cloud, _export())
        until(lambda: not cloud.grid.tried())
    assert hook.notifications() == []


def test_failures_come_again_on_the_services_schedule(tmp_path: Path, hook: Webhook) -> None:
    hook.statuses.extend([500, 500, 502])
    with _cloud(tmp_path, hook, Options(retry_factor=0.01)) as cloud:
        _raise(cloud, _export())
        until(lambda: cloud.grid.counters()["export-blob-created"].delivered == 1)
        counters = cloud.grid.counters()["export-blob-created"]
        until(cloud.grid.idle)
    arrivals = hook.notifications()
    waits = [later.at - earlier.at for earlier, later in itertools.pairwise(arrivals)]
    assert all(0 <= wait - due < 2 for wait, due in zip(waits, (0.1, 0.3, 0.6), strict=True))
    assert [a.headers["aeg-delivery-count"] for a in arrivals] == ["0", "1", "2", "3"]
    assert len({a.body["id"] for a in arrivals}) == 1
    assert (counters.failed, counters.dropped) == (3, 0)


@pytest.mark.parametrize("status", [400, 401, 413])
def test_what_a_webhook_refuses_for_good_is_dropped(
    tmp_path: Path, hook: Webhook, status: int
) -> None:
    hook.statuses.append(status)
    with _cloud(tmp_path, hook) as cloud:
        _raise(cloud, _export())
        until(lambda: cloud.grid.counters()["export-blob-created"].dropped == 1)
        assert cloud.grid.idle()
    assert len(hook.notifications()) == 1


def test_it_gives_up_after_so_many_attempts(tmp_path: Path, hook: Webhook) -> None:
    hook.statuses.extend([500] * 9)
    with _cloud(tmp_path, hook, Options(retry_factor=0.001, attempts=4)) as cloud:
        _raise(cloud, _export())
        until(lambda: cloud.grid.counters()["export-blob-created"].dropped == 1)
        assert cloud.grid.idle()
    assert len(hook.notifications()) == 4


def test_it_gives_up_after_a_day(tmp_path: Path, hook: Webhook) -> None:
    """The schedule fits eleven attempts into a day; here a day is 0.9 s."""
    hook.statuses.extend([500] * 30)
    with _cloud(tmp_path, hook, Options(retry_factor=0.00001)) as cloud:
        _raise(cloud, _export())
        until(lambda: cloud.grid.counters()["export-blob-created"].dropped == 1)
    assert 2 <= len(hook.notifications()) <= 11


def test_a_missing_function_is_asked_again_later_than_a_busy_one(
    tmp_path: Path, hook: Webhook
) -> None:
    hook.statuses.append(404)
    with _cloud(tmp_path, hook, Options(retry_factor=0.002)) as cloud:
        _raise(cloud, _export())
        until(lambda: len(hook.notifications()) == 2)
    first, second = hook.notifications()
    assert second.at - first.at >= 300 * 0.002


def test_a_host_that_is_away_gets_its_events_when_it_is_back(tmp_path: Path, hook: Webhook) -> None:
    with _cloud(tmp_path, hook) as cloud:
        _raise(cloud, _export(0))
        until(lambda: len(hook.notifications()) == 1)
        cloud.connect("http://127.0.0.1:9", KEY)
        _raise(cloud, _export(1))
        until(lambda: cloud.grid.counters()["export-blob-created"].failed >= 1)
        cloud.connect(hook.address, KEY)
        until(lambda: len(hook.notifications()) == 2)


def test_thousands_at_once_arrive_each_once(tmp_path: Path, hook: Webhook) -> None:
    with _cloud(tmp_path, hook) as cloud:
        _raise(cloud, *(_export(number) for number in range(2000)))
        until(lambda: cloud.grid.counters()["export-blob-created"].delivered == 2000, 60)
        assert cloud.grid.idle()
    assert len({event["subject"] for event in hook.events()}) == 2000


def test_more_than_may_wait_is_dropped_and_counted(tmp_path: Path) -> None:
    with _cloud(tmp_path, None, Options(capacity=10)) as cloud:
        _raise(cloud, *(_export(number) for number in range(25)))
        counters = cloud.grid.counters()["export-blob-created"]
        assert (counters.matched, counters.dropped) == (25, 15)


def test_copies_in_random_order(tmp_path: Path, hook: Webhook) -> None:
    options = Options(copies=3, shuffle_seed=7, shuffle_seconds=0.5)
    with _cloud(tmp_path, hook, options) as cloud:
        _raise(cloud, *(_export(number) for number in range(20)))
        until(lambda: cloud.grid.counters()["export-blob-created"].delivered == 60)
    subjects = [event["subject"] for event in hook.events()]
    assert set(Counter(subjects).values()) == {3}
    assert subjects != sorted(subjects, key=lambda s: int(s.rsplit("_", 1)[1].split(".")[0]))


def test_drop_delivers_nothing(tmp_path: Path, hook: Webhook) -> None:
    with _cloud(tmp_path, hook, Options(drop=True)) as cloud:
        _raise(cloud, _export())
        counters = cloud.grid.counters()["export-blob-created"]
        assert (counters.matched, counters.dropped) == (1, 1)
        assert cloud.grid.idle()
    assert hook.notifications() == []


@pytest.mark.parametrize(
    ("event", "function"),
    [
        (BlobEvent("exports", "PutBlob", "am-x", "y/PT05M.json"), "export_blob_created"),
        (BlobEvent("exports", "PutBlob", "AM-x", "y/PT05M.JSON"), "export_blob_created"),
        (BlobEvent("exports", "PutBlob", "other", "y/PT05M.json"), ""),
        (BlobEvent("exports", "PutBlob", "am-x", "y/PT05M.json.tmp"), ""),
        (BlobEvent("exports", "DeleteBlob", "am-x", "y/PT05M.json"), ""),
        (BlobEvent("state", "PutBlob", "am-x", "y/PT05M.json"), ""),
        (BlobEvent("state", "FlushWithClose", "results", "a/manifest.json"), "result_created"),
        (BlobEvent("state", "PutBlob", "results", "a/manifest.json"), "result_created"),
        (BlobEvent("state", "CreateFile", "results", "a/manifest.json"), ""),
        (BlobEvent("state", "RenameFile", "results", "a/manifest.json", source="r/b"), ""),
        (BlobEvent("state", "FlushWithClose", "ledger", "a/manifest.json"), ""),
        (BlobEvent("state", "FlushWithClose", "results", "a/part-00000.jsonl"), ""),
    ],
)
def test_filters(tmp_path: Path, event: BlobEvent, function: str) -> None:
    with _cloud(tmp_path, None) as cloud:
        _raise(cloud, event)
        matched = {name for name, c in cloud.grid.counters().items() if c.matched}
    assert matched == ({function.replace("_", "-")} if function else set())


def test_a_filter_that_the_emulator_does_not_know_is_refused(tmp_path: Path) -> None:
    unknown = {"advancedFilters": [{"operatorType": "NumberIn", "key": "data.x", "values": [1]}]}
    infra = _infra(tmp_path, filter=unknown)
    with pytest.raises(BadInput, match="NumberIn"), _cloud(tmp_path, None, infra=infra):
        pass


def test_operations_over_rest_raise_what_the_service_raises(tmp_path: Path, hook: Webhook) -> None:
    everything: dict[str, Any] = {"filter": {}}
    with _cloud(tmp_path, hook, infra=_infra(tmp_path, **everything)) as cloud:
        results = lake.files(cloud).get_file_system_client("results")
        file = results.get_file_client("jobs/part.jsonl")
        file.create_file()
        file.append_data(b"12345", 0, 5)
        file.flush_data(5, close=True)
        file.append_data(b"6", 5, 1)
        file.flush_data(6)
        file.rename_file("results/jobs/renamed.jsonl")
        blobs = lake.blobs(cloud).get_container_client("results")
        blobs.upload_blob("jobs/put.json", b"123")
        blobs.get_blob_client("jobs/put.json").delete_blob()
        results.create_directory("folder")
        results.delete_directory("folder")
        until(lambda: cloud.grid.counters()["result-created"].delivered == 7)
    told = {event["data"]["api"]: event for event in hook.events("result_created")}
    assert told.keys() == {
        "CreateFile",
        "FlushWithClose",
        "RenameFile",
        "PutBlob",
        "DeleteBlob",
        "CreateDirectory",
        "DeleteDirectory",
    }
    dfs = "https://tidehuntstate.dfs.core.windows.net/results"
    assert told["CreateFile"]["data"]["contentLength"] == 0
    assert told["FlushWithClose"]["data"]["contentLength"] == 5
    assert told["FlushWithClose"]["data"]["url"] == f"{dfs}/jobs/part.jsonl"
    assert told["RenameFile"]["type"] == "Microsoft.Storage.BlobRenamed"
    assert told["RenameFile"]["data"]["sourceUrl"] == f"{dfs}/jobs/part.jsonl"
    assert told["RenameFile"]["data"]["destinationUrl"] == f"{dfs}/jobs/renamed.jsonl"
    assert told["PutBlob"]["data"]["url"].startswith("https://tidehuntstate.blob.")
    assert told["PutBlob"]["data"]["contentLength"] == 3
    assert told["DeleteDirectory"]["data"]["recursive"] == "true"
    same_blob = [told[api]["data"]["sequencer"] for api in ("CreateFile", "FlushWithClose")]
    assert same_blob == sorted(same_blob)
