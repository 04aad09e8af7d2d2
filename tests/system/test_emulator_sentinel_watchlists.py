"""Uploads of watchlists to the Sentinel emulator: they take a while and have limits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.system.emulated import token
from tests.system.emulated_sentinel import Arm, Json, error_of

WATCHLIST = {"displayName": "Assets", "provider": "Tidehunt", "itemsSearchKey": "ip"}
CSV = {"contentType": "text/csv"}


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Arm]]:
    with ExitStack() as ends:
        yield lambda **options: Arm(tmp_path, ends, **options)


@pytest.fixture
def arm(begin: Callable[..., Arm]) -> Arm:
    return begin()


def test_an_upload_takes_its_time(begin: Callable[..., Arm]) -> None:
    arm = begin(upload_seconds=30)
    created = arm.put("watchlists/w", WATCHLIST | CSV | {"rawContent": "ip\n10.0.0.5\n"})
    assert created.status_code == 201
    assert created.json()["properties"]["provisioningState"] == "InProgress"
    assert created.json()["properties"]["uploadStatus"] == "InProgress"
    operation = created.headers["Azure-AsyncOperation"]
    assert operation.startswith(f"{arm.address}/subscriptions/")
    assert error_of(arm.ask("DELETE", "watchlists/w")) == (409, "Conflict")

    def status() -> str:
        asked = httpx.get(operation, headers=token("https://management.azure.com"))
        return str(asked.json()["status"])

    assert status() == "InProgress"
    arm.clock.now += 30
    assert status() == "Succeeded"
    assert arm.get("watchlists/w")["properties"]["provisioningState"] == "Succeeded"
    deleted = arm.ask("DELETE", "watchlists/w")
    assert (deleted.status_code, bool(deleted.headers["Azure-AsyncOperation"])) == (202, True)
    assert arm.ask("DELETE", "watchlists/w").status_code == 204


def _upload(size: int) -> str:
    """A CSV file of exactly so many bytes."""
    rows = "ip\n" + "".join(f"{n:09999}\n" for n in range(379))
    return rows + "x" * (size - len(rows))


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"provider": None}, 400),
        ({"itemsSearchKey": None}, 400),
        ({"sourceType": "Disk"}, 400),
        ({"rawContent": "ip\n1\n"}, 400),
        ({"rawContent": "ip\n1\n", "contentType": "text/plain"}, 400),
        ({"rawContent": "host\n1\n", **CSV}, 400),
        ({"rawContent": "ip\n1\n", "numberOfLinesToSkip": "one", **CSV}, 400),
        ({"rawContent": "ip\n" + "x" * 10_240, **CSV}, 400),  # the row has its column's name too
        ({"rawContent": "x" * 10_241 + "\nip\n", "numberOfLinesToSkip": 1, **CSV}, 201),
        ({"rawContent": "ip\n" + "x" * 10_241, **CSV}, 400),
        ({"rawContent": "ip\tn\n1\t2\n", "contentType": "text/tsv"}, 201),
        ({"rawContent": _upload(3_800_000), **CSV}, 201),
        ({"rawContent": _upload(3_800_001), **CSV}, 413),
    ],
)
def test_what_an_upload_may_bring(arm: Arm, change: Json, status: int) -> None:
    assert arm.put("watchlists/w", WATCHLIST | change).status_code == status
    assert arm.ask("GET", "watchlists/w").status_code == (200 if status == 201 else 404)


def test_an_item_has_at_most_10_kb(arm: Arm) -> None:
    arm.put("watchlists/w", WATCHLIST)
    fits = {"ip": "x" * (10_240 - len('{"ip": ""}'))}
    path = "watchlists/w/watchlistItems/i"
    assert arm.put(path, {"itemsKeyValue": fits}).status_code == 201
    assert arm.put(path, {"itemsKeyValue": {"ip": fits["ip"] + "x"}}).status_code == 400
    assert arm.put(path, {"itemsKeyValue": {}}).status_code == 400
