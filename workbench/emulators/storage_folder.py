"""A storage account as a plain folder: `<root>/<container>/<path>`.

Spark and people write past the emulator, so nothing about a file is stored but the file: its ETag
is derived from mtime, size and inode. The emulator writes to a folder outside the tree and
renames: a reader sees the old content or the new, and nothing temporary is ever listed. Symbolic
links are not followed: no path leads out of the account.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

CONTAINER = re.compile(r"(?!.*--)[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
FORBIDDEN = re.compile("[\x00-\x1f\x7f\\\\\ud800-\udfff\ufffe\uffff]")


class Refused(Exception):
    """The answer to a request that the service refuses: HTTP status and error code."""

    def __init__(self, status: int, code: str, message: str = "") -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message or code


@dataclass(frozen=True, slots=True)
class Stat:
    """A container, directory or file. `path` is inside the container; `modified` in seconds."""

    path: str
    size: int
    etag: str
    """In quotes, as headers have it."""
    modified: float
    is_directory: bool


class Folder:
    """The files of one account. `staging` is ours alone, on the file system of `root`."""

    def __init__(self, root: Path, staging: Path) -> None:
        for folder in (root, staging):
            folder.mkdir(parents=True, exist_ok=True)
        self._root = Path(os.path.realpath(root))
        self._staging = staging
        for left in staging.glob("draft-*"):  # by a process that was killed
            left.unlink()
        self._last_mtime = 0

    def containers(self) -> list[Stat]:
        """All containers, in name order; names in lower case whatever the disk says."""
        found = [_stat(entry.name.lower(), entry.stat()) for entry in _entries(self._root)]
        named = [item for item in found if item.is_directory and CONTAINER.fullmatch(item.path)]
        return sorted(named, key=lambda item: item.path)

    def container(self, name: str) -> Path:
        """A container's folder. Refused (404) when there is none, (400) when no name is valid."""
        if not CONTAINER.fullmatch(name):
            raise Refused(400, "InvalidResourceName")
        folder = self._root / name
        if _is_directory(folder):
            return folder
        copied = [entry for entry in _entries(self._root) if entry.name.lower() == name]
        if not copied or not copied[0].is_dir(follow_symlinks=False):
            raise Refused(404, "ContainerNotFound", "The specified container does not exist.")
        return Path(copied[0].path)

    def create_container(self, name: str) -> None:
        """Make a container. Refused (409) when it exists."""
        try:
            self.container(name)
        except Refused as refused:
            if refused.status != 404:
                raise
            (self._root / name).mkdir()
            return
        raise Refused(409, "ContainerAlreadyExists", "The specified container already exists.")

    def delete_container(self, name: str) -> None:
        """Remove a container and all that is in it."""
        shutil.rmtree(self.container(name))

    def stat(self, container: str, path: str = "") -> Stat | None:
        """What is there, or None. An empty path is the container itself."""
        target = self._target(container, path)
        try:
            return _stat(path, target.lstat())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def locate(self, container: str, path: str) -> Path:
        """The file on disk, to read it. Refused when the path leads elsewhere."""
        return self._target(container, path)

    def draft(self) -> Path:
        """A fresh name outside the tree, for content that `publish` or `keep` will take."""
        return self._staging / f"draft-{uuid.uuid4().hex}"

    def publish(self, draft: Path, container: str, path: str) -> Stat:
        """Let a draft take a file's place in one step, parents made. Refused (409) over others."""
        target = self._target(container, path)
        with _conflicts():
            target.parent.mkdir(parents=True, exist_ok=True)
            self._touch(draft)
            draft.replace(target)
        return _stat(path, target.lstat())

    def append(self, container: str, path: str, content: bytes) -> Stat:
        """Add to a file in place: an append blob may have 50,000 blocks. All or nothing."""
        target = self._target(container, path)
        with target.open("r+b") as file:
            end = file.seek(0, os.SEEK_END)
            try:
                file.write(content)
                file.flush()
            except OSError:
                file.truncate(end)
                raise
        return self.touch(container, path)

    def touch(self, container: str, path: str) -> Stat:
        """Give a file a new ETag."""
        target = self._target(container, path)
        self._touch(target)
        return _stat(path, target.lstat())

    def make_directory(self, container: str, path: str) -> Stat:
        """Make a directory, parents too; fine when it is there. Refused (409) over a file."""
        target = self._target(container, path)
        with _conflicts():
            target.mkdir(parents=True, exist_ok=True)
        return _stat(path, target.lstat())

    def remove(self, container: str, path: str) -> None:
        """Remove a file, or a directory with all that is in it."""
        target = self._target(container, path)
        shutil.rmtree(target) if _is_directory(target) else target.unlink()

    def rename(self, source: tuple[str, str], target: tuple[str, str]) -> Stat:
        """Move a file or directory onto (container, path), in one step."""
        there = self._target(*target)
        if not _is_directory(there.parent):
            raise Refused(404, "RenameDestinationParentPathNotFound")
        with _conflicts():
            self._target(*source).rename(there)
        return _stat(target[1], there.lstat())

    def walk(
        self, container: str, directory: str, *, after: str = "", only: str = "", deep: bool = True
    ) -> Iterator[Stat]:
        """What is below a directory, parents before children, siblings in name order.

        Starts behind the path `after`; `only` is what the names of direct children start with.
        """
        folder = self._target(container, directory)
        base = f"{directory}/" if directory else ""
        behind = after.removeprefix(base).split("/") if after else []
        return _walk(folder, base, behind, only, deep)

    def pieces(self, container: str, path: str) -> Path:
        """The folder of a file's uncommitted pieces; it need not exist."""
        name = hashlib.sha256(f"{container}/{path}".encode()).hexdigest()
        return self._staging / f"pieces-{name}"

    def _target(self, container: str, path: str) -> Path:
        folder = self.container(container)
        if not path:
            return folder
        check_path(path)
        target = folder / path
        # The folder itself is no link, and its root was resolved: what lies below may be one.
        step = str(folder)
        for name in path.split("/"):
            step = f"{step}/{name}"
            if os.path.islink(step):  # noqa: PTH114  each request asks, of each step
                raise Refused(404, "PathNotFound", "Symbolic links are not followed.")
        return target

    def _touch(self, path: Path) -> None:
        """Stamp with a time that no earlier write has: the kernel's own stamps tick in ms."""
        self._last_mtime = max(time.time_ns(), self._last_mtime + 1)
        os.utime(path, ns=(self._last_mtime, self._last_mtime))


