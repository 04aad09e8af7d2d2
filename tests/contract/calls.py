"""Every method of the HTTP ports that are not storage, against one address."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from azure.core.credentials import AccessTokenInfo, TokenRequestOptions
from azure.eventgrid import EventGridPublisherClient
from azure.monitor.ingestion import LogsIngestionClient
from azure.synapse.spark import SparkClient

from shared.adapters.eventgrid import EventGridNotifier
from shared.adapters.logs_ingestion import LogsIngestionSink
from shared.adapters.logs_query import LogAnalyticsWorkspace, query_client
from shared.adapters.sentinel import ArmIncidentSink
from shared.adapters.synapse import EnginePool, SynapseEngine
from shared.errors import Missing, TidehuntError
from shared.model import JobRequest

CALL_SECONDS = 3.0
"""Long enough for a busy machine."""
WORKSPACE = (
    "/subscriptions/5d2e2d16-0f0a-4a3e-8f39-0d2f6f4f3c11/resourcegroups/soc"
    "/providers/microsoft.operationalinsights/workspaces/contoso"
)
INCIDENT = "0b8d1c52-55f2-5d0c-9d6a-0f6c3b6f8a10"
TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJjYW5hcnkiOiIxIn0.c2lnbmF0dXJl"
"""A canary: it may be in a request's header and nowhere else."""
POOL = EnginePool(4, "28g", 4, "28g")
JOB = JobRequest(
    job_id="job-20260101000000-0123abcd",
    main="abfss://code@tidehuntstate.dfs.core.windows.net/0f/main.py",
    py_files=(),
    arguments=("plan.json",),
    conf={},
    executors=2,
)


class FixedToken:
    """A credential that needs no service."""

    def get_token_info(
        self, *_scopes: str, options: TokenRequestOptions | None = None
    ) -> AccessTokenInfo:
        assert not (options or {}).get("claims")
        return AccessTokenInfo(TOKEN, int(time.time()) + 3600)

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        raise NotImplementedError("azure-core asks for get_token_info")

    def close(self) -> None:
        """Nothing is held."""


@dataclass(frozen=True)
class Call:
    """One method of a port against one address."""

    name: str
    run: Callable[[str, float], object]
    """Address, bound in seconds."""
    acts: bool
    missing: type[TidehuntError] | None
    """What 404 raises; None: it is an answer."""


def engine(url: str, seconds: float = CALL_SECONDS) -> SynapseEngine:
    return SynapseEngine(SparkClient(FixedToken(), url, "pool"), POOL, seconds)


def sink(url: str, seconds: float = CALL_SECONDS) -> LogsIngestionSink:
    client = LogsIngestionClient(url, FixedToken())
    return LogsIngestionSink(client, "dcr-1", "Custom-TidehuntFindings", seconds)


def workspace(url: str, seconds: float = CALL_SECONDS) -> LogAnalyticsWorkspace:
    return LogAnalyticsWorkspace(query_client(f"{url}/v1", FixedToken()), WORKSPACE, seconds)


def incident_sink(url: str, seconds: float = CALL_SECONDS) -> ArmIncidentSink:
    return ArmIncidentSink(url, FixedToken(), seconds)


def notifier(url: str, seconds: float = CALL_SECONDS) -> EventGridNotifier:
    client = EventGridPublisherClient(f"{url}/api/events", FixedToken())
    return EventGridNotifier(client, "/tidehunt", seconds)


CALLS = [
    Call("engine.submit", lambda url, seconds: engine(url, seconds).submit(JOB), True, Missing),
    Call("engine.get", lambda url, seconds: engine(url, seconds).get("0"), False, None),
    Call("engine.list", lambda url, seconds: engine(url, seconds).list(), False, Missing),
    Call("engine.cancel", lambda url, seconds: engine(url, seconds).cancel("0"), True, None),
    Call("sink.send", lambda url, seconds: sink(url, seconds).send(b'[{"a":1}]'), True, Missing),
    Call(
        "workspace.count",
        lambda url, seconds: workspace(url, seconds).count_findings("r"),
        False,
        Missing,
    ),
    Call(
        "workspace.sample",
        lambda url, seconds: workspace(url, seconds).sample_findings("r"),
        False,
        Missing,
    ),
    Call(
        "incidents.get",
        lambda url, seconds: incident_sink(url, seconds).get(WORKSPACE, INCIDENT),
        False,
        None,
    ),
    Call(
        "incidents.put",
        lambda url, seconds: incident_sink(url, seconds).put(
            WORKSPACE, INCIDENT, {"title": "t"}, '"1"'
        ),
        True,
        Missing,
    ),
    Call(
        "incidents.comment",
        lambda url, seconds: incident_sink(url, seconds).comment(
            WORKSPACE, INCIDENT, INCIDENT, "text"
        ),
        True,
        Missing,
    ),
    Call(
        "incidents.list",
        lambda url, seconds: list(incident_sink(url, seconds).list(WORKSPACE)),
        False,
        Missing,
    ),
    Call(
        "notifier.publish",
        lambda url, seconds: notifier(url, seconds).publish("1", "K", "s", {}),
        True,
        Missing,
    ),
]
A_CALL_OF_EACH_SDK = [
    call for call in CALLS if call.name.endswith((".submit", ".send", ".count", ".put", ".publish"))
]


def name_of(call: Call) -> str:
    """For test ids."""
    return call.name


def raised_by(call: Call, url: str, seconds: float = CALL_SECONDS) -> TidehuntError:
    """The error that a call ends with."""
    with pytest.raises(TidehuntError) as raised:
        call.run(url, seconds)
    return raised.value
