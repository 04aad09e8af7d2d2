"""What a process of this machine uses, as /proc tells it."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICKS = os.sysconf("SC_CLK_TCK")


def peak_bytes(pid: int) -> int:
    """The most memory that it ever held."""
    for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    raise ValueError(f"process {pid} tells no VmHWM")


def held_bytes(pid: int) -> int:
    """The memory that it holds now."""
    return int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * PAGE


def cpu_seconds(pid: int) -> float:
    """What it has used of all processors, in user and system mode."""
    return _used(pid)[1] / TICKS


class Family:
    """A process and all that it has started, directly or not: Spark's JVM, and the Python workers
    behind it, which no figure of the JVM's counts.

    It is looked at again and again, since nobody waits for these workers: what they have used is
    gone when they end.
    """

    def __init__(self, pid: int, every: float = 0.25) -> None:
        """Looks every so many seconds, as long as this process lives."""
        self._pid, self._every = pid, every
        self._seen: dict[tuple[int, int], float] = {}
        self._lock = threading.Lock()
        threading.Thread(target=self._keep_looking, daemon=True).start()

    def seconds(self) -> float:
        """What all of them have used of all processors so far, those that have ended too."""
        with self._lock:
            for pid in _with_children(self._pid):
                with suppress(OSError):
                    began, ticks = _used(pid)
                    self._seen[pid, began] = ticks / TICKS
            return sum(self._seen.values())

    def _keep_looking(self) -> None:
        while True:
            self.seconds()
            time.sleep(self._every)


def _used(pid: int) -> tuple[int, int]:
    """When it began, and its user and system time, in ticks."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    return int(fields[19]), int(fields[11]) + int(fields[12])


def _with_children(pid: int) -> Iterator[int]:
    yield pid
    for one in Path(f"/proc/{pid}/task").glob("*/children"):
        # A thread may have ended between two looks.
        with suppress(OSError):
            for child in one.read_text("ascii").split():
                yield from _with_children(int(child))
