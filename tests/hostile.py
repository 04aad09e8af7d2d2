"""About 500 strings as an attacker writes them into a log, an event or a request."""

from __future__ import annotations

import json
from pathlib import Path

STRINGS: tuple[str, ...] = tuple(
    json.loads((Path(__file__).parent / "hostile_strings.json").read_text("utf-8"))
)
"""Markup, links, queries, formulas, shells, terminals, Unicode, paths, numbers, very long ones."""
