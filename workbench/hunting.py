"""`tidehunt hunt`: land, watch the real system work, read back what it found.

This file starts no job and calls no handler: it only looks, and for a user's own logs it posts
ad-hoc runs as anybody could.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.contract import day_key, day_start
from shared.errors import Transient
from shared.hunt_specs import tables_of
from shared.model import HuntSpec, Json
from shared.schedule import lacks
from workbench import readback
from workbench.landing import Landing, land
from workbench.machine import Machine
from workbench.progress import Progress

LOOK_SECONDS = 0.4
TERMINAL = ("done", "failed", "cancelled", "held")
SHARED = ("session_s", "copy_s")
"""Stages of a job that its runs share."""
NAMES = {"waiting": "waiting for a job", "assigned": "Spark", "delivering": "delivering"}
PATIENCE_SECONDS = 7200.0
"""Longest wait in which nothing changes: a run's own deadline is an hour."""


BUSY_SECONDS = 120.0
"""Longest time without an answer of an app that lives."""


@dataclass
class Hunt:
    """One hunt under way on a machine."""

    machine: Machine
    progress: Progress
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    landing: Landing = field(default_factory=Landing)
    notes: list[str] = field(default_factory=list)

    def land(self, source: Path) -> None:
        """Land a folder of exports, as the exporter would."""
        self.progress.stage("landing blobs")
        self.landing = land(source, self.machine.home.exports, self._landed)
        self.progress.stage("landing blobs", self._landed_text(self.landing))
        self.progress.end()

    def _landed(self, landing: Landing) -> None:
        self.progress.stage("landing blobs", self._landed_text(landing))

    @staticmethod
    def _landed_text(landing: Landing) -> str:
        size = landing.bytes / 1e6
        return f"{landing.copied} new ({size:.0f} MB), {landing.same} already there"

    def wait_until_idle(self) -> None:
        """Wait until nothing is left to do, and one sweep has confirmed it since the landing."""
        landed = datetime.now(UTC)
        self._watch(lambda status: _is_idle(status, landed) and self.machine.cloud.grid.tried())

    def wait_for(self, run_ids: Sequence[str]) -> None:
        """Wait until these runs have ended or are held."""
        left = set(run_ids)

        def ended(_status: Json) -> bool:
            for run_id in list(left):
                if self.machine.app.run(run_id)["status"] in TERMINAL:
                    left.discard(run_id)
            return not left

        self._watch(ended)

    def _watch(self, finished: Callable[[Json], bool]) -> None:
        ends, last = time.monotonic() + PATIENCE_SECONDS, ("", "")
        answered = time.monotonic()
        while time.monotonic() < ends:
            if not self.machine.app_is_alive():
                raise Transient(
                    "the app has stopped",
                    where=str(self.machine.home.logs / "app.log"),
                    mend="the same command goes on where it stopped",
                )
            self.machine.home.require_room()
            try:
                status = self.machine.app.status()
                is_over = finished(status)
            except Transient:
                # A busy machine answers late, and the app says so: the next look will do.
                if time.monotonic() - answered > BUSY_SECONDS:
                    raise
                time.sleep(LOOK_SECONDS)
                continue
            answered, stage = time.monotonic(), _stage_of(status)
            self.progress.stage(*stage)
            if is_over:
                self.progress.end()
                return
            if stage != last:
                ends, last = time.monotonic() + PATIENCE_SECONDS, stage
            time.sleep(LOOK_SECONDS)
        raise Transient(
            f"nothing has changed for {PATIENCE_SECONDS / 3600:.0f} hours: {' '.join(last)}",
            where=str(self.machine.home.logs),
            mend="see what app.log says; the same command goes on",
        )

    def document(self, runs: Sequence[Json], key: Json | None) -> Json:
        """What was found, read back through REST."""
        self.progress.stage("reading back")
        self.machine.become_operator()
        reader = readback.Reader(self.machine.settings, self.machine.workspaces)
        status = self.machine.app.status()
        whole = [self.machine.app.run(run["run_id"]) for run in runs]
        findings = reader.findings([run["run_id"] for run in whole if run["status"] == "done"])
        incidents = reader.incidents()
        readback.link(findings, incidents)
        self.progress.end()
        return {
            "generated": readback.stamp(),
            "home": str(self.machine.home.path),
            "workspaces": list(self.machine.workspaces),
            "runs": whole,
            "findings": findings,
            "incidents": incidents,
            "coverage": readback.coverage_of(whole, status["ignored_tables"]),
            "timings": readback.timings_of(stages(self.progress.timings, whole)),
            "answer_key": readback.compare(key, findings) if key else None,
            "landed": self._landed_counts(),
            "triggers": self.machine.app.invocations(),
            "notes": [*self.notes, *status["hunt_faults"]],
        }

    @staticmethod
    def tables(specs: Sequence[HuntSpec]) -> set[str]:
        """Tables that some hunt reads."""
        return {table for spec in specs for table in tables_of(spec)}

    def _landed_counts(self) -> Json:
        return {
            "blobs": self.landing.copied,
            "same": self.landing.same,
            "bytes": self.landing.bytes,
            "other_files": self.landing.other_files,
            "future": self.landing.future,
        }

    def silent_triggers(self, *, manifests: bool) -> list[str]:
        """Triggers that should have fired by now and never did."""
        fired = self.machine.app.invocations()
        expected = ["tick"]
        if self.landing.copied:
            expected.append("export_blob_created")
        if manifests:
            expected.append("result_created")
        return [name for name in expected if not fired.get(name, {}).get("started")]


