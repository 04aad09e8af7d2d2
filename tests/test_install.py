"""`make` on machines that lack something: one clear message with the mend, nothing half done."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.sources import ROOT

TOOLS = ("bash", "make", "cat", "tail", "rm", "mkdir")
NEEDED = (
    "Makefile",
    "pyproject.toml",
    "workbench/install.sh",
    "workbench/requirements.txt",
    "workbench/requirements-build.txt",
)
FULL_DISK = (
    'case "$*" in "-m venv"*) echo "No space left on device"; exit 1;; esac; exec "$REAL" "$@"'
)
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_CONFIG_FILE": os.devnull}


class Machine:
    """A checkout and a PATH with the few tools that an installation may use."""

    def __init__(self, folder: Path) -> None:
        self.checkout, self.bin = folder / "check out", folder / "bin"
        self.bin.mkdir()
        for name in NEEDED:
            (self.checkout / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, self.checkout / name)
        for tool in TOOLS:
            found = shutil.which(tool)
            assert found is not None
            (self.bin / tool).symlink_to(found)

    @property
    def venv(self) -> Path:
        return self.checkout / ".venv"

    def python(self, name: str, script: str) -> None:
        """Put an interpreter on the PATH; `$REAL` is one that works."""
        path = self.bin / name
        path.write_text(f'#!{self.bin}/bash\nREAL="{sys.executable}"\n{script}\n', "utf-8")
        path.chmod(0o755)

    def make(self, *arguments: str, more: Mapping[str, str] | None = None) -> str:
        """What `make hunt` says when it fails; asserts that it does."""
        done = subprocess.run(
            [str(self.bin / "make"), "hunt", *arguments],
            cwd=self.checkout,
            env={"PATH": str(self.bin), **(more or {})},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 2, done.stderr
        return done.stderr


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_without_python_it_says_what_to_install(machine: Machine) -> None:
    told = machine.make()

    assert "no Python 3.11 or 3.12 was found\nMend: install it" in told
    assert not machine.venv.exists()


def test_a_name_with_nothing_behind_it_is_no_python(machine: Machine) -> None:
    machine.python("python3.11", "echo 'command not found' >&2; exit 127")
    machine.python("python3", "exit 1")

    assert "no Python 3.11 or 3.12 was found" in machine.make()


def test_a_python_without_venv_is_told_with_its_package(machine: Machine) -> None:
    machine.python("python3", 'case "$*" in *ensurepip*) exit 1;; esac; exec "$REAL" "$@"')

    told = machine.make()

    assert "lacks venv and pip\nMend: install them" in told
    assert f"python3.{sys.version_info.minor}-venv" in told
    assert not machine.venv.exists()


def test_a_folder_of_somebody_else_is_left_alone(machine: Machine) -> None:
    machine.python("python3", 'exec "$REAL" "$@"')
    machine.venv.mkdir()
    (machine.venv / "thesis.txt").write_text("the only copy", "utf-8")

    assert "exists and is no virtual environment" in machine.make()
    assert (machine.venv / "thesis.txt").read_text("utf-8") == "the only copy"


def test_an_interpreter_can_be_named(machine: Machine) -> None:
    machine.python("my python", 'case "$*" in *ensurepip*) exit 1;; esac; exec "$REAL" "$@"')
    mine = machine.bin / "my python"

    assert f"({mine}) lacks venv and pip" in machine.make(f"PYTHON={mine}")


@pytest.mark.slow
def test_what_pip_could_not_install_is_told_and_made_anew(machine: Machine) -> None:
    machine.python("python3", 'exec "$REAL" "$@"')
    first = machine.make(more=OFFLINE)
    (machine.venv / "half").touch()
    machine.python("python3", FULL_DISK)
    second = machine.make(more=OFFLINE)

    assert "No matching distribution found for setuptools" in first
    assert "then type the same command again" in first
    assert "it is made anew" not in first
    assert "it is made anew" in second
    assert "No space left on device" in second
    assert not (machine.venv / "half").exists()


def test_a_moved_environment_is_made_anew(machine: Machine) -> None:
    machine.python("python3", FULL_DISK)
    command = [sys.executable, "-m", "venv", "--without-pip", str(machine.venv)]
    subprocess.run(command, check=True)
    (machine.venv / ".local").write_text("/elsewhere/.venv\n", "utf-8")
    (machine.venv / "old").touch()

    assert "was moved" in machine.make()
    assert not (machine.venv / "old").exists()


def test_make_alone_explains_itself(machine: Machine) -> None:
    done = subprocess.run(
        [str(machine.bin / "make")],
        cwd=machine.checkout,
        env={"PATH": str(machine.bin)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert "make hunt LOGS=<folder>" in done.stdout
    assert not machine.venv.exists()
