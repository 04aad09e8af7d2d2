"""What a report says of findings, incidents and coverage: the same words on page and terminal."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from workbench.report.values import (
    ABSENT,
    Json,
    amount,
    clean,
    duration,
    items,
    moment,
    moments,
    number,
    plural,
    table,
    when,
    words,
)

SEVERITIES = ("High", "Medium", "Low", "Informational")
ALARMING = ("High", "Medium")


def severity(finding: Json) -> str:
    """One of SEVERITIES; anything else counts as the lowest."""
    said = finding.get("severity")
    return str(said) if said in SEVERITIES else SEVERITIES[-1]


def score(finding: Json) -> float:
    """The finding's score, 0 when there is none."""
    return number(finding.get("score")) or 0.0


def by_score(findings: Sequence[Json]) -> list[Json]:
    """Best score first; the order of equal ones does not depend on the document's."""
    return sorted(
        findings,
        key=lambda f: (-score(f), SEVERITIES.index(severity(f)), str(f.get("finding_id"))),
    )


def event_times(finding: Json) -> list[float]:
    """Epoch seconds of a finding's events, sorted."""
    return moments(table(finding.get("evidence")).get("EventTimes"))


def endpoints(finding: Json) -> tuple[str, str]:
    """(source, destination) as an analyst would say them; "-" for what is unknown."""
    entities = table(finding.get("entities"))
    source = entities.get("SrcIpAddr") or entities.get("SrcHostname")
    host, address = entities.get("DstHostname"), entities.get("DstIpAddr")
    target = clean(host or address, 120)
    port = entities.get("DstPortNumber")
    return clean(source, 120), target if port in (None, "") else f"{target}:{clean(port, 10)}"


def traffic(entry: Json) -> tuple[str, str]:
    """(source, destination) of an answer key's entry, which may name several of each."""
    hosts, targets = items(entry.get("hosts")), items(entry.get("DstIpAddrs"))
    source, target = endpoints({"entities": entry})
    if hosts:
        source = plural(len(hosts), "host")
    if targets:
        more = f" and {len(targets) - 1} more" if len(targets) > 1 else ""
        target = f"{clean(targets[0], 60)}{more}, port {clean(entry.get('DstPortNumber'), 10)}"
    return source, target


def sentence(finding: Json) -> str:
    """The evidence in plain language."""
    evidence, (source, target) = table(finding.get("evidence")), endpoints(finding)
    said = [f"{source} contacted {target}"]
    if events := amount(evidence.get("Events")):
        said.append(plural(events, "time"))
    interval = number(evidence.get("IntervalSeconds"))
    if interval and interval > 0:
        said.append(f"about every {duration(interval)}")
    first, last = moment(finding.get("first_seen")), moment(finding.get("last_seen"))
    if first and last:
        span = duration(max((last - first).total_seconds(), 0))
        said.append(f"from {when(first)} to {when(last)} UTC ({span})")
    return ", ".join(said) + "."


def other_evidence(finding: Json) -> list[tuple[str, str]]:
    """(name, value) of the evidence that the sentence and the strip do not show."""
    evidence, shown = table(finding.get("evidence")), ("Events", "IntervalSeconds", "EventTimes")
    return [
        (words(name), clean(value, 200)) for name, value in evidence.items() if name not in shown
    ]


class Incidents:
    """The incidents of a document, and which of them a finding belongs to."""

    def __init__(self, incidents: Sequence[Json]) -> None:
        self.all = tuple(incidents)
        self._by_id = {str(incident.get("id")): incident for incident in reversed(self.all)}
        self._by_title = {
            _letters(incident.get("title")): incident for incident in reversed(self.all)
        }

    def of(self, finding: Json) -> Json | None:
        """By `incident_id` where the document says so; else the incident of the same title."""
        if wanted := finding.get("incident_id"):
            return self._by_id.get(str(wanted))
        title = _letters(finding.get("title"))
        return self._by_title.get(title) if title else None

    def sizes(self, found: Iterable[Json]) -> list[int]:
        """How many of these findings belong to each incident, in the incidents' order."""
        held = Counter(id(owner) for owner in map(self.of, found) if owner is not None)
        return [held[id(incident)] for incident in self.all]


def _letters(title: object) -> str:
    """Letters and digits of a title: what is left equal when Sentinel's copy was made harmless."""
    defanged = re.sub(r"(?i)http(?=s?://)", "hxxp", str(title or "")[:400])
    return "".join(char for char in defanged.casefold() if char.isalnum())[:150]


def incident_name(incident: Json) -> str:
    """How people call it: its number, else the head of its id."""
    shown = incident.get("number")
    return f"#{clean(shown, 20)}" if shown not in (None, "") else clean(incident.get("id"), 8)


def labels(incident: Json) -> str:
    """Labels as text; Sentinel's own shape {"labelName": ...} is understood."""
    names = [
        entry.get("labelName") if isinstance(entry, dict) else entry
        for entry in items(incident.get("labels"))
    ]
    return ", ".join(clean(name, 60) for name in names[:20]) or ABSENT


def hours_read(document: Json) -> tuple[int, int]:
    """(read, planned) over all runs of the coverage."""
    coverage = [table(entry) for entry in items(document.get("coverage"))]
    read = sum(amount(entry.get("hours_read")) for entry in coverage)
    return read, sum(amount(entry.get("hours_planned")) for entry in coverage)


def verdict(document: Json) -> str:
    """The first thing to say: what was found, or plainly that nothing was."""
    findings = [table(entry) for entry in items(document.get("findings"))]
    if not findings:
        return "Nothing was found."
    live = [finding for finding in findings if not finding.get("suppressed")]
    counts = Counter(severity(finding) for finding in live)
    alarming = sum(counts[name] for name in ALARMING)
    quiet = len(findings) - len(live)
    rest = _named(counts, SEVERITIES[len(ALARMING) :]) + (
        [f"{quiet:,} suppressed"] if quiet else []
    )
    if not alarming:
        return f"Nothing at severity Medium or above; {', '.join(rest)}."
    need = "finding needs" if alarming == 1 else "findings need"
    loud = ", ".join(_named(counts, ALARMING))
    return f"{alarming:,} {need} a look ({loud}){'; ' + ', '.join(rest) if rest else ''}."


def _named(counts: Counter[str], severities: Sequence[str]) -> list[str]:
    return [f"{counts[name]:,} {name}" for name in severities if counts[name]]


def what_was_read(document: Json) -> str:
    """One sentence: hours, rows and tables, and what is missing."""
    coverage = [table(entry) for entry in items(document.get("coverage"))]
    if not coverage:
        return "No run has reported what it read."
    read, planned = hours_read(document)
    tables = [table(entry.get("tables")) for entry in coverage]
    rows = sum(amount(table(facts).get("rows")) for each in tables for facts in each.values())
    dropped = sum(amount(table(facts).get("dropped")) for each in tables for facts in each.values())
    names = sorted({clean(name, 60) for each in tables for name in each})
    said = (
        f"Read {read:,} of {planned:,} planned hours and {plural(rows, 'row')} "
        f"of {', '.join(names[:8]) or 'no table'} in {plural(len(coverage), 'run')}"
    )
    missing = sum(amount(entry.get("hours_missing")) for entry in coverage)
    gaps = [plural(missing, "hour") + " missing"] if missing else []
    gaps += [plural(dropped, "line") + " dropped"] if dropped else []
    return f"{said}; {', '.join(gaps) or 'nothing missing, no line dropped'}."
