"""The life of a batch in the Livy emulator, seen by Microsoft's client."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
from azure.core.exceptions import ClientAuthenticationError
from azure.core.exceptions import ResourceNotFoundError as NotFound
from azure.synapse.spark import SparkClient

from tests.system.emulated import Credential, wait_for
from tests.system.emulated_livy import MAIN, REPOSITORY, Pool, alive, body, options


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Pool]]:
    with ExitStack() as ends:
        yield lambda **options: Pool(tmp_path / "home", ends, **options)


def test_life_of_a_batch(start: Callable[..., Pool]) -> None:
    pool = start()
    created = pool.create(options("wait", name="job-a"))
    assert (created.id, created.name) == (0, "job-a")
    assert (created.state, created.result) == ("not_started", "Uncertain")
    assert (created.scheduler.current_state, created.plugin.current_state) == ("Queued", "Queued")
    assert (created.submitter_id, created.tags, created.app_id) == ("app", {"k": "v"}, None)
    assert created.livy_info.job_creation_request.file == MAIN

    running = pool.reach(0, "running")
    assert running.result == "Uncertain"
    assert running.scheduler.current_state == "Scheduled"
    assert running.plugin.current_state == "Monitoring"
    assert running.app_id.startswith("application_")
    assert (
        running.livy_info.not_started_at
        <= running.livy_info.starting_at
        <= running.livy_info.running_at
    )

    pool.cancel(0)
    killed = pool.reach(0, "killed")
    assert (killed.result, killed.livy_info.current_state) == ("Cancelled", "killed")
    assert killed.scheduler.cancellation_requested_at <= killed.scheduler.ended_at
    assert (killed.scheduler.current_state, killed.plugin.current_state) == ("Ended", "Ended")


def test_success_and_failure(start: Callable[..., Pool]) -> None:
    pool = start()
    good, bad = pool.submit(options("succeed")), pool.submit(options("fail"))
    assert pool.reach(good, "success").result == "Succeeded"
    dead = pool.reach(bad, "dead")
    assert dead.result == "Failed"
    assert dead.log_lines == ["the driver speaks", "the driver ends"]
    (error,) = dead.errors
    assert (error.error_code, error.source) == ("LIVY_JOB_STATE_DEAD", "User")
    assert error.message.endswith("the driver speaks\nthe driver ends")
    pool.cancel(bad)
    assert pool.look(bad).state == "dead"


def test_plain_livy_tells_no_result(start: Callable[..., Pool]) -> None:
    pool = start()
    batch_id = pool.submit(options("wait"))
    plain = pool.client.get_spark_batch_job(batch_id, enforce_https=False)
    assert (plain.id, plain.name, plain.result, plain.tags) == (0, "job", None, None)


def test_a_pool_runs_one_batch_at_a_time(start: Callable[..., Pool]) -> None:
    pool = start()
    first, second, third = (pool.submit(options("wait")) for _ in range(3))
    pool.reach(first, "running")
    assert pool.look(second).state == "not_started"
    pool.cancel(third)
    assert pool.look(third).result == "Cancelled"
    pool.cancel(first)
    pool.reach(second, "running")


def test_a_pool_may_run_two(start: Callable[..., Pool]) -> None:
    pool = start(concurrent=2)
    first, second = pool.submit(options("wait")), pool.submit(options("wait"))
    pool.reach(first, "running")
    pool.reach(second, "running")


def test_cancelling_leaves_no_process(start: Callable[..., Pool], tmp_path: Path) -> None:
    pool = start()
    batch_id = pool.submit(options("children", str(tmp_path / "pid")))
    pool.reach(batch_id, "running")
    child = int((tmp_path / "pid").read_text())
    assert alive(child)
    pool.cancel(batch_id)
    pool.reach(batch_id, "killed")
    assert not alive(child)
    assert not list((tmp_path / "home/emulators/spark").iterdir())


def test_stop_leaves_no_process_and_a_restart_shows_the_batches(
    start: Callable[..., Pool], tmp_path: Path
) -> None:
    pool = start()
    done = pool.submit(options("succeed"))
    pool.reach(done, "success")
    broken = pool.submit(options("children", str(tmp_path / "pid")))
    pool.reach(broken, "running")
    pool.service.stop()
    assert not alive(int((tmp_path / "pid").read_text()))

    again = start()
    lost = again.look(broken)
    assert (lost.state, lost.result, lost.errors[0].source) == ("dead", "Failed", "System")
    assert again.look(done).result == "Succeeded"
    assert again.submit(options("succeed")) == 2


def test_a_pool_goes_on_when_its_database_can_be_written_again(
    start: Callable[..., Pool], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    pool = start()
    batch_id = pool.submit(options("wait"))
    pool.reach(batch_id, "running")
    database = sqlite3.connect(tmp_path / "home/emulators/livy.db")
    database.execute("alter table batch rename to away")
    wait_for(lambda: "stand still" in caplog.text)
    database.execute("alter table away rename to batch")
    database.close()
    pool.cancel(batch_id)
    assert pool.reach(batch_id, "killed").result == "Cancelled"
    assert caplog.text.count("stand still") == 1


def test_an_application_ends_with_a_killed_emulator(tmp_path: Path) -> None:
    pids = tmp_path / "pid"
    command = [sys.executable, "-m", "tests.system.emulated_livy", str(tmp_path / "home")]
    emulator = subprocess.Popen([*command, str(pids)], cwd=REPOSITORY)
    wait_for(lambda: pids.is_file() and pids.read_text())
    child = int(pids.read_text())
    assert alive(child)
    emulator.send_signal(signal.SIGKILL)
    emulator.wait()
    wait_for(lambda: not alive(child))


def test_lists_come_in_pages_of_twenty(start: Callable[..., Pool]) -> None:
    pool = start(pools={"small": 4, "other": 4})
    for n in range(23):
        pool.service.batches.create("small", body(name=f"job-{n}", args=["wait"]), "app")
    pool.service.batches.create("other", body(), "app")
    asked = ((None, None), (0, 50), (20, 20), (5, 2), (23, 20))
    pages = [pool.list(first, size) for first, size in asked]
    assert [len(page.sessions) for page in pages] == [20, 20, 3, 2, 0]
    assert {page.total for page in pages} == {23}
    assert [batch.name for batch in pages[3].sessions] == ["job-5", "job-6"]
    assert pages[2].sessions[0].tags == {}


def test_a_batch_belongs_to_its_pool(start: Callable[..., Pool]) -> None:
    pool = start(pools={"small": 4, "other": 4})
    batch = pool.service.batches.create("other", body(args=["wait"]), "app")
    with pytest.raises(NotFound):
        pool.look(batch.id)
    with pytest.raises(NotFound):
        pool.cancel(batch.id)
    assert not pool.service.batches.all("other")[0].final


def test_a_caller_without_a_token_is_refused(start: Callable[..., Pool]) -> None:
    pool = start()
    url = f"{pool.address}/livyApi/versions/2020-12-01/sparkPools/small/batches"
    answer = httpx.get(url, headers={"Authorization": "Bearer app=https://vault.azure.net"})
    assert (answer.status_code, answer.json()["errorCode"]) == (401, "AuthenticationFailed")
    stranger = SparkClient(Credential(), pool.address, "small", credential_scopes=["x"])
    with stranger, pytest.raises(ClientAuthenticationError):
        stranger.spark_batch.get_spark_batch_jobs(enforce_https=False)
