"""`tidehunt held`, `explain`, `release`, `redrive`, `abandon`, `pause`, `quiet`: what to do."""

from __future__ import annotations

import json
from argparse import Namespace
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from shared.model import Json
from workbench.app_client import AppClient
from workbench.commands import serving
from workbench.report import explain as story


def held(options: Namespace) -> int:
    """Every held run, with its reason and the commands that end it."""
    runs = [run for run in serving(options).status()["active"]["runs"] if run["status"] == "held"]
    if options.json:
        print(json.dumps(runs))
    elif not runs:
        print("nothing is held")
    for run in () if options.json else runs:
        print_lines(*story(run))
    return 0


def explain(options: Namespace) -> int:
    """One run's story."""
    print_lines(*story(serving(options).run(options.run_id)))
    return 0


def change(options: Namespace) -> int:
    """Ask for a change of one run; a turn carries it out."""
    serving(options).change(options.run_id, options.change, getattr(options, "reason", ""))
    print(f"asked: the next turn takes it up; see `tidehunt explain {options.run_id}`")
    return 0


def pause(options: Namespace) -> int:
    """Ask for the pause, or for its end."""
    serving(options).pause(options.change, options.reason)
    print("asked: the next turn takes it up; see `tidehunt status`")
    return 0


def quiet_list(options: Namespace) -> int:
    """Every case that is quiet, until when and by whose word."""
    found = list(_quiet_cases(serving(options)))
    if options.json:
        print(json.dumps(found))
    elif not found:
        print("no case is quiet")
    for case in () if options.json else sorted(found, key=lambda one: str(one["until"])):
        place = f"{case['hunt']} on {case['workspace']}"
        print_lines(f"{case['case']} until {case['until'][:10]}, {place}: {case['reason']}")
    return 0


def _quiet_cases(app: AppClient) -> Iterator[Json]:
    after: str | None = ""
    while after is not None:
        page = app.quiet(after)
        yield from page["quiet"]
        after = page["next"]


def quiet_revoke(options: Namespace) -> int:
    """Ask that a case speaks again."""
    serving(options).revoke(options.case, options.reason)
    print("asked: the next turn takes it up; the case's next finding opens an incident")
    return 0


def doctor(options: Namespace) -> int:
    """Ask the app how it fares with everything that it needs; 1 when something failed."""
    app = serving(options)
    faults = app.health().get("faults", [])
    for fault in faults:
        print_lines(f"failed   {fault['setting']}: {fault['what']}", f"         {fault['mend']}")
    if faults:
        return 1
    told = app.doctor()
    if options.json:
        print(json.dumps(told))
    for check in () if options.json else told["checks"]:
        print_lines(f"{check['verdict']:<8} {check['name']}: {check['said']}")
        if check["mend"]:
            print_lines(f"         {check['mend']}")
    return 0 if told["well"] else 1


def print_lines(*lines: str) -> None:
    """Print lines as they are, each whole."""
    console = Console()
    for line in lines:
        # Text, not markup: what a log wrote cannot style the screen.
        console.print(Text(line), soft_wrap=True)
