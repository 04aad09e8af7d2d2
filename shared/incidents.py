"""Case + finding + what Sentinel holds -> open, update, or stay quiet. Pure.

One incident per CaseKey and generation. The analyst wins: what a person wrote is never written
over; a benign closure keeps the case quiet until the spec's expiry; a deleted incident stays
deleted as long; after a closure as true positive, new evidence opens the next generation.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from shared.contract import (
    NAMESPACE,
    SEVERITIES,
    canonical_identity,
    withheld_folder,
    workspace_key,
)
from shared.model import Case, HuntSpec, Incident, Json, Run

DESCRIPTION_LIMIT = 5_000
COMMENT_LIMIT = 30_000
TITLE_LIMIT = 200
COMMENTS_OF_OURS = 90
"""Sentinel takes 100 comments an incident; the last ten are the analyst's."""
BENIGN = ("BenignPositive", "FalsePositive")
LABEL = "Tidehunt"
DELETED = "its incident was deleted"


@dataclass(frozen=True)
class Evidence:
    """A finding as the job wrote it, and the hash of its content."""

    finding: Json
    content: str

    @property
    def name(self) -> str:
        """Names this very evidence: the same finding with other measures is another."""
        return f"{self.finding['FindingId']}|{self.content}"


@dataclass(frozen=True)
class Open:
    """Create this incident; `case` is saved before."""

    case: Case
    properties: Json


@dataclass(frozen=True)
class Update:
    """Add a comment (none: there is no room) and write these properties over what was read."""

    case: Case
    comment_id: str
    comment: str
    properties: Json


@dataclass(frozen=True)
class Quiet:
    """Write nothing to Sentinel; `suppressed` findings are ingested with this reason."""

    case: Case
    reason: str
    suppressed: bool


Verdict = Open | Update | Quiet


def case_key(finding: Json, run: Run, spec: HuntSpec) -> str:
    """uuid5 over the spec's grouping columns; by default the FindingKey."""
    if not spec.case_key:
        return str(finding["FindingKey"])
    columns = {**(finding.get("Entities") or {}), **finding["Identity"]}
    chosen = {name: columns.get(name) for name in spec.case_key}
    place = workspace_key(run.workspace)
    return str(uuid.uuid5(NAMESPACE, "case|" + canonical_identity(place, run.hunt_guid, chosen)))


def incident_id(key: str, generation: int) -> str:
    """The id that we choose, so that creating twice is creating once."""
    return str(uuid.uuid5(NAMESPACE, f"incident|{key}|{generation}"))


def judge(
    case: Case, found: Incident | None, evidence: Evidence, spec: HuntSpec, now: datetime
) -> Verdict:
    """What new evidence means for a case; `found` is the incident that the case names, if any."""
    if found is not None and case.opened is None:
        case = replace(case, opened=now)  # a crash came between creating it and saving that
    if case.quiet_until is not None and now < case.quiet_until and lesson_stands(found):
        return Quiet(case, f"quiet until {case.quiet_until:%Y-%m-%d}: {case.learned_from}", True)
    if not case.incident_id or (found is None and case.opened is None):
        return _open(case, max(case.generation, 1), evidence, spec)
    if found is None:
        return _learn(case, DELETED, evidence, spec, now)
    if found.properties.get("status") == "Closed":
        return _after_closure(case, found, evidence, spec, now)
    if case.evidence == evidence.name:
        return Quiet(case, "the incident has this evidence already", suppressed=False)
    return _update(case, found, evidence)


def lesson_stands(found: Incident | None) -> bool:
    """False when the analyst has reopened the incident, or closed it as something else since."""
    if found is None:
        return True
    properties = found.properties
    return properties.get("status") == "Closed" and properties.get("classification") in BENIGN


def _open(case: Case, generation: int, evidence: Evidence, spec: HuntSpec) -> Open:
    name = incident_id(case.key, generation)
    opened = replace(
        case,
        generation=generation,
        incident_id=name,
        severity=str(evidence.finding["Severity"]),
        evidence=evidence.name,
        opened=None,
        counted=case.counted if case.incident_id == name else "",
        quiet_until=None,
        learned_from="",
    )
    return Open(opened, new_incident(evidence.finding, spec))


def _after_closure(
    case: Case, found: Incident, evidence: Evidence, spec: HuntSpec, now: datetime
) -> Verdict:
    classification = str(found.properties.get("classification", "Undetermined"))
    if classification in BENIGN:
        lesson = f"incident {found.id} was closed as {classification}"
        return _learn(case, lesson, evidence, spec, now)
    if case.evidence == evidence.name:
        return Quiet(case, "closed with this evidence", suppressed=False)
    return _open(case, case.generation + 1, evidence, spec)


