"""Publishes the Spark code: one reproducible zip by its content hash, and main.py beside it.

What the deployer does for Azure, the workbench does for the local lake. The same sources give the
same bytes on every machine, so that a run that records the hash can be repeated.
"""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from shared.errors import BadInput

ROOT = Path(__file__).resolve().parent.parent
HASH_DIGITS = 24
_EPOCH = (1980, 1, 1, 0, 0, 0)
_UNIX = 3


def publish(code_folder: Path, hunt_folders: Sequence[Path] = ()) -> str:
    """Write `<code_folder>/<hash>/{main.py,code.zip}` and return the hash.

    `hunt_folders` hold users' own pairs (`<id>.py` and `<id>.yaml`), which go into the same zip.
    BadInput when two pairs have one id.
    """
    content, main = build_zip(hunt_folders), (ROOT / "spark" / "main.py").read_bytes()
    digest = hashlib.sha256(content + main).hexdigest()[:HASH_DIGITS]
    folder = code_folder / digest
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "code.zip", content)
    _write(folder / "main.py", main)
    return digest


def build_zip(hunt_folders: Sequence[Path] = ()) -> bytes:
    """The zip: the data plane, the contract, and all hunts."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, path in sorted(_members(hunt_folders).items()):
            # Stored: one deflate library's bytes are not another's.
            info = zipfile.ZipInfo(name, _EPOCH)
            info.create_system, info.external_attr = _UNIX, 0o644 << 16
            archive.writestr(info, path.read_bytes(), zipfile.ZIP_STORED)
    return buffer.getvalue()


def _members(hunt_folders: Sequence[Path]) -> dict[str, Path]:
    members = {name: ROOT / name for name in ("shared/__init__.py", "shared/contract.py")}
    for path in (ROOT / "spark").rglob("*"):
        if path.suffix in (".py", ".yaml") and path != ROOT / "spark" / "main.py":
            members[path.relative_to(ROOT).as_posix()] = path
    for path in _users_hunts(hunt_folders):
        name = f"spark/hunts/{path.name}"
        if name in members:
            raise BadInput(
                f"two hunts are called {path.stem}",
                where=f"{members[name]} and {path}",
                mend="rename one of them",
            )
        members[name] = path
    return members


def _users_hunts(hunt_folders: Sequence[Path]) -> Iterator[Path]:
    for folder in hunt_folders:
        if not folder.is_dir():
            raise BadInput(
                "no such folder of hunts",
                where=str(folder),
                mend="correct TIDEHUNT_HUNT_FOLDERS",
            )
        yield from (path for path in sorted(folder.iterdir()) if _is_of_a_pair(path))


def _is_of_a_pair(path: Path) -> bool:
    """A package's marker is no hunt, and the data plane has one."""
    return path.suffix in (".py", ".yaml") and path.stem != "__init__" and path.is_file()


def _write(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_bytes(content)
    temporary.replace(path)
