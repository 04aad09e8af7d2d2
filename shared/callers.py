"""Who calls HTTP, and may: function keys (the host checks them), or app roles behind Easy Auth."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

READER = "Reader"
OPERATOR = "Operator"
_ROLE_CLAIMS = ("roles", "http://schemas.microsoft.com/ws/2008/06/identity/claims/role")
PRINCIPAL_HEADER = "x-ms-client-principal"
NAME_HEADER = "x-ms-client-principal-name"


@dataclass(frozen=True)
class Asked:
    """A request as it came, whatever brought it."""

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    named: Mapping[str, str] = field(default_factory=dict)
    """The path's variables."""
    body: bytes = b""


def may(role: str, headers: Mapping[str, str], auth: str) -> bool:
    """True when the caller has the role; an Operator may also read.

    `X-MS-CLIENT-PRINCIPAL` is believed only where `auth` says that Easy Auth is in front: anywhere
    else a caller could write it.
    """
    if auth == "keys":
        return True
    held = roles(headers)
    return role in held or OPERATOR in held


def caller(headers: Mapping[str, str], auth: str) -> str:
    """Who calls, as Easy Auth tells it; empty where nobody does: a key has no name."""
    if auth == "keys":
        return ""
    lowered = {name.lower(): value for name, value in headers.items()}
    return lowered.get(NAME_HEADER, "")


def roles(headers: Mapping[str, str]) -> set[str]:
    """App roles in the principal that Easy Auth adds; empty when it is missing or broken."""
    lowered = {name.lower(): value for name, value in headers.items()}
    try:
        principal = json.loads(base64.b64decode(lowered.get(PRINCIPAL_HEADER, ""), validate=True))
        return {
            str(claim["val"]) for claim in principal["claims"] if claim.get("typ") in _ROLE_CLAIMS
        }
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return set()
