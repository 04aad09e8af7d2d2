"""One machine as a deployment: the local cloud in this process, the app in a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx

from shared.errors import BadInput, Transient
from workbench import publish
from workbench.app_client import AppClient
from workbench.cloud import LocalCloud
from workbench.emulators import spark_submit
from workbench.emulators.eventgrid_delivery import Options
from workbench.emulators.lake_folder import INTERVAL
from workbench.emulators.spark_submit import Process, Submission
from workbench.home import Home

APP_FOLDER = Path(__file__).resolve().parent.parent
START_SECONDS = 60.0
STOP_SECONDS = 5.0
HURRIED: Mapping[str, str] = {
    # What a demo cannot wait for; the product's defaults stay the product's.
    "TIDEHUNT_TICK_SCHEDULE": "*/1 * * * * *",
    "TIDEHUNT_TURN_SECONDS": "15",
    "TIDEHUNT_CALL_SECONDS": "5",
    "TIDEHUNT_CLOCK_MARGIN_SECONDS": "0",
    "TIDEHUNT_SWEEP_SECONDS": "10",
    "TIDEHUNT_COALESCE_SECONDS": "0",
    "TIDEHUNT_SETTLE_SECONDS": "5",
    "TIDEHUNT_READBACK_SECONDS": "1",
    "TIDEHUNT_GRACE_SECONDS": "5",
    "TIDEHUNT_RETRY_SECONDS": "2",
    "TIDEHUNT_UNKNOWN_SECONDS": "5",
    # What is landed once falls silent, and on purpose.
    "TIDEHUNT_DARK_SECONDS": "2592000",
}
ALLOCATOR: Mapping[str, str] = {"MALLOC_ARENA_MAX": "2"}
"""As the app's own settings have it: else its allocator keeps the most that a turn ever took once
for each thread that a turn ran in."""
SMALL: Mapping[str, str] = {
    # A job worth two gets no more processors here, but Java's optimising compiler.
    "TIDEHUNT_EXECUTORS": "2",
    "TIDEHUNT_EXECUTOR_CORES": "1",
    "TIDEHUNT_EXECUTOR_MEMORY": "1g",
    "TIDEHUNT_DRIVER_CORES": "1",
    "TIDEHUNT_DRIVER_MEMORY": "3g",
}


@dataclass
class Machine:
    """Starts everything on entry and stops it on exit. Ports of 0 are free ones.

    `overrides` are settings of the app that win over the workbench's own.
    """

    home: Home
    workspaces: Sequence[str]
    app_port: int = 0
    cloud_ports: Mapping[str, int] = field(default_factory=dict)
    events: Options | None = None
    overrides: Mapping[str, str] = field(default_factory=dict)
    app_folder: Path = APP_FOLDER
    submit: Callable[[Submission], Process] = spark_submit.submit
    look_seconds: float = INTERVAL
    """How often the lake's folders are looked at for what came past the emulators."""
    cloud: LocalCloud = field(init=False)
    app: AppClient = field(init=False)
    settings: dict[str, str] = field(init=False, default_factory=dict)
    _process: subprocess.Popen[bytes] | None = field(init=False, default=None)

    def __enter__(self) -> Machine:
        self.home.make()
        self.cloud = LocalCloud(
            self.home.path,
            workspaces=self.workspaces,
            ports=self.cloud_ports,
            events=self.events,
            submit=self.submit,
            look_seconds=self.look_seconds,
        )
        self.cloud.__enter__()
        try:
            self._set_up()
        except BaseException:
            self.__exit__(None, None, None)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop the app, then the cloud; a second Ctrl-C does not leave children behind."""
        try:
            self._stop_app()
        finally:
            self.cloud.__exit__(kind, error, trace)

    def become_operator(self) -> None:
        """Let this process read the emulated services as the operator."""
        os.environ.update(self.cloud.identity_settings("operator"))

    def _set_up(self) -> None:
        hunts = given_hunt_folders(self.overrides)
        code_hash = publish.publish(self.home.state / "code", hunts)
        self.settings = {
            **HURRIED,
            **SMALL,
            **self.cloud.settings(),
            "TIDEHUNT_WORKSPACES": ";".join(self.workspaces),
            "TIDEHUNT_INCIDENT_ROUTE": "arm",
            "TIDEHUNT_REFERENCE_FOLDER": str(self.home.references),
            "TIDEHUNT_CODE_HASH": code_hash,
            "TIDEHUNT_EVENTS": "none" if self.events and self.events.drop else "expected",
            **_given_settings(),
            **self.overrides,
        }
        self.start_app()
        self._await_health()

    def start_app(self) -> None:
        """Start the app's process, the first one or the next after it has died."""
        key = secrets.token_hex(16)
        url = self._spawn(key)
        self.app = AppClient(url, key)
        self.cloud.connect(url, key)

    def _spawn(self, key: str) -> str:
        address = self.home.path / "app-address.json"
        address.unlink(missing_ok=True)
        command = [sys.executable, "-m", "workbench.host"]
        command += ["--app", str(self.app_folder), "--port", str(self.app_port)]
        command += ["--address-file", str(address)]
        environment = {**ALLOCATOR, **os.environ, **self.settings, "TIDEHUNT_HOST_KEY": key}
        with (self.home.logs / "app.log").open("ab") as log:
            self._process = subprocess.Popen(
                command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches this process alone, which then stops the app in order.
                start_new_session=True,
            )
        return self._await_address(address)

    def _await_address(self, address: Path) -> str:
        ends = time.monotonic() + START_SECONDS
        while time.monotonic() < ends:
            if address.is_file():
                return str(json.loads(address.read_text(encoding="utf-8"))["url"])
            if self._process is not None and self._process.poll() is not None:
                raise BadInput(
                    f"the app did not start: {self._last_words()}",
                    where=str(self.home.logs / "app.log"),
                    mend="correct what it says and try again",
                )
            time.sleep(0.05)
        raise Transient("the app did not start in time", where=str(self.home.logs / "app.log"))

    def _await_health(self) -> None:
        """Refuse to go on with bad settings: all of them at once, each with its mend."""
        health = self.app.health()
        if health.get("status") == "bad settings":
            told = "\n".join(
                f"  {fault['setting']}: {fault['what']}. Mend: {fault['mend']}"
                for fault in health["faults"]
            )
            raise BadInput(f"settings cannot be used:\n{told}")

    def _last_words(self) -> str:
        lines = (self.home.logs / "app.log").read_text("utf-8", "replace").strip().splitlines()
        return lines[-1][:500] if lines else "it said nothing"

    def _stop_app(self) -> None:
        if self._process is None:
            return
        self._process.terminate()
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill_app(self) -> None:
        """Kill the app's process, as a crash or a lost machine would."""
        if self._process is not None:
            self._process.kill()

    def app_pid(self) -> int:
        """Id of the app's process, for those who measure it. 0 when there is none."""
        return self._process.pid if self._process is not None else 0

    def app_is_alive(self) -> bool:
        """False when the app's process has ended."""
        return self._process is not None and self._process.poll() is None


def _given_settings() -> dict[str, str]:
    """Settings that the caller's environment gives win over the workbench's."""
    own = {"TIDEHUNT_HOST_KEY", "TIDEHUNT_HOME"}
    return {
        name: value
        for name, value in os.environ.items()
        if name.startswith("TIDEHUNT_") and name not in own
    }


def given_hunt_folders(overrides: Mapping[str, str]) -> list[Path]:
    """Folders of the user's own hunts, by the product's own setting."""
    name = "TIDEHUNT_HUNT_FOLDERS"
    given = overrides.get(name) or os.environ.get(name, "")
    return [Path(part.strip()) for part in given.split(";") if part.strip()]


def read_serving(home: Home) -> dict[str, Any]:
    """Addresses of a running `tidehunt serve`. BadInput when none runs on this home."""
    try:
        serving = dict(json.loads(home.serving.read_text(encoding="utf-8")))
        httpx.get(f"{serving['app']}/api/health", timeout=5, trust_env=False)
    except (OSError, ValueError, KeyError, httpx.HTTPError) as error:
        raise BadInput(
            "no Tidehunt is being served from this home",
            where=str(home.path),
            mend="type `tidehunt serve` in another terminal, or name its --home",
        ) from error
    return serving
