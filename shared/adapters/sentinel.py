"""`ports.IncidentSink` over Sentinel's ARM routes: a thin client on azure-core.

Facts that this file rests on (api-version 2025-09-01):
* PUT replaces the whole incident, and without an ETag it replaces what an analyst wrote since:
  so we look before we create, and a repeated creation overwrites nothing.
* A comment is a new version of its incident: an ETag that was read before is stale after it.
* The id is the caller's: the same id again is the same incident, and the same comment.
* A stale ETag is refused as 409 or 412 (which of them, Microsoft does not say).
* The ETag belongs into the body; If-Match says it once more to whoever reads headers only.
* `nextLink` is the service's word: it is followed on the same scheme, host and port only, and
  no redirect is followed at all, since every request carries a token.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from urllib.parse import urlsplit

from azure.core import PipelineClient
from azure.core.credentials import TokenCredential
from azure.core.exceptions import HttpResponseError
from azure.core.pipeline.policies import (
    BearerTokenCredentialPolicy,
    RequestIdPolicy,
    UserAgentPolicy,
)
from azure.core.rest import HttpRequest, HttpResponse

from shared.adapters.azure_errors import lost_answer, one_request, translated
from shared.errors import BadInput, Conflict, Missing, Permanent
from shared.model import Incident, Json

API_VERSION = "2025-09-01"
SCOPE = "https://management.azure.com/.default"
PAGES = 50
_SEGMENT = r"(?!\.+/)[^/\\%?#\s\x00-\x1f]"
_WORKSPACE = re.compile(
    rf"/subscriptions/{_SEGMENT}{{1,64}}/resourcegroups/{_SEGMENT}{{1,90}}"
    r"/providers/microsoft\.operationalinsights/workspaces/[a-z0-9-]{1,63}",
    re.IGNORECASE | re.ASCII,
)


class ArmIncidentSink:
    """Incidents of any workspace that the identity has a role for; one HTTP request a call."""

    def __init__(self, endpoint: str, credential: TokenCredential, call_seconds: float) -> None:
        self._endpoint = endpoint.rstrip("/")
        self._seconds = call_seconds
        # Neither a retry policy, which would sleep for Retry-After, nor a redirect policy.
        self._client: PipelineClient[HttpRequest, HttpResponse] = PipelineClient(
            self._endpoint,
            policies=[
                RequestIdPolicy(),
                UserAgentPolicy("tidehunt"),
                BearerTokenCredentialPolicy(credential, SCOPE),
            ],
        )

    def get(self, workspace: str, incident_id: str) -> Incident | None:
        """The incident in the workspace with this resource id, or None."""
        try:
            answer = self._send("GET", _incident_path(workspace, incident_id))
        except Missing:
            return None
        return _incident(answer, incident_id)

    def put(self, workspace: str, incident_id: str, properties: Json, etag: str | None) -> Incident:
        """Create (etag None; Conflict when it exists) or write over the version that was read.

        Conflict when that one changed. A creation is two requests that share the bound.
        """
        path = _incident_path(workspace, incident_id)
        if etag is None:
            self._refuse_existing(path)
            answer = self._send("PUT", path, {"properties": properties}, share=0.5)
        else:
            body = {"etag": etag, "properties": properties}
            answer = self._send("PUT", path, body, {"If-Match": etag})
        return _incident(answer, incident_id, acts=True)

    def comment(self, workspace: str, incident_id: str, comment_id: str, message: str) -> None:
        """Add a comment under a fixed id; the same id again changes nothing for the reader."""
        path = f"{_incident_path(workspace, incident_id)}/comments/{_guid(comment_id)}"
        try:
            self._send("PUT", path, {"properties": {"message": message}})
        except Conflict:
            self._send("GET", path)  # Missing unless the refused comment is there already.

    def list(self, workspace: str) -> Iterator[Incident]:
        """All incidents of a workspace, page by page; each page is one bounded request."""
        answer = self._send("GET", f"{_sentinel(workspace)}/incidents")
        for _ in range(PAGES):
            found = answer.get("value")
            if not isinstance(found, list):
                raise lost_answer("list incidents", workspace, acts=False)
            for item in found:
                yield _incident(item, "")
            following = answer.get("nextLink")
            if not following:
                return
            answer = self._follow(str(following))
        raise Permanent(f"more than {PAGES} pages of incidents", where=workspace)

    def _refuse_existing(self, path: str) -> None:
        try:
            self._send("GET", path, share=0.5)
        except Missing:
            return
        raise Conflict("the incident exists", where=path)

    def _follow(self, link: str) -> Json:
        """The page behind a link, if it leads to where we are."""
        if _origin(link) != _origin(self._endpoint):
            raise Permanent("incidents go on at a foreign address", where=repr(link[:200]))
        return self._request(HttpRequest("GET", link), "the next page", self._seconds)

    def _send(
        self,
        method: str,
        path: str,
        body: Json | None = None,
        headers: dict[str, str] | None = None,
        *,
        share: float = 1.0,
    ) -> Json:
        request = HttpRequest(
            method,
            f"{self._endpoint}{path}",
            params={"api-version": API_VERSION},
            headers=headers,
            json=body,
        )
        return self._request(request, path, self._seconds * share)

    def _request(self, request: HttpRequest, where: str, seconds: float) -> Json:
        what, acts = f"{request.method} in Sentinel", request.method != "GET"
        options = one_request(seconds)
        timeouts = {name: options[name] for name in ("connection_timeout", "read_timeout")}
        # What was sent is a finding's text: a refusal may quote it.
        with translated(what, where, acts=acts, quote=not acts):
            response = self._client.send_request(request, **timeouts)
            if response.status_code not in (200, 201):
                raise HttpResponseError(response=response)
            answer = response.json()
        if not isinstance(answer, dict):
            raise lost_answer(what, where, acts=acts)
        return answer


def _sentinel(workspace: str) -> str:
    if not _WORKSPACE.fullmatch(workspace):
        raise BadInput("no resource id of a workspace", where=repr(workspace[:200]))
    return f"{workspace}/providers/Microsoft.SecurityInsights"


def _incident_path(workspace: str, incident_id: str) -> str:
    return f"{_sentinel(workspace)}/incidents/{_guid(incident_id)}"


def _guid(text: str) -> str:
    try:
        return str(uuid.UUID(text))
    except ValueError as error:
        raise BadInput("no GUID", where=repr(text[:60])) from error


def _origin(link: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(link)
        return parts.scheme.lower(), (parts.hostname or "").lower(), parts.port
    except ValueError:
        return "", "", None


def _incident(answer: object, incident_id: str, *, acts: bool = False) -> Incident:
    """An incident as the service wrote it; its own name where the caller does not know one."""
    held = answer if isinstance(answer, dict) else {}
    properties, etag = held.get("properties"), held.get("etag", "")
    if not isinstance(properties, dict) or not isinstance(etag, str):
        raise lost_answer("read an incident", incident_id, acts=acts)
    return Incident(incident_id or str(held.get("name", "")), etag, properties)
