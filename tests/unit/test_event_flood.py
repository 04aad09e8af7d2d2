"""Events that anybody could have sent: marks are bounded by what there is to mark."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from datetime import timedelta

import pytest

from shared import contract as c
from shared import events
from shared.adapters.eventgrid import storage_event
from shared.model import Json
from tests.hostile import STRINGS
from tests.unit import house
from tests.unit.house import OTHER, START, TABLE, WORKSPACE

EVENTS = int(os.environ.get("SPOOFED_EVENTS", "20000"))
"""By hand also 100,000."""
HOURS = 36 * 24 + 1
"""From 35 days back to an hour ahead there are no more than these."""
HOSTS = ("tidehuntexports.blob.core.windows.net", "tidehuntexports.dfs.core.windows.net")
FOREIGN = ("evil.example", "tidehuntexports.blob.core.windows.net.evil.example", "", "[::1]")


def _spoofed(count: int, seed: int = 4) -> Iterator[Json]:
    """Events whose every part is plausible, foreign or hostile by chance."""
    chance = random.Random(seed)  # noqa: S311  a flood has to repeat, not to keep a secret
    for number in range(count):
        hour = START + timedelta(hours=chance.randint(-3000, 300))
        place = chance.choice((WORKSPACE, WORKSPACE, OTHER, WORKSPACE + "2"))
        name = f"PT05M_{number}.json"
        path = f"{c.export_hour_folder(place, c.hour_key(hour))}/m=05/{name}"
        table = chance.choice((TABLE, TABLE.upper(), "syslog", f"t{number}"))
        if chance.random() < 0.3:
            path = path.replace(name, chance.choice(STRINGS)[:200])
        host = chance.choice(HOSTS * 4 + FOREIGN)
        yield _event(number, f"am-{table}", path, host, cloud=number % 2 == 0)


def _event(number: int, container: str, path: str, host: str, *, cloud: bool) -> Json:
    subject = f"/blobServices/default/containers/{container}/blobs/{path}"
    data = {"api": "PutBlob", "url": f"https://{host}/x", "contentLength": number}
    kind, at = "Microsoft.Storage.BlobCreated", "2026-03-10T00:00:00Z"
    if cloud:
        shared = {"specversion": "1.0", "source": "/s", "type": kind, "time": at}
        return {**shared, "id": str(number), "subject": subject, "data": data}
    grid = {"topic": "/s", "eventType": kind, "eventTime": at, "dataVersion": ""}
    return {**grid, "id": str(number), "subject": subject, "data": data}


@pytest.mark.slow
def test_a_flood_of_spoofed_events_sets_a_bounded_number_of_marks() -> None:
    home = house.build(workspaces=f"{WORKSPACE};{OTHER}")
    home.tick()
    before = set(home.ledger.contents())
    for payload in _spoofed(EVENTS):
        events.export_blob_created(home.deployment, storage_event(payload))
    new = set(home.ledger.contents()) - before
    assert {path.split("/")[0] for path in new} == {"touched"}
    # Two workspaces, the one table that is hunted on, and hours: nothing that an event says more.
    assert 500 < len(new) <= 2 * HOURS
    assert {path.split("/")[2] for path in new} == {TABLE}
    assert home.engine.requests == []
