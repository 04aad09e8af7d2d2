"""What clocks start in the demo tenant: heartbeats, and lone clocks that are on the allow-list.

A heartbeat is shared by many hosts. A lone clock has one host only: nothing but its owner's
word tells it from an implant, so each of its destinations has an entry in the allow-list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from workbench.samples.tenant import (
    BACKUP,
    BUILDING_CONTROL,
    DATABASE,
    FILE_SERVER,
    GATEWAY,
    MONITOR,
    RESOLVER,
    TIME_SERVER,
    Host,
    Tenant,
)
from workbench.samples.traffic import Flow, Rng, Week, every, flow, size


@dataclass(frozen=True)
class Heartbeat:
    """A benign rhythm that many hosts share. `jitter` is a fraction of `interval` (seconds)."""

    name: str
    story: str
    targets: tuple[str, ...]
    port: int
    interval: float
    jitter: float
    members: Callable[[Tenant], list[Host]]
    sent: int
    received: int
    spread: float = 0.02
    site: str = ""
    proto: Literal["tcp", "udp"] = "tcp"
    program: str = "svchost.exe"


HEARTBEATS = (
    Heartbeat(
        "antivirus cloud", "Every machine asks the antivirus cloud, like clockwork.",
        ("198.19.4.10", "198.19.4.11"), 443, 3600, 0.0002, lambda t: list(t.hosts),
        1310, 2680, site="telemetry.shieldgrid.example.net", program="shieldsvc.exe",
    ),
    Heartbeat(
        "push notifications", "Office clients keep a push channel alive.",
        ("198.19.5.20",), 5228, 1680, 0.001, lambda t: t.clients[::4] + t.of("fortinet", "ops"),
        94, 74, site="push.wavecast.example.com", program="msedge.exe",
    ),
    Heartbeat(
        "mail polling", "Mail clients ask for new mail every twenty minutes.",
        ("198.19.6.25",), 993, 1200, 0.015, lambda t: t.clients[1::4] + t.of("checkpoint", "ops"),
        2350, 5100, spread=0.3, site="imap.postbrook.example.org", program="outlook.exe",
    ),
    Heartbeat(
        "network time", "Servers and workstations that never sleep ask the time server.",
        (TIME_SERVER,), 123, 2048, 0.004,
        lambda t: [*t.servers[2::4], *t.of("fortinet", "left_on"), *t.of("checkpoint", "left_on")],
        76, 76, spread=0.0, proto="udp",
    ),
    Heartbeat(
        "group policy", "Windows clients refresh their policy every 90 to 120 minutes.",
        (RESOLVER,), 445, 6300, 0.142, lambda t: t.clients, 5200, 9100, spread=0.25,
    ),
    Heartbeat(
        "browser announcements", "Old clients announce themselves to their subnet.",
        ("10.20.10.255",), 138, 1440, 0.001, lambda t: t.of("fortinet", "ops")[:5],
        243, 0, spread=0.0, proto="udp", program="System",
    ),
)  # fmt: skip


def heartbeats(week: Week) -> Iterator[tuple[Heartbeat, Flow]]:
    """All beats of all heartbeats; a few are missed, as in life."""
    for beat in HEARTBEATS:
        rng = week.rng(beat.name)
        for number, host in enumerate(dict.fromkeys(beat.members(week.tenant))):
            target = beat.targets[number % len(beat.targets)]
            for span in week.awake[host.ip]:
                for at in every(rng, span, beat.interval, beat.jitter):
                    if rng.random() > 0.004:
                        yield beat, _pulse(rng, at, host, beat, target)


def _pulse(rng: Rng, at: float, host: Host, beat: Heartbeat, target: str) -> Flow:
    sent, received = size(rng, beat.sent, beat.spread), size(rng, beat.received, beat.spread)
    quick = float(rng.lognormal(-1.6, 0.4))
    return flow(
        rng, at, host, target, beat.port, proto=beat.proto, name=beat.site, sent=sent,
        received=received if beat.received else 0, seconds=quick, program=beat.program,
    )  # fmt: skip


@dataclass(frozen=True)
class LoneClock:
    """A rhythm of one host, on the allow-list with its owner and the reason."""

    name: str
    source: str
    targets: tuple[str, ...]
    port: int
    interval: float
    jitter: float
    owner: str
    reason: str
    proto: Literal["tcp", "udp"] = "tcp"


LONE_CLOCKS = (
    LoneClock(
        "monitoring polls", MONITOR,
        (RESOLVER, FILE_SERVER, GATEWAY, DATABASE, "10.20.1.71", "10.20.1.72"),
        9182, 1200, 0.001, "platform team", "the monitoring server polls its exporters",
    ),
    LoneClock(
        "upstream time", TIME_SERVER, ("198.19.2.123", "198.19.3.123"), 123, 2048, 0.005,
        "platform team", "the time server asks its upstream servers", "udp",
    ),
    LoneClock(
        "backup licence", BACKUP, ("203.0.113.9",), 443, 600, 0.0005, "backup team",
        "the backup appliance renews its lease of licences",
    ),
    LoneClock(
        "building control", BUILDING_CONTROL, ("192.0.2.40",), 8883, 1800, 0.01, "facilities",
        "the building controller reports to its maker",
    ),
)  # fmt: skip


def lone_clocks(week: Week) -> Iterator[Flow]:
    """All beats of the allow-listed clocks."""
    hosts = {host.ip: host for host in week.tenant.hosts}
    for clock in LONE_CLOCKS:
        rng = week.rng(clock.name)
        for target in clock.targets:
            for at in every(rng, (0.0, week.end), clock.interval, clock.jitter):
                yield flow(
                    rng, at, hosts[clock.source], target, clock.port, proto=clock.proto,
                    sent=size(rng, 310, 0.02), received=size(rng, 1450, 0.05),
                    seconds=float(rng.lognormal(-2.0, 0.4)),
                )  # fmt: skip