def _is_idle(status: Json, since: datetime) -> bool:
    swept = status["last_sweep"]
    return bool(status["idle"] and swept and datetime.fromisoformat(swept) > since)


def _stage_of(status: Json) -> tuple[str, str]:
    """The stage that a status shows, and a word on it."""
    waiting, runs = status["waiting"], status["active"]["runs"]
    for wanted in ("delivering", "assigned", "waiting"):
        some = [run for run in runs if run["status"] == wanted]
        if some:
            return NAMES[wanted], _run_text(some)
    if waiting["marks"] or waiting["requests"]:
        return "taking events", f"{waiting['marks']} hours marked, {waiting['requests']} requests"
    if waiting["slots"]:
        return "settling", "waiting for blobs to stop landing"
    return "sweeping", "looking for what events missed"


def _run_text(runs: Sequence[Json]) -> str:
    first = runs[0]
    counts = first["counts"]
    detail = f"{counts['sent']} of {counts['rows']} rows sent" if first["step"] else ""
    others = f" and {len(runs) - 1} more" if len(runs) > 1 else ""
    return f"{first['hunt']} {first['slot']['start'][:10]}{others} {detail}".strip()


def stages(timings: Mapping[str, float], runs: Sequence[Json]) -> Mapping[str, float]:
    """Seconds a stage; Spark's own stages, which its manifests tell, stand for the wait for it."""
    told = job_timings(runs)
    waited = timings.get(NAMES["assigned"], 0.0)
    if not told or not waited:
        return timings
    rest = {"Spark: start, queue, end": max(0.0, waited - sum(told.values()))}
    shares = {**told, **rest}
    return {
        name: seconds
        for stage, whole in timings.items()
        for name, seconds in (shares.items() if stage == NAMES["assigned"] else [(stage, whole)])
    }


def job_timings(runs: Sequence[Json]) -> Mapping[str, float]:
    """Share of the stages inside the Spark jobs, as their manifests tell."""
    timings: dict[str, float] = {}
    seen: set[str] = set()
    for run in runs:
        told = run.get("coverage", {}).get("timings", {})
        for name, seconds in told.items():
            if name in SHARED and run["job"] in seen:
                continue
            label = f"Spark: {name.removesuffix('_s')}"
            timings[label] = timings.get(label, 0.0) + float(seconds)
        seen.add(run["job"])
    return timings


def windows_to_cover(days: set[str], lookback_days: int) -> list[str]:
    """End days (`yyyymmdd`) of lookbacks that cover every day with data, newest first."""
    ends: list[str] = []
    left = sorted(days)
    while left:
        end = left[-1]
        ends.append(end)
        start = day_key(day_start(end) - timedelta(days=lookback_days - 1))
        left = [day for day in left if day < start]
    return ends


def ask_runs(hunt: Hunt, specs: Sequence[HuntSpec]) -> list[str]:
    """Post the ad-hoc runs that cover a landing; their ids. None for hunts that lack tables."""
    run_ids = []
    for workspace, tables in sorted(hunt.landing.days.items()):
        for spec in (one for one in specs if not lacks(one, tables)):
            days = set().union(*(tables.get(table, set()) for table in tables_of(spec)))
            for end in windows_to_cover(days, spec.lookback_days):
                run_ids.append(_ask_run(hunt, spec, workspace, end))
    return run_ids


def _ask_run(hunt: Hunt, spec: HuntSpec, workspace: str, end: str) -> str:
    first = day_start(end) - timedelta(days=spec.lookback_days - 1)
    last = day_start(end)
    fresh = any(
        place == workspace and f"{first:%Y%m%d}" <= day <= end
        for place, day in hunt.landing.changed
    )
    name = workspace.rsplit("/", 1)[-1]
    window = f"{first:%Y-%m-%d} to {last:%Y-%m-%d}"
    hunt.progress.say(f"run: {spec.module} on {name}, {window} ({spec.lookback_days} days)")
    return hunt.machine.app.start_run(
        hunt=spec.module, workspace=workspace, end_date=f"{last:%Y-%m-%d}", again=fresh
    )
