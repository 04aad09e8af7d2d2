"""`ports.Ledger`: small JSON documents with conditional writes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.adapters.storage import LISTED_AT_ONCE, BlobLedger, blob_client
from shared.errors import BadInput, Conflict, OutcomeUnknown
from shared.ports import Ledger
from tests.contract.conftest import CALL_SECONDS
from tests.memory.storage import MemoryLedger
from tests.memory.wire import Wire
from workbench.cloud import LocalCloud
from workbench.emulators.faults import Fault, Faults


@dataclass(frozen=True)
class Bench:
    """A ledger, a folder of it that is this test's own, and a way past the port."""

    ledger: Ledger
    root: str
    plant: Callable[[str, bytes], None]

    def at(self, name: str) -> str:
        return f"{self.root}/{name}"

    def names(self, folder: str = "") -> list[str]:
        prefix = f"{self.root}/{folder}" if folder else self.root
        return [entry.path.removeprefix(f"{self.root}/") for entry in self.ledger.list(prefix)]


def memory() -> Bench:
    ledger = MemoryLedger(Wire(clock=lambda: datetime.now(UTC)))
    return Bench(ledger, "t", ledger.plant)


def emulator(cloud: LocalCloud, credential: Any) -> Bench:
    service = blob_client(cloud.addresses["state"], credential, CALL_SECONDS)
    folder = cloud.lake("state") / "ledger"
    ledger = BlobLedger(service.get_container_client("ledger"), CALL_SECONDS)
    return Bench(ledger, f"t{uuid.uuid4().hex[:12]}", lambda p, c: _write(folder / p, c))


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)


@pytest.fixture
def bench(backend: str, request: pytest.FixtureRequest) -> Bench:
    if backend == "memory":
        return memory()
    return emulator(request.getfixturevalue("cloud"), request.getfixturevalue("credential"))


def test_what_is_written_is_read(bench: Bench) -> None:
    assert bench.ledger.read(bench.at("a.json")) is None
    etag = bench.ledger.create(bench.at("a.json"), {"n": 1, "deep": {"list": [1, None, "é"]}})
    found = bench.ledger.read(bench.at("a.json"))
    assert found is not None
    assert found.body == {"n": 1, "deep": {"list": [1, None, "é"]}}
    assert found.etag == etag


def test_one_document_is_created_once(bench: Bench) -> None:
    bench.ledger.create(bench.at("a.json"), {"n": 1})
    with pytest.raises(Conflict):
        bench.ledger.create(bench.at("a.json"), {"n": 2})
    found = bench.ledger.read(bench.at("a.json"))
    assert found is not None
    assert found.body == {"n": 1}


def test_only_the_version_that_was_read_is_replaced(bench: Bench) -> None:
    first = bench.ledger.create(bench.at("a.json"), {"n": 1})
    second = bench.ledger.replace(bench.at("a.json"), {"n": 2}, first)
    assert second != first
    with pytest.raises(Conflict):
        bench.ledger.replace(bench.at("a.json"), {"n": 3}, first)
    assert bench.ledger.replace(bench.at("a.json"), {"n": 4}, second) not in (first, second)
    found = bench.ledger.read(bench.at("a.json"))
    assert found is not None
    assert found.body == {"n": 4}


def test_the_same_content_again_is_another_version(bench: Bench) -> None:
    first = bench.ledger.create(bench.at("a.json"), {"n": 1})
    assert bench.ledger.replace(bench.at("a.json"), {"n": 1}, first) != first
    with pytest.raises(Conflict):
        bench.ledger.replace(bench.at("a.json"), {"n": 1}, first)


def test_a_deleted_document_is_not_replaced(bench: Bench) -> None:
    etag = bench.ledger.create(bench.at("a.json"), {"n": 1})
    bench.ledger.delete(bench.at("a.json"))
    with pytest.raises(Conflict):
        bench.ledger.replace(bench.at("a.json"), {"n": 2}, etag)
    assert bench.ledger.read(bench.at("a.json")) is None
    bench.ledger.create(bench.at("a.json"), {"n": 3})


def test_put_writes_whatever_is_there(bench: Bench) -> None:
    first = bench.ledger.put(bench.at("mark"), {"n": 1})
    second = bench.ledger.put(bench.at("mark"), {"n": 1})
    assert first != second
    with pytest.raises(Conflict):
        bench.ledger.delete(bench.at("mark"), first)
    bench.ledger.delete(bench.at("mark"), second)
    assert bench.ledger.read(bench.at("mark")) is None


