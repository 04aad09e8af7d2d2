"""What the sink refused, in the revisions that follow."""

from __future__ import annotations

from shared.errors import Rejected
from shared.records import Kept, run_path
from tests.unit.delivering import delivering, ids, poisoned, put, sent, step
from tests.unit.house import a_finding, a_run


def test_a_revision_tries_again_what_was_set_aside() -> None:
    found = [a_finding("10.0.0.1"), a_finding("10.0.0.2")]
    home = delivering(found)
    takes_all = home.deployment
    poisoned(home, ids(found)[0], Rejected("400: no"))
    assert step(home).counts.set_aside == 1
    home.clock.forward(600)
    home.deployment.records.finish(Kept(run_path(a_run()), step(home), ""), a_run().id)
    home.deployment = takes_all
    later = a_run(id=a_run().id[:-1] + "1", revision=1)
    put(home, later, found)
    run = step(home, later.id)
    assert (run.counts.sent, run.counts.unchanged) == (1, 1)
    assert sent(home) == [ids(found)[1], ids(found)[0]]
