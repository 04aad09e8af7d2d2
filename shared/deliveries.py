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
from shared import delivery
from shared import messages as m
from shared.cases import Cases, settle_incidents
from shared.delivery import BadRow, Row
from shared.deployment import Turn
from shared.errors import Rejected, Throttled, TooLarge, Transient
from shared.incidents import Evidence
from shared.jobs import Runs, decide_and_save
from shared.manifests import Manifest, read_manifest
from shared.model import Cursor, HuntSpec, Json, Run
from shared.records import done_path

log = logging.getLogger("tidehunt.deliveries")
HOLD_AFTER = 3600.0
"""Seconds of refusal before a person is asked: a new role takes up to 30 minutes to arrive."""
COUNTS_BEFORE_RESEND = 3
DELIVERED_BYTES = 4_000_000


@dataclass
class Delivery:
    """One run on its way, within one turn."""

    turn: Turn
    runs: Runs
    path: str
    manifest: Manifest
    spec: HuntSpec | None
    cases: Cases
    before: Json = field(default_factory=dict)
    """FindingId -> content hash of what the revision before delivered."""

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
    if run.status == "held":
        decide_and_save(turn, runs, path, m.Released(turn.now()))
        return
    try:
        _deliver(turn, runs, path)
    except Transient as error:
        wait = error.retry_after if isinstance(error, Throttled) else 60.0
        wait = max(wait, turn.deployment.settings.retry_seconds)
        decide_and_save(
            turn, runs, path, m.SinkRefused(turn.now(), str(error), turn.later(wait), HOLD_AFTER)
        )


def _deliver(turn: Turn, runs: Runs, path: str) -> None:
    run = runs[path].value
    manifest = read_manifest(turn.deployment.results, run.job or "", run.id)
    if manifest is None:
        raise Transient("the manifest cannot be read any more", where=run.id)
    spec = turn.deployment.hunt(run.hunt)
    item = Delivery(turn, runs, path, manifest, spec, Cases(turn, spec))
    if run.step == "sending":
        item.before = _delivered_before(turn, run)
        _send_parts(item)
    if item.run.step == "incidents" and turn.has_room():
        settle_incidents(item.cases, lambda: item.run, _findings(item), item.decide)
    if item.run.step == "read-back" and turn.now() >= (item.run.next_at or turn.now()):
        _read_back(item)


# --- sending ----------------------------------------------------------------------------------


def _send_parts(item: Delivery) -> None:
    while item.run.cursor.part < len(item.manifest.parts):
        if not item.turn.has_room() or not _send_part(item):
            return
    _write_delivered(item)
    item.decide(m.AllSent(item.turn.now()))


def _send_part(item: Delivery) -> bool:
    """Send the rest of the current part; False when the turn's room ran out first."""
    part = item.run.cursor.part
    for rows in delivery.requests(_rows(item, part)):
        if not _within_budget(item, len(delivery.payload(rows))):
            return False
        _send(item, part, rows)
        if not item.turn.has_room():
            return False
    item.decide(m.RowsSent(item.turn.now(), Cursor(part + 1, 0), 0))
    return True


def _rows(item: Delivery, part: int) -> Iterator[Row]:
    """Rows still to send of a part; bad lines become set-aside rows of their own."""
    for line, end in _lines(item, part, item.run.cursor.offset):
        try:
            finding = delivery.read_finding(line, item.run)
            quiet = item.cases.quiet_reason(
                item.run, Evidence(finding, delivery.content_hash(line))
            )
            content = delivery.row_of(finding, item.run, item.spec, item.turn.now(), quiet)
        except BadRow as error:
            yield Row("", b"", end, bad=str(error))
            continue
        unchanged = item.before.get(finding["FindingId"]) == delivery.content_hash(line)
        yield Row(str(finding["FindingId"]), b"" if unchanged else content, end)


def _lines(item: Delivery, part: int, offset: int) -> Iterator[tuple[bytes, int]]:
    folder = c.run_folder(item.run.job or "", item.run.id)
    path = f"{folder}/{item.manifest.parts[part]}"
    for line, end in item.turn.deployment.results.lines(path, offset, c.LINE_BYTES):
        if line.strip():
            yield line, end


def _send(item: Delivery, part: int, rows: list[Row]) -> None:
    """Send a request; what is refused is halved down to the row that is to blame."""
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
            return
        for some in delivery.halves(rows):
            _send(item, part, some)
        return
    # A crash here sends this request again, with the same FindingIds.
    event = m.RowsSent(
        item.turn.now(), Cursor(part, rows[-1].end), len(changed), len(rows) - len(changed)
    )
    item.decide(event)


def _set_aside(item: Delivery, part: int, row: Row, reason: str) -> None:
    """Keep a refused row readable with its reason before the cursor passes it."""
    path = f"{c.run_folder(item.run.job or '', item.run.id)}/set-aside.json"
    content = item.turn.deployment.results.read(path, DELIVERED_BYTES)
    kept = json.loads(content) if content else {}
    kept[f"{part}:{row.end}"] = {
        "part": item.manifest.parts[part],
        "end": row.end,
        "FindingId": row.finding_id,
        "reason": reason,
    }
    item.turn.deployment.results.write(path, json.dumps(kept).encode())
    item.decide(m.RowSetAside(item.turn.now(), Cursor(part, row.end)))


def _within_budget(item: Delivery, size: int) -> bool:
    """Reserve a request's bytes before it is sent."""
    deployment = item.turn.deployment
    kept = deployment.records.budget(c.day_key(item.turn.now()))
    if kept.value.bytes + size > deployment.settings.megabytes_a_day * 1_000_000:
        raise Throttled(
            "the day's bytes are used up (TIDEHUNT_MEGABYTES_A_DAY)",
            retry_after=3600,
            where=item.run.id,
            mend="raise it, or wait for the next UTC day",
        )
    deployment.records.save(kept, replace(kept.value, bytes=kept.value.bytes + size))
    return True


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


def _write_delivered(item: Delivery) -> None:
    hashes = {found.finding["FindingId"]: found.content for found in _findings(item)}
    body = {"schema": 1, "run_id": item.run.id, "findings": hashes}
    path = c.delivered_path(item.run.job or "", item.run.id)
    item.turn.deployment.results.write(path, json.dumps(body).encode())


def _delivered_before(turn: Turn, run: Run) -> Json:
    """What the newest delivered revision before this one sent, so that only changes are sent."""
    if run.resent:
        return {}
    stem = run.id.rsplit("-r", 1)[0]
    for revision in range(run.revision - 1, -1, -1):
        earlier = turn.deployment.records.load(Run, done_path(f"{stem}-r{revision}"))
        if earlier is not None and earlier.value.status == "done":
            path = c.delivered_path(earlier.value.job or "", earlier.value.id)
            content = turn.deployment.results.read(path, DELIVERED_BYTES)
            return dict(json.loads(content)["findings"]) if content else {}
    return {}


# --- read-back --------------------------------------------------------------------------------


def _read_back(item: Delivery) -> None:
    """A 204 is no proof: count what the workspace holds."""
    settings, sent = item.turn.deployment.settings, item.run.counts.sent
    found = item.turn.deployment.workspace.count_findings(item.run.id) if sent else 0
    again = item.turn.later(max(settings.readback_seconds, settings.retry_seconds))
    item.decide(m.RowsCounted(item.turn.now(), found, again, COUNTS_BEFORE_RESEND))
