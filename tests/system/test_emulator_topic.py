"""The custom topic under Microsoft's publisher client."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridEvent, EventGridPublisherClient

from tests.system import lake
from workbench.cloud import LocalCloud


def _publisher(cloud: LocalCloud, principal: str) -> EventGridPublisherClient:
    endpoint = cloud.settings()["TIDEHUNT_TOPIC_ENDPOINT"]
    return EventGridPublisherClient(endpoint, cloud.identity.credential(principal), retry_total=0)


def test_the_sdk_publishes_to_the_topic(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ended: dict[str, Any] = {"source": "tidehunt", "type": "Tidehunt.RunEnded", "subject": "run/1"}
    with LocalCloud(tmp_path) as cloud:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(cloud.ca))
        with _publisher(cloud, "app") as client:
            client.send([CloudEvent(**ended, id="1", data={"status": "done"})])
            client.send(EventGridEvent("s", "Tidehunt.X", {"a": 1}, "1.0", id="2"))
        published = cloud.topic.published()
        with _publisher(cloud, "spark") as client, pytest.raises(HttpResponseError) as error:
            client.send([CloudEvent(**ended)])
        assert error.value.status_code == 403
        for body, status in [([{"type": "x"}], 400), ("no", 400), ("x" * 1_000_001, 413)]:
            token = cloud.token("app", "https://eventgrid.azure.net")
            answer = lake.raw(
                cloud,
                "POST",
                "/api/events?api-version=2018-01-01",
                account="services",
                principal=None,
                headers={"authorization": f"Bearer {token}"},
                json=body,
            )
            assert answer.status_code == status
    assert [event["id"] for event in published] == ["1", "2"]
    assert published[0]["data"] == {"status": "done"}


def test_the_topic_wants_a_token_for_event_grid(tmp_path: Path) -> None:
    with LocalCloud(tmp_path) as cloud:
        answer = lake.raw(cloud, "POST", "/api/events?api-version=2018-01-01", account="services")
        assert answer.status_code == 401  # its token is for storage
        assert cloud.topic.published() == []
