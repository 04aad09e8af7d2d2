"""A seeded demo tenant in the layout of Log Analytics data export, and its answer key.

The lake holds what an exporter would have written, nothing else; what is planted in it is in
the answer key, which is written beside the lake and never inside. Nothing here knows a hunt.

    <folder>/am-commonsecuritylog/WorkspaceResourceId=/subscriptions/.../y=/m=/d=/h=/m=/PT05M.json
    <folder>/am-devicenetworkevents/...                     the same, for a few workstations
    <folder>/../answer_key.json
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import chain
from pathlib import Path
from typing import Any

from workbench.samples import endpoint
from workbench.samples import rows as firewall
from workbench.samples.clocks import HEARTBEATS, LONE_CLOCKS, Heartbeat, heartbeats, lone_clocks
from workbench.samples.dialects import Clock, Record
from workbench.samples.implants import Implant, beacons, plant
from workbench.samples.noise import (
    DESKTOP_PORT,
    INTERIM_SECONDS,
    announcements,
    long_sessions,
    retries,
    scans,
    server_chatter,
    visitors,
)
from workbench.samples.tenant import GATEWAY, WORKSPACE, make_tenant
from workbench.samples.traffic import Flow, Rng, Week, browsing, updates

ANSWER_KEY = "answer_key.json"
_FILE_SECONDS = 300


@dataclass(frozen=True)
class AnswerKey:
    """What is planted in a demo. JSON all the way down; `days` are ISO dates, oldest first.

    `implants`: name, SrcIpAddr, DstIpAddr, DstHostname (None where no log tells it),
    DstPortNumber, interval_s, jitter (a fraction), story. `benign`: name, DstIpAddrs,
    DstPortNumber, interval_s, hosts (source addresses), story. `allow_list`: destination, port,
    owner, reason, expires (ISO date). `hosts`: every internal address and its name.
    """

    workspace: str
    seed: int
    days: list[str]
    implants: list[dict[str, Any]]
    benign: list[dict[str, Any]]
    allow_list: list[dict[str, Any]]
    rows: dict[str, int]
    bytes: int
    hosts: dict[str, str]

    def write(self, path: Path) -> None:
        """Write the key as a JSON file."""
        path.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")

    @classmethod
    def read(cls, path: Path) -> AnswerKey:
        """The key that `write` wrote. Raises OSError, ValueError or TypeError if it is none."""
        return cls(**json.loads(path.read_text(encoding="utf-8")))


@dataclass(frozen=True)
class _Blob:
    table: str
    number: int
    """Which five minutes, counted from the start of the first day."""
    lines: list[bytes]


def make_demo(
    folder: Path, *, seed: int = 7, last_day: date, days: int = 7, key_path: Path | None = None
) -> AnswerKey:
    """Write a demo of `days` days that ends with `last_day` (UTC) into `folder`.

    The same arguments write the same bytes. The answer key goes to `key_path`, by default
    beside the folder. Raises OSError when a file cannot be written, ValueError when `days` is
    below 1 or the key would lie inside the folder.
    """
    place = (key_path or folder.parent / ANSWER_KEY).resolve()
    if days < 1 or place.is_relative_to(folder.resolve()):
        raise ValueError("a demo has a day at least, and its answer key lies outside of its lake")
    week = Week(make_tenant(seed), seed, last_day - timedelta(days=days - 1), days)
    implants, beats = plant(week), list(heartbeats(week))
    flows = sorted(_flows(week, implants, beats))
    rows, size = _write(folder, week, flows)
    benign = [*(_benign(beat, beats) for beat in HEARTBEATS), _remote_desktops(flows)]
    key = _answer_key(week, implants, benign, rows, size)
    key.write(place)
    return key


def _flows(
    week: Week, implants: list[Implant], beats: list[tuple[Heartbeat, Flow]]
) -> Iterator[Flow]:
    return chain(
        (flow for _, flow in beats),
        lone_clocks(week),
        browsing(week),
        updates(week),
        server_chatter(week),
        long_sessions(week),
        retries(week),
        scans(week),
        visitors(week),
        announcements(week),
        beacons(week, implants),
    )


def _write(folder: Path, week: Week, flows: list[Flow]) -> tuple[dict[str, int], int]:
    rows, size = defaultdict[str, int](int), 0
    for blob in chain(_firewall_blobs(week, flows), _endpoint_blobs(week, flows)):
        content = b"".join(line + b"\n" for line in blob.lines)
        path = folder / f"am-{blob.table}" / _blob_path(week, blob.number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        rows[blob.table] += len(blob.lines)
        size += len(content)
    return dict(rows), size


def _blob_path(week: Week, number: int) -> str:
    start = _midnight(week) + timedelta(seconds=number * _FILE_SECONDS)
    return f"WorkspaceResourceId={WORKSPACE}/{start:y=%Y/m=%m/d=%d/h=%H/m=%M}/PT05M.json"


def _midnight(week: Week) -> datetime:
    return datetime.combine(week.first, time(), tzinfo=UTC)


def _firewall_blobs(week: Week, flows: list[Flow]) -> Iterator[_Blob]:
    rng, clock = week.rng("collector"), Clock(_midnight(week))
    hosts = {host.ip: host for host in week.tenant.hosts}
    late = (
        record._replace(at=record.at + float(rng.exponential(0.03)))
        for flow in flows
        for record in firewall.records(flow)
    )
    for number, found in _by_file(week, late, rng):
        lines = [firewall.line(record, hosts, clock) for record in found]
        yield _Blob("commonsecuritylog", number, _repeat_some(lines, rng))


def _endpoint_blobs(week: Week, flows: list[Flow]) -> Iterator[_Blob]:
    rng, clock = week.rng("sensor"), Clock(_midnight(week))
    sensors = endpoint.sensors(week.tenant)
    seen = (
        Record(flow.at, True, flow)
        for flow in flows
        if flow.source in sensors and endpoint.sees(flow)
    )
    for number, found in _by_file(week, seen, rng):
        lines = [endpoint.line(r.flow, sensors[r.flow.source], clock) for r in found]
        yield _Blob("devicenetworkevents", number, lines)


def _by_file(week: Week, found: Iterable[Record], rng: Rng) -> Iterator[tuple[int, list[Record]]]:
    """Records by five-minute file, in the order they arrive: a few seconds out of order."""
    files = defaultdict[int, list[tuple[float, Record]]](list)
    for record in found:
        if 0 <= record.at < week.end:
            arrival = record.at + float(rng.exponential(2.0))
            files[int(record.at // _FILE_SECONDS)].append((arrival, record))
    for number in sorted(files):
        yield number, [record for _, record in sorted(files[number])]


def _repeat_some(lines: list[bytes], rng: Rng) -> list[bytes]:
    """One row in a thousand comes twice, as an exporter's retries leave it."""
    return [line for line in lines for _ in range(1 + int(rng.random() < 0.001))]


