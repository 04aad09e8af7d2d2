"""Managed identities: the App Service token endpoint, for several principals.

A process is a principal by the secret in its IDENTITY_HEADER. Tokens are signed JWTs that name
the principal and the audience; all emulators check them here. Secrets and the signing key live
in one file of the home, so that tokens that a client has cached survive a restart.
"""

from __future__ import annotations

import hmac
import json
import secrets
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jwt
from azure.core.credentials import AccessToken
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

PRINCIPALS = ("app", "spark", "deployer", "operator")
PATH = "/msi/token"
API_VERSION = "2019-08-01"
LIFETIME_SECONDS = 24 * 3600
"""As a managed identity's; azure-identity refreshes a token halfway when it lives over 2 hours."""
MOST_CHECKED = 100
"""Tokens whose check is remembered: every request brings one, and a client keeps it for hours."""
SIGNING_KEY = "signing key"
TENANT = "00000000-0000-0000-0000-000000000000"


class Identity:
    """Issues and checks tokens. `file` keeps the secrets, readable by its owner only."""

    def __init__(
        self,
        file: Path,
        principals: Sequence[str] = PRINCIPALS,
        *,
        lifetime_seconds: int = LIFETIME_SECONDS,
    ) -> None:
        kept = _secrets(file, (SIGNING_KEY, *principals))
        self._key = kept[SIGNING_KEY]
        self._lifetime = lifetime_seconds
        self.headers: Mapping[str, str] = {name: kept[name] for name in principals}
        """Principal -> its IDENTITY_HEADER."""
        self._checked: dict[tuple[str, str], tuple[str, int]] = {}
        """Token, audience -> its subject, until when."""

    def token(self, principal: str, audience: str) -> str:
        """A token for a principal. ValueError when there is none of that name."""
        if principal not in self.headers:
            raise ValueError(f"no principal {principal!r}; there are {', '.join(self.headers)}")
        return self._issue(principal, audience, int(time.time()) + self._lifetime)

    def credential(self, principal: str) -> Credential:
        """What SDK clients of this process take as their credential."""
        return Credential(self, principal)

    def caller(self, request: Request, audience: str) -> str | None:
        """The principal whose valid bearer token for `audience` a request carries, or None."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        subject, expires = self._checked.get((token, audience), ("", 0))
        if expires <= time.time():
            try:
                subject, expires = self._check(token.strip(), audience)
            except jwt.InvalidTokenError:
                return None
            if len(self._checked) >= MOST_CHECKED:
                self._checked.clear()
            self._checked[token, audience] = subject, expires
        return subject if subject in self.headers else None

    def _check(self, token: str, audience: str) -> tuple[str, int]:
        """Subject and expiry of a valid token. jwt.InvalidTokenError for any other."""
        claims = jwt.decode(
            token,
            self._key,
            ["HS256"],
            audience=[audience.rstrip("/"), f"{audience.rstrip('/')}/"],
            options={"require": ["exp", "aud", "sub"]},
        )
        return str(claims["sub"]), int(claims["exp"])

    def routes(self) -> list[BaseRoute]:
        """The token endpoint (App Service, api-version 2019-08-01)."""
        return [Route(PATH, self._answer, methods=["GET"], name="identity.token")]

    async def _answer(self, request: Request) -> Response:
        principal = self._principal(request.headers.get("x-identity-header", ""))
        resource = request.query_params.get("resource", "")
        if principal is None:
            return _refusal(401, "The X-IDENTITY-HEADER is missing or wrong.")
        if request.query_params.get("api-version") != API_VERSION:
            return _refusal(400, f"The api-version must be {API_VERSION}.")
        if not resource:
            return _refusal(400, "The resource is missing.")
        expires = int(time.time()) + self._lifetime
        return JSONResponse(
            {
                "access_token": self._issue(principal, resource, expires),
                "expires_on": str(expires),
                "resource": resource,
                "token_type": "Bearer",
                "client_id": principal,
            }
        )

    def _principal(self, header: str) -> str | None:
        """Compared in constant time, on bytes: a header may hold any Latin-1 character."""
        given = header.encode()
        return next(
            (
                name
                for name, own in self.headers.items()
                if hmac.compare_digest(given, own.encode())
            ),
            None,
        )

    def _issue(self, principal: str, audience: str, expires: int) -> str:
        claims = {
            "aud": audience,
            "sub": principal,
            "tid": TENANT,
            "iat": int(time.time()),
            "exp": expires,
        }
        return jwt.encode(claims, self._key, "HS256")


class Credential:
    """A principal's azure-core TokenCredential, without a request."""

    def __init__(self, issuer: Identity, principal: str) -> None:
        self._issuer = issuer
        self._principal = principal

    def get_token(self, *scopes: str, **_options: object) -> AccessToken:
        """A token for the first scope's audience."""
        audience = scopes[0].removesuffix("/.default")
        expires = int(time.time()) + LIFETIME_SECONDS
        return AccessToken(self._issuer.token(self._principal, audience), expires)


def _refusal(status: int, message: str) -> Response:
    return JSONResponse({"statusCode": status, "message": message}, status)


def _secrets(file: Path, names: Sequence[str]) -> dict[str, str]:
    """Read the secrets; make the file or what it lacks."""
    try:
        kept: dict[str, str] = json.loads(file.read_text("utf-8"))
    except (FileNotFoundError, ValueError):
        kept = {}
    missing = {name: secrets.token_hex(32) for name in names if name not in kept}
    if missing:
        kept |= missing
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_suffix(".new")
        draft.touch(mode=0o600)
        draft.write_text(json.dumps(kept), "utf-8")
        draft.replace(file)
    return kept
