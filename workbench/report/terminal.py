"""The report for a terminal: fits 80 columns, plain lines when it is not a terminal.

Values become `Text`, never markup strings; `clean` has taken their escape codes, and what the
console's encoding cannot write shows as its code point.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from workbench.report.limit import limit_words
from workbench.report.text import (
    Incidents,
    by_score,
    endpoints,
    incident_name,
    score,
    severity,
    traffic,
    verdict,
    what_was_read,
)
from workbench.report.values import (
    ABSENT,
    Json,
    amount,
    clean,
    duration,
    items,
    number,
    plural,
    table,
    words,
)

Cell = str | tuple[str, str]
"""Text, or (text, style)."""
LINES = 50
"""Findings, incidents and notes that get a line."""
_COLOURS = {"High": "bold red", "Medium": "yellow", "Low": "blue", "Informational": "dim"}
_GOOD, _BAD = "green", "bold red"


def render_terminal(document: Json, console: Console) -> None:
    """Print the report of a document to a console."""
    screen = _Screen(console)
    found = _tables(document.get("findings"))
    incidents = _tables(document.get("incidents"))
    screen.line(verdict(document), "bold")
    screen.line(what_was_read(document))
    if isinstance(document.get("answer_key"), dict):
        _answer_key(table(document["answer_key"]), screen)
    _findings(found, Incidents(incidents), screen)
    _incidents(incidents, screen)
    _coverage(_tables(document.get("coverage")), screen)
    _timings(_tables(document.get("timings")), screen)
    for note in items(document.get("notes"))[:LINES]:
        screen.line(f"Note: {clean(note, 500)}")


def _tables(value: object) -> list[Json]:
    return [table(entry) for entry in items(value)]


@dataclass(frozen=True)
class _Screen:
    """A console that text cannot break."""

    console: Console

    def text(self, value: str, style: str = "") -> Text:
        encoding = self.console.encoding
        return Text(value.encode(encoding, "backslashreplace").decode(encoding), style)

    def line(self, value: str, style: str = "") -> None:
        # Without a terminal a sentence stays on one line, for grep.
        self.console.print(self.text(value, style), soft_wrap=not self.console.is_terminal)

    def rows(self, title: str, heads: Sequence[str], rows: Sequence[Sequence[Cell]]) -> None:
        """A titled table; a head that begins with ">" is a column of numbers."""
        self.console.print()
        self.line(title, "bold")
        look = box.SIMPLE_HEAD if self.console.is_terminal else None
        grid = Table(box=look, pad_edge=False, show_edge=False)
        for head in heads:
            if head.startswith(">"):
                grid.add_column(head[1:], justify="right", no_wrap=True)
            else:
                grid.add_column(head, overflow="fold")
        for row in rows:
            cells = [(cell, "") if isinstance(cell, str) else cell for cell in row]
            grid.add_row(*(self.text(*cell) for cell in cells))
        self.console.print(grid)

    def rest(self, count: int, what: str) -> None:
        if count > LINES:
            self.line(f"{count - LINES:,} more {what} are in the HTML report.", "dim")


def _severity(entry: Json) -> tuple[str, str]:
    name = severity(entry)
    return name.replace("Informational", "Info"), _COLOURS[name]


def _findings(found: Sequence[Json], incidents: Incidents, screen: _Screen) -> None:
    if not found:
        return

    def row(finding: Json) -> list[Cell]:
        owner, (source, target) = incidents.of(finding), endpoints(finding)
        interval = number(table(finding.get("evidence")).get("IntervalSeconds")) or 0.0
        label = incident_name(owner) if owner else ABSENT
        return [
            _severity(finding),
            f"{score(finding):.2f}",
            source,
            target,
            duration(interval) if interval > 0 else ABSENT,
            "suppressed" if finding.get("suppressed") else label,
        ]

    heads = ("Severity", ">Score", "Source", "Destination", ">Every", "Incident")
    screen.rows("Findings", heads, [row(finding) for finding in by_score(found)[:LINES]])
    screen.rest(len(found), "findings")


def _incidents(incidents: Sequence[Json], screen: _Screen) -> None:
    if not incidents:
        screen.line("No incident was opened.")
        return
    rows: list[list[Cell]] = [
        [
            incident_name(incident),
            _severity(incident),
            clean(incident.get("status"), 20),
            clean(incident.get("title"), 160),
        ]
        for incident in incidents[:LINES]
    ]
    screen.rows("Incidents in Sentinel", ("Incident", "Severity", "Status", "Title"), rows)
    screen.rest(len(incidents), "incidents")


def _answer_key(key: Json, screen: _Screen) -> None:
    rows: list[list[Cell]] = []
    for entry in _tables(key.get("implants")):
        hit = bool(entry.get("found"))
        outcome = f"found, {clean(entry.get('severity'), 20)}" if hit else "MISSED"
        rows.append([(outcome, _GOOD if hit else _BAD), *_traffic(entry)])
    for entry in _tables(key.get("benign")):
        flagged = bool(entry.get("flagged"))
        rows.append([("FLAGGED", _BAD) if flagged else ("quiet", _GOOD), *_traffic(entry)])
    screen.rows("Beside the answer key", ("Outcome", "Planted or benign", "Traffic"), rows)


def _traffic(entry: Json) -> tuple[str, str]:
    source, target = traffic(entry)
    return clean(entry.get("name"), 60), f"{source} -> {target}"


def _coverage(runs: Sequence[Json], screen: _Screen) -> None:
    if not runs:
        return
    rows: list[list[str]] = []
    ignored: set[str] = set()
    for entry in runs:
        ignored.update(clean(name, 60) for name in items(entry.get("ignored_tables")))
        hours = f"{amount(entry.get('hours_read')):,}/{amount(entry.get('hours_planned')):,}"
        for name, facts in (table(entry.get("tables")) or {ABSENT: {}}).items():
            counts = [f"{amount(table(facts).get(key)):,}" for key in ("rows", "dropped")]
            rows.append([clean(entry.get("run_id"), 60), clean(name, 40), hours, *counts])
    screen.rows("What was read", ("Run", "Table", ">Hours", ">Rows", ">Dropped"), rows[:LINES])
    screen.rest(len(rows), "tables")
    if ignored:
        names = ", ".join(sorted(ignored)[:20])
        screen.line(f"Exported, but no hunt reads {plural(len(ignored), 'table')}: {names}.")
    told = [(entry, said) for entry in runs if (said := limit_words(entry))]
    for entry, said in told[-1:]:
        screen.line(f"Run {clean(entry.get('run_id'), 60)} would have seen implants")
        for line in said:
            screen.line(f"  {line}")


def _timings(stages: Sequence[Json], screen: _Screen) -> None:
    spent = [(clean(s.get("stage"), 40), max(number(s.get("seconds")) or 0.0, 0.0)) for s in stages]
    total = sum(seconds for _, seconds in spent)
    if total <= 0:
        return
    rows = [[words(name), duration(took), f"{took / total:.0%}"] for name, took in spent]
    screen.rows(f"Time: {duration(total)}", ("Stage", ">Time", ">Share"), rows)
