"""`tidehunt status` for people: the API's answer as a few lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.text import Text

from shared.model import Json


def render_status(told: Json, console: Console) -> None:
    """Print what runs, what waits, what ended last, what is silent."""
    for line in _lines(told):
        # Text, not markup: what a log wrote cannot style the screen.
        console.print(Text(line), soft_wrap=True)


def _lines(told: Json) -> Iterator[str]:
    waiting = told["waiting"]
    yield f"tidehunt {told['version']}, deployment {told['deployment']}, code {told['code_hash']}"
    yield f"last turn {told['last_turn']}, last sweep {told['last_sweep']}"
    yield (
        f"waiting: {waiting['marks']} marked hours, {waiting['requests']} requests, "
        f"{waiting['slots']} slots"
    )
    yield from _alarms(told)
    yield from _jobs(told["active"]["jobs"])
    yield from _runs("running", told["active"]["runs"])
    yield from _runs("ended", told["recent"])
    for hunt in told["hunts"]:
        name = f"hunt {hunt['hunt']} {hunt['version']} ({hunt['status']})"
        yield f"{name} on {hunt['workspace']}: {_judged(hunt)}"
    for fault in told["hunt_faults"]:
        yield f"hunt left out: {fault}"
    if told["ignored_tables"]:
        yield f"exported, but no hunt reads them: {', '.join(told['ignored_tables'])}"


def _alarms(told: Json) -> Iterator[str]:
    for one in told["alarms"]:
        yield f"ALARM {one['alarm']} {one['subject']} since {one['since'][:19]}: {one['reason']}"
        yield f"  {one['mend']}"
    untold = told["untold"]
    if any(untold.values()):
        yield (
            f"not told yet: {untold['rows']} health rows, {untold['messages']} messages; "
            f"{untold['lost']} lost"
        )


def _judged(hunt: Json) -> str:
    gaps = "; ".join(
        f"gap {g['start'][:10]} to {g['end'][:10]}: {g['reason']}" for g in hunt["gaps"]
    )
    until = f"judged until {hunt['judged_until']}" if hunt["judged_until"] else "nothing judged yet"
    return f"{until}{'; ' + gaps if gaps else ''}"


def _jobs(jobs: Sequence[Json]) -> Iterator[str]:
    for job in jobs:
        yield f"job {job['job_id']} {job['status']} since {job['since']} {job['reason']}".rstrip()


def _runs(word: str, runs: Sequence[Json]) -> Iterator[str]:
    for run in runs:
        counts = run["counts"]
        yield (
            f"{word}: {run['run_id']} {run['status']} {run['step']} "
            f"{counts['rows']} findings, {counts['opened']} incidents opened {run['reason']}"
        ).rstrip()
