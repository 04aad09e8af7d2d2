"""What each `tidehunt` command does; `cli.py` says how it is called."""

from __future__ import annotations

import json
import sys
import time
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from rich.console import Console

from shared.bootstrap import OWN_HUNTS
from shared.contract import parse_export_blob
from shared.errors import BadInput
from shared.hunt_specs import load_folders
from shared.model import HuntSpec, Json
from workbench import home as homes
from workbench import landing as landings
from workbench import report as reports
from workbench.app_client import AppClient
from workbench.emulators.eventgrid_delivery import Options
from workbench.home import ROOT, Home
from workbench.hunting import Hunt, ask_runs
from workbench.machine import Machine, given_hunt_folders, read_serving
from workbench.progress import Progress
from workbench.samples import AnswerKey, make_demo
from workbench.status_screen import render_status

CLOUD_PORTS = {"exports": 10443, "state": 10444, "services": 10445, "identity": 10446}
LATER = "86400"
"""Settle time while ad-hoc runs hunt on a user's own logs: arrivals wait for `tidehunt serve`."""


# --- hunt -------------------------------------------------------------------------------------


def hunt(options: Namespace) -> int:
    """Land, hunt, show; 1 when something was not found, failed, or never fired."""
    home = homes.choose(options.home, options.logs)
    home.make()
    home.remember()
    progress = Progress()
    progress.say(f"home: {home.path}")
    found = (
        _hunt_logs(options, home, progress) if options.logs else _hunt_demo(options, home, progress)
    )
    document, faults = found
    home.document.write_text(json.dumps(document, indent=1), encoding="utf-8")
    home.report.write_text(reports.render_html(document), encoding="utf-8")
    _show(document, options.json)
    progress.say(f"report: {home.report}")
    for fault in faults:
        progress.say(f"not well: {fault}")
    return 1 if faults else 0


def _events(options: Namespace) -> Options:
    return Options(
        copies=getattr(options, "event_copies", 1),
        shuffle_seed=getattr(options, "event_shuffle", None),
        drop=options.timers_only,
    )


def _hunt_demo(options: Namespace, home: Home, progress: Progress) -> tuple[Json, list[str]]:
    source, key = _demo(home, options.seed, progress)
    with Machine(home, [key.workspace], events=_events(options)) as machine:
        under_way = Hunt(machine, progress)
        before = {run["run_id"] for run in machine.app.status()["recent"]}
        under_way.land(source)
        under_way.wait_until_idle()
        runs = machine.app.status()["recent"]
        fresh = [run for run in runs if run["run_id"] not in before]
        if not fresh:
            under_way.notes.append("nothing new landed: no job was started, no incident opened")
            progress.say(under_way.notes[-1])
        document = under_way.document(runs, vars(key))
        faults = [] if options.timers_only else _silent(under_way, manifests=bool(fresh))
    return document, faults + demo_faults(document) + _run_faults(document)


def _demo(home: Home, seed: int, progress: Progress) -> tuple[Path, AnswerKey]:
    """The demo's exports and answer key: made once, so that doing it again changes nothing."""
    made = home.config().get("demo")
    source, key_path = home.path / "demo" / "exports", home.path / "demo" / "answer_key.json"
    if made and made["seed"] != seed:
        raise BadInput(
            f"this home holds the demo of seed {made['seed']}",
            where=str(home.path),
            mend="give --seed that, another --home, or `tidehunt clean` first",
        )
    if not made:
        progress.stage("making the demo tenant")
        last_day = (datetime.now(UTC) - timedelta(days=1)).date()
        make_demo(source, seed=seed, last_day=last_day, key_path=key_path)
        home.configure(demo={"seed": seed, "last_day": last_day.isoformat()})
        progress.end()
    key = AnswerKey.read(key_path)
    allowed = json.dumps(key.allow_list, indent=1)
    (home.references / "allow_list.json").write_text(allowed, encoding="utf-8")
    return source, key


def _hunt_logs(options: Namespace, home: Home, progress: Progress) -> tuple[Json, list[str]]:
    source = Path(options.logs)
    workspaces = _workspaces_of(source)
    specs = _hunts(progress)
    overrides = {"TIDEHUNT_SETTLE_SECONDS": LATER}
    with Machine(home, workspaces, events=_events(options), overrides=overrides) as machine:
        under_way = Hunt(machine, progress)
        under_way.land(source)
        _note_landing(under_way, specs)
        jobs = {run["run_id"] for run in machine.app.status()["recent"]}
        run_ids = ask_runs(under_way, specs)
        under_way.wait_for(run_ids)
        fresh = [run_id for run_id in run_ids if run_id not in jobs]
        runs = [machine.app.run(run_id) for run_id in run_ids]
        document = under_way.document(runs, None)
        faults = [] if options.timers_only else _silent(under_way, manifests=bool(fresh))
    if not fresh:
        progress.say("nothing new landed: no job was started, no incident opened")
    home.configure(unjudged=[])
    return document, faults + _run_faults(document)


def _workspaces_of(source: Path) -> list[str]:
    found = {
        blob.workspace
        for container in landings.containers(source)
        for path in container.rglob("*.json")
        for blob in [parse_export_blob(container.name, path.relative_to(container).as_posix())]
        if blob is not None
    }
    if not found:
        raise BadInput(
            "no export blobs below this folder",
            where=str(source),
            mend="name a folder that holds am-<table>/WorkspaceResourceId=/.../PT05M.json",
        )
    return sorted(found)


