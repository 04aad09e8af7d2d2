"""The pause: while it lasts nothing new starts; what runs is watched, delivered and settled."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Literal

from shared.deployment import Deployment, Turn
from shared.documents import encode
from shared.errors import BadInput
from shared.model import Request
from shared.quarantine import level
from shared.records import REQUESTS, Kept, Records

log = logging.getLogger("tidehunt.pauses")
PAUSE = "pause.json"
ASKED = f"{REQUESTS}pause.json"
"""One document for both: who asks last is heard."""


@dataclass(frozen=True)
class Pause:
    """Why nothing new starts, since when, and who said so."""

    since: datetime | None
    reason: str
    by: str = ""


def paused(records: Records) -> Pause | None:
    """The pause that lasts, or None. One that cannot be read lasts: a person wanted it."""
    try:
        kept = records.load(Pause, PAUSE)
    except BadInput as error:
        log.log(level(error), "quarantined: %s", error)
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
