"""What the app makes of each fault on each route of the wire: the table that its tests assert.

    python -m tests.contract.wire_table     writes it into docs/faults.md (`make docs`)

A cell is an outcome: "done", an error of shared/errors.py, or why there is no such cell.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from workbench import docs
from workbench.docs_hunts import table
from workbench.emulators.faults import Fault

BOUND = 1.0
"""Seconds of a call that meets silence."""
SILENCE = 4.0
PAGE = docs.ROOT / "docs" / "faults.md"


@dataclass(frozen=True)
class Kind:
    """A fault as it is told, and whether the effect of a request that meets it is kept."""

    words: str
    fault: Fault
    kept: bool
    repeated: bool = False
    """True for what storage is asked again after: its second request may meet it too."""


KINDS: Mapping[str, Kind] = {
    "unheard": Kind("the request is lost", Fault("unheard"), False, True),
    "lost": Kind("the answer is lost", Fault("lost"), True, True),
    "reset": Kind("reset in the answer's body", Fault("reset"), True, True),
    "slow": Kind("slower than the bound", Fault("slow", seconds=SILENCE), True, True),
    "429 after 7": Kind("429, Retry-After: 7", Fault("before", 429, retry_after=7), False),
    "429": Kind("429", Fault("before", 429), False),
    "500": Kind("500, though done", Fault("after", 500), True, True),
    "503": Kind("503, nothing done", Fault("before", 503), False, True),
    "412": Kind("412 to our own write", Fault("after", 412, code="ConditionNotMet"), True),
    "killed": Kind("the caller is killed", Fault("lost"), True),
}

DONE, LATER, UNKNOWN, CONFLICT, KILLED = "done", "Transient", "OutcomeUnknown", "Conflict", "killed"
FORBIDDEN = "Forbidden"
NO_CONDITION = "- no condition is sent"
NO_EFFECT = "- nothing to keep"
NO_BODY = "- its answer has no body"
_PATIENT = {"429 after 7": "Throttled 7 s", "429": "Throttled 60 s"}
_AGAIN = [name for name, kind in KINDS.items() if kind.repeated]


def _row(again: str, *, stale: str, killed: str = KILLED, **other: str) -> Mapping[str, str]:
    """A row: what becomes of the faults after which storage asks again, of 412 and of a kill."""
    return {**dict.fromkeys(_AGAIN, again), **_PATIENT, "412": stale, "killed": killed, **other}


_READ = _row(LATER, stale=NO_CONDITION, killed=NO_EFFECT)
_READ_AGAIN = _row(DONE, stale=NO_CONDITION, killed=NO_EFFECT)
_ACT = _row(UNKNOWN, stale=NO_CONDITION)
_DOCUMENT = _row(DONE, stale=DONE)

EXPECTED: Mapping[str, Mapping[str, str]] = {
    "ledger.read": _READ_AGAIN,
    "ledger.list": _READ_AGAIN,
    "ledger.create": _DOCUMENT,
    "ledger.replace": _DOCUMENT,
    "ledger.put": _row(DONE, stale=NO_CONDITION),
    "ledger.delete": _row(DONE, stale=CONFLICT),
    "ledger.read_bytes": _READ_AGAIN,
    "ledger.write_bytes": _DOCUMENT,
    "exports.tables": _READ_AGAIN,
    "exports.blobs": _READ_AGAIN,
    "results.read": _READ_AGAIN,
    "results.lines": _READ_AGAIN,
    "results.paths": _READ_AGAIN,
    "results.write": _row(DONE, stale=NO_CONDITION),
    "engine.submit": _ACT,
    "engine.get": _READ,
    "engine.list": _READ,
    "engine.cancel": _ACT,
    "sink.send": _row(UNKNOWN, stale=NO_CONDITION, reset=NO_BODY),
    "workspace.count": _READ,
    "workspace.sample": _READ,
    "incidents.get": _READ,
    "incidents.create": _row(UNKNOWN, stale=CONFLICT),
    "incidents.replace": _row(UNKNOWN, stale=CONFLICT),
    "incidents.comment": _row(UNKNOWN, stale=DONE),
    "notifier.publish": _ACT,
    "identity.token": {
        **_row(DONE, stale=NO_CONDITION, killed=NO_EFFECT),
        **dict.fromkeys(("reset", "429 after 7", "429", "500", "503"), FORBIDDEN),
    },
}
"""Route -> kind -> outcome, when one request of the call meets the fault."""

_DOWNLOAD = {**dict.fromkeys(_AGAIN, LATER), "reset": DONE}
"""The client goes on with a body where it broke off, as long as the call's time lasts."""
_OWN_NONCE = {**dict.fromkeys(_AGAIN, DONE), "unheard": UNKNOWN, "503": UNKNOWN}
TWICE: Mapping[str, Mapping[str, str]] = {
    **{name: dict.fromkeys(_AGAIN, LATER) for name, row in EXPECTED.items() if row is _READ_AGAIN},
    **dict.fromkeys(
        ("ledger.read", "ledger.read_bytes", "results.read", "results.lines"), _DOWNLOAD
    ),
    **dict.fromkeys(
        ("ledger.create", "ledger.replace", "ledger.put", "ledger.write_bytes"), _OWN_NONCE
    ),
    **dict.fromkeys(("ledger.delete", "results.write"), dict.fromkeys(_AGAIN, UNKNOWN)),
    "identity.token": {
        **dict.fromkeys(_AGAIN, FORBIDDEN),
        **dict.fromkeys(("reset", "500", "503"), "- asked once"),
    },
}
"""The same, when both requests of a call to storage meet it."""