def test_deleting_nothing_is_fine(bench: Bench) -> None:
    bench.ledger.delete(bench.at("a.json"))
    etag = bench.ledger.create(bench.at("a.json"), {})
    bench.ledger.delete(bench.at("a.json"), etag)
    bench.ledger.delete(bench.at("a.json"), etag)
    assert bench.names() == []


def test_a_listing_is_in_path_order_and_below_its_folder(bench: Bench) -> None:
    for name in ("a/c.json", "a-b/x.json", "a/b/z", "a/b-z.json", "ab.json", "z/a/a/a"):
        bench.ledger.put(bench.at(name), {})
    assert bench.names("a") == ["a/b-z.json", "a/b/z", "a/c.json"]
    assert bench.names("a/") == bench.names("a")
    assert bench.names("z") == ["z/a/a/a"]
    assert bench.names() == sorted(bench.names())
    assert bench.names("nothing") == []
    assert len(bench.names()) == 6


def test_a_listing_of_more_than_a_page_is_whole_and_in_path_order(bench: Bench) -> None:
    names = [f"{folder}/{n:04}.json" for folder in ("a", "a-b") for n in range(LISTED_AT_ONCE)]
    for name in names:
        bench.plant(bench.at(name), b"{}")
    assert bench.names() == sorted(names)
    assert bench.names("a") == names[:LISTED_AT_ONCE]


def test_a_listing_tells_versions_and_times(bench: Bench) -> None:
    etag = bench.ledger.put(bench.at("a.json"), {"n": 1})
    (entry,) = bench.ledger.list(bench.root)
    assert entry.path == bench.at("a.json")
    assert abs(entry.modified - datetime.now(UTC)) < timedelta(minutes=1)
    assert entry.etag == etag
    bench.ledger.delete(entry.path, entry.etag)
    assert bench.names() == []


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"7", b'"x"', b"\xff\xfe", b"null"])
def test_a_document_that_is_no_object_is_bad_input(bench: Bench, content: bytes) -> None:
    bench.plant(bench.at("a.json"), content)
    with pytest.raises(BadInput, match=bench.root):
        bench.ledger.read(bench.at("a.json"))
    with pytest.raises(Conflict):
        bench.ledger.create(bench.at("a.json"), {})


def test_what_json_cannot_say_is_not_written(bench: Bench) -> None:
    for body in ({"n": float("nan")}, {"n": float("inf")}, {"n": {1, 2}}, {"n": b"x"}):
        with pytest.raises(BadInput):
            bench.ledger.put(bench.at("a.json"), body)
    assert bench.names() == []


def test_the_nonce_is_not_ours_to_see(bench: Bench) -> None:
    bench.ledger.put(bench.at("a.json"), {"n": 1, "nonce": "mine"})
    found = bench.ledger.read(bench.at("a.json"))
    assert found is not None
    assert found.body == {"n": 1}


def test_a_document_is_nobody_s_reference(bench: Bench) -> None:
    body: dict[str, Any] = {"list": [1]}
    bench.ledger.put(bench.at("a.json"), body)
    body["list"].append(2)
    found = bench.ledger.read(bench.at("a.json"))
    assert found is not None
    found.body["list"].append(3)
    again = bench.ledger.read(bench.at("a.json"))
    assert again is not None
    assert again.body == {"list": [1]}


@pytest.mark.parametrize("name", ["../x", "a/../../b", "a//b", "a\\b", "a\x00b", "."])
def test_a_path_stays_inside(bench: Bench, name: str) -> None:
    for call in (
        lambda: bench.ledger.read(bench.at(name)),
        lambda: bench.ledger.put(bench.at(name), {}),
        lambda: bench.ledger.delete(bench.at(name)),
        lambda: list(bench.ledger.list(bench.at(name))),
    ):
        with pytest.raises(BadInput):
            call()


@pytest.mark.parametrize("name", ["é ü/ß", "a b", "a%2e%2e", "a+b", "a?b=c", "a#b", "a&b;c='\""])
def test_odd_names_are_names(bench: Bench, name: str) -> None:
    etag = bench.ledger.create(bench.at(name), {"n": 1})
    assert bench.names() == [name]
    found = bench.ledger.read(bench.at(name))
    assert found is not None
    assert found.etag == etag
    bench.ledger.delete(bench.at(name), etag)
    assert bench.names() == []


