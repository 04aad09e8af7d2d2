"""What happens outside: blobs land, their events come as they like, people work with incidents."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Any

from shared import contract as c
from shared import events, http_api
from shared.callers import OPERATOR, READER
from shared.deployment import Deployment
from shared.model import Json, StorageEvent
from shared.records import mark_path
from tests.simulation.marks import left_no_mark
from tests.simulation.scale import TABLES
from tests.unit.house import export_path

if TYPE_CHECKING:
    from tests.simulation.world import World

EXPORTS_HOST = "tidehuntexports.dfs.core.windows.net"
STATE_HOST = "tidehuntstate.dfs.core.windows.net"
CLOSURES = ("TruePositive", "BenignPositive", "FalsePositive", "Undetermined")


@dataclass
class Exports:
    """Hours of two tables in two workspaces; some late, some changed, some never."""

    world: World
    dice: random.Random
    landed: dict[tuple[str, str, str], datetime] = field(default_factory=dict)
    """(workspace, table, hour) -> when its newest blob landed."""

    def plan(self, start: datetime, hours: int) -> None:
        """Decide when each hour's blob lands."""
        for workspace in self.world.scale.workspaces:
            for table in TABLES:
                dark = self.dice.randrange(hours)
                for number in range(-6, hours):
                    if not dark <= number < dark + 3:
                        self._plan_hour(workspace, table, start + timedelta(hours=number))

    def _plan_hour(self, workspace: str, table: str, hour: datetime) -> None:
        key, delays = c.hour_key(hour), [self.dice.uniform(3700, 4800)]
        if self.dice.random() < 0.08:
            delays = [self.dice.uniform(4800, 20_000)]
        if self.dice.random() < 0.15:
            delays.append(delays[0] + self.dice.uniform(60, 10_000))
        for number, delay in enumerate(delays):
            sibling = number and self.dice.random() < 0.5
            name = f"PT05M_{number}.json" if sibling else "PT05M.json"
            path, content = export_path(key, name, workspace), b"{}" * (number + 1)
            landing = partial(self._land, (workspace, table, key), path, content)
            self.world.schedule.at(hour + timedelta(seconds=delay), landing)

    def _land(self, place: tuple[str, str, str], path: str, content: bytes) -> None:
        world, (workspace, table, hour) = self.world, place
        world.exports.plant(table, path, content)
        self.landed[place] = world.schedule.now
        world.tell("export", f"landed {table}/{path[-45:]}, {len(content)} bytes")
        handler = partial(self._handle, mark_path(workspace, table, hour))
        self.notify(c.export_container(table), path, EXPORTS_HOST, handler)

    def _handle(self, mark: str, home: Deployment, event: StorageEvent | None) -> None:
        world = self.world
        before, writes = world.ledger.version(mark), world.marked.get(mark, (0, None))[0]
        events.export_blob_created(home, event)
        for trouble in left_no_mark(world, mark, before, writes):
            world.trouble(trouble)

    def landed_result(self, path: str) -> None:
        """A manifest landed."""
        self.notify("results", path, STATE_HOST, events.result_created)

    def notify(
        self,
        container: str,
        path: str,
        host: str,
        handler: Callable[[Deployment, StorageEvent | None], None],
    ) -> None:
        """Its event comes, or not, or more than once, and late; always in this mode."""
        times = self.dice.choices((0, 1, 2), (1, 8, 1))[0]
        times = {"none": 0, "thrice": 3}.get(self.world.events_mode, times)
        event = StorageEvent("", "Microsoft.Storage.BlobCreated", container, path, host)
        for _ in range(times):
            late = self.dice.random() < 0.1
            delay = self.dice.uniform(60, 7200) if late else self.dice.expovariate(0.5)
            self.world.schedule.after(
                delay, lambda: self.world.call("event", lambda home: handler(home, event))
            )