def _answer_key(
    week: Week,
    implants: list[Implant],
    benign: list[dict[str, Any]],
    rows: dict[str, int],
    size: int,
) -> AnswerKey:
    days = [week.first + timedelta(days=n) for n in range(week.days)]
    return AnswerKey(
        workspace=WORKSPACE,
        seed=week.seed,
        days=[day.isoformat() for day in days],
        implants=[_implant(implant) for implant in implants],
        benign=benign,
        allow_list=_allow_list(days[-1]),
        rows=rows,
        bytes=size,
        hosts={host.ip: host.name for host in week.tenant.hosts},
    )


def _implant(implant: Implant) -> dict[str, Any]:
    return {
        "name": implant.plan.name,
        "SrcIpAddr": implant.host.ip,
        "DstIpAddr": implant.target,
        "DstHostname": implant.name or None,
        "DstPortNumber": implant.plan.port,
        "interval_s": implant.plan.interval,
        "jitter": implant.plan.jitter,
        "story": implant.plan.story,
    }


def _benign(beat: Heartbeat, beats: list[tuple[Heartbeat, Flow]]) -> dict[str, Any]:
    return {
        "name": beat.name,
        "DstIpAddrs": list(beat.targets),
        "DstPortNumber": beat.port,
        "interval_s": beat.interval,
        "hosts": sorted({flow.source for own, flow in beats if own is beat}),
        "story": beat.story,
    }


def _remote_desktops(flows: list[Flow]) -> dict[str, Any]:
    return {
        "name": "remote desktops",
        "DstIpAddrs": [GATEWAY],
        "DstPortNumber": DESKTOP_PORT,
        "interval_s": INTERIM_SECONDS,
        "hosts": sorted({flow.source for flow in flows if flow.outcome == "interim"}),
        "story": "One long session, told again every two minutes under the same session id.",
    }


def _allow_list(last: date) -> list[dict[str, Any]]:
    expires = (last + timedelta(days=180)).isoformat()
    return [
        {
            "destination": target,
            "port": clock.port,
            "owner": clock.owner,
            "reason": clock.reason,
            "expires": expires,
        }
        for clock in LONE_CLOCKS
        for target in clock.targets
    ]
