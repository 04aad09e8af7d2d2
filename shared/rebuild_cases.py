"""Cases, from what was delivered and the incidents that Sentinel holds under their ids."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta

from shared import contract as c
from shared import incidents
from shared.cases import FOUND
from shared.delivery import BadRow, content_hash, read_finding
from shared.deployment import Deployment
from shared.incidents import DELETED, Evidence
from shared.manifests import read_manifest
from shared.model import Case, HuntSpec, Run
from shared.records import case_path

MISSES = 2
"""Generations in a row without an incident before there is none further on: some were deleted."""


@dataclass(frozen=True)
class _Told:
    """The newest evidence of a case, the run that brought it, and the highest severity so far."""

    run: Run
    spec: HuntSpec
    evidence: Evidence
    severity: str


def cases_of(deployment: Deployment, runs: Iterable[Run]) -> dict[str, object]:
    """Ledger path -> case, of every case that had an incident or was to have one."""
    told: dict[str, _Told] = {}
    ended = [run for run in runs if run.incidents and run.step in ("", "incidents", "read-back")]
    for run in sorted(ended, key=lambda run: run.since):
        spec = deployment.hunt(run.hunt)
        if spec is not None and (run.status == "done" or run.step):
            _tell(deployment, told, run, spec)
    cases = ((key, _case(deployment, key, one)) for key, one in told.items())
    return {case_path(key): case for key, case in cases if case is not None}


def _tell(deployment: Deployment, told: dict[str, _Told], run: Run, spec: HuntSpec) -> None:
    best: dict[str, Evidence] = {}
    for evidence in _found(deployment, run):
        best.setdefault(incidents.case_key(evidence.finding, run, spec), evidence)
    for key, evidence in list(best.items())[: deployment.settings.incidents_a_run]:
        severity = str(evidence.finding["Severity"])
        if key in told and FOUND.index(told[key].severity) > FOUND.index(severity):
            severity = told[key].severity
        told[key] = _Told(run, spec, evidence, severity)


def _found(deployment: Deployment, run: Run) -> Iterator[Evidence]:
    """A run's findings that concern a case, best first."""
    job_id = run.job or ""
    manifest = read_manifest(deployment.results, job_id, run.id)
    for part in manifest.parts if manifest else ():
        path = f"{c.run_folder(job_id, run.id)}/{part}"
        for line, _ in deployment.results.lines(path, 0, c.LINE_BYTES):
            try:
                finding = read_finding(line, run) if line.strip() else {"Severity": ""}
            except BadRow:
                continue
            if finding["Severity"] in FOUND:
                yield Evidence(finding, content_hash(line))


def _case(deployment: Deployment, key: str, told: _Told) -> Case | None:
    """The case with its newest incident; without any, an analyst has deleted it, or it is to come.

    An incident of a run that has ended was opened, so that it stays deleted for its time.
    """
    run = told.run
    generation = _generation(deployment, run.workspace, key)
    if generation == 0 and run.status != "done":
        return None
    case = Case(
        key,
        run.hunt_guid,
        run.workspace,
        generation=max(1, generation),
        incident_id=incidents.incident_id(key, max(1, generation)),
        severity=told.severity,
        evidence=told.evidence.name,
        opened=run.since,
    )
    if generation:
        return case
    until = run.since + timedelta(days=told.spec.quiet_days)
    return replace(case, quiet_until=until, learned_from=DELETED)


def _generation(deployment: Deployment, workspace: str, key: str) -> int:
    """The newest generation whose incident is there; 0: none is."""
    newest = at = 0
    while at < newest + MISSES:
        at += 1
        if deployment.incidents.get(workspace, incidents.incident_id(key, at)) is not None:
            newest = at
    return newest