_PAIRED = ("unheard", "lost", "slow", "429 after 7", "429", "500", "503")
PAIRS: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("engine.submit", "engine.list"): (*_PAIRED, "reset"),
    ("engine.submit", "engine.submit"): (*_PAIRED, "reset"),
    ("sink.send", "sink.send"): _PAIRED,
}
"""Two calls in a row, as the app makes them -> the kinds that the first and the second meet.

A job is looked for after its POST, the next job has another id, the same rows are sent again."""

THEN: Mapping[str, str] = {
    "ledger.*, results.*": "the turn goes on with what else is due; the next turn reads and writes "
    "it again. `OutcomeUnknown`: the next turn reads which version is there. `Conflict`: somebody "
    "else was first, the next turn reads what they wrote",
    "exports.*": "that table's day is listed by the next turn; its marks stay until then",
    "engine.submit": "`OutcomeUnknown`: the job waits, is looked for by its name in two lists, and "
    "is adopted or lost; it is never posted again. `Throttled`: its runs wait for another job",
    "engine.get, engine.list, engine.cancel": "the job is asked again by the next turn; a cancel "
    "is seen through to a final state",
    "sink.send": "the run remembers when to go on and sends the same rows with the same FindingIds "
    "again: a row may come twice, never under two ids",
    "workspace.count": "the rows are counted again later; nothing is sent because of it",
    "workspace.sample": "`tidehunt doctor` says what it could not ask",
    "incidents.*": "the case is read and judged again: the id of an incident and of a comment is "
    "ours, so that a second time changes nothing. `Conflict`: an analyst or we ourselves wrote "
    "since, what they wrote is read first",
    "notifier.publish": "it is logged; the run's document tells the same",
    "identity.token": "no call that needs the token is sent; a token lives for a day and is "
    "renewed at half its life",
}


@dataclass(frozen=True)
class Cell:
    """One fault, met by one or both requests of a call of a route."""

    route: str
    kind: str
    times: int
    outcome: str

    @property
    def name(self) -> str:
        """For test ids."""
        return f"{self.route}-{self.kind}{'-twice' if self.times > 1 else ''}"


def cells() -> Iterator[Cell]:
    """Every cell that there is."""
    for times, rows in ((1, EXPECTED), (2, TWICE)):
        for route, row in rows.items():
            for kind, outcome in row.items():
                if not outcome.startswith("-"):
                    yield Cell(route, kind, times, outcome)


@dataclass(frozen=True)
class Pair:
    """Two calls in a row, each meeting a fault."""

    routes: tuple[str, str]
    kinds: tuple[str, str]

    @property
    def name(self) -> str:
        """For test ids."""
        return "-".join(part for call in self.calls for part in call)

    @property
    def outcomes(self) -> tuple[str, str]:
        """What each call comes to: what it comes to alone."""
        first, second = (EXPECTED[route][kind] for route, kind in self.calls)
        return first, second

    @property
    def kept(self) -> tuple[int, int]:
        """How often the effect of each call is there."""
        first, second = (
            int(EXPECTED[route][KILLED] == KILLED and KINDS[kind].kept)
            for route, kind in self.calls
        )
        return first, second

    @property
    def calls(self) -> tuple[tuple[str, str], ...]:
        """Route and kind of each."""
        return tuple(zip(self.routes, self.kinds, strict=True))


def pairs() -> Iterator[Pair]:
    """Every pair that there is."""
    for routes, kinds in PAIRS.items():
        yield from (Pair(routes, (first, second)) for first in kinds for second in kinds)


# --- the page ---------------------------------------------------------------------------------


def parts() -> Mapping[str, str]:
    """The generated parts of docs/faults.md."""
    head = ("call", *(kind.words for kind in KINDS.values()))
    once = [_line(route, row, KINDS) for route, row in EXPECTED.items()]
    twice = [_line(route, row, _AGAIN) for route, row in TWICE.items()]
    return {
        "once": table(head, once),
        "twice": table(("call", *(KINDS[name].words for name in _AGAIN)), twice),
        "pairs": table(("calls", "first fault", *_second()), list(_pair_lines())),
        "then": table(("call", "then"), [(f"`{name}`", then) for name, then in THEN.items()]),
    }


def _line(route: str, row: Mapping[str, str], kinds: Mapping[str, Kind] | list[str]) -> list[str]:
    return [f"`{route}`", *(_told(route, name, row[name]) for name in kinds)]


def _second() -> list[str]:
    return [f"then {KINDS[name].words}" for name in (*_PAIRED, "reset")]


def _pair_lines() -> Iterator[list[str]]:
    """How often the effect is there after both calls; it is what a call without a fault adds to."""
    for routes, kinds in PAIRS.items():
        for first in kinds:
            row = [sum(Pair(routes, (first, second)).kept) for second in kinds]
            cells = [*map(str, row), *["*its answer has no body*"] * (len(_PAIRED) + 1 - len(row))]
            yield [", ".join(f"`{route}`" for route in routes), KINDS[first].words, *cells]


def _told(route: str, kind: str, outcome: str) -> str:
    """A cell in words; for a call with an effect also whether there was one."""
    if outcome.startswith("-"):
        return f"*{outcome.removeprefix('- ')}*"
    acts = EXPECTED[route]["killed"] == KILLED
    if not acts or outcome == DONE:
        return outcome if outcome in (DONE, KILLED) else f"`{outcome}`"
    effect = "kept" if KINDS[kind].kept else "not there"
    return f"{outcome if outcome == KILLED else f'`{outcome}`'}, {effect}"


def page() -> str:
    """The whole page as it should be."""
    return docs.filled(PAGE, parts())


def main(write: Callable[[str], object] = lambda text: PAGE.write_text(text, "utf-8")) -> int:
    """Write the page."""
    write(page())
    return 0


if __name__ == "__main__":
    sys.exit(main())
