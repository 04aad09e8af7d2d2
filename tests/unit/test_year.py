"""A month and a half of ledger: a turn asks for what it asked for in the first week."""

from __future__ import annotations

from tests.year.__main__ import compare


def test_a_turn_costs_on_day_46_what_it_costs_on_day_7() -> None:
    young, old, years = compare(days=46, hours=2, by=8)
    assert [(one.calls, one.entries) for one in old] == [(one.calls, one.entries) for one in young]
    assert max(one.calls for one in old) > 50, "nothing was done on these days"
    assert 0 < max(one.archive for one in old) <= 210
    assert years.biggest()[0] < 64_000
    done = [path for path in years.house.ledger.paths() if path.startswith("done/")]
    assert 36 * 200 < len(done) < 38 * 260
    assert any(path.startswith("archive/y=2026/m=03") for path in years.house.ledger.paths())
