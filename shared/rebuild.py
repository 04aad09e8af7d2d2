"""The ledger, once it is lost, from what lies beside the results, in the exports and in Sentinel.

A run that has ended says so in `ended.json` beside its manifest: it comes back as it was. A run
that was on its way is assigned to its last job, which is looked for like any whose answer was lost:
no job is posted twice. Time lines follow from the runs, and what the lake holds now and their plans
did not have is news. A case finds its incident by the id that its key and generation give.

What is lost for good: requests that no turn had taken, and quiet times that had begun; the next
evidence begins them anew.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from shared import contract as c
from shared import schedule
from shared.bookkeeping import Aging, Budget, Claim, Owner, Recent
from shared.deployment import Deployment
from shared.documents import decode, encode
from shared.errors import BadInput, Conflict
from shared.hunt_specs import tables_of
from shared.model import RUN_TERMINAL, HuntSpec, Job, Json, Run
from shared.rebuild_cases import cases_of
from shared.records import (
    AGING,
    ENDED_FOR,
    RECENT,
    RECENT_RUNS,
    day_path,
    done_path,
    hunt_path,
    job_path,
    run_path,
)
from shared.remains import Found, look
from shared.schedule import Due
from shared.timeline import DayRecord, HuntRecord, Slot

CLAIM, OWNER = "turn.json", "owner.json"
COMPARED = ("done/", "active/runs/", "hunts/", "days/", "cases/")


def documents(deployment: Deployment) -> dict[str, Json]:
    """Ledger path -> document, of all that can be told; nothing is written."""
    found = look(deployment)
    built: dict[str, object] = {OWNER: Owner(deployment.settings.deployment)}
    built.update(_runs(found))
    built.update(_jobs(found))
    built.update(_time_lines(found))
    built.update(
        {day_path(*where): DayRecord(*where, hours) for where, hours in found.days.items()}
    )
    built.update(cases_of(deployment, found.runs.values()))
    built[f"budget/{c.day_key(deployment.clock())}.json"] = _budget(found)
    return {path: encode(document) for path, document in sorted(built.items())}


def apply(deployment: Deployment, built: Mapping[str, Json]) -> None:
    """Write it into an empty ledger, while no turn can be taken. BadInput when it is not empty.

    What is interrupted leaves a claim that holds: nobody acts on half a ledger.
    """
    ledger, now = deployment.records.ledger, deployment.clock()
    claim = Claim("rebuild-ledger", now + ENDED_FOR, now)
    try:
        if next(iter(ledger.list("")), None) is not None:
            raise Conflict("there is something")
        etag = ledger.create(CLAIM, encode(claim))
    except Conflict as error:
        raise BadInput(
            "the ledger is not empty",
            where="ledger",
            mend="stop the app and move what is there away; a ledger is rebuilt as a whole",
        ) from error
    for path, body in built.items():
        ledger.create(path, body)
    ended = Claim(claim.owner, now, now, now)
    ledger.replace(CLAIM, encode(ended), etag)


def differences(deployment: Deployment, built: Mapping[str, Json]) -> Iterator[str]:
    """How a rebuilt ledger differs from the living one, a line a document; times do not count."""
    ledger = deployment.records.ledger
    listed = [entry.path for folder in COMPARED for entry in ledger.list(folder)]
    living = {path for path in listed if "/job-" not in path}
    for path in sorted(living - set(built)):
        document = ledger.read(path)
        # A hunt that has judged nothing yet is made anew as it was made at first.
        if not path.startswith("hunts/") or (document and _meaning(path, document.body)):
            yield f"not rebuilt: {path}"
    for path in sorted(set(built)):
        if path.startswith(COMPARED):
            document = ledger.read(path)
            if document is None:
                yield f"not in the ledger: {path}"
            elif _meaning(path, document.body) != _meaning(path, built[path]):
                yield f"differs: {path}"


def _meaning(path: str, body: Json) -> Any:
    """What of a document must be the same."""
    if path.startswith("hunts/"):
        record = decode(HuntRecord, body, path)
        return {key: (slot.run, slot.revision) for key, slot in record.slots.items() if slot.run}
    names = {"cases/": ("generation", "incident_id", "evidence"), "days/": ("hours",)}
    chosen = names.get(f"{path.split('/', maxsplit=1)[0]}/", ("id", "status", "job", "revision"))
    return {name: body.get(name) for name in chosen}


# --- telling ------------------------------------------------------------------------------------


def _runs(found: Found) -> dict[str, object]:
    built: dict[str, object] = {}
    due: dict[str, str] = {}
    ended = [run for run in found.runs.values() if run.status in RUN_TERMINAL]
    for run in found.runs.values():
        built[done_path(run.id) if run.status in RUN_TERMINAL else run_path(run)] = run
    for run in ended:
        folder, day = done_path(run.id).rpartition("/")[0], c.day_key(run.since + ENDED_FOR)
        due[folder] = max(due.get(folder, ""), day)
    newest = sorted(ended, key=lambda run: run.since, reverse=True)[:RECENT_RUNS]
    return {
        **built,
        AGING: Aging(due, looked=True),
        RECENT: Recent(tuple(run.id for run in newest)),
    }


def _jobs(found: Found) -> dict[str, object]:
    """Jobs whose results somebody waits for, as if the answer to their submission was lost.

    They are looked for, adopted, and never posted again.
    """
    waited_for: dict[str, list[str]] = defaultdict(list)
    for run in found.runs.values():
        job_id = run.job or ""
        if run.status == "assigned" and c.manifest_path(job_id, run.id) not in found.sizes:
            waited_for[job_id].append(run_path(run))
    return {job_path(job_id): _job(found, job_id, runs) for job_id, runs in waited_for.items()}


def _job(found: Found, job_id: str, runs: Sequence[str]) -> Job:
    plan, now = found.plans[job_id], found.deployment.clock()
    created = datetime.fromisoformat(plan["created"])
    workspace = plan["workspace"]["resource_id"]
    return Job(job_id, workspace, tuple(runs), "submitting", now, created, submitted=now)


def _time_lines(found: Found) -> dict[str, object]:
    by_hunt: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in sorted(found.runs.values(), key=lambda run: (run.created, run.slot.start)):
        if run.kind == "live":
            by_hunt[run.hunt_guid, run.workspace].append(run)
    specs = {spec.guid: spec for spec in found.deployment.hunts}
    return {
        hunt_path(guid, workspace): _time_line(found, specs[guid], workspace, runs)
        for (guid, workspace), runs in by_hunt.items()
        if guid in specs
    }


def _time_line(found: Found, spec: HuntSpec, workspace: str, runs: Sequence[Run]) -> HuntRecord:
    """What happened once more: data landed, slots were judged, and what came since is news."""
    now = found.deployment.clock()
    landed = _landed(found, spec, workspace)
    before = runs[0].created - timedelta(microseconds=1)
    record = schedule.touch(spec, HuntRecord(spec.guid, workspace), landed, before)
    for run in runs:
        key = schedule.key_of(run.slot)
        known = replace(record, slots={key: Slot(), **record.slots})
        item = Due(key, run.slot, run.window, run.revision, by_schedule=True)
        record = schedule.judged(known, item, run.id, run.created)
    for run in runs:
        if run.status in ("failed", "cancelled") and not _was_judged(run, runs):
            reason = f"run {run.id} {run.status}"
            record = schedule.unjudged(record, run.id, run.slot, reason)
    newest = {schedule.key_of(run.slot): run for run in sorted(runs, key=lambda run: run.revision)}
    news = {hour for run in newest.values() for hour in _news(found, spec, run, landed)}
    record = schedule.touch(spec, record, news, now)
    return schedule.forget(replace(record, next_fire=schedule.next_fire(spec, now)), now)


def _was_judged(run: Run, runs: Sequence[Run]) -> bool:
    return any(one.slot == run.slot and one.status == "done" for one in runs)


def _landed(found: Found, spec: HuntSpec, workspace: str) -> dict[str, set[str]]:
    """Hour -> fingerprints, of the remembered hours of the tables that a hunt reads."""
    oldest = c.day_key(found.deployment.clock() - ENDED_FOR)
    landed: dict[str, set[str]] = defaultdict(set)
    for (place, table, day), hours in found.days.items():
        if place == workspace and table in tables_of(spec) and day >= oldest:
            for key, hour in hours.items():
                landed[key].add(hour.fingerprint)
    return landed


def _news(found: Found, spec: HuntSpec, run: Run, landed: Mapping[str, set[str]]) -> set[str]:
    """Hours of a run's slot that its plan did not know as the lake holds them now."""
    tables = found.plans[run.job or ""]["tables"]
    planned: dict[str, set[str]] = defaultdict(set)
    for table in set(tables) & set(tables_of(spec)):
        for hour in tables[table]["hours"]:
            planned[hour["hour"]].add(hour["fingerprint"])
    slot = c.hours_between(run.slot.start, run.slot.end)
    return {hour for hour in slot if landed.get(hour, set()) - planned[hour]}


def _budget(found: Found) -> Budget:
    """What today has spent at least."""
    today = c.day_key(found.deployment.clock())
    jobs = sum(job_id.startswith(f"job-{today}") for job_id in found.plans)
    runs: dict[str, int] = defaultdict(int)
    opened = sent = 0
    for run in found.runs.values():
        runs[run.hunt_guid] += c.day_key(run.created) == today
        if c.day_key(run.since) == today:
            opened += run.counts.opened
            folder = c.run_folder(run.job or "", run.id)
            sent += sum(
                size for path, size in found.sizes.items() if path.startswith(f"{folder}/part-")
            )
    return Budget(today, jobs, sent, opened, {guid: n for guid, n in runs.items() if n})
