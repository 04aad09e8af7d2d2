"""`ports.SparkEngine`: one POST a job, found again by its name.

The emulator runs real processes here, a stand-in for Spark that ends when its test says so.
"""

from __future__ import annotations

import os
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from azure.synapse.spark import SparkClient
from starlette.applications import Starlette

from shared.adapters.synapse import EnginePool, SynapseEngine
from shared.errors import Missing, OutcomeUnknown, Permanent, Throttled, Transient
from shared.model import EngineJob, JobRequest
from shared.ports import SparkEngine
from tests.contract.conftest import CALL_SECONDS
from tests.memory.services import MemoryEngine
from workbench.cloud import LocalCloud
from workbench.emulators import livy
from workbench.emulators.faults import Fault, FaultMiddleware, Faults, route_names
from workbench.emulators.server import Server, Site
from workbench.emulators.spark_submit import Process, Submission
from workbench.emulators.tls import Certificate

POOL, CORES = "hunting", 12
STATE = "tidehuntstate.dfs.core.windows.net"
BATCHES = "/livyApi/versions/{version}/sparkPools/{pool}/batches"
End = Literal["succeeded", "failed"]

STAND_IN = """
import pathlib, sys, time
end = pathlib.Path(sys.argv[1])
pathlib.Path("local/blockmgr-1").mkdir(parents=True)
while not end.exists():
    time.sleep(0.02)
sys.exit(0 if end.read_text() == "succeeded" else 3)
"""


@dataclass(frozen=True)
class Bench:
    """An engine, and the end of a job as its code decides it."""

    engine: SparkEngine
    end: Callable[[str, End], None]
    request: Callable[[str], JobRequest]

    def reach(self, engine_id: str, *states: str) -> EngineJob:
        """The job, once it is in one of these states."""
        until = time.monotonic() + 20
        while time.monotonic() < until:
            job = self.engine.get(engine_id)
            assert job is not None
            if job.state in states:
                return job
            time.sleep(0.05)
        raise AssertionError(f"job {engine_id} is {job}, not {states}")


@dataclass(frozen=True)
class Spark:
    """A started emulator: its address, its faults, the folder of its jobs' ends."""

    url: str
    faults: Faults
    ends: Path


@pytest.fixture
def livy_service(
    cloud: LocalCloud, local_authority: Certificate, tmp_path: Path
) -> Iterator[Spark]:
    with _serving(cloud, local_authority, tmp_path) as service:
        yield service


@contextmanager
def _serving(cloud: LocalCloud, authority: Certificate, home: Path) -> Iterator[Spark]:
    service = livy.Livy(
        home,
        accounts={STATE: ("state", cloud.lake("state"))},
        roles={"state": {"code": "Storage Blob Data Reader"}},
        pools={POOL: CORES},
        creates_per_second=None,
        submit=_submit,
    )
    routes, faults = livy.routes(service, cloud.identity.caller), Faults()
    app = FaultMiddleware(Starlette(routes=routes), faults, route_names(routes))
    server = Server([Site("livy", app)], authority)
    try:
        yield Spark(server.start()["livy"], faults, home)
        assert faults.pending() == {}
    finally:
        server.stop()
        service.stop()


def _submit(to: Submission) -> Process:
    command = [sys.executable, "-c", STAND_IN, *to.request["args"]]
    return Process(command, dict(os.environ), to)


def emulator(service: Spark, credential: Any, *, executors: int = 1, pool: str = POOL) -> Bench:
    client = SparkClient(credential, service.url, pool)
    asked = EnginePool(4, "4g", 4, "4g")
    files: dict[str, Path] = {}

    def request(job_id: str) -> JobRequest:
        files[job_id] = service.ends / f"{job_id}.end"
        return _request(job_id, str(files[job_id]), executors)

    engine = SynapseEngine(client, asked, CALL_SECONDS)

    def end(engine_id: str, how: End) -> None:
        job = engine.get(engine_id)
        assert job is not None
        files[job.job_id].write_text(how)

    return Bench(engine, end, request)


def memory() -> Bench:
    engine = MemoryEngine()
    return Bench(engine, engine.enter, lambda job: _request(job, "x"))


def _request(job_id: str, argument: str, executors: int = 1) -> JobRequest:
    return JobRequest(
        job_id=job_id,
        main=f"abfss://code@{STATE}/0f/main.py",
        py_files=(f"abfss://code@{STATE}/0f/code.zip",),
        arguments=(argument,),
        conf={"spark.sql.session.timeZone": "UTC"},
        executors=executors,
    )


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        return memory()
    return emulator(request.getfixturevalue("livy_service"), request.getfixturevalue("credential"))


def _job_id() -> str:
    return f"job-20260101000000-{uuid.uuid4().hex[:8]}"