def _learn(case: Case, lesson: str, evidence: Evidence, spec: HuntSpec, now: datetime) -> Verdict:
    if case.learned_from == lesson:
        # The quiet time of this very lesson has passed: new evidence is news again.
        return _open(case, case.generation + 1, evidence, spec)
    until = now + timedelta(days=spec.quiet_days)
    after = replace(case, quiet_until=until, learned_from=lesson)
    return Quiet(after, f"quiet until {until:%Y-%m-%d}: {lesson}", suppressed=True)


def _update(case: Case, found: Incident, evidence: Evidence) -> Verdict:
    properties = dict(found.properties)
    severity = str(evidence.finding["Severity"])
    after = replace(case, evidence=evidence.name, quiet_until=None, learned_from="")
    if properties.get("severity") == case.severity and _above(severity, case.severity):
        properties["severity"] = severity
        after = replace(after, severity=severity)
    last = evidence.finding.get("LastSeen")
    if last and _later(last, properties.get("lastActivityTimeUtc")):
        properties["lastActivityTimeUtc"] = last
    if _comments(found) >= COMMENTS_OF_OURS:
        return Update(after, "", "", properties)
    comment_id = str(uuid.uuid5(NAMESPACE, f"comment|{found.id}|{evidence.name}"))
    return Update(after, comment_id, describe(evidence.finding, COMMENT_LIMIT), properties)


def _comments(found: Incident) -> int:
    """How many comments Sentinel says that the incident has."""
    held = (found.properties.get("additionalData") or {}).get("commentsCount")
    return held if isinstance(held, int) else 0


def _later(time: str, other: Any) -> bool:
    """Times, not text: the service writes fractions of seconds where a job writes none."""
    try:
        return datetime.fromisoformat(time) > datetime.fromisoformat(str(other))
    except (ValueError, TypeError):
        return not other


def _above(severity: str, other: str) -> bool:
    order = {name: rank for rank, name in enumerate(SEVERITIES)}
    return order.get(severity, 0) > order.get(other, 0)


def new_incident(finding: Json, spec: HuntSpec) -> Json:
    """The properties of a new incident, in Sentinel's shape."""
    properties: Json = {
        "title": plain(str(finding["Title"]))[:TITLE_LIMIT],
        "description": describe(finding, DESCRIPTION_LIMIT),
        "severity": finding["Severity"],
        "status": "New",
        "labels": [{"labelName": LABEL}, {"labelName": spec.module}],
    }
    for name, column in (
        ("firstActivityTimeUtc", "FirstSeen"),
        ("lastActivityTimeUtc", "LastSeen"),
    ):
        if finding.get(column):
            properties[name] = finding[column]
    return properties


def roll_up(run: Run, spec: HuntSpec, cases: int, withheld: int) -> Json:
    """The one incident that stands for all cases above the cap of a run."""
    text = (
        f"{cases} further cases and {withheld} withheld findings of this run opened no incident of "
        f"their own (TIDEHUNT_INCIDENTS_A_RUN, TIDEHUNT_FINDINGS_A_RUN).\n"
        f"The cases: TidehuntFindings_CL | where RunId == '{run.id}'"
    )
    if withheld:
        folder = withheld_folder(run.job or "", run.id)
        text += f"\nThe withheld findings, as lines of JSON in the lake: results/{folder}/"
    return {
        "title": f"{plain(spec.name)}: {cases + withheld} more in one run"[:TITLE_LIMIT],
        "description": text[:DESCRIPTION_LIMIT],
        "severity": "Medium",
        "status": "New",
        "labels": [{"labelName": LABEL}, {"labelName": spec.module}, {"labelName": "roll-up"}],
    }


def describe(finding: Json, limit: int) -> str:
    """A finding in plain lines, defanged; at most `limit` code points."""
    lines = [plain(str(finding["Title"]))[:TITLE_LIMIT], ""]
    lines.append(f"Score {float(finding['Score']):.2f}, severity {finding['Severity']}.")
    lines.append(plain(f"Seen {finding.get('FirstSeen')} to {finding.get('LastSeen')}."))
    lines.extend(_section("Entities", finding.get("Entities", {})))
    lines.extend(_section("Sub-scores", finding.get("SubScores", {})))
    lines.extend(_section("Evidence", finding.get("Evidence", {})))
    lines.extend(["", f"FindingId {finding['FindingId']} in TidehuntFindings_CL"])
    return "\n".join(lines)[:limit]


def _section(title: str, values: Any) -> list[str]:
    if not isinstance(values, dict) or not values:
        return []
    short = {name: value for name, value in values.items() if not isinstance(value, list | dict)}
    facts = [plain(f"- {name}: {_short(value)}") for name, value in short.items()]
    return ["", f"{title}:", *facts]


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)[:500]


def plain(text: str) -> str:
    """Hostile text made plain: one line, no markup that renders, no link that opens."""
    line = "".join(char if char.isprintable() else " " for char in text)
    line = line.replace("<", "(").replace(">", ")").replace("`", "'").replace("![", "! [")
    line = re.sub(r"\](?=[(\[:])", "] ", line)
    return re.sub(r"(?i)http(?=s?:)", "hxxp", line).replace("://", "[:]//").strip()
