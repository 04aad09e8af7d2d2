"""Docs that cannot lie: what they tell of settings, commands, states, files is held to the code."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from shared import settings
from shared.http_routes import PATHS
from tests.contract import wire_table
from tests.sources import ROOT, committed
from workbench import cli, docs, docs_hunts

PAGES = [path for path in committed() if path.suffix == ".md"]
HOSTS_OWN = {
    "FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage__accountName", "MALLOC_ARENA_MAX"
}  # fmt: skip
"""Values of the example that the Functions host reads, not we."""


def _tokens(path: Path) -> Iterator[Token]:
    for token in MarkdownIt("commonmark").enable("table").parse((ROOT / path).read_text("utf-8")):
        yield token
        yield from token.children or ()


def _code(path: Path) -> list[str]:
    """Every piece of code of a page: blocks and words in backticks."""
    kinds = ("fence", "code_block", "code_inline")
    return [token.content for token in _tokens(path) if token.type in kinds]


# --- generated parts --------------------------------------------------------------------------


def test_generated_parts_say_what_the_code_says() -> None:
    assert [str(path.relative_to(ROOT)) for path in docs.stale()] == []  # mend: make docs


def test_the_page_of_faults_says_what_the_matrix_asserts() -> None:
    assert wire_table.PAGE.read_text("utf-8") == wire_table.page()  # mend: make docs


def test_a_page_without_its_markers_is_no_page(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# Nothing to fill in\n", encoding="utf-8")

    with pytest.raises(ValueError, match="lacks the comments"):
        docs.filled(page, {"settings": "a table"})


def test_what_stood_between_the_markers_goes(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- generated: x -->\nold\n<!-- end: x -->\nb\n", encoding="utf-8")

    text = docs.filled(page, {"x": "new"})

    assert text == "a\n<!-- generated: x -->\n\nnew\n\n<!-- end: x -->\nb\n"


HUNT = """\
id: 8c1f6a52-3f2e-4d0b-9a68-5a7f0b0e4c11
name: Rare | beacons
version: 1.2.0
status: live
description: One host calls one place.
severity: {Low: 0.5, High: 0.9}
tactics: [CommandAndControl]
views: [NetworkSession]
schedule: "0 4 * * *"
params:
  min_events: {default: 20, min: 5, max: 1000, description: Fewer say nothing}
