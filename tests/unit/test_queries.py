"""A value in a query is one string literal, whatever it holds."""

from __future__ import annotations

import json
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared import queries

LITERAL = re.compile(
    r'"(?:[^"\\\x00-\x1f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"', re.ASCII | re.DOTALL
)
"""A double-quoted literal of KQL: no raw quote, no raw line break, only known escapes."""
HOSTILE = [
    '"',
    "'",
    '" or 1 == 1 or RunId == "',
    '\\" | union *',
    "\\",
    '"; .drop table TidehuntFindings_CL',
    "a\nb // c",
    "```x```",
    "\u2028\u2029",
    "{run_id}",
    "{0}{{}}",
    "%s %(x)s",
    "h@'x'",
    "\x00",
]


@given(st.text(st.characters(codec="utf-8")))
@example("".join(HOSTILE))
def test_a_value_is_exactly_one_string_token(value: str) -> None:
    written = queries.kql_string(value)
    assert LITERAL.fullmatch(written)
    assert written.isascii()
    assert json.loads(written) == value


@given(st.text(st.characters(codec="utf-8")))
@example("".join(HOSTILE))
def test_the_query_around_a_value_never_changes(value: str) -> None:
    for made, template in (
        (queries.count_findings(value), queries.COUNT_FINDINGS),
        (queries.findings_of_run(value), queries.FINDINGS_OF_RUN),
        (queries.health_of_run(value), queries.HEALTH_OF_RUN),
    ):
        before, after = template.split("{run_id}")
        assert made.startswith(before)
        assert made.endswith(after)
        inside = made[len(before) : len(made) - len(after)]
        assert LITERAL.fullmatch(inside)
        assert json.loads(inside) == value


@pytest.mark.parametrize("value", HOSTILE)
def test_hostile_values(value: str) -> None:
    assert json.loads(queries.kql_string(value)) == value


def test_every_query_is_listed_and_has_one_value() -> None:
    assert len(set(queries.QUERIES)) == len(queries.QUERIES) == 4
    assert all(query.count("{") == query.count("}") == 1 for query in queries.QUERIES)
