"""Each kind of fault over a real connection; a fault test ends with nothing pending."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from workbench.emulators.faults import ANY, Fault, FaultMiddleware, Faults, Kind, route_names
from workbench.emulators.server import Server, Site
from workbench.emulators.tls import certificate

PUT = "PUT /items/{name}"
ANSWER = "stored " * 100


class Shelf:
    """A small service with an effect: it remembers what was put."""

    def __init__(self) -> None:
        self.items: list[str] = []
        self.faults = Faults()
        routes = [Route("/items/{name}", self._put, methods=["PUT"])]
        self.app = FaultMiddleware(Starlette(routes=routes), self.faults, route_names(routes))

    async def _put(self, request: Request) -> Response:
        await request.body()
        self.items.append(request.path_params["name"])
        return PlainTextResponse(ANSWER)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shelf, str, str]]:
    shelf, folder = Shelf(), tmp_path_factory.mktemp("tls")
    kept = certificate(folder / "tls")
    sites = [Site("plain", shelf.app, tls=False), Site("sealed", shelf.app)]
    server = Server(sites, kept)
    addresses = server.start()
    yield shelf, addresses["plain"], addresses["sealed"]
    server.stop()


@pytest.fixture
def shelf(served: tuple[Shelf, str, str]) -> Iterator[Shelf]:
    shelf = served[0]
    shelf.items.clear()
    yield shelf
    assert shelf.faults.pending() == {}


@pytest.fixture(params=["plain", "sealed"])
def client(
    request: pytest.FixtureRequest, served: tuple[Shelf, str, str], tmp_path_factory: object
) -> Iterator[httpx.Client]:
    address = served[1] if request.param == "plain" else served[2]
    # Trust is tested elsewhere; here the connection matters.
    with httpx.Client(base_url=address, verify=False, trust_env=False, timeout=5) as client:  # noqa: S501
        yield client


def test_without_an_instruction_nothing_happens(shelf: Shelf, client: httpx.Client) -> None:
    assert client.put("/items/a").text == ANSWER
    assert shelf.items == ["a"]


def test_before_has_no_effect(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("before", 503, code="ServerBusy"))
    answer = client.put("/items/a", content=b"x" * 3_000_000)
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (503, "ServerBusy")
    assert shelf.items == []


def test_after_keeps_the_effect(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("after", 500))
    answer = client.put("/items/a")
    assert (answer.status_code, answer.text) == (500, "")
    assert shelf.items == ["a"]


@pytest.mark.parametrize("seconds", [None, 7])
def test_too_many_requests(shelf: Shelf, client: httpx.Client, seconds: int | None) -> None:
    shelf.faults.add(PUT, Fault("before", 429, retry_after=seconds))
    answer = client.put("/items/a")
    expected = None if seconds is None else "7"
    assert (answer.status_code, answer.headers.get("retry-after")) == (429, expected)


def test_unheard_has_no_effect_and_no_answer(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("unheard"))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.put("/items/a")
    assert shelf.items == []


def test_lost_keeps_the_effect_and_answers_nothing(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("lost"))
    with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
        client.put("/items/a")
    assert shelf.items == ["a"]


def test_reset_breaks_off_in_the_body(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("reset"))
    with client.stream("PUT", "/items/a") as answer:
        assert answer.status_code == 200
        got = b""
        with pytest.raises((httpx.RemoteProtocolError, httpx.ReadError)):
            for chunk in answer.iter_raw():
                got += chunk
    assert got == ANSWER.encode()[: len(ANSWER) // 2]
    assert shelf.items == ["a"]


def test_slow_has_its_effect_before_the_caller_gives_up(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("slow", seconds=1.5))
    with pytest.raises(httpx.ReadTimeout):
        client.put("/items/a", timeout=0.75)
    assert shelf.items == ["a"]


def test_late_has_its_effect_after_the_caller_gave_up(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("late", seconds=1.0))
    with pytest.raises(httpx.ReadTimeout):
        client.put("/items/a", timeout=0.2)
    assert shelf.items == []
    deadline = time.monotonic() + 5
    while not shelf.items and time.monotonic() < deadline:
        time.sleep(0.02)
    assert shelf.items == ["a"]


def test_instructions_fire_in_order_and_once(shelf: Shelf, client: httpx.Client) -> None:
    shelf.faults.add(PUT, Fault("before", 500), Fault("before", 429))
    shelf.faults.add("PUT /elsewhere", Fault("before", 500))
    assert [client.put("/items/a").status_code for _ in range(3)] == [500, 429, 200]
    assert shelf.faults.pending() == {"PUT /elsewhere": [Fault("before", 500)]}
    shelf.faults.clear()


def test_the_server_stops_at_once_under_open_connections(tmp_path: Path) -> None:
    shelf = Shelf()
    server = Server([Site("a", shelf.app), Site("b", shelf.app, tls=False)], certificate(tmp_path))
    addresses = server.start()
    clients = [httpx.Client(verify=False, trust_env=False) for _ in range(8)]  # noqa: S501
    for number, client in enumerate(clients):
        assert client.put(f"{addresses['ab'[number % 2]]}/items/x").status_code == 200
    started = time.monotonic()
    server.stop()
    assert time.monotonic() - started < 1.5
    for client in clients:
        client.close()


def test_any_route_meets_what_is_meant_for_none_and_something_else_happens_too(
    shelf: Shelf, client: httpx.Client
) -> None:
    then: list[list[str]] = []
    kinds: tuple[Kind, ...] = ("before", "after")
    for kind in kinds:
        act = Fault(kind, 500, also=lambda: then.append(list(shelf.items)))
        shelf.faults.add(ANY, None, act)
    assert [client.put(f"/items/{name}").status_code for name in "abcd"] == [200, 500, 200, 500]
    assert then == [["a"], ["a", "c", "d"]]
