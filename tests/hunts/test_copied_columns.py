"""Columns of the copy are read for weeks after they were written: they may be added, no more."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark", reason="pyspark is not installed")
TABLES: Mapping[str, Any] = importlib.import_module("spark.tables.declared").TABLES
FILE = Path(__file__).with_name("copied_columns.json")
WRITTEN: Mapping[str, Mapping[str, str]] = json.loads(FILE.read_text("utf-8"))
NOW = {
    name: {field.name: field.dataType.simpleString() for field in table.schema}
    for name, table in TABLES.items()
}


@pytest.mark.parametrize("name", WRITTEN)
def test_what_was_copied_before_can_be_read(name: str) -> None:
    lost = WRITTEN[name].items() - NOW.get(name, {}).items()
    assert lost == set(), (
        f"{name}: copies in use have these columns with these types. Keep them, and take another "
        "name for a column of another type (docs/adr/0017)"
    )


@pytest.mark.parametrize("name", NOW)
def test_what_is_copied_is_written_down(name: str) -> None:
    new = NOW[name].items() - WRITTEN.get(name, {}).items()
    assert new == set(), (
        f"{name}: add these to {FILE.name}. In hours that were copied before they are null until "
        "those leave the window: tell it in the changelog (docs/adr/0017)"
    )
