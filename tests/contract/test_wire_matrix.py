"""Every fault of the wire on every route that the app uses: production adapters, wired as in
production, against the emulators. Each cell asserts that its fault fired, what came out of the
call within its bound, and whether the effect is there.

All cells run once, some lanes side by side, since most of their time is silence.
"""

from __future__ import annotations

import os
import signal
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from shared import bootstrap
from shared.deployment import Deployment
from tests.contract.wire_bench import ROOMY, SLACK, idle, outcome_of, settings_of, warm
from tests.contract.wire_caller import Caller, calling
from tests.contract.wire_routes import ROUTES, Scene
from tests.contract.wire_table import (
    BOUND,
    DONE,
    EXPECTED,
    FORBIDDEN,
    KILLED,
    KINDS,
    LATER,
    TWICE,
    UNKNOWN,
    Cell,
    cells,
)
from workbench.cloud import LocalCloud

pytestmark = pytest.mark.proof
CELLS = list(cells())
LANES: Sequence[tuple[str, ...]] = (
    ("ledger", "results"),
    ("exports",),
    ("engine",),
    ("incidents",),
    ("sink", "workspace", "notifier"),
)
"""Routes of a lane share names of faults, or none at all with another lane."""


@dataclass(frozen=True)
class Result:
    """What a cell came to."""

    outcome: str
    effects: int
    seconds: float
    fired: int
    """Faults that were met."""


@dataclass(frozen=True)
class Bench:
    """A cloud, and how its cells are run."""

    scene: Scene
    settings: Mapping[str, str]
    caller: Caller

    def run(self, some: Sequence[Cell]) -> dict[str, Result]:
        """Run cells one after the other."""
        hurried, roomy = self.deployment(BOUND), self.deployment(ROOMY)
        return {
            cell.name: self._run(cell, hurried if cell.kind == "slow" else roomy) for cell in some
        }

    def deployment(self, seconds: float) -> Deployment:
        """A deployment as production wires it, with its own tokens and connections."""
        return bootstrap.build({**self.settings, "TIDEHUNT_CALL_SECONDS": str(seconds)})

    def _run(self, cell: Cell, deployment: Deployment) -> Result:
        route, name = ROUTES[cell.route], str(uuid.uuid4())
        given = route.prepare(self.scene, name)
        if route.fresh:
            deployment = self.deployment(deployment.settings.call_seconds)
        else:
            warm(self.scene, cell.route, deployment)
        faults = self.scene.cloud.faults
        if cell.kind == "killed":
            began = time.monotonic()
            outcome = self._killed(cell.route, name, given)
        else:
            faults.add(route.request, *[KINDS[cell.kind].fault] * cell.times)
            began = time.monotonic()
            outcome = outcome_of(lambda: route.call(deployment, name, given))
        seconds = time.monotonic() - began
        fired = cell.times - len(list(iter(lambda: faults.take(route.request), None)))
        return Result(outcome, route.effects(self.scene, name, given), seconds, fired)

    def _killed(self, route: str, name: str, given: str) -> str:
        def before(pid: int) -> None:
            kill = replace(KINDS[KILLED].fault, also=lambda: os.kill(pid, signal.SIGKILL))
            self.scene.cloud.faults.add(ROUTES[route].request, kill)

        ended = self.caller.call(route, name, given, before)
        return KILLED if ended == -signal.SIGKILL else f"ended with {ended}"


@pytest.fixture(scope="module")
def results(
    local_authority: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, Result]]:
    """Every cell's result. The tokens' first: another lane's call would ask for one too."""
    home = Path(tmp_path_factory.mktemp("wire"))
    with (
        LocalCloud(home, submit=idle, creates_per_second=None) as cloud,
        pytest.MonkeyPatch.context() as environment,
    ):
        settings = settings_of(cloud)
        for name, value in settings.items():
            environment.setenv(name, value)
        scene = Scene(cloud, bootstrap.build({**settings, "TIDEHUNT_CALL_SECONDS": "10"}))
        with calling({**os.environ, "TIDEHUNT_CALL_SECONDS": str(ROOMY)}) as caller:
            bench = Bench(scene, settings, caller)
            found = bench.run([cell for cell in CELLS if ROUTES[cell.route].fresh])
            with ThreadPoolExecutor(len(LANES)) as pool:
                for one in pool.map(bench.run, _lanes()):
                    found |= one
        assert cloud.faults.pending() == {}
        yield found


def _lanes() -> list[list[Cell]]:
    return [[cell for cell in CELLS if cell.route.split(".")[0] in lane] for lane in LANES]


@pytest.mark.slow
@pytest.mark.parametrize("cell", CELLS, ids=[cell.name for cell in CELLS])
def test_a_fault_on_a_route_has_the_outcome_of_the_table(
    results: Mapping[str, Result], cell: Cell
) -> None:
    result, kind = results[cell.name], KINDS[cell.kind]
    acts = EXPECTED[cell.route][KILLED] == KILLED
    kept = acts and (kind.kept or cell.outcome == DONE)
    # On a busy machine the time of a call may end before its second request is sent.
    assert result.fired == cell.times or (cell.kind == "slow" and result.fired == 1)
    assert result.effects == int(kept)
    assert result.outcome in _outcomes(cell)
    if cell.kind != KILLED:
        assert result.seconds < (BOUND if cell.kind == "slow" else ROOMY) + SLACK


def _outcomes(cell: Cell) -> tuple[str, ...]:
    """What may come out: on a busy machine the second request of a second may be slow as well."""
    if cell.kind == "slow" and cell.route in TWICE:
        return (cell.outcome, LATER, UNKNOWN, FORBIDDEN)
    return (cell.outcome,)


def test_every_route_meets_every_fault_or_the_table_says_why_not() -> None:
    assert set(EXPECTED) == set(ROUTES)
    for route, row in EXPECTED.items():
        assert set(row) == set(KINDS), route
    assert set(TWICE) == {name for name, row in EXPECTED.items() if row["unheard"] == DONE}
