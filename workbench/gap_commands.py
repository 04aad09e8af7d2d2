"""Slots that nobody judged: what they are, and having them judged after all."""

from __future__ import annotations

import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from typing import Any, TextIO

from shared.model import Json
from workbench.commands import serving
from workbench.report.status import fill_line
from workbench.run_commands import print_lines


def gap_list(options: Namespace) -> int:
    """Every declared gap, and the fills."""
    told = serving(options).gaps()
    if options.json:
        print(json.dumps(told))
    else:
        print_lines(*gap_lines(told))
    return 0


def gap_fill(options: Namespace, typed: TextIO | None = None) -> int:
    """Tell what a fill costs, ask, and leave it for the next turn."""
    app, asked = serving(options), _asked(options)
    print_lines(*estimate_lines(app.fill_gaps(**asked, estimate=True)["estimates"]))
    if not options.yes and not _agreed(typed or sys.stdin):
        print("nothing was asked for")
        return 1
    for fill in app.fill_gaps(**asked)["fills"]:
        print(f"asked: {fill}; see `tidehunt gap list`, stop it with `tidehunt abandon {fill}`")
    return 0


def _asked(options: Namespace) -> dict[str, Any]:
    named = {"workspace": options.workspace, "from": options.first, "to": options.last}
    given = {name: value for name, value in named.items() if value}
    return {"hunt": options.hunt, "incidents": options.incidents, **given}


def _agreed(typed: TextIO) -> bool:
    print("fill? [y/N] ", end="", flush=True)
    return typed.readline().strip().lower() in ("y", "yes")


def gap_lines(told: Json) -> Iterator[str]:
    """`GET /api/gaps` for people."""
    if not told["gaps"]:
        yield "no gaps: every slot was judged"
    for gap in told["gaps"]:
        place = f"{gap['hunt']} on {gap['workspace']}"
        yield f"gap: {place}, {_span(gap)}, {_count(gap['slots'], 'slot')}: {gap['reason']}"
    for word in ("fills", "ended"):
        for fill in told[word]:
            yield f"{'filling' if word == 'fills' else 'ended'}: {fill_line(fill)}"


def estimate_lines(estimates: list[Json]) -> Iterator[str]:
    """What fills would cost, for people."""
    for one in estimates:
        incidents = "with incidents" if one["incidents"] else "without incidents"
        yield f"{one['hunt']} on {one['workspace']}, {_span(one)}, {incidents}"
        yield f"  {_count(one['slots'], 'slot')} in about {_count(one['jobs'], 'job')}"
        yield (
            f"  about {one['bytes'] / 1e9:.1f} GB of exports in {one['days']} days "
            f"({one['days_known']} of {one['days_looked_at']} that were looked at are known)"
        )
        yield f"  about {one['vcore_hours']:g} vCore hours, by {one['rests_on']}"


def _span(one: Json) -> str:
    return f"{one['start'][:16]} to {one['end'][:16]}"


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
