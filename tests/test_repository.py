"""Habits of the repository that no other tool holds: sizes, names, imports, what is deployed."""

from __future__ import annotations

import ast
import json
import re
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from shared import contract, health_rows
from shared.arrivals import Arrivals
from shared.delivery import row_of
from shared.model import Job, Run, Window
from shared.told import Alarm
from tests.sources import ROOT, below, committed, imported, listed, sources, tree

FILE_LINES, FUNCTION_LINES, APP_LINES = 350, 60, 100
OWN = ("function_app.py", "shared", "spark", "workbench", "benchmarks", "infra")
STANDARD = tuple(sys.stdlib_module_names)
HUNTS = sorted(
    path.stem for path in sources("spark") if path.match("hunts/*.py") and path.stem != "__init__"
)


# --- taste ------------------------------------------------------------------------------------


def test_files_can_be_read_in_one_sitting() -> None:
    lengths = {str(path): len((ROOT / path).read_bytes().splitlines()) for path in sources()}

    assert {name: lines for name, lines in lengths.items() if lines > FILE_LINES} == {}


def test_functions_fit_on_a_screen() -> None:
    functions = {
        f"{path}:{node.lineno} {node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in sources(*OWN)
        for node in ast.walk(tree(path))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }

    assert len(functions) > 100
    assert {name: lines for name, lines in functions.items() if lines > FUNCTION_LINES} == {}


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    drawers = {"util", "utils", "common", "helper", "helpers", "misc"}

    assert [path for path in sources() if drawers & {path.stem, *path.parts[:-1]}] == []


def test_tests_patch_nothing() -> None:
    libraries = {
        str(path)
        for path in sources("tests")
        if any(below(name, "unittest.mock", "mock", "pytest_mock") for name in imported(path))
    }

    assert libraries == set()
    assert [hit for path in sources("tests") for hit in _patches(path)] == []


def _patches(path: Path) -> list[str]:
    """Where a file replaces what a module or an object holds; environment variables are data."""
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    named = {f.attr for f in calls if isinstance(f, ast.Attribute)} & {"setattr", "delattr"}
    fixtures = {node.arg for node in ast.walk(tree(path)) if isinstance(node, ast.arg)} & {"mocker"}
    return [f"{path}: {name}" for name in sorted(named | fixtures)]


def test_the_control_plane_never_sleeps() -> None:
    """A turn that waits is a turn that nobody else has: what is not yet due is left for later."""
    named = {
        f"{path}:{node.lineno}"
        for path in sources("function_app.py", "shared")
        for node in ast.walk(tree(path))
        if (isinstance(node, ast.Name) and node.id == "sleep")
        or (isinstance(node, ast.Attribute) and node.attr in ("sleep", "wait"))
    }

    assert named == set()


def test_every_hunt_is_a_pair_with_a_test_and_a_page() -> None:
    specs = sorted(path.stem for path in (ROOT / "spark" / "hunts").glob("*.yaml"))

    assert specs == HUNTS != []
    wanted = [f"{place}{hunt}{end}" for hunt in HUNTS for place, end in _companions()]
    assert [name for name in wanted if not (ROOT / name).is_file()] == []


def _companions() -> tuple[tuple[str, str], ...]:
    return ("tests/hunts/test_", ".py"), ("docs/hunts/", ".md")


# --- function_app.py --------------------------------------------------------------------------

APP = Path("function_app.py")
BRANCHES = (
    ast.If, ast.IfExp, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.Match, ast.BoolOp,
    ast.comprehension,
)  # fmt: skip


def test_the_app_binds_and_parses_and_calls() -> None:
    lines = (ROOT / APP).read_text(encoding="utf-8").splitlines()

    assert len(lines) < APP_LINES
    assert [node for node in ast.walk(tree(APP)) if isinstance(node, BRANCHES)] == []


def test_the_app_imports_what_it_may() -> None:
    steps = {f"shared.{name}" for name in ("bootstrap", "control_loop", "events", "http_routes")}
    binds = ("shared.adapters.eventgrid", "shared.adapters.functions_http")
    allowed = ("os", "functools", "azure.functions", *binds, *sorted(steps))

    assert {name for name in imported(APP) if not below(name, *allowed)} == set()


def test_every_subscription_has_its_trigger() -> None:
    subscriptions = json.loads((ROOT / "infra" / "event-subscriptions.json").read_text("utf-8"))
    triggers = {
        node.name
        for node in ast.walk(tree(APP))
        if isinstance(node, ast.FunctionDef)
        and any("event_grid_trigger" in ast.dump(decorator) for decorator in node.decorator_list)
    }

    assert {one["function"] for one in subscriptions} == triggers


# --- imports that a graph of modules cannot judge ---------------------------------------------


def test_the_contract_needs_the_standard_library_only() -> None:
    assert _foreign(Path("shared/contract.py"), STANDARD) == set()


@pytest.mark.parametrize("path", sources("shared"), ids=str)
def test_the_control_plane_imports_what_it_declares(path: Path) -> None:
    declared = ("shared", "azure", "msrest", "requests", "urllib3", "yaml", "cronsim")

    assert _foreign(path, (*STANDARD, *declared)) == set()


@pytest.mark.parametrize("path", sources("spark"), ids=str)
def test_the_data_plane_imports_what_a_pool_has(path: Path) -> None:
    allowed = ("spark", "shared.contract", "pyspark", "py4j", "pyarrow", "numpy")

    assert _foreign(path, (*STANDARD, *allowed)) == set()


@pytest.mark.parametrize("hunt", HUNTS)
def test_a_hunt_knows_views_expressions_and_pyspark(hunt: str) -> None:
    allowed = ("__future__", "collections.abc", "pyspark", "spark.expressions", "spark.views")

    assert _foreign(Path(f"spark/hunts/{hunt}.py"), allowed) == set()


