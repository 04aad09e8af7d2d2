"""The batches of the emulated Spark pools: numbered from 0, kept in SQLite, a few at a time.

    not_started -> starting -> running -> success | dead | killed

A batch whose emulator stopped or died while it was unfinished is dead when the next one starts.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from workbench.emulators.spark_submit import Process, log_tail

Json = dict[str, Any]

log = logging.getLogger(__name__)

POLL_SECONDS = 0.1
LOG_LINES = 40
FINAL = ("success", "dead", "killed")

_TABLE = """
create table if not exists batch (id integer primary key, pool text, final integer, body text)
"""
_ONE = "select body from batch where id = ? and pool = ?"
_OF_POOL = "select body from batch where pool = ? order by id"
_ALIVE = "select body from batch where not final order by id"


@dataclass
class Batch:
    """One batch; `times` holds ISO 8601 UTC times by state, and when cancelling was asked for."""

    id: int
    pool: str
    request: Json
    submitter: str
    state: str = "not_started"
    times: dict[str, str] = field(default_factory=dict)
    errors: list[Json] = field(default_factory=list)

    @property
    def final(self) -> bool:
        """True when the state never changes again."""
        return self.state in FINAL

    def enter(self, state: str) -> None:
        """Change the state, and note when."""
        self.state = state
        self.times[state] = datetime.now(UTC).isoformat()

    def fail(self, message: str, code: str, source: str) -> None:
        """End as dead, for this reason; `source` is System or User."""
        self.errors.append({"message": message, "errorCode": code, "source": source})
        self.enter("dead")


class Batches:
    """All batches of a home. Safe to call from any thread; a thread of its own moves them on.

    `start` starts one (batch, log file); what it raises is why the batch is dead.
    """

    def __init__(
        self, home: Path, start: Callable[[Batch, Path], Process], concurrent: int
    ) -> None:
        self._logs = home / "logs"
        self._start = start
        self._concurrent = concurrent
        self._running: dict[int, Process] = {}
        self._lock = threading.RLock()
        self._stopped = threading.Event()
        self._thread: threading.Thread | None = None
        for folder in (home / "emulators", self._logs):
            folder.mkdir(parents=True, exist_ok=True)
        path = home / "emulators" / "livy.db"
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        # A killed process loses nothing by this; a machine without power may.
        self._db.executescript("pragma journal_mode = wal; pragma synchronous = normal")
        self._db.execute(_TABLE)
        self._bury()

    def create(self, pool: str, request: Json, submitter: str) -> Batch:
        """Queue a batch; its id is the next one."""
        with self._lock:
            (last,) = self._db.execute("select coalesce(max(id), -1) from batch").fetchone()
            batch = Batch(last + 1, pool, request, submitter)
            batch.enter("not_started")
            self._save(batch)
            self._ensure_thread()
        return batch

    def get(self, pool: str, batch_id: int) -> Batch | None:
        """A batch of this pool, or None."""
        found = self._select(_ONE, batch_id, pool)
        return found[0] if found else None

    def all(self, pool: str) -> list[Batch]:
        """The batches of this pool, oldest first."""
        return self._select(_OF_POOL, pool)

    def active(self, pool: str) -> int:
        """How many batches of this pool are queued or running."""
        return len(self._alive(pool))

    def cancel(self, batch_id: int) -> None:
        """Ask for the end of a batch; a final one stays as it is."""
        with self._lock:
            for batch in self._select(_ALIVE):
                if batch.id == batch_id:
                    self._cancel(batch)

    def stop(self) -> None:
        """End every application, wait for all of them, and close the database."""
        self._stopped.set()
        if self._thread:
            self._thread.join()
        with self._lock:
            for process in self._running.values():
                process.end()
            for process in self._running.values():
                process.clean()
            self._running.clear()
            self._db.close()

    def log(self, batch: Batch) -> list[str]:
        """The last lines of the driver's output."""
        return log_tail(self._log_path(batch), LOG_LINES)

    def _log_path(self, batch: Batch) -> Path:
        return self._logs / f"batch-{batch.id}.log"

    def _cancel(self, batch: Batch) -> None:
        batch.times.setdefault("cancelling", datetime.now(UTC).isoformat())
        if batch.id in self._running:
            self._running[batch.id].end()
        else:
            batch.enter("killed")
        self._save(batch)

    def _alive(self, pool: str) -> list[Batch]:
        return [batch for batch in self._select(_ALIVE) if batch.pool == pool]

    def _select(self, query: str, *values: object) -> list[Batch]:
        with self._lock:
            rows = self._db.execute(query, values).fetchall()
        return [Batch(**json.loads(body)) for (body,) in rows]

    def _save(self, batch: Batch) -> None:
        row = (batch.id, batch.pool, batch.final, json.dumps(asdict(batch)))
        self._db.execute("insert or replace into batch values (?, ?, ?, ?)", row)

    def _bury(self) -> None:
        for batch in self._select(_ALIVE):
            batch.fail("The pool was restarted and has lost this batch.", "POOL_LOST", "System")
            self._save(batch)

    def _ensure_thread(self) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._watch, name="livy", daemon=True)
            self._thread.start()

    def _watch(self) -> None:
        well = True
        while not self._stopped.wait(POLL_SECONDS):
            try:
                self._step()
                well = True
            except (OSError, sqlite3.Error) as error:  # a full disk, until somebody makes room
                if well:
                    log.warning("the Spark pools stand still: %s", error)
                well = False

    def _step(self) -> None:
        with self._lock:
            for batch in self._select(_ALIVE):
                self._move(batch)

    def _move(self, batch: Batch) -> None:
        process = self._running.get(batch.id)
        if process is None:
            # Never twice: what has started and could not be saved is in `_running`.
            if batch.state == "not_started" and self._has_room(batch.pool):
                self._launch(batch)
        elif process.exit_code() is not None:
            self._finish(batch, process)
        elif batch.state == "starting" and process.has_context():
            batch.enter("running")
            self._save(batch)

    def _has_room(self, pool: str) -> bool:
        running = sum(batch.id in self._running for batch in self._alive(pool))
        return running < self._concurrent

    def _launch(self, batch: Batch) -> None:
        batch.enter("starting")
        try:
            self._running[batch.id] = self._start(batch, self._log_path(batch))
        except Exception as error:  # whatever is wrong with one batch must not stop its pool
            source = "System" if isinstance(error, OSError) else "User"
            batch.fail(str(error), "SPARK_SUBMIT_FAILED", source)
        self._save(batch)

    def _finish(self, batch: Batch, process: Process) -> None:
        process.clean()
        code = process.exit_code()
        if code == 0:
            batch.enter("success")
        elif "cancelling" in batch.times:
            batch.enter("killed")
        else:
            said = "\n".join(self.log(batch)) or f"exit code {code}"
            message = f"Job failed during run time with state=[dead].\n{said}"
            batch.fail(message, "LIVY_JOB_STATE_DEAD", "User")
        self._save(batch)
        del self._running[batch.id]
