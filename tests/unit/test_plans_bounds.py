"""What a plan may ask of the pool, and of the turn that makes it."""

from __future__ import annotations

from dataclasses import replace

from shared import plans
from tests.unit import house
from tests.unit.house import a_run, spec
from tests.unit.test_plans import DAY, JOB


def test_a_job_never_asks_for_more_than_was_reserved() -> None:
    home = house.build(executors="5")
    home.land([f"{DAY}01"])
    reserved = replace(JOB, cores=4 + 2 * 4)  # TIDEHUNT_EXECUTORS was 2 then
    assert plans.write_plan(home.turn(), reserved, [a_run(attempt=2)]) == 4 + 2 * 4


def test_a_window_that_no_turn_could_list_is_not_planned() -> None:
    many = tuple(f"table{n}_cl" for n in range(4))
    home = house.build([spec(tables=many)])
    year = a_run(window=house.day_window(DAY, 365))
    assert plans.why_unplannable(home.deployment, year) == ""  # none of them is exported
    for table in many:
        home.land([f"{DAY}01"], table=table, event=False)
    assert "365 days of 4 tables" in plans.why_unplannable(home.deployment, year)
    assert plans.why_unplannable(home.deployment, a_run(window=house.day_window(DAY, 300))) == ""
