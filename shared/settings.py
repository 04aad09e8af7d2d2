"""Environment -> Settings. One field is one setting; all faults are told at once, none is raised.

The table in docs/operations.md, local.settings.json.example and this file are held equal by a test.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any
from urllib.parse import urlsplit

PREFIX = "TIDEHUNT_"


@dataclass(frozen=True)
class Fault:
    """One setting that cannot be used: its name, what is wrong, and the mend."""

    setting: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.setting}: {self.what}. Mend: {self.mend}"


def _text(value: str) -> str:
    return value


def _endpoint(value: str) -> str:
    parts = urlsplit(value)  # `port` raises ValueError for what is none
    if parts.scheme != "https" or not parts.hostname or parts.port == 0:
        raise ValueError("is no https address")
    if parts.query or parts.fragment or parts.username is not None:
        raise ValueError("has more than an address: a query, a fragment or a user")
    return value.rstrip("/")


def _host(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]+", value):
        raise ValueError("is no host name")
    return value


def _workspace(value: str) -> str:
    pattern = (
        r"/subscriptions/[^/\s]+/resourcegroups/[^/\s]+"
        r"/providers/microsoft\.operationalinsights/workspaces/[^/\s]+"
    )
    if not re.fullmatch(pattern, value.lower()):
        raise ValueError(f"{value[:120]!r} is no resource id of a Log Analytics workspace")
    return value.lower()


def _workspaces(value: str) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(_workspace(part) for part in _split(value)))
    if not found:
        raise ValueError("names no workspace")
    return found


def _split(value: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in value.split(";") if part.strip())


def _code_hash(value: str) -> str:
    if not re.fullmatch(r"[0-9a-f]{16,64}", value):
        raise ValueError("is no content hash (16 to 64 hex digits)")
    return value


def _choice(*allowed: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in allowed:
            raise ValueError(f"is {value[:40]!r}, not one of {', '.join(allowed)}")
        return value

    return parse


def _number(lowest: float, highest: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            raise ValueError(f"is {value[:40]!r}, which is no number") from None
        if not lowest <= number <= highest:
            raise ValueError(f"is {number:g}, outside {lowest:g} to {highest:g}")
        return number

    return parse


def _count(lowest: int, highest: int) -> Callable[[str], int]:
    number = _number(lowest, highest)

    def parse(value: str) -> int:
        parsed = number(value)
        if parsed != int(parsed):
            raise ValueError(f"is {value!r}, not a whole number")
        return int(parsed)

    return parse


def _setting(parse: Callable[[str], Any], help_text: str, default: Any = MISSING) -> Any:
    metadata = {"parse": parse, "help": help_text}
    if default is MISSING:
        return field(metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Everything that a deployment decides. Durations are in seconds."""

    exports_endpoint: str = _setting(
        _endpoint, "Data Lake endpoint of the account that data export writes to"
    )
    state_endpoint: str = _setting(
        _endpoint, "Data Lake endpoint of Tidehunt's own account (ledger, results, tables, code)"
    )
    workspaces: tuple[str, ...] = _setting(
        _workspaces, "resource ids of the Log Analytics workspaces to hunt in, separated by ;"
    )
    synapse_endpoint: str = _setting(_endpoint, "development endpoint of the Synapse workspace")
    synapse_pool: str = _setting(_text, "name of the Spark pool")
    logs_endpoint: str = _setting(_endpoint, "logs ingestion endpoint of the data collection rule")
    dcr_id: str = _setting(_text, "immutable id of the data collection rule (dcr-...)")
    incident_route: str = _setting(
        _choice("arm", "analytics-rule"),
        "arm: incidents by the Sentinel API (not shown in the Defender portal); "
        "analytics-rule: a scheduled rule on the findings table opens them",
    )
    code_hash: str = _setting(_code_hash, "content hash of the published Spark code")

    deployment: str = _setting(_text, "name of this deployment; one per ledger", "tidehunt")
    exports_host: str = _setting(
        _host, "account host that Spark reads exports by; default: endpoint's", ""
    )
    state_host: str = _setting(
        _host, "account host that Spark reads state by; default: endpoint's", ""
    )
    findings_workspace: str = _setting(
        _workspace, "workspace that holds the findings table; default: the first of WORKSPACES", ""
    )
    stream: str = _setting(_text, "stream of the data collection rule", "Custom-TidehuntFindings")
    health_stream: str = _setting(
        _text, "stream of the same rule for the health table", "Custom-TidehuntHealth"
    )
    query_endpoint: str = _setting(
        _endpoint, "Log Analytics query endpoint", "https://api.loganalytics.azure.com/v1"
    )
    arm_endpoint: str = _setting(
        _endpoint, "Azure Resource Manager endpoint", "https://management.azure.com"
    )
    topic_endpoint: str = _setting(
        _endpoint, "Event Grid topic that is told of ended runs and delivered findings", ""
    )
    identity_client_id: str = _setting(
        _text, "client id of a user-assigned managed identity; empty: the system-assigned one", ""
    )
    auth: str = _setting(
        _choice("keys", "easyauth"),
        "who guards HTTP: function keys, or Easy Auth in front (app roles Reader, Operator)",
        "keys",
    )
    hunt_folders: tuple[str, ...] = _setting(
        _split, "folders with your own hunts, separated by ;", ()
    )
    reference_folder: str = _setting(
        _text, "folder with reference lists (allow_list.yaml ...) for the hunts", ""
    )

    tick_schedule: str = _setting(
        _text, "when a turn is due (NCRONTAB with seconds)", "0 * * * * *"
    )
    settle_seconds: float = _setting(
        _number(0, 86_400),
        "quiet time after the last change of a window before it is judged",
        900.0,
    )
    coalesce_seconds: float = _setting(
        _number(0, 86_400), "how long an arrival run waits for others to share its job", 3600.0
    )
    sweep_seconds: float = _setting(
        _number(1, 86_400), "how often the lake is listed for what events missed", 900.0
    )
    turn_seconds: float = _setting(_number(5, 200), "work of one turn", 45.0)
    call_seconds: float = _setting(_number(0.5, 60), "bound of one remote call", 10.0)
    clock_margin_seconds: float = _setting(
        _number(0, 600), "how far the clocks of two hosts may differ", 60.0
    )
    stale_turn_seconds: float = _setting(
        _number(5, 86_400), "age of the last turn at which any event takes one itself", 300.0
    )
    heartbeat_seconds: float = _setting(
        _number(1, 900), "how often a turn sends a heartbeat to the health table", 300.0
    )
    late_seconds: float = _setting(
        _number(60, 604_800), "how late a hunt or a run may be before an alarm says so", 7200.0
    )
    dark_seconds: float = _setting(
        _number(60, 2_592_000),
        "how long a table that had data may be silent, if that is longer than it usually is",
        21_600.0,
    )
    events: str = _setting(
        _choice("expected", "none"),
        "none: timers only, on purpose; no alarm says that events are missing",
        "expected",
    )
    unknown_seconds: float = _setting(
        _number(1, 3600), "wait before a submission with a lost answer is looked up", 120.0
    )
    grace_seconds: float = _setting(
        _number(0, 3600), "wait for manifests after a job has ended", 300.0
    )
    retry_seconds: float = _setting(
        _number(0, 3600), "first wait before a run gets another job", 60.0
    )
    queue_deadline_seconds: float = _setting(
        _number(10, 86_400), "longest wait in the pool's queue", 1800.0
    )
    run_deadline_seconds: float = _setting(
        _number(10, 86_400), "longest life of a running job", 3600.0
    )
    readback_seconds: float = _setting(
        _number(0, 86_400), "wait before delivered rows are counted in the workspace", 1800.0
    )

    jobs_at_once: int = _setting(_count(1, 200), "Spark jobs at one time", 5)
    jobs_a_day: int = _setting(_count(1, 10_000), "Spark jobs a UTC day", 300)
    vcore_hours_a_day: float = _setting(
        _number(1, 1_000_000), "vCore hours of Spark jobs a UTC day, reserved at their worst", 500.0
    )
    runs_a_hunt_a_day: int = _setting(
        _count(1, 10_000), "runs of one hunt in one workspace a UTC day", 30
    )
    findings_a_run: int = _setting(_count(1, 1_000_000), "findings delivered a run", 10_000)
    megabytes_a_day: int = _setting(_count(1, 1_000_000), "MB sent to the workspace a UTC day", 500)
    incidents_a_run: int = _setting(_count(0, 1000), "incidents opened a run", 20)
    incidents_a_day: int = _setting(
        _count(0, 3000), "incidents opened a UTC day; roll-ups may add a tenth", 200
    )

    executors: int = _setting(
        _count(1, 200), "Spark executors of a job, at most: as many as its plan is worth", 2
    )
    executor_cores: int = _setting(_count(1, 64), "cores of an executor", 4)
    executor_memory: str = _setting(_text, "memory of an executor", "28g")
    driver_cores: int = _setting(_count(1, 64), "cores of the driver", 4)
    driver_memory: str = _setting(_text, "memory of the driver", "28g")

    @property
    def job_cores(self) -> int:
        """Cores that a job asks of the pool at most: its driver's and its executors'."""
        return self.driver_cores + self.executors * self.executor_cores

    @property
    def exports_account(self) -> str:
        """Host that names the exports account in abfss URLs."""
        return self.exports_host or urlsplit(self.exports_endpoint).hostname or ""

    @property
    def state_account(self) -> str:
        """Host that names the state account in abfss URLs."""
        return self.state_host or urlsplit(self.state_endpoint).hostname or ""

    @property
    def sink_workspace(self) -> str:
        """Resource id of the workspace that holds the findings table."""
        return self.findings_workspace or self.workspaces[0]


