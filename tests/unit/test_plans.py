"""What a job may read, frozen; and the copies that its report brings back."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from shared import contract as c
from shared import plans
from shared.copies import record_copies
from shared.errors import Transient
from shared.model import Job, Json, Param, Run
from shared.records import Kept, run_path
from shared.timeline import DayRecord, Hour, Left
from spark.plan import parse_plan
from tests.unit import house
from tests.unit.house import START, TABLE, WORKSPACE, House, a_run, hours_of_days, spec

DAY = "20260309"
JOB = Job("job-20260310000500-0123abcd", WORKSPACE, (), "planned", START, START)


def planned(home: House, *runs: Run) -> Json:
    """The plan of a job for these runs, as it lies in the lake."""
    plans.write_plan(home.turn(), JOB, runs or (a_run(),))
    return home.plan(JOB.id)


def test_the_data_plane_reads_the_plan_as_it_was_meant() -> None:
    home = house.build([spec(params=(Param("threshold", 0.7),))])
    home.land(hours_of_days(DAY), event=False)
    planned(home, a_run(params={"threshold": 0.9}))
    plan = parse_plan(home.results.read(c.plan_path(JOB.id), 10**6) or b"")
    assert (plan.job_id, plan.workspace, plan.max_findings) == (JOB.id, WORKSPACE, 10_000)
    assert plan.results == f"abfss://results@tidehuntstate.dfs.core.windows.net/jobs/{JOB.id}"
    assert plan.exports_host == "tidehuntexports.dfs.core.windows.net"
    assert plan.deadline - plan.created == timedelta(seconds=1800 + 3600)
    (run,) = plan.runs
    assert (run.slot, run.window) == (
        (a_run().slot.start, a_run().slot.end), (a_run().window.start, a_run().window.end),
    )  # fmt: skip
    assert (run.params, run.hunt.module, run.hunt.finding_key) == (
        {"threshold": 0.9}, "beaconing", ("SrcIpAddr", "DstIpAddr"),
    )  # fmt: skip
    assert [hour.hour for hour in plan.hours(TABLE)] == hours_of_days(DAY)


def test_a_plan_names_each_hour_of_all_windows_once_and_no_other() -> None:
    home = house.build()
    home.land(["2026021623", "2026021700", "2026030800", "2026030923", "2026031000"], event=False)
    home.land(["2026030923"], table="mytable_cl", event=False)
    yesterday = a_run(
        id="20260308-x-r0",
        slot=house.day_window("20260308"),
        window=house.day_window("20260308", 2),
    )
    plan = planned(home, a_run(), yesterday)
    assert list(plan["tables"]) == [TABLE]
    hours = [hour["hour"] for hour in plan["tables"][TABLE]["hours"]]
    assert hours == ["2026021700", "2026030800", "2026030923"]
    assert len(plan["runs"]) == 2


def test_the_lake_is_listed_for_the_plan_whatever_events_or_sweeps_saw() -> None:
    home = house.build()
    home.land(["2024050105"], event=False)
    window = house.day_window("20240501", 3)
    plan = planned(home, a_run(slot=house.day_window("20240501"), window=window))
    assert [hour["hour"] for hour in plan["tables"][TABLE]["hours"]] == ["2024050105"]
    home.land(["2024050105"], "{}\n{}", event=False)
    again = planned(home, a_run(slot=house.day_window("20240501"), window=window))
    assert again["tables"] != plan["tables"]


def test_a_table_that_is_not_exported_is_not_planned() -> None:
    home = house.build([spec(tables=(TABLE, "vmconnection"))])
    assert planned(home)["tables"] == {}
    home.land([f"{DAY}01"], event=False)
    assert list(planned(home)["tables"]) == [TABLE]


def test_a_broken_day_is_left_out_and_the_others_are_read() -> None:
    home = house.build()
    home.land(["2026030801", f"{DAY}01"], event=False)
    home.ledger.plant(f"days/{c.workspace_key(WORKSPACE)}/{TABLE}/20260308.json", b"{")
    assert [hour["hour"] for hour in planned(home)["tables"][TABLE]["hours"]] == [f"{DAY}01"]


def test_a_job_is_asked_for_by_code_hash_and_plan() -> None:
    request = plans.job_request(house.build().deployment, JOB)
    code = f"abfss://code@tidehuntstate.dfs.core.windows.net/{'0f' * 16}"
    assert (request.job_id, request.main, request.py_files) == (
        JOB.id, f"{code}/main.py", (f"{code}/code.zip",),
    )  # fmt: skip
    assert request.arguments == (
        f"abfss://results@tidehuntstate.dfs.core.windows.net/jobs/{JOB.id}/plan.json",
    )
    assert request.conf["spark.sql.session.timeZone"] == "UTC"


@pytest.mark.parametrize(
    ("gigabytes", "executors"),
    [
        ([], 1),
        ([(19.9, None)], 1),
        ([(10, None), (10, None)], 2),
        ([(99, "a copy")], 1),
        ([(100, "a copy"), (20, None)], 3),
    ],
)
def test_executors_are_worth_what_is_parsed_and_a_fifth_of_what_is_copied(
    gigabytes: list[tuple[float, str | None]], executors: int
) -> None:
    hours = [{"bytes": int(size * 10**9), "copy": copy} for size, copy in gigabytes]
    assert plans.executors_for({TABLE: {"hours": hours[:1]}, "other": {"hours": hours[1:]}}) == (
        executors
    )


def test_a_job_asks_for_what_its_plan_is_worth_and_a_second_job_for_all() -> None:
    home = house.build(executors="5")
    home.land([f"{DAY}01"])
    first = plans.write_plan(home.turn(), JOB, [a_run(attempt=1)])
    second = plans.write_plan(home.turn(), JOB, [a_run(attempt=1), a_run(attempt=2)])
    asked = [
        plans.job_request(home.deployment, replace(JOB, cores=cores)).executors
        for cores in (first, second)
    ]
    assert (first, second, asked) == (4 + 4, 4 + 5 * 4, [1, 5])


def test_references_are_snapshotted_into_the_plan(tmp_path: Path) -> None:
    (tmp_path / "allow_list.yaml").write_text("- {destination: 192.0.2.7, reason: ours}\n")
    home = house.build([spec(reference_data=("allow_list", "nobody_gave"))],
                       reference_folder=str(tmp_path))  # fmt: skip
    (run,) = planned(home)["runs"]
    assert run["references"] == {
        "allow_list": [{"destination": "192.0.2.7", "reason": "ours"}], "nobody_gave": [],
    }  # fmt: skip


def test_why_a_run_cannot_be_planned_is_said(tmp_path: Path) -> None:
    home = house.build([spec(reference_data=("allow_list",))], reference_folder=str(tmp_path))
    assert plans.why_unplannable(home.deployment, a_run()) == ""
    assert "no_such" in plans.why_unplannable(home.deployment, a_run(hunt="no_such"))
    (tmp_path / "allow_list.yaml").write_text("- [unclosed\n")
    assert "allow_list.yaml" in plans.why_unplannable(home.deployment, a_run())


# --- copies -------------------------------------------------------------------------------------


def posted() -> tuple[House, str]:
    """A house whose only run is with the pool, and its job's id."""
    home = house.build(coalesce_seconds="0", readback_seconds="0", settle_seconds="86400")
    home.land(hours_of_days(DAY))
    home.deployment.records.save(Kept(run_path(a_run()), a_run(), None), a_run())
    home.tick()
    return home, home.engine.requests[0].job_id


