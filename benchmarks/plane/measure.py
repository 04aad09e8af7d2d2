"""Runs steps and keeps what they took; prints tables of ratios."""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.plane.lake import BenchLake

BOTH = "TIDEHUNT_BENCH_BOTH_COMPILERS"
"""Set for a worker: Java's optimising compiler works as well, as it does for a large job."""
DUCKDB = """
select count(TimeGenerated), count(DeviceVendor), count(distinct SourceIP), count(DestinationIP),
    sum(DestinationPort), sum(SentBytes), sum(ReceivedBytes)
from read_json(?, format='newline_delimited', columns={TimeGenerated: 'TIMESTAMP',
    DeviceVendor: 'VARCHAR', SourceIP: 'VARCHAR', DestinationIP: 'VARCHAR',
    DestinationPort: 'INTEGER', SentBytes: 'BIGINT', ReceivedBytes: 'BIGINT'})
"""


@dataclass(frozen=True)
class Took:
    """Seconds of one step: on the clock, and of all processors together."""

    wall: float
    cpu: float

    def __add__(self, other: Took) -> Took:
        return Took(self.wall + other.wall, self.cpu + other.cpu)


@dataclass
class Bench:
    """Measurements of one run over one lake."""

    lake: BenchLake
    memory_mb: int = 2048
    took: dict[str, Took] = field(default_factory=dict)

    def spark(self, name: str, step: str, days: Sequence[str]) -> Took:
        """Measure a step in a process of its own. CalledProcessError when it fails."""
        line = [sys.executable, "-m", "benchmarks.plane.worker", str(self.memory_mb)]
        done = subprocess.run(
            [*line, str(self.lake.folder), step, *days], stdout=subprocess.PIPE, check=True
        )
        body = json.loads(done.stdout.splitlines()[-1])
        return self.note(name, Took(body["wall"], body["cpu"]))

    def least(self, times: int, *steps: tuple[str, str, Sequence[str]]) -> list[Took]:
        """Measure steps (name, step, days) in turns, so many times, and keep the least CPU of each.

        Neighbours on a machine only ever add to it, now to this one and now to that.
        """
        taken = [[self.spark(*step) for step in steps] for _ in range(times)]
        found = [min(mine, key=lambda took: took.cpu) for mine in zip(*taken, strict=True)]
        self.took.update({step[0]: took for step, took in zip(steps, found, strict=True)})
        return found

    def attempt(self, name: str, step: str, days: Sequence[str]) -> Took | None:
        """The same of a way that this memory may be too small for: None, and said so, then."""
        try:
            return self.spark(name, step, days)
        except subprocess.CalledProcessError:
            print(f"  {'fails in':>8} {self.memory_mb} MB{'':13}{name}", flush=True)
            return None

    def cat(self, name: str, days: Sequence[str]) -> Took:
        """Read the same files and do nothing with them."""
        files = "\0".join(str(path) for path in self.lake.files(days))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        began = time.monotonic()
        subprocess.run(
            ["xargs", "-0", "cat"],  # noqa: S607  whichever cat there is
            input=files.encode(),
            stdout=subprocess.DEVNULL,
            check=True,
        )
        wall, after = time.monotonic() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return self.note(name, Took(wall, used))

    def duckdb(self, name: str, days: Sequence[str]) -> Took | None:
        """The same columns by DuckDB; None, and said so, where it is not installed."""
        if importlib.util.find_spec("duckdb") is None:
            print("DuckDB is not installed: pip install duckdb, and it is measured as well")
            return None
        module = importlib.import_module("duckdb")
        connection = module.connect()
        connection.execute("set threads to 2")
        files = [str(path) for path in self.lake.files(days)]
        began, before = time.monotonic(), time.process_time()
        connection.execute(DUCKDB, [files]).fetchall()
        return self.note(name, Took(time.monotonic() - began, time.process_time() - before))

    def note(self, name: str, took: Took) -> Took:
        """Keep a measurement, and say it."""
        self.took[name] = took
        print(f"  {took.wall:8.1f} s wall {took.cpu:8.1f} s CPU  {name}", flush=True)
        return took

    def table(self, base: str) -> Iterator[str]:
        """Each measurement as a ratio to one of them."""
        unit = self.took[base]
        yield f"{'':58}{'CPU':>8}{'wall':>8}"
        for name, took in self.took.items():
            yield f"{name:58}{took.cpu / unit.cpu:8.2f}{took.wall / unit.wall:8.2f}"


@dataclass(frozen=True)
class Target:
    """A ratio that is to hold."""

    what: str
    ratio: float
    most: float
    goal: float | None = None

    def __str__(self) -> str:
        verdict = "holds" if self.ratio <= self.most else "MISSED"
        goal = f", goal {self.goal}" if self.goal else ""
        return f"{self.what}: {self.ratio:.2f} (at most {self.most}{goal}): {verdict}"


def bytes_below(folder: Path) -> int:
    """Bytes of all files below a folder."""
    walked = (Path(at) / name for at, _, names in os.walk(folder) for name in names)
    return sum(path.stat().st_size for path in walked)
