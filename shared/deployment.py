"""What a turn works with: settings, hunts, ports and the clock, put together by bootstrap."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import yaml

from shared import ports
from shared.contract import workspace_key
from shared.errors import BadInput, TidehuntError
from shared.hunt_specs import tables_of
from shared.messages import Announce
from shared.model import HuntSpec, Json
from shared.records import Records
from shared.settings import Settings

log = logging.getLogger("tidehunt")


@dataclass
class Heard:
    """The newest turn that this process knows of: later ones make it no less true."""

    last_turn: datetime | None = None


@dataclass(frozen=True)
class Deployment:
    """One deployment of Tidehunt: everything that the control loop may touch."""

    settings: Settings
    hunts: Sequence[HuntSpec]
    records: Records
    exports: ports.ExportLake
    results: ports.ResultLake
    engine: ports.SparkEngine
    sink: ports.FindingSink
    health: ports.FindingSink
    """Takes rows for the health table."""
    workspace: ports.Workspace
    incidents: ports.IncidentSink
    notifier: ports.Notifier | None
    clock: Callable[[], datetime]
    owner: str
    """Names this process in the claim of a turn."""
    hunt_faults: Sequence[TidehuntError] = ()
    """What is wrong with hunts that could not be loaded."""
    heard: Heard = field(default_factory=Heard, compare=False)

    def workspaces(self) -> Mapping[str, str]:
        """Workspace key -> resource id."""
        return {workspace_key(one): one for one in self.settings.workspaces}

    def hunt(self, module: str) -> HuntSpec | None:
        """The hunt with this module name."""
        return next((spec for spec in self.hunts if spec.module == module), None)

    def hunts_on(self, table: str) -> list[HuntSpec]:
        """Hunts that read this table, whatever their status."""
        return [spec for spec in self.hunts if table in tables_of(spec)]

    def tables(self) -> set[str]:
        """Every table that some hunt can read."""
        return {table for spec in self.hunts for table in tables_of(spec)}

    def announce(self, message: Announce) -> bool:
        """Tell playbooks; False when the topic does not take it, which never stops a turn."""
        if self.notifier is None:
            return True
        try:
            self.notifier.publish(message.event_id, message.kind, message.subject, message.data)
        except TidehuntError as error:
            log.warning("not announced: %s %s: %s", message.kind, message.subject, error)
            return False
        return True


@dataclass(frozen=True)
class Turn:
    """The short time in which this process, and no other, acts."""

    deployment: Deployment
    until: datetime
    last_turn: datetime | None = None
    """When the turn before ended."""
    last_beat: datetime | None = None
    """When a turn sent the last heartbeat to the health table."""

    def now(self) -> datetime:
        """The deployment's clock."""
        return self.deployment.clock()

    def has_room(self) -> bool:
        """True while one more remote call with its bound still ends before the turn does."""
        bound = timedelta(seconds=self.deployment.settings.call_seconds)
        return self.now() + bound <= self.until

    def part(self, share: float) -> Turn:
        """The same turn with a share of what is left: what hangs leaves room for the rest."""
        now, bound = self.now(), self.deployment.settings.call_seconds
        room = max((self.until - now) * share, timedelta(seconds=1.5 * bound))
        return replace(self, until=min(self.until, now + room))

    def leaving_a_call(self) -> Turn:
        """The same turn with room for a call behind it; a short one keeps what it needs itself."""
        bound = timedelta(seconds=1.5 * self.deployment.settings.call_seconds)
        spare = max(self.until - self.now() - bound, timedelta(0))
        return replace(self, until=self.until - min(bound, spare))

    def has_come(self, moment: datetime | None) -> bool:
        """True from that moment on; None: at once."""
        return moment is None or self.now() >= moment

    def later(self, seconds: float) -> datetime:
        """That many seconds from now."""
        return self.now() + timedelta(seconds=seconds)


def load_references(folder: str, names: Sequence[str]) -> dict[str, list[Json]]:
    """The reference lists that a hunt declares; a list that nobody gave is empty.

    BadInput when a file is no list of mappings.
    """
    lists: dict[str, list[Json]] = {name: [] for name in names}
    for name in names if folder else ():
        for path in (Path(folder) / f"{name}.yaml", Path(folder) / f"{name}.json"):
            if path.is_file():
                lists[name] = _reference_list(path)
    return lists


def _reference_list(path: Path) -> list[Json]:
    try:
        text = path.read_text(encoding="utf-8")
        entries = json.loads(text) if path.suffix == ".json" else yaml.safe_load(text)
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise BadInput(
            f"reference list cannot be read: {error}", where=str(path), mend="correct the file"
        ) from error
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise BadInput(
            "reference list is no list of mappings",
            where=str(path),
            mend="write one mapping an entry, e.g. - {destination: 192.0.2.7, reason: ...}",
        )
    return entries
