"""What the tests of single emulators share: who asks, and a server over plain HTTP."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from azure.core.credentials import AccessToken
from azure.core.exceptions import HttpResponseError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import BaseRoute

from workbench.emulators.server import Server, Site
from workbench.emulators.tls import Certificate


class Credential:
    """A token that says who asks for which audience."""

    def get_token(self, *scopes: str, **_: Any) -> AccessToken:
        """The token."""
        return AccessToken(f"app={scopes[0]}", int(time.time()) + 3600)


def caller(request: Request, audience: str) -> str | None:
    """Who asks, when the token is for this audience."""
    who, _, scope = request.headers.get("Authorization", "").removeprefix("Bearer ").partition("=")
    return who if scope == f"{audience}/.default" else None


def token(audience: str) -> dict[str, str]:
    """The header of a request that is sent without a client."""
    return {"Authorization": f"Bearer {Credential().get_token(audience + '/.default').token}"}


def serve(routes: Sequence[BaseRoute], ends: ExitStack) -> str:
    """Serve routes until `ends` closes; their address."""
    unused = Certificate(Path(), Path(), Path())
    server = Server([Site("emulator", Starlette(routes=routes), tls=False)], unused)
    address = server.start()["emulator"]
    ends.callback(server.stop)
    return address


def wait_for(ready: Callable[[], Any], seconds: float = 20.0) -> Any:
    """What `ready` answers once it is truthy."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        answer = ready()
        if answer:
            return answer
        time.sleep(0.05)
    raise AssertionError(f"not within {seconds} s")


def refused(act: Callable[[], object]) -> tuple[int | None, Any]:
    """Status and JSON body of a refusal that a client raises."""
    with pytest.raises(HttpResponseError) as caught:
        act()
    assert caught.value.response is not None
    return caught.value.status_code, json.loads(caught.value.response.text())