def environment_name(field_name: str) -> str:
    """The environment variable of a field, e.g. `TIDEHUNT_DCR_ID`."""
    return PREFIX + field_name.upper()


def load(environment: Mapping[str, str]) -> tuple[Settings | None, list[Fault]]:
    """Settings, or None with every fault there is. An empty variable counts as absent."""
    values: dict[str, Any] = {}
    faults: list[Fault] = []
    for item in fields(Settings):
        name = environment_name(item.name)
        given = environment.get(name, "").strip()
        if given:
            try:
                values[item.name] = item.metadata["parse"](given)
            except ValueError as error:
                faults.append(Fault(name, str(error), f"give {item.metadata['help']}"))
        elif item.default is MISSING:
            faults.append(Fault(name, "is not set", f"give {item.metadata['help']}"))
    faults.extend(_unknown(environment))
    faults.extend(_no_room(values))
    faults.extend(_no_job(values))
    return (None, faults) if faults else (Settings(**values), [])


def _no_job(values: Mapping[str, Any]) -> list[Fault]:
    """A job is reserved at its worst: a cap below that of one job lets nothing ever start."""

    def given(name: str) -> Any:
        return values.get(name, getattr(Settings, name))

    cores = given("driver_cores") + given("executors") * given("executor_cores")
    worst, cap = cores * given("run_deadline_seconds") / 3600, given("vcore_hours_a_day")
    if worst <= cap:
        return []
    name = environment_name("vcore_hours_a_day")
    what = f"is {cap:g}, and one job may use {worst:g}"
    deadline = environment_name("run_deadline_seconds")
    return [Fault(name, what, f"raise it, or lower {deadline} or the cores of a job")]


def _no_room(values: Mapping[str, Any]) -> list[Fault]:
    """A call starts only while its bound is left of the turn: with none left nothing ever runs."""
    turn = values.get("turn_seconds", Settings.turn_seconds)
    call = values.get("call_seconds", Settings.call_seconds)
    if call * 2 <= turn:
        return []
    name = environment_name("call_seconds")
    what = f"is {call:g}, more than half of {environment_name('turn_seconds')} ({turn:g})"
    return [Fault(name, what, "give calls a shorter bound, or turns more time")]


def _unknown(environment: Mapping[str, str]) -> list[Fault]:
    known = {environment_name(item.name) for item in fields(Settings)}
    foreign = {name for name in environment if name.startswith(PREFIX)} - known - HOST_VARIABLES
    return [
        Fault(name, "is no setting of Tidehunt", "correct its spelling or remove it")
        for name in sorted(foreign)
    ]


HOST_VARIABLES = frozenset({"TIDEHUNT_HOST_KEY", "TIDEHUNT_HOME"})
"""Variables of the workbench, which its child processes inherit."""
