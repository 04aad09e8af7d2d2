"""Where one local Tidehunt keeps everything: lake, emulator databases, logs, the report."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shared.errors import BadInput

ROOT = ".tidehunt"
MARKER = "tidehunt-home.json"
LEAST_FREE = 32_000_000
"""Bytes on the disk below which a hunt stops: its ledger and its databases must stay writable."""
MORE_ROOM = (
    "free disk space and type the same again, it goes on where it stopped; "
    "or choose another place with --home"
)
_LAST = "last"


@dataclass(frozen=True)
class Home:
    """One home folder; `<home>/lake/<account>/<container>/...` is the lake as in Azure."""

    path: Path

    @property
    def exports(self) -> Path:
        """Folder of the account that data export writes to."""
        return self.path / "lake" / "exports"

    @property
    def state(self) -> Path:
        """Folder of Tidehunt's own account."""
        return self.path / "lake" / "state"

    @property
    def logs(self) -> Path:
        """Folder of log files."""
        return self.path / "logs"

    @property
    def references(self) -> Path:
        """Folder of reference lists, e.g. allow_list.json."""
        return self.path / "references"

    @property
    def document(self) -> Path:
        """What the last hunt found, as `--json` prints it."""
        return self.path / "hunt.json"

    @property
    def report(self) -> Path:
        """The last hunt's report."""
        return self.path / "report.html"

    @property
    def serving(self) -> Path:
        """Addresses of a running `tidehunt serve`; absent when none runs."""
        return self.path / "serving.json"

    def make(self) -> None:
        """Create the folders. BadInput when the place cannot be written."""
        try:
            for folder in (self.exports, self.state, self.logs, self.references):
                folder.mkdir(parents=True, exist_ok=True)
            for container in ("ledger", "results", "tables", "code"):
                (self.state / container).mkdir(exist_ok=True)
            (self.path / MARKER).write_text('{"home": 1}\n', encoding="utf-8")
        except OSError as error:
            raise unwritable(error, self.path) from error

    def require_room(self) -> None:
        """BadInput before the disk is full: who stops in time loses nothing."""
        free = shutil.disk_usage(self.path).free
        if free < LEAST_FREE:
            what = f"the disk is full: {free / 1e6:.0f} MB are left"
            raise BadInput(what, where=str(self.path), mend=MORE_ROOM)

    def remember(self) -> None:
        """Make this the home that commands without --home use."""
        if self.path.parent.name == ROOT:
            (self.path.parent / _LAST).write_text(str(self.path.resolve()) + "\n", encoding="utf-8")

    def config(self) -> dict[str, Any]:
        """What was set up in this home: demo date, workspaces."""
        path = self.path / "config.json"
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))) if path.is_file() else {}
        except ValueError as error:
            raise BadInput(
                "the home's config.json is broken", where=str(path), mend="tidehunt clean"
            ) from error

    def configure(self, **values: Any) -> None:
        """Change what is set up in this home."""
        path = self.path / "config.json"
        temporary = path.with_suffix(".new")
        temporary.write_text(json.dumps({**self.config(), **values}, indent=2), encoding="utf-8")
        temporary.replace(path)

    def remove(self) -> None:
        """Delete everything. BadInput when this is not a home of ours."""
        if not (self.path / MARKER).is_file():
            raise BadInput(
                "this is no Tidehunt home, nothing was deleted",
                where=str(self.path),
                mend="name the folder that holds tidehunt-home.json",
            )
        shutil.rmtree(self.path)


def unwritable(error: OSError, where: Path | str) -> BadInput:
    """What a failed write means, and its mend."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return BadInput("the disk is full", where=str(where), mend=MORE_ROOM)
    return BadInput(
        f"cannot write there: {error.strerror or error}",
        where=str(where),
        mend="check its permissions, or choose another place with --home",
    )


def choose(home: str | None, logs: str | None = None) -> Home:
    """The home that a command means: --home, one of its own for a folder of logs, or the last."""
    root = Path(ROOT)
    if home:
        return Home(Path(home))
    if logs:
        real = Path(logs).resolve()
        digest = hashlib.sha256(os.fsencode(real)).hexdigest()[:8]
        return Home(root / f"logs-{_safe(real.name)}-{digest}")
    return Home(root / "demo")


def last() -> Home:
    """The home that was used last, else the demo's."""
    pointer = Path(ROOT) / _LAST
    if pointer.is_file():
        path = Path(pointer.read_text(encoding="utf-8").strip())
        if (path / MARKER).is_file():
            return Home(path)
    return Home(Path(ROOT) / "demo")


def _safe(name: str) -> str:
    return "".join(char if char.isalnum() or char in "-_" else "-" for char in name)[:40] or "logs"
