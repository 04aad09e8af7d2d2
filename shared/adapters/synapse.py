"""`ports.SparkEngine` over Synapse's Livy-shaped batch API.

Facts that this file rests on (azure-synapse-spark 0.7.0):
* Two POSTs are two jobs: there is no idempotency key, and azure-core repeats a POST. Hence one
  request a call, and what a lost answer may have started is found by its name in the list.
* The client takes 200 alone for success; 202 comes as an error and means "nobody knows".
* The first id of a pool is 0.
* A list's pages have 20 jobs at most, in no documented order; plain answers lack `result`.
* `result` is the judge; `state` is believed when it is final and `result` still Uncertain.
* States and results that the client does not know come as plain text.
* More cores than the pool has is a 400 for ever; a workspace at its limit is a 400 for now.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from azure.synapse.spark import SparkClient
from azure.synapse.spark.models import SparkBatchJob, SparkBatchJobOptions

from shared.adapters.azure_errors import one_request, service_text, translated
from shared.errors import Conflict, Missing, Permanent, Rejected, TidehuntError, Transient
from shared.model import EngineJob, JobRequest

State = Literal["queued", "running", "succeeded", "failed", "cancelled", "lost"]

PAGE = 20
JOB_TAG = "tidehunt_job"
REASON_CHARACTERS = 500
_RESULTS: dict[str, State] = {
    "succeeded": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
_STATES: dict[str, State] = {
    "not_started": "queued",
    "starting": "queued",
    "success": "succeeded",
    "killed": "cancelled",
    "dead": "failed",
    "error": "failed",
}
_TOO_BIG_A_JOB = "when the compute has a capacity of"
_WORKSPACE_FULL = "MAXIMUM_WORKSPACE_CAPACITY_EXCEEDED"


@dataclass(frozen=True)
class EnginePool:
    """What a job's processes ask of the pool. Memory as Spark writes it, e.g. `28g`."""

    executor_cores: int
    executor_memory: str
    driver_cores: int
    driver_memory: str


class SynapseEngine:
    """Starts and watches the batch jobs of one pool, one HTTP request a call (list: one a page)."""

    def __init__(self, client: SparkClient, options: EnginePool, call_seconds: float) -> None:
        self._batches = client.spark_batch
        self._pool = options
        self._request = one_request(call_seconds)

    def submit(self, request: JobRequest) -> str:
        """Start the job with one POST; the engine's id for it.

        OutcomeUnknown when the answer was lost, Transient when it surely did not start and may
        later, Permanent when it never will.
        """
        with _submission(request.job_id), translated("submit a job", request.job_id, acts=True):
            job = self._batches.create_spark_batch_job(
                _batch(request, self._pool), detailed=True, **self._request
            )
            return str(int(job.id))

    def get(self, engine_id: str) -> EngineJob | None:
        """The job, or None when the engine has forgotten it."""
        try:
            with translated("look at a job", engine_id, acts=False):
                return _engine_job(
                    self._batches.get_spark_batch_job(
                        int(engine_id), detailed=True, **self._request
                    )
                )
        except Missing:
            return None

    def cancel(self, engine_id: str) -> None:
        """Ask the engine to stop the job; fine when it has ended or is gone."""
        try:
            with translated("cancel a job", engine_id, acts=True):
                self._batches.cancel_spark_batch_job(int(engine_id), **self._request)
        except (Missing, Conflict):
            return

    def list(self) -> Sequence[EngineJob]:
        """All jobs that the engine still lists, every page; each id once."""
        found: dict[str, EngineJob] = {}
        start = 0
        while True:
            page = self._page(start)
            fresh = [job for job in page if job.engine_id not in found]
            if not fresh:
                return list(found.values())
            found.update({job.engine_id: job for job in fresh})
            start += len(page)

    def _page(self, start: int) -> Sequence[EngineJob]:
        with translated("list jobs", f"from {start}", acts=False):
            page = self._batches.get_spark_batch_jobs(
                from_parameter=start, size=PAGE, detailed=True, **self._request
            )
            return [_engine_job(job) for job in page.sessions or []]


def _batch(request: JobRequest, pool: EnginePool) -> SparkBatchJobOptions:
    return SparkBatchJobOptions(
        name=request.job_id,
        tags={JOB_TAG: request.job_id},
        file=request.main,
        python_files=list(request.py_files),
        arguments=list(request.arguments),
        configuration=dict(request.conf),
        executor_count=request.executors,
        executor_cores=pool.executor_cores,
        executor_memory=pool.executor_memory,
        driver_cores=pool.driver_cores,
        driver_memory=pool.driver_memory,
    )


@contextmanager
def _submission(job_id: str) -> Iterator[None]:
    """What a refused submission means."""
    try:
        yield
    except Rejected as error:
        raise _refusal(error, job_id) from error
    except Conflict as error:
        raise Transient(error.what, where=job_id) from error
    except Missing as error:
        error.mend = "correct TIDEHUNT_SYNAPSE_ENDPOINT and TIDEHUNT_SYNAPSE_POOL"
        raise


def _refusal(error: Rejected, job_id: str) -> TidehuntError:
    said = service_text(error)
    if _WORKSPACE_FULL in said:
        return Transient("the Synapse workspace has no free cores", where=job_id)
    if _TOO_BIG_A_JOB in said:
        return Permanent(
            f"a job asks for more cores than the pool has: {error.what}",
            where=job_id,
            mend="lower TIDEHUNT_EXECUTORS or TIDEHUNT_EXECUTOR_CORES, or enlarge the pool",
        )
    return error


def _engine_job(job: SparkBatchJob) -> EngineJob:
    tags = job.tags or {}
    return EngineJob(
        engine_id=str(int(job.id)),
        job_id=str(tags.get(JOB_TAG) or job.name or ""),
        state=_state(job),
        reason=_reason(job),
    )


def _state(job: SparkBatchJob) -> State:
    """Unknown words count as running: the run's deadline ends what never ends."""
    told = _RESULTS.get(_word(job.result)) or _STATES.get(_word(job.state), "running")
    sources = {_word(error.source) for error in job.errors or [] if error}
    return "lost" if told == "failed" and sources == {"system"} else told


def _word(value: object) -> str:
    """Text of an enum's member, of plain text or of nothing."""
    return str(getattr(value, "value", value) or "").lower()


def _reason(job: SparkBatchJob) -> str:
    errors: list[Any] = list(job.errors or [])
    said = "; ".join(
        f"{error.error_code or ''}: {error.message or ''}" for error in errors if error
    )
    words = said or _word(job.result) or _word(job.state)
    return "".join(letter if letter.isprintable() else " " for letter in words)[:REASON_CHARACTERS]
