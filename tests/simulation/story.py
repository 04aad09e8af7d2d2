"""What happened, line by line: its digest tells whether two histories are one."""

from __future__ import annotations

import hashlib
import logging
from datetime import datetime

LINES_TOLD = 60


class Story:
    """Every request counts towards the digest; what changed something is kept to be told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._digest = hashlib.sha256()

    def tell(self, at: datetime, who: str, what: str) -> None:
        """Something worth reading."""
        line = f"{at:%d %H:%M:%S.%f} {who:<10} {what}"
        self.lines.append(line)
        self._digest.update(line.encode())

    def note(self, at: datetime, who: str, what: str) -> None:
        """Something that only tells two histories apart."""
        self._digest.update(f"{at.timestamp()}{who}{what}".encode())

    def digest(self) -> str:
        """Equal for equal histories."""
        return self._digest.hexdigest()

    def about(self, words: set[str], end: str = "") -> list[str]:
        """The lines up to `end` that name one of these, and the faults; of many the last ones."""
        last = next((n for n, line in enumerate(self.lines) if end and line.endswith(end)), None)
        lines = self.lines[: None if last is None else last + 1]
        told = [line for line in lines if "FAULT" in line or any(w in line for w in words)]
        return [*(told if words else lines)[-LINES_TOLD:-1], *lines[-1:]]


class Unexpected(logging.Handler):
    """Errors that the control plane survives but that nobody meant: they carry a traceback."""

    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.found: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Keep what a guard caught."""
        if record.exc_info and record.exc_info[1] is not None:
            error = record.exc_info[1]
            self.found.append(f"{record.getMessage()}: {type(error).__name__} {error}")
