"""What is left of a ledger in the lake: plans, how runs ended or how far they came, hours."""

from __future__ import annotations

import json
import logging
import re
from collections import defaultdict
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from shared import contract as c
from shared.copies import told_by
from shared.deployment import Deployment, Turn
from shared.documents import decode
from shared.errors import BadInput, TooLarge
from shared.intake import changed_hours, hours_of
from shared.manifests import read_manifest
from shared.merges import copied
from shared.model import RUN_TERMINAL, Counts, Job, Json, Run, Window
from shared.timeline import Hour

log = logging.getLogger("tidehunt.remains")
PLAN_BYTES = 50_000_000
_ADHOC = re.compile(r"-a[0-9a-f]{8}-r\d+$")
Place = tuple[str, str, str]
"""Workspace, table, day."""


@dataclass
class Found:
    """What the lake tells: plans by job, runs as they were or are, hours as they are known."""

    deployment: Deployment
    plans: dict[str, Json] = field(default_factory=dict)
    runs: dict[str, Run] = field(default_factory=dict)
    days: dict[Place, dict[str, Hour]] = field(default_factory=lambda: defaultdict(dict))
    sizes: dict[str, int] = field(default_factory=dict)
    """Files below `jobs/` in the results container -> bytes."""


def look(deployment: Deployment) -> Found:
    """All that can be told; nothing is written."""
    found = Found(deployment)
    found.sizes = {one.name: one.size for one in deployment.results.paths("jobs")}
    for job_id in sorted({path.split("/")[1] for path in found.sizes}):
        _read_job(found, job_id)
    _list_exports(found)
    return found


def _read_job(found: Found, job_id: str) -> None:
    plan = _json(found, c.plan_path(job_id))
    if not isinstance(plan, dict) or plan.get("schema") != c.PLAN_SCHEMA:
        log.warning("no plan that can be used: %s", job_id)
        return
    try:
        for planned in plan["runs"]:
            run = _run(found, job_id, plan, planned)
            if not _is_older(found.runs.get(run.id), run):
                found.runs[run.id] = run
        _note_hours(found, job_id, plan)
    except (LookupError, TypeError, ValueError) as error:
        log.warning("the plan of %s cannot be used: %s", job_id, error)
        return
    found.plans[job_id] = plan


def _is_older(known: Run | None, run: Run) -> bool:
    """True when what is known already says more: the end of a run, or that it was delivered."""
    if known is None or run.status in RUN_TERMINAL:
        return False
    return known.status in RUN_TERMINAL or (
        known.status == "delivering" and run.status != known.status
    )


def _json(found: Found, path: str) -> Any:
    try:
        content = found.deployment.results.read(path, PLAN_BYTES) if path in found.sizes else None
        return json.loads(content) if content else None
    except (ValueError, TooLarge) as error:
        log.warning("cannot be used: %s: %s", path, error)
        return None


def _run(found: Found, job_id: str, plan: Json, planned: Json) -> Run:
    path = c.ended_path(job_id, str(planned["run_id"]))
    ended = _json(found, path)
    try:
        run = decode(Run, ended, path) if ended else None
    except BadInput as error:
        log.warning("how it ended cannot be read: %s", error)
        run = None
    if run and run.status in RUN_TERMINAL and (run.id, run.job) == (planned["run_id"], job_id):
        return run
    return _on_its_way(found, job_id, plan, planned)


def _on_its_way(found: Found, job_id: str, plan: Json, planned: Json) -> Run:
    """A run without its end: delivered to its incidents, or waiting for its job's results."""
    run_id, created = str(planned["run_id"]), datetime.fromisoformat(plan["created"])
    now = found.deployment.clock()
    run = Run(
        id=run_id,
        hunt=planned["hunt"]["module"],
        hunt_guid=planned["hunt"]["guid"],
        workspace=plan["workspace"]["resource_id"],
        kind="adhoc" if _ADHOC.search(run_id) else "live",
        slot=_window(planned["slot"]),
        window=_window(planned["window"]),
        revision=planned["revision"],
        status="assigned",
        since=now,
        created=created,
        params=planned["params"],
        attempt=1,
        job=job_id,
    )
    return _delivered(found, run) or run


def _delivered(found: Found, run: Run) -> Run | None:
    """The run at its incidents, when all its rows were sent."""
    job_id = run.job or ""
    delivered = _json(found, c.delivered_path(job_id, run.id))
    manifest = read_manifest(found.deployment.results, job_id, run.id)
    if delivered is None or manifest is None:
        return None
    before = _sent_before(found, run)
    sent = sum(before.get(name) != content for name, content in delivered["findings"].items())
    unchanged = len(delivered["findings"]) - sent
    counts = Counts(rows=manifest.rows, withheld=manifest.withheld, sent=sent, unchanged=unchanged)
    at_incidents = replace(run, status="delivering", step="incidents", counts=counts)
    return replace(at_incidents, code_hash=manifest.code_hash, coverage=manifest.coverage)


def _sent_before(found: Found, run: Run) -> Json:
    stem = run.id.removesuffix(f"-r{run.revision}")
    for revision in range(run.revision - 1, -1, -1):
        earlier = found.runs.get(f"{stem}-r{revision}")
        if earlier is not None and earlier.status == "done":
            body = _json(found, c.delivered_path(earlier.job or "", earlier.id))
            return dict(body["findings"]) if body else {}
    return {}


def _window(described: Json) -> Window:
    return Window(*(datetime.fromisoformat(described[name]) for name in ("start", "end")))


def _note_hours(found: Found, job_id: str, plan: Json) -> None:
    """What the plan knew of each hour, and where copies of it lie."""
    workspace = plan["workspace"]["resource_id"]
    for table, described in plan["tables"].items():
        for hour in described["hours"]:
            known = Hour(hour["blobs"], hour["bytes"], hour["fingerprint"])
            _note(found, (workspace, table, hour["hour"][:8]), hour["hour"], known, hour["copy"])
    turn = Turn(found.deployment, found.deployment.clock())
    job = Job(job_id, workspace, (), "ended", turn.now(), turn.now())
    # Merged days are not told again: the next jobs merge what is worth it.
    for place, told in told_by(turn, job).items():
        held = found.days[workspace, *place]
        held.update(copied(held, told))


def _note(found: Found, place: Place, key: str, known: Hour, copy: str | None) -> None:
    """An hour as a plan knew it: with the fresh copy that it names, else with what it had."""
    held = found.days[place].get(key, known)
    hour = replace(held, blobs=known.blobs, bytes=known.bytes, fingerprint=known.fingerprint)
    if copy and copy != held.copy:
        hour = replace(hour, copy=copy, copy_fingerprint=known.fingerprint, copy_blobs=known.blobs)
    found.days[place][key] = hour


def _list_exports(found: Found) -> None:
    """The days as the lake holds them now, 36 of them and all that were planned."""
    house = found.deployment
    days = [c.day_key(house.clock() - timedelta(days=back)) for back in range(36)]
    exported = set(house.exports.tables()) & house.tables()
    recent = {(w, t, day) for w in house.settings.workspaces for t in exported for day in days}
    for workspace, table, day in sorted(recent | {one for one in found.days if one[1] in exported}):
        blobs = house.exports.blobs(table, c.export_day_folder(workspace, day))
        held = found.days.get((workspace, table, day), {})
        changed = changed_hours(held, hours_of(blobs, workspace, table), day)
        if changed:
            found.days[workspace, table, day] = {**held, **changed}
