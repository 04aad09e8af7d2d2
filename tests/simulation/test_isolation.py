"""What becomes of B is the same with and without a poisoned A, be it a hunt or a workspace.

The worlds are calm: that faults change nothing is what the other seeds show.
"""

from __future__ import annotations

import pytest

from shared.model import Json
from tests.simulation.isolation import HUNT, POISONS, rest
from tests.unit.house import OTHER

pytestmark = pytest.mark.proof

SEED = 34
"""Two hunts in two workspaces, one of each sick."""


@pytest.fixture(scope="module")
def well() -> dict[str, Json]:
    names = (HUNT, OTHER, "nobody")
    return dict(zip(names, rest(SEED, None, HUNT, OTHER), strict=True))


@pytest.mark.parametrize("what", POISONS)
def test_the_poison_works_and_the_others_come_to_the_same_rest(
    well: dict[str, Json], what: str
) -> None:
    sick, poison = POISONS[what]
    others, whole = rest(SEED, poison, sick)
    assert others == well[sick]
    assert whole != well["nobody"]


@pytest.mark.parametrize("sick", [HUNT, OTHER])
def test_there_is_something_to_compare(well: dict[str, Json], sick: str) -> None:
    assert len(well[sick]["told"]) > 5 and len(well[sick]["cases"]) > 2
    assert all(line["slots"] for line in well[sick]["lines"].values())
