"""Invariant 12: what becomes of B is the same with and without a poisoned A.

Two worlds of one seed, calm, alike but for the poison. Who waits how long differs between them; so
what is compared is where they come to rest: findings as they were told last, slots, gaps, cases.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from shared.deployment import Deployment
from shared.documents import decode
from shared.errors import BadInput, Forbidden, Rejected, Transient
from shared.incidents import incident_id
from shared.model import BlobStat, Case, Document, Incident, Json
from shared.ports import ExportLake
from shared.records import Records, hunt_path
from shared.timeline import HuntRecord
from tests.simulation.through import IncidentsThrough, LedgerThrough, ResultsThrough, SinkThrough
from tests.simulation.world import World
from tests.unit.house import OTHER

HUNT = "by_hour"
GUID = "00000000-0000-4000-8000-000000000001"
Poison = Callable[[Deployment], Deployment]
Trouble = Callable[[], Exception]


@dataclass
class _Ledger(LedgerThrough):
    """Documents whose path names one of these cannot be read."""

    names: tuple[str, ...]
    trouble: Trouble

    def read(self, path: str) -> Document | None:
        """Raises for what is poisoned, once it is there."""
        found = self.ledger.read(path)
        if found and any(name in path for name in self.names):
            raise self.trouble()
        return found


@dataclass
class _Results(ResultsThrough):
    """Files of the hunt's runs are not what they should be."""

    manifest: bytes | Trouble | None = None
    line: bytes | None = None

    def read(self, path: str, limit: int) -> bytes | None:
        """A manifest of the hunt's as it is given here."""
        found = self.results.read(path, limit)
        if not found or self.manifest is None or not _is_manifest_of_hunt(path):
            return found
        if callable(self.manifest):
            raise self.manifest()
        return self.manifest

    def lines(self, path: str, offset: int, limit: int) -> Iterator[tuple[bytes, int]]:
        """The hunt's lines replaced by this one."""
        for line, end in self.results.lines(path, offset, limit):
            yield self.line if self.line is not None and f"-{HUNT}-" in path else line, end


def _is_manifest_of_hunt(path: str) -> bool:
    return path.endswith("/manifest.json") and f"-{HUNT}-" in path


@dataclass
class _Sink(SinkThrough):
    trouble: Trouble

    def send(self, payload: bytes) -> None:
        """Refuses the hunt's rows."""
        if f'"Hunt":"{HUNT}"'.encode() in payload:
            raise self.trouble()
        self.sink.send(payload)


@dataclass
class _Incidents(IncidentsThrough):
    trouble: Trouble

    def get(self, workspace: str, incident_id: str) -> Incident | None:
        """Knows nothing of one workspace."""
        if workspace == OTHER:
            raise self.trouble()
        return self.incidents.get(workspace, incident_id)

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        """Takes nothing for one workspace."""
        if workspace == OTHER:
            raise self.trouble()
        return self.incidents.put(workspace, incident_id, properties, etag)


@dataclass
class _Exports:
    exports: ExportLake
    trouble: Trouble

    def tables(self) -> Sequence[str]:
        """As it is."""
        return self.exports.tables()

    def blobs(self, table: str, folder: str) -> Sequence[BlobStat]:
        """Lists nothing of one workspace."""
        if OTHER in folder:
            raise self.trouble()
        return self.exports.blobs(table, folder)


def _ledger(trouble: Trouble, *names: str) -> Poison:
    return lambda home: replace(
        home, records=Records(_Ledger(home.records.ledger, names, trouble))
    )  # fmt: skip


def _without_spec(home: Deployment) -> Deployment:
    """The hunt's files are gone once it has started: its runs have no spec any more."""
    return replace(home, hunts=[spec for spec in home.hunts if spec.module != HUNT])


def _results(manifest: bytes | Trouble | None = None, line: bytes | None = None) -> Poison:
    return lambda home: replace(home, results=_Results(home.results, manifest, line))


def _sink(trouble: Trouble) -> Poison:
    return lambda home: replace(home, sink=_Sink(home.sink, trouble))


def _incidents(trouble: Trouble) -> Poison:
    return lambda home: replace(home, incidents=_Incidents(home.incidents, trouble))


def _exports(trouble: Trouble) -> Poison:
    return lambda home: replace(home, exports=_Exports(home.exports, trouble))


_FORBIDDEN, _REFUSED = partial(Forbidden, "403"), partial(Rejected, "400")
_BROKEN, _BUG = partial(BadInput, "broken"), partial(ZeroDivisionError, "a bug")
POISONS: dict[str, tuple[str, Poison]] = {
    "its manifests are no JSON": (HUNT, _results(b"{")),
    "its manifests cannot be read": (HUNT, _results(_FORBIDDEN)),
    "its manifests meet a bug": (HUNT, _results(_BUG)),
    "its findings are none": (HUNT, _results(line=b'{"Identity": 7}')),
    "its rows are refused": (HUNT, _sink(_REFUSED)),
    "its rows are forbidden": (HUNT, _sink(_FORBIDDEN)),
    "its rows meet a bug": (HUNT, _sink(_BUG)),
    "its time line is broken": (HUNT, _ledger(_BROKEN, f"hunts/{GUID}")),
    "its runs are broken": (HUNT, _ledger(_BROKEN, f"-{HUNT}-")),
    "its spec is gone": (HUNT, _without_spec),
    "incidents are forbidden there": (OTHER, _incidents(_FORBIDDEN)),
    "incidents are refused there": (OTHER, _incidents(_REFUSED)),
    "exports are forbidden there": (OTHER, _exports(_FORBIDDEN)),
    "exports do not answer there": (OTHER, _exports(partial(Transient, "no answer"))),
    "its days are broken": (OTHER, _ledger(_BROKEN, "days/fabrikam")),
}
"""What is wrong -> with which hunt or workspace, and how it comes about."""


def rest_of_others(world: World, sick: str) -> Json:
    """Where everything but the sick hunt or workspace came to rest."""
    told: Json = {}
    for row in world.sink.rows:
        if sick not in (row["Hunt"], row["Workspace"]):
            told[row["FindingId"]] = [row["Severity"], row["Evidence"]]
    lines = {
        f"{spec.module} in {workspace}": _line(world, hunt_path(spec.guid, workspace))
        for spec in world.base.hunts
        for workspace in world.scale.workspaces
        if sick not in (spec.module, workspace)
    }
    return {"told": told, "lines": lines, "cases": sorted(_cases(world, sick))}


def _line(world: World, path: str) -> Json:
    """A time line without the times at which things happened."""
    record = decode(HuntRecord, json.loads(world.ledger.peek(path) or b""), path)
    slots = sorted(key for key, slot in record.slots.items() if slot.run)
    gaps = [[str(gap.start), str(gap.end), gap.reason] for gap in record.gaps]
    return {"slots": slots, "gaps": gaps, "watermark": str(record.watermark)}


def _cases(world: World, sick: str) -> Iterator[str]:
    for path in world.ledger.paths("cases"):
        case = decode(Case, json.loads(world.ledger.peek(path) or b""), path)
        if sick not in (case.workspace, HUNT if case.hunt_guid == GUID else ""):
            there = (case.workspace, incident_id(case.key, 1)) in world.incidents.incidents
            yield f"{case.key} {case.generation} {'open' if there else 'missing'}"


def rest(seed: int, poison: Poison | None, *sick: str) -> list[Json]:
    """Let a calm world happen; where it came to rest without each of these, and whole."""
    world = World(seed, plant=poison or (lambda home: home), calm=True)
    world.run()
    world.schedule.close()
    return [rest_of_others(world, one) for one in (*sick, "nobody")]
