"""Environment -> Settings: every fault at once, each with its name and its mend."""

from __future__ import annotations

from dataclasses import MISSING, fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.settings import Settings, environment_name, load
from tests.unit.house import OTHER, WORKSPACE, environment

REQUIRED = {environment_name(item.name) for item in fields(Settings) if item.default is MISSING}


def faults_of(**changes: str) -> dict[str, str]:
    """Setting -> what is wrong with it."""
    loaded, faults = load(environment(**changes))
    assert (loaded is None) == bool(faults)
    assert all(fault.mend and str(fault).startswith(fault.setting) for fault in faults)
    return {fault.setting: fault.what for fault in faults}


def test_what_is_required_is_enough() -> None:
    loaded, faults = load(environment())
    assert faults == [] and loaded is not None
    assert set(environment()) == REQUIRED
    for item in fields(Settings):
        if item.default is not MISSING:
            assert getattr(loaded, item.name) == item.default


def test_the_defaults_are_the_ones_that_operators_are_told() -> None:
    loaded, _ = load(environment())
    assert loaded is not None
    assert (loaded.turn_seconds, loaded.call_seconds, loaded.stale_turn_seconds) == (45, 10, 300)
    assert (loaded.settle_seconds, loaded.coalesce_seconds, loaded.sweep_seconds) == (
        900, 3600, 900,
    )  # fmt: skip
    assert (loaded.jobs_at_once, loaded.jobs_a_day, loaded.runs_a_hunt_a_day) == (5, 300, 30)
    assert (loaded.vcore_hours_a_day, loaded.job_cores) == (500, 12)
    assert (loaded.findings_a_run, loaded.megabytes_a_day) == (10_000, 500)
    assert (loaded.incidents_a_run, loaded.incidents_a_day) == (20, 200)
    assert (loaded.queue_deadline_seconds, loaded.run_deadline_seconds) == (1800, 3600)


def test_a_cap_that_no_job_fits_under_is_a_fault() -> None:
    (what,) = faults_of(vcore_hours_a_day="11.9").values()
    assert what == "is 11.9, and one job may use 12"
    told = faults_of(executors="20", executor_cores="16", run_deadline_seconds="7200", dcr_id="")
    assert set(told) == {"TIDEHUNT_VCORE_HOURS_A_DAY", "TIDEHUNT_DCR_ID"}
    assert load(environment(vcore_hours_a_day="12"))[1] == []


def test_an_empty_environment_names_every_setting_that_is_missing() -> None:
    loaded, faults = load({"PATH": "/bin"})
    assert loaded is None
    assert {fault.setting for fault in faults} == REQUIRED
    assert {fault.what for fault in faults} == {"is not set"}


def test_all_faults_are_told_at_once() -> None:
    told = faults_of(
        exports_endpoint="http://plain.example",
        workspaces="contoso",
        incident_route="email",
        code_hash="latest",
        settle_seconds="soon",
        jobs_at_once="2.5",
        sweep_seconds="0",
        no_such_setting="1",
        dcr_id="",
    )
    assert told == {
        "TIDEHUNT_EXPORTS_ENDPOINT": "is no https address",
        "TIDEHUNT_WORKSPACES": "'contoso' is no resource id of a Log Analytics workspace",
        "TIDEHUNT_INCIDENT_ROUTE": "is 'email', not one of arm, analytics-rule",
        "TIDEHUNT_CODE_HASH": "is no content hash (16 to 64 hex digits)",
        "TIDEHUNT_SETTLE_SECONDS": "is 'soon', which is no number",
        "TIDEHUNT_JOBS_AT_ONCE": "is '2.5', not a whole number",
        "TIDEHUNT_SWEEP_SECONDS": "is 0, outside 1 to 86400",
        "TIDEHUNT_NO_SUCH_SETTING": "is no setting of Tidehunt",
        "TIDEHUNT_DCR_ID": "is not set",
    }


@pytest.mark.parametrize("empty", ["", " ", "\t\n"])
def test_an_empty_variable_counts_as_absent(empty: str) -> None:
    loaded, faults = load(environment(settle_seconds=empty, topic_endpoint=empty))
    assert faults == [] and loaded is not None
    assert (loaded.settle_seconds, loaded.topic_endpoint) == (900.0, "")
    assert faults_of(synapse_pool=empty) == {"TIDEHUNT_SYNAPSE_POOL": "is not set"}


