"""Writes the parts of the docs that the code says better: `python -m workbench.docs`, `make docs`.

A generated part lies between two comments of its page; docs/hunts/ is generated whole. A test
generates everything again and compares, so that no page can tell of a code that is gone.
"""

from __future__ import annotations

import argparse
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from shared.model import RUN_TERMINAL
from shared.runs import JOB_TABLE, RUN_TABLE, Row
from shared.settings import Settings, environment_name
from workbench import cli
from workbench.docs_hunts import hunt_pages, table

ROOT = Path(__file__).resolve().parent.parent
JOB_FINAL = ("ended", "lost")
"""Statuses in which nothing is asked of the engine any more."""


def pages() -> dict[Path, str]:
    """Every page with generated parts -> its whole text, as it should be.

    Raises ValueError when a page lacks the comments of a part.
    """
    parts: Mapping[str, Mapping[str, str]] = {
        "README.md": {"commands": commands()},
        "docs/operations.md": {"settings": settings()},
        "docs/architecture.md": {
            "run": states(RUN_TABLE, RUN_TERMINAL),
            "job": states(JOB_TABLE, JOB_FINAL),
        },
    }
    whole = {ROOT / "docs" / "hunts" / name: text for name, text in hunt_pages().items()}
    return {**{ROOT / name: filled(ROOT / name, given) for name, given in parts.items()}, **whole}


def stale() -> list[Path]:
    """Pages that differ from what the code says, and hunts' pages without a hunt."""
    wanted = pages()
    orphans = set((ROOT / "docs" / "hunts").glob("*.md")) - set(wanted)
    changed = {path for path, text in wanted.items() if _read(path) != text}
    return sorted(changed | orphans)


def filled(path: Path, parts: Mapping[str, str]) -> str:
    """A page's text with its generated parts as given. ValueError when a part has no place."""
    text = _read(path)
    for name, part in parts.items():
        begin, end = f"<!-- generated: {name} -->\n", f"<!-- end: {name} -->"
        if text.count(begin) != 1 or text.count(end) != 1:
            raise ValueError(f"{path} lacks the comments {begin.strip()} and {end}")
        before, rest = text.split(begin)
        text = f"{before}{begin}\n{part}\n\n{end}{rest.split(end)[1]}"
    return text


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def commands() -> str:
    """The commands of `tidehunt`, as its help tells them."""
    return table(("command", "what it does", "options"), list(_verbs(cli.parser(), "tidehunt")))


def _verbs(parser: argparse.ArgumentParser, name: str) -> Iterator[tuple[str, str, str]]:
    """Rows of the verbs below a command, and of those below a verb."""
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helps = {str(choice.dest): str(choice.help) for choice in action._choices_actions}
            for word, verb in action.choices.items():
                below = list(_verbs(verb, f"{name} {word}"))
                yield from below or [(f"`{name} {word}`", helps[word], _options(verb))]


def _options(verb: argparse.ArgumentParser) -> str:
    named = [
        action.option_strings[-1] if action.option_strings else action.dest.upper()
        for action in verb._actions
        if action.dest != "help"
    ]
    return " ".join(f"`{name}`" for name in named)


def settings() -> str:
    """Every setting: its environment variable, default and meaning; required ones first."""
    required = [item for item in fields(Settings) if item.default is MISSING]
    optional = [item for item in fields(Settings) if item.default is not MISSING]
    rows = [
        (f"`{environment_name(item.name)}`", _default(item), str(item.metadata["help"]))
        for item in (*required, *optional)
    ]
    return table(("setting", "default", "what it is"), rows)


def _default(item: Field[Any]) -> str:
    if item.default is MISSING:
        return "**required**"
    if item.default in ("", ()):
        return ""
    value = f"{item.default:g}" if isinstance(item.default, float) else str(item.default)
    return f"`{value}`"


def states(rows: Sequence[Row], final: Iterable[str]) -> str:
    """A state machine as a picture and as the table that it is drawn from."""
    lines = [
        (f"`{row.status}`", row.event.__name__, _statuses(row.leads_to), row.why) for row in rows
    ]
    return f"{_diagram(rows, final)}\n\n{table(('in', 'on', 'to', 'because'), lines)}"


def _statuses(names: Iterable[str]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _diagram(rows: Sequence[Row], final: Iterable[str]) -> str:
    arrows: dict[tuple[str, str], list[str]] = defaultdict(list)
    for row in rows:
        for status in row.leads_to:
            arrows[row.status, status].append(row.event.__name__)
    drawn = [f"    {start} --> {end}: {', '.join(names)}" for (start, end), names in arrows.items()]
    ends = [f"    {status} --> [*]" for status in final]
    return "\n".join(
        ["```mermaid", "stateDiagram-v2", f"    [*] --> {rows[0].status}", *drawn, *ends, "```"]
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write what is stale; with --check only say it, and 1 when there is any."""
    parser = argparse.ArgumentParser(prog="python -m workbench.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if stale")
    options = parser.parse_args(arguments)
    wanted, changed = pages(), stale()
    for path in changed:
        print(f"{'stale' if options.check else 'written'}: {path.relative_to(ROOT)}")
        if not options.check:
            _put(path, wanted.get(path))
    return 1 if options.check and changed else 0


def _put(path: Path, text: str | None) -> None:
    if text is None:
        path.unlink()
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
