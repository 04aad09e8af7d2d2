"""Cases that an analyst's word keeps quiet: told page by page, and made to speak again by request.

A case learns that its incident was closed as benign, or deleted, when its finding comes again; from
then on it is quiet for the hunt's `quiet_days`. Revoking ends that time: the next finding is news.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from shared.contract import workspace_key
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import BadInput, TidehuntError
from shared.incidents import lesson_stands
from shared.model import Case, Json, Request
from shared.records import CASES, REQUESTS, case_path

log = logging.getLogger("tidehunt.quiet")
PAGE = 100
"""Cases that are read for one answer: each is a request of its own."""
NOTHING: Json = {"quiet": [], "next": None}


def told(deployment: Deployment, after: str = "") -> Json:
    """A page of the cases that are quiet now; `next` is what to ask for after it, or None.

    A case that was last written longer ago than any hunt's quiet time is not read.
    """
    now, paths = deployment.clock(), _recent(deployment, after)
    page = [path for path, _ in zip(paths, range(PAGE), strict=False)]
    cases = [kept.value for kept in deployment.records.usable(Case, page)]
    return {
        "quiet": [_summary(deployment, case) for case in cases if is_quiet(case, now)],
        "next": page[-1] if len(page) == PAGE else None,
    }


def _recent(deployment: Deployment, after: str) -> Iterator[str]:
    longest = max((spec.quiet_days for spec in deployment.hunts), default=0)
    oldest = deployment.clock() - timedelta(days=longest + 1)
    for entry in deployment.records.ledger.list(CASES):
        if entry.path > after and entry.modified >= oldest:
            yield entry.path


def is_quiet(case: Case, now: datetime) -> bool:
    """True while findings of the case are ingested as suppressed."""
    return case.quiet_until is not None and now < case.quiet_until


def _summary(deployment: Deployment, case: Case) -> Json:
    hunts = {spec.guid: spec.module for spec in deployment.hunts}
    return {
        "case": case.key,
        "hunt": hunts.get(case.hunt_guid, case.hunt_guid),
        "workspace": workspace_key(case.workspace),
        "until": case.quiet_until.isoformat() if case.quiet_until else None,
        "reason": case.learned_from,
        "incident": case.incident_id,
    }


def ask_revoke(deployment: Deployment, key: str, reason: str, by: str) -> bool:
    """Leave a request to let a case speak again; False when there is no such case.

    BadInput when it is not quiet.
    """
    if not _is_key(key):
        return False
    kept = deployment.records.load(Case, case_path(key))
    if kept is None:
        return False
    if not is_quiet(kept.value, deployment.clock()):
        raise BadInput("the case is not quiet", where=key, mend="GET /api/quiet lists those")
    request = Request("revoke", key, deployment.clock(), reason=reason, by=by)
    deployment.records.ledger.put(f"{REQUESTS}{key}.revoke.json", encode(request))
    return True


def _is_key(key: str) -> bool:
    try:
        return str(uuid.UUID(key)) == key
    except ValueError:
        return False


def carry_out(turn: Turn, request: Request) -> None:
    """End a case's quiet time. The lesson stays known, so that it is not learned again.

    Unless it stands no more: the analyst's next word may be the same, and is a new one.
    """
    records, now = turn.deployment.records, turn.now()
    kept = records.load(Case, case_path(request.run_id)) if _is_key(request.run_id) else None
    if kept is not None and is_quiet(kept.value, now):
        known = kept.value.learned_from if _stands(turn, kept.value) else ""
        records.save(kept, replace(kept.value, quiet_until=now, learned_from=known))
        log.warning("case %s speaks again: %s", kept.value.key, request.reason or "no reason")


def _stands(turn: Turn, case: Case) -> bool:
    """Whether the analyst's word is still what was learned; as far as Sentinel tells now."""
    try:
        found = turn.deployment.incidents.get(case.workspace, case.incident_id)
    except TidehuntError as error:
        log.warning("the incident of case %s is not looked at: %s", case.key, error)
        return True
    return lesson_stands(found)
