"""Bookmarks: evidence that an analyst, or the product, pins to an incident by a relation."""

from __future__ import annotations

from typing import Any

from workbench.emulators import sentinel_rules as rules
from workbench.emulators.arm import Answer, Call
from workbench.emulators.sentinel_resources import CONFLICT, Resources
from workbench.emulators.sentinel_store import Key, Store

Json = dict[str, Any]

PREVIEW = ("entityMappings", "tactics", "techniques")
"""Stable api-versions do not have these: they are dropped."""


class Bookmarks:
    """Bookmarks of all workspaces."""

    def __init__(self, store: Store, conflict: int = CONFLICT) -> None:
        self._store = store
        self.bookmarks = Resources(store, "bookmarks", self._bookmark, conflict=conflict)

    def delete(self, call: Call) -> Answer:
        """Delete a bookmark and the relations that name it."""
        for _, incident in self._store.list(call.workspace, "incidents"):
            self._unrelate(call, incident["name"])
        return self.bookmarks.delete(call)

    def _unrelate(self, call: Call, incident: str) -> None:
        for _, relation in self._store.list(call.workspace, "relations", incident):
            if relation["properties"]["relatedResourceName"].lower() == call.name.lower():
                self._store.delete(Key(call.workspace, "relations", incident, relation["name"]))

    def _bookmark(self, call: Call, old: Json | None) -> Json:
        """`incidentInfo` is dropped: it never links a bookmark to its incident."""
        sent = call.body["properties"]
        preview = PREVIEW if call.version.endswith("-preview") else ()
        return rules.told(
            {
                "displayName": rules.text(sent, "displayName", required=True),
                "query": rules.text(sent, "query", required=True),
                "queryResult": rules.text(sent, "queryResult"),
                "notes": rules.text(sent, "notes"),
                "labels": rules.strings(sent, "labels"),
                "eventTime": rules.moment(sent, "eventTime"),
                "queryStartTime": rules.moment(sent, "queryStartTime"),
                "queryEndTime": rules.moment(sent, "queryEndTime"),
                **rules.written(call.who, old),
                **{name: sent.get(name) for name in preview},
            }
        )
