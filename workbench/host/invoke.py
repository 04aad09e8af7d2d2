"""Runs functions and counts: exceptions end the invocation, never the host.

Values pass through the library's own converters. One difference to Azure: there, a time-out
restarts the worker process; here, the answer is a failure, but a thread cannot be killed, so the
function stays busy until it returns.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import logging
import secrets
import threading
import uuid
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import azure.functions as func
from azure.functions.meta import Datum

from workbench.host.index import Function, converters

log = logging.getLogger("host")
current: contextvars.ContextVar[Invocation | None] = contextvars.ContextVar(
    "invocation", default=None
)
"""The invocation that the running code belongs to, in its thread as well."""
_local = threading.local()


@dataclass(frozen=True)
class Trace:
    """W3C trace context of an invocation."""

    trace_parent: str
    trace_state: str = ""
    attributes: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Retry:
    """No retry policy is served: every invocation is the first."""

    retry_count: int = 0
    max_retry_count: int = 0
    exception: None = None


class Invocation(func.Context):
    """What a function gets when it asks for `context`."""

    def __init__(self, name: str, folder: Path, trace_parent: str) -> None:
        self._id = str(uuid.uuid4())
        self._name = name
        self._folder = str(folder)
        self._trace = Trace(trace_parent or f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00")

    @property
    def invocation_id(self) -> str:
        return self._id

    @property
    def function_name(self) -> str:
        return self._name

    @property
    def function_directory(self) -> str:
        return self._folder

    @property
    def thread_local_storage(self) -> Any:
        return _local

    @property
    def trace_context(self) -> Any:
        return self._trace

    @property
    def retry_context(self) -> Any:
        return Retry()


@dataclass
class Tally:
    """Invocations of one function since the host started; `last` is when the newest began."""

    started: int = 0
    succeeded: int = 0
    failed: int = 0
    busy: int = 0
    last: str | None = None
    last_error: str | None = None


@dataclass(frozen=True)
class Outcome:
    """How an invocation ended: the encoded return value, or an error that is not empty."""

    value: Datum | None = None
    error: str = ""


class Invoker:
    """Invokes functions: async ones on the loop, the others in a pool of threads."""

    def __init__(
        self, names: Iterable[str], folder: Path, timeout: float | None, threads: int | None = None
    ) -> None:
        self.tallies = {name: Tally() for name in names}
        self._folder = folder
        self._timeout = timeout
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="function")

    def busy(self, function: Function) -> bool:
        """Whether an invocation has not returned yet, timed out or not."""
        return self.tallies[function.name].busy > 0

    async def invoke(self, function: Function, data: Datum, trace_parent: str = "") -> Outcome:
        """Invoke with one trigger value; failures and time-outs are logged, counted, returned."""
        tally = self.tallies[function.name]
        tally.started += 1
        tally.busy += 1
        tally.last = datetime.now(UTC).isoformat()
        invocation = Invocation(function.name, self._folder, trace_parent)
        work = asyncio.create_task(self._run(function, data, invocation))
        work.add_done_callback(functools.partial(_release, tally))
        await asyncio.wait({work}, timeout=self._timeout)
        outcome = work.result() if work.done() else self._overrun(function, work)
        if outcome.error:
            tally.failed += 1
            tally.last_error = outcome.error
        else:
            tally.succeeded += 1
        return outcome

    def _overrun(self, function: Function, work: asyncio.Task[Outcome]) -> Outcome:
        if inspect.iscoroutinefunction(function.call):
            work.cancel()
        message = f"Timeout value of {self._timeout} s was exceeded by function: {function.name}"
        log.error(message)
        return Outcome(error=message)

    async def _run(self, function: Function, data: Datum, invocation: Invocation) -> Outcome:
        current.set(invocation)
        try:
            call = functools.partial(function.call, **_arguments(function, data, invocation))
            if inspect.iscoroutinefunction(function.call):
                value = await call()
            else:
                value = await self._in_thread(call, invocation)
            return Outcome(_encode(function, value))
        except asyncio.CancelledError:
            raise
        # SystemExit out of a function must not unwind the event loop.
        except BaseException as error:
            log.exception("Executed %s (Failed)", function.name)
            return Outcome(error=f"{type(error).__name__}: {error}")

    async def _in_thread(self, call: functools.partial[Any], invocation: Invocation) -> Any:
        def body() -> Any:
            _local.invocation_id = invocation.invocation_id
            return call()

        context = contextvars.copy_context()
        return await asyncio.get_running_loop().run_in_executor(self._pool, context.run, body)


def _release(tally: Tally, _work: asyncio.Task[Outcome]) -> None:
    tally.busy -= 1


def _arguments(function: Function, data: Datum, invocation: Invocation) -> dict[str, Any]:
    """The function's arguments, decoded as its binding's converter does."""
    converter = converters().get(function.kind)
    arguments = {function.trigger["name"]: converter.decode(data, trigger_metadata={})}
    return arguments | ({"context": invocation} if function.wants_context else {})


def _encode(function: Function, value: object) -> Datum | None:
    """The return value as its converter encodes it; without a binding only None may be returned."""
    if not function.returns:
        if value is not None:
            raise RuntimeError(f"{function.name} without a $return binding returned a value")
        return None
    try:
        encoded: Datum = converters().get("http").encode(value, expected_type=None)
    except NotImplementedError:
        raise TypeError(
            f"{function.name} returned {type(value).__name__}, not a response"
        ) from None
    return encoded
