"""A trigger that is not bound is named, and nobody waits for it."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path

from workbench.home import Home
from workbench.hunting import Hunt
from workbench.machine import APP_FOLDER, Machine
from workbench.progress import Progress
from workbench.samples import WORKSPACE

BINDING = '@app.event_grid_trigger(arg_name="event")\ndef export_blob_created'


def app_without_its_export_trigger(folder: Path) -> Path:
    """The deployed app, with one decorator gone."""
    folder.mkdir()
    shutil.copy(APP_FOLDER / "host.json", folder)
    source = (APP_FOLDER / "function_app.py").read_text("utf-8")
    assert BINDING in source
    unbound = source.replace(BINDING, BINDING.partition("\n")[2])
    (folder / "function_app.py").write_text(unbound, encoding="utf-8")
    return folder


def land_one_blob(folder: Path) -> None:
    """A blob of a table that no hunt reads: no job is needed to come to rest."""
    at = datetime.now(UTC) - timedelta(hours=2)
    path = folder / "am-signinlogs" / f"WorkspaceResourceId={WORKSPACE}" / f"{at:y=%Y/m=%m/d=%d}"
    path = path / f"{at:h=%H}" / "m=00" / "PT05M.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"TimeGenerated": at.isoformat()}) + "\n", encoding="utf-8")


def test_a_trigger_that_never_fired_is_named(tmp_path: Path) -> None:
    app = app_without_its_export_trigger(tmp_path / "app")
    land_one_blob(tmp_path / "exports")
    home, quickly = Home(tmp_path / "home"), {"TIDEHUNT_SWEEP_SECONDS": "1"}
    with Machine(home, [WORKSPACE], app_folder=app, overrides=quickly) as machine:
        under_way = Hunt(machine, Progress())
        under_way.land(tmp_path / "exports")
        under_way.wait_until_idle()
        silent = under_way.silent_triggers(manifests=False)
    assert silent == ["export_blob_created"]
