"""The only place that chooses adapters: settings -> a Deployment, once per process.

SDKs are imported when the first call needs them, so that indexing the app stays fast and an SDK
that cannot be imported shows as an error of a call, never as "0 functions".
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import azure.functions as func

from shared import __version__, log_lines, ports
from shared.control_loop import heartbeat
from shared.deployment import Deployment
from shared.errors import Permanent, TidehuntError
from shared.hunt_specs import load_folders
from shared.model import Json
from shared.records import Records
from shared.schedule import utc_now
from shared.settings import Fault, Settings, load

if TYPE_CHECKING:
    from azure.core.credentials import TokenCredential

log = logging.getLogger("tidehunt")
OWN_HUNTS = Path(__file__).resolve().parent.parent / "spark" / "hunts"
OBJECTS_BETWEEN_LOOKS = 20_000
_lock = threading.Lock()
_deployments: list[Deployment] = []


class BadSettings(Permanent):
    """The settings cannot be used; the message has all faults, each with its name and mend."""

    def __init__(self, faults: list[Fault]) -> None:
        super().__init__(
            "settings cannot be used: " + "; ".join(str(fault) for fault in faults),
            mend="correct them all and restart; /api/health shows what is left",
        )


def deployment() -> Deployment:
    """This process's deployment, made at the first call. BadSettings when it cannot be."""
    with _lock:
        if not _deployments:
            log_lines.install()
            _deployments.append(build(os.environ))
            _spare_the_collector()
        return _deployments[0]


def _spare_the_collector() -> None:
    """What lives as long as the process is not looked through again, and the rest less often.

    A request of an SDK makes thousands of objects: by default they are looked through several times
    an event, a twelfth of what a mark costs the host.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(OBJECTS_BETWEEN_LOOKS, 20, 20)


def clear_up() -> None:
    """Let go of what calls have left in circles, after a turn: it is few objects by then.

    Else it lies about until there are millions, and memory has grown by them.
    """
    gc.collect()


def build(environment: Mapping[str, str]) -> Deployment:
    """A deployment from an environment. BadSettings when it cannot be used."""
    settings, faults = load(environment)
    if settings is None:
        raise BadSettings(faults)
    specs, broken = load_folders([OWN_HUNTS, *map(Path, settings.hunt_folders)])
    for fault in broken:
        log.error("hunt left out: %s", fault)
    credential = _credential(settings)
    return Deployment(
        settings=settings,
        hunts=specs,
        hunt_faults=broken,
        clock=utc_now,
        owner=f"{os.environ.get('WEBSITE_INSTANCE_ID', 'local')[:16]}-{uuid.uuid4().hex[:8]}",
        notifier=_notifier(settings, credential),
        records=Records(_ledger(settings, credential)),
        exports=_exports(settings, credential),
        results=_results(settings, credential),
        engine=_engine(settings, credential),
        sink=_sink(settings, credential, settings.stream),
        health=_sink(settings, credential, settings.health_stream),
        workspace=_workspace(settings, credential),
        incidents=_incidents(settings, credential),
    )


def _credential(settings: Settings) -> TokenCredential:
    from azure.identity import DefaultAzureCredential

    # Unbounded by default: a silent identity endpoint would outlast the turn. An answer is final,
    # since azure-core sleeps for whatever Retry-After says; a lost one is asked for once more.
    return DefaultAzureCredential(
        managed_identity_client_id=settings.identity_client_id or None,
        exclude_interactive_browser_credential=True,
        retry_total=1,
        retry_status=0,
        connection_timeout=settings.call_seconds / 4,
        read_timeout=settings.call_seconds / 4,
    )


def _ledger(settings: Settings, credential: TokenCredential) -> ports.Ledger:
    from shared.adapters.storage import BlobLedger, blob_client

    blobs = blob_client(settings.state_endpoint, credential, settings.call_seconds)
    return BlobLedger(blobs.get_container_client("ledger"), settings.call_seconds)


def _results(settings: Settings, credential: TokenCredential) -> ports.ResultLake:
    from shared.adapters.storage import AdlsResultLake, blob_client, lake_client

    seconds = settings.call_seconds
    files = lake_client(settings.state_endpoint, credential, seconds)
    blobs = blob_client(settings.state_endpoint, credential, seconds)
    return AdlsResultLake(
        files.get_file_system_client("results"), blobs.get_container_client("results"), seconds
    )


def _exports(settings: Settings, credential: TokenCredential) -> ports.ExportLake:
    from shared.adapters.storage import AdlsExportLake, lake_client

    seconds = settings.call_seconds
    return AdlsExportLake(lake_client(settings.exports_endpoint, credential, seconds), seconds)


def _engine(settings: Settings, credential: TokenCredential) -> ports.SparkEngine:
    from azure.synapse.spark import SparkClient

    from shared.adapters.synapse import EnginePool, SynapseEngine

    pool = EnginePool(
        settings.executor_cores,
        settings.executor_memory,
        settings.driver_cores,
        settings.driver_memory,
    )
    client = SparkClient(credential, settings.synapse_endpoint, settings.synapse_pool)
    return SynapseEngine(client, pool, settings.call_seconds)


def _sink(settings: Settings, credential: TokenCredential, stream: str) -> ports.FindingSink:
    from azure.monitor.ingestion import LogsIngestionClient

    from shared.adapters.logs_ingestion import LogsIngestionSink

    client = LogsIngestionClient(settings.logs_endpoint, credential)
    return LogsIngestionSink(client, settings.dcr_id, stream, settings.call_seconds)


def _workspace(settings: Settings, credential: TokenCredential) -> ports.Workspace:
    from shared.adapters.logs_query import LogAnalyticsWorkspace, query_client

    client = query_client(settings.query_endpoint, credential)
    return LogAnalyticsWorkspace(client, settings.sink_workspace, settings.call_seconds)


def _incidents(settings: Settings, credential: TokenCredential) -> ports.IncidentSink:
    from shared.adapters.sentinel import ArmIncidentSink

    return ArmIncidentSink(settings.arm_endpoint, credential, settings.call_seconds)


def _notifier(settings: Settings, credential: TokenCredential) -> ports.Notifier | None:
    if not settings.topic_endpoint:
        return None
    from azure.eventgrid import EventGridPublisherClient

    from shared.adapters.eventgrid import EventGridNotifier

    client = EventGridPublisherClient(settings.topic_endpoint, credential)
    return EventGridNotifier(client, f"/tidehunt/{settings.deployment}", settings.call_seconds)


def http_guard(environment: Mapping[str, str]) -> func.AuthLevel:
    """Function keys, unless a setting says that Easy Auth is in front."""
    easy = environment.get("TIDEHUNT_AUTH") == "easyauth"
    return func.AuthLevel.ANONYMOUS if easy else func.AuthLevel.FUNCTION


def health(environment: Mapping[str, str]) -> tuple[int, Json]:
    """200 when the settings can be used and the ledger answers, else 503 with every fault."""
    settings, faults = load(environment)
    if settings is None:
        told = [{"setting": f.setting, "what": f.what, "mend": f.mend} for f in faults]
        return 503, {"status": "bad settings", "version": __version__, "faults": told}
    try:
        return 200, {"status": "ok", "version": __version__, **heartbeat(deployment())}
    except TidehuntError as error:
        log.error("health: %s", error)
        return 503, {"status": "not reachable", "version": __version__, "mend": error.mend}
