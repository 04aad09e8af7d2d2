"""What the control plane and the data plane agree on. Standard library only; ships to Spark.

Times are UTC. An hour key is `yyyymmddhh`, a day key `yyyymmdd`; windows are `[start, end)`.

The lake, by container (state account; exports live in an account of their own):

    ledger    the app's durable record
    results   jobs/<job id>/plan.json                      written by the app
              jobs/<job id>/claim.json, report.json        written by the job
              jobs/<job id>/runs/<run id>/part-*.jsonl     findings to deliver, best first
              jobs/<job id>/runs/<run id>/withheld/        findings above the cap
              jobs/<job id>/runs/<run id>/manifest.json    last: the run's results are complete
              jobs/<job id>/runs/<run id>/delivered.json   written by the app
              jobs/<job id>/runs/<run id>/set-aside/       refused rows, written by the app
              jobs/<job id>/runs/<run id>/ended.json       written by the app: how the run ended
    tables    <workspace key>/<table>/<job id>/<hour key>/ the columnar copy of an hour
              <workspace key>/<table>/<job id>/<day key>/  the hours of a day merged
    code      <code hash>/main.py, code.zip                written by the deployer
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

PLAN_SCHEMA = 1
MANIFEST_SCHEMA = 1
NAMESPACE = uuid.UUID("6f2a1f0e-7d53-5c1e-9a40-0d6f1f6b7c11")

SEVERITIES = ("Informational", "Low", "Medium", "High")
FOUND_SEVERITY = "Medium"
"""A hunt counts as having found something when a finding reaches this severity."""

IDENTIFIER = re.compile(r"[a-z][a-z0-9_]{2,47}")
TABLE = re.compile(r"[a-z][a-z0-9_]{1,62}")
RUN_ID = re.compile(r"[0-9]{8}-[a-z0-9_-]{8,120}")
JOB_ID = re.compile(r"job-[0-9]{14}-[0-9a-f]{8}")
PART_NAME = re.compile(r"part-[0-9]{5}\.jsonl")

MANIFEST_BYTES = 1_000_000
LINE_BYTES = 1_000_000
BROKEN_LINE_BYTES = 64_000_000
"""A line that goes on for longer was written by no job: it is not read to its end."""
MANIFEST_NAME = "manifest.json"

VIEWS: Mapping[str, tuple[str, ...]] = {
    "NetworkSession": (
        "commonsecuritylog",
        "devicenetworkevents",
        "asimnetworksessionlogs",
        "vmconnection",
    ),
    "Dns": ("dnsevents", "asimdnsactivitylogs"),
}
"""ASIM view -> the exported tables that can feed it."""

_EXPORT_PATH = re.compile(
    r"WorkspaceResourceId=(?P<workspace>/subscriptions/[^/\\%\x00-\x1f]{1,64}"
    r"/resourcegroups/[^/\\%\x00-\x1f]{1,90}"
    r"/providers/microsoft\.operationalinsights/workspaces/[^/\\%\x00-\x1f]{1,63})"
    r"/y=(?P<y>\d{4})/m=(?P<m>\d{2})/d=(?P<d>\d{2})/h=(?P<h>\d{2})/m=(?P<minute>\d{2})"
    r"/PT0?5M(?:_\d{1,6})?\.json",
    re.IGNORECASE | re.ASCII,
)


@dataclass(frozen=True)
class ExportBlob:
    """Where an export blob says that it belongs; `workspace` is a lower-case resource id."""

    table: str
    workspace: str
    hour: str


def parse_export_blob(container: str, path: str) -> ExportBlob | None:
    """Return what an export blob's container and path say, or None if they are not an export's.

    Accepts `PT05M.json`, `PT5M.json` and `_N` siblings, in any letter case.
    """
    table = container.lower().removeprefix("am-")
    match = _EXPORT_PATH.fullmatch(path)
    if not container.lower().startswith("am-") or not TABLE.fullmatch(table) or not match:
        return None
    hour = "".join(match[part] for part in "ymdh")
    return ExportBlob(table, match["workspace"].lower(), hour) if is_hour_key(hour) else None


def is_hour_key(hour: str) -> bool:
    """True for a real hour of the calendar, written `yyyymmddhh`."""
    try:
        return hour_key(hour_start(hour)) == hour
    except ValueError:
        return False


@lru_cache(maxsize=2_000)
def hour_start(hour: str) -> datetime:
    """Start of an hour key. Raises ValueError when it is none."""
    return datetime.strptime(hour, "%Y%m%d%H").replace(tzinfo=UTC)


@lru_cache(maxsize=2_000)
def day_start(day: str) -> datetime:
    """Start of a day key. Raises ValueError when it is none."""
    return datetime.strptime(day, "%Y%m%d").replace(tzinfo=UTC)


def hour_key(moment: datetime) -> str:
    """The hour key that a UTC moment falls in."""
    return f"{moment:%Y%m%d%H}"


def day_key(moment: datetime) -> str:
    """The day key that a UTC moment falls in."""
    return f"{moment:%Y%m%d}"


def hours_between(start: datetime, end: datetime) -> list[str]:
    """Hour keys of the whole hours in `[start, end)`; both ends on the hour."""
    count = int((end - start) / timedelta(hours=1))
    return [hour_key(start + timedelta(hours=n)) for n in range(count)]


def days_between(start: datetime, end: datetime) -> list[str]:
    """Day keys of the UTC days that `[start, end)` touches."""
    return sorted({hour[:8] for hour in hours_between(start, end)})


def export_container(table: str) -> str:
    """The container that data export writes a table to."""
    return f"am-{table.lower()}"


def export_day_folder(workspace: str, day: str) -> str:
    """The folder of one table's container that holds a workspace's UTC day."""
    day = day_key(day_start(day))  # ValueError when it is none
    return f"WorkspaceResourceId={workspace.lower()}/y={day[:4]}/m={day[4:6]}/d={day[6:]}"


def export_hour_folder(workspace: str, hour: str) -> str:
    """The folder of one table's container that holds a workspace's hour."""
    return f"{export_day_folder(workspace, hour[:8])}/h={hour[8:]}"


@lru_cache(maxsize=1_000)
def workspace_key(resource_id: str) -> str:
    """A workspace's name and eight hex digits of its resource id's hash: safe in any path."""
    lowered = resource_id.lower()
    name = re.sub(r"[^a-z0-9-]", "-", lowered.rsplit("/", 1)[-1])[:40]
    return f"{name}-{hashlib.sha256(lowered.encode()).hexdigest()[:8]}"


def finding_key(workspace: str, hunt_guid: str, identity: Mapping[str, object]) -> str:
    """uuid5 over workspace key, hunt GUID and the identity columns; measures never enter."""
    return str(uuid.uuid5(NAMESPACE, canonical_identity(workspace, hunt_guid, identity)))


def finding_id(key: str, slot_start: datetime) -> str:
    """uuid5 over a FindingKey and the start of its slot."""
    return str(uuid.uuid5(NAMESPACE, f"{key}|{slot_start:%Y%m%d%H}"))


def canonical_identity(workspace: str, hunt_guid: str, identity: Mapping[str, object]) -> str:
    """Names and values with their lengths in code points, so that no two identities collide.

    A null is `~`, which no length-prefixed value can equal.
    """
    columns = "".join(
        f"|{name}={'~' if value is None else f'{len(str(value))}:{value}'}"
        for name, value in sorted(identity.items())
    )
    return f"{workspace}|{hunt_guid}{columns}"


def job_folder(job_id: str) -> str:
    """A job's folder in the results container."""
    return f"jobs/{job_id}"


