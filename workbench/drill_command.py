"""`tidehunt drill rebuild-ledger`: could the ledger be told again, if it were lost today?"""

from __future__ import annotations

import json
import os
from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

from shared import bootstrap, rebuild
from shared.deployment import Deployment
from shared.model import Json
from workbench.home import Home, last
from workbench.machine import read_serving

DIFFERENCES_SHOWN = 50


def rebuild_ledger(options: Namespace) -> int:
    """Rebuild into a folder aside and compare, or into the empty ledger."""
    deployment = _deployment(options)
    built = rebuild.documents(deployment)
    if options.apply:
        rebuild.apply(deployment, built)
        print(f"{len(built)} documents written: start the app, and see `tidehunt status`")
        return 0
    if options.into:
        _write(Path(options.into), built)
    return _told(list(rebuild.differences(deployment, built)), len(built))


def _deployment(options: Namespace) -> Deployment:
    """The one that the environment names (TIDEHUNT_...), else the one that is served here."""
    if "TIDEHUNT_STATE_ENDPOINT" not in os.environ:
        told = read_serving(Home(Path(options.home)) if options.home else last())
        os.environ.update(told["settings"])
    return bootstrap.build(os.environ)


def _write(folder: Path, built: Mapping[str, Json]) -> None:
    for path, body in built.items():
        file = folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(body, indent=1), encoding="utf-8")


def _told(lines: list[str], documents: int) -> int:
    for line in lines[:DIFFERENCES_SHOWN]:
        print(line)
    if len(lines) > DIFFERENCES_SHOWN:
        print(f"and {len(lines) - DIFFERENCES_SHOWN} more")
    print(f"{documents} documents can be rebuilt, {len(lines)} differences to the ledger")
    return 1 if lines else 0