@pytest.mark.parametrize(
    "report",
    [b"{", b"[]", b'{"copies": 7}', b'{"copies": [7]}', b'{"copies": [{"table": "t"}]}',
     b"[" * 100_000, b'{"copies": [{"table": "../x", "hour": "2026030901", "path": "x"}]}'],
    ids=range(7),
)  # fmt: skip
def test_a_hostile_report_stops_no_run(report: bytes) -> None:
    home, job_id = posted()
    home.work()
    home.results.plant(c.report_path(job_id), report)
    home.tick(4)
    assert {run.status for run in home.runs().values()} == {"done"}
    assert home.documents("active/") == {}


def test_copies_are_recorded_where_their_job_may_write_and_nowhere_else() -> None:
    home, job_id = posted()
    home.work()
    report = json.loads(home.results.read(c.report_path(job_id), 10**6) or b"")
    report["copies"][0]["path"] = report["copies"][1]["path"]
    report["copies"][3]["path"] += "/../../x"
    home.results.plant(c.report_path(job_id), json.dumps(report).encode())
    home.tick(2)
    hours = home.deployment.records.day(WORKSPACE, TABLE, DAY).value.hours
    assert [key for key, hour in hours.items() if not hour.copy] == [f"{DAY}00", f"{DAY}03"]
    assert hours[f"{DAY}05"].copy == report["copies"][5]["path"]
    assert {hour["copy"] is None for hour in planned(home)["tables"][TABLE]["hours"]} == {
        True,
        False,
    }


