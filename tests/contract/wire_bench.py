"""What the tests of the wire's faults share: a deployment that is warm, and what came of a call."""

from __future__ import annotations

import os
import sys
import uuid
from collections.abc import Callable
from functools import partial

from shared.deployment import Deployment
from shared.errors import Throttled, TidehuntError
from tests.contract.wire_routes import ROUTES, Scene
from tests.contract.wire_table import DONE
from workbench.cloud import WORKSPACE, LocalCloud
from workbench.emulators.spark_submit import Process, Submission

ROOMY = 5.0
"""Seconds of a call that is answered at once, also on a busy machine."""
SLACK = 1.5
WARM_TRIES = 20


def warm(scene: Scene, name: str, deployment: Deployment) -> None:
    """Let the deployment have its token and its connection: the bound is the call's alone."""
    for _ in range(WARM_TRIES):
        unseen = str(uuid.uuid4())
        given = ROUTES[name].prepare(scene, unseen)
        if outcome_of(partial(ROUTES[name].call, deployment, unseen, given)) == DONE:
            return
    raise AssertionError(f"{name} does not answer, without any fault")


def outcome_of(call: Callable[[], object]) -> str:
    """`done`, or the error as the table names it."""
    try:
        call()
    except Throttled as error:
        return f"Throttled {error.retry_after:g} s"
    except TidehuntError as error:
        return type(error).__name__
    return DONE


def idle(to: Submission) -> Process:
    """A job that nothing ends but its cancel."""
    return Process([sys.executable, "-c", "import time; time.sleep(60)"], dict(os.environ), to)


def ends_at_once(to: Submission) -> Process:
    """A job of which only its POST matters."""
    return Process([sys.executable, "-c", ""], dict(os.environ), to)


def settings_of(cloud: LocalCloud) -> dict[str, str]:
    """The app's settings over this cloud."""
    return {
        **cloud.settings(),
        "TIDEHUNT_WORKSPACES": WORKSPACE,
        "TIDEHUNT_INCIDENT_ROUTE": "arm",
        "TIDEHUNT_CODE_HASH": "0f" * 16,
    }
