"""What an operator changes over HTTP: held and failed runs, the pause, gaps, quiet cases, hunts.

A pause and a disabled hunt end before the world heals: what is due has to be done after that.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Literal

from shared import gaps, http_api
from shared.callers import OPERATOR, READER
from shared.deployment import Deployment
from shared.documents import decode
from shared.model import Case, HuntSpec, HuntStatus, Json, Run
from shared.pauses import ASKED, PAUSE
from shared.quiet import is_quiet
from shared.records import CASES, RUNS, hunt_path
from shared.timeline import Gap, HuntRecord
from tests.simulation.faults import LONGEST_STALL

if TYPE_CHECKING:
    from tests.simulation.world import World

ACTS = ("redrive", "redrive", "redrive", "revoke", "revoke", "revoke", "fill", "fill", "unfill",
        "gaps", "quiet")  # fmt: skip
LOOKS_FOR_HOLDS = 900.0
"""Seconds between two looks for a held run, of which half are."""
REASON = json.dumps({"reason": "the operator wants it so"}).encode()
AFTERCARE = LONGEST_STALL + timedelta(minutes=20)
"""So long may a request to pause be under way."""
Work = Callable[[Deployment], http_api.Answer]
Status = Literal["waiting", "delivering", "held", "failed", "cancelled"]


@dataclass
class Upkeep:
    """Somebody who looks after everything, now and then."""

    world: World
    dice: random.Random
    answers: dict[str, int] = field(default_factory=dict)
    """What was asked and answered -> how often."""
    redriven: list[str] = field(default_factory=list)
    """Runs whose next revision was promised."""
    again: set[str] = field(default_factory=set)
    """Runs that may be judged again because somebody asked, whatever the answer was."""
    released: set[str] = field(default_factory=set)
    """Runs that got another job while theirs may have been alive."""
    revoked: dict[str, list[datetime]] = field(default_factory=dict)
    """Case -> when somebody asked to let it speak again."""
    filled: dict[str, tuple[Gap, ...]] = field(default_factory=dict)
    """Fill that was promised -> the gaps that there were when it was asked for."""
    disabled: dict[str, datetime] = field(default_factory=dict)
    """Hunt -> since when it is disabled."""

    def plan(self, start: datetime, hours: int) -> None:
        """Each act once, at any time; some pause everything, or disable a hunt for a while."""
        schedule, faults = self.world.schedule, self.world.faults
        for act in ACTS:
            moment = start + timedelta(hours=self.dice.uniform(2, hours + 4))
            schedule.at(moment, partial(self._act, act))
        schedule.at(faults.start, self._look_for_holds)
        if self.dice.random() < 0.4:
            begins = faults.start + (faults.end - faults.start) * self.dice.uniform(-0.1, 0.8)
            schedule.at(begins, self._pause)
        if self.dice.random() < 0.3:
            begins = faults.start + (faults.end - faults.start) * self.dice.uniform(-0.1, 0.6)
            schedule.at(begins, self._disable)

    def _act(self, act: str) -> None:
        acts: dict[str, Callable[[], None]] = {
            "redrive": lambda: self._change("redrive", self._runs("failed", "cancelled")),
            "revoke": self._revoke,
            "fill": self._fill,
            "unfill": self._unfill,
            "gaps": lambda: self._ask("gaps", "", http_api.list_gaps, READER),
            "quiet": lambda: self._ask("quiet", "", lambda h: http_api.list_quiet(h, ""), READER),
        }
        acts[act]()

    def _ask(
        self,
        what: str,
        about: str,
        work: Work,
        role: str = OPERATOR,
        keep: Callable[[int, Json], None] = lambda _code, _body: None,
    ) -> None:
        self.world.tell("operator", f"{what} {about}")

        def request(home: Deployment) -> None:
            code, body = http_api.answer(lambda: home, {}, role, work)
            name = f"{what} {code}"
            self.answers[name] = self.answers.get(name, 0) + 1
            keep(code, body)

        self.world.call("http", request)

    # --- runs ---------------------------------------------------------------------------------

    def _look_for_holds(self) -> None:
        """As long as there may be any: what is held goes on by itself in the end, and sooner so."""
        world = self.world
        if self.dice.random() < 0.5:
            self._change("release", self._runs("held"))
        if world.schedule.now < world.faults.end + timedelta(hours=12):
            world.schedule.after(LOOKS_FOR_HOLDS, self._look_for_holds)

    def _change(self, change: Literal["release", "redrive"], runs: list[Run]) -> None:
        """Ask it of one of the runs that it fits, now and then of one that it does not."""
        if self.dice.random() < 0.02:
            runs = self._runs("waiting", "delivering")
        if not runs:
            return
        run = self.dice.choice(runs)
        if change == "redrive":
            self.again.add(run.id)
        elif run.awaits_job:
            self.released.add(run.id)

        def keep(code: int, _body: Json) -> None:
            if code == 202 and change == "redrive":
                self.redriven.append(run.id)

        self._ask(
            change, run.id, lambda h: http_api.change_run(h, run.id, change, REASON), keep=keep
        )

    def _runs(self, *statuses: Status) -> list[Run]:
        ledger = self.world.ledger
        ended = [] if "held" in statuses else ledger.paths("done")
        paths = [path for path in (*ledger.paths(RUNS), *ended) if "/job-" not in path]
        bodies = [(path, json.loads(ledger.peek(path) or b"")) for path in paths]
        return [decode(Run, body, path) for path, body in bodies if body["status"] in statuses]

    # --- gaps and quiet cases -----------------------------------------------------------------

    def _fill(self) -> None:
        """Fill all that a hunt has not judged, or the day of its last gap."""
        records = list(self._with_gaps())
        if not records:
            return
        spec, record = self.dice.choice(records)
        incidents = self.dice.random() < 0.5
        asked: Json = {"hunt": spec.module, "workspace": record.workspace, "incidents": incidents}
        if self.dice.random() < 0.3:
            day = f"{record.gaps[-1].start:%Y-%m-%d}"
            asked |= {"from": day, "to": day}

        def keep(code: int, body: Json) -> None:
            self.filled |= dict.fromkeys(body["fills"], record.gaps) if code == 202 else {}

        body = json.dumps(asked).encode()
        self._ask("fill", body.decode(), lambda h: http_api.fill_gaps(h, body), keep=keep)

    def _with_gaps(self) -> Iterator[tuple[HuntSpec, HuntRecord]]:
        """Time lines on which something waits for a fill."""
        for spec in self.world.base.hunts:
            for workspace in self.world.scale.workspaces:
                path = hunt_path(spec.guid, workspace)
                content = self.world.ledger.peek(path)
                record = decode(HuntRecord, json.loads(content), path) if content else None
                if record and any(gap.reason in gaps.WAITING for gap in record.gaps):
                    yield spec, record

    def _unfill(self) -> None:
        if self.filled and self.dice.random() < 0.5:
            one = self.dice.choice(list(self.filled))
            self._ask("cancel", one, lambda h: http_api.change_run(h, one, "cancel", REASON))

    def _revoke(self) -> None:
        """Let a case speak again that an analyst's word keeps quiet."""
        ledger, now = self.world.ledger, self.world.schedule.now
        held = [(p, json.loads(ledger.peek(p) or b"")) for p in ledger.paths(CASES)]
        cases = [decode(Case, body, p) for p, body in held if body.get("quiet_until")]
        quiet = [case.key for case in cases if is_quiet(case, now)]
        if not quiet:
            return
        key = self.dice.choice(quiet)
        self.revoked.setdefault(key, []).append(now)
        self._ask("revoke", key, lambda h: http_api.revoke_quiet(h, key, {}, REASON))

    # --- the pause, and hunts that are disabled -----------------------------------------------

    def _pause(self) -> None:
        self._ask("pause", "", lambda h: http_api.pause(h, "pause", {}, REASON))
        self.world.schedule.after(self.dice.uniform(600, 5400), self._resume)

    def _resume(self) -> None:
        """Resume, and look again: who asked to pause may have been heard later."""
        world = self.world
        asked = json.loads(world.ledger.peek(ASKED) or b'{"kind": ""}')["kind"]
        if asked == "pause" or (world.ledger.peek(PAUSE) is not None and asked != "resume"):
            self._ask("resume", "", lambda h: http_api.pause(h, "resume", {}, REASON))
        if world.schedule.now < world.faults.end + AFTERCARE:
            world.schedule.after(900, self._resume)

    def _disable(self) -> None:
        """Two deployments: one disables a hunt, the other enables it again."""
        spec = self.dice.choice(self.world.base.hunts)
        self._set_status(spec.module, "disabled")
        self.disabled[spec.module] = self.world.schedule.now
        left = (self.world.faults.end - self.world.schedule.now).total_seconds()

        def enable() -> None:
            del self.disabled[spec.module]
            self._set_status(spec.module, spec.status)

        self.world.schedule.after(self.dice.uniform(0.2, 0.9) * left, enable)

    def _set_status(self, module: str, status: HuntStatus) -> None:
        world = self.world
        world.tell("operator", f"{module} is {status}")
        changed = [
            replace(spec, status=status) if spec.module == module else spec
            for spec in world.base.hunts
        ]
        world.base = replace(world.base, hunts=changed)
