"""Every event that `runs.decide` knows (past tense) and every command it gives (imperative)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from shared.model import Cursor, Json


@dataclass(frozen=True)
class Event:
    """Something that happened at a UTC moment; `at` is the only clock that `decide` sees."""

    at: datetime


# --- to a run ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assigned(Event):
    """A job was planned that carries the run."""

    job: str


@dataclass(frozen=True)
class ManifestLanded(Event):
    """The run's results are complete."""

    rows: int
    withheld: int
    code_hash: str
    coverage: Json = field(default_factory=dict)


@dataclass(frozen=True)
class HuntFailed(Event):
    """The job says that this hunt raised; the same plan would raise again."""

    error: str


@dataclass(frozen=True)
class JobGone(Event):
    """The run's job ended or was lost without a manifest for it."""

    reason: str
    retry_at: datetime
    attempts: int
    """How many jobs a run may use up."""
    used: bool = True
    """False when the engine never started the job, or lost it by its own fault."""


@dataclass(frozen=True)
class JobRefused(Event):
    """The engine would never start the job as it is configured."""

    reason: str
    retry_at: datetime


@dataclass(frozen=True)
class JobStands(Event):
    """The run's job should be over for long, and the engine does not say that it is."""

    reason: str


@dataclass(frozen=True)
class JobOver(Event):
    """The job that a held run names is over after all."""


@dataclass(frozen=True)
class RowsSent(Event):
    """The sink accepted a request; `cursor` is what to send next."""

    cursor: Cursor
    rows: int
    unchanged: int = 0


@dataclass(frozen=True)
class RowSetAside(Event):
    """The sink refuses one row whatever we do; it was put beside the manifest with its reason."""

    cursor: Cursor
    refusal: str = ""
    """What the sink said; empty when the row never reached it, so that it says nothing about it."""


@dataclass(frozen=True)
class RowsDoubted(Event):
    """So many rows were refused one after another that the sink is to blame, not they."""

    retry_at: datetime


@dataclass(frozen=True)
class AllSent(Event):
    """Every row of every part is sent, unchanged or set aside."""


@dataclass(frozen=True)
class CaseSettled(Event):
    """One case of the run, in order of score, has its incident or a reason for none."""

    opened: int = 0
    updated: int = 0
    quiet: int = 0


@dataclass(frozen=True)
class IncidentsSettled(Event):
    """Every case of the run is settled."""

    read_back_at: datetime


@dataclass(frozen=True)
class RowsCounted(Event):
    """The workspace was asked how many of the run's findings it holds."""

    found: int
    again_at: datetime
    tries: int
    """How often it is counted before the rows are sent again."""


@dataclass(frozen=True)
class SinkRefused(Event):
    """A sink or store is not available for this run; try again at `retry_at`."""

    reason: str
    retry_at: datetime
    hold_after: float
    """Seconds of refusal after which the run is held."""


@dataclass(frozen=True)
class Released(Event):
    """What the run was held for has passed, or a person said so."""


@dataclass(frozen=True)
class CancelAsked(Event):
    """A person wants the run, or the loop wants the job, to stop."""

    reason: str


# --- to a job ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class PlanWritten(Event):
    """plan.json is in the lake and the spend is reserved: the one POST may go out.

    `cores` are those that the plan is worth, of those that are reserved.
    """

    cores: int


@dataclass(frozen=True)
class Submitted(Event):
    """The engine answered with its id."""

    engine_id: str


@dataclass(frozen=True)
class SubmitUnanswered(Event):
    """The answer was lost, or the process was: the job may or may not exist."""

    look_at: datetime


@dataclass(frozen=True)
class SubmitRefused(Event):
    """The engine surely did not start the job; `never`: nor will it, as the job is configured."""

    reason: str
    never: bool = False
    retry_at: datetime | None = None
    """Before then the engine wants to hear nothing more."""


@dataclass(frozen=True)
class NotListed(Event):
    """The engine's list does not carry the job's name."""

    look_at: datetime


@dataclass(frozen=True)
class SeenQueued(Event):
    """The engine has the job in its queue."""


@dataclass(frozen=True)
class SeenRunning(Event):
    """The engine runs the job."""


@dataclass(frozen=True)
class SeenEnded(Event):
    """The engine says that the job has ended."""

    outcome: str
    reason: str
    settle_at: datetime
    """Until when manifests may still appear."""


@dataclass(frozen=True)
class Forgotten(Event):
    """The engine answers 404 for the job."""

    settle_at: datetime


@dataclass(frozen=True)
class GivenUp(Event):
    """Nobody waits for the job any more, though the engine does not say that it is over."""

    reason: str
    settle_at: datetime


# --- commands ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Submit:
    """Send the one POST of this job."""

    job: str


@dataclass(frozen=True)
class Cancel:
    """Ask the engine to stop the job."""

    engine_id: str


# --- to playbooks -----------------------------------------------------------------------------


@dataclass(frozen=True)
class Announce:
    """What playbooks are told, under an event id that a repeat shares."""

    event_id: str
    kind: str
    subject: str
    data: Json


Command = Submit | Cancel
