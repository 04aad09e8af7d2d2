"""The killer of hosts kills, and its checks see what they are there for."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from tests.killing.story import Story, violations
from workbench.home import Home

pytestmark = pytest.mark.proof
SPOILED = (
    ("logs", "delete from row where seq = (select max(seq) from row where name like '%gs_CL')"),
    ("logs", "insert into row select seq + 1000000, workspace, name, received, body from row"),
    ("livy", "insert into batch select max(id) + 1, pool, final, body from batch"),
    ("sentinel", "delete from resource where kind = 'incidents' and seq % 2 = 0"),
)


def test_a_host_that_is_killed_loses_nothing_and_doubles_nothing(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    story = Story(home, kills=2, seed=7)
    assert story.tell() == []
    assert story.killed == 2 and len(story.runs) >= 2
    assert 1 <= len(story.hit) <= 2 and story.hit < story.seen
    for name, statement in SPOILED:
        with sqlite3.connect(home.path / "emulators" / f"{name}.db") as database:
            database.execute(statement)
        database.close()
    wrong = {**story.runs[0], "status": "held", "reason": "x", "job": "job-of-nobody"}
    told = violations(home, [wrong, *story.runs[1:]], story.causes)
    assert {one[0] for one in told} >= {"1", "3", "4", "5", "7", "9"}
