"""The local cloud: all emulators of one home folder, started and stopped together.

On disk: `<home>/lake/{exports,state}/<container>/...` is the lake, `<home>/emulators/` what the
emulators remember, `<home>/logs/` what they say. One process at a time uses a home.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from starlette.applications import Starlette
from starlette.routing import BaseRoute
from starlette.types import ASGIApp

from shared.errors import BadInput
from workbench.emulators import identity, livy, logs, sentinel, spark_submit, tls
from workbench.emulators.eventgrid import TOPIC_PATH, EventGrid, Topic
from workbench.emulators.eventgrid_delivery import Options
from workbench.emulators.faults import FaultMiddleware, Faults, route_names
from workbench.emulators.lake_folder import INTERVAL, LakeFolder
from workbench.emulators.logs_rows import stream
from workbench.emulators.server import Server, Site
from workbench.emulators.spark_submit import Process, Submission
from workbench.emulators.storage import StorageEmulator
from workbench.emulators.storage_folder import Folder
from workbench.emulators.storage_http import Account, Roles
from workbench.emulators.storage_properties import Properties

INFRA = Path(__file__).resolve().parent.parent / "infra"
ACCOUNTS: Mapping[str, str] = {"exports": "tidehuntexports", "state": "tidehuntstate"}
"""Account in infra/roles.json -> the production storage account that it stands for."""
CONTAINERS = ("ledger", "results", "tables", "code")
"""Of the state account; made here as infra makes them there."""
SITES = ("exports", "state", "services", "identity")
WORKSPACE = (
    "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/tidehunt"
    "/providers/microsoft.operationalinsights/workspaces/tidehunt"
)
POOL = "hunting"
POOL_CORES = 12
"""The smallest pool that Synapse offers: three nodes of four vCores."""
RULE = "dcr-00000000000000000000000000000001"


class LocalCloud:
    """A context manager. `workspaces`: resource ids, the first holds the findings table. `ports`:
    site -> port, a free one where not given (see SITES). `events`: how Event Grid delivers.
    `look_seconds`: how often the lake's folders are looked at. `submit`: what starts a Spark job.
    `creates_per_second`: jobs that the pool takes; None for any number.

    BadInput, on entry, when the home is in use or cannot be written, or a port is taken.
    """

    def __init__(
        self,
        home: Path,
        *,
        workspaces: Sequence[str] = (WORKSPACE,),
        ports: Mapping[str, int] | None = None,
        events: Options | None = None,
        look_seconds: float = INTERVAL,
        infra: Path = INFRA,
        access_log: bool = False,
        submit: Callable[[Submission], Process] = spark_submit.submit,
        creates_per_second: int | None = livy.CREATES_PER_SECOND,
    ) -> None:
        self.home = home.resolve()
        self.faults = Faults()
        """Instructions by route: `state.PutBlob`, or method and path template of a service."""
        self.addresses: Mapping[str, str] = {}
        """Site -> URL, while it runs."""
        self.identity: identity.Identity
        self.grid: EventGrid
        self.topic: Topic
        self.server: Server
        self.ca: Path
        self._workspaces = workspaces
        self._ports = ports or {}
        self._events = events
        self._look_seconds = look_seconds
        self._infra = infra
        self._access_log = access_log
        self._submit = submit
        self._creates_per_second = creates_per_second
        self._watchers: list[LakeFolder] = []
        self._open = contextlib.ExitStack()

    def lake(self, account: str) -> Path:
        """The folder of an account's containers: "exports" or "state"."""
        return self.home / "lake" / account

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as opening:
            try:
                opening.enter_context(_sole_use(self.home))
                self._start(opening)
            except (OSError, sqlite3.Error) as error:
                raise BadInput(
                    f"the local cloud cannot write: {error}",
                    where=str(self.home),
                    mend="free disk space, or choose a folder that you may write to (--home)",
                ) from error
            self._open = opening.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._open.close()

    def connect(self, host: str, key: str) -> None:
        """Deliver events to a functions host (`http://127.0.0.1:7071`) by its system key."""
        self.grid.connect(host, key)

    def token(self, principal: str, audience: str) -> str:
        """A token for our own read-back through the emulators' REST routes."""
        return self.identity.token(principal, audience)

    def settings(self) -> dict[str, str]:
        """The environment of the app's process, as far as the cloud decides it."""
        services = self.addresses["services"]
        return {
            "TIDEHUNT_EXPORTS_ENDPOINT": self.addresses["exports"],
            "TIDEHUNT_EXPORTS_HOST": _dfs_host("exports"),
            "TIDEHUNT_STATE_ENDPOINT": self.addresses["state"],
            "TIDEHUNT_STATE_HOST": _dfs_host("state"),
            "TIDEHUNT_SYNAPSE_ENDPOINT": services,
            "TIDEHUNT_SYNAPSE_POOL": POOL,
            "TIDEHUNT_LOGS_ENDPOINT": services,
            "TIDEHUNT_DCR_ID": RULE,
            "TIDEHUNT_QUERY_ENDPOINT": f"{services}/v1",
            "TIDEHUNT_ARM_ENDPOINT": services,
            "TIDEHUNT_TOPIC_ENDPOINT": f"{services}{TOPIC_PATH}",
            **self.identity_settings("app"),
        }

    def identity_settings(self, principal: str) -> dict[str, str]:
        """The environment of a process that is this principal, and trusts our certificates."""
        return {
            "IDENTITY_ENDPOINT": f"{self.addresses['identity']}{identity.PATH}",
            "IDENTITY_HEADER": self.identity.headers[principal],
            "REQUESTS_CA_BUNDLE": str(self.ca),
            "SSL_CERT_FILE": str(self.ca),
        }

    def _start(self, opening: contextlib.ExitStack) -> None:
        kept = self.home / "emulators"
        self._watchers.clear()
        certificate = tls.certificate(kept / "tls")
        self.ca = certificate.ca
        self.identity = identity.Identity(kept / "identity.json")
        self.topic = Topic(kept / "topic.jsonl")
        self.grid = EventGrid(self._load("event-subscriptions.json"), ACCOUNTS, self._events)
        accounts = {name: self._account(name, opening) for name in ACCOUNTS}
        roles = Roles(self._load("roles.json"))
        sites = {name: self._storage(account, roles) for name, account in accounts.items()}
        sites["services"] = self._faulty(self._services(opening))
        sites["identity"] = self._faulty(self.identity.routes())
        self.server = Server(
            [Site(n, sites[n], self._ports.get(n, 0), tls=n != "identity") for n in SITES],
            certificate,
            logs=self.home / "logs",
            access_log=self._access_log,
        )
        self.addresses = self.server.start()
        opening.callback(self.server.stop)
        for watcher in self._watchers:
            self.server.spawn(watcher.run())
        self.server.spawn(self.grid.run())

    def _account(self, name: str, opening: contextlib.ExitStack) -> Account:
        kept = self.home / "emulators"
        folder = Folder(self.lake(name), kept / "staging" / name)
        if name == "state":
            for container in CONTAINERS:
                (self.lake(name) / container).mkdir(exist_ok=True)
        properties = Properties(kept / f"storage-{name}.db")
        opening.callback(properties.close)
        lake = LakeFolder(
            name,
            folder,
            kept / f"lake-{name}.json",
            self.grid.publish,
            exporter=name == "exports",
            interval=self._look_seconds,
        )
        lake.open()
        opening.callback(lake.save)
        self._watchers.append(lake)
        return Account(name, folder, properties, lake)

    def _services(self, opening: contextlib.ExitStack) -> list[BaseRoute]:
        """Everything but storage shares one port: the paths do not collide."""
        spark = livy.Livy(
            self.home,
            accounts={_dfs_host(name): (name, self.lake(name)) for name in ACCOUNTS},
            roles=self._load("roles.json")["spark"],
            pools={POOL: POOL_CORES},
            creates_per_second=self._creates_per_second,
            submit=self._submit,
        )
        opening.callback(spark.stop)
        declared = ("findings-stream.json", "health-stream.json")
        streams = tuple(stream(self._load(name)) for name in declared)
        store = logs.Logs(self.home, rules={RULE: logs.Rule(self._workspaces[0], streams)})
        opening.callback(store.close)
        hunted = sentinel.Sentinel(self.home, workspaces=self._workspaces)
        opening.callback(hunted.close)
        caller = self.identity.caller
        return [
            *livy.routes(spark, caller),
            *logs.routes(store, caller),
            *sentinel.routes(hunted, caller),
            *self.topic.routes(caller),
        ]

    def _storage(self, account: Account, roles: Roles) -> ASGIApp:
        emulator = StorageEmulator(account, roles, self.identity.caller)
        return FaultMiddleware(emulator, self.faults, emulator.name_of)

    def _faulty(self, routes: list[BaseRoute]) -> ASGIApp:
        return FaultMiddleware(Starlette(routes=routes), self.faults, route_names(routes))

    def _load(self, name: str) -> Any:
        return json.loads((self._infra / name).read_text("utf-8"))


def _dfs_host(account: str) -> str:
    return f"{ACCOUNTS[account]}.dfs.core.windows.net"


@contextlib.contextmanager
def _sole_use(home: Path) -> Iterator[None]:
    """Hold the home's lock, which ends with the process however it ends."""
    file = home / "emulators" / "lock"
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("a+", encoding="ascii") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise BadInput(
                f"in use by process {lock.read().strip() or 'unknown'}",
                where=str(home),
                mend="end that process, or choose another folder (--home)",
            ) from error
        lock.truncate(0)
        lock.write(f"{os.getpid()}\n")
        lock.flush()
        yield