def test_a_copy_is_used_while_it_is_fresh_and_never_replaced_by_a_smaller_one() -> None:
    home, job_id = posted()
    home.work()
    home.tick(2)
    copied = planned(home)["tables"][TABLE]["hours"][5]
    assert copied["copy"].endswith(f"/{job_id}/{DAY}05")
    kept = home.deployment.records.day(WORKSPACE, TABLE, DAY)
    fuller = replace(kept.value.hours[f"{DAY}05"], copy_blobs=9)
    home.deployment.records.save(
        kept, replace(kept.value, hours={**kept.value.hours, f"{DAY}05": fuller})
    )
    home.land([f"{DAY}05"], "{}\n{}\n")
    home.tick()
    assert planned(home)["tables"][TABLE]["hours"][5]["copy"] is None


def test_a_copy_of_fewer_blobs_is_not_recorded() -> None:
    home, job_id = posted()
    home.land([f"{DAY}05"], name="PT05M_1.json")
    home.work()
    home.tick(2)
    before = home.deployment.records.day(WORKSPACE, TABLE, DAY).value
    report = json.loads(home.results.read(c.report_path(job_id), 10**6) or b"")
    for copied in report["copies"]:
        copied.update(blobs=0, fingerprint="of fewer")
    home.results.plant(c.report_path(job_id), json.dumps(report).encode())
    record_copies(home.turn(), replace(JOB, id=job_id))
    assert home.deployment.records.day(WORKSPACE, TABLE, DAY).value == before


def test_a_plan_is_not_written_from_days_that_could_not_be_saved() -> None:
    home = house.build()
    home.land([f"{DAY}01"], event=False)

    def refuse(phase: str, operation: str, subject: str) -> None:
        if (phase, operation) == ("before", "ledger.create") and subject.startswith("days/"):
            raise Transient("503")

    home.wire.hook = refuse
    with pytest.raises(Transient):
        planned(home)
    assert home.results.paths("jobs") == []


def test_a_broken_day_does_not_keep_a_job_from_its_end() -> None:
    home, _ = posted()
    home.work()
    home.ledger.plant(f"days/{c.workspace_key(WORKSPACE)}/{TABLE}/{DAY}.json", b"{")
    home.tick(4)
    assert {run.status for run in home.runs().values()} == {"done"}
    assert home.documents("active/") == {}


# --- merged days --------------------------------------------------------------------------------


def settled() -> House:
    """A house whose day has been copied and can be merged."""
    home, _ = posted()
    home.work()
    home.tick(4)
    home.clock.now = START + timedelta(hours=13)
    return home


def merged_once(home: House) -> Json:
    """The plan of a job that merged the day and has told so."""
    plan = planned(home)
    home.write_report(plan)
    record_copies(home.turn(), JOB)
    return plan


