"""The findings of a report as HTML: cards for the best, lines for the rest, incidents."""

from __future__ import annotations

import re
from collections.abc import Sequence

from workbench.report.markup import Html, data_table, el, join, steady
from workbench.report.strip import strip
from workbench.report.text import (
    Incidents,
    by_score,
    endpoints,
    event_times,
    incident_name,
    labels,
    other_evidence,
    score,
    sentence,
    severity,
    traffic,
)
from workbench.report.values import ABSENT, Json, amount, clean, items, number, table, words

_PORTAL = re.compile(
    r"https://(?:portal\.azure|security\.microsoft)\.(?:com|us|cn)/[\w\-.~:/?#@!$&()*+,;=%]{0,2000}",
    re.ASCII,
)
CARDS = 200
"""Findings that are shown in full; the next ones get a line each."""
LINES = 5_000


def findings(found: Sequence[Json], incidents: Incidents) -> Html:
    """The section of findings, best score first; says what was left out."""
    ranked = by_score(found)
    cards, lines = ranked[:CARDS], ranked[CARDS : CARDS + LINES]
    rest = len(ranked) - len(cards) - len(lines)
    if not ranked:
        body = el("p", "No hunt found anything in what was read.", cls="quiet")
    else:
        body = join(_card(finding, incidents) for finding in cards)
    if lines:
        limit = f"The {CARDS} best of {len(ranked):,} findings are shown in full; "
        limit += "the others follow, one line each."
        body = join([el("p", limit, cls="notice"), body, _short_table(lines, incidents)])
    if rest > 0:
        left = (
            f"{rest:,} findings with lower scores are not on this page; all are in the workspace."
        )
        body = join([body, el("p", left, cls="notice")])
    return el("section", el("h2", "Findings"), body, id="findings")


def _card(finding: Json, incidents: Incidents) -> Html:
    times = event_times(finding)
    events = amount(table(finding.get("evidence")).get("Events"))
    name = severity(finding)
    return el(
        "article",
        el(
            "header",
            el("p", chip(name), _suppressed(finding), cls="marks"),
            el("h3", clean(finding.get("title") or finding.get("hunt"))),
            el("p", el("span", "score"), f" {score(finding):.2f}", cls="score"),
        ),
        el("p", steady(sentence(finding)), cls="lead"),
        strip(times, max(events, len(times))),
        el(
            "div",
            _sub_scores(finding),
            _entities(finding),
            _evidence(finding),
            cls="columns",
        ),
        el("footer", _belongs(finding, incidents)),
        cls=f"card {name.lower()}",
    )


def chip(name: str) -> Html:
    """A severity as a coloured word."""
    return el("span", name, cls=f"chip {name.lower()}")


def _suppressed(finding: Json) -> Html | None:
    if not finding.get("suppressed"):
        return None
    reason = finding.get("suppressed_reason")
    return el("span", f"Suppressed{': ' + clean(reason, 120) if reason else ''}", cls="chip off")


def _sub_scores(finding: Json) -> Html:
    rows = []
    for name, value in table(finding.get("sub_scores")).items():
        part = number(value)
        share = min(max(part or 0.0, 0.0), 1.0)
        bar = el("span", style=f"width:{share * 100:.0f}%")
        shown = ABSENT if part is None else f"{part:.2f}"
        rows.append(
            el(
                "tr",
                el("th", words(name), scope="row"),
                el("td", bar, cls="bar", aria_hidden="true"),
                el("td", shown, cls="num"),
            )
        )
    if not rows:
        rows = [el("tr", el("td", "The hunt gave no sub-scores."))]
    return el("table", el("caption", "Why this score"), el("tbody", join(rows)), cls="scores")


def _entities(finding: Json) -> Html:
    facts = [
        (clean(name, 60), clean(value))
        for name, value in table(finding.get("entities")).items()
        if value not in (None, "")
    ]
    shown = _facts(facts) if facts else el("p", "None given.", cls="quiet")
    return el("div", el("h4", "Entities"), shown)


def _evidence(finding: Json) -> Html | None:
    facts = other_evidence(finding)
    return el("div", el("h4", "Evidence"), _facts(facts)) if facts else None


def _facts(pairs: Sequence[tuple[str, str]]) -> Html:
    return el(
        "dl", join(join([el("dt", name), el("dd", value)]) for name, value in pairs), cls="facts"
    )


