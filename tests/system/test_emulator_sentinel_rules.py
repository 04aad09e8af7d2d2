"""What the Sentinel emulator refuses, and what Microsoft's old client cannot ask for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.system.emulated import token
from tests.system.emulated_sentinel import BOOKMARK, INCIDENT, WORKSPACE, Arm, Json, error_of
from workbench.emulators.sentinel import VERSIONS


@pytest.fixture
def begin(tmp_path: Path) -> Iterator[Callable[..., Arm]]:
    with ExitStack() as ends:
        yield lambda **options: Arm(tmp_path, ends, **options)


@pytest.fixture
def arm(begin: Callable[..., Arm]) -> Arm:
    return begin()


def test_status_codes_and_request_ids(arm: Arm) -> None:
    created = arm.put("incidents/a", INCIDENT)
    assert created.status_code == 201
    assert arm.put("incidents/a", INCIDENT).status_code == 200
    assert arm.ask("DELETE", "incidents/a").status_code == 200
    assert arm.ask("DELETE", "incidents/a").status_code == 204
    assert created.headers["x-ms-request-id"]
    missing = arm.ask("GET", "incidents/a")
    assert error_of(missing) == (404, "NotFound")
    assert missing.headers["x-ms-request-id"] != created.headers["x-ms-request-id"]


def test_paths_match_in_any_letter_case(arm: Arm) -> None:
    arm.put("incidents/Ab", INCIDENT, workspace=WORKSPACE.lower())
    found = arm.get("Incidents/aB", workspace=WORKSPACE.upper())
    assert (found["name"], found["id"].split("/providers/Microsoft.S")[0]) == ("Ab", WORKSPACE)


def test_a_workspace_that_comes_later(arm: Arm) -> None:
    other = WORKSPACE + "2"
    assert error_of(arm.put("incidents/a", INCIDENT, workspace=other)) == (404, "ResourceNotFound")
    arm.workspaces.append(other)
    assert arm.put("incidents/a", INCIDENT, workspace=other).status_code == 201
    assert arm.get("incidents")["value"] == []


@pytest.mark.parametrize("version", ["2021-10-01", "2025-09-01", "2025-07-01-preview"])
def test_versions_that_the_service_had(arm: Arm, version: str) -> None:
    assert arm.get("incidents", version=version) == {"value": []}


@pytest.mark.parametrize("version", ["2025-09-02", "2019-01-01-preview", "2025-09-01-preview", "1"])
def test_versions_that_the_service_never_had(arm: Arm, version: str) -> None:
    refused = arm.ask("GET", "incidents", version=version)
    assert error_of(refused) == (400, "NoRegisteredProviderFound")
    assert "2025-09-01" in refused.json()["error"]["message"]


def test_a_version_is_required(arm: Arm) -> None:
    assert error_of(arm.ask("GET", "incidents", version=None)) == (
        400,
        "MissingApiVersionParameter",
    )


def test_the_versions_are_those_of_the_specification() -> None:
    assert len(VERSIONS) == len(set(VERSIONS)) == 42
    assert VERSIONS[-1] == "2025-12-01"


def test_a_caller_without_a_token_is_refused(arm: Arm) -> None:
    url = f"{arm.address}{WORKSPACE}/providers/Microsoft.SecurityInsights/incidents"
    refused = httpx.get(url, params={"api-version": "2025-09-01"})
    assert error_of(refused) == (401, "AuthenticationFailed")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"title": None}, "'title' is missing"),
        ({"title": ""}, "'title' is missing"),
        ({"title": 5}, "'title' must be a string"),
        ({"severity": None}, "'severity' is missing"),
        ({"severity": "Critical"}, "'Critical' is not a valid severity"),
        ({"severity": "high"}, "'high' is not a valid severity"),
        ({"status": None}, "'status' is missing"),
        ({"status": "Open"}, "'Open' is not a valid status"),
        ({"status": "Closed"}, "status 'Closed' must have classification"),
        ({"classification": "Maybe"}, "'Maybe' is not a valid classification"),
        ({"classification": "TruePositive"}, "'TruePositive' must have classificationReason"),
        (
            {"classification": "BenignPositive", "classificationReason": "InaccurateData"},
            "does not allow classificationReason 'InaccurateData'",
        ),
        ({"classificationReason": "SuspiciousActivity"}, "does not allow"),
        ({"classificationComment": []}, "'classificationComment' must be a string"),
        ({"labels": ["a"]}, "'labels' must be a list of objects"),
        ({"labels": [{"name": "a"}]}, "'labelName' is missing"),
        ({"owner": "Ada"}, "'owner' must be an object"),
        ({"owner": {"objectId": "Ada"}}, "must be a GUID"),
        ({"owner": {"ownerType": "Robot"}}, "'Robot' is not a valid ownerType"),
        ({"firstActivityTimeUtc": "soon"}, "is not a date and time"),
        ({"description": "x" * 5_001}, "exceeds the maximum of 5000 characters"),
        ({"description": "🌊" * 2_501}, "exceeds the maximum of 5000 characters"),
    ],
)
def test_what_an_incident_may_not_say(arm: Arm, change: Json, said: str) -> None:
    refused = arm.put("incidents/a", INCIDENT | change)
    assert error_of(refused) == (400, "BadRequest")
    assert said in refused.json()["error"]["message"]
    assert arm.get("incidents")["value"] == []


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x" * 5_000},
        {"description": "🌊" * 2_500},
        {"status": "Closed", "classification": "Undetermined"},
        {
            "status": "Closed",
            "classification": "FalsePositive",
            "classificationReason": "IncorrectAlertLogic",
            "classificationComment": "a scanner of ours",
        },
        {"labels": [{"labelName": "a", "labelType": "AutoAssigned"}]},
        {"owner": {"objectId": None, "email": None, "assignedTo": None}},
        {"incidentNumber": 99, "additionalData": {"alertsCount": 9}, "unheard": "of"},
    ],
)
def test_what_an_incident_may_say(arm: Arm, change: Json) -> None:
    told = arm.put("incidents/a", INCIDENT | change).json()["properties"]
    assert (told["incidentNumber"], told["additionalData"]["alertsCount"]) == (1, 0)
    assert "unheard" not in told
    again = arm.put("incidents/a", told)
    assert again.status_code == 200, "what is read can be sent back"


@pytest.mark.parametrize("body", [None, [], {}, {"properties": []}, "\ud800"])
def test_a_body_is_an_object_with_properties(arm: Arm, body: Any) -> None:
    assert arm.ask("PUT", "incidents/a", body).status_code == 400


def test_etags_by_header(arm: Arm) -> None:
    etag = arm.put("incidents/a", INCIDENT).json()["etag"]
    newer = arm.put("incidents/a", INCIDENT, headers={"If-Match": etag})
    assert newer.status_code == 200
    assert newer.json()["etag"] != etag
    stale = arm.put("incidents/a", INCIDENT, headers={"If-Match": etag})
    assert error_of(stale) == (409, "Conflict")
    assert arm.put("incidents/a", INCIDENT, headers={"If-Match": "*"}).status_code == 200


def test_the_status_of_a_conflict_is_a_setting(begin: Callable[..., Arm]) -> None:
    arm = begin(conflict_status=412)
    arm.put("incidents/a", INCIDENT)
    stale = arm.put("incidents/a", INCIDENT, headers={"If-Match": '"old"'})
    assert error_of(stale) == (412, "Conflict")


def test_comments_have_at_most_30_000_characters(arm: Arm) -> None:
    arm.put("incidents/a", INCIDENT)
    path = "incidents/a/comments/c"
    assert arm.put(path, {"message": "x" * 30_000}).status_code == 201
    assert arm.put(path, {"message": "x" * 30_001}).status_code == 400
    assert arm.put(path, {"message": ""}).status_code == 400
    assert arm.put("incidents/b/comments/c", {"message": "x"}).status_code == 404


def test_an_incident_has_at_most_100_comments(arm: Arm) -> None:
    arm.put("incidents/a", INCIDENT)
    statuses = [
        arm.put(f"incidents/a/comments/c{n}", {"message": "x"}).status_code for n in range(101)
    ]
    assert statuses == [201] * 100 + [400]
    assert arm.put("incidents/a/comments/c0", {"message": "y"}).status_code == 200
    assert arm.get("incidents/a")["properties"]["additionalData"]["commentsCount"] == 100


def test_an_incident_has_at_most_20_bookmarks(arm: Arm) -> None:
    arm.put("incidents/a", INCIDENT)
    statuses = []
    for n in range(21):
        bookmark = arm.put(f"bookmarks/b{n}", BOOKMARK).json()["id"]
        relation = {"relatedResourceId": bookmark}
        statuses.append(arm.put(f"incidents/a/relations/rel{n}", relation).status_code)
    assert statuses == [201] * 20 + [400]


@pytest.mark.parametrize(
    ("name", "related", "status"),
    [
        ("rel", f"{WORKSPACE}/providers/Microsoft.SecurityInsights/bookmarks/B", 201),
        ("ab", f"{WORKSPACE}/providers/Microsoft.SecurityInsights/bookmarks/b", 400),
        ("rel_1", f"{WORKSPACE}/providers/Microsoft.SecurityInsights/bookmarks/b", 400),
        ("rel", f"{WORKSPACE}/providers/Microsoft.SecurityInsights/bookmarks/c", 404),
        ("rel", f"{WORKSPACE}2/providers/Microsoft.SecurityInsights/bookmarks/b", 400),
        ("rel", f"{WORKSPACE}/providers/Microsoft.SecurityInsights/incidents/a", 400),
        ("rel", None, 400),
    ],
)
def test_relations_name_bookmarks(arm: Arm, name: str, related: str | None, status: int) -> None:
    arm.put("incidents/a", INCIDENT)
    arm.put("bookmarks/b", BOOKMARK)
    answer = arm.put(f"incidents/a/relations/{name}", {"relatedResourceId": related})
    assert answer.status_code == status


def test_a_deleted_incident_takes_its_comments_along(arm: Arm) -> None:
    arm.put("incidents/a", INCIDENT)
    arm.put("incidents/a/comments/c", {"message": "x"})
    arm.ask("DELETE", "incidents/a")
    arm.put("incidents/a", INCIDENT)
    assert arm.get("incidents/a/comments") == {"value": []}


@pytest.mark.parametrize(
    "change", [{"displayName": None}, {"query": None}, {"labels": [1]}, {"eventTime": "x"}]
)
def test_what_a_bookmark_may_not_say(arm: Arm, change: Json) -> None:
    assert arm.put("bookmarks/b", BOOKMARK | change).status_code == 400


def test_stable_versions_drop_what_bookmarks_have_in_preview_only(arm: Arm) -> None:
    sent = BOOKMARK | {"tactics": ["Discovery"], "incidentInfo": {"incidentId": "a"}}
    assert "tactics" not in arm.put("bookmarks/b", sent).json()["properties"]
    preview = arm.put("bookmarks/b", sent, version="2025-07-01-preview").json()["properties"]
    assert preview["tactics"] == ["Discovery"]
    assert "incidentInfo" not in preview


def test_the_next_link_stays_on_this_host(arm: Arm) -> None:
    for name in "abc":
        arm.put(f"incidents/{name}", INCIDENT)
    two: dict[str, Any] = {"$top": 2}
    first = arm.get("incidents", **two)
    assert first["nextLink"].startswith(f"{arm.address}/subscriptions/")
    assert "api-version=2025-09-01" in first["nextLink"]
    second = httpx.get(first["nextLink"], headers=token("https://management.azure.com")).json()
    names = [one["name"] for one in first["value"] + second["value"]]
    assert (names, "nextLink" in second) == (["c", "b", "a"], False)
    broken: dict[str, Any] = {"$skipToken": "é"}
    assert arm.ask("GET", "incidents", **broken).status_code == 400


def test_resources_survive_a_restart(begin: Callable[..., Arm]) -> None:
    etag = begin().put("incidents/a", INCIDENT).json()["etag"]
    again = begin()
    assert again.get("incidents/a")["etag"] == etag
    assert again.put("incidents/b", INCIDENT).json()["properties"]["incidentNumber"] == 2
