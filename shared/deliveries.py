"""A run's results -> rows in the findings table -> incidents -> the read-back. One step at a time.

The cursor is saved after every accepted request and before the next, so that a crash repeats at
most one request, and a repeat carries the same FindingIds.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from shared import contract as c
from shared import delivery, health
from shared import messages as m
from shared.archive import ended_run
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
from shared.incidents import Evidence
from shared.jobs import Runs, decide_and_save
from shared.manifests import Manifest, read_manifest
from shared.model import Cursor, HuntSpec, Json, Run
from shared.runs import delivered_message

log = logging.getLogger("tidehunt.deliveries")
HOLD_AFTER = 3600.0
"""Seconds of refusal before a person is asked: a new role takes up to 30 minutes to arrive."""
COUNTS_BEFORE_RESEND = 3
DELIVERED_BYTES = 100_000_000
"""A million findings, the most that a run may deliver, are 63 MB of ids and hashes."""


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
    if run.next_at is not None and turn.now() < run.next_at:
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
    spec = turn.deployment.hunt(run.hunt)
    if spec is None:
        raise Rejected(
            f"hunt {run.hunt!r} is not there any more",
            where=run.id,
            mend="bring its pair of files back, or cancel the run",
        )
    item = Delivery(turn, runs, path, manifest, spec, Cases(turn, spec))
    if run.step != "read-back":
        item.before = _delivered_before(turn, run)
    if run.step == "sending":
        _send_parts(item)
    if item.run.step == "incidents" and turn.has_room():
        settle_incidents(item.cases, lambda: item.run, _news(item), item.decide)
    if item.run.step == "read-back" and turn.now() >= (item.run.next_at or turn.now()):
        _read_back(item)


# --- sending ----------------------------------------------------------------------------------


def _send_parts(item: Delivery) -> None:
    while item.run.cursor.part < len(item.manifest.parts):
        if item.paused or not item.turn.has_room():
            return
        _send_part(item)
    counts = item.run.counts
    found = counts.sent + counts.unchanged + counts.set_aside
    if found != counts.rows:
        raise Rejected(f"its parts hold {found} rows, its manifest says {counts.rows}")
    _write_delivered(item)
    health.announce(item.turn, delivered_message(item.run))
    # A crash here tells playbooks again, under the same id.
    item.decide(m.AllSent(item.turn.now()))


def _send_part(item: Delivery) -> None:
    """Send what is left of the current part, as far as the room goes."""
    part, reading = item.run.cursor.part, _Reading(item.turn.part(0.5))
    for rows in delivery.requests(_rows(item, part, reading)):
        if item.paused:
            return
        size, cursor = len(delivery.payload(rows)), item.run.cursor
        _reserve(item, size)
        try:
            _send(item, part, rows)
        except (Throttled, Forbidden):
            if item.run.cursor == cursor:
                _reserve(item, -size)  # surely nothing was taken
            raise
    if reading.complete and not item.paused:
        item.decide(m.RowsSent(item.turn.now(), Cursor(part + 1, 0), 0))


@dataclass
class _Reading:
    """Reading a part asks what is known of each row: it leaves half of the room for sending."""

    turn: Turn
    complete: bool = True


def _rows(item: Delivery, part: int, reading: _Reading) -> Iterator[Row]:
    """Rows still to send of a part, as far as there is room; bad lines become rows of their own."""
    for line, end in _lines(item, part, item.run.cursor.offset):
        if not reading.turn.has_room():
            reading.complete = False
            return
        try:
            yield _row(item, line, end)
        except BadRow as error:
            yield Row("", b"", end, bad=str(error))


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
    except (TooLarge, Rejected) as error:
        if len(rows) == 1:
            _set_aside(item, part, rows[0], error.what)
            item.paused = not item.turn.has_room()
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
    path, kept = _aside(item)
    kept[f"{part}:{row.end}"] = {
        "part": item.manifest.parts[part],
        "end": row.end,
        "FindingId": row.finding_id,
        "reason": reason,
    }
    item.turn.deployment.results.write(path, json.dumps(kept).encode())
    item.decide(m.RowSetAside(item.turn.now(), Cursor(part, row.end)))


def _aside(item: Delivery) -> tuple[str, Json]:
    """Where the refused rows lie, and what lies there."""
    path = f"{c.run_folder(item.run.job or '', item.run.id)}/set-aside.json"
    content = item.turn.deployment.results.read(path, DELIVERED_BYTES)
    return path, json.loads(content) if content else {}


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
    for part in range(len(item.manifest.parts)):
        for line, _ in _lines(item, part, 0):
            try:
                finding = delivery.read_finding(line, item.run)
            except BadRow:
                continue
            yield Evidence(finding, delivery.content_hash(line))


def _news(item: Delivery) -> Iterator[Evidence]:
    """Findings that no earlier revision delivered as they are: only these concern a case."""
    for found in _findings(item):
        if item.before.get(found.finding["FindingId"]) != found.content:
            yield found


def _write_delivered(item: Delivery) -> None:
    """What the next revision need not send again: a refused row is not among it."""
    aside = _aside(item)[1] if item.run.counts.set_aside else {}
    refused = {one["FindingId"] for one in aside.values()}
    found = ((one.finding["FindingId"], one.content) for one in _findings(item))
    hashes = {name: content for name, content in found if name not in refused}
    body = {"schema": 1, "run_id": item.run.id, "findings": hashes}
    path = c.delivered_path(item.run.job or "", item.run.id)
    item.turn.deployment.results.write(path, json.dumps(body).encode())


def _delivered_before(turn: Turn, run: Run) -> Json:
    """What the newest delivered revision before this one held, so that only changes are sent."""
    stem = run.id.rsplit("-r", 1)[0]
    for revision in range(run.revision - 1, -1, -1):
        earlier = ended_run(turn.deployment.records, f"{stem}-r{revision}", turn.now())
        if earlier is not None and earlier.value.status == "done":
            path = c.delivered_path(earlier.value.job or "", earlier.value.id)
            return _hashes(turn, path)
    return {}


def _hashes(turn: Turn, path: str) -> Json:
    """A delivered.json's FindingIds; none when it cannot be used: all rows are sent again then."""
    try:
        content = turn.deployment.results.read(path, DELIVERED_BYTES)
        return dict(json.loads(content)["findings"]) if content else {}
    except (ValueError, KeyError, TypeError, TooLarge) as error:
        log.warning("cannot be used: %s: %s", path, error)
        return {}


# --- read-back --------------------------------------------------------------------------------


def _read_back(item: Delivery) -> None:
    """A 204 is no proof: count what the workspace holds."""
    settings, sent = item.turn.deployment.settings, item.run.counts.sent
    found = item.turn.deployment.workspace.count_findings(item.run.id) if sent else 0
    again = item.turn.later(max(settings.readback_seconds, settings.retry_seconds))
    item.decide(m.RowsCounted(item.turn.now(), found, again, COUNTS_BEFORE_RESEND))