def check_path(path: str) -> None:
    """Refuse (400) every path that is not plain: empty or dot segments, encoded or not, NUL, \\."""
    plain = not FORBIDDEN.search(path)
    if not plain or any(_is_dots(segment) for segment in path.split("/")):
        raise Refused(400, "InvalidUri", "The request URI is invalid.")


def _is_dots(segment: str) -> bool:
    while (decoded := unquote(segment)) != segment:
        segment = decoded
    parts = re.split(r"[/\\]", segment)
    return any(part.strip() in ("", ".", "..") for part in parts)


def _walk(folder: Path, base: str, behind: list[str], only: str, deep: bool) -> Iterator[Stat]:
    head = behind[0] if behind else ""
    for entry in _entries(folder):
        if entry.name < head or not entry.name.startswith(only):
            continue
        try:
            item = _stat(f"{base}{entry.name}", entry.stat(follow_symlinks=False))
        except FileNotFoundError:  # removed since the folder was read
            continue
        inside = entry.name == head
        if not inside:
            yield item
        if deep and item.is_directory:
            rest = behind[1:] if inside else []
            yield from _walk(folder / entry.name, f"{item.path}/", rest, "", deep)


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    """Files and directories with names that a URL can carry, in name order."""
    try:
        with os.scandir(folder) as found:
            entries = [entry for entry in found if not FORBIDDEN.search(entry.name)]
    except (FileNotFoundError, NotADirectoryError):
        return []
    plain = [entry for entry in entries if entry.is_dir(follow_symlinks=False) or _is_file(entry)]
    return sorted(plain, key=lambda entry: entry.name)


def _is_file(entry: os.DirEntry[str]) -> bool:
    return entry.is_file(follow_symlinks=False)


def _is_directory(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def etag(size: int, mtime_ns: int, inode: int) -> str:
    """The ETag of a file or directory, in quotes."""
    identity = f"{mtime_ns}/{size}/{inode}".encode()
    return f'"0x{hashlib.blake2b(identity, digest_size=8).hexdigest().upper()}"'


def _stat(path: str, found: os.stat_result) -> Stat:
    is_directory = stat.S_ISDIR(found.st_mode)
    size = 0 if is_directory else found.st_size
    version = etag(found.st_size, found.st_mtime_ns, found.st_ino)
    return Stat(path, size, version, found.st_mtime, is_directory)


@contextmanager
def _conflicts() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR, errno.EISDIR):
            raise Refused(409, "PathConflict") from error
        if error.errno == errno.ENAMETOOLONG:
            raise Refused(400, "InvalidUri", "A segment of the path is too long.") from error
        raise
