"""The command line: help that teaches, one clear message for what cannot be, exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest

from workbench.cli import main, parser

VERBS = (
    "hunt", "serve", "land", "run", "status", "held", "explain", "release", "redrive", "abandon",
    "pause", "resume", "gap", "drill", "report", "clean",
)  # fmt: skip


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test in an empty working folder."""
    monkeypatch.chdir(tmp_path)


def test_help_names_every_command_and_where_to_start() -> None:
    text = parser().format_help()
    assert all(verb in text for verb in VERBS)
    assert "start here" in text
    assert "exit codes" in text


@pytest.mark.parametrize("verb", VERBS)
def test_every_command_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([verb, "--help"])
    assert caught.value.code == 0
    assert len(capsys.readouterr().out) > 150


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["hunt", "--logs", "nowhere"], "no such folder"),
        (["land", "nowhere"], "no such folder"),
        (["status"], "tidehunt serve"),
        (["run", "beaconing", "--end-date", "2026-01-01"], "tidehunt serve"),
        (["explain", "20260309-beaconing-ws-r0"], "tidehunt serve"),
        (["abandon", "20260309-beaconing-ws-r0", "--reason", "x"], "tidehunt serve"),
        (["pause", "--reason", "x"], "tidehunt serve"),
        (["resume"], "tidehunt serve"),
        (["gap", "list"], "tidehunt serve"),
        (["gap", "fill", "--hunt", "beaconing"], "tidehunt serve"),
        (["drill", "rebuild-ledger"], "tidehunt serve"),
        (["report"], "tidehunt hunt"),
        (["clean", "--home", "."], "no Tidehunt home"),
    ],
)
def test_what_cannot_be_done_is_one_line_with_its_mend(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "Traceback" not in error


def test_nothing_to_clean_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clean"]) == 0
    assert "nothing to clean" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["min_events", ""])
def test_a_parameter_without_a_value_is_refused(
    text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["run", "beaconing", "--end-date", "2026-01-01", "--param", text]) == 2
    assert capsys.readouterr().err
