"""The detection limit on the page and in the terminal."""

from __future__ import annotations

import io
from typing import Any

from rich.console import Console

from tests.unit.report_documents import Page
from workbench.report import render_terminal
from workbench.report.limit import limit, limit_words

CASES = [
    {"way": "alone", "every_s": 30, "within_percent": 0, "seen": 1.0},
    {"way": "alone", "every_s": 3_600, "within_percent": 0, "seen": 0.917},
    {"way": "alone", "every_s": 30, "within_percent": 90, "seen": 0.25},
]
TOLD = ["alone: every 30 s to 1 h, up to 0 % jitter, on 91 % of hosts"]
LIMIT = {"hosts": 12, "cases": CASES, "told": TOLD}


def page(told: Any) -> Page:
    shown = limit({"limit": told})
    assert shown is not None
    return Page(str(shown))


def terminal(*runs: Any) -> str:
    console = Console(file=io.StringIO(), width=160, force_terminal=False)
    render_terminal({"coverage": list(runs)}, console)
    return str(console.file.getvalue())  # type: ignore[attr-defined]


def test_the_page_says_it_in_words_and_case_by_case() -> None:
    said = page(LIMIT).text
    assert TOLD[0] in said and "on 12 hosts" in said
    assert "alone, jitter 0 % 100% 92%" in said
    assert "alone, jitter 90 % 25%" in said  # a case that was not judged has no share


def test_without_canaries_nothing_is_said() -> None:
    assert limit({}) is None and limit_words({}) == []
    assert "would have seen" not in terminal({"run_id": "r"})


def test_no_host_to_try_it_on_is_said() -> None:
    assert (
        "no host inside was seen, or canary_hosts is 0"
        in page({"hosts": 0, "cases": [], "told": []}).text
    )


def test_the_terminal_tells_of_the_last_run_that_has_a_limit() -> None:
    said = terminal({"run_id": "first", "limit": LIMIT}, {"run_id": "last"})
    assert "Run first would have seen implants" in said and TOLD[0] in said


def test_whatever_a_manifest_says_is_shown_as_text() -> None:
    hostile = {
        "hosts": "9",
        "told": ["<script>alert(1)</script>", None, 7, "x" * 5_000] * 50,
        "cases": [None, 3, {"way": "<b>", "every_s": "a", "within_percent": None, "seen": "nan"}]
        * 300,
    }
    shown = page(hostile)
    assert ("script", "") not in shown.shapes() and ("b", "") not in shown.shapes()
    assert len(shown.text) < 20_000
    assert "<script>" in terminal({"run_id": "r", "limit": hostile})
    for broken in ("text", [1], 5):
        assert limit({"limit": broken}) is None