def _hunts(progress: Progress) -> list[HuntSpec]:
    specs, broken = load_folders([OWN_HUNTS, *given_hunt_folders({})])
    for fault in broken:
        progress.say(f"hunt left out: {fault}")
    return [spec for spec in specs if spec.status in ("live", "shadow")]


def _note_landing(under_way: Hunt, specs: list[HuntSpec]) -> None:
    landing, config = under_way.landing, under_way.machine.home.config()
    landing.changed |= {(place, day) for place, day in config.get("unjudged", [])}
    under_way.machine.home.configure(unjudged=sorted(landing.changed))
    unread = sorted(landing.tables - under_way.tables(specs))
    if unread:
        under_way.notes.append(f"ignored, no hunt reads them: {', '.join(unread)}")
    if landing.other_files:
        under_way.notes.append(f"{landing.other_files} files are no export blobs, left out")
    if landing.future:
        under_way.notes.append(f"{landing.future} blobs of the future were landed, not hunted on")
    for note in under_way.notes:
        under_way.progress.say(note)


def _silent(under_way: Hunt, *, manifests: bool) -> list[str]:
    return [
        f"trigger {name} never fired; the timer brought everything all the same "
        "(--timers-only says that this is wanted)"
        for name in under_way.silent_triggers(manifests=manifests)
    ]


def _run_faults(document: Json) -> list[str]:
    return [
        f"run {run['run_id']} is {run['status']}: {run['reason']}"
        for run in document["runs"]
        if run["status"] != "done"
    ]


def demo_faults(document: Json) -> list[str]:
    key = document["answer_key"]
    missed = [f"implant not found: {one['name']}" for one in key["implants"] if not one["found"]]
    flagged = [
        f"benign heartbeat flagged: {one['name']}" for one in key["benign"] if one["flagged"]
    ]
    runs = [] if document["runs"] else ["no run has ended"]
    return runs + missed + flagged


def _show(document: Json, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document))
    else:
        reports.render_terminal(document, Console())


# --- serve, land, run -------------------------------------------------------------------------


def serve(options: Namespace) -> int:
    """Keep everything running until Ctrl-C."""
    home = Home(Path(options.home)) if options.home else homes.last()
    home.make()
    home.remember()
    workspaces = options.workspace or _landed_workspaces(home)
    with Machine(
        home,
        workspaces,
        app_port=options.port,
        cloud_ports=CLOUD_PORTS,
        events=Options(drop=options.timers_only),
    ) as machine:
        serving = {"app": machine.app.url, "key": machine.app.key}
        home.serving.touch(mode=0o600)
        home.serving.write_text(json.dumps(serving), encoding="utf-8")
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
        return _workspaces_of(home.exports)
    return [make_demo_workspace()]


def make_demo_workspace() -> str:
    """The demo tenant's workspace."""
    from workbench.sample_tenant import WORKSPACE  # noqa: PLC0415  numpy, for this line only

    return WORKSPACE


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
    home = Home(Path(options.home)) if options.home else homes.last()
    home.make()
    progress = Progress()
    landing = landings.land(
        Path(options.folder),
        home.exports,
        lambda so_far: progress.stage("landing blobs", f"{so_far.copied + so_far.same} blobs"),
    )
    progress.end()
    print(f"{landing.copied} blobs landed, {landing.same} were there already, in {home.exports}")
    return 0


def run(options: Namespace) -> int:
    """Ask for an ad-hoc run and wait until it has ended."""
    app = _serving(options)
    run_id = app.start_run(**_asked(options))
    progress = Progress()
    progress.say(f"run {run_id}")
    while (found := app.run(run_id))["status"] not in ("done", "failed", "cancelled", "held"):
        progress.stage(str(found["status"]))
        time.sleep(0.5)
    progress.end()
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


def _serving(options: Namespace) -> AppClient:
    home = Home(Path(options.home)) if options.home else homes.last()
    serving = read_serving(home)
    return AppClient(serving["app"], serving["key"])


# --- status, report, clean --------------------------------------------------------------------


def status(options: Namespace) -> int:
    """What a served Tidehunt does right now."""
    told = _serving(options).status()
    if options.json:
        print(json.dumps(told))
    else:
        render_status(told, Console())
    return 0


def report(options: Namespace) -> int:
    """Show the last hunt's document and write its page."""
    home = Home(Path(options.home)) if options.home else homes.last()
    if not home.document.is_file():
        raise BadInput("no hunt has ended here yet", where=str(home.path), mend="tidehunt hunt")
    document = json.loads(home.document.read_text(encoding="utf-8"))
    page = Path(options.output) if options.output else home.report
    page.write_text(reports.render_html(document), encoding="utf-8")
    _show(document, options.json)
    print(f"page: {page}", file=sys.stderr)
    return 0


def clean(options: Namespace) -> int:
    """Delete a home, or all."""
    root = Path(ROOT)
    found = [Home(path.parent) for path in sorted(root.glob(f"*/{homes.MARKER}"))]
    chosen = found if options.all else [Home(Path(options.home)) if options.home else homes.last()]
    for home in chosen:
        if not options.home and not (home.path / homes.MARKER).is_file():
            print("nothing to clean")
            continue
        home.remove()
        print(f"deleted {home.path}")
    return 0
