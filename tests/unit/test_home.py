"""A home is chosen by what the command says, and only a home is ever deleted."""

from __future__ import annotations

from pathlib import Path

import pytest

from shared.errors import BadInput
from workbench.home import Home, choose, last


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test in an empty working folder."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_each_folder_of_logs_has_a_home_of_its_own(tmp_path: Path) -> None:
    one, other = (
        choose(None, str(tmp_path / "x" / "logs")),
        choose(None, str(tmp_path / "y" / "logs")),
    )
    assert one != other
    assert one == choose(None, str(tmp_path / "x" / ".." / "x" / "logs"))
    assert one.path.parts[0] == ".tidehunt"
    assert choose(None).path == Path(".tidehunt/demo")
    assert choose("here", "there").path == Path("here")


def test_the_last_home_is_meant_by_the_commands_without_one() -> None:
    assert last().path == Path(".tidehunt/demo")
    home = choose(None, "logs")
    home.make()
    home.remember()
    assert last().path.resolve() == home.path.resolve()
    home.remove()
    assert last().path == Path(".tidehunt/demo")


def test_a_folder_that_is_no_home_is_never_deleted(tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "thesis.txt").write_text("x", encoding="utf-8")
    with pytest.raises(BadInput):
        Home(precious).remove()
    assert (precious / "thesis.txt").is_file()


def test_a_place_that_cannot_be_written_names_the_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        Home(tmp_path / "file" / "home").make()
    assert "--home" in caught.value.mend


def test_what_is_configured_is_merged_and_kept(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    home.configure(demo={"seed": 1})
    home.configure(unjudged=[["ws", "20260101"]])
    assert home.config() == {"demo": {"seed": 1}, "unjudged": [["ws", "20260101"]]}


def test_a_broken_configuration_names_its_file(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    home.make()
    (home.path / "config.json").write_text("{", encoding="utf-8")
    with pytest.raises(BadInput) as caught:
        home.config()
    assert caught.value.where.endswith("config.json")
