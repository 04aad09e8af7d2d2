"""The Synapse Spark batch API: create, get, list and cancel, behind which a real Spark runs.

Routes: `/livyApi/versions/{version}/sparkPools/{pool}/batches[/{id}]`. Answers are 200 or refusals
`{"TraceId", "Message", "errorCode"}`; the service has no other success code for these four.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from workbench.emulators import livy_answers, spark_submit
from workbench.emulators.livy_batches import Batch, Batches
from workbench.emulators.livy_requests import (
    PAYLOAD_BYTES,
    Refused,
    cores,
    memory_mb,
    read_request,
    texts,
)
from workbench.emulators.rates import Rate
from workbench.emulators.spark_storage import SparkStorage
from workbench.emulators.spark_submit import Process, Submission

Json = dict[str, Any]
Caller = Callable[[Request, str], str | None]

AUDIENCE = "https://dev.azuresynapse.net"
VERSIONS = ("2019-11-01-preview", "2020-12-01", "2022-02-22-preview")
PAGE = 20
ACTIVE = 250
"""Batches of a pool that may be queued or running together."""
CREATES_PER_SECOND = 2
DRIVER_MEMORY_MB = 2048


class Livy:
    """The Spark pools of one Synapse workspace; batches survive in `<home>/emulators/livy.db`.

    `accounts`: dfs host name -> (account key in `roles`, its folder of containers). `roles`: the
    Spark identity's part of `infra/roles.json`. `pools`: pool -> vCores. `concurrent`: batches
    that a pool runs at once. `creates_per_second`: None for no limit. `memory_mb`: the most that
    a driver gets here. `submit` starts one application.
    """

    def __init__(
        self,
        home: Path,
        *,
        accounts: Mapping[str, tuple[str, Path]],
        roles: Mapping[str, Mapping[str, str]],
        pools: Mapping[str, int],
        workspace: str = "tidehunt",
        concurrent: int = 1,
        creates_per_second: int | None = CREATES_PER_SECOND,
        memory_mb: int = DRIVER_MEMORY_MB,
        submit: Callable[[Submission], Process] = spark_submit.submit,
    ) -> None:
        self._scratch = home / "emulators" / "spark"
        self._pools = dict(pools)
        self._workspace = workspace
        self._memory_mb = memory_mb
        self._submit = submit
        self._storage = SparkStorage(accounts, roles)
        self._creates = Rate(creates_per_second, 1.0)
        self.batches = Batches(home, self._start, concurrent)

    def stop(self) -> None:
        """End every application, wait for all of them, and close the database."""
        self.batches.stop()

    def create(self, pool: str, payload: bytes, submitter: str) -> Batch:
        """Take a batch in. Raises Refused."""
        wait = self._creates.take()
        if wait:
            raise Refused(429, "TooManyRequests", "Too many create requests.", retry_after=wait)
        request = read_request(payload)
        self._check_cores(pool, request)
        url = self._storage.forbidden(texts(request))
        if url:
            raise Refused(403, "StorageAccessDenied", f"The pool's identity has no role for {url}.")
        if self.batches.active(pool) >= ACTIVE:
            raise Refused(429, "TooManyJobs", f"Pool {pool} has {ACTIVE} active jobs.")
        return self.batches.create(pool, request, submitter)

    def check(self, version: str, pool: str) -> None:
        """Raises Refused for an API version that the service never had and for an unknown pool."""
        if version not in VERSIONS:
            raise Refused(400, "InvalidApiVersion", f"The livyApi version {version} is unknown.")
        if pool not in self._pools:
            raise Refused(404, "SparkPoolNotFound", f"Spark pool {pool} was not found.")

    def answer(self, batch: Batch, request: Request) -> Json:
        """A batch as this request wants to see it."""
        log = self.batches.log(batch)
        if request.query_params.get("detailed", "").lower() == "true":
            return livy_answers.detailed(batch, log, self._workspace)
        return livy_answers.plain(batch, log)

    def _check_cores(self, pool: str, request: Json) -> None:
        wanted, capacity = cores(request), self._pools[pool]
        if wanted > capacity:
            message = (
                f"Job was submitted with resources=[{wanted}] "
                f"when the compute has a capacity of=[{capacity}]"
            )
            raise Refused(400, "MarlinException", message)

    def _start(self, batch: Batch, log: Path) -> Process:
        wanted = batch.request.get("driverMemory")
        folder = (self._scratch / f"batch-{batch.id}-{uuid.uuid4().hex[:8]}").absolute()
        folder.mkdir(parents=True)
        return self._submit(
            Submission(
                name=batch.request["name"],
                request=batch.request,
                mounts=self._storage.mounts(),
                cores=max(1, min(self._pools[batch.pool], os.cpu_count() or 1)),
                memory_mb=min(memory_mb(wanted), self._memory_mb) if wanted else self._memory_mb,
                folder=folder,
                log=log,
            )
        )


def routes(service: Livy, caller: Caller) -> list[BaseRoute]:
    """The API's routes; `caller` names who asks, or None."""

    async def many(request: Request) -> Response:
        pool, who = _enter(request)
        if request.method == "POST":
            payload = await _payload(request)
            return JSONResponse(service.answer(service.create(pool, payload, who), request))
        return JSONResponse(_page(service, pool, request))

    async def one(request: Request) -> Response:
        pool, _ = _enter(request)
        batch = service.batches.get(pool, request.path_params["id"])
        if batch is None:
            message = f"Batch {request.path_params['id']} was not found in pool {pool}."
            raise Refused(404, "BatchNotFound", message)
        if request.method == "DELETE":
            service.batches.cancel(batch.id)
            return Response(status_code=200)
        return JSONResponse(service.answer(batch, request))

    def _enter(request: Request) -> tuple[str, str]:
        who = caller(request, AUDIENCE)
        if who is None:
            raise Refused(401, "AuthenticationFailed", "Token authentication failed.")
        service.check(request.path_params["version"], request.path_params["pool"])
        return request.path_params["pool"], who

    base = "/livyApi/versions/{version}/sparkPools/{pool}/batches"
    return [
        Route(base, _refusing(many), methods=["GET", "POST"]),
        Route(base + "/{id:int}", _refusing(one), methods=["GET", "DELETE"]),
    ]


def _refusing(handler: Callable[[Request], Any]) -> Callable[[Request], Any]:
    async def answer(request: Request) -> Response:
        try:
            response: Response = await handler(request)
        except Refused as refused:
            return refused.response()
        return response

    return answer


async def _payload(request: Request) -> bytes:
    """The body, read no further than one byte over the limit."""
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > PAYLOAD_BYTES:
            break
    return b"".join(chunks)


def _page(service: Livy, pool: str, request: Request) -> Json:
    start = max(0, _number(request, "from", 0))
    size = min(PAGE, max(0, _number(request, "size", PAGE)))
    batches = service.batches.all(pool)
    page = [service.answer(batch, request) for batch in batches[start : start + size]]
    return {"from": start, "total": len(batches), "sessions": page}


def _number(request: Request, name: str, default: int) -> int:
    text = request.query_params.get(name)
    try:
        return default if text is None else int(text)
    except ValueError as error:
        raise Refused(400, "InvalidParameter", f"{name} is not a number.") from error