def _belongs(finding: Json, incidents: Incidents) -> Html:
    incident = incidents.of(finding)
    place: Html | str = "No incident"
    if incident:
        status = clean(incident.get("status"), 40)
        place = join(["Incident ", incident_link(incident), f" ({status})"])
    parts = [
        el("span", place),
        el("span", "Hunt ", clean(finding.get("hunt"), 80)),
        el("span", "Run ", el("code", clean(finding.get("run_id"), 160))),
        el("span", "Finding ", el("code", clean(finding.get("finding_id"), 60))),
    ]
    return Html(" ".join(parts))


def _short_table(ranked: Sequence[Json], incidents: Incidents) -> Html:
    def line(finding: Json) -> list[str]:
        incident = incidents.of(finding)
        return [
            clean(finding.get("title") or finding.get("hunt"), 120),
            chip(severity(finding)),
            f"{score(finding):.2f}",
            *endpoints(finding),
            incident_name(incident) if incident else ABSENT,
            clean(finding.get("finding_id"), 60),
        ]

    heads = ("Finding", "Severity", "Score", "Source", "Destination", "Incident", "FindingId")
    return data_table("The other findings", heads, map(line, ranked), numeric=(2,))


def incident_link(incident: Json) -> Html | str:
    """The incident's name, as a link only when it leads to one of Microsoft's portals."""
    name, url = incident_name(incident), incident.get("url")
    if isinstance(url, str) and _PORTAL.fullmatch(url):
        return el("a", name, href=url, rel="noreferrer")
    return name


def incident_section(incidents: Incidents, found: Sequence[Json]) -> Html:
    """All incidents with the number of the document's findings that belong to each."""
    if not incidents.all:
        nothing = el("p", "No incident was opened.", cls="quiet")
        return el("section", el("h2", "Incidents"), nothing)
    rows = [
        [
            join([incident_link(incident), " ", clean(incident.get("title"), 200)]),
            chip(severity(incident)),
            clean(incident.get("status"), 40),
            labels(incident),
            f"{size:,}",
        ]
        for incident, size in zip(incidents.all, incidents.sizes(found), strict=True)
    ]
    heads = ("Incident", "Severity", "Status", "Labels", "Findings")
    body = data_table("Incidents in Microsoft Sentinel", heads, rows, numeric=(4,))
    return el("section", el("h2", "Incidents"), body)


def answer_key(key: Json) -> Html:
    """The demo's planted implants and benign look-alikes, side by side with what was found."""
    implants = [table(entry) for entry in items(key.get("implants"))]
    benign = [table(entry) for entry in items(key.get("benign"))]
    hit = sum(bool(entry.get("found")) for entry in implants)
    quiet = sum(not entry.get("flagged") for entry in benign)
    said = f"{hit} of {len(implants)} planted implants found; "
    said += f"{quiet} of {len(benign)} benign look-alikes left alone."
    pair = el("div", _planted(implants), _lookalikes(benign), cls="pair")
    return el("section", el("h2", "Beside the answer key"), el("p", said, cls="lead"), pair)


def _planted(implants: Sequence[Json]) -> Html:
    rows = [
        [
            join([clean(entry.get("name"), 80), el("small", _story(entry))]),
            _mark("Found" if entry.get("found") else "Missed", good=bool(entry.get("found"))),
            clean(entry.get("severity"), 20),
        ]
        for entry in implants
    ]
    return data_table("Planted implants", ("Implant", "Outcome", "Severity"), rows)


def _lookalikes(benign: Sequence[Json]) -> Html:
    rows = [
        [
            join([clean(entry.get("name"), 80), el("small", _story(entry))]),
            _mark("Flagged" if entry.get("flagged") else "Quiet", good=not entry.get("flagged")),
        ]
        for entry in benign
    ]
    return data_table("Benign look-alikes", ("Traffic", "Outcome"), rows)


def _story(entry: Json) -> str:
    source, target = traffic(entry)
    told = entry.get("story")
    return f"{source} → {target}" + (f". {clean(told)}" if told else "")


def _mark(word: str, *, good: bool) -> Html:
    sign = el("span", "✓ " if good else "✗ ", aria_hidden="true")
    return el("span", sign, word, cls="good" if good else "bad")
