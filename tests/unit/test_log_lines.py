"""Logs: one JSON line a record, no secret, and above DEBUG nothing that a finding holds."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from shared import log_lines
from shared.errors import Rejected
from tests.hostile import STRINGS
from tests.unit import house
from tests.unit.delivering import delivering, refuse, step
from tests.unit.house import a_finding

CANARY = "canary0123456789abcdef"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiJhcHAifQ.c2lnbmF0dXJl"


class Listening(logging.Handler):
    """Keeps what the root's handlers are given."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


@pytest.fixture
def heard() -> Iterator[list[str]]:
    """What a platform's handler hears of the app while its logging is installed."""
    handler, root = Listening(), logging.getLogger()
    root.addHandler(handler)
    log_lines.install()
    log_lines.install()
    try:
        yield handler.lines
    finally:
        root.removeHandler(handler)
        for name in log_lines.LOGGERS:
            logger = logging.getLogger(name)
            logger.propagate, logger.handlers = True, []


def said(heard: list[str]) -> Any:
    (line,) = heard
    assert line.isascii() and line.isprintable()
    return json.loads(line)


def test_a_record_is_one_line_of_json(heard: list[str]) -> None:
    logging.getLogger("tidehunt.x").warning("held: %s", "a\r\n{}\x1b[2J\u2028é")
    assert said(heard) == {
        "level": "WARNING",
        "logger": "tidehunt.x",
        "message": "held: a\r\n{}\x1b[2J\u2028é",
    }


def test_an_unexpected_error_tells_its_type_and_place_but_not_what_it_quotes(
    heard: list[str],
) -> None:
    try:
        raise KeyError("10.0.0.5 secret.example")
    except KeyError:
        logging.getLogger("tidehunt").exception("%s: unexpected", "runs/x")
    told = said(heard)
    assert (told["message"], told["exception"]) == ("runs/x: unexpected", "KeyError")
    assert "test_log_lines.py" in told["at"]
    assert "secret.example" not in heard[0]


def test_what_it_quotes_is_told_to_whoever_asks_for_everything(heard: list[str]) -> None:
    logger = logging.getLogger("tidehunt.x")
    logger.setLevel(logging.DEBUG)
    try:
        raise KeyError("10.0.0.5")
    except KeyError:
        logger.exception("unexpected")
    finally:
        logger.setLevel(logging.NOTSET)
    assert said(heard)["said"] == "'10.0.0.5'"


def test_a_message_that_does_not_fit_its_arguments_is_told_without_them() -> None:
    record = logging.LogRecord("tidehunt", logging.INFO, "x.py", 1, "%d rows", (CANARY,), None)
    assert json.loads(log_lines.line(record))["message"] == "%d rows"


@pytest.mark.parametrize(
    ("secret", "left"),
    [
        (f"Authorization: Bearer {CANARY}", "Authorization: Bearer ***"),
        (f"GET /x?a=1&sig={CANARY}&b=2", "GET /x?a=1&sig=***&b=2"),
        (f"POST /runtime?code={CANARY}", "POST /runtime?code=***"),
        (f'{{"access_token": "{CANARY}", "x": 1}}', '{"access_token": "***", "x": 1}'),
        (f"X-IDENTITY-HEADER: {CANARY}", "X-IDENTITY-HEADER: ***"),
        (f"AccountKey={CANARY};x", "AccountKey=***;x"),
        (f"a token {TOKEN} in the middle", "a token *** in the middle"),
    ],
)
def test_secrets_are_blotted_out(heard: list[str], secret: str, left: str) -> None:
    logging.getLogger("azure.x").warning("%s", secret)
    assert said(heard)["message"] == left


@pytest.mark.parametrize(
    "text", ["error code: BlobNotFound", "the bearer of news", "key=value", "hunt eyJ", "a sig"]
)
def test_plain_words_stay(text: str) -> None:
    assert log_lines.blotted(text) == text


def test_a_whole_delivery_of_hostile_findings_logs_none_of_them(heard: list[str]) -> None:
    marked = [f"{CANARY}{text}" for text in STRINGS[::25]]
    found = [
        a_finding(f"10.0.0.{n}", Title=text, Entities={"Host": text}, Evidence={text: text})
        for n, text in enumerate(marked)
    ]
    found += [a_finding("10.0.1.1", Title=CANARY, Score=7), a_finding("10.0.1.2", FirstSeen=CANARY)]
    home = delivering(found)
    home.wire.hook = refuse("incidents.put", Rejected("400 InvalidProperty"))
    assert step(home).counts.set_aside == 2
    assert heard != []
    assert [line for line in heard if CANARY in line] == []


def test_an_unexpected_error_of_a_delivery_is_told_without_its_words(heard: list[str]) -> None:
    home = delivering()
    home.wire.hook = refuse("sink.send", ValueError(f"bad row {CANARY}"))
    assert CANARY not in str(step(home).reason)
    assert "ValueError" in heard[-1] and CANARY not in "".join(heard)


def test_the_apps_process_speaks_in_json_lines() -> None:
    code = """
import logging, sys
from shared import bootstrap
logging.basicConfig(stream=sys.stdout, format="%(message)s")
bootstrap.deployment()
logging.getLogger("tidehunt.x").warning("one\\ntwo")
"""
    environment = {**os.environ, **house.environment()}
    ran = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert json.loads(ran.stdout.splitlines()[-1])["message"] == "one\ntwo"


def test_a_turn_with_nothing_to_do_says_nothing(heard: list[str]) -> None:
    house.build().tick()
    assert heard == []
