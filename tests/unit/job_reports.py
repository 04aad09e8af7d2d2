"""What a job on paper says that it did for the columnar copy: all that its plan asks for."""

from __future__ import annotations

import json

from shared.model import Json


def report_on(plan: Json) -> bytes:
    """A report's content: every hour without a fresh copy is copied, every day due is merged."""
    place = f"{plan['tables_root']}/{plan['workspace']['key']}"
    copies, merged, removed = [], [], []
    for table, told in plan["tables"].items():
        folder, hours = f"{place}/{table}/{plan['job_id']}", told["hours"]
        for hour in hours:
            if hour["copy"] is None:
                named = {name: hour[name] for name in ("hour", "fingerprint", "blobs")}
                copies.append({"table": table, "path": f"{folder}/{hour['hour']}", **named})
        for day in told["merge"]:
            of = {one["hour"]: one["fingerprint"] for one in hours if one["hour"][:8] == day}
            merged.append({"table": table, "day": day, "path": f"{folder}/{day}", "hours": of})
        removed += told["remove"]
    return json.dumps({"copies": copies, "merged": merged, "removed": removed}).encode()
