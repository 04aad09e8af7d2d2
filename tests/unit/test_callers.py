"""Who may call: keys, or the roles that Easy Auth's header carries, and no other claim."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.callers import OPERATOR, READER, caller, may, roles

HEADER = "X-MS-CLIENT-PRINCIPAL"
LONG = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


def encoded(principal: Any) -> str:
    return base64.b64encode(json.dumps(principal).encode()).decode()


def principal(*held: str, typ: str = "roles") -> dict[str, str]:
    """The header that Easy Auth adds for a caller with these roles."""
    claims = [{"typ": "name", "val": OPERATOR}, *({"typ": typ, "val": role} for role in held)]
    return {HEADER: encoded({"auth_typ": "aad", "claims": claims, "role_typ": typ})}


@pytest.mark.parametrize("typ", ["roles", LONG])
@pytest.mark.parametrize("header", [HEADER, HEADER.lower(), "x-Ms-Client-Principal"])
def test_roles_are_read_from_either_claim_in_any_case_of_the_header(typ: str, header: str) -> None:
    given_headers = {header: principal(READER, "Other", typ=typ)[HEADER]}
    assert roles(given_headers) == {READER, "Other"}


@pytest.mark.parametrize(
    ("held", "role", "allowed"),
    [
        ((), READER, False),
        ((READER,), READER, True),
        ((READER,), OPERATOR, False),
        ((OPERATOR,), READER, True),
        ((OPERATOR,), OPERATOR, True),
        (("operator", "Operator "), OPERATOR, False),
    ],
)
def test_an_operator_may_also_read(held: tuple[str, ...], role: str, allowed: bool) -> None:
    assert may(role, principal(*held), "easyauth") is allowed


def test_the_header_is_not_needed_where_the_host_checks_keys() -> None:
    assert may(OPERATOR, {}, "keys")
    assert not may(READER, {}, "easyauth")


def test_other_claims_are_no_roles() -> None:
    assert roles(principal(OPERATOR, typ="groups")) == set()


@pytest.mark.parametrize(
    "value",
    [
        "",
        "Operator",
        "%%%",
        "e30",
        encoded(None),
        encoded([]),
        encoded({}),
        encoded({"claims": None}),
        encoded({"claims": "roles"}),
        encoded({"claims": [OPERATOR]}),
        encoded({"claims": [{"typ": "roles"}]}),
        encoded({"claims": {"typ": "roles", "val": OPERATOR}}),
        encoded({"claims": [{"typ": ["roles"], "val": OPERATOR}]}),
        base64.b64encode(b"\xff\xfe").decode(),
        base64.b64encode(b"[" * 100_000).decode(),
        "é" * 10,
    ],
)
def test_a_broken_header_gives_no_role(value: str) -> None:
    assert roles({HEADER: value}) == set()


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.text()
    | st.sampled_from(["roles", "typ", "val"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@settings(max_examples=100, deadline=None)
@given(json_values, st.text())
def test_nothing_that_a_caller_can_write_raises(body: Any, text: str) -> None:
    for value in (encoded(body), encoded({"claims": body}), encoded({"claims": [body]}), text):
        assert OPERATOR not in roles({HEADER: value})


@pytest.mark.parametrize(("auth", "name"), [("easyauth", "ada@contoso.example"), ("keys", "")])
@pytest.mark.parametrize("header", [f"{HEADER}-NAME", f"{HEADER}-NAME".lower()])
def test_a_name_is_believed_only_where_easy_auth_is_in_front(
    header: str, auth: str, name: str
) -> None:
    assert caller({header: "ada@contoso.example"}, auth) == name
    assert caller({}, auth) == ""
