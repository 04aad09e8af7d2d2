"""Whoever hangs keeps nobody else back."""

from __future__ import annotations

from shared.errors import Transient
from tests.unit import house
from tests.unit.delivering import put
from tests.unit.house import a_run


def test_who_hangs_keeps_no_other_run_back() -> None:
    home = house.build(readback_seconds="0")
    runs = [a_run(id=f"2026030{n}-beaconing-n-r0") for n in range(1, 7)]
    for run in runs:
        put(home, run, [house.a_finding(run=run)])

    def hang(phase: str, what: str, subject: str) -> None:
        if (phase, what) == ("before", "results.read") and not subject.count(runs[-1].id):
            home.clock.forward(10)
            raise Transient("timed out")

    home.wire.hook = hang
    home.tick(4)
    assert [id for id, run in home.runs().items() if run.status == "done"] == [runs[-1].id]
