"""Progress on standard error: one line a stage that moves on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

MOVES = 0.2
"""Seconds between two repaints of a moving line."""


@dataclass
class Progress:
    """Stages of a long job and how long each took, in seconds of wall time."""

    out: TextIO = field(default_factory=lambda: sys.stderr)
    timings: dict[str, float] = field(default_factory=dict)
    _stage: str = ""
    _began: float = 0.0
    _painted: float = 0.0
    _detail: str = ""

    @property
    def moving(self) -> bool:
        """True when the output is a terminal."""
        return self.out.isatty()

    def stage(self, name: str, detail: str = "") -> None:
        """Begin a stage, or go on with it; the one before is ended and its line stays."""
        if name != self._stage:
            self.end()
            self._stage, self._began = name, time.monotonic()
            if not self.moving:
                self._write(f"{name} ...\n")
        self._detail = detail
        now = time.monotonic()
        if self.moving and now - self._painted >= MOVES:
            self._painted = now
            self._write(f"\r\x1b[2K{name:<22}{now - self._began:6.1f} s  {detail[:60]}")

    def end(self) -> None:
        """End the stage under way."""
        if not self._stage:
            return
        seconds = time.monotonic() - self._began
        self.timings[self._stage] = self.timings.get(self._stage, 0.0) + seconds
        start = "\r\x1b[2K" if self.moving else ""
        self._write(f"{start}{self._stage:<22}{seconds:6.1f} s  {self._detail[:60]}\n")
        self._stage, self._detail = "", ""

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        """However it ends, what is said next begins a line of its own."""
        self.end()

    def say(self, line: str) -> None:
        """A line of its own."""
        self.end()
        self._write(line + "\n")

    def _write(self, text: str) -> None:
        self.out.write(text)
        self.out.flush()
