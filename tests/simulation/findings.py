"""What a hunt finds, as a function of what its plan shows it: the same data, the same findings.

A few findings a slot, in one to three parts. Each watches some hours: late data changes some rows
of a revision and leaves the others. Some lines are poisoned, some rows are refused by the sink.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator

from shared import contract as c
from shared.model import Json
from tests.unit import house

POISON = "poison"
"""The sink refuses rows that hold this word."""
CANARY = "canary-7f3a-of-a-log"
"""In every finding; it may show in the findings table and in incidents, and nowhere else."""
HOSTILE = (
    "<script>alert(1)</script>",
    "[a](http://evil.example/a) ![b](https://evil.example/b)",
    "=cmd|' /C calc'!A0",
    "../../ledger/owner.json",
    "first\r\nERROR a forged line",
    "\x00\x1b[31m\u202egpj.exe",
    "'; drop table x; --",
    "a lone \ud800 surrogate",
)
"""What attackers write into logs."""
SEVERITIES = ("Low", "Medium", "High", "High")


def parts_of(plan: Json, run: Json, padding: int = 0) -> dict[str, list[bytes]]:
    """Part name -> its lines."""
    lines = list(_lines(plan, run, {"Padding": "x" * padding} if padding else {}))
    parts = max(1, min(3, len(lines) // 2))
    cut = {f"part-{n:05d}.jsonl": lines[n::parts] for n in range(parts)}
    return {name: held for name, held in cut.items() if held}


def _lines(plan: Json, run: Json, besides: Json) -> Iterator[bytes]:
    hunt = run["hunt"]["module"]
    slot = f"{hunt}{run['slot']['start'][:13]}"
    base = house.run_of({**run, "workspace": plan["workspace"]["resource_id"]})
    hours = list(slot_hours(plan, run))
    for number in range(_dice(slot) % 6 if hours else 0):
        watched = [hour for hour in hours if _dice(hour["hour"]) % 3 == number % 3]
        seen = sum(hour["blobs"] * 10 + hour["bytes"] for hour in watched)
        name = f"10.0.0.{_dice(f'{slot}{number}') % 7}"
        bad = _dice(f"{slot}{number}p") % 13 == 0
        word = f"{POISON}-{number}" if bad else f"192.0.2.{number}"
        severity = SEVERITIES[(_dice(f"{hunt}{number}") + seen) % 4]
        hostile = HOSTILE[_dice(f"{slot}{number}h") % len(HOSTILE)]
        told = {
            "Title": f"{CANARY} {hostile}",
            "Severity": severity,
            "Evidence": {"Seen": seen, "Said": hostile, **besides},
        }
        finding = house.a_finding(name, word, run=base, **told)
        yield json.dumps(finding).encode() + b"\n"
    if _dice(f"{slot}bad") % 11 == 0 and hours:
        yield b'{"FindingKey": "half a li\n'


def slot_hours(plan: Json, run: Json) -> Iterator[Json]:
    """The planned hours of the hunt's tables that lie in the run's slot."""
    first, last = (run["slot"][name] for name in ("start", "end"))
    for table in run["hunt"]["tables"]:
        for hour in plan["tables"].get(table, {"hours": []})["hours"]:
            start = c.hour_start(hour["hour"]).isoformat().replace("+00:00", "Z")
            if first <= start < last:
                yield hour


def _dice(text: str) -> int:
    return int(hashlib.sha256(text.encode()).hexdigest()[:8], 16)
