"""A run's results -> rows in the findings table -> incidents -> the read-back. One step at a time.

The cursor is saved after every accepted request and before the next, so that a crash repeats at
most one request, and a repeat carries the same FindingIds.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from shared import contract as c
from shared import delivered, delivery, health, refusals, set_aside
from shared import messages as m
from shared.cases import Cases, settle_incidents
from shared.classes import within_cap
from shared.delivery import BadRow, Row
from shared.deployment import Turn
from shared.errors import (
    Conflict,
    Forbidden,
    Rejected,
    Throttled,
    TidehuntError,
    TooLarge,
    Transient,
)
from shared.health_rows import delivered_message
from shared.incidents import Evidence
from shared.jobs import Runs, decide_and_save
from shared.manifests import Manifest, read_manifest
from shared.model import Cursor, HuntSpec, Json, Run
from shared.set_aside import SetAside

log = logging.getLogger("tidehunt.deliveries")
HOLD_AFTER = 3600.0
"""Seconds of refusal before a person is asked: a new role takes up to 30 minutes to arrive."""
COUNTS_BEFORE_RESEND = 3


@dataclass
class Delivery:
    """One run on its way, within one turn."""

    turn: Turn
    runs: Runs
    path: str
    manifest: Manifest
    spec: HuntSpec
    cases: Cases
    before: Json = field(default_factory=dict)
    """FindingId -> content hash of what the revision before delivered."""
    paused: bool = False
    """The turn's room ran out: nothing more is sent in it, since rows are sent in order."""
    accepted: int = 0
    """Requests that the sink has taken in this turn."""
    aside: SetAside | None = None
    """What was refused of the current part."""

    @property
    def run(self) -> Run:
        """The run as it was saved last."""
        return self.runs[self.path].value

    def decide(self, event: m.Event) -> None:
        """Let the run decide and save it."""
        decide_and_save(self.turn, self.runs, self.path, event)


def step_run(turn: Turn, runs: Runs, path: str) -> None:
    """Bring a delivering run as far as the turn's room allows."""
    run = runs[path].value
    if not turn.has_come(run.next_at):
        return
    if run.awaits_job:
        return
    if run.status == "held":
        run = decide_and_save(turn, runs, path, m.Released(turn.now())).value
    if run.status != "delivering":
        return
    try:
        _deliver(turn, runs, path)
    except Conflict:
        raise
    except Exception as error:
        decide_and_save(turn, runs, path, _refused(turn, path, error))


def _refused(turn: Turn, path: str, error: Exception) -> m.SinkRefused:
    """Later, what may pass; a person is told at once of what cannot, which is tried hourly."""
    if isinstance(error, Transient):
        wait = error.retry_after if isinstance(error, Throttled) else 60.0
        wait = max(wait, turn.deployment.settings.retry_seconds)
        return m.SinkRefused(turn.now(), str(error), turn.later(wait), HOLD_AFTER)
    if not isinstance(error, TidehuntError):
        log.error("%s: unexpected", path, exc_info=error)
        reason = f"unexpected {type(error).__name__}, see the log"
        return m.SinkRefused(turn.now(), reason, turn.later(HOLD_AFTER), 0.0)
    return m.SinkRefused(turn.now(), str(error), turn.later(HOLD_AFTER), 0.0)


def _deliver(turn: Turn, runs: Runs, path: str) -> None:
    run = runs[path].value
    manifest = read_manifest(turn.deployment.results, run.job or "", run.id)
    if manifest is None:
        raise Transient("the manifest cannot be read any more", where=run.id)
    if manifest.rows != run.counts.rows:
        raise Rejected(f"its manifest says {manifest.rows} rows, it said {run.counts.rows}")
    spec = turn.deployment.hunt(run.hunt)
    if spec is None:
        raise Rejected(
            f"hunt {run.hunt!r} is not there any more",
            where=run.id,
            mend="bring its pair of files back, or cancel the run",
        )
    item = Delivery(turn, runs, path, manifest, spec, Cases(turn, spec))
    if run.step != "read-back":
        item.before = delivered.before(turn, run)
    if run.step == "sending":
        _send_parts(item)
    if item.run.step == "incidents" and turn.has_room():
        settle_incidents(item.cases, lambda: item.run, _news(item), item.decide)
    if item.run.step == "read-back" and turn.has_come(item.run.next_at):
        _read_back(item)