def test_nobody_imports_tests() -> None:
    importing = {
        str(path) for path in sources(*OWN) if any(below(n, "tests") for n in imported(path))
    }

    assert importing == set()


def test_the_demo_tenant_knows_no_hunt() -> None:
    samples = [path for path in sources("workbench") if path.parent.name == "samples"]

    assert samples
    assert [path for path in samples if any(below(n, "spark") for n in imported(path))] == []


def _foreign(path: Path, allowed: tuple[str, ...]) -> set[str]:
    return {name for name in imported(path) if not below(name, *allowed)}


# --- what is deployed -------------------------------------------------------------------------


def test_only_the_app_is_deployed() -> None:
    ignored = set(listed("--cached", "--others", "--ignored", "--exclude-from=.funcignore"))
    deployed = set(committed()) - ignored - {Path(".funcignore")}
    wanted = {Path(name) for name in ("function_app.py", "host.json", "requirements.txt")}
    planes = {path for path in deployed if path.parts[0] in ("shared", "spark")}

    assert deployed == wanted | planes
    assert {path.suffix for path in planes} <= {".py", ".yaml"}


def test_errors_are_never_sampled_away() -> None:
    host = json.loads((ROOT / "host.json").read_text("utf-8"))
    sampling = host["logging"]["applicationInsights"]["samplingSettings"]

    assert "Exception" in sampling["excludedTypes"].split(";")
    assert host["extensionBundle"]["id"] == "Microsoft.Azure.Functions.ExtensionBundle"
    assert host["version"] == "2.0"


# --- infra is data that code agrees with ------------------------------------------------------


def test_the_findings_table_has_the_columns_that_rows_have() -> None:
    stream = json.loads((ROOT / "infra" / "findings-stream.json").read_text("utf-8"))
    now = datetime(2026, 3, 2, tzinfo=UTC)
    span = Window(now, now)
    run = Run("r", "h", "g", "w", "live", span, span, 0, "delivering", now, now)
    finding = {"FindingId": "", "FindingKey": "", "Title": "", "Severity": "Low", "Score": 0.5}

    row = json.loads(row_of(finding, run, None, now, ""))

    assert {column["name"] for column in stream["columns"]} == set(row)
    assert len(stream["columns"]) == len(row)


def test_the_health_table_has_the_columns_that_rows_have() -> None:
    stream = json.loads((ROOT / "infra" / "health-stream.json").read_text("utf-8"))
    now = datetime(2026, 3, 2, tzinfo=UTC)
    span = Window(now, now)
    run = Run("r", "h", "g", "w", "live", span, span, 0, "delivering", now, now)
    waiting = replace(run, status="waiting")
    job = Job("j", "w", (), "ended", now, now, started=now)
    pulse = health_rows.Pulse(now, 0, Arrivals(), {}, 0, 0)
    rows = [
        health_rows.heartbeat("d", pulse, [run, waiting], now),
        health_rows.run_ended("d", run, job, now),
        health_rows.alarm_row("d", health_rows.RAISED, Alarm("RunHeld", "r", now), now),
    ]

    assert {column["name"] for column in stream["columns"]} == {
        name for row in rows for name in row
    }
    assert len(stream["columns"]) == len({column["name"] for column in stream["columns"]})


def test_roles_name_the_containers_of_the_contract() -> None:
    roles = json.loads((ROOT / "infra" / "roles.json").read_text("utf-8"))
    named = {name for identity in roles.values() for name in identity.get("state", {})}
    described = re.findall(r"^ {4}([a-z]+) {2,}", contract.__doc__ or "", re.MULTILINE)

    assert named == set(described) != set()
    assert {name for one in roles.values() for name in one.get("exports", {})} == {"am-*"}


def test_exports_are_only_read() -> None:
    roles = json.loads((ROOT / "infra" / "roles.json").read_text("utf-8"))
    held = {role for one in roles.values() for role in one.get("exports", {}).values()}

    assert held == {"Storage Blob Data Reader"}


# --- what must not be in it -------------------------------------------------------------------

REGISTRIES = ("pypi", "pythonhosted", "npmjs", "debian")
PLACES = (*(f"/{top}/" for top in ("root", "work")), f"{ROOT}/")
UNWANTED = re.compile(
    rf"\b(?:{'|'.join(REGISTRIES)})\.(?:org|com)\b"
    rf"|(?<![\w.~/-])(?:{'|'.join(map(re.escape, PLACES))})",
    re.ASCII,
)


def test_no_registry_and_no_machine_is_named() -> None:
    hits = [
        f"{path}:{number}"
        for path in committed()
        if path.suffix not in (".png", ".gz")
        for number, line in enumerate((ROOT / path).read_text("utf-8").splitlines(), 1)
        if UNWANTED.search(line)
    ]

    assert hits == []


def test_the_pattern_finds_what_it_forbids() -> None:
    for text in ("see pypi" + ".org/simple", "open('/roo" + "t/x')", f"in {ROOT}/shared"):
        assert UNWANTED.search(text)
    for text in ("/subscriptions/x/root/y", "a/work/b", "on PyPI", "Debian 12"):
        assert not UNWANTED.search(text)


def test_requirements_have_one_resolver() -> None:
    foreign = {"uv.lock", "poetry.lock", "Pipfile", "Pipfile.lock", "pdm.lock"}

    assert foreign & {path.name for path in committed()} == set()


def test_the_licence_is_mit() -> None:
    assert (ROOT / "LICENSE").read_text("utf-8").startswith("MIT License\n")
