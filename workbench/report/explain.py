"""One run's story in words: what it judges, how far it came, what it waits for, what to type."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from workbench.report.status import fill_line

Json = dict[str, Any]
DOES = {
    "requested": "asked for; the next turn takes it up",
    "waiting": "waits for a Spark job; `tidehunt status` tells what stops new ones",
    "assigned": "is with its Spark job",
    "delivering": "is being delivered",
    "held": "is held: it waits for a condition to pass, or for you",
    "done": "is done",
    "failed": "has failed; nothing of it is lost, and it is not tried again by itself",
    "cancelled": "was cancelled",
}
STEPS = {
    "sending": "findings are being sent to the workspace",
    "incidents": "findings are sent; incidents are being opened and updated",
    "read-back": "incidents are settled; the sent rows are to be counted in the workspace",
}
CLASSES = {
    "live": "live",
    "adhoc": "ad-hoc: somebody asked for it",
    "backfill": "backfill: it fills a gap, behind live runs",
}
TYPE = {
    "held": ("release", "abandon"),
    "waiting": ("abandon",),
    "assigned": ("abandon",),
    "delivering": ("abandon",),
    "failed": ("redrive",),
    "cancelled": ("redrive",),
}
COMMANDS = {
    "release": "tidehunt release {}    try again now",
    "abandon": "tidehunt abandon {} --reason WHY    give it up",
    "redrive": "tidehunt redrive {}    judge it again",
}


def explain(run: Json) -> Iterator[str]:
    """Lines on a run, or a fill, as `GET /api/runs/{id}` tells it."""
    if "fill" in run:
        yield fill_line(run)
        return
    status = run["status"]
    yield f"{run['run_id']}: {DOES[status]}"
    if status != "requested":
        yield from _story(run)
    for name in TYPE.get(status, ()):
        yield "  " + COMMANDS[name].format(run["run_id"])


def _story(run: Json) -> Iterator[str]:
    slot, window = run["slot"], run["window"]
    kind = CLASSES[run["kind"]] + ("" if run["incidents"] else ", without incidents")
    yield f"  hunt {run['hunt']} ({kind}) on {run['workspace']}, revision {run['revision']}"
    yield f"  judges {slot['start'][:16]} to {slot['end'][:16]}, back to {window['start'][:16]}"
    yield f"  saved {run['created'][:19]}, {run['status']} since {run['since'][:19]}"
    yield from _jobs(run)
    yield from _results(run)
    if run["reason"]:
        yield f"  because: {run['reason']}"
    if run["next_at"]:
        yield f"  goes on by itself at {run['next_at'][:19]} UTC"


def _jobs(run: Json) -> Iterator[str]:
    lost = f", {run['unused']} more were refused or lost by the engine" if run["unused"] else ""
    last = f"; the last is {run['job']}" if run["job"] else ""
    yield f"  jobs used: {run['attempt']}{lost}{last}"


def _results(run: Json) -> Iterator[str]:
    counts = run["counts"]
    if run["step"] in STEPS:
        yield f"  {STEPS[run['step']]}"
    if run["step"] or run["status"] == "done":
        yield (
            f"  findings: {counts['rows']} in the manifest, {counts['sent']} sent, "
            f"{counts['unchanged']} unchanged, {counts['set_aside']} set aside, "
            f"{counts['withheld']} withheld, {counts['confirmed']} counted in the workspace"
        )
        yield (
            f"  incidents: {counts['opened']} opened, {counts['updated']} updated, "
            f"{counts['quiet']} quiet"
        )
