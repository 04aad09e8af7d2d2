"""The cast of the demo tenant: firewalls, hosts, and the places on the internet they go to.

Addresses come from ranges that nobody owns (RFC 1918, RFC 5737, RFC 2544) and names from
example.com, .net and .org, so that no real company is pointed at.
"""

from __future__ import annotations

import uuid
import zlib
from dataclasses import dataclass
from ipaddress import IPv4Address

import numpy as np

_NAMESPACE = uuid.UUID("3d0a4d5c-8d0b-5b55-9f57-5b8f2f3f7a11")
WORKSPACE = (
    f"/subscriptions/{uuid.uuid5(_NAMESPACE, 'subscription')}/resourcegroups/tidehunt-demo"
    "/providers/microsoft.operationalinsights/workspaces/contoso-soc"
)
TENANT_ID = str(uuid.uuid5(_NAMESPACE, "workspace"))
COLLECTOR = (
    f"/subscriptions/{uuid.uuid5(_NAMESPACE, 'subscription')}/resourcegroups/tidehunt-demo"
    "/providers/microsoft.compute/virtualmachines/cef-collector-01"
)

RESOLVER = "10.20.1.10"
TIME_SERVER = "10.20.1.11"
FILE_SERVER = "10.20.1.20"
GATEWAY = "10.20.1.30"
DATABASE = "10.20.1.40"
MONITOR = "10.20.1.50"
BACKUP = "10.20.1.60"
BUILDING_CONTROL = "10.40.5.15"
PUBLIC_WEB = "10.40.5.20"
"""Servers with a part of their own; all are in `Tenant.hosts`."""

_FIRST = ("anna", "ben", "carla", "david", "elif", "farid", "greta", "hugo", "ines", "jonas")
_LAST = ("adler", "brandt", "costa", "demir", "evans", "fischer", "gomez", "haas", "ivanov")
_STEMS = (
    "harbor", "maple", "cedar", "lantern", "meadow", "copper", "granite", "willow", "beacon",
    "falcon", "orchid", "summit", "prairie", "ember", "cobalt", "juniper", "canyon", "quartz",
)  # fmt: skip
_KINDS = ("news", "mail", "shop", "maps", "video", "forum", "docs", "bank", "travel")
_ZONES = ("example.com", "example.net", "example.org")


@dataclass(frozen=True, slots=True)
class Firewall:
    """A device that writes rows: `vendor` picks the vocabulary, `outside` is its public address."""

    vendor: str
    name: str
    address: str
    outside: str
    serial: str


@dataclass(frozen=True, slots=True)
class Host:
    """A machine. `kind`: server (always on), left_on, ops (every day) or desk (working days)."""

    name: str
    ip: str
    kind: str
    firewall: str
    mac: str
    user: str


@dataclass(frozen=True, slots=True)
class Site:
    """A host name, the addresses that it resolves to, and the assets it loads from elsewhere."""

    name: str
    addresses: tuple[str, ...]
    assets: tuple[int, ...] = ()
    """Indexes into `Tenant.cdn`."""


@dataclass(frozen=True)
class Tenant:
    """Everybody; `popular` is ordered by popularity, `rare` has a few sites for each host."""

    hosts: tuple[Host, ...]
    popular: tuple[Site, ...]
    cdn: tuple[Site, ...]
    rare: dict[str, tuple[Site, ...]]
    cloud: Site
    """A storage front that everybody uses now and then."""

    @property
    def clients(self) -> list[Host]:
        """Hosts that people sit at."""
        return [host for host in self.hosts if host.kind != "server"]

    @property
    def servers(self) -> list[Host]:
        """Hosts that never sleep."""
        return [host for host in self.hosts if host.kind == "server"]

    def of(self, firewall: str, *kinds: str) -> list[Host]:
        """Hosts of these kinds behind one vendor's firewall."""
        return [host for host in self.hosts if host.firewall == firewall and host.kind in kinds]


FIREWALLS = {
    "fortinet": Firewall("fortinet", "fgt-hq-01", "10.20.10.1", "198.18.250.1", "FGVM4VTM24000117"),
    "paloalto": Firewall("paloalto", "pa-core-01", "10.20.1.1", "198.18.250.2", "013201027985"),
    "checkpoint": Firewall("checkpoint", "cp-branch-01", "10.30.10.1", "198.18.250.3", ""),
    "cisco": Firewall("cisco", "asa-dmz-01", "10.40.5.1", "198.18.250.4", "JAD25180ABC"),
}

