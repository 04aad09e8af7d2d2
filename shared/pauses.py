"""The pause: while it lasts nothing new starts; what runs is watched, delivered and settled."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Literal

from shared.bookkeeping import Pause
from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import Quarantined
from shared.model import Request
from shared.records import REQUESTS, Kept, Records

log = logging.getLogger("tidehunt.pauses")
PAUSE = "pause.json"
ASKED = f"{REQUESTS}pause.json"
"""One document for both: who asks last is heard."""


def paused(records: Records) -> Pause | None:
    """The pause that lasts, or None. One that cannot be read lasts: a person wanted it."""
    try:
        kept = records.load(Pause, PAUSE)
    except Quarantined as error:
        return Pause(None, str(error))
    return kept.value if kept else None


def ask(deployment: Deployment, kind: Literal["pause", "resume"], reason: str, by: str) -> None:
    """Leave a request to pause or to resume; a turn carries it out."""
    request = Request(kind, "", deployment.clock(), reason=reason, by=by)
    deployment.records.ledger.put(ASKED, encode(request))


def carry_out(turn: Turn, request: Request) -> None:
    """Begin the pause, or end it. Repeating it changes nothing."""
    records = turn.deployment.records
    said = f"{request.by or 'somebody'}: {request.reason}"
    if request.kind == "resume":
        records.ledger.delete(PAUSE)
        log.warning("resumed by %s", said)
        return
    asked = Pause(request.asked, request.reason, request.by)
    kept = records.load(Pause, PAUSE) or Kept(PAUSE, asked, None)
    records.save(kept, replace(asked, since=kept.value.since))
    log.warning("paused by %s", said)
