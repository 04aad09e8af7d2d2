"""`ports.Notifier` over an Event Grid topic, and what an incoming storage event says.

Facts that this file rests on (azure-eventgrid 4.22.1, azure-functions 1.26):
* CloudEvents arrive as func.CloudEvent even where EventGridEvent is annotated; both schemas have
  the same `data` and the same subject.
* An event is anybody's claim: it may only ever become a bounded mark, so that everything here is
  parsed, nothing is fetched and what does not parse is None.
* Options of a call reach the transport, but also each event's model, which warns of every one.
* Event Grid delivers at least once: a repeated publish under the same id is no harm.
"""

from __future__ import annotations

import logging
import re
import unicodedata
from typing import Any
from urllib.parse import unquote, urlsplit

import azure.functions as func
from azure.core.messaging import CloudEvent
from azure.eventgrid import EventGridPublisherClient

from shared.adapters.azure_errors import one_request, translated
from shared.model import Json, StorageEvent

PATH_CHARACTERS = 1024
_SUBJECT = re.compile(
    r"/blobServices/default/containers/(?P<container>[A-Za-z0-9$][A-Za-z0-9_-]{2,62})"
    r"/blobs/(?P<path>.+)",
    re.ASCII | re.DOTALL,
)
_HIDDEN = re.compile(r"%(?![0-9a-f]{2})|%(?:2e|2f|5c|25|[01][0-9a-f]|7f)", re.IGNORECASE)
_STORAGE = "Microsoft.Storage."


class EventGridNotifier:
    """Publishes CloudEvents to a custom topic."""

    def __init__(self, client: EventGridPublisherClient, source: str, call_seconds: float) -> None:
        self._client = client
        self._source = source
        self._request = one_request(call_seconds)
        # Its warnings are about the options of the call, which the event's model does not know.
        logging.getLogger("azure.eventgrid._legacy._generated._serialization").setLevel(
            logging.ERROR
        )

    def publish(self, event_id: str, kind: str, subject: str, data: Json) -> None:
        """Publish one event with one request; the same id again is a repeat."""
        event = CloudEvent(source=self._source, type=kind, id=event_id, subject=subject, data=data)
        with translated("publish an event", kind, acts=True):
            self._client.send([event], **self._request)


def payload_of(event: func.EventGridEvent | func.CloudEvent) -> Json:
    """An event of the Functions host as the JSON object that it was."""
    if isinstance(event, func.CloudEvent):
        cloud = {
            "specversion": event.specversion,
            "id": event.id,
            "source": event.source,
            "type": event.type,
            "subject": event.subject,
            "time": event.time.isoformat() if event.time else None,
            "data": event.get_json(),
        }
        return {name: value for name, value in cloud.items() if value is not None}
    grid = {
        "id": event.id,
        "topic": event.topic,
        "subject": event.subject,
        "eventType": event.event_type,
        "eventTime": event.event_time.isoformat() if event.event_time else None,
        "data": event.get_json(),
        "dataVersion": event.data_version,
    }
    return {name: value for name, value in grid.items() if value is not None}


def storage_event(payload: Json) -> StorageEvent | None:
    """The storage event of a payload in either schema; None for everything else. Never raises."""
    try:
        kind, subject, data = _envelope(payload)
        # The SDK makes an id up where there is none.
        return _event(payload["id"], kind, subject, data)
    except Exception:  # whatever a hostile payload makes the SDK's parser raise
        return None


def _envelope(payload: Json) -> tuple[Any, Any, Any]:
    if "specversion" in payload:
        cloud: CloudEvent[Any] = CloudEvent.from_dict(payload)
        return cloud.type, cloud.subject, cloud.data
    # Its own schema is plain; the SDK's model of it is a twentieth of what a mark costs the host.
    return payload["eventType"], payload["subject"], payload["data"]


def _event(event_id: Any, kind: Any, subject: Any, data: Any) -> StorageEvent | None:
    """The event, or None. ValueError when a field has another type than its own."""
    if not isinstance(data, dict) or not _text(kind).startswith(_STORAGE) or not _text(event_id):
        return None
    place = _SUBJECT.fullmatch(_text(subject))
    path = _path(place["path"]) if place else None
    if place is None or path is None:
        return None
    return StorageEvent(
        id=_text(event_id),
        kind=_text(kind),
        container=place["container"],
        path=path,
        api=_text(data.get("api", "")),
        content_length=_size(data.get("contentLength", 0)),
        url_host=_host(_text(data.get("url", ""))),
        etag=_text(data.get("eTag", "")),
        sequencer=_text(data.get("sequencer", "")),
    )


def _path(written: str) -> str | None:
    """A blob's path, decoded once; None when anything in it could lead elsewhere."""
    if _HIDDEN.search(written):
        return None
    path = unquote(written, errors="strict")
    # Lookalikes of dots and slashes are folded to what they look like before the same question.
    safe = _stays_inside(path) and (
        path.isascii() or _stays_inside(unicodedata.normalize("NFKC", path))
    )
    return path if safe else None


def _stays_inside(path: str) -> bool:
    if len(path) > PATH_CHARACTERS or "\\" in path or ".." in path:
        return False
    if not path.isprintable() and any(unicodedata.category(letter)[0] == "C" for letter in path):
        return False
    return all(part not in ("", ".") for part in path.split("/"))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def _size(value: Any) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**63:
        raise ValueError("no size")
    return value


def _host(address: str) -> str:
    parts = urlsplit(address)
    if address and parts.scheme not in ("https", "http"):
        raise ValueError("no address")
    return (parts.hostname or "").lower()
