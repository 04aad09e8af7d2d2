"""The benchmarks of volume see what they are there for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.flood.__main__ import Outcome
from benchmarks.hunts import Cost, missed
from benchmarks.process import Family, cpu_seconds, held_bytes, peak_bytes
from benchmarks.soak import Soak
from benchmarks.soaked import lost
from shared import contract as c
from workbench.home import Home
from workbench.samples import WORKSPACE

TABLE = "commonsecuritylog"
GOOD = Outcome(
    run={"status": "done", "reason": "", "counts": {"sent": 10_000, "withheld": 40_000}},
    stored=10_000,
    rows=10_000,
    roll_ups=[{}],
    incidents=21,
    withheld=40_000,
    app_peak=90_000_000,
    seconds=1.0,
)


def test_a_flood_that_went_well_breaks_nothing() -> None:
    assert list(GOOD.violations(50_000)) == []


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        (replace(GOOD, run={**GOOD.run, "status": "held", "reason": "x"}), "held"),
        (replace(GOOD, stored=9_999), "9999 findings"),
        (replace(GOOD, rows=10_001), "10001 rows"),
        (replace(GOOD, withheld=39_999), "39999 readable"),
        (replace(GOOD, roll_ups=[]), "0 of them roll-ups"),
        (replace(GOOD, incidents=22), "22 incidents"),
        (replace(GOOD, app_peak=300_000_000), "300 MB"),
    ],
)
def test_a_flood_that_went_wrong_is_told(wrong: Outcome, word: str) -> None:
    (told,) = wrong.violations(50_000)
    assert word in told


def an_hour(home: Home, blobs: int, size: int) -> None:
    """An hour in the lake, and what the ledger knows of it."""
    folder = (
        home.exports / c.export_container(TABLE) / c.export_hour_folder(WORKSPACE, "2026030901")
    )
    for minute in range(2):
        (folder / f"m={5 * minute:02d}").mkdir(parents=True, exist_ok=True)
        (folder / f"m={5 * minute:02d}" / "PT05M.json").write_text("{}\n")
    days = home.state / "ledger" / "days" / c.workspace_key(WORKSPACE) / TABLE
    days.mkdir(parents=True, exist_ok=True)
    body = {"hours": {"2026030901": {"blobs": blobs, "bytes": size}}}
    (days / "20260309.json").write_text(json.dumps(body))


def test_a_lost_mark_shows_as_another_size_and_a_mark_that_is_left_as_itself(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path)
    an_hour(home, 2, 6)
    assert list(lost(home)) == []
    an_hour(home, 2, 3)
    assert list(lost(home)) == ["2026030901: (2, 6) in the lake, (2, 3) in the ledger"]
    an_hour(home, 2, 6)
    mark = home.state / "ledger" / "touched" / "w" / TABLE / "2026030901"
    mark.parent.mkdir(parents=True)
    mark.write_text("{}")
    assert list(lost(home)) == ["2026030901 is marked and not folded"]


def test_memory_that_grows_is_a_slope_and_the_start_is_none() -> None:
    steady = [(float(n), 80.0) for n in range(20, 100)]
    start = [(float(n), 60.0 + n) for n in range(20)]
    told = Soak(posted=12_000, seconds=100.0, samples=start + steady)
    assert list(told.violations()) == []
    told.samples = start + [(at, size + at / 500) for at, size in steady]
    assert told.slope == pytest.approx(1.2)
    told.posted, told.lost = 9_000, ["x"]
    words = ("hours are not", "90 events per second", "1.20 MB")
    assert [word in said for word, said in zip(words, told.violations(), strict=True)] == [True] * 3


def test_a_process_tells_what_it_uses() -> None:
    held, used = held_bytes(os.getpid()), cpu_seconds(os.getpid())
    assert 10**6 < held <= peak_bytes(os.getpid()) * 1.1 and 0 < used < 10**6


BUSY = "import sys, time\nwhile time.process_time() < 0.5: pass\n"
WAITING = f"{BUSY}print(1, flush=True); sys.stdin.read()"
STARTER = f"""
import signal, subprocess, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
subprocess.run([sys.executable, "-c", {BUSY!r}])
waiting = subprocess.Popen([sys.executable, "-c", {WAITING!r}], stdin=subprocess.PIPE)
input()
waiting.communicate()
"""


def test_what_a_process_has_started_counts_with_it_also_where_nobody_waits_for_it() -> None:
    family = Family(os.getpid(), every=0.02)
    before, alone = family.seconds(), cpu_seconds(os.getpid())
    started = subprocess.Popen(
        [sys.executable, "-c", STARTER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "1\n"
    mine = cpu_seconds(os.getpid()) - alone
    assert family.seconds() - before >= 0.8 + mine
    started.communicate("\n")
    assert family.seconds() - before >= 0.8 + mine
    assert Family(2**22 + 1).seconds() == 0


def test_many_hunts_beside_one_are_ratios_and_a_goal_that_is_missed_is_told() -> None:
    one, twenty = Cost(1, 100, 10.0, 4.0), Cost(20, 104, 41.0, 12.0)
    assert twenty.beside(one) == {"bytes": 1.04, "wall": 4.1, "cpu": 3.0}
    assert missed([one, Cost(5, 200, 1.0, 1.0), twenty]) == ["wall 4.10, at most 4.0 allowed"]
    assert missed([one, Cost(20, 100, 39.0, 39.0)]) == []
