"""The columnar copy at rest: what every plan named was what it was named for, and was there."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from shared import contract as c
from shared.model import Json

if TYPE_CHECKING:
    from tests.simulation.safety import Safety


LONG_AGO = datetime(1, 1, 1, tzinfo=UTC)


def _plans(safety: Safety) -> list[Json]:
    world = safety.world
    jobs = dict.fromkeys(request.job_id for request in world.pool.requests)
    contents = (world.results.peek(c.plan_path(job_id)) for job_id in jobs)
    return [json.loads(content) for content in contents if content]


def _made(safety: Safety, plans: list[Json]) -> dict[str, Mapping[str, str]]:
    """Folder -> hour -> the fingerprint of what its job made it from."""
    made: dict[str, Mapping[str, str]] = {}
    for plan in plans:
        content = safety.world.results.peek(c.report_path(plan["job_id"]))
        report = json.loads(content) if content else {"copies": [], "merged": []}
        made |= {one["path"]: {one["hour"]: one["fingerprint"]} for one in report["copies"]}
        made |= {one["path"]: one["hours"] for one in report["merged"]}
    return made


def _named(table: Json) -> Iterator[tuple[str, str]]:
    """(Folder, hour) of all that a plan's job may read of a table."""
    yield from ((hour["copy"], hour["hour"]) for hour in table["hours"] if hour["copy"])
    yield from ((day["path"], hour) for day in table["merged"] for hour in day["hours"])


def folders_hold_what_they_are_named_for(safety: Safety) -> Iterator[str]:
    """11: a run reads of each hour what the lake held when its job was planned."""
    plans = _plans(safety)
    made = _made(safety, plans)
    for plan in plans:
        for table in plan["tables"].values():
            wanted = {hour["hour"]: hour["fingerprint"] for hour in table["hours"]}
            for path, hour in _named(table):
                if hour in wanted and made.get(path, {}).get(hour) != wanted[hour]:
                    yield f"11: {plan['job_id']} reads {hour} of {path}, which holds something else"


def no_job_loses_what_it_reads(safety: Safety) -> Iterator[str]:
    """11: a folder is removed when no job can read it any more, and never named again."""
    plans = _plans(safety)
    ends: dict[str, datetime] = {}
    for plan in plans:
        until = datetime.fromisoformat(plan["deadline"])
        for table in plan["tables"].values():
            for path, _ in _named(table):
                ends[path] = max(until, ends.get(path, until))
    for plan in plans:
        for table in plan["tables"].values():
            for path in table["remove"]:
                if ends.get(path, LONG_AGO) > datetime.fromisoformat(plan["created"]):
                    yield f"11: {plan['job_id']} removes {path}, which others may read"


CHECKS = (folders_hold_what_they_are_named_for, no_job_loses_what_it_reads)