# --- sending ----------------------------------------------------------------------------------


def _send_parts(item: Delivery) -> None:
    while item.run.cursor.part < len(item.manifest.parts):
        if item.paused or not item.turn.has_room():
            return
        _send_part(item)
    if refusals.is_the_sink(item.run, ended=True):
        _doubt(item)
        return
    counts = item.run.counts
    _expect_rows(item, counts.sent + counts.unchanged + counts.set_aside)
    _write_delivered(item)
    health.announce(item.turn, delivered_message(item.run))
    # A crash here tells playbooks again, under the same id.
    item.decide(m.AllSent(item.turn.now()))


def _expect_rows(item: Delivery, held: int) -> None:
    """Rejected when the parts hold other rows than when the results landed."""
    rows = item.run.counts.rows
    if held != rows:
        raise Rejected(
            f"its parts hold {held} rows, its manifest says {rows}",
            mend="look into the run's folder; abandon the run and ask for it again",
        )


def _send_part(item: Delivery) -> None:
    """Send what is left of the current part, as far as the room goes."""
    part, reading = item.run.cursor.part, _Reading(item.turn.part(0.5))
    item.aside = _open_aside(item, part, item.run.cursor.offset)
    for rows in delivery.requests(_rows(item, part, reading)):
        if item.paused:
            return
        size, accepted = len(delivery.payload(rows)), item.accepted
        _reserve(item, size)
        try:
            _send(item, part, rows)
        except (Throttled, Forbidden):
            # It may be the ledger that throttles, after the sink has taken the rows.
            if item.accepted == accepted:
                _reserve(item, -size)
            raise
    if reading.broken is not None and not item.paused:
        raise reading.broken
    if reading.complete and not item.paused:
        item.aside.settle()
        item.decide(m.RowsSent(item.turn.now(), Cursor(part + 1, 0), 0))


@dataclass
class _Reading:
    """Reading a part asks what is known of each row: it leaves half of the room for sending."""

    turn: Turn
    complete: bool = True
    broken: TooLarge | None = None
    """A line without an end: what stands before it is sent all the same."""


def _rows(item: Delivery, part: int, reading: _Reading) -> Iterator[Row]:
    """Rows still to send of a part, as far as there is room; bad lines become rows of their own."""
    try:
        for line, end in _lines(item, part, item.run.cursor.offset):
            if not reading.turn.has_room():
                reading.complete = False
                return
            yield _row_or_bad(item, line, end)
    except TooLarge as error:
        reading.broken = error


def _row_or_bad(item: Delivery, line: bytes, end: int) -> Row:
    try:
        return _row(item, line, end)
    except BadRow as error:
        return Row("", b"", end, bad=str(error))


def _row(item: Delivery, line: bytes, end: int) -> Row:
    finding, content = delivery.read_finding(line, item.run), delivery.content_hash(line)
    name = str(finding["FindingId"])
    if not item.run.resent and item.before.get(name) == content:
        return Row(name, b"", end)
    quiet = item.cases.quiet_reason(item.run, Evidence(finding, content))
    return Row(name, delivery.row_of(finding, item.run, item.spec, item.turn.now(), quiet), end)


def _lines(item: Delivery, part: int, offset: int) -> Iterator[tuple[bytes, int]]:
    folder = c.run_folder(item.run.job or "", item.run.id)
    path = f"{folder}/{item.manifest.parts[part]}"
    for line, end in item.turn.deployment.results.lines(path, offset, c.LINE_BYTES):
        if line.strip():
            yield line, end


def _send(item: Delivery, part: int, rows: list[Row]) -> None:
    """Send a request; what is refused is halved down to the row that is to blame."""
    if item.paused:
        return
    changed = [row for row in rows if row.content]
    bad = next((row.bad for row in rows if row.bad), "")
    try:
        if bad:
            raise Rejected(bad)
        if changed:
            item.turn.deployment.sink.send(delivery.payload(changed))
            item.accepted += 1
    except (TooLarge, Rejected) as error:
        if len(rows) == 1:
            _set_aside(item, part, rows[0], error.what)
            item.paused = item.paused or not item.turn.has_room()
            return
        for some in delivery.halves(rows):
            _send(item, part, some)
        return
    # A crash here sends this request again, with the same FindingIds.
    event = m.RowsSent(
        item.turn.now(), Cursor(part, rows[-1].end), len(changed), len(rows) - len(changed)
    )
    item.decide(event)
    item.paused = not item.turn.has_room()