def test_the_first_job_has_the_id_0_and_its_name(bench: Bench) -> None:
    job_id = _job_id()
    assert bench.engine.submit(bench.request(job_id)) == "0"
    found = bench.engine.get("0")
    assert found is not None
    assert (found.engine_id, found.job_id) == ("0", job_id)
    assert found.state in ("queued", "running")


@pytest.mark.parametrize("how", ["succeeded", "failed"])
def test_a_job_ends_as_its_code_ends(bench: Bench, how: End) -> None:
    engine_id = bench.engine.submit(bench.request(_job_id()))
    bench.end(engine_id, how)
    bench.reach(engine_id, how)


def test_a_cancelled_job_is_seen_cancelled(bench: Bench) -> None:
    engine_id = bench.engine.submit(bench.request(_job_id()))
    bench.engine.cancel(engine_id)
    bench.reach(engine_id, "cancelled")
    bench.engine.cancel(engine_id)
    assert bench.reach(engine_id, "cancelled").engine_id == engine_id


def test_a_job_that_the_engine_does_not_know(bench: Bench) -> None:
    assert bench.engine.get("99") is None
    bench.engine.cancel("99")


def test_an_ended_job_stays_as_it_ended(bench: Bench) -> None:
    engine_id = bench.engine.submit(bench.request(_job_id()))
    bench.end(engine_id, "succeeded")
    bench.reach(engine_id, "succeeded")
    bench.engine.cancel(engine_id)
    bench.reach(engine_id, "succeeded")


def test_a_job_that_a_restart_of_the_pool_killed_is_lost_and_not_failed(
    cloud: LocalCloud, local_authority: Certificate, tmp_path: Path, credential: Any
) -> None:
    with _serving(cloud, local_authority, tmp_path) as service:
        bench = emulator(service, credential)
        engine_id = bench.engine.submit(bench.request(_job_id()))
        bench.reach(engine_id, "running")
    with _serving(cloud, local_authority, tmp_path) as service:
        job = emulator(service, credential).reach(engine_id, "lost")
        assert "restarted" in job.reason


def test_the_same_job_submitted_twice_is_two(bench: Bench) -> None:
    """No service takes a name for a promise: that a job is posted once is the caller's duty."""
    request = bench.request(_job_id())
    assert bench.engine.submit(request) != bench.engine.submit(request)
    assert [job.job_id for job in bench.engine.list()] == [request.job_id] * 2


def test_the_list_has_every_job_on_every_page(bench: Bench) -> None:
    assert bench.engine.list() == []
    names = {bench.engine.submit(bench.request(job)): job for job in (_job_id() for _ in range(41))}
    listed = bench.engine.list()
    assert {job.engine_id: job.job_id for job in listed} == names
    assert len(listed) == 41


def test_more_cores_than_the_pool_has_is_permanent(livy_service: Spark, credential: Any) -> None:
    bench = emulator(livy_service, credential, executors=20)
    with pytest.raises(Permanent, match="TIDEHUNT_EXECUTORS"):
        bench.engine.submit(bench.request(_job_id()))
    assert bench.engine.list() == []


def test_a_pool_that_is_not_there_is_permanent(livy_service: Spark, credential: Any) -> None:
    bench = emulator(livy_service, credential, pool="other")
    with pytest.raises(Missing, match="TIDEHUNT_SYNAPSE_POOL"):
        bench.engine.submit(bench.request(_job_id()))


@pytest.mark.parametrize("kind", ["after", "lost", "reset"])
def test_a_lost_answer_started_one_job_that_the_list_knows(
    livy_service: Spark, credential: Any, kind: Any
) -> None:
    bench, job_id = emulator(livy_service, credential), _job_id()
    livy_service.faults.add(f"POST {BATCHES}", Fault(kind))
    with pytest.raises(OutcomeUnknown):
        bench.engine.submit(bench.request(job_id))
    assert [job.job_id for job in bench.engine.list()] == [job_id]


def test_a_refused_submission_started_nothing(livy_service: Spark, credential: Any) -> None:
    bench = emulator(livy_service, credential)
    livy_service.faults.add(f"POST {BATCHES}", Fault("before", 429, retry_after=5))
    with pytest.raises(Throttled) as raised:
        bench.engine.submit(bench.request(_job_id()))
    assert raised.value.retry_after == 5
    livy_service.faults.add(f"POST {BATCHES}", Fault("before", 503))
    with pytest.raises(OutcomeUnknown):
        bench.engine.submit(bench.request(_job_id()))
    for route in (f"GET {BATCHES}", f"GET {BATCHES}/{{id:int}}"):
        livy_service.faults.add(route, Fault("lost"))
    with pytest.raises(Transient):
        bench.engine.list()
    with pytest.raises(Transient):
        bench.engine.get("0")
    assert bench.engine.list() == []
