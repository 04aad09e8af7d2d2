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
    yield from _paused(told["pause"])
    yield from _pool(told["pool"])
    yield from _today(told["today"])
    yield (
        f"waiting: {waiting['marks']} marked hours, {waiting['requests']} requests, "
        f"{waiting['slots']} slots"
    )
    yield from _alarms(told)
    yield from _jobs(told["active"]["jobs"])
    yield from _runs("running", told["active"]["runs"])
    yield from _runs("ended", told["recent"])
    for fill in told["fills"]:
        yield f"filling: {fill_line(fill)}"
    for hunt in told["hunts"]:
        name = f"hunt {hunt['hunt']} {hunt['version']} ({hunt['status']})"
        yield f"{name} on {hunt['workspace']}: {_judged(hunt)}"
        if hunt["lacks"]:
            yield f"  does not start until one of these is exported: {', '.join(hunt['lacks'])}"
    for fault in told["hunt_faults"]:
        yield f"hunt left out: {fault}"
    if told["ignored_tables"]:
        yield f"exported, but no hunt reads them: {', '.join(told['ignored_tables'])}"


def _paused(pause: Json | None) -> Iterator[str]:
    if pause:
        by = f" by {pause['by']}" if pause["by"] else ""
        yield f"PAUSED since {pause['since']}{by}: {pause['reason']}"
        yield "  nothing new starts; what runs is delivered. To end it: tidehunt resume"


def _pool(pool: Json) -> Iterator[str]:
    if pool["breaker"] == "open":
        yield f"POOL {pool['pool']} STARTS NO JOBS since {pool['since']}: {pool['reason']}"
        probe = f"job {pool['probe']} tries it" if pool["probe"] else f"next at {pool['next_try']}"
        yield f"  one job at a time tries it, {probe}; what waits loses nothing by it"


def _today(today: Json) -> Iterator[str]:
    spent = (f"{one['used']:g} of {one['cap']:g} {name}" for name, one in today.items())
    yield f"spent today: {', '.join(spent)}".replace("vcore_hours", "vCore hours")
    for name in (name for name, one in today.items() if one["reached"]):
        setting = f"TIDEHUNT_{name.upper()}_A_DAY"
        yield f"REACHED: {setting}; what needs more waits for 00:00 UTC, or for a higher cap"


def fill_line(fill: Json) -> str:
    """A fill of gaps, and how far it is."""
    came = (
        f"{fill['started']} started, {fill['empty']} without data, {fill['judged']} judged before"
    )
    span = f"{fill['start'][:16]} to {fill['end'][:16]}"
    line = f"{fill['fill']}, {span}, left until {fill['left_until'][:16]}: {came}"
    return f"{line}; {fill['reason']}" if fill["reason"] else line


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
