"""`tidehunt held`, `explain`, `release`, `redrive`, `abandon`, `pause`, `resume`: what to do."""

from __future__ import annotations

import json
from argparse import Namespace

from rich.console import Console
from rich.text import Text

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


def print_lines(*lines: str) -> None:
    """Print lines as they are, each whole."""
    console = Console()
    for line in lines:
        # Text, not markup: what a log wrote cannot style the screen.
        console.print(Text(line), soft_wrap=True)
