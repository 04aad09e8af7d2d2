"""Log lines are written by attackers: in the report they are text and nothing else."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.report_documents import Page, document, incident, terminal
from workbench.report import render_html
from workbench.report.values import clean

MARKER = "zqx"
HOSTILE = [
    f"<script>{MARKER}(1)</script>",
    f'"><img src=x onerror={MARKER}(1)>',
    f"' onmouseover='{MARKER}(1)",
    f"</style></title></svg><iframe srcdoc={MARKER}>",
    f"--><!-- {MARKER} ]]><![CDATA[",
    f"javascript:{MARKER}(1)",
    f"https://evil.example/\"onclick='{MARKER}'",
    f"&lt;script&gt;{MARKER}&#60;b&#62;",
    f"{{{{7*7}}}} ${{{MARKER}}} %s %(x)s {{0}}",
    f"[red]{MARKER}[/red] [link=file:///etc]x[/link]",
    f"\x00\x1b[2J\x1b]8;;http://e/\x07 {MARKER}\r\nHTTP/1.1",
    f"\u202e{MARKER}\u2066\u200b\u2028\ufeff",
    f"{MARKER}\ud800\udfff",
    MARKER + "A" * 100_000,
]


def replaced(value: Any, make: Callable[[], object], *, keys: bool) -> Any:
    """The same document with every leaf, and the keys that logs choose, replaced."""
    if isinstance(value, dict):
        return {
            (f"{make()}{name}" if keys else name): replaced(
                entry, make, keys=name in ("sub_scores", "entities", "evidence", "tables", "nulls")
            )
            for name, entry in value.items()
        }
    if isinstance(value, list):
        return [replaced(entry, make, keys=False) for entry in value]
    return make()


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_strings_add_no_element_and_no_attribute(payload: str) -> None:
    benign = Page(render_html(document()))
    hostile_source = render_html(replaced(document(), lambda: payload, keys=False))
    hostile = Page(hostile_source)
    assert hostile.shapes() <= benign.shapes()
    assert MARKER in hostile.text
    for tag, attributes in hostile.elements:
        for name, value in attributes.items():
            assert MARKER not in value, (tag, name)
    assert hostile.all("a") == []
    assert hostile_source.encode("utf-8").decode("utf-8") == hostile_source
    assert len(hostile_source) < 200_000


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_strings_stay_text_where_the_layout_is_whole(payload: str) -> None:
    doc = document()
    for found in doc["findings"]:
        found["title"] = payload
        found["entities"] |= {"DstHostname": payload, payload: payload}
        found["evidence"][payload] = payload
        found["sub_scores"][payload] = 0.5
    for opened in doc["incidents"]:
        opened["title"] = payload
        opened["labels"] = [payload]
    hostile = Page(render_html(doc))
    assert hostile.shapes() == Page(render_html(document())).shapes()
    shown = clean(payload, 60).split("…")[0]
    assert hostile.text.count(" ".join(shown.split())) >= 6


@pytest.mark.parametrize("payload", HOSTILE, ids=range(len(HOSTILE)))
@pytest.mark.parametrize("is_terminal", [True, False])
def test_hostile_strings_do_not_steer_the_terminal(payload: str, is_terminal: bool) -> None:
    doc = replaced(document(), lambda: payload, keys=False)
    doc["timings"] = [{"stage": payload, "seconds": 1}]
    shown = terminal(doc, force_terminal=is_terminal, color_system=None, legacy_windows=False)
    assert MARKER in shown
    controls = {char for char in shown if not char.isprintable()} - {"\n"}
    assert controls == set()
    assert "\\u001b" in shown or "\x1b" not in payload
    assert "[red]" in shown or "[red]" not in payload


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(HOSTILE[:-1]),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_values_of_any_type_render_as_text(data: st.DataObject) -> None:
    doc = document()
    allowed = Page(render_html(doc)).shapes()
    for _ in range(data.draw(st.integers(1, 4))):
        place: Any = doc
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = data.draw(st.sampled_from(keys))
            deeper = isinstance(place[key], dict | list) and place[key]
            if not deeper or data.draw(st.booleans()):
                place[key] = data.draw(json_values)
                break
            place = place[key]
    page = render_html(doc)
    assert Page(page).shapes() <= allowed
    page.encode("utf-8")
    terminal(doc).encode("utf-8")


def test_the_page_loads_nothing_and_runs_nothing() -> None:
    source = render_html(document())
    page = Page(source)
    policy, *_ = page.all("meta")[1:]
    assert policy == {
        "http-equiv": "Content-Security-Policy",
        "content": "default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }
    assert source.index("Content-Security-Policy") < source.index("<style>")
    forbidden = {"script", "link", "iframe", "img", "object", "form", "base", "use", "image"}
    assert forbidden.isdisjoint({tag for tag, _ in page.elements})
    names = {name for _, attributes in page.elements for name in attributes}
    assert {name for name in names if name.startswith("on")} | (names & {"src", "srcset"}) == set()
    assert "url(" not in source
    assert "@import" not in source
    for style in (attributes["style"] for _, attributes in page.elements if "style" in attributes):
        assert re.fullmatch(r"(width|flex-grow):[\d.]+%?", style)


@pytest.mark.parametrize(
    ("url", "linked"),
    [
        ("https://portal.azure.com/#asset/Microsoft_Azure/subscriptions%2Fa?x=1&y=2", True),
        ("https://security.microsoft.com/incidents/7", True),
        ("https://evil.example/", False),
        ("https://portal.azure.com.evil.example/", False),
        ("https://portal.azure.com@evil.example/", False),
        ("https://portal.azure.com/\"onclick='x'", False),
        ("http://portal.azure.com/", False),
        ("javascript:alert(1)", False),
        (" https://portal.azure.com/", False),
        ("https://portal.azure.com/\nx", False),
        (None, False),
        (7, False),
    ],
)
def test_only_an_https_address_becomes_a_link(url: object, linked: bool) -> None:
    page = Page(render_html(document(incidents=[incident(1, url=url)])))
    assert [link["href"] for link in page.all("a")] == [url] * (2 if linked else 0)
    assert "#1" in page.text