NAMES = st.sampled_from(["a.json", "b/c.json", "b/d"])
TEXT = st.text(max_size=6)
BODIES = st.dictionaries(TEXT, st.none() | st.integers() | TEXT | st.lists(TEXT), max_size=3)
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["read", "create", "replace", "stale", "put", "delete", "list"]),
        NAMES,
        BODIES,
    ),
    max_size=12,
)


def _outcome(bench: Bench, versions: dict[str, list[str]], step: tuple[str, str, Any]) -> object:
    """What a step answers, in words that are the same for every ledger."""
    action, name, body = step
    known = versions.setdefault(name, ["no such version"])
    try:
        if action == "read":
            found = bench.ledger.read(bench.at(name))
            return found and (found.body, known.index(found.etag))
        if action == "list":
            listed = list(bench.ledger.list(bench.root))
            names = [entry.path.removeprefix(f"{bench.root}/") for entry in listed]
            return [(n, versions[n].index(e.etag)) for n, e in zip(names, listed, strict=True)]
        if action == "delete":
            bench.ledger.delete(bench.at(name), known[-1] if len(known) > 1 else None)
            return "deleted"
        known.append(_written(bench, action, name, body, known))
    except Conflict:
        return "conflict"
    return len(known)


def _written(bench: Bench, action: str, name: str, body: Any, known: list[str]) -> str:
    if action == "create":
        return bench.ledger.create(bench.at(name), body)
    if action == "put":
        return bench.ledger.put(bench.at(name), body)
    read = known[-1] if action == "replace" else known[0]
    return bench.ledger.replace(bench.at(name), body, read)


@settings(
    max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(STEPS)
def test_both_ledgers_tell_the_same_story(
    cloud: LocalCloud, credential: Any, steps: list[tuple[str, str, Any]]
) -> None:
    stories = []
    for bench in (memory(), emulator(cloud, credential)):
        versions: dict[str, list[str]] = {}
        stories.append([_outcome(bench, versions, step) for step in steps])
    assert stories[0] == stories[1]


@pytest.mark.parametrize(
    "fault",
    [
        Fault("before", 503),
        Fault("before", 500),
        Fault("after", 503),
        Fault("after", 500),
        Fault("lost"),
        Fault("reset"),
    ],
    ids=lambda fault: f"{fault.kind}-{fault.status}",
)
def test_a_write_survives_one_fault_of_the_wire(
    cloud: LocalCloud, credential: Any, faults: Faults, fault: Fault
) -> None:
    """Effect kept, answer lost: the second attempt meets its own first one, and says success."""
    bench = emulator(cloud, credential)
    faults.add("state.PutBlob", fault)
    first = bench.ledger.create(bench.at("a.json"), {"n": 1})
    faults.add("state.PutBlob", fault)
    second = bench.ledger.replace(bench.at("a.json"), {"n": 2}, first)
    faults.add("state.GetBlob", fault)
    found = bench.ledger.read(bench.at("a.json"))
    assert found is not None
    assert (found.body, found.etag) == ({"n": 2}, second)
    faults.add("state.DeleteBlob", fault)
    bench.ledger.delete(bench.at("a.json"), second)
    faults.add("state.ListBlobs", fault)
    assert bench.names() == []


def test_a_write_of_somebody_else_is_never_taken_for_ours(
    cloud: LocalCloud, credential: Any, faults: Faults
) -> None:
    bench = emulator(cloud, credential)
    first = bench.ledger.create(bench.at("a.json"), {"n": 1})
    bench.ledger.put(bench.at("a.json"), {"n": 2})
    faults.add("state.PutBlob", Fault("lost"))
    with pytest.raises(Conflict):
        bench.ledger.replace(bench.at("a.json"), {"n": 3}, first)


@pytest.mark.parametrize(("phase", "kept"), [("before", []), ("after", ["a.json"])])
def test_the_ledger_in_memory_loses_requests_and_answers_on_demand(
    phase: str, kept: list[str]
) -> None:
    def lose(when: str, operation: str, _path: str) -> None:
        if (when, operation) == (phase, "ledger.create"):
            raise OutcomeUnknown("lost")

    ledger = MemoryLedger(Wire(hook=lose))
    with pytest.raises(OutcomeUnknown):
        ledger.create("a.json", {"n": 1})
    assert [entry.path for entry in ledger.list("")] == kept
