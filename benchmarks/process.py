"""What a process of this machine uses, as /proc tells it."""

from __future__ import annotations

import os
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
    return sum(_ticks(pid)[:2]) / TICKS


def family_seconds(pid: int) -> float:
    """The same of it and of all that it has started, directly or not: Spark's JVM, and the Python
    workers behind it, which no figure of the JVM's counts. Those that have ended count as well."""
    try:
        return sum(_ticks(pid)) / TICKS + sum(map(family_seconds, _children(pid)))
    except (FileNotFoundError, ProcessLookupError):
        # It has ended between two looks: who waited for it counts it.
        return 0.0


def _ticks(pid: int) -> list[int]:
    """User and system time of the process, then of children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(") ")[2].split()
    return [int(field) for field in fields[11:15]]


def _children(pid: int) -> list[int]:
    lists = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for one in lists for child in one.read_text("ascii").split()]
