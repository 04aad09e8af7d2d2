"""A hunt's time line as tests look at it: judged slots and gaps, from end to end."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise

from shared.contract import day_key
from shared.timeline import Gap, HuntRecord
from tests.unit.house import GUID, WORKSPACE, House


def record_of(home: House, guid: str = GUID, workspace: str = WORKSPACE) -> HuntRecord:
    """A hunt's record as the ledger holds it."""
    return home.deployment.records.hunt(guid, workspace).value


def days_of(gap: Gap) -> tuple[str, str, str]:
    """First day, last day and reason of a gap."""
    last = day_key(gap.end - timedelta(days=1))
    return day_key(gap.start), last, gap.reason


def gaps_of(
    home: House, guid: str = GUID, workspace: str = WORKSPACE
) -> list[tuple[str, str, str]]:
    """First day, last day and reason of a hunt's gaps."""
    return [days_of(gap) for gap in record_of(home, guid, workspace).gaps]


def faults(home: House, guid: str = GUID, workspace: str = WORKSPACE) -> list[str]:
    """Holes and overlaps in the remembered time line, done slots against declared gaps."""
    record = record_of(home, guid, workspace)
    done = {
        (run.slot.start, run.slot.end)
        for run in home.runs().values()
        if (run.hunt_guid, run.workspace, run.status) == (guid, workspace, "done")
        and run.kind != "adhoc"
    }
    line = sorted([*done, *((gap.start, gap.end) for gap in record.gaps)])
    found = [f"{a} meets {b}" for a, b in pairwise(line) if a[1] != b[0]]
    ends = [] if not line or line[-1][1] == record.watermark else [f"ends at {line[-1]}"]
    return found + ends
