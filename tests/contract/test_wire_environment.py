"""What the storage adapters take from the environment, which they read once."""

from __future__ import annotations

import socket

import pytest

from shared.adapters.storage import AdlsResultLake, BlobLedger, blob_client, lake_client
from shared.errors import Transient
from tests.contract.calls import FixedToken
from tests.contract.scripted_server import Answer, Script

SECONDS = 2.0
FOUND = Answer(206, b"{}", {"ETag": '"0x1"', "Content-Range": "bytes 0-1/2"})


def _ledger(url: str) -> BlobLedger:
    container = blob_client(url, FixedToken(), SECONDS).get_container_client("ledger")
    return BlobLedger(container, SECONDS)


def _results(url: str) -> AdlsResultLake:
    container = blob_client(url, FixedToken(), SECONDS).get_container_client("results")
    files = lake_client(url, FixedToken(), SECONDS).get_file_system_client("results")
    return AdlsResultLake(files, container, SECONDS)


def test_a_proxy_and_its_exceptions_are_the_environments(
    server: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.play(FOUND)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{nobody.getsockname()[1]}")
        with pytest.raises(Transient):
            _ledger(server.url).read("a.json")
        with pytest.raises(Transient):
            _results(server.url).read("a.json", 9)
        assert server.arrived == []
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert _ledger(server.url).read("a.json") is not None
        assert _results(server.url).read("a.json", 9) == b"{}"


def test_an_authority_is_the_environments(server: Script, monkeypatch: pytest.MonkeyPatch) -> None:
    server.play(FOUND)
    before = _ledger(server.url)
    monkeypatch.delenv("REQUESTS_CA_BUNDLE")
    with pytest.raises(Transient):
        _ledger(server.url).read("a.json")
    assert server.arrived == []
    assert before.read("a.json") is not None