finding_key: [SrcIpAddr]
blindSpots: [Jitter.]
"""


def _pair(folder: Path, headings: tuple[str, ...]) -> None:
    told = "".join(f"{name}\n    About {name}.\n" for name in headings)
    (folder / "rare.yaml").write_text(HUNT, encoding="utf-8")
    (folder / "rare.py").write_text(f'"""Rare.\n\n{told}"""\n', encoding="utf-8")


def test_a_hunt_has_its_page(tmp_path: Path) -> None:
    _pair(tmp_path, docs_hunts.HEADINGS)

    pages = docs_hunts.hunt_pages(tmp_path)

    assert set(pages) == {"README.md", "rare.md"}
    assert "## Blind spots\n\nAbout Blind spots.\n\n- Jitter.\n" in pages["rare.md"]
    assert "| `min_events` | `20` | 5 to 1000 | Fewer say nothing |" in pages["rare.md"]
    assert "[Rare \\| beacons](rare.md)" in pages["README.md"]


def test_a_page_ends_with_what_was_measured(tmp_path: Path) -> None:
    _pair(tmp_path, docs_hunts.HEADINGS)
    (tmp_path / "rare.md").write_text("## Measured\n\nNothing.\n", encoding="utf-8")

    assert docs_hunts.hunt_pages(tmp_path, tmp_path)["rare.md"].endswith(
        "\n\n## Measured\n\nNothing.\n"
    )


def test_a_hunt_that_hides_its_blind_spots_has_none(tmp_path: Path) -> None:
    _pair(tmp_path, tuple(name for name in docs_hunts.HEADINGS if name != "Blind spots"))

    with pytest.raises(ValueError, match="Blind spots"):
        docs_hunts.hunt_pages(tmp_path)


def test_a_hunt_that_cannot_be_loaded_is_told(tmp_path: Path) -> None:
    _pair(tmp_path, docs_hunts.HEADINGS)
    (tmp_path / "rare.py").unlink()

    with pytest.raises(ValueError, match="the spec has no module"):
        docs_hunts.hunt_pages(tmp_path)


# --- settings ---------------------------------------------------------------------------------


def _example() -> dict[str, str]:
    example = json.loads((ROOT / "local.settings.json.example").read_text("utf-8"))
    assert example["IsEncrypted"] is False
    return dict(example["Values"])


def test_the_example_has_every_setting_and_nothing_else() -> None:
    named = {settings.environment_name(item.name) for item in fields(settings.Settings)}

    assert set(_example()) == named | HOSTS_OWN


def test_the_example_can_be_used_as_it_is() -> None:
    loaded, faults = settings.load(_example())

    assert faults == []
    assert loaded is not None


def test_the_example_shows_the_defaults() -> None:
    loaded, _ = settings.load(_example())
    optional = [item for item in fields(settings.Settings) if item.default is not MISSING]

    assert {i.name: getattr(loaded, i.name) for i in optional} == {
        i.name: i.default for i in optional
    }


def test_the_host_can_bind_every_trigger_by_the_example() -> None:
    bound = re.findall(r"%([A-Za-z_]+)%", (ROOT / "function_app.py").read_text("utf-8"))

    assert bound
    assert [name for name in bound if not _example().get(name)] == []


# --- commands and routes ----------------------------------------------------------------------


def _targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    return {
        name for line in re.findall(r"^\.PHONY: (.*)$", makefile, re.M) for name in line.split()
    }


def _verbs() -> set[str]:
    choices = (action.choices for action in cli.parser()._actions if action.dest == "command")
    return {str(name) for names in choices for name in names or ()}


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_commands_that_a_page_tells_exist(page: Path) -> None:
    code = "\n".join(_code(page))

    assert set(re.findall(r"\bmake ([a-z][a-z-]*)", code)) <= _targets()
    assert set(re.findall(r"\btidehunt (?!-)([a-z]+)", code)) <= _verbs()


def test_the_makefile_tells_of_its_targets() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    told = set(re.findall(r"^  make ([a-z-]+)", makefile, re.M))
    rules = set(re.findall(r"^([a-z-]+)(?: [a-z-]+)*:(?!=)", makefile, re.M))

    assert told >= {"hunt", "serve", "test", "check", "docs", "lock", "clean"}
    assert rules - {"local-set"} <= _targets()
    assert _targets() == told | {"help", "local-set", "test-set"}


def test_every_route_is_in_the_operations_page() -> None:
    routes = {f"{method} /api/{path}" for method, path in PATHS.values()} | {"GET /api/health"}
    told = [code for code in _code(Path("docs/operations.md")) if re.match(r"[A-Z]+ /api/", code)]

    assert len(routes) == 12
    assert set(told) == routes


# --- links and files --------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_relative_links_lead_somewhere(page: Path) -> None:
    targets = [str(token.attrs.get("href") or token.attrs.get("src")) for token in _linking(page)]
    local = [target.split("#")[0] for target in targets if "://" not in target]

    assert [one for one in local if one and not (ROOT / page.parent / one).exists()] == []


def _linking(page: Path) -> list[Token]:
    return [token for token in _tokens(page) if token.type in ("link_open", "image")]


@pytest.mark.parametrize("page", PAGES, ids=str)
def test_files_that_a_page_names_exist(page: Path) -> None:
    folders = "shared|spark|workbench|tests|infra|docs|benchmarks"
    named = [code for code in _code(page) if re.fullmatch(rf"(?:{folders})/[\w./-]*", code)]

    assert [name for name in named if not (ROOT / name).exists()] == []


def test_ci_runs_the_command_of_the_readme_and_the_check() -> None:
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    marker = re.search(r"^marker='(.+)'$", script, re.M)
    readme = (ROOT / "README.md").read_text("utf-8")

    assert marker is not None
    assert f"{marker[1]}\n```bash\nmake test\n```\n" in readme
    assert "\nmake check\n" in script


def test_a_commit_is_checked_as_ci_checks_it() -> None:
    hooks = (ROOT / ".pre-commit-config.yaml").read_text("utf-8")
    makefile = (ROOT / "Makefile").read_text("utf-8")
    check = makefile.split("\ncheck: ")[1].split("\n\n")[0]

    assert re.findall(r"^ +entry: (.+)$", hooks, re.M) == ["make check"]
    for tool in ("ruff format --check .", "ruff check .", "mypy", "lint-imports"):
        assert tool in check
