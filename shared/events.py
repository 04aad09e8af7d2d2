"""What Event Grid says, taken as hints: an event can only set a bounded mark or wake a turn."""

from __future__ import annotations

import logging

from shared import control_loop, marks
from shared.contract import parse_manifest_path
from shared.deployment import Deployment
from shared.model import StorageEvent

log = logging.getLogger("tidehunt.events")
KEPT = 1000
"""Characters of an ignored event that go into the log."""


def export_blob_created(deployment: Deployment, event: StorageEvent | None) -> None:
    """Mark the hour that the blob belongs to. What is not an export's is counted and forgotten."""
    reason = _foreign(event, deployment.settings.exports_account)
    if event is not None and not reason:
        reason = marks.mark_export(deployment, event.container, event.path)
    if reason:
        _ignore(event, reason)
    control_loop.take_turn_if_stale(deployment)


def result_created(deployment: Deployment, event: StorageEvent | None) -> None:
    """Deliver the run whose manifest landed; the tick finishes what is left."""
    reason = _foreign(event, deployment.settings.state_account)
    named = parse_manifest_path(event.path) if event is not None and not reason else None
    if event is None or named is None or event.container != "results":
        _ignore(event, reason or "no manifest of a run")
        return
    control_loop.deliver_result(deployment, *named)


def _foreign(event: StorageEvent | None, account: str) -> str:
    if event is None:
        return "malformed"
    name = account.split(".", 1)[0]
    hosts = {account, account.replace(f"{name}.dfs.", f"{name}.blob.", 1)}
    return "" if event.url_host in hosts else "another account"


def _ignore(event: StorageEvent | None, reason: str) -> None:
    what = f"{event.container}/{event.path}"[:KEPT] if event else "an event"
    log.info("ignored (%s): %r", reason, what)
