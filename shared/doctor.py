"""`doctor`: does everything that a deployment needs answer, and may the app do what it must?

Asks each service once, as the app's own identity, and harms nothing: what it writes it deletes, or
writes over the next time. What it cannot ask without doing (a job, an incident, an event) it asks
as far as reading goes, and says so.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from shared.contract import day_key, export_day_folder, workspace_key
from shared.deployment import Deployment
from shared.errors import Forbidden, TidehuntError
from shared.model import Json, Run

ALWAYS = ("FindingId", "FindingKey", "HuntId", "Hunt", "RunId", "Workspace", "SlotStart", "SlotEnd",
          "WindowStart", "WindowEnd", "FindingTitle", "Severity", "Score", "CodeHash")  # fmt: skip
"""Columns of the findings table that the app never leaves empty."""
RESOLUTION_SECONDS = 2.0
"""Storage tells whole seconds, and the probe takes a moment."""
PROBE = "doctor.json"
TABLE = "findings table"
Verdict = Literal["ok", "warning", "failed"]


@dataclass(frozen=True)
class Check:
    """What one question came to; `mend` says what to do unless all is well."""

    name: str
    verdict: Verdict
    said: str
    mend: str = ""


Question = Callable[[Deployment], Iterator[Check]]


def examine(deployment: Deployment) -> list[Check]:
    """Every question, in the order in which a run needs the answers. Raises nothing of ours."""
    return [check for name in QUESTIONS for check in _asked(name, deployment)]


def _asked(name: str, deployment: Deployment) -> list[Check]:
    question, mend = QUESTIONS[name]
    try:
        return list(question(deployment))
    except Forbidden as error:
        return [Check(name, "failed", error.what, mend)]
    except TidehuntError as error:
        return [Check(name, "failed", str(error), error.mend or mend)]


def as_json(checks: list[Check]) -> Json:
    """The answer of `GET /api/doctor`."""
    well = all(check.verdict != "failed" for check in checks)
    return {"well": well, "checks": [vars(check) for check in checks]}


def _judged(name: str, well: bool, said: str, mend: str) -> Check:
    return Check(name, "ok", said) if well else Check(name, "failed", said, mend)


# --- questions ------------------------------------------------------------------------------------


def _hunts(deployment: Deployment) -> Iterator[Check]:
    for fault in deployment.hunt_faults:
        yield Check("hunts", "failed", str(fault), fault.mend or "correct the file")
    names = ", ".join(sorted(spec.module for spec in deployment.hunts))
    mend = "name folders of hunts in TIDEHUNT_HUNT_FOLDERS"
    yield _judged("hunts", bool(names), f"loaded: {names or 'none'}", mend)


def _ledger(deployment: Deployment) -> Iterator[Check]:
    """A document comes and goes; its time tells how far the clocks are apart."""
    ledger, path = deployment.records.ledger, f"health/doctor-{uuid.uuid4().hex}.json"
    ledger.create(path, {"schema": 1})
    try:
        found = [entry for entry in ledger.list("health/") if entry.path == path]
    finally:
        ledger.delete(path)
    yield Check("ledger", "ok", "documents can be written, listed and deleted")
    for entry in found:
        apart = abs((deployment.clock() - entry.modified).total_seconds())
        most = max(RESOLUTION_SECONDS, deployment.settings.clock_margin_seconds / 2)
        said = f"{apart:.0f} s from the storage's clock, {most:.0f} s may be"
        yield _judged("clock", apart <= most, said, "set this host's clock")


def _exports(deployment: Deployment) -> Iterator[Check]:
    hunted = deployment.tables()
    exported = sorted(hunted.intersection(deployment.exports.tables()))
    if not exported:
        mend = f"add an export rule for one of: {', '.join(sorted(hunted))}"
        yield Check("exports", "failed", "no table that a hunt reads is exported", mend)
    for table in exported:
        for workspace in deployment.settings.workspaces:
            yield _fresh(deployment, table, workspace)


def _fresh(deployment: Deployment, table: str, workspace: str) -> Check:
    name, now = f"exports of {table} from {workspace_key(workspace)}", deployment.clock()
    for day in (day_key(now), day_key(now - timedelta(days=1))):
        blobs = deployment.exports.blobs(table, export_day_folder(workspace, day))
        if blobs:
            return Check(name, "ok", f"{len(blobs)} blobs on {day}")
    return Check(name, "warning", "nothing came today or yesterday", "is its export rule on?")


def _results(deployment: Deployment) -> Iterator[Check]:
    deployment.results.write(PROBE, b"{}")
    same = deployment.results.read(PROBE, 1000) == b"{}"
    said = "files can be written and read" if same else "a file is read otherwise than written"
    yield _judged("results", same, said, "is another storage behind the endpoint?")


def _engine(deployment: Deployment) -> Iterator[Check]:
    count = len(deployment.engine.list())
    yield Check("spark", "ok", f"the pool lists {count} jobs; starting one was not tried")


def _findings(deployment: Deployment) -> Iterator[Check]:
    """What a stream or a table does not declare vanishes without a word: look at what arrived."""
    last = next((run for run in deployment.records.recent() if run.counts.sent), None)
    if last is None:
        deployment.workspace.count_findings("doctor")
        yield Check(TABLE, "ok", "can be asked; its columns show after a delivery")
    else:
        yield _columns(deployment, last)


def _columns(deployment: Deployment, run: Run) -> Check:
    rows = deployment.workspace.sample_findings(run.id)
    if not rows:
        mend = "kept no longer, or the daily cap of the workspace is reached"
        return Check(TABLE, "warning", f"no row of {run.id} can be read back", mend)
    empty = [name for name in ALWAYS if all(row.get(name) in (None, "") for row in rows)]
    said = f"columns that arrive empty: {', '.join(empty)}" if empty else "has what was sent"
    mend = "declare them in the stream of the collection rule and in the table"
    return _judged(TABLE, not empty, f"{said} ({len(rows)} rows of {run.id})", mend)


def _incidents(deployment: Deployment) -> Iterator[Check]:
    for workspace in deployment.settings.workspaces:
        deployment.incidents.get(workspace, str(uuid.UUID(int=0)))
        name = f"incidents of {workspace_key(workspace)}"
        yield Check(name, "ok", "can be read; opening one was not tried")


QUESTIONS: dict[str, tuple[Question, str]] = {
    "hunts": (_hunts, ""),
    "ledger": (_ledger, "give the app Storage Blob Data Contributor on the container `ledger`"),
    "exports": (
        _exports,
        "give the app Reader on the exports account and Storage Blob Data Reader on its containers",
    ),
    "results": (_results, "give the app Storage Blob Data Contributor on the container `results`"),
    "spark": (_engine, "give the app Synapse Compute Operator on the pool"),
    TABLE: (_findings, "give the app Log Analytics Reader on the findings workspace"),
    "incidents": (_incidents, "give the app Microsoft Sentinel Responder on each workspace"),
}
"""Name -> question, and the mend when the service says no."""
