"""The implants that are planted in the demo tenant, each with its story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from workbench.samples.clocks import LONE_CLOCKS
from workbench.samples.tenant import Host, Tenant, public_address
from workbench.samples.traffic import DAY, HOUR, Flow, Rng, Span, Week, every, flow, size


@dataclass(frozen=True)
class Plan:
    """An implant before it has a victim. `interval` in seconds, `jitter` a fraction of it."""

    name: str
    story: str
    behind: str
    """The vendor of the firewall that sees it."""
    kinds: tuple[str, ...]
    port: int
    interval: float
    jitter: float
    active: Callable[[Week, Rng, Host], list[Span]]
    sent: tuple[float, float]
    """Bytes out: typical, log-normal spread."""
    received: tuple[float, float]
    program: str
    site: str = ""


@dataclass(frozen=True)
class Implant:
    """A plan with its victim and its server; `name` is the server's host name, if logged."""

    plan: Plan
    host: Host
    target: str
    name: str


def _always(week: Week, _rng: Rng, _host: Host) -> list[Span]:
    return [(0.0, week.end)]


def _while_awake(week: Week, _rng: Rng, host: Host) -> list[Span]:
    return week.awake[host.ip]


def _last_two_days(week: Week, rng: Rng, _host: Host) -> list[Span]:
    starts = (
        day * DAY + rng.uniform(9, 13) * HOUR for day in range(max(0, week.days - 2), week.days)
    )
    return [(start, start + 3 * HOUR) for start in starts]


CLOUD = "cloud"
"""As a plan's `site`: the storage front that everybody uses."""

PLANS = (
    Plan(
        "night sleeper", "A loader on a laptop of the on-call crew: every minute by HTTPS while "
        "the laptop is on, silent at night.",
        "fortinet", ("ops",), 443, 60, 0.10, _while_awake, (612, 0.05), (388, 0.10),
        "rundll32.exe", "cdn-sync.brightmarket.example.net",
    ),
    Plan(
        "five minutes", "A remote access trojan on a branch workstation that is always on.",
        "checkpoint", ("left_on",), 8443, 300, 0.20, _always, (940, 0.15), (1220, 0.25),
        "winsvcx.exe",
    ),
    Plan(
        "hourly", "A job that a web shell left in the DMZ asks for orders once an hour.",
        "cisco", ("server",), 443, 3600, 0.05, _always, (830, 0.10), (1510, 0.20),
        "php-fpm",
    ),
    Plan(
        "half an hour", "A patient implant on an internal server, every half an hour.",
        "paloalto", ("server",), 80, 1800, 0.15, _always, (455, 0.10), (690, 0.20),
        "java.exe",
    ),
    Plan(
        "behind the cloud", "An implant that hides behind the storage front that everybody uses: "
        "the address is popular, the rhythm is not.",
        "fortinet", ("left_on",), 443, 240, 0.10, _always, (1180, 0.08), (2040, 0.15),
        "onedrv.exe", CLOUD,
    ),
    Plan(
        "hands on", "An operator has worked on this laptop for the last two days, a few hours "
        "each, with a sleep of ten seconds.",
        "fortinet", ("ops",), 443, 10, 0.10, _last_two_days, (720, 0.35), (1650, 0.60),
        "regsvr32.exe", "img.petalworks.example.org",
    ),
    Plan(
        "loose clock, one size", "Thirty per cent of jitter, but every request is the same.",
        "paloalto", ("server",), 8080, 600, 0.30, _always, (431, 0.0), (214, 0.0),
        "svchost.exe",
    ),
)  # fmt: skip


def plant(week: Week) -> list[Implant]:
    """Choose victims and servers; no victim twice."""
    rng, taken, planted = week.rng("victims"), set[str](), list[Implant]()
    for plan in PLANS:
        hosts = [h for h in week.tenant.of(plan.behind, *plan.kinds) if h.ip not in taken]
        host = hosts[int(rng.integers(len(hosts)))]
        taken.add(host.ip)
        planted.append(_server(rng, week.tenant, plan, host, {own.target for own in planted}))
    return planted


def _server(rng: Rng, tenant: Tenant, plan: Plan, host: Host, taken: set[str]) -> Implant:
    if plan.site == CLOUD:
        return Implant(plan, host, tenant.cloud.addresses[0], tenant.cloud.name)
    taken |= {site.addresses[0] for sites in tenant.rare.values() for site in sites}
    taken |= {target for clock in LONE_CLOCKS for target in clock.targets}
    target = public_address(rng)
    while target in taken:
        target = public_address(rng)
    return Implant(plan, host, target, plan.site)


def beacons(week: Week, implants: list[Implant]) -> Iterator[Flow]:
    """All check-ins of all implants; one in two hundred is lost."""
    for implant in implants:
        rng = week.rng(implant.plan.name)
        for span in implant.plan.active(week, rng, implant.host):
            for at in every(rng, span, implant.plan.interval, implant.plan.jitter):
                if rng.random() > 0.005:
                    yield _check_in(rng, at, implant)


def _check_in(rng: Rng, at: float, implant: Implant) -> Flow:
    plan = implant.plan
    return flow(
        rng, at, implant.host, implant.target, plan.port, name=implant.name,
        sent=size(rng, *plan.sent), received=size(rng, *plan.received),
        seconds=float(rng.lognormal(-1.3, 0.35)), program=plan.program,
    )  # fmt: skip
