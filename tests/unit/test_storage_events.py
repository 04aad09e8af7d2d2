"""An event is anybody's claim: what parses is safe to use, everything else is None."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from azure.functions import meta
from azure.functions.eventgrid import EventGridEventInConverter
from hypothesis import given
from hypothesis import strategies as st

from shared.adapters.eventgrid import payload_of, storage_event
from shared.contract import parse_manifest_path
from shared.model import StorageEvent

PATH = "jobs/job-20260101000000-0123abcd/runs/20260101-beaconing-0f/manifest.json"
DATA = {
    "api": "FlushWithClose",
    "clientRequestId": "c",
    "requestId": "r",
    "eTag": "0x8DC1",
    "contentType": "application/octet-stream",
    "contentLength": 1234,
    "contentOffset": 0,
    "blobType": "BlockBlob",
    "url": f"https://TidehuntState.dfs.core.windows.net:443/results/{PATH}",
    "sequencer": "00000000000000010000000000000002000000000000001d",
    "storageDiagnostics": {"batchId": "b"},
}
SUBJECT = f"/blobServices/default/containers/results/blobs/{PATH}"
CLOUD = {
    "specversion": "1.0",
    "id": "831e1650-001e-001b-66ab-eeb76e069631",
    "source": "/subscriptions/s/resourceGroups/g/providers/Microsoft.Storage/storageAccounts/a",
    "type": "Microsoft.Storage.BlobCreated",
    "subject": SUBJECT,
    "time": "2026-01-01T00:00:00.1234567Z",
    "data": DATA,
}
GRID = {
    "id": CLOUD["id"],
    "topic": CLOUD["source"],
    "subject": SUBJECT,
    "eventType": CLOUD["type"],
    "eventTime": CLOUD["time"],
    "data": DATA,
    "dataVersion": "",
    "metadataVersion": "1",
}
EXPECTED = StorageEvent(
    id="831e1650-001e-001b-66ab-eeb76e069631",
    kind="Microsoft.Storage.BlobCreated",
    container="results",
    path=PATH,
    api="FlushWithClose",
    content_length=1234,
    url_host="tidehuntstate.dfs.core.windows.net",
    etag="0x8DC1",
    sequencer="00000000000000010000000000000002000000000000001d",
)


def with_subject(subject: Any) -> list[dict[str, Any]]:
    return [{**CLOUD, "subject": subject}, {**GRID, "subject": subject}]


def with_path(path: str) -> list[dict[str, Any]]:
    return with_subject(f"/blobServices/default/containers/results/blobs/{path}")


@pytest.mark.parametrize("payload", [CLOUD, GRID], ids=["CloudEvents", "Event Grid"])
def test_both_schemas_say_the_same(payload: dict[str, Any]) -> None:
    assert storage_event(copy.deepcopy(payload)) == EXPECTED
    assert parse_manifest_path(EXPECTED.path)


@pytest.mark.parametrize("payload", [CLOUD, GRID], ids=["CloudEvents", "Event Grid"])
def test_what_the_host_makes_of_an_event_comes_back(payload: dict[str, Any]) -> None:
    datum = meta.Datum(json.dumps(payload), "json")
    event = EventGridEventInConverter.decode(datum, trigger_metadata=None)
    assert storage_event(payload_of(event)) == EXPECTED


def test_an_event_without_what_may_lack() -> None:
    data = {"api": "RenameFile", "destinationUrl": "https://a.dfs.core.windows.net/c/x"}
    renamed = {**CLOUD, "type": "Microsoft.Storage.BlobRenamed", "data": data}
    event = storage_event(renamed)
    assert event is not None
    assert (event.content_length, event.url_host, event.etag, event.sequencer) == (0, "", "", "")


@pytest.mark.parametrize(
    "path",
    [
        "../ledger/turn.json",
        "a/../../ledger/turn.json",
        "a/..",
        "./a",
        "a/./b",
        "a//b",
        "/a",
        "a/",
        "a\\b",
        "..\\ledger",
        "a\x00b",
        "a\nb",
        "a\x7fb",
        "a\x85b",
        "a\u202eb",
        "a\ud800b",
        "%2e%2e/ledger/turn.json",
        "%2E%2E%2Fledger",
        "a%2fb",
        "a%5cb",
        "a%00b",
        "a%0Ab",
        "%252e%252e/ledger",
        "%25252e",
        "a%b",
        "a%",
        "%ff",
        "%c0%ae%c0%ae/ledger",
        "\uff0e\uff0e/ledger",
        "\u2024\u2024/ledger",
        "\u2025/ledger",
        "\u2026",
        "a\uff0f\uff0e\uff0e\uff0fb",
        "a\uff3cb",
        "a" * 1025,
        "",
    ],
)
def test_a_path_that_could_lead_elsewhere_is_no_event(path: str) -> None:
    assert [storage_event(payload) for payload in with_path(path)] == [None, None]


@pytest.mark.parametrize(
    ("written", "path"),
    [
        ("caf%C3%A9/x.json", "café/x.json"),
        ("café/x.json", "café/x.json"),
        ("WorkspaceResourceId=/subscriptions/s/y=2026/m=01/PT05M.json",) * 2,
        ("a%20b.json", "a b.json"),
        (".hidden", ".hidden"),
        ("x.y.z", "x.y.z"),
    ],
)
def test_a_path_is_decoded_once(written: str, path: str) -> None:
    events = [storage_event(payload) for payload in with_path(written)]
    assert [event and event.path for event in events] == [path, path]


@pytest.mark.parametrize(
    "subject",
    [
        None,
        7,
        "",
        "/blobServices/default/containers/results",
        "/blobServices/default/containers//blobs/a",
        "/blobServices/default/containers/../blobs/a",
        "/blobServices/default/containers/a/b/blobs/../a",
        "/blobServices/other/containers/results/blobs/a",
        "x/blobServices/default/containers/results/blobs/a",
        "/tableServices/default/containers/results/blobs/a",
    ],
)
def test_another_subject_is_no_event(subject: Any) -> None:
    assert [storage_event(payload) for payload in with_subject(subject)] == [None, None]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("contentLength", "7"),
        ("contentLength", -1),
        ("contentLength", True),
        ("contentLength", 1.5),
        ("contentLength", 2**70),
        ("contentLength", None),
        ("url", 7),
        ("url", "file:///etc/passwd"),
        ("url", "https://["),
        ("url", "javascript:alert(1)"),
        ("api", ["FlushWithClose"]),
        ("eTag", {}),
        ("sequencer", 1),
    ],
)
def test_a_field_of_another_type_is_no_event(field: str, value: Any) -> None:
    data = {**DATA, field: value}
    assert storage_event({**CLOUD, "data": data}) is None
    assert storage_event({**GRID, "data": data}) is None


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://a.dfs.core.windows.net@evil.example/x", "evil.example"),
        ("https://a.dfs.core.windows.net.evil.example/x", "a.dfs.core.windows.net.evil.example"),
        ("https://A.DFS.core.windows.net/x", "a.dfs.core.windows.net"),
        ("https://127.0.0.1:10443/results/x", "127.0.0.1"),
        ("https:evil", ""),
    ],
)
def test_the_host_is_parsed_not_searched_for(url: str, host: str) -> None:
    event = storage_event({**CLOUD, "data": {**DATA, "url": url}})
    assert event is not None
    assert event.url_host == host


@pytest.mark.parametrize("kind", ["", None, 7, "Tidehunt.RunEnded", "microsoft.storage.x", "X"])
def test_events_of_others_are_none(kind: Any) -> None:
    assert storage_event({**CLOUD, "type": kind}) is None
    assert storage_event({**GRID, "eventType": kind}) is None


@pytest.mark.parametrize("missing", ["id", "type", "subject", "data", "source"])
def test_a_cloud_event_lacks_nothing(missing: str) -> None:
    assert storage_event({k: v for k, v in CLOUD.items() if k != missing}) is None


@pytest.mark.parametrize("missing", ["id", "eventType", "subject", "data"])
def test_an_event_grid_event_lacks_nothing(missing: str) -> None:
    assert storage_event({k: v for k, v in GRID.items() if k != missing}) is None


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
MUTATED = st.builds(
    lambda base, name, value: {**base, name: value},
    st.sampled_from([CLOUD, GRID]),
    st.sampled_from(sorted({*CLOUD, *GRID, "data_base64", "dataschema", "x"})),
    JSON,
)
MUTATED_DATA = st.builds(
    lambda base, name, value: {**base, "data": {**DATA, name: value}},
    st.sampled_from([CLOUD, GRID]),
    st.sampled_from(sorted(DATA)),
    JSON,
)
MUTATED_PATH = st.builds(
    lambda base, path: {**base, "subject": f"/blobServices/default/containers/c-c/blobs/{path}"},
    st.sampled_from([CLOUD, GRID]),
    st.text(st.sampled_from("./\\%2ef5cC\x00\uff0e\u2025ab=") | st.characters(), max_size=30),
)


@given(JSON | MUTATED | MUTATED_DATA | MUTATED_PATH)
def test_anything_is_an_event_or_none(payload: Any) -> None:
    event = storage_event(payload)
    if event is None:
        return
    assert isinstance(event, StorageEvent)
    parts = event.path.split("/")
    assert not {"", ".", ".."} & set(parts)
    assert "\\" not in event.path
    assert event.path.isprintable() or " " in event.path or not event.path.isascii()
    assert event.url_host == event.url_host.lower()
    assert event.content_length >= 0
    event.path.encode()
