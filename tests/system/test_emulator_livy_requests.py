"""What the Livy emulator takes in and what it refuses."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.system.emulated import refused
from tests.system.emulated_livy import EXPORTS, STATE, Pool, body, options, stand_in
from workbench.emulators import livy
from workbench.emulators.rates import Rate
from workbench.emulators.spark_submit import NoJava, Process, Submission


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    with ExitStack() as ends:
        yield lambda **options: Pool(tmp_path / "home", ends, **options)


@pytest.mark.parametrize(
    ("version", "name", "status"),
    [
        ("2019-11-01-preview", "small", 200),
        ("2020-12-01", "small", 200),
        ("2022-02-22-preview", "small", 200),
        ("2025-01-01", "small", 400),
        ("2020-12-01", "huge", 404),
    ],
)
def test_versions_and_pools(
    start: Callable[..., Pool], version: str, name: str, status: int
) -> None:
    pool = start()
    assert pool.post(body(), version, name).status_code == status


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"name": None}, "name is required"),
        ({"name": ""}, "name is required"),
        ({"file": None}, "file is required"),
        ({"file": 7}, "file is not a string"),
        ({"args": "one"}, "args is not a list of strings"),
        ({"args": [1]}, "args is not a list of strings"),
        ({"conf": {"a": 1}}, "conf is not a map"),
        ({"tags": ["a"]}, "tags is not a map"),
        ({"driverCores": "4"}, "driverCores is not a positive number"),
        ({"driverMemory": "lots"}, "lots is not a memory size"),
        ({"file": "/etc/passwd"}, "Local path /etc/passwd cannot be added"),
        ({"pyFiles": ["file:///x.zip"]}, "Local path file:///x.zip cannot be added"),
        ({"conf": {"spark.master": "yarn"}}, "spark.master"),
        ({"conf": {"spark.hadoop.fs.viewfs.mounttable.x.linkFallback": "file:///"}}, "viewfs"),
    ],
)
def test_what_a_request_may_not_say(
    start: Callable[..., Pool], change: dict[str, Any], said: str
) -> None:
    pool = start()
    answer = pool.post(body(**change))
    assert answer.status_code == 400
    assert said in answer.json()["Message"]


def test_a_request_is_a_json_object(start: Callable[..., Pool]) -> None:
    pool = start()
    assert pool.post(b"{").status_code == 400
    assert pool.post(b"[]").status_code == 400


def test_a_payload_has_at_most_100_000_bytes(start: Callable[..., Pool]) -> None:
    pool = start()
    full = json.dumps(body(name="")).encode()
    fits = full.replace(b'"name": ""', b'"name": "' + b"x" * (100_000 - len(full)) + b'"')
    assert len(fits) == 100_000
    assert pool.post(fits).status_code == 200
    assert pool.post(fits.replace(b'"x', b'"xx')).status_code == 413


def test_more_cores_than_the_pool_has(start: Callable[..., Pool]) -> None:
    pool = start(pools={"small": 12})
    batch = options("succeed")
    batch.driver_cores, batch.executor_cores, batch.executor_count = 4, 4, 2
    assert pool.submit(batch) == 0
    batch.executor_count = 5
    status, said = refused(lambda: pool.submit(batch))
    assert status == 400
    assert said["Message"] == (
        "Job was submitted with resources=[24] when the compute has a capacity of=[12]"
    )


def test_two_creates_a_second(start: Callable[..., Pool]) -> None:
    pool = start(creates_per_second=livy.CREATES_PER_SECOND)
    answers = [pool.post(body(args=["wait"])) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].headers["Retry-After"] == "1"
    assert answers[2].json()["errorCode"] == "TooManyRequests"


def test_a_rate_lets_the_next_in_when_the_window_has_passed() -> None:
    clock = iter([0.0, 0.2, 0.5, 0.5, 1.0])
    rate = Rate(2, 1.0, lambda: next(clock))
    assert [rate.take(), rate.take(), rate.take()] == [0.0, 0.0, 0.5]
    assert rate.take("another") == 0.0
    assert rate.take() == 0.0


def test_250_active_batches_a_pool(start: Callable[..., Pool]) -> None:
    pool = start(submit=refuse_to_start(NoJava("never")), concurrent=0)
    for _ in range(250):
        pool.service.batches.create("small", body(), "app")
    answer = pool.post(body())
    assert (answer.status_code, answer.json()["errorCode"]) == (429, "TooManyJobs")
    pool.service.batches.cancel(0)
    assert pool.post(body()).status_code == 200


def refuse_to_start(error: Exception) -> Callable[[Submission], Process]:
    def submit(to: Submission) -> Process:
        raise error

    return submit


def test_a_pool_without_java_says_so(start: Callable[..., Pool]) -> None:
    pool = start(submit=refuse_to_start(NoJava("no Java 17 found")))
    dead = pool.reach(pool.submit(options("succeed")), "dead")
    assert (dead.errors[0].message, dead.errors[0].source) == ("no Java 17 found", "User")


@pytest.mark.parametrize(
    "change",
    [
        {"file": f"abfss://ledger@{STATE}/main.py"},
        {"pyFiles": [f"abfss://code@{STATE}/a.zip", f"abfss://secrets@{STATE}/b.zip"]},
        {"args": ["--plan", f"x,ABFSS://ledger@{STATE}/turn.json"]},
        {"args": ["abfss://am-dns@evil.dfs.core.windows.net/x"]},
        {"conf": {"spark.x": f"abfs://other@{EXPORTS}/x"}},
        {"jars": ["abfss:///nowhere.jar"]},
    ],
)
def test_storage_without_a_role_is_refused(
    start: Callable[..., Pool], change: dict[str, Any]
) -> None:
    pool = start()
    answer = pool.post(body(**change))
    assert (answer.status_code, answer.json()["errorCode"]) == (403, "StorageAccessDenied")
    assert pool.service.batches.all("small") == []


def test_storage_with_a_role_is_accepted(start: Callable[..., Pool]) -> None:
    pool = start()
    named = [f"abfss://am-dns@{EXPORTS}/", f"abfss://tables@{STATE.upper()}/x"]
    assert pool.post(body(args=["succeed", *named])).status_code == 200


def test_containers_with_a_role_are_mounted_when_a_batch_starts(
    start: Callable[..., Pool],
) -> None:
    seen: list[Submission] = []

    def remember(to: Submission) -> Process:
        seen.append(to)
        return stand_in(to)

    pool = start(submit=remember, pools={"small": 1})
    lake = pool.lake
    for container in ("exports/am-dns", "exports/other", "state/results", "state/ledger"):
        (lake / container).mkdir(parents=True)
    batch = options("succeed")
    batch.driver_memory = "28g"
    pool.reach(pool.submit(batch), "success")
    batch.driver_memory = "512m"
    pool.reach(pool.submit(batch), "success")
    assert seen[0].mounts == {
        f"am-dns@{EXPORTS}": lake / "exports/am-dns",
        f"results@{STATE}": lake / "state/results",
    }
    assert seen[0].cores == 1
    assert [to.memory_mb for to in seen] == [2048, 512]
