"""The report of a hunt: one self-contained page, and the same in the terminal.

Both render the document that `tidehunt hunt --json` prints. The page runs no script, loads
nothing, and takes every value as text. Missing keys are fine: what is not there is not said.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from workbench.report.coverage import coverage, run_table, timings
from workbench.report.findings import answer_key, findings, incident_section
from workbench.report.markup import Html, el, join, steady
from workbench.report.style import CSS
from workbench.report.text import (
    SEVERITIES,
    Incidents,
    hours_read,
    severity,
    verdict,
    what_was_read,
)
from workbench.report.values import (
    ABSENT,
    Json,
    clean,
    duration,
    items,
    number,
    plural,
    table,
    when,
    workspace,
)

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
_HEAD = (
    '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
    f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
    '<meta name="viewport" content="width=device-width, initial-scale=1">'
    '<meta name="referrer" content="no-referrer">'
    f"<title>Tidehunt report</title><style>{CSS}</style></head>"
)


def render_html(document: Json) -> str:
    """The whole page as text, to be written as UTF-8."""
    found = _tables(document.get("findings"))
    incidents = Incidents(_tables(document.get("incidents")))
    key = document.get("answer_key")
    sections = [
        answer_key(table(key)) if isinstance(key, dict) else None,
        findings(found, incidents),
        incident_section(incidents, found),
        coverage(_tables(document.get("coverage"))),
        run_table(_tables(document.get("runs"))),
        timings(_tables(document.get("timings"))),
        _notes(items(document.get("notes"))),
        _colophon(document),
    ]
    body = el("body", _top(document, found, incidents), el("main", *sections))
    return f"{_HEAD}{body}</html>\n"


def _tables(value: object) -> list[Json]:
    return [table(entry) for entry in items(value)]


def _top(document: Json, found: Sequence[Json], incidents: Incidents) -> Html:
    places = ", ".join(workspace(name) for name in items(document.get("workspaces"))[:10])
    made = f"{when(document.get('generated'))} UTC"
    return el(
        "header",
        el("p", "Tidehunt report", cls="brand"),
        el("h1", steady(verdict(document))),
        el("p", what_was_read(document), cls="lead"),
        el("p", f"{made}{' · ' + places if places else ''}", cls="quiet"),
        _figures(document, found, incidents),
        cls="top",
    )


def _figures(document: Json, found: Sequence[Json], incidents: Incidents) -> Html:
    """The numbers that a reader looks for first."""
    counts = Counter(severity(finding) for finding in found)
    open_ones = sum(incident.get("status") != "Closed" for incident in incidents.all)
    read, planned = hours_read(document)
    runs = _tables(document.get("runs"))
    ended = sum(run.get("status") == "done" for run in runs)
    stages = _tables(document.get("timings"))
    spent = sum(max(number(stage.get("seconds")) or 0.0, 0.0) for stage in stages)
    by_severity = ", ".join(f"{counts[name]:,} {name}" for name in SEVERITIES if counts[name])
    facts = [
        ("Findings", f"{len(found):,}", by_severity or "none"),
        ("Incidents", f"{len(incidents.all):,}", f"{open_ones:,} open"),
        ("Hours read", f"{read:,}", f"of {planned:,} planned"),
        ("Runs", f"{len(runs):,}", f"{ended:,} done"),
        ("Time", duration(spent) if spent else ABSENT, plural(len(stages), "stage")),
    ]
    return el(
        "dl",
        join(
            el("div", el("dt", name), el("dd", value, el("small", more)))
            for name, value, more in facts
        ),
        cls="figures",
    )


def _notes(notes: Sequence[object]) -> Html | None:
    if not notes:
        return None
    lines = join(el("li", clean(note, 1_000)) for note in notes[:200])
    return el("section", el("h2", "Notes"), el("ul", lines))


def _colophon(document: Json) -> Html:
    home = clean(document.get("home"), 300)
    return el(
        "footer",
        el("p", "Scores and sub-scores run from 0 to 1; more is more suspicious. Times are UTC."),
        el("p", "Everything on this page is text from logs that an attacker may have written."),
        el("p", "Home: ", el("code", home)),
        cls="colophon",
    )
