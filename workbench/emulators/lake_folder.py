"""Watches an account's folder and raises the events of what appears past the emulator.

    exports   a new file is what the exporter does: one PutBlob of an empty append blob; growing
              raises nothing, as appends raise nothing in the service
    state     a new or rewritten file is what Spark's ABFS driver does: CreateFile with 0 bytes,
              then FlushWithClose with its length once nobody writes to it; a move is RenameFile

What came over REST is absorbed, so that no look takes it for new. The last look is kept in a
file: a restart raises what appeared meanwhile, and before the first look nothing is new.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from workbench.emulators.storage_events import BlobEvent
from workbench.emulators.storage_folder import FORBIDDEN, Folder, Refused, etag

INTERVAL = 0.5
LOAD = 5
"""A look that took t seconds is followed by a pause of at least LOAD x t."""
QUIET_SECONDS = 0.5
"""A file that was not written to for so long is closed; so is one that two looks found equal."""
SAVE_SECONDS = 2.0
RACY_NS = 2_000_000_000
"""mtimes tick coarsely: a directory that changed less than this before it was read is read anew."""

Signature = tuple[int, int, int]
"""(size, mtime in ns, inode) of a file."""
log = logging.getLogger("uvicorn.error")


@dataclass(frozen=True, slots=True)
class _Directory:
    """What one directory held; `settled`: an equal mtime means that it still holds the same."""

    mtime_ns: int
    settled: bool
    files: dict[str, Signature]
    directories: list[str]


class LakeFolder:
    """The watcher of one account. `account` is its name in the roles, `kept` its last look.

    `exporter`: what appears is the exporter's (see above). Use it from one event loop only.
    """

    def __init__(
        self,
        account: str,
        folder: Folder,
        kept: Path,
        publish: Callable[[BlobEvent], None],
        *,
        exporter: bool = False,
        interval: float = INTERVAL,
    ) -> None:
        self.publish = publish
        self._account = account
        self._folder = folder
        self._kept = kept
        self._exporter = exporter
        self._interval = interval
        self._known: dict[str, Signature] = {}
        self._unsettled: dict[str, Signature] = {}
        self._absorbed: set[str] = set()
        self._absorbed_trees: set[str] = set()
        self._directories: dict[str, _Directory] = {}
        self._saved_at = 0.0
        self._changed = False

    def open(self) -> None:
        """Load the last look, or take what is there now as known. Before anything is served."""
        try:
            kept = json.loads(self._kept.read_text("utf-8"))
            self._known = {name: (size, mtime, ino) for name, (size, mtime, ino) in kept.items()}
        except (FileNotFoundError, ValueError, TypeError):
            self._known = self._look()
            self.save()

    async def run(self) -> None:
        """Look for ever."""
        while True:
            started = time.monotonic()
            try:
                await self.poll()
            except OSError as error:
                log.error("cannot watch the %s account: %s", self._account, error)
            await asyncio.sleep(max(self._interval, LOAD * (time.monotonic() - started)))

    async def poll(self) -> None:
        """One look: raise the events of what is new."""
        self._absorbed.clear()
        self._absorbed_trees.clear()
        found = await asyncio.to_thread(self._look)
        self._compare(self._with_absorbed(found) if self._absorbed else found)
        if self._changed and time.monotonic() - self._saved_at > SAVE_SECONDS:
            self.save()

    def absorb(self, container: str, path: str) -> None:
        """Take what is at and below a path as known: who changed it over REST told of it."""
        name = f"{container}/{path}" if path else container
        found = self._below(container, path)
        if name not in found:  # a directory, or gone
            self._absorbed_trees.add(name)
            for inside in [known for known in self._known if _is_in(known, name)]:
                del self._known[inside]
        self._known |= found
        self._unsettled.pop(name, None)
        self._absorbed.add(name)
        self._changed = True

    def save(self) -> None:
        """Write the last look. What is not closed yet is left out: a restart finds it new.

        On a full disk the earlier look stays: a restart then raises more than it must.
        """
        closed = {n: s for n, s in self._known.items() if n not in self._unsettled}
        draft = self._kept.with_suffix(".new")
        try:
            self._kept.parent.mkdir(parents=True, exist_ok=True)
            draft.write_text(json.dumps(closed), "utf-8")
            draft.replace(self._kept)
        except OSError as error:
            log.error("cannot keep the last look at the %s account: %s", self._account, error)
        self._saved_at, self._changed = time.monotonic(), False

    def _below(self, container: str, path: str) -> dict[str, Signature]:
        name = f"{container}/{path}" if path else container
        try:
            target = self._folder.locate(container, path)
            found = target.lstat()
        except (Refused, FileNotFoundError, NotADirectoryError):
            return {}
        if not target.is_dir():
            return {name: (found.st_size, found.st_mtime_ns, found.st_ino)}
        return _read_all(str(target), f"{name}/", {})

    def _with_absorbed(self, found: dict[str, Signature]) -> dict[str, Signature]:
        """What was absorbed while we looked is as we know it: the look may be older than that."""

        def absorbed(name: str) -> bool:
            trees = self._absorbed_trees
            return name in self._absorbed or any(_is_in(name, tree) for tree in trees)

        kept = {name: found[name] for name in found if not absorbed(name)}
        return kept | {name: self._known[name] for name in self._known if absorbed(name)}

    def _look(self) -> dict[str, Signature]:
        """Every file of the account. Only of exports, where growing is no news, is it cached."""
        cache = self._directories if self._exporter else {}
        found: dict[str, Signature] = {}
        for container in self._folder.containers():
            root = self._folder.locate(container.path, "")
            found |= _read_all(str(root), f"{container.path}/", cache)
        return found

    def _compare(self, found: dict[str, Signature]) -> None:
        before, self._known = self._known, found
        gone = {before[name]: name for name in before.keys() - found.keys()}
        self._changed = self._changed or bool(gone)
        for name in self._unsettled.keys() - found.keys():
            del self._unsettled[name]
        for name, now in found.items():
            if name in self._unsettled:
                self._close(name, now)
            elif now != before.get(name):
                self._changed = True
                self._appeared(name, before.get(name), gone.get(now, ""))

    def _appeared(self, name: str, before: Signature | None, source: str) -> None:
        now = self._known[name]
        if self._exporter:
            replaced = before and before[2] != now[2] and before[1] != now[1]
            if before is None or replaced:
                self._raise(name, "PutBlob")
        elif source:
            self._raise(name, "RenameFile", source)
        else:
            self._raise(name, "CreateFile")
            self._close(name, now)

    def _close(self, name: str, now: Signature) -> None:
        """Raise FlushWithClose when the writer has ended, as far as a look can tell."""
        if self._unsettled.get(name) == now or time.time_ns() - now[1] > QUIET_SECONDS * 1e9:
            self._unsettled.pop(name, None)
            self._changed = True
            self._raise(name, "FlushWithClose")
        else:
            self._unsettled[name] = now

    def _raise(self, name: str, api: str, source: str = "") -> None:
        container, _, path = name.partition("/")
        size, mtime_ns, inode = self._known[name]
        export = self._exporter and container.startswith("am-")
        event = BlobEvent(
            account=self._account,
            api=api,
            container=container,
            path=path,
            etag=etag(size, mtime_ns, inode),
            size=size if api == "FlushWithClose" else 0,
            blob_type="AppendBlob" if export else "BlockBlob",
            source=source,
        )
        self.publish(event)


def _is_in(name: str, path: str) -> bool:
    return name == path or name.startswith(f"{path}/")


def _read_all(root: str, base: str, cache: dict[str, _Directory]) -> dict[str, Signature]:
    """Every file below a folder, by `<base><path>`; directories by way of the cache."""
    found: dict[str, Signature] = {}
    waiting = [(root, base)]
    while waiting:
        folder, prefix = waiting.pop()
        try:
            mtime_ns = os.stat(folder).st_mtime_ns  # noqa: PTH116  a Path each costs half the look
            held = cache.get(folder)
            if held is None or not held.settled or held.mtime_ns != mtime_ns:
                held = cache[folder] = _read(folder, prefix, mtime_ns)
        except FileNotFoundError:
            cache.pop(folder, None)
            continue
        found.update(held.files)
        waiting += [(f"{folder}/{name}", f"{prefix}{name}/") for name in held.directories]
    return found


def _read(folder: str, prefix: str, mtime_ns: int) -> _Directory:
    files: dict[str, Signature] = {}
    directories: list[str] = []
    settled = time.time_ns() - mtime_ns > RACY_NS
    with os.scandir(folder) as entries:
        for entry in entries:
            if FORBIDDEN.search(entry.name):
                continue
            if entry.is_dir(follow_symlinks=False):
                directories.append(entry.name)
            elif entry.is_file(follow_symlinks=False):
                at = entry.stat(follow_symlinks=False)
                files[f"{prefix}{entry.name}"] = (at.st_size, at.st_mtime_ns, at.st_ino)
    return _Directory(mtime_ns, settled, files, directories)
