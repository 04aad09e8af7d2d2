"""What else a firewall sees: servers at work, long sessions, failures, strangers, multicast."""

from __future__ import annotations

from collections.abc import Iterator

from workbench.samples.tenant import (
    BACKUP,
    DATABASE,
    FILE_SERVER,
    FIREWALLS,
    GATEWAY,
    PUBLIC_WEB,
    RESOLVER,
    Host,
    Tenant,
    public_address,
)
from workbench.samples.traffic import DAY, HOUR, Flow, Rng, Week, flow, lookup, scattered, size

DESKTOP_PORT = 3389
INTERIM_SECONDS = 120.0


def server_chatter(week: Week) -> Iterator[Flow]:
    """Applications at their database, files, backups at night, and the resolver's own questions."""
    rng, tenant = week.rng("servers"), week.tenant
    apps = [host for host in tenant.servers if host.name.startswith("app")]
    everybody = (0.0, week.end)
    for host in apps:
        for at in scattered(rng, everybody, 1.6):
            yield _serve(rng, at, host, DATABASE, 5432)
    for host in tenant.clients:
        for span in week.awake[host.ip]:
            for at in scattered(rng, span, 0.25):
                yield _serve(rng, at, host, FILE_SERVER, 445)
    resolver = next(host for host in tenant.servers if host.ip == RESOLVER)
    for at in scattered(rng, everybody, 5.0):
        upstream = ("198.19.2.53", "198.19.3.53")[int(rng.integers(2))]
        yield lookup(rng, at, resolver)._replace(target=upstream)
    for day in range(week.days):
        yield from _backup(rng, tenant, day * DAY + 1.5 * HOUR)


def _serve(rng: Rng, at: float, host: Host, target: str, port: int) -> Flow:
    return flow(
        rng, at, host, target, port, sent=size(rng, 4_000, 1.2), received=size(rng, 18_000, 1.4),
        seconds=float(rng.lognormal(1.0, 1.2)), program="System",
    )  # fmt: skip


def _backup(rng: Rng, tenant: Tenant, at: float) -> Iterator[Flow]:
    backup = next(host for host in tenant.servers if host.ip == BACKUP)
    for host in tenant.servers:
        at += rng.lognormal(4.5, 0.8)
        yield _serve(rng, at, backup, host.ip, 10_000)._replace(received=size(rng, 4e8, 1.0))


def long_sessions(week: Week) -> Iterator[Flow]:
    """Remote desktops through the gateway: an interim record every two minutes, one session id."""
    rng = week.rng("long sessions")
    for host in week.tenant.of("fortinet", "ops"):
        for start, _ in week.awake[host.ip]:
            began = start + rng.uniform(0.2, 2.5) * HOUR
            yield from _long_session(rng, host, began, int(rng.integers(10, 28)))


def _long_session(rng: Rng, host: Host, began: float, records: int) -> Iterator[Flow]:
    session = flow(rng, began, host, GATEWAY, DESKTOP_PORT, program="mstsc.exe")
    sent = received = 0
    for number in range(1, records + 1):
        sent, received = sent + size(rng, 60_000), received + size(rng, 900_000)
        seconds = number * INTERIM_SECONDS + float(rng.normal(0, 0.05))
        told = session._replace(sent=sent, received=received, seconds=seconds)
        yield told._replace(outcome="interim") if number < records else told


def retries(week: Week) -> Iterator[Flow]:
    """A program that cannot reach its server tries again every second for a while."""
    rng, clients = week.rng("retries"), week.tenant.clients
    for at in scattered(rng, (0.0, week.end), 3 / 24):
        host = clients[int(rng.integers(len(clients)))]
        target = week.tenant.rare[host.ip][0].addresses[0]
        outcome = "deny" if rng.random() < 0.7 else "fail"
        for again in range(int(rng.integers(8, 40))):
            moment = at + again * 1.04 + rng.uniform(-0.05, 0.05)
            yield flow(rng, moment, host, target, 8081, outcome=outcome, sent=180)


def scans(week: Week) -> Iterator[Flow]:
    """Strangers who knock at our public addresses and are denied."""
    rng = week.rng("scans")
    ports = (22, 23, 80, 443, 445, 3389, 5900, 6379, 8080, 8443)
    outsides = {host.firewall: host for host in week.tenant.hosts}
    for at in scattered(rng, (0.0, week.end), 4):
        host = list(outsides.values())[int(rng.integers(len(outsides)))]
        stranger = public_address(rng)
        for port in rng.choice(ports, int(rng.integers(1, 5)), replace=False):
            moment, outside = at + rng.exponential(0.8), FIREWALLS[host.firewall].outside
            knock = flow(rng, moment, host, outside, int(port), outcome="deny")
            yield knock._replace(source=stranger)


def visitors(week: Week) -> Iterator[Flow]:
    """People from outside at our web server, more of them by day."""
    rng = week.rng("visitors")
    web = next(host for host in week.tenant.hosts if host.ip == PUBLIC_WEB)
    for at in scattered(rng, (0.0, week.end), 6):
        if rng.random() < 0.35 + 0.65 * (8 <= (at % DAY) / HOUR < 20):
            guest = f"198.18.{int(rng.integers(128, 235))}.{int(rng.integers(1, 255))}"
            visit = flow(rng, at, web, PUBLIC_WEB, 443, sent=size(rng, 1500), seconds=float(
                rng.lognormal(1.2, 1.0)), received=size(rng, 30_000, 1.2))  # fmt: skip
            yield visit._replace(source=guest)


def announcements(week: Week) -> Iterator[Flow]:
    """Multicast: service discovery, whenever something plugs itself in."""
    rng = week.rng("announcements")
    groups = (("239.255.255.250", 1900), ("224.0.0.251", 5353), ("224.0.0.252", 5355))
    for host in week.tenant.clients:
        for span in week.awake[host.ip]:
            for at in scattered(rng, span, 0.25):
                target, port = groups[int(rng.integers(len(groups)))]
                for again in range(int(rng.integers(1, 4))):
                    moment = at + again * rng.uniform(0.9, 1.1)
                    sent = size(rng, 170, 0.2)
                    yield flow(rng, moment, host, target, port, proto="udp", sent=sent)