def plan_path(job_id: str) -> str:
    """Where the app writes a job's plan."""
    return f"{job_folder(job_id)}/plan.json"


def claim_path(job_id: str) -> str:
    """Where a job says that it has started: created once, a second starter exits."""
    return f"{job_folder(job_id)}/claim.json"


def report_path(job_id: str) -> str:
    """Where a job says which hours it copied."""
    return f"{job_folder(job_id)}/report.json"


def run_folder(job_id: str, run_id: str) -> str:
    """A run's folder inside its job's."""
    return f"{job_folder(job_id)}/runs/{run_id}"


def manifest_path(job_id: str, run_id: str) -> str:
    """Where a job writes a run's manifest, last."""
    return f"{run_folder(job_id, run_id)}/{MANIFEST_NAME}"


def delivered_path(job_id: str, run_id: str) -> str:
    """Where the app records what it delivered, beside the manifest."""
    return f"{run_folder(job_id, run_id)}/delivered.json"


def withheld_folder(job_id: str, run_id: str) -> str:
    """Where a job writes the findings above the cap, as lines of JSON."""
    return f"{run_folder(job_id, run_id)}/withheld"


def set_aside_path(folder: str, part: str) -> str:
    """Where the app keeps which rows of a part were refused, and why; `folder` is the run's."""
    return f"{folder}/set-aside/{part.removesuffix('.jsonl')}.json"


def ended_path(job_id: str, run_id: str) -> str:
    """Where the app records how a run ended: a lost ledger is rebuilt from it."""
    return f"{run_folder(job_id, run_id)}/ended.json"


def copy_folder(workspace: str, table: str, job_id: str, key: str) -> str:
    """Where a job writes the columnar copy of one table's hour or day, in the tables container."""
    return f"{workspace}/{table}/{job_id}/{key}"


def parse_manifest_path(path: str) -> tuple[str, str] | None:
    """(job id, run id) of a manifest's path in the results container, or None."""
    match = re.fullmatch(rf"jobs/([^/]+)/runs/([^/]+)/{re.escape(MANIFEST_NAME)}", path)
    if not match or not JOB_ID.fullmatch(match[1]) or not RUN_ID.fullmatch(match[2]):
        return None
    return match[1], match[2]
