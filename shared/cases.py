"""Findings -> their cases -> incidents in Sentinel, each saved before it is acted on."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from shared import incidents
from shared import messages as m
from shared.classes import within_cap
from shared.contract import FOUND_SEVERITY, SEVERITIES, day_key
from shared.deployment import Turn
from shared.errors import (
    BadInput,
    Conflict,
    Forbidden,
    Missing,
    Permanent,
    Rejected,
    Throttled,
    TooLarge,
    Transient,
)
from shared.incidents import Evidence, Open, Quiet, Update, Verdict
from shared.model import Case, HuntSpec, Incident, Json, Run
from shared.quarantine import level
from shared.records import Kept

log = logging.getLogger("tidehunt.cases")
ROLL_UPS = 0.1
"""Share of the day's incidents that roll-ups may open beyond the cap: they tell that it bites."""
FOUND = SEVERITIES[SEVERITIES.index(FOUND_SEVERITY) :]


@dataclass(frozen=True)
class Cases:
    """The cases of one run's findings, as Sentinel and the ledger hold them now."""

    turn: Turn
    spec: HuntSpec

    def quiet_reason(self, run: Run, evidence: Evidence) -> str:
        """Why a finding is ingested as suppressed, or "". Learns nothing yet."""
        if evidence.finding["Severity"] not in FOUND:
            return ""
        try:
            _, _, verdict = self._verdict(run, evidence)
        except BadInput as error:
            log.log(level(error), "no word of the analyst is known: %s", error)
            return ""
        return verdict.reason if isinstance(verdict, Quiet) and verdict.suppressed else ""

    def settle(self, run: Run, evidence: Evidence) -> m.CaseSettled:
        """Bring one case's incident up to date, and tell what was done.

        What Sentinel refuses to take, or a case that cannot be read, stops this case only.
        """
        try:
            return self._settle(run, evidence)
        except (Rejected, TooLarge, BadInput) as error:
            log.log(level(error), "no incident for %s: %s", evidence.finding["FindingId"], error)
            return m.CaseSettled(self.turn.now())

    def _settle(self, run: Run, evidence: Evidence) -> m.CaseSettled:
        kept, incident, verdict = self._verdict(run, evidence)
        if isinstance(verdict, Open):
            return self._open(run, kept, verdict)
        if isinstance(verdict, Update) and incident is not None:
            return self._update(run, kept, incident, verdict)
        self.turn.deployment.records.save(kept, verdict.case)
        return m.CaseSettled(self.turn.now(), quiet=1)

    def _verdict(self, run: Run, evidence: Evidence) -> tuple[Kept[Case], Incident | None, Verdict]:
        key = incidents.case_key(evidence.finding, run, self.spec)
        kept = self.turn.deployment.records.case(key, run.hunt_guid, run.workspace)
        incident = None
        if kept.value.incident_id:
            sink = self.turn.deployment.incidents
            incident = sink.get(run.workspace, kept.value.incident_id)
        verdict = incidents.judge(kept.value, incident, evidence, self.spec, self.turn.now())
        return kept, incident, verdict

    def _open(self, run: Run, kept: Kept[Case], verdict: Open) -> m.CaseSettled:
        records, now = self.turn.deployment.records, self.turn.now()
        case, today = verdict.case, day_key(now)
        if case.counted != today:
            if not _reserve(self.turn, run):
                return m.CaseSettled(now)
            # A crash here counts it again: too much is counted, never too little.
            case = replace(case, counted=today)
        kept = records.save(kept, case)
        # A crash here leaves a case that is not opened: the same incident id is created again.
        _create(self.turn, run, case.incident_id, verdict.properties)
        records.save(kept, replace(case, opened=self.turn.now()))
        return m.CaseSettled(self.turn.now(), opened=1)

    def _update(
        self, run: Run, kept: Kept[Case], incident: Incident, verdict: Update
    ) -> m.CaseSettled:
        try:
            self._write(run, incident, verdict)
        except (Conflict, Missing) as error:
            raise Transient(f"it has changed meanwhile: {error.what}", where=incident.id) from error
        # A crash here adds the same comment under the same id again.
        self.turn.deployment.records.save(kept, verdict.case)
        return m.CaseSettled(self.turn.now(), updated=1)

    def _write(self, run: Run, incident: Incident, verdict: Update) -> None:
        sink = self.turn.deployment.incidents
        # Properties first: a comment gives the incident a new ETag.
        if verdict.properties != incident.properties:
            sink.put(run.workspace, incident.id, verdict.properties, incident.etag)
        if verdict.comment_id:
            try:
                sink.comment(run.workspace, incident.id, verdict.comment_id, verdict.comment)
            except Rejected as error:
                log.warning("no comment on incident %s: %s", incident.id, error)