@dataclass
class Analyst:
    """Reads incidents and changes them; what was written last is remembered."""

    world: World
    dice: random.Random
    wrote: dict[tuple[str, str], Json] = field(default_factory=dict)
    deleted: dict[tuple[str, str], datetime] = field(default_factory=dict)
    closed: dict[tuple[str, str], tuple[datetime, str]] = field(default_factory=dict)

    def plan(self, start: datetime, hours: int) -> None:
        """Look in some thirty times."""
        for _ in range(30):
            self.world.schedule.at(
                start + timedelta(hours=self.dice.uniform(1, hours)), self.look_in
            )

    def look_in(self) -> None:
        """Change one incident."""
        held = sorted(self.world.incidents.incidents)
        if not held:
            return
        key = self.dice.choice(held)
        if self.dice.random() < 0.1:
            self.world.incidents.remove(*key)
            self.deleted[key] = self.world.schedule.now
            self.closed.pop(key, None)  # what was deleted stays so, however it was closed
            self.world.tell("analyst", f"deleted incident {key[1]}")
            return
        self._write(key, self._change())

    def _change(self) -> Json:
        kind = self.dice.choice(("close", "close", "reopen", "severity", "owner", "title", "label"))
        number = len(self.wrote)
        changes: dict[str, Json] = {
            "close": {"status": "Closed", "classification": self.dice.choice(CLOSURES)},
            "reopen": {"status": "Active"},
            "severity": {"severity": self.dice.choice(("Low", "Informational", "High"))},
            "owner": {"owner": {"assignedTo": f"analyst {number}"}},
            "title": {"title": f"Looked at {number}"},
            "label": {"labels": [{"labelName": f"seen {number}"}]},
        }
        return changes[kind]

    def _write(self, key: tuple[str, str], change: Json) -> None:
        self.world.incidents.change(*key, **change)
        self.wrote.setdefault(key, {}).update(change)
        if change.get("status") == "Closed":
            before = self.closed.get(key)
            # Closed once more in the same way is no news to anybody.
            if before is None or before[1] != change["classification"]:
                self.closed[key] = (self.world.schedule.now, change["classification"])
        elif "status" in change:
            self.closed.pop(key, None)
        self.world.tell("analyst", f"incident {key[1]}: {json.dumps(change)}")


@dataclass
class Operator:
    """Asks over HTTP for runs, for their end, and how things are."""

    world: World
    dice: random.Random
    answers: dict[int, int] = field(default_factory=dict)
    """Status code -> how often."""
    asked: list[str] = field(default_factory=list)
    """Ids of runs that were promised."""

    def plan(self, start: datetime, hours: int) -> None:
        """Some forty requests."""
        for _ in range(40):
            moment = start + timedelta(hours=self.dice.uniform(1, hours))
            self.world.schedule.at(moment, self._ask)

    def _ask(self) -> None:
        kind = self.dice.choice(("run", "run", "cancel", "status", "show"))
        runs = sorted(self.world.run_ids())
        one = self.dice.choice([*runs, *self.asked]) if runs or self.asked else "20260310-nothing"
        body = json.dumps(self._body()).encode()
        works: dict[str, tuple[str, Callable[[Deployment], http_api.Answer]]] = {
            "run": (OPERATOR, lambda home: http_api.start_run(home, body)),
            "cancel": (OPERATOR, lambda home: http_api.change_run(home, one, "cancel", b"")),
            "status": (READER, http_api.status),
            "show": (READER, lambda home: http_api.show_run(home, one)),
        }
        role, work = works[kind]
        what = f"{kind} {body.decode() if kind == 'run' else one}"
        self.world.tell("operator", what)

        def request(home: Deployment) -> None:
            self._keep(kind, http_api.answer(lambda: home, {}, role, work))

        self.world.call("http", request)

    def _body(self) -> dict[str, Any]:
        hunt = self.dice.choice(self.world.base.hunts).module
        day = self.world.schedule.now - timedelta(days=self.dice.randint(0, 1))
        return {
            "hunt": hunt,
            "workspace": self.dice.choice(self.world.scale.workspaces),
            "end_date": f"{day:%Y-%m-%d}",
            "lookback_days": self.dice.randint(1, 2),
            "incidents": self.dice.random() < 0.5,
            "again": self.dice.random() < 0.3,
        }

    def _keep(self, kind: str, answer: http_api.Answer) -> None:
        code, body = answer
        self.answers[code] = self.answers.get(code, 0) + 1
        if kind == "run" and code == 202:
            self.asked.append(body["run_id"])
