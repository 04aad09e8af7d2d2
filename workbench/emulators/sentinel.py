"""Microsoft Sentinel's ARM routes: incidents, comments, relations, bookmarks, watchlists.

All below `{workspace resource id}/providers/Microsoft.SecurityInsights/`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute

from workbench.emulators.arm import (
    Answer,
    ArmError,
    ArmRoute,
    Call,
    Caller,
    Handler,
    api_version,
    json_object,
    who_asks,
)
from workbench.emulators.sentinel_bookmarks import Bookmarks
from workbench.emulators.sentinel_incidents import Incidents
from workbench.emulators.sentinel_resources import CONFLICT, Resources
from workbench.emulators.sentinel_store import Store
from workbench.emulators.sentinel_watchlists import Watchlists

STABLE = (
    *("2020-01-01", "2021-04-01", "2021-10-01", "2022-08-01", "2022-11-01", "2023-02-01"),
    *("2023-11-01", "2024-03-01", "2024-09-01", "2025-03-01", "2025-06-01", "2025-09-01"),
    "2025-12-01",
)
PREVIEW_MONTHS = (
    *("2021-03", "2021-09", "2021-10", "2022-01", "2022-04", "2022-05", "2022-06", "2022-07"),
    *("2022-08", "2022-09", "2022-10", "2022-11", "2022-12", "2023-02", "2023-03", "2023-04"),
    *("2023-05", "2023-06", "2023-07", "2023-08", "2023-09", "2023-10", "2023-12", "2024-01"),
    *("2024-04", "2024-10", "2025-01", "2025-04", "2025-07"),
)
VERSIONS = tuple(sorted((*STABLE, *(f"{month}-01-preview" for month in PREVIEW_MONTHS))))
"""Every version of azure-rest-api-specs, specification/securityinsights, that has incidents."""

_WORKSPACE = (
    "/subscriptions/{subscription}/resourceGroups/{group}"
    "/providers/Microsoft.OperationalInsights/workspaces/{workspace}"
)
_BASE = _WORKSPACE + "/providers/Microsoft.SecurityInsights"


class Sentinel:
    """Sentinel of some workspaces; what it holds survives in `<home>/emulators/sentinel.db`.

    `workspaces`: resource ids; the sequence may grow. `conflict_status`: how a stale ETag is
    answered. An upload of a watchlist takes `upload_seconds`; `clock`: epoch seconds.
    """

    def __init__(
        self,
        home: Path,
        *,
        workspaces: Sequence[str],
        conflict_status: int = CONFLICT,
        upload_seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._workspaces = workspaces
        self._store = Store(home / "emulators" / "sentinel.db")
        self.incidents = Incidents(self._store, conflict_status)
        self.bookmarks = Bookmarks(self._store, conflict_status)
        self.watchlists = Watchlists(self._store, conflict_status, upload_seconds, clock)

    def close(self) -> None:
        """Close the database."""
        self._store.close()

    def workspace(self, names: Mapping[str, str]) -> str:
        """The resource id of the workspace that a path names. Raises ArmError (404)."""
        asked = _WORKSPACE.format(**names).lower()
        for workspace in self._workspaces:
            if workspace.lower() == asked:
                return workspace
        resource = f"Microsoft.OperationalInsights/workspaces/{names['workspace']}"
        message = (
            f"The Resource '{resource}' under resource group '{names['group']}' was not found."
        )
        raise ArmError(404, "ResourceNotFound", message)


def routes(service: Sentinel, caller: Caller) -> list[BaseRoute]:
    """The routes below every workspace; `caller` names who asks, or None."""

    def endpoint(handlers: Mapping[str, Handler]) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            try:
                call = await _call(service, caller, request)
                return handlers[request.method](call).response()
            except ArmError as error:
                return Answer(error.status, error.body).response()

        return answer

    return [
        ArmRoute(_BASE + path, endpoint(handlers), methods=list(handlers))
        for path, handlers in _handlers(service).items()
    ]


async def _call(service: Sentinel, caller: Caller, request: Request) -> Call:
    who = who_asks(request, caller)
    version = api_version(request, VERSIONS)
    names: dict[str, str] = dict(request.path_params)
    workspace = service.workspace(names)
    own = {
        name: names[name] for name in names if name not in ("subscription", "group", "workspace")
    }
    return Call(request, who, version, workspace, own, await json_object(request))


def _handlers(service: Sentinel) -> dict[str, dict[str, Handler]]:
    incidents, bookmarks, lists = service.incidents, service.bookmarks, service.watchlists
    one, comment, relation = "/incidents/{incident}", "/comments/{name}", "/relations/{name}"
    item = "/watchlistItems/{name}"
    return {
        "/incidents": {"GET": incidents.list},
        one: _crud(incidents.incidents) | {"DELETE": incidents.delete},
        one + "/comments": {"GET": incidents.comments.list},
        one + comment: _crud(incidents.comments),
        one + "/relations": {"GET": incidents.relations.list},
        one + relation: _crud(incidents.relations),
        one + "/alerts": {"POST": incidents.alerts},
        one + "/bookmarks": {"POST": incidents.bookmarks},
        one + "/entities": {"POST": incidents.entities},
        "/bookmarks": {"GET": bookmarks.bookmarks.list},
        "/bookmarks/{name}": _crud(bookmarks.bookmarks) | {"DELETE": bookmarks.delete},
        "/watchlists": {"GET": lists.watchlists.list},
        "/watchlists/{watchlist}": _crud(lists.watchlists)
        | {"PUT": lists.put, "DELETE": lists.delete},
        "/watchlists/{watchlist}/watchlistItems": {"GET": lists.items.list},
        "/watchlists/{watchlist}" + item: _crud(lists.items),
        "/watchlistOperations/{name}": {"GET": lists.operation},
    }


def _crud(resources: Resources) -> dict[str, Handler]:
    return {"GET": resources.get, "PUT": resources.put, "DELETE": resources.delete}
