"""Runs one command in a process group of its own and leaves none of that group behind.

    python -I spark_guard.py <grace seconds> <command> ...

The group is ended (SIGTERM, then SIGKILL after the grace) when the command ends or when the
starter closes our standard input. A pipe closes however its owner dies, `kill -9` included, and
on every Unix: so no Spark outlives the emulator, and cancelling is the same act as dying.
Exits with the command's code (128 + N when signal N ended it).
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence

POLL_SECONDS = 0.05


def run(grace_seconds: float, command: Sequence[str]) -> int:
    """Run `command` to its end; its exit code."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    watch = threading.Thread(target=_end_with_starter, args=(child.pid, grace_seconds), daemon=True)
    watch.start()
    code = child.wait()
    end_group(child.pid, grace_seconds)
    return code if code >= 0 else 128 - code


def end_group(group: int, grace_seconds: float) -> None:
    """End every process of a group: politely, then by force. Nothing there is fine."""
    deadline = time.monotonic() + grace_seconds
    signalled = _signal(group, signal.SIGTERM)
    while signalled and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
        signalled = _signal(group, 0)
    if signalled:
        _signal(group, signal.SIGKILL)


def _end_with_starter(group: int, grace_seconds: float) -> None:
    os.read(sys.stdin.fileno(), 1)  # returns when the last writer is gone: nobody ever writes
    end_group(group, grace_seconds)


def _signal(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # macOS says EPERM when only zombies are left
        return False
    return True


if __name__ == "__main__":
    sys.exit(run(float(sys.argv[1]), sys.argv[2:]))
