"""The report: it leaves nothing out without saying so."""

from __future__ import annotations

import copy
import io
import re
from itertools import pairwise

import pytest
from rich.console import Console

from tests.unit.report_documents import Json, Page, document, finding, incident, terminal
from workbench.report import render_html, render_terminal


def test_every_finding_and_incident_is_shown_best_first() -> None:
    found = [finding(n, score) for n, score in enumerate((0.2, 0.95, 0.71, 0.95), start=1)]
    page = Page(render_html(document(findings=found, incidents=[incident(2), incident(9)])))
    places = [page.text.index(f"finding-{n:05d}") for n in (2, 4, 3, 1)]
    assert places == sorted(places)
    assert len(page.all("article")) == 4
    for each in found:
        assert each["title"] in page.text
        assert f"{each['score']:.2f}" in page.text
    assert "Beacon 9 to c2-9.example" in page.text
    shown = terminal(document(findings=found, incidents=[incident(2), incident(9)]))
    for each in found:
        assert f"c2-{each['finding_id'][-1]}.example:443" in shown
    assert "#9" in shown


def test_a_card_says_why_and_to_which_incident_it_belongs() -> None:
    page = Page(render_html(document(findings=[finding(1)])))
    assert (
        "10.1.2.3 contacted c2-1.example:443, 3 times, about every 5 min, from "
        "2025-11-03 00:00:00 to 2025-11-04 00:00:00 UTC (1 d)." in page.text
    )
    assert "Incident #1 (New)" in page.text
    assert "Mad seconds 1.25" in page.text
    assert "Timing 0.98" in page.text
    widths = [a["style"] for a in page.all("span") if a.get("style", "").startswith("width")]
    assert widths[:3] == ["width:98%", "width:50%", "width:0%"]


def test_an_incident_is_named_by_id_before_title() -> None:
    doc = document(
        findings=[
            finding(1, incident_id="incident-2"),
            finding(2, incident_id="incident-7"),
            finding(3),
            finding(4, title="see http://a.example/ <b>"),
        ],
        incidents=[incident(1), incident(2), incident(4, title="see hxxp://a.example/ (b)")],
    )
    page = Page(render_html(doc))
    belongs = page.text.split("Why this score")[1:]
    assert "Incident #2 (New)" in belongs[0]
    assert "No incident" in belongs[1]
    assert "No incident" in belongs[2]
    assert "Incident #4 (New)" in belongs[3]


def test_thousands_of_findings_render_and_what_is_cut_is_said() -> None:
    found = [finding(n, 0.9 - n / 100_000) for n in range(6_000)]
    opened = [incident(n) for n in range(300)]
    source = render_html(document(findings=found, incidents=opened))
    assert source.count("<article") == 200
    assert "The 200 best of 6,000 findings are shown in full" in source
    assert "800 findings with lower scores are not on this page" in source
    assert "finding-05199" in source
    assert "finding-05200" not in source
    shown = terminal(document(findings=found, incidents=opened))
    assert "5,950 more findings are in the HTML report." in shown
    assert "250 more incidents are in the HTML report." in shown


def test_two_hundred_findings_get_no_notice() -> None:
    page = Page(render_html(document(findings=[finding(n) for n in range(200)])))
    assert len(page.all("article")) == 200
    assert "shown in full" not in page.text
    assert "not on this page" not in page.text


@pytest.mark.parametrize("empty", [{}, {"findings": []}, {"findings": None, "coverage": None}])
def test_an_empty_document_says_plainly_that_nothing_is_there(empty: Json) -> None:
    page = Page(render_html(empty))
    for said in ("Nothing was found.", "No run has reported what it read."):
        assert said in page.text
        assert said in terminal(empty)
    assert "No incident was opened." in page.text
    assert page.all("article") == []


def test_nothing_found_still_says_what_was_read_and_what_was_not() -> None:
    doc = document(findings=[], incidents=[], answer_key=None)
    read = (
        "Read 165 of 168 planned hours and 412,287 rows of commonsecuritylog in 1 run; "
        "3 hours missing, 16 lines dropped."
    )
    for said in (Page(render_html(doc)).text, terminal(doc)):
        assert "Nothing was found." in said
        assert read in said
        assert "mytable_cl" in said
        assert "answer key" not in said
    page = Page(render_html(doc)).text
    assert "2025-11-05 03 h to 2025-11-05 04 h, 2025-11-07 00 h" in page
    assert "DestinationHostName 63%" in page
    assert "DeviceCustomFoo" in page
    assert "held: the role has not reached it yet" in page


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ([finding(1)], "1 finding needs a look (1 High)."),
        (
            [finding(1), finding(2, 0.75), finding(3, 0.1), finding(4, suppressed=True)],
            "2 findings need a look (1 High, 1 Medium); 1 Low, 1 suppressed.",
        ),
        ([finding(1, 0.1)], "Nothing at severity Medium or above; 1 Low."),
        ([finding(1, suppressed=True)], "Nothing at severity Medium or above; 1 suppressed."),
    ],
)
def test_the_verdict_comes_first(found: list[Json], said: str) -> None:
    doc = document(findings=found)
    assert Page(render_html(doc)).text.split("Tidehunt report")[2].strip().startswith(said)
    assert terminal(doc).startswith(said)


