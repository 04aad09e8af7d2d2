"""What each `tidehunt` command but `hunt` does; `cli.py` says how it is called."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.contract import TABLE, parse_export_blob
from shared.errors import BadInput
from workbench.app_client import AppClient
from workbench.emulators.eventgrid_delivery import Options
from workbench.home import MARKER, ROOT, Home, last
from workbench.hunt_command import show
from workbench.importing import Import, Imported, first_exported
from workbench.landing import land as copy_exports
from workbench.landing import workspaces_of
from workbench.machine import Machine, read_serving
from workbench.progress import Progress
from workbench.report import render_html, render_status
from workbench.samples import WORKSPACE

CLOUD_PORTS = {"exports": 10443, "state": 10444, "services": 10445, "identity": 10446}


# --- serve, land, run -------------------------------------------------------------------------


def serve(options: Namespace) -> int:
    """Keep everything running until Ctrl-C."""
    home = _home(options)
    home.make()
    home.remember()
    workspaces = options.workspace or _landed_workspaces(home)
    with Machine(
        home,
        workspaces,
        app_port=options.port,
        cloud_ports=CLOUD_PORTS if options.port else {},
        events=Options(drop=options.timers_only),
    ) as machine:
        told = {"app": machine.app.url, "key": machine.app.key, "settings": machine.settings}
        home.serving.touch(mode=0o600)
        home.serving.write_text(json.dumps(told), encoding="utf-8")
        try:
            _print_addresses(machine)
            while machine.app_is_alive():
                time.sleep(0.5)
        finally:
            home.serving.unlink(missing_ok=True)
    raise BadInput("the app has stopped", where=str(home.logs / "app.log"), mend="see its log")


def _landed_workspaces(home: Home) -> list[str]:
    """Workspaces whose exports lie in the home's lake, else the demo's."""
    if any(home.exports.glob("am-*")):
        return workspaces_of(home.exports)
    return [WORKSPACE]


def _print_addresses(machine: Machine) -> None:
    key = machine.app.key
    lines = [
        f"home            {machine.home.path}",
        f"status          {machine.app.url}/api/status?code={key}",
        f"health          {machine.app.url}/api/health",
        f"lake            {machine.home.exports}",
        *(f"{name:<15} {url}" for name, url in machine.cloud.addresses.items()),
        f"logs            {machine.home.logs}",
        "land blobs with `tidehunt land FOLDER`; Ctrl-C ends everything",
    ]
    print("\n".join(lines), flush=True)


def land(options: Namespace) -> int:
    """Copy exports into the lake of a home, whether or not it is being served."""
    home = _home(options)
    home.make()
    with Progress() as progress:
        landing = copy_exports(
            Path(options.folder),
            home.exports,
            lambda so_far: progress.stage("landing blobs", f"{so_far.copied + so_far.same} blobs"),
        )
    print(f"{landing.copied} blobs landed, {landing.same} were there already, in {home.exports}")
    return 0


def bring_in(options: Namespace) -> int:
    """Import history into the lake of a home, or into a tree to be uploaded."""
    home = _home(options)
    into = Path(options.into) if options.into else home.exports
    if not options.into:
        home.make()
    workspace, table = _workspace(options, into), _table(options.table)
    before = options.before or first_exported(into, table, workspace)
    with Progress() as progress:
        bringing = Import(
            table, workspace, into, before,
            lambda so_far: progress.stage("importing", f"{so_far.rows:,} rows"),
        )  # fmt: skip
        done = bringing.run(Path(options.source))
    _say_imported(done, before, into)
    return 0 if done.rows else 1


def _table(name: str) -> str:
    if not TABLE.fullmatch(name.lower()):
        raise BadInput("no table's name", where=repr(name), mend="e.g. --table CommonSecurityLog")
    return name.lower()


def _workspace(options: Namespace, into: Path) -> str:
    known = workspaces_of(into) if not options.workspace and any(into.glob("am-*")) else []
    given = str(options.workspace or (known[0] if len(known) == 1 else "")).lower()
    probe = f"WorkspaceResourceId={given}/y=2026/m=01/d=01/h=00/m=00/PT05M.json"
    if parse_export_blob("am-any", probe) is None:
        raise BadInput(
            f"no workspace's resource id: {given!r}",
            where="--workspace",
            mend="give /subscriptions/.../providers/microsoft.operationalinsights/workspaces/NAME",
        )
    return given


def _say_imported(done: Imported, before: str, into: Path) -> None:
    span = f", {done.first} to {done.last} (yyyymmddhh)" if done.rows else ""
    print(f"{done.rows:,} rows of {done.files} files{span}, in {into}")
    print(f"{done.blobs} blobs came in, {done.same} were there already")
    if done.later:
        print(f"{done.later:,} rows left out: of {before} or later (see --before)")
    for what, counts in (("no usable TimeGenerated", done.timeless), ("no JSON", done.broken)):
        for path, count in sorted(counts.items()):
            print(f"{path}: {count:,} rows left out, {what}")


def run(options: Namespace) -> int:
    """Ask for an ad-hoc run and wait until it has ended."""
    app = serving(options)
    run_id = app.start_run(**_asked(options))
    with Progress() as progress:
        progress.say(f"run {run_id}")
        while (found := app.run(run_id))["status"] not in ("done", "failed", "cancelled", "held"):
            progress.stage(str(found["status"]))
            time.sleep(0.5)
    counts = found["counts"]
    print(
        f"{found['status']}: {counts['rows']} findings, {counts['opened']} incidents opened, "
        f"{counts['updated']} updated {found['reason']}".strip()
    )
    return 0 if found["status"] == "done" else 1


def _asked(options: Namespace) -> dict[str, Any]:
    asked: dict[str, Any] = {"hunt": options.hunt, "end_date": options.end_date}
    if options.lookback_days is not None:
        asked["lookback_days"] = options.lookback_days
    if options.workspace:
        asked["workspace"] = options.workspace
    params = dict(_param(text) for text in options.param)
    return {
        **asked,
        "params": params,
        "incidents": not options.no_incidents,
        "again": options.again,
    }


def _param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise BadInput(
            f"{text!r} is no NAME=VALUE", where="--param", mend="e.g. --param min_events=20"
        )
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _home(options: Namespace) -> Home:
    return Home(Path(options.home)) if options.home else last()


def serving(options: Namespace) -> AppClient:
    """The app that a running `tidehunt serve` has on the home."""
    told = read_serving(_home(options))
    return AppClient(told["app"], told["key"])


# --- status, report, clean --------------------------------------------------------------------


def status(options: Namespace) -> int:
    """What a served Tidehunt does right now."""
    told = serving(options).status()
    if options.json:
        print(json.dumps(told))
    else:
        render_status(told, Console())
    return 0


def report(options: Namespace) -> int:
    """Show the last hunt's document and write its page."""
    home = _home(options)
    if not home.document.is_file():
        raise BadInput("no hunt has ended here yet", where=str(home.path), mend="tidehunt hunt")
    document = json.loads(home.document.read_text(encoding="utf-8"))
    page = Path(options.output) if options.output else home.report
    page.write_text(render_html(document), encoding="utf-8")
    show(document, options.json)
    print(f"page: {page}", file=sys.stderr)
    return 0


def clean(options: Namespace) -> int:
    """Delete a home, or all."""
    root = Path(ROOT)
    found = [Home(path.parent) for path in sorted(root.glob(f"*/{MARKER}"))]
    chosen = found if options.all else [_home(options)]
    for home in chosen:
        if not options.home and not (home.path / MARKER).is_file():
            print("nothing to clean")
            continue
        home.remove()
        print(f"deleted {home.path}")
    return 0
