"""Incidents, their comments and their relations to bookmarks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from workbench.emulators import sentinel_rules as rules
from workbench.emulators.arm import (
    Answer,
    Call,
    invalid,
    new_etag,
    not_found,
    page,
    skipped,
    timestamp,
)
from workbench.emulators.sentinel_resources import CONFLICT, PROVIDER, Resources
from workbench.emulators.sentinel_store import Key, Store

Json = dict[str, Any]

COMMENTS = 100
"""Of one incident; like BOOKMARKS."""
BOOKMARKS = 20
RELATION_NAME = re.compile(r"[a-zA-Z0-9-]{3,63}")

_CLAUSE = re.compile(r"properties/(\w+) (eq|ne) '((?:[^']|'')*)'")
_PORTAL = "https://portal.azure.com/#asset/Microsoft_Azure_Security_Insights/Incident"


class Incidents:
    """Incidents of all workspaces."""

    def __init__(self, store: Store, conflict: int = CONFLICT) -> None:
        self._store = store
        self.incidents = Resources(
            store, "incidents", self._incident, conflict=conflict, shown=self._shown
        )
        self.comments = Resources(
            store,
            "comments",
            self._comment,
            parent="incidents",
            conflict=conflict,
            changed=self._touch,
        )
        self.relations = Resources(
            store,
            "relations",
            self._relation,
            parent="incidents",
            conflict=conflict,
            changed=self._touch,
        )

    def list(self, call: Call) -> Answer:
        """A page of incidents, newest first; `$filter` knows `properties/x eq|ne '...' and ...`."""
        held = self._store.list(call.workspace, "incidents", "", skipped(call))
        chosen = self._filtered(call.request.query_params.get("$filter", ""), held)
        return page(call, ((number, self._shown(call, incident)) for number, incident in chosen))

    def delete(self, call: Call) -> Answer:
        """Delete an incident with all that belongs to it."""
        for kind in ("comments", "relations"):
            self._store.delete_children(call.workspace, kind, call.name)
        return self.incidents.delete(call)

    def alerts(self, call: Call) -> Answer:
        """The incident's alerts: incidents of the API have none."""
        self.incidents.stored(call)
        return Answer(200, {"value": []})

    def entities(self, call: Call) -> Answer:
        """The incident's entities: they come from alerts, so there are none."""
        self.incidents.stored(call)
        return Answer(200, {"entities": [], "metaData": []})

    def bookmarks(self, call: Call) -> Answer:
        """The incident's bookmarks, as entities."""
        self.incidents.stored(call)
        related = [
            relation["properties"]["relatedResourceName"]
            for _, relation in self._store.list(call.workspace, "relations", call.name)
        ]
        found = (self._store.get(Key(call.workspace, "bookmarks", "", name)) for name in related)
        value = [
            {**bookmark, "type": f"{PROVIDER}/entities", "kind": "Bookmark"}
            for bookmark in found
            if bookmark
        ]
        return Answer(200, {"value": value})

    def _incident(self, call: Call, old: Json | None) -> Json:
        content = rules.incident(call.body["properties"])
        number = old["incidentNumber"] if old else self._store.next_number(call.workspace)
        now = timestamp()
        return content | {
            "createdTimeUtc": old["createdTimeUtc"] if old else now,
            "lastModifiedTimeUtc": now,
            "incidentNumber": number,
            "incidentUrl": f"{_PORTAL}{self.incidents.id(call)}",
            "providerName": "Azure Sentinel",
            "providerIncidentId": str(number),
            "relatedAnalyticRuleIds": [],
        }

    def _shown(self, call: Call, incident: Json) -> Json:
        counts = {
            "alertsCount": 0,
            "bookmarksCount": self._store.count(call.workspace, "relations", incident["name"]),
            "commentsCount": self._store.count(call.workspace, "comments", incident["name"]),
            "alertProductNames": [],
            "tactics": [],
        }
        return {**incident, "properties": {**incident["properties"], "additionalData": counts}}

    def _touch(self, call: Call) -> None:
        """A comment or a relation is a change of its incident: a new version of it."""
        key = Key(call.workspace, "incidents", "", call.parent)
        incident = self._store.get(key)
        if incident:
            incident["etag"] = new_etag()
            incident["properties"]["lastModifiedTimeUtc"] = timestamp()
            self._store.put(key, incident)

    def _comment(self, call: Call, old: Json | None) -> Json:
        sent = call.body["properties"]
        message = rules.text(sent, "message", required=True, limit=rules.COMMENT)
        self._check_room(call, old, "comments", COMMENTS)
        now = timestamp()
        return {
            "message": message,
            "createdTimeUtc": old["createdTimeUtc"] if old else now,
            "lastModifiedTimeUtc": now,
            "author": old["author"] if old else rules.author(call.who),
        }

    def _relation(self, call: Call, old: Json | None) -> Json:
        if not RELATION_NAME.fullmatch(call.name):
            raise invalid(f"'{call.name}' is not a valid relation name.")
        related = rules.text(call.body["properties"], "relatedResourceId", required=True) or ""
        start = f"{call.workspace}/providers/{PROVIDER}/bookmarks/".lower()
        if not related.lower().startswith(start):
            raise invalid("relatedResourceId is no bookmark of this workspace.")
        bookmark = self._store.get(Key(call.workspace, "bookmarks", "", related[len(start) :]))
        if bookmark is None:
            raise not_found("bookmarks", related)
        self._check_room(call, old, "relations", BOOKMARKS)
        return {
            "relatedResourceId": bookmark["id"],
            "relatedResourceName": bookmark["name"],
            "relatedResourceType": bookmark["type"],
        }

    def _check_room(self, call: Call, old: Json | None, kind: str, limit: int) -> None:
        if old is None and self._store.count(call.workspace, kind, call.parent) >= limit:
            raise invalid(f"An incident has at most {limit} {kind}.")

    def _filtered(self, text: str, found: Iterator[tuple[int, Json]]) -> Iterator[tuple[int, Json]]:
        matches = [_CLAUSE.fullmatch(clause) for clause in text.split(" and ")] if text else []
        clauses = [match.groups() for match in matches if match]
        if len(clauses) < len(matches):
            raise invalid(f"Invalid filter, or one that the local Sentinel does not know: {text}")
        for number, incident in found:
            values = incident["properties"]
            if all(
                (values.get(name) == value.replace("''", "'")) == (operator == "eq")
                for name, operator, value in clauses
            ):
                yield number, incident
