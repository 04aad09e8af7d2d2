"""What the contract suites share: a local cloud that clients trust, and a script to play.

Every suite runs the same lines on the in-memory port and on the adapter against its emulator.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.core.credentials import TokenCredential
from azure.identity import ManagedIdentityCredential

from tests.contract.scripted_server import Answer, Script, script
from workbench.cloud import LocalCloud
from workbench.emulators.faults import Faults
from workbench.emulators.tls import Certificate, certificate

CALL_SECONDS = 10.0
BACKENDS = ("memory", "emulator")


@pytest.fixture(scope="session")
def local_authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Certificate]:
    """A certificate of 127.0.0.1; every client of this process trusts its authority."""
    made = certificate(Path(tmp_path_factory.mktemp("tls")) / "authority")
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("REQUESTS_CA_BUNDLE", str(made.ca))
        environment.setenv("SSL_CERT_FILE", str(made.ca))
        yield made


@pytest.fixture(scope="session")
def script_server(local_authority: Certificate) -> Iterator[Script]:
    with script(local_authority) as running:
        yield running


@pytest.fixture
def server(script_server: Script) -> Script:
    """A server that answers as its test says."""
    script_server.play(Answer(500))
    return script_server


@pytest.fixture(scope="session")
def stranger(
    local_authority: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Script]:
    """A server whose certificate nobody trusts."""
    other = certificate(Path(tmp_path_factory.mktemp("other")) / "authority")
    with script(other) as running:
        running.play(Answer(200, b"{}"))
        yield running


@pytest.fixture(scope="session")
def cloud(
    local_authority: Certificate, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCloud]:
    """All emulators, with the authority that this process trusts already."""
    home = Path(tmp_path_factory.mktemp("cloud"))
    shutil.copytree(local_authority.ca.parent, home / "emulators" / "tls")
    with LocalCloud(home) as running, pytest.MonkeyPatch.context() as environment:
        for name, value in running.identity_settings("app").items():
            environment.setenv(name, value)
        yield running


@pytest.fixture(scope="session")
def credential(cloud: LocalCloud) -> Iterator[TokenCredential]:
    """The app's identity, as it gets its tokens in production."""
    with ManagedIdentityCredential() as found:
        yield found


@pytest.fixture
def faults(cloud: LocalCloud) -> Iterator[Faults]:
    """The cloud's faults; a test ends with none that has not fired."""
    yield cloud.faults
    left = cloud.faults.pending()
    cloud.faults.clear()
    assert left == {}


@pytest.fixture(params=BACKENDS)
def backend(request: pytest.FixtureRequest) -> str:
    """Which implementation a test runs on."""
    return str(request.param)
