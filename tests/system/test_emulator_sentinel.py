"""The Sentinel emulator, driven by Microsoft's management client (api-version 2021-10-01)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError, ResourceNotFoundError
from azure.mgmt.securityinsight import SecurityInsights
from azure.mgmt.securityinsight.models import (
    Bookmark,
    Incident,
    IncidentComment,
    IncidentLabel,
    IncidentOwnerInfo,
    Relation,
    Watchlist,
    WatchlistItem,
)

from tests.system.emulated import Credential, caller, refused, serve
from workbench.emulators import sentinel
from workbench.emulators.sentinel import Sentinel

SUBSCRIPTION = "3f0d2f9e-0d0c-4a51-8a52-0d5a3f0c9b11"
GROUP, NAME = "soc", "contoso"
WORKSPACE = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    f"/providers/Microsoft.OperationalInsights/workspaces/{NAME}"
)
ALL: dict[str, Any] = {"resource_group_name": GROUP, "workspace_name": NAME, "enforce_https": False}
GUID = "73e01a99-5cd7-4139-a149-9f2736ff2ab5"


@pytest.fixture
def ends() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def address(tmp_path: Path, ends: ExitStack) -> str:
    service = Sentinel(tmp_path, workspaces=[WORKSPACE])
    ends.callback(service.close)
    return serve(sentinel.routes(service, caller), ends)


@pytest.fixture
def client(address: str, ends: ExitStack) -> Any:
    return ends.enter_context(
        SecurityInsights(Credential(), SUBSCRIPTION, base_url=address, retry_total=0)
    )


def incident(**changes: Any) -> Incident:
    return Incident(**{"title": "Beacon", "severity": "Medium", "status": "New", **changes})


def put(client: Any, what: Incident, name: str = GUID) -> Any:
    return client.incidents.create_or_update(incident_id=name, incident=what, **ALL)


def get(client: Any, name: str = GUID) -> Any:
    return client.incidents.get(incident_id=name, **ALL)


def test_life_of_an_incident(client: Any) -> None:
    created = put(client, incident(description="from 10.0.0.5", labels=[_label("tidehunt")]))
    assert created.id == f"{WORKSPACE}/providers/Microsoft.SecurityInsights/incidents/{GUID}"
    assert (created.name, created.type) == (GUID, "Microsoft.SecurityInsights/incidents")
    assert (created.incident_number, created.labels[0].label_name) == (1, "tidehunt")
    assert created.created_time_utc == created.last_modified_time_utc
    assert created.incident_url.endswith(created.id)
    assert (created.owner.email, created.additional_data.alerts_count) == (None, 0)
    assert get(client) == created

    created.severity = "High"
    created.owner = IncidentOwnerInfo(assigned_to="Ada", email="ada@contoso.com")
    updated = put(client, created)
    assert (updated.severity, updated.owner.assigned_to) == ("High", "Ada")
    assert updated.incident_number == 1
    assert updated.etag != created.etag
    assert updated.created_time_utc == created.created_time_utc

    client.incidents.delete(incident_id=GUID, **ALL)
    client.incidents.delete(incident_id=GUID, **ALL)
    with pytest.raises(ResourceNotFoundError):
        get(client)
    assert put(client, incident()).incident_number == 2


def _label(name: str) -> IncidentLabel:
    return IncidentLabel(label_name=name)


def test_a_put_replaces_what_it_does_not_send(client: Any) -> None:
    put(client, incident(description="long", labels=[_label("a")]))
    put(client, incident(title="Other"))
    left = get(client)
    assert (left.title, left.description, left.labels) == ("Other", None, [])


def test_a_stale_etag_is_refused_and_changes_nothing(client: Any) -> None:
    first = put(client, incident())
    put(client, incident(title="An analyst's"))
    status, body = refused(lambda: put(client, incident(title="Ours", etag=first.etag)))
    assert (status, body["error"]["code"]) == (409, "Conflict")
    assert body["error"]["message"] == (
        f"Newer version of resource '{GUID}' exists. Data was not saved"
    )
    current = get(client)
    assert current.title == "An analyst's"
    assert put(client, incident(title="Ours", etag=current.etag)).title == "Ours"


def test_an_etag_of_a_deleted_incident_does_not_bring_it_back(client: Any) -> None:
    first = put(client, incident())
    client.incidents.delete(incident_id=GUID, **ALL)
    assert refused(lambda: put(client, first))[0] == 409
    with pytest.raises(ResourceNotFoundError):
        get(client)


def test_comments(client: Any) -> None:
    before = put(client, incident())

    def comment(name: str, message: str) -> Any:
        return client.incident_comments.create_or_update(
            incident_id=GUID,
            incident_comment_id=name,
            incident_comment=IncidentComment(message=message),
            **ALL,
        )

    first = comment("c-1", "seen")
    comment("c-2", "again")
    assert (first.message, first.author.name) == ("seen", "app")
    assert first.type == "Microsoft.SecurityInsights/incidents/comments"
    assert comment("c-1", "edited").created_time_utc == first.created_time_utc
    found = client.incident_comments.list(incident_id=GUID, **ALL)
    assert [one.message for one in found] == ["again", "edited"]
    after = get(client)
    assert after.additional_data.comments_count == 2
    assert after.etag != before.etag
    client.incident_comments.delete(incident_id=GUID, incident_comment_id="c-2", **ALL)
    assert get(client).additional_data.comments_count == 1
    with pytest.raises(ResourceNotFoundError):
        client.incident_comments.get(incident_id=GUID, incident_comment_id="c-2", **ALL)


def test_bookmarks_and_relations(client: Any) -> None:
    put(client, incident())
    bookmark = client.bookmarks.create_or_update(
        bookmark_id="b-1",
        bookmark=Bookmark(
            display_name="Evidence", query="T | take 1", query_result='{"a": 1}', labels=["x"]
        ),
        **ALL,
    )
    assert (bookmark.display_name, bookmark.query_result) == ("Evidence", '{"a": 1}')
    assert (bookmark.created_by.name, bookmark.labels) == ("app", ["x"])
    relation = client.incident_relations.create_or_update(
        incident_id=GUID,
        relation_name="rel-1",
        relation=Relation(related_resource_id=bookmark.id),
        **ALL,
    )
    assert (relation.related_resource_name, relation.related_resource_type) == (
        "b-1",
        "Microsoft.SecurityInsights/bookmarks",
    )
    assert get(client).additional_data.bookmarks_count == 1
    listed = client.incidents.list_bookmarks(incident_id=GUID, **ALL).value
    assert [(one.kind, one.display_name) for one in listed] == [("Bookmark", "Evidence")]
    assert [one.name for one in client.incident_relations.list(incident_id=GUID, **ALL)] == [
        "rel-1"
    ]
    assert client.incidents.list_alerts(incident_id=GUID, **ALL).value == []
    assert client.incidents.list_entities(incident_id=GUID, **ALL).entities == []
    assert [one.name for one in client.bookmarks.list(**ALL)] == ["b-1"]
    client.bookmarks.delete(bookmark_id="b-1", **ALL)
    assert get(client).additional_data.bookmarks_count == 0


def test_watchlists(client: Any) -> None:
    watchlist = Watchlist(
        display_name="Assets",
        provider="Tidehunt",
        items_search_key="ip",
        source="Local file",
        content_type="text/csv",
        number_of_lines_to_skip=1,
        raw_content='skipped\nip,owner\n10.0.0.5,"a, b"\n10.0.0.6,c\n10.0.0.6,c\n',
    )
    created = client.watchlists.create_or_update(
        watchlist_alias="assets", watchlist=watchlist, **ALL
    )
    assert (created.watchlist_alias, created.upload_status) == ("assets", "Complete")
    assert created.raw_content is None
    assert [one.name for one in client.watchlists.list(**ALL)] == ["assets"]

    def items() -> list[Any]:
        found = client.watchlist_items.list(watchlist_alias="assets", **ALL)
        return sorted((one.items_key_value["ip"], one.items_key_value["owner"]) for one in found)

    assert items() == [("10.0.0.5", "a, b"), ("10.0.0.6", "c")]
    watchlist.raw_content = "skipped\nip,owner\n10.0.0.7,d\n10.0.0.6,c\n"
    client.watchlists.create_or_update(watchlist_alias="assets", watchlist=watchlist, **ALL)
    assert items() == [("10.0.0.5", "a, b"), ("10.0.0.6", "c"), ("10.0.0.7", "d")]

    item = client.watchlist_items.create_or_update(
        watchlist_alias="assets",
        watchlist_item_id=GUID,
        watchlist_item=WatchlistItem(items_key_value={"ip": "10.0.0.8", "owner": "e"}),
        **ALL,
    )
    assert (item.watchlist_item_id, item.watchlist_item_type) == (GUID, "watchlist-item")
    assert len(items()) == 4
    client.watchlist_items.delete(watchlist_alias="assets", watchlist_item_id=GUID, **ALL)
    client.watchlist_items.delete(watchlist_alias="assets", watchlist_item_id=GUID, **ALL)
    client.watchlists.delete(watchlist_alias="assets", **ALL)
    with pytest.raises(ResourceNotFoundError):
        client.watchlists.get(watchlist_alias="assets", **ALL)
    with pytest.raises(ResourceNotFoundError):
        items()


def test_lists_come_in_pages_newest_first(client: Any) -> None:
    for n in range(53):
        put(client, incident(title=f"Beacon {n}"), name=f"incident-{n}")
    pages = [list(page) for page in client.incidents.list(**ALL).by_page()]
    assert [len(page) for page in pages] == [50, 3]
    assert [one.title for page in pages for one in page] == [
        f"Beacon {n}" for n in range(52, -1, -1)
    ]
    assert [len(list(page)) for page in client.incidents.list(top=20, **ALL).by_page()] == [
        *(20, 20),
        13,
    ]
    assert len(list(client.incidents.list(top=1000, **ALL))) == 53
    assert refused(lambda: list(client.incidents.list(top=1001, **ALL)))[0] == 400


def test_filter(client: Any) -> None:
    put(client, incident(title="It's ours"), name="a")
    put(client, incident(severity="High"), name="b")
    put(client, incident(severity="High", status="Active"), name="c")

    def names(text: str) -> list[str]:
        return [one.name for one in client.incidents.list(filter=text, **ALL)]

    assert names("properties/title eq 'It''s ours'") == ["a"]
    assert names("properties/severity eq 'High'") == ["c", "b"]
    assert names("properties/severity eq 'High' and properties/status ne 'New'") == ["c"]
    assert refused(lambda: names("contains(properties/title, 'x')"))[0] == 400


def test_another_workspace_is_not_found(client: Any) -> None:
    status, body = refused(lambda: list(client.incidents.list(**{**ALL, "workspace_name": "x"})))
    assert (status, body["error"]["code"]) == (404, "ResourceNotFound")


def test_a_token_for_another_service_is_refused(address: str) -> None:
    stranger = SecurityInsights(
        Credential(), SUBSCRIPTION, base_url=address, credential_scopes=["https://x/.default"]
    )
    with stranger, pytest.raises(ClientAuthenticationError):
        list(stranger.incidents.list(**ALL))


def test_both_audiences_of_resource_manager(address: str, ends: ExitStack) -> None:
    for scope in (
        "https://management.azure.com/.default",
        "https://management.core.windows.net//.default",
    ):
        client = ends.enter_context(
            SecurityInsights(
                Credential(), SUBSCRIPTION, base_url=address, credential_scopes=[scope]
            )
        )
        assert list(client.incidents.list(**ALL)) == []