def _set_aside(item: Delivery, part: int, row: Row, reason: str) -> None:
    """Keep a refused row readable with its reason before the cursor passes it."""
    aside = item.aside or _open_aside(item, part, item.run.cursor.offset)
    aside.add(row.end, row.finding_id, reason)
    refusal = "" if row.bad else reason
    item.decide(m.RowSetAside(item.turn.now(), Cursor(part, row.end), refusal))
    if refusals.is_the_sink(item.run):
        _doubt(item)


def _doubt(item: Delivery) -> None:
    """Hold the run: what was refused one after another is not set aside after all."""
    item.paused, last = True, item.run.cursor.part
    item.decide(m.RowsDoubted(item.turn.now(), item.turn.later(HOLD_AFTER)))
    # A crash here leaves them in the files until the cursor passes there again.
    first = item.run.cursor
    for part in range(first.part, min(last + 1, len(item.manifest.parts))):
        _open_aside(item, part, first.offset if part == first.part else 0).settle()


def _open_aside(item: Delivery, part: int, offset: int) -> SetAside:
    folder = c.run_folder(item.run.job or "", item.run.id)
    results = item.turn.deployment.results
    return set_aside.open_part(results, folder, item.manifest.parts[part], offset)


def _reserve(item: Delivery, size: int) -> None:
    """Reserve a request's bytes before it is sent. Throttled when the day's are used up."""
    deployment = item.turn.deployment
    kept = deployment.records.budget(c.day_key(item.turn.now()))
    cap = deployment.settings.megabytes_a_day * 1_000_000
    if not within_cap(item.run, kept.value.bytes + size, cap):
        raise Throttled(
            "the day's bytes are used up (TIDEHUNT_MEGABYTES_A_DAY)",
            retry_after=3600,
            where=item.run.id,
            mend="raise it, or wait for the next UTC day",
        )
    deployment.records.save(kept, replace(kept.value, bytes=max(0, kept.value.bytes + size)))


# --- what was delivered -----------------------------------------------------------------------


def _findings(item: Delivery) -> Iterator[Evidence]:
    """The run's usable findings, best first."""
    held = 0
    for part in range(len(item.manifest.parts)):
        for line, _ in _lines(item, part, 0):
            held += 1
            try:
                finding = delivery.read_finding(line, item.run)
            except BadRow:
                continue
            yield Evidence(finding, delivery.content_hash(line))
    _expect_rows(item, held)


def _news(item: Delivery) -> Iterator[Evidence]:
    """Findings that no earlier revision delivered as they are: only these concern a case."""
    for found in _findings(item):
        if item.before.get(found.finding["FindingId"]) != found.content:
            yield found


def _write_delivered(item: Delivery) -> None:
    """What the next revision need not send again: a refused row is not among it."""
    refused = _refused_ids(item) if item.run.counts.set_aside else set()
    found = ((one.finding["FindingId"], one.content) for one in _findings(item))
    hashes = {name: content for name, content in found if name not in refused}
    delivered.write(item.turn, item.run, hashes)


def _refused_ids(item: Delivery) -> set[str]:
    folder = c.run_folder(item.run.job or "", item.run.id)
    return set_aside.finding_ids(item.turn.deployment.results, folder, item.manifest.parts)


# --- read-back --------------------------------------------------------------------------------


def _read_back(item: Delivery) -> None:
    """A 204 is no proof: count what the workspace holds."""
    settings, sent = item.turn.deployment.settings, item.run.counts.sent
    found = item.turn.deployment.workspace.count_findings(item.run.id) if sent else 0
    again = item.turn.later(max(settings.readback_seconds, settings.retry_seconds))
    item.decide(m.RowsCounted(item.turn.now(), found, again, COUNTS_BEFORE_RESEND))