def settle_incidents(
    cases: Cases,
    run: Callable[[], Run],
    found: Iterable[Evidence],
    decide: Callable[[m.Event], None],
) -> None:
    """Open and update the incidents of a run; the best cases first, one roll-up for the rest.

    `run` gives the run as saved last; what was settled in an earlier turn is not settled again.
    """
    turn, spec = cases.turn, cases.spec
    settings = turn.deployment.settings
    if run().incidents and settings.incident_route == "arm":
        best, count = _best_cases(run(), spec, found, settings.incidents_a_run)
        for one in best[run().case :]:
            if not turn.has_room():
                return
            decide(cases.settle(run(), one))
        rest = count - len(best) + _unopened(run())
        # Rows that are sent again bring none back that a person has deleted.
        if (rest or run().counts.withheld) and not run().resent:
            _roll_up(turn, run(), spec, rest)
    decide(m.IncidentsSettled(turn.now(), turn.later(settings.readback_seconds)))


def _unopened(run: Run) -> int:
    """Cases that were settled without an incident: the day's cap, or Sentinel refused them."""
    return run.case - run.counts.opened - run.counts.updated - run.counts.quiet


def _best_cases(
    run: Run, spec: HuntSpec, found: Iterable[Evidence], most: int
) -> tuple[list[Evidence], int]:
    """The best finding of each of the first `most` cases, and how many cases there are.

    Of the others only the keys are held: findings may be a megabyte each.
    """
    keys: set[str] = set()
    best: list[Evidence] = []
    for one in found:
        if one.finding["Severity"] not in FOUND:
            continue
        key = incidents.case_key(one.finding, run, spec)
        if key not in keys and len(best) < most:
            best.append(one)
        keys.add(key)
    return best, len(keys)


def _reserve(turn: Turn, run: Run, beyond: float = 0.0) -> bool:
    """Count an incident against the day's cap, or that share beyond it, before it is opened."""
    kept = turn.deployment.records.budget(day_key(turn.now()))
    cap = turn.deployment.settings.incidents_a_day
    if not within_cap(run, kept.value.incidents + 1, cap + math.ceil(cap * beyond)):
        log.warning("TIDEHUNT_INCIDENTS_A_DAY reached: an incident is not opened")
        return False
    turn.deployment.records.save(kept, replace(kept.value, incidents=kept.value.incidents + 1))
    return True


def _give_back(turn: Turn) -> None:
    kept = turn.deployment.records.budget(day_key(turn.now()))
    fewer = max(0, kept.value.incidents - 1)
    turn.deployment.records.save(kept, replace(kept.value, incidents=fewer))


def _create(turn: Turn, run: Run, incident_id: str, properties: Json) -> None:
    """Create an incident; one that is there already is ours."""
    sink = turn.deployment.incidents
    try:
        sink.put(run.workspace, incident_id, properties, None)
    except Conflict as error:
        if sink.get(run.workspace, incident_id) is None:
            raise Transient(f"refused, and not there: {error.what}", where=run.id) from error
        log.info("incident is there already: %s", incident_id)


def _roll_up(turn: Turn, run: Run, spec: HuntSpec, rest: int) -> None:
    key = incidents.incident_id(f"roll-up|{run.workspace}|{run.hunt_guid}|{run.id}", 1)
    known = turn.deployment.incidents.get(run.workspace, key)
    if known is not None or not _reserve(turn, run, ROLL_UPS):
        return
    try:
        _create(turn, run, key, incidents.roll_up(run, spec, rest, run.counts.withheld))
    except (Throttled, Forbidden, Permanent):
        # It was certainly not opened, and is tried again.
        _give_back(turn)
        raise
