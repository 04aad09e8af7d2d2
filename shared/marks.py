"""Marks: what an event leaves behind, one small document an hour of a table, until it is folded."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

from shared.contract import hour_start, is_hour_key, parse_export_blob
from shared.deployment import Deployment, Turn
from shared.model import Entry
from shared.records import MARKS, mark

log = logging.getLogger("tidehunt.marks")
OLDEST_MARK = timedelta(days=35)
FUTURE_MARK = timedelta(hours=1)
_MARK = re.compile(rf"{MARKS}(?P<workspace>[^/]+)/(?P<table>[^/]+)/(?P<hour>\d{{10}})")


def mark_export(deployment: Deployment, container: str, path: str) -> str:
    """Mark the hour that an export blob's event names; the reason when it is ignored, else "".

    One unconditional write for a known workspace, a hunted table and an hour between 35 days ago
    and one hour ahead; nothing else, so that the number of marks is bounded whatever comes in.
    """
    blob = parse_export_blob(container, path)
    if blob is None:
        return "no export blob"
    if blob.workspace not in deployment.settings.workspaces:
        return "a workspace that is not in TIDEHUNT_WORKSPACES"
    if blob.table not in deployment.tables():
        return "a table that no hunt reads"
    now = deployment.clock()
    start = hour_start(blob.hour)
    if not now - OLDEST_MARK <= start <= now + FUTURE_MARK:
        return "an hour older than 35 days or in the future"
    mark(deployment.records.ledger, blob.workspace, blob.table, blob.hour, now)
    return ""


def grouped(turn: Turn) -> dict[tuple[str, str], dict[str, list[Entry]]]:
    """Workspace, table -> day -> marks that can be folded; others are removed."""
    known = turn.deployment.workspaces()
    groups: dict[tuple[str, str], dict[str, list[Entry]]] = {}
    for entry in turn.deployment.records.ledger.list(MARKS):
        match = _MARK.fullmatch(entry.path)
        if match and match["workspace"] in known and _is_marked_still(turn, match["hour"]):
            days = groups.setdefault((known[match["workspace"]], match["table"]), {})
            days.setdefault(match["hour"][:8], []).append(entry)
        else:
            log.warning("mark of nothing known, or of long ago, removed: %s", entry.path)
            turn.deployment.records.ledger.delete(entry.path)
    return groups


def _is_marked_still(turn: Turn, hour: str) -> bool:
    """False for what cannot be listed in 36 days: marks of a broken day would stay for ever."""
    oldest = turn.now() - OLDEST_MARK - timedelta(days=1)
    return is_hour_key(hour) and hour_start(hour) >= oldest
