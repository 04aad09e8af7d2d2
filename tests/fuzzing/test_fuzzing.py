"""Every parser, for seconds; `make fuzz MINUTES=30` feeds each for longer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.contract.scripted_server import Script, script
from tests.fuzzing.run import feed
from tests.fuzzing.targets import TARGETS
from workbench.emulators.tls import certificate

EXAMPLES = 400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Script]:
    """A service that answers as the fuzzer says."""
    made = certificate(tmp_path_factory.mktemp("tls") / "authority")
    with pytest.MonkeyPatch.context() as environment, script(made) as running:
        environment.setenv("REQUESTS_CA_BUNDLE", str(made.ca))
        environment.setenv("SSL_CERT_FILE", str(made.ca))
        yield running


@pytest.mark.parametrize("name", TARGETS)
def test_a_parser_holds_what_it_promises_whatever_it_is_given(server: Script, name: str) -> None:
    feed(TARGETS[name], server, EXAMPLES)
