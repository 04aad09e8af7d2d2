"""The contract: paths of export blobs and manifests, keys of hours and days, ids of findings."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from string import ascii_lowercase

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from shared import contract as c

WORKSPACE = (
    "/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc"
    "/providers/microsoft.operationalinsights/workspaces/contoso"
)
PATH = f"WorkspaceResourceId={WORKSPACE}/y=2026/m=03/d=09/h=05/m=10/PT05M.json"
CONTAINER = "am-commonsecuritylog"
JOB, RUN = "job-20260310000500-0123abcd", "20260309-beaconing-contoso-9f589367-r0"

hours = st.integers(0, 70_000_000).map(
    lambda count: datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=count)
)
texts = st.text(max_size=12) | st.text(alphabet="|=:~1 a\0\n", max_size=8)
identities = st.dictionaries(
    st.text(alphabet=ascii_lowercase, min_size=1, max_size=6), st.none() | texts, max_size=4
)


# --- export blobs -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["PT05M.json", "PT5M.json", "PT05M_1.json", "PT5M_12.json", "pt05m_999999.JSON"],
)
def test_every_name_that_export_uses_is_read(name: str) -> None:
    blob = c.parse_export_blob(CONTAINER, PATH.replace("PT05M.json", name))
    assert blob == c.ExportBlob("commonsecuritylog", WORKSPACE, "2026030905")


@pytest.mark.parametrize("change", [str.upper, str.lower, str.title])
def test_letter_case_does_not_matter(change: Callable[[str], str]) -> None:
    blob = c.parse_export_blob("AM-CommonSecurityLog", change(PATH))
    assert blob == c.ExportBlob("commonsecuritylog", WORKSPACE, "2026030905")


@pytest.mark.parametrize(
    "path",
    [
        "",
        "/" + PATH,
        PATH + "\n",
        PATH + "/",
        PATH + ".tmp",
        PATH.replace(".json", ".parquet"),
        PATH.replace("PT05M", "PT15M"),
        PATH.replace("PT05M", "PT005M"),
        PATH.replace("PT05M", "PT05M_"),
        PATH.replace("PT05M", "PT05M_1234567"),
        PATH.replace("PT05M", "PT05M_-1"),
        PATH.replace("PT05M.json", "../PT05M.json"),
        PATH.replace("/y=", "/../y="),
        PATH.replace("/y=", "//y="),
        PATH.replace("/contoso", "/con/../toso"),
        PATH.replace("contoso", "con%2ftoso"),
        PATH.replace("contoso", "con\\toso"),
        PATH.replace("contoso", "con\ntoso"),
        PATH.replace("contoso", ""),
        PATH.replace("contoso", "x" * 64),
        PATH.replace("operationalinsights", "storage"),
        PATH.replace("/m=10", ""),
        PATH.replace("/d=09/h=05/m=10", "/d=09/m=10/h=05"),
        PATH.replace("h=05", "h=24"),
        PATH.replace("h=05", "h=5"),
        PATH.replace("h=05", "h=\u0660\u0665"),
        PATH.replace("d=09", "d=31").replace("m=03", "m=02"),
        PATH.replace("m=03", "m=13"),
        PATH.replace("y=2026", "y=0000"),
        PATH.replace("y=2026", "y=12026"),
    ],
)
def test_what_export_never_writes_is_no_export_blob(path: str) -> None:
    assert c.parse_export_blob(CONTAINER, path) is None


@pytest.mark.parametrize(
    "container", ["", "am-", "commonsecuritylog", "am-am-x", "am-1", "am-a/b", "am-a.b", "am-x\n"]
)
def test_only_containers_of_exports_count(container: str) -> None:
    assert c.parse_export_blob(container, PATH) is None


def test_a_leap_day_is_real_in_a_leap_year_only() -> None:
    leap = PATH.replace("m=03/d=09", "m=02/d=29")
    assert c.parse_export_blob(CONTAINER, leap) is None
    blob = c.parse_export_blob(CONTAINER, leap.replace("y=2026", "y=2028"))
    assert blob is not None and blob.hour == "2028022905"


@given(container=st.text(max_size=80), path=st.text(max_size=300))
def test_any_text_is_no_export_blob(container: str, path: str) -> None:
    assert c.parse_export_blob(container, path) is None


segment = (
    st.sampled_from([".", "..", "~", "a b", "\u03a3", "\u0130"])
    | st.text(alphabet="aZ-_.", min_size=1, max_size=20)
    | st.text(min_size=1, max_size=3)
)


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    """Two or four digits in this range, and now and then something else."""
    wide = f"{{:0{len(str(most))}}}".format
    other = st.sampled_from(["", "0", "-1", "00", "99", "\u0660\u0663", "1x", "123"])
    return st.integers(0, 9).flatmap(
        lambda n: other if n == 9 else st.integers(least, most).map(wide)
    )


@given(
    table=st.sampled_from(["CommonSecurityLog", "Dns", "My_CL", "a", "a/b", "1a", "\u212aql"]),
    places=st.tuples(segment, segment, segment),
    year=digits(1990, 2100),
    times=st.tuples(digits(1, 12), digits(1, 31), digits(0, 23), digits(0, 59)),
    name=st.sampled_from(["PT5M", "PT05M", "PT05M_7", "PT15M"]),
)
def test_what_is_read_is_a_real_hour_of_the_folder_that_the_blob_lies_in(
    table: str, places: tuple[str, ...], year: str, times: tuple[str, ...], name: str
) -> None:
    path = (
        "WorkspaceResourceId=/subscriptions/{}/resourcegroups/{}/providers"
        "/Microsoft.OperationalInsights/workspaces/{}".format(*places)
    ) + "/y={}/m={}/d={}/h={}/m={}/{}.json".format(year, *times, name)
    blob = c.parse_export_blob(f"am-{table}", path)
    if blob is not None:
        folder = c.export_hour_folder(blob.workspace, blob.hour)
        assert c.is_hour_key(blob.hour)
        assert path.lower().startswith(f"{folder.lower()}/m=")
        assert c.TABLE.fullmatch(blob.table) and blob.table == table.lower()


# --- hours and days -----------------------------------------------------------------------------


@given(hours)
def test_an_hour_key_names_its_hour(moment: datetime) -> None:
    key = c.hour_key(moment)
    assert c.is_hour_key(key) and c.hour_start(key) == moment
    assert c.hour_key(moment + timedelta(minutes=59, seconds=59)) == key
    assert key[:8] == c.day_key(moment)
    assert c.day_start(key[:8]) <= moment < c.day_start(key[:8]) + timedelta(days=1)


@given(st.text(max_size=12) | st.from_regex(r"\d{8,12}", fullmatch=True))
def test_any_text_is_an_hour_key_or_not(text: str) -> None:
    assert not c.is_hour_key(text) or re.fullmatch("[0-9]{10}", text)


@pytest.mark.parametrize("text", ["2026030924", "202603090", "20260309051", "2026-03-09", " "])
def test_no_hour_has_this_key(text: str) -> None:
    assert not c.is_hour_key(text)


@given(hours, st.integers(0, 100), st.integers(0, 100))
def test_windows_that_tile_share_no_hour_and_lose_none(start: datetime, a: int, b: int) -> None:
    middle = start + timedelta(hours=a)
    end = middle + timedelta(hours=b)
    whole = c.hours_between(start, end)
    assert c.hours_between(start, middle) + c.hours_between(middle, end) == whole
    assert len(set(whole)) == a + b
    assert c.days_between(start, end) == sorted({hour[:8] for hour in whole})


def test_folders_of_days_and_hours_are_where_export_writes() -> None:
    folder = c.export_hour_folder(WORKSPACE.upper(), "2026030905")
    assert PATH.startswith(f"{folder}/m=10/")
    assert folder == f"{c.export_day_folder(WORKSPACE, '20260309')}/h=05"


# --- ids ----------------------------------------------------------------------------------------


@given(identities, identities)
def test_different_identities_never_share_a_key(
    one: dict[str, str | None], other: dict[str, str | None]
) -> None:
    texts = [c.canonical_identity("w", "g", identity) for identity in (one, other)]
    assert (texts[0] == texts[1]) == (one == other)


@given(st.lists(st.none() | texts, min_size=2, max_size=4), st.data())
def test_neither_separators_nor_nulls_move_a_value_into_another_column(
    values: list[str | None], data: st.DataObject
) -> None:
    moved = data.draw(st.permutations(values))
    assume(moved != values)
    names = "abcd"[: len(values)]
    one, other = (dict(zip(names, kept, strict=True)) for kept in (values, moved))
    assert c.finding_key("w", "g", one) != c.finding_key("w", "g", other)


@given(identities)
def test_the_order_of_columns_is_no_part_of_an_identity(identity: dict[str, str | None]) -> None:
    turned = dict(reversed(identity.items()))
    assert c.finding_key("w", "g", identity) == c.finding_key("w", "g", turned)


def test_an_id_is_made_of_workspace_hunt_identity_and_slot() -> None:
    slot = datetime(2026, 3, 9, tzinfo=UTC)
    key = c.finding_key("w", "g", {"b": 443, "a": None})
    assert key == str(uuid.uuid5(c.NAMESPACE, "w|g|a=~|b=3:443"))
    assert c.finding_id(key, slot) == str(uuid.uuid5(c.NAMESPACE, f"{key}|2026030900"))
    others = {
        c.finding_key("v", "g", {"b": 443, "a": None}),
        c.finding_key("w", "h", {"b": 443, "a": None}),
        c.finding_key("w", "g", {"b": 443, "a": "~"}),
        c.finding_key("w", "g", {"b": 443}),
    }
    assert len(others | {key}) == 5
    assert c.finding_id(key, slot + timedelta(hours=1)) != c.finding_id(key, slot)


@given(st.text(max_size=200))
def test_a_workspace_key_is_safe_in_any_path(resource_id: str) -> None:
    key = c.workspace_key(resource_id)
    assert re.fullmatch(r"[a-z0-9-]{0,40}-[0-9a-f]{8}", key)
    assert key == c.workspace_key(resource_id.lower())


def test_workspaces_of_one_name_have_keys_of_their_own() -> None:
    keys = {c.workspace_key(WORKSPACE), c.workspace_key(WORKSPACE.replace("/soc/", "/it/"))}
    assert len(keys) == 2 and all(key.startswith("contoso-") for key in keys)


# --- paths of results ---------------------------------------------------------------------------


def test_a_manifest_is_known_by_its_path() -> None:
    assert c.parse_manifest_path(c.manifest_path(JOB, RUN)) == (JOB, RUN)


@pytest.mark.parametrize(
    "path",
    [
        c.delivered_path(JOB, RUN),
        c.plan_path(JOB),
        c.claim_path(JOB),
        c.report_path(JOB),
        "/" + c.manifest_path(JOB, RUN),
        c.manifest_path(JOB, RUN) + "\n",
        c.manifest_path(JOB, RUN) + "/x",
        c.manifest_path(JOB, f"{RUN}/withheld"),
        c.manifest_path(JOB, "../" + RUN),
        c.manifest_path("..", RUN),
        c.manifest_path(JOB.upper(), RUN),
        c.manifest_path(JOB, RUN + "\n"),
        c.manifest_path(JOB, "20260309-short"),
        c.manifest_path(JOB, "20260309-" + "x" * 121),
        c.manifest_path(JOB, RUN).replace("manifest.json", "manifest_json"),
    ],
)
def test_other_files_of_a_job_are_no_manifests(path: str) -> None:
    assert c.parse_manifest_path(path) is None


@given(
    st.text(max_size=200)
    | st.builds("jobs/{}/runs/{}/manifest.json".format, st.text() | st.just(JOB), st.text())
    | st.builds(c.manifest_path, st.from_regex(c.JOB_ID), st.from_regex(c.RUN_ID))
)
def test_any_path_names_a_run_or_none(path: str) -> None:
    found = c.parse_manifest_path(path)
    assert found is None or c.manifest_path(*found) == path
