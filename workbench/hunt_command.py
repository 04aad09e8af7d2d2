"""`tidehunt hunt`: the demo tenant, or a user's own logs, from landing to report."""

from __future__ import annotations

import json
from argparse import Namespace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from rich.console import Console

from shared.bootstrap import OWN_HUNTS
from shared.errors import BadInput
from shared.hunt_specs import load_folders
from shared.model import HuntSpec, Json
from workbench.emulators.eventgrid_delivery import Options
from workbench.home import Home, choose
from workbench.hunting import Hunt, ask_runs
from workbench.landing import workspaces_of
from workbench.machine import Machine, given_hunt_folders
from workbench.progress import Progress
from workbench.report import render_html, render_terminal
from workbench.samples import AnswerKey, make_demo

LATER = "86400"
"""Settle time while ad-hoc runs hunt on a user's own logs: arrivals wait for `tidehunt serve`."""


def hunt(options: Namespace) -> int:
    """Land, hunt, show; 1 when something was not found, failed, or never fired."""
    home = choose(options.home, options.logs)
    home.make()
    home.remember()
    with Progress() as progress:
        return _hunt(options, home, progress)


def _hunt(options: Namespace, home: Home, progress: Progress) -> int:
    progress.say(f"home: {home.path}")
    work = _hunt_logs if options.logs else _hunt_demo
    document, faults = work(options, home, progress)
    home.document.write_text(json.dumps(document, indent=1), encoding="utf-8")
    home.report.write_text(render_html(document), encoding="utf-8")
    show(document, options.json)
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
    workspaces = workspaces_of(source)
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


def show(document: Json, as_json: bool) -> None:
    if as_json:
        print(json.dumps(document))
    else:
        render_terminal(document, Console())