def test_a_settled_day_is_to_be_merged_and_is_read_merged_from_then_on() -> None:
    home = settled()
    assert merged_once(home)["tables"][TABLE]["merge"] == [DAY]
    table = planned(home)["tables"][TABLE]
    (merged,) = table["merged"]
    assert (merged["day"], merged["hours"], merged["stale"]) == (DAY, hours_of_days(DAY), [])
    assert merged["path"].endswith(f"/{TABLE}/{JOB.id}/{DAY}")
    assert (table["merge"], table["remove"]) == ([], [])
    read = parse_plan(home.results.read(c.plan_path(JOB.id), 10**6) or b"")
    assert read.merged[TABLE][0].hours == tuple(hours_of_days(DAY))
    # What the release before reads of the plan is there as well.
    assert all(hour["copy"] for hour in table["hours"])


def test_an_hour_that_changed_is_not_read_merged() -> None:
    home = settled()
    merged_once(home)
    home.land([f"{DAY}05"], "{}\n{}\n", event=False)
    (merged,) = planned(home)["tables"][TABLE]["merged"]
    assert merged["stale"] == [f"{DAY}05"]
    assert len(merged["hours"]) == 23


def test_a_run_that_its_first_job_did_not_end_is_not_put_at_risk_by_merging() -> None:
    home = settled()
    assert planned(home, a_run(attempt=2))["tables"][TABLE]["merge"] == []
    assert planned(home, a_run(attempt=1))["tables"][TABLE]["merge"] == [DAY]


def test_a_year_is_merged_a_month_at_a_time_the_newest_days_first() -> None:
    days = [DayRecord(WORKSPACE, TABLE, c.day_key(START - timedelta(days=n)),
                      {f"{c.day_key(START - timedelta(days=n))}{h:02}": Hour(1, 1, "f", "x", "f", 1)
                       for h in (1, 2)}) for n in range(60, 1, -1)]  # fmt: skip
    wanted = {hour for day in days for hour in day.hours}
    told = plans.table_plan(days, wanted, now=START, unread_since=START)
    assert told["merge"] == [day.day for day in days[-plans.DAYS_A_JOB :]]
    assert plans.table_plan(
        days, wanted, now=START, unread_since=START, most_merges=0
    )["merge"] == []  # fmt: skip


def test_what_was_replaced_is_removed_when_no_job_can_read_it_any_more() -> None:
    home = settled()
    merged_once(home)
    record = home.deployment.records.day(WORKSPACE, TABLE, DAY)
    left = Left("abfss://tables@x/left", home.clock.now)
    home.deployment.records.save(record, replace(record.value, left=(left,)))
    assert planned(home)["tables"][TABLE]["remove"] == []
    home.clock.now += timedelta(seconds=1800 + 3600) + plans.MARGIN
    assert planned(home)["tables"][TABLE]["remove"] == [left.path]


@pytest.mark.parametrize(
    "change",
    [
        {"path": "abfss://tables@elsewhere/x"},
        {"path": "../../x"},
        {"day": "2026030901"},
        {"hours": {"2026031000": "f"}},
        {"table": "../ledger"},
    ],
    ids=str,
)
def test_a_merged_day_is_recorded_where_its_job_may_write_and_nowhere_else(change: Json) -> None:
    home = settled()
    plan = planned(home)
    home.write_report(plan)
    report = json.loads(home.results.read(c.report_path(JOB.id), 10**6) or b"")
    report["merged"][0].update(change)
    report["lost"] = ["abfss://tables@elsewhere/a/b/c", f"{plan['tables_root']}/x/y/z/{DAY}"]
    home.results.plant(c.report_path(JOB.id), json.dumps(report).encode())
    before = home.deployment.records.day(WORKSPACE, TABLE, DAY).value
    record_copies(home.turn(), JOB)
    after = home.deployment.records.day(WORKSPACE, TABLE, DAY).value
    assert (after.merged, after.hours) == (None, before.hours)
