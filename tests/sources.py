"""The project's files as its own tests look at them."""

from __future__ import annotations

import ast
import os
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


@cache
def committed() -> tuple[Path, ...]:
    """Every file that is committed or would be, relative to the root."""
    return listed("--cached", "--others", "--exclude-standard")


def listed(*options: str) -> tuple[Path, ...]:
    """What `git ls-files` says with these options, relative to the root, if it is still there."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", *options]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    names = sorted(set(answer.stdout.split("\0")) - {""})
    return tuple(Path(name) for name in names if (ROOT / name).is_file())


def sources(*folders: str) -> list[Path]:
    """Committed Python files below these folders, or all, relative to the root."""
    return [
        path
        for path in committed()
        if path.suffix == ".py" and (not folders or path.parts[0] in folders)
    ]


@cache
def tree(path: Path) -> ast.Module:
    """A file's syntax."""
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    """Every module that a file imports, anywhere in it; `from a import b` is `a.b`."""
    return set(_imported(tree(path)))


def _imported(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name whole paths"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def below(name: str, *packages: str) -> bool:
    """True for a dotted name that is one of these packages or lies in one."""
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def outside() -> dict[str, str]:
    """The environment for talking to the world: without the certificates of a local cloud."""
    local = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE")
    return {name: value for name, value in os.environ.items() if name not in local}