def test_the_answer_key_stands_beside_what_was_found() -> None:
    page, shown = Page(render_html(document())).text, terminal(document())
    assert "1 of 2 planted implants found; 1 of 2 benign look-alikes left alone." in page
    for outcome in ("✓ Found High", "✗ Missed -", "✓ Quiet", "✗ Flagged"):
        assert outcome in page
    assert re.search(r"found, High +steady +10\.1\.2\.3 -> 203\.0\.113\.7:443", shown)
    for outcome in ("MISSED", "quiet", "FLAGGED"):
        assert outcome in shown


def test_an_answer_that_names_many_hosts_and_addresses_is_told_in_short() -> None:
    entry = {
        "name": "antivirus",
        "DstIpAddrs": ["192.0.2.1", "192.0.2.2", "192.0.2.3"],
        "DstPortNumber": 443,
        "hosts": ["10.0.0.1", "10.0.0.2"],
        "flagged": False,
    }
    doc = document(answer_key={"implants": [], "benign": [entry]})
    assert "2 hosts → 192.0.2.1 and 2 more, port 443" in Page(render_html(doc)).text
    assert "2 hosts -> 192.0.2.1 and 2 more, port 443" in " ".join(terminal(doc).split())


def test_a_run_is_told_by_its_day_and_its_workspace_by_name() -> None:
    doc = document()
    place = "/subscriptions/1/resourcegroups/rg/providers/microsoft.x/workspaces/contoso"
    doc["workspaces"] = [place]
    doc["runs"][0] |= {
        "slot": {"start": "2025-11-09T00:00:00Z", "end": "2025-11-10T00:00:00Z"},
        "workspace": place,
    }
    page = Page(render_html(doc)).text
    assert "beaconing 2025-11-09 2025-10-20 00:00 to 2025-11-10 00:00 held" in page
    assert "UTC · contoso" in page
    assert "subscriptions" not in page


def test_time_is_shown_as_shares() -> None:
    page, shown = Page(render_html(document())), terminal(document())
    assert "Session 4 s 25% Copy 12 s 75%" in page.text
    grown = [a["style"] for a in page.all("span") if a.get("style", "").startswith("flex")]
    assert grown == ["flex-grow:0.2500", "flex-grow:0.7500"]
    assert re.search(r"Copy +12 s +75%", shown)


def test_the_page_can_be_heard() -> None:
    source = render_html(document())
    page = Page(source)
    headings = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h[1-6]", tag)]
    assert headings[0] == 1
    assert headings.count(1) == 1
    assert all(after - before <= 1 for before, after in pairwise(headings))
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(a["role"] == "img" and a["aria-label"] for a in page.all("svg"))
    assert all(a.get("scope") in ("row", "col") for a in page.all("th"))
    assert 'lang="en"' in source


def test_tables_fit_eighty_columns_and_are_plain_without_a_terminal() -> None:
    wide = [finding(n, entities={"DstHostname": f"{n}-" + "very-long-name." * 12}) for n in (1, 2)]
    doc = document(findings=wide)
    coloured = terminal(doc, force_terminal=True, color_system="standard", legacy_windows=False)
    bare = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    assert coloured != bare
    assert max(map(len, bare.splitlines())) <= 80
    plain = terminal(doc)
    assert "\x1b" not in plain
    assert set(plain) - {"\n", "…"} <= {chr(n) for n in range(32, 127)}
    table = plain.split("Findings\n")[1].split("\n\n")[0]
    assert max(map(len, table.splitlines())) <= 80


def test_a_console_without_unicode_gets_code_points() -> None:
    raw = io.BytesIO()
    with io.TextIOWrapper(raw, encoding="ascii") as out:
        title = "Bücher \u2028 名"
        render_terminal(document(incidents=[incident(1, title=title)]), Console(file=out, width=80))
        out.flush()
        assert b"B\\xfccher \\u2028 \\u540d" in raw.getvalue()


def test_the_document_is_not_changed() -> None:
    doc = document()
    before = copy.deepcopy(doc)
    render_html(doc)
    terminal(doc)
    assert doc == before