@pytest.mark.parametrize(
    "address",
    [
        "https://",
        "ftp://x.example",
        "x.example",
        "https://x.example?sig=secret",
        "https://x.example#y",
        "https://user:secret@x.example",
        "https://x.example:99999",
        "https://x.example:zero",
        "https://[::1",
    ],
)
def test_what_is_no_address_is_a_fault(address: str) -> None:
    told = faults_of(state_endpoint=address)
    assert set(told) == {"TIDEHUNT_STATE_ENDPOINT"}
    assert "secret" not in "".join(told.values())


def test_addresses_lose_their_last_slash_and_may_have_a_port() -> None:
    loaded, _ = load(environment(state_endpoint="https://127.0.0.1:10443/"))
    assert loaded is not None
    assert (loaded.state_endpoint, loaded.state_account) == ("https://127.0.0.1:10443", "127.0.0.1")


@pytest.mark.parametrize("given_value", ["nan", "inf", "-1", "1e9", "0x10", "1,5"])
def test_what_is_no_usable_number_is_a_fault(given_value: str) -> None:
    assert set(faults_of(settle_seconds=given_value)) == {"TIDEHUNT_SETTLE_SECONDS"}
    assert set(faults_of(jobs_a_day=given_value)) == {"TIDEHUNT_JOBS_A_DAY"}


def test_calls_must_fit_into_a_turn() -> None:
    assert faults_of(call_seconds="22.5") == {}
    told = faults_of(call_seconds="23")
    assert told["TIDEHUNT_CALL_SECONDS"].startswith("is 23, more than half of TIDEHUNT_TURN")
    assert set(faults_of(turn_seconds="5")) == {"TIDEHUNT_CALL_SECONDS"}
    assert faults_of(turn_seconds="5", call_seconds="2") == {}


def test_workspaces_are_lower_case_and_each_once() -> None:
    loaded, _ = load(environment(workspaces=f" {WORKSPACE.upper()} ;{OTHER};; {WORKSPACE};"))
    assert loaded is not None
    assert loaded.workspaces == (WORKSPACE, OTHER)
    assert loaded.sink_workspace == WORKSPACE
    other, _ = load(environment(findings_workspace=OTHER))
    assert other is not None and other.sink_workspace == OTHER


@pytest.mark.parametrize("none_at_all", [";", " ; ;"])
def test_a_list_without_a_workspace_is_a_fault(none_at_all: str) -> None:
    assert faults_of(workspaces=none_at_all) == {"TIDEHUNT_WORKSPACES": "names no workspace"}


@pytest.mark.parametrize(
    "workspace", [f"{WORKSPACE}/x", f"{WORKSPACE} x", WORKSPACE[1:], f"{WORKSPACE}\nx"]
)
def test_what_is_no_workspace_is_a_fault(workspace: str) -> None:
    assert set(faults_of(workspaces=workspace)) == {"TIDEHUNT_WORKSPACES"}


def test_hosts_in_urls_follow_the_endpoints_unless_they_are_given() -> None:
    loaded, _ = load(environment())
    assert loaded is not None
    assert loaded.exports_account == "tidehuntexports.dfs.core.windows.net"
    given_host, _ = load(environment(exports_host="a.dfs.core.windows.net"))
    assert given_host is not None and given_host.exports_account == "a.dfs.core.windows.net"
    assert set(faults_of(state_host="a/b")) == {"TIDEHUNT_STATE_HOST"}


def test_variables_of_the_workbench_and_of_others_are_left_alone() -> None:
    given_env = {**environment(), "TIDEHUNT_HOME": "x", "TIDEHUNT_HOST_KEY": "y", "TIDE": "z"}
    assert load(given_env)[1] == []


def test_every_setting_explains_itself() -> None:
    assert all(len(item.metadata["help"]) > 10 for item in fields(Settings))


@given(st.dictionaries(st.sampled_from([item.name for item in fields(Settings)]), st.text()))
def test_loading_never_raises(changes: dict[str, str]) -> None:
    loaded, faults = load(environment(**changes))
    assert (loaded is None) == bool(faults)
