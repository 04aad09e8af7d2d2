"""Who a caller is: the managed identity endpoint, tokens, certificates, ports, the home's lock."""

from __future__ import annotations

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import jwt
import pytest
import trustme
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import DefaultAzureCredential
from starlette.requests import Request

from shared.errors import BadInput
from workbench.cloud import LocalCloud
from workbench.emulators.identity import Identity
from workbench.emulators.tls import certificate

STORAGE = "https://storage.azure.com"
AZURE_VARIABLES = ("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "MSI_ENDPOINT")


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    with LocalCloud(tmp_path_factory.mktemp("home")) as cloud:
        yield cloud


def _request(token: str, scheme: str = "Bearer") -> Request:
    headers = [(b"authorization", f"{scheme} {token}".encode())]
    return Request({"type": "http", "method": "GET", "headers": headers})


def _become(principal: str, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in AZURE_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    for name, value in cloud.identity_settings(principal).items():
        monkeypatch.setenv(name, value)


@pytest.mark.parametrize("principal", ["app", "spark", "deployer", "operator"])
def test_the_production_credential_becomes_a_principal(
    principal: str, cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch
) -> None:
    _become(principal, cloud, monkeypatch)
    with DefaultAzureCredential() as credential:
        token = credential.get_token(f"{STORAGE}/.default")
    assert cloud.identity.caller(_request(token.token), STORAGE) == principal
    assert cloud.identity.caller(_request(token.token), f"{STORAGE}/") == principal
    assert cloud.identity.caller(_request(token.token), "https://monitor.azure.com") is None
    assert token.expires_on > time.time() + 3600


def test_the_app_process_gets_it_by_its_environment_alone(cloud: LocalCloud) -> None:
    program = (
        "from azure.identity import DefaultAzureCredential\n"
        "from azure.storage.blob import BlobServiceClient\n"
        "import os\n"
        "service = BlobServiceClient(os.environ['TIDEHUNT_STATE_ENDPOINT'],"
        " DefaultAzureCredential())\n"
        "ledger = service.get_container_client('ledger')\n"
        "ledger.upload_blob('hello.json', b'{}')\n"
        "print(ledger.download_blob('hello.json').readall().decode())\n"
    )
    environment = {"PATH": os.environ["PATH"], **cloud.settings()}
    ran = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ran.stdout, ran.stderr, ran.returncode) == ("{}\n", "", 0)


def test_a_wrong_header_gets_no_token(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    _become("app", cloud, monkeypatch)
    monkeypatch.setenv("IDENTITY_HEADER", "another")
    with (
        DefaultAzureCredential(
            exclude_shared_token_cache_credential=True,
            exclude_cli_credential=True,
            exclude_powershell_credential=True,
            exclude_developer_cli_credential=True,
            exclude_visual_studio_code_credential=True,
            exclude_broker_credential=True,
        ) as credential,
        pytest.raises(ClientAuthenticationError),
    ):
        credential.get_token(f"{STORAGE}/.default")


@pytest.mark.parametrize(
    ("header", "query", "status"),
    [
        ("", "api-version=2019-08-01&resource=https://storage.azure.com", 401),
        ("é", "api-version=2019-08-01&resource=https://storage.azure.com", 401),
        ("own", "api-version=2018-02-01&resource=https://storage.azure.com", 400),
        ("own", "resource=https://storage.azure.com", 400),
        ("own", "api-version=2019-08-01", 400),
        ("own", "api-version=2019-08-01&resource=https://storage.azure.com", 200),
    ],
)
def test_the_endpoint_refuses(cloud: LocalCloud, header: str, query: str, status: int) -> None:
    secret = cloud.identity.headers["app"] if header == "own" else header
    url = f"{cloud.identity_settings('app')['IDENTITY_ENDPOINT']}?{query}"
    answer = httpx.get(url, headers=[(b"X-IDENTITY-HEADER", secret.encode())], trust_env=False)
    assert answer.status_code == status
    assert ("access_token" in answer.json()) == (status == 200)


def test_tokens_that_are_not_ours_are_nobody(tmp_path: Path) -> None:
    ours, theirs = Identity(tmp_path / "a.json"), Identity(tmp_path / "b.json")
    token = ours.token("app", STORAGE)
    assert ours.caller(_request(token), STORAGE) == "app"
    assert ours.caller(_request(theirs.token("app", STORAGE)), STORAGE) is None
    assert ours.caller(_request(token, "Basic"), STORAGE) is None
    assert ours.caller(_request(token[:-2]), STORAGE) is None
    assert ours.caller(Request({"type": "http", "method": "GET", "headers": []}), STORAGE) is None
    unsigned = jwt.encode({"aud": STORAGE, "sub": "app", "exp": time.time() + 60}, "", "none")
    assert ours.caller(_request(unsigned), STORAGE) is None
    with pytest.raises(ValueError, match="no principal 'nobody'"):
        ours.token("nobody", STORAGE)


def test_an_expired_token_is_nobody(tmp_path: Path) -> None:
    ours = Identity(tmp_path / "a.json", lifetime_seconds=-1)
    assert ours.caller(_request(ours.token("app", STORAGE)), STORAGE) is None


def test_secrets_are_kept_and_private(tmp_path: Path) -> None:
    file = tmp_path / "identity.json"
    first = Identity(file)
    again = Identity(file)
    assert again.headers == first.headers
    assert len(set(first.headers.values())) == 4
    assert again.caller(_request(first.token("spark", STORAGE)), STORAGE) == "spark"
    assert file.stat().st_mode & 0o077 == 0


def test_the_certificate_is_made_once_and_again_before_it_ends(tmp_path: Path) -> None:
    first = certificate(tmp_path / "tls")
    kept = first.ca.read_bytes()
    assert certificate(tmp_path / "tls").ca.read_bytes() == kept
    authority = trustme.CA()
    soon = authority.issue_cert("127.0.0.1", not_after=datetime.now(UTC) + timedelta(days=3))
    soon.cert_chain_pems[0].write_to_path(first.chain)
    assert certificate(tmp_path / "tls").ca.read_bytes() != kept
    first.key.unlink()
    assert certificate(tmp_path / "tls").key.is_file()


def test_clients_that_trust_the_ca_connect_and_others_do_not(cloud: LocalCloud) -> None:
    address = cloud.addresses["state"]
    trusting = ssl.create_default_context(cafile=str(cloud.ca))
    assert httpx.get(address, verify=trusting, trust_env=False).status_code == 400
    local = address.replace("127.0.0.1", "localhost")
    assert httpx.get(local, verify=trusting, trust_env=False).status_code == 400
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(address, trust_env=False)


def test_a_port_in_use_is_named_with_the_mend(tmp_path: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(BadInput) as refused, LocalCloud(tmp_path, ports={"services": port}):
            pass
    assert f"port {port} is in use" in str(refused.value)
    assert refused.value.mend
    with LocalCloud(tmp_path, ports={"services": port}) as cloud:
        assert cloud.addresses["services"].endswith(f":{port}")


def test_a_home_is_used_by_one_process(tmp_path: Path) -> None:
    taken = f"in use by process {os.getpid()}"
    with LocalCloud(tmp_path), pytest.raises(BadInput, match=taken):
        LocalCloud(tmp_path).__enter__()
    with LocalCloud(tmp_path):
        pass


def test_a_home_that_is_a_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with pytest.raises(BadInput, match="cannot write") as refused:
        LocalCloud(tmp_path / "home").__enter__()
    assert "--home" in refused.value.mend
