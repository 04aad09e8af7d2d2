"""What the app logs: one JSON line a record, whatever a log or a service wrote into it.

Control characters and everything that is not ASCII are escaped, secrets are blotted out. What an
unexpected exception says may quote a finding: only its type and its place are logged above DEBUG.
"""

from __future__ import annotations

import json
import logging
import re
import traceback
from types import TracebackType

MESSAGE_CHARACTERS = 4000
LOGGERS = ("tidehunt", "azure")
FRAMES = 20
_HIDDEN = "***"
_SECRETS = re.compile(
    r"(?P<before>\bbearer\s+|[?&](?:sig|code|key)="
    r"|\b(?:client_secret|access_token|x-functions-key|x-identity-header|sharedaccesskey"
    r"|accountkey)\W{1,4})[^\s\"'&,;}\]]{6,}|\beyJ[\w-]{6,}(?:\.[\w-]*){1,2}",
    re.IGNORECASE,
)


class OneLine(logging.Handler):
    """Hands each record on to the root's handlers as one line of JSON."""

    def emit(self, record: logging.LogRecord) -> None:
        """Hand on a record."""
        told = logging.LogRecord(
            record.name, record.levelno, record.pathname, record.lineno, line(record), (), None
        )
        logging.getLogger().handle(told)


def install() -> None:
    """Let our own loggers and the SDKs' speak in JSON lines; a second time changes nothing."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(handler, OneLine) for handler in logger.handlers):
            logger.addHandler(OneLine())
        logger.propagate = False


def line(record: logging.LogRecord) -> str:
    """A record as one line of JSON in ASCII."""
    told = {
        "level": record.levelname,
        "logger": record.name,
        "message": blotted(_message(record))[:MESSAGE_CHARACTERS],
    }
    if record.exc_info and record.exc_info[0] is not None:
        kind, error, trace = record.exc_info
        told |= {"exception": kind.__name__, "at": _place(trace)}
        if logging.getLogger(record.name).isEnabledFor(logging.DEBUG):
            told["said"] = blotted(str(error))[:MESSAGE_CHARACTERS]
    return json.dumps(told, ensure_ascii=True)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception:  # it does not fit its arguments, or one of them cannot be told
        return str(record.msg)


def blotted(text: str) -> str:
    """The text without tokens, keys and signatures."""
    return _SECRETS.sub(lambda found: f"{found['before'] or ''}{_HIDDEN}", text)


def _place(trace: TracebackType | None) -> str:
    frames = traceback.extract_tb(trace)[-FRAMES:]
    return " > ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames)