_SERVERS = {
    "paloalto": (
        ("dc01", RESOLVER), ("dc02", TIME_SERVER), ("files01", FILE_SERVER), ("gw01", GATEWAY),
        ("db01", DATABASE), ("mon01", MONITOR), ("backup01", BACKUP), ("app01", "10.20.1.71"),
        ("app02", "10.20.1.72"), ("app03", "10.20.1.73"), ("build01", "10.20.1.81"),
        ("print01", "10.20.1.90"),
    ),
    "cisco": (
        ("bms01", BUILDING_CONTROL), ("web01", PUBLIC_WEB), ("web02", "10.40.5.21"),
        ("relay01", "10.40.5.25"), ("sftp01", "10.40.5.30"), ("proxy01", "10.40.5.35"),
        ("api01", "10.40.5.40"), ("lab01", "10.40.5.50"),
    ),
}  # fmt: skip
_CLIENTS = (
    # firewall, name prefix, subnet, how many of each kind
    ("fortinet", "hq-ws", "10.20.10", {"left_on": 2, "ops": 7, "desk": 14}),
    ("checkpoint", "br-ws", "10.30.10", {"left_on": 2, "ops": 5, "desk": 7}),
)


def stream(seed: int, name: str) -> np.random.Generator:
    """Random numbers for one purpose: adding a purpose leaves the others as they were."""
    return np.random.default_rng([seed, zlib.crc32(name.encode())])


def make_tenant(seed: int) -> Tenant:
    """The tenant of a seed. Hosts are the same for every seed; the internet differs."""
    rng = stream(seed, "internet")
    pool = _Pool(rng)
    hosts = (*_servers(), *_clients())
    cdn = tuple(Site(f"edge{n:02d}.cdn.example.net", (next(pool),)) for n in range(1, 15))
    popular = tuple(_site(rng, pool, name, len(cdn)) for name in _site_names(rng)[:48])
    rare = {host.ip: tuple(_rare_site(rng) for _ in range(8)) for host in hosts}
    cloud = Site("files-eu.skyshelf.example.com", (next(pool),))
    return Tenant(hosts, popular, cdn, rare, cloud)


def mac_of(ip: str) -> str:
    """A locally administered MAC address, made of the IP address."""
    return "02:00:" + ":".join(f"{int(part):02x}" for part in ip.split("."))


def _servers() -> list[Host]:
    return [
        Host(name, ip, "server", firewall, mac_of(ip), "")
        for firewall, members in _SERVERS.items()
        for name, ip in members
    ]


def _clients() -> list[Host]:
    hosts: list[Host] = []
    for firewall, prefix, subnet, kinds in _CLIENTS:
        names = [kind for kind, count in kinds.items() for _ in range(count)]
        for number, kind in enumerate(names, start=1):
            ip = f"{subnet}.{20 + number}"
            user = f"{_FIRST[len(hosts) % len(_FIRST)]}.{_LAST[len(hosts) % len(_LAST)]}"
            hosts.append(Host(f"{prefix}-{number:03d}", ip, kind, firewall, mac_of(ip), user))
    return hosts


def _site_names(rng: np.random.Generator) -> list[str]:
    names = [f"www.{stem}{kind}.{zone}" for stem in _STEMS for kind in _KINDS for zone in _ZONES]
    return [str(name) for name in rng.permutation(names)]


def _site(rng: np.random.Generator, pool: _Pool, name: str, assets: int) -> Site:
    addresses = tuple(next(pool) for _ in range(int(rng.integers(1, 4))))
    loads = rng.choice(assets, int(rng.integers(1, 5)), replace=False)
    return Site(name, addresses, tuple(int(n) for n in loads))


def _rare_site(rng: np.random.Generator) -> Site:
    word = "".join(str(stem) for stem in rng.choice(_STEMS, 2, replace=False))
    return Site(f"{word}{int(rng.integers(2, 99))}.example.org", (public_address(rng),))


def public_address(rng: np.random.Generator) -> str:
    """An address of the documentation ranges; implants and rare sites share them."""
    block = ("192.0.2", "198.51.100", "203.0.113")[int(rng.integers(3))]
    return f"{block}.{int(rng.integers(2, 254))}"


class _Pool:
    """Addresses of 198.18.0.0/16 without repetition."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._offsets = iter(rng.choice(60_000, 1_000, replace=False))

    def __next__(self) -> str:
        return str(IPv4Address("198.18.0.0") + int(next(self._offsets)))
