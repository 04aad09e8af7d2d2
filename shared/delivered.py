"""What a run delivered, for the revision after it: only what has changed is sent again."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping

from shared import contract as c
from shared.archive import find_run
from shared.deployment import Turn
from shared.errors import TooLarge
from shared.model import Json, Run

log = logging.getLogger("tidehunt.delivered")
BYTES = 100_000_000
"""A million findings, the most that a run may deliver, are 63 MB of ids and hashes."""


def write(turn: Turn, run: Run, hashes: Mapping[str, str]) -> None:
    """Record FindingId -> content hash beside the run's manifest."""
    body = {"schema": 1, "run_id": run.id, "findings": dict(hashes)}
    path = c.delivered_path(run.job or "", run.id)
    turn.deployment.results.write(path, json.dumps(body).encode())


def before(turn: Turn, run: Run) -> Json:
    """What the newest delivered revision before this one held, so that only changes are sent."""
    stem = run.id.rsplit("-r", 1)[0]
    for revision in range(run.revision - 1, -1, -1):
        # Wherever it is: it may have ended and not be put away yet.
        earlier = find_run(turn.deployment.records, f"{stem}-r{revision}", turn.now())
        if earlier is not None and earlier.value.status == "done":
            path = c.delivered_path(earlier.value.job or "", earlier.value.id)
            return _hashes(turn, path)
    return {}


def _hashes(turn: Turn, path: str) -> Json:
    """A delivered.json's FindingIds; none when it cannot be used: all rows are sent again then."""
    try:
        content = turn.deployment.results.read(path, BYTES)
        return dict(json.loads(content)["findings"]) if content else {}
    except (ValueError, KeyError, TypeError, TooLarge) as error:
        log.warning("cannot be used: %s: %s", path, error)
        return {}
