"""Who may do what in the storage emulator, and that no path leads out of an account."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import ContainerClient

from tests.system import lake
from tests.system.lake import raw
from workbench.cloud import LocalCloud


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path_factory.mktemp("home")) as cloud:
        yield cloud


@pytest.fixture(autouse=True)
def empty(cloud: LocalCloud) -> Iterator[None]:
    """Leave no test's blobs to the next one."""
    yield
    lake.empty(cloud)


@pytest.fixture
def ledger(cloud: LocalCloud) -> ContainerClient:
    return lake.blobs(cloud).get_container_client("ledger")


@pytest.mark.parametrize(
    ("principal", "account", "container", "may"),
    [
        ("app", "exports", "am-commonsecuritylog", "read"),
        ("app", "state", "ledger", "write"),
        ("app", "state", "results", "write"),
        ("app", "state", "code", "read"),
        ("app", "state", "tables", ""),
        ("spark", "exports", "am-commonsecuritylog", "read"),
        ("spark", "state", "results", "write"),
        ("spark", "state", "ledger", ""),
        ("deployer", "state", "code", "write"),
        ("deployer", "state", "results", ""),
        ("deployer", "exports", "am-commonsecuritylog", ""),
        ("operator", "exports", "am-commonsecuritylog", "read"),
        ("operator", "state", "ledger", "read"),
    ],
)
def test_roles(cloud: LocalCloud, principal: str, account: str, container: str, may: str) -> None:
    folder = cloud.lake(account) / container
    folder.mkdir(exist_ok=True)
    (folder / "x.json").write_bytes(b"{}")
    read = raw(cloud, "GET", f"/{container}/x.json", principal=principal, account=account)
    options = {
        "principal": principal,
        "account": account,
        "headers": {"x-ms-blob-type": "BlockBlob"},
    }
    write = raw(cloud, "PUT", f"/{container}/x.json", **options)
    assert read.status_code == (200 if may else 403)
    assert write.status_code == (201 if may == "write" else 403)
    if may != "write":
        assert write.headers["x-ms-error-code"] == "AuthorizationPermissionMismatch"
        assert "<Code>AuthorizationPermissionMismatch</Code>" in write.text


def test_listing_containers_needs_a_role_on_the_account(cloud: LocalCloud) -> None:
    assert raw(cloud, "GET", "/?comp=list", account="exports").status_code == 200
    assert raw(cloud, "GET", "/?comp=list", account="state").status_code == 403
    assert raw(cloud, "GET", "/?comp=list", principal="operator").status_code == 200


def test_requests_without_a_valid_token(cloud: LocalCloud) -> None:
    answer = raw(cloud, "GET", "/ledger/x.json", principal=None)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer authorization_uri=")
    wrong = {"authorization": f"Bearer {cloud.token('app', 'https://monitor.azure.com')}"}
    answer = raw(cloud, "GET", "/ledger/x.json", principal=None, headers=wrong)
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (
        401,
        "InvalidAuthenticationInfo",
    )


@pytest.mark.parametrize("version", ["", "2017-07-29", "2099-01-01", "latest"])
def test_versions_that_were_never_served(cloud: LocalCloud, version: str) -> None:
    answer = raw(cloud, "GET", "/ledger/x.json", headers={"x-ms-version": version})
    code = "InvalidHeaderValue" if version else "MissingRequiredHeader"
    assert (answer.status_code, answer.headers["x-ms-error-code"]) == (400, code)


def test_answers_carry_the_services_headers(cloud: LocalCloud) -> None:
    answer = raw(cloud, "GET", "/ledger/none", headers={"x-ms-client-request-id": "mine"})
    assert answer.status_code == 404
    for header in ("date", "x-ms-request-id", "x-ms-version", "x-ms-error-code"):
        assert answer.headers[header]
    assert answer.headers["x-ms-client-request-id"] == "mine"


@pytest.mark.parametrize(
    "path",
    [
        "/../ledger/x.json",
        "/results/../ledger/x.json",
        "/results/%2e%2e/ledger/x.json",
        "/results/%252e%252e/ledger/x.json",
        "/results/..%2fledger/x.json",
        "/results/%2E./ledger/x.json",
        "/results/./x.json",
        "/results//x.json",
        "/results/..%5cledger%5cx.json",
        "/results/a%00b",
        "/results/a%0ab",
        "/results/%ff%fe",
        "/results/%ed%a0%80",
        "/%2e%2e/emulators/identity.json",
        "//emulators/identity.json",
        "/results/" + "a" * 300,
    ],
)
def test_no_path_leads_out(cloud: LocalCloud, path: str) -> None:
    """Sent through a socket: clients clean such paths up."""
    for method in ("GET", "PUT", "DELETE", "HEAD"):
        with lake.sealed(cloud) as connection:
            connection.sendall(lake.head(cloud, method, path, 0))
            assert int(connection.recv(64).split()[1]) in (400, 403, 404)
    assert (cloud.home / "emulators" / "identity.json").exists()


def test_a_symbolic_link_leads_nowhere(cloud: LocalCloud, tmp_path: Path) -> None:
    (tmp_path / "secret.json").write_bytes(b"{}")
    link = cloud.lake("state") / "results" / "link"
    link.symlink_to(tmp_path)
    try:
        assert raw(cloud, "GET", "/results/link/secret.json").status_code == 404
        headers = {"x-ms-blob-type": "BlockBlob"}
        assert raw(cloud, "PUT", "/results/link/new", headers=headers).status_code == 404
        listed = raw(cloud, "GET", "/results?resource=filesystem&recursive=true").json()["paths"]
        assert "link" not in {item["name"] for item in listed}
        assert not (tmp_path / "new").exists()
    finally:
        link.unlink()


def test_nothing_temporary_is_listed_or_left(cloud: LocalCloud, ledger: ContainerClient) -> None:
    ledger.get_blob_client("a.json").stage_block("b1", b"123")
    assert list(ledger.list_blobs()) == []
    ledger.upload_blob("a.json", b"{}")
    staging = cloud.home / "emulators" / "staging" / "state"
    assert list(staging.iterdir()) == []


def _drafts_become(cloud: LocalCloud, count: int) -> bool:
    """True once so many uploads are under way; False when that does not come within 5 s."""
    staging = cloud.home / "emulators" / "staging" / "state"
    deadline = time.monotonic() + 5
    while len(list(staging.glob("draft-*"))) != count:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def test_a_killed_upload_leaves_nothing(cloud: LocalCloud, ledger: ContainerClient) -> None:
    with lake.sealed(cloud) as connection:
        connection.sendall(lake.head(cloud, "PUT", "/ledger/half.json", 1_000_000) + b"x" * 400_000)
        assert _drafts_become(cloud, 1)  # the upload has begun: only now is it killed
    assert _drafts_become(cloud, 0)
    assert not ledger.get_blob_client("half.json").exists()
