"""Two faults in a row on the routes where a second time would be a second job, or the same rows
again: the POST of a job and what follows it, and the sending of rows.

Each pair asserts that both faults fired, that neither changed what became of the other, how often
each effect is there, and that the same deployment works on afterwards.
"""

from __future__ import annotations

import time
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from shared import bootstrap
from shared.deployment import Deployment
from tests.contract.wire_bench import ROOMY, SLACK, ends_at_once, outcome_of, settings_of, warm
from tests.contract.wire_routes import ROUTES, Scene
from tests.contract.wire_table import BOUND, DONE, EXPECTED, KINDS, PAIRS, SILENCE, Pair, pairs
from workbench.cloud import LocalCloud

pytestmark = pytest.mark.proof
ALL = list(pairs())
FIRST = ("engine.submit", "sink.send")
TRIES = 3
LANES = [[pair for pair in ALL if pair.routes[0] == first] for first in FIRST]


@dataclass(frozen=True)
class Met:
    """What a pair came to."""

    outcomes: tuple[str, ...]
    """Of both calls, and of a third that met no fault."""
    seconds: tuple[float, ...]
    fired: int
    names: tuple[str, ...]
    """Under which they are known: of jobs one each, of rows one for all."""


@dataclass(frozen=True)
class Bench:
    """A cloud, and deployments whose calls may last as long as their fault needs."""

    scene: Scene
    hurried: Deployment
    roomy: Deployment

    def run(self, some: Sequence[Pair]) -> dict[str, Met]:
        """Run pairs one after the other."""
        for route in {route for pair in some for route in pair.routes}:
            for deployment in (self.hurried, self.roomy):
                warm(self.scene, route, deployment)
        return {pair.name: self._run(pair) for pair in some}

    def effects(self, met: Met, jobs: Counter[str]) -> list[int]:
        """How often the effect of each name is there."""
        return [jobs[name] + self.scene.rows(name) for name in met.names]

    def _run(self, pair: Pair) -> Met:
        met = self._try(pair)
        for _ in range(TRIES - 1):
            if met.fired == 2:
                break
            # A busy machine's call may end unsent; what arrives late meets no other pair's fault.
            time.sleep(SILENCE)
            met = self._try(pair)
        return met

    def _try(self, pair: Pair) -> Met:
        faults, names = self.scene.cloud.faults, _names(pair)
        if "slow" in pair.kinds:
            warm(self.scene, pair.routes[0], self.hurried)
        for route, kind in pair.calls:
            faults.add(ROUTES[route].request, KINDS[kind].fault)
        calls = (*pair.calls, (pair.routes[0], ""))
        met = [self._call(*call, name) for call, name in zip(calls, names, strict=True)]
        requests = {ROUTES[route].request for route in pair.routes}
        left = [one for request in requests for one in iter(partial(faults.take, request), None)]
        outcomes, seconds = zip(*met, strict=True)
        return Met(outcomes, seconds, 2 - len(left), tuple(dict.fromkeys(names)))

    def _call(self, route: str, kind: str, name: str) -> tuple[str, float]:
        deployment = self.hurried if kind == "slow" else self.roomy
        began = time.monotonic()
        outcome = outcome_of(lambda: ROUTES[route].call(deployment, name, ""))
        return outcome, time.monotonic() - began


def _names(pair: Pair) -> tuple[str, str, str]:
    """Rows are sent again, and a job is looked for, by name; another POST is another job's."""
    first, second, third = (str(uuid.uuid4()) for _ in range(3))
    if pair.routes[0] == "sink.send":
        return first, first, first
    return first, first if pair.routes[1] == "engine.list" else second, third


@pytest.fixture(scope="module")
def results(
    local_authority: object, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Mapping[str, tuple[Met, list[int]]]]:
    """What every pair came to."""
    home = Path(tmp_path_factory.mktemp("pairs"))
    with (
        LocalCloud(home, submit=ends_at_once, creates_per_second=None) as cloud,
        pytest.MonkeyPatch.context() as environment,
    ):
        settings = settings_of(cloud)
        for name, value in settings.items():
            environment.setenv(name, value)

        def deployment(seconds: float) -> Deployment:
            return bootstrap.build({**settings, "TIDEHUNT_CALL_SECONDS": str(seconds)})

        bench = Bench(Scene(cloud, deployment(10.0)), deployment(BOUND), deployment(ROOMY))
        with ThreadPoolExecutor(len(LANES)) as pool:
            found = {name: met for lane in pool.map(bench.run, LANES) for name, met in lane.items()}
        assert cloud.faults.pending() == {}
        jobs = Counter(one.job_id for one in bench.scene.calm.engine.list())
        yield {name: (met, bench.effects(met, jobs)) for name, met in found.items()}


@pytest.mark.slow
@pytest.mark.parametrize("pair", ALL, ids=[pair.name for pair in ALL])
def test_of_two_faults_in_a_row_each_has_its_outcome(
    results: Mapping[str, tuple[Met, list[int]]], pair: Pair
) -> None:
    (met, effects), kept = results[pair.name], pair.kept
    assert met.fired == 2
    assert met.outcomes == (*pair.outcomes, DONE)
    expected = {
        "engine.list": [kept[0], 1],
        "engine.submit": [*kept, 1],
        "sink.send": [sum(kept) + 1],
    }
    assert effects == expected[pair.routes[1]]
    bounds = [BOUND if kind == "slow" else ROOMY for kind in (*pair.kinds, "")]
    assert all(took < bound + SLACK for took, bound in zip(met.seconds, bounds, strict=True))


def test_every_fault_meets_every_fault() -> None:
    """A kill is left out: it ends the caller, who makes no second call."""
    assert {routes[0] for routes in PAIRS} == set(FIRST)
    for routes, kinds in PAIRS.items():
        first, second = (
            {kind for kind, outcome in EXPECTED[route].items() if not outcome.startswith("-")}
            for route in routes
        )
        assert set(kinds) == (first & second) - {"killed"}, routes
        assert sum(pair.routes == routes for pair in ALL) == len(kinds) ** 2
