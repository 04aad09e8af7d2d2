"""What every type of Sentinel resource has in common: create, read, replace, delete, list."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from workbench.emulators.arm import (
    Answer,
    ArmError,
    Call,
    new_etag,
    not_found,
    page,
    same_etag,
    skipped,
)
from workbench.emulators.sentinel_store import Key, Store

Json = dict[str, Any]

PROVIDER = "Microsoft.SecurityInsights"
CONFLICT = 409
"""Unconfirmed as a status: users quote the code `Conflict` and the message only; 412 may be it."""


class Resources:
    """One type of resource of a workspace, or of another resource (`parent`).

    `properties` makes what is stored of a PUT (old properties or None); `shown` what is told of
    it. `kept`: allows a resource to be created, `changed`: is told of each write.
    """

    def __init__(
        self,
        store: Store,
        kind: str,
        properties: Callable[[Call, Json | None], Json],
        *,
        parent: str = "",
        conflict: int = CONFLICT,
        shown: Callable[[Call, Json], Json] = lambda _, resource: resource,
        changed: Callable[[Call], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._kind = kind
        self._properties = properties
        self._parent = parent
        self._conflict = conflict
        self._shown = shown
        self._changed = changed

    def get(self, call: Call) -> Answer:
        """200 with the resource, or 404."""
        self._check_parent(call)
        return Answer(200, self._shown(call, self.stored(call)))

    def put(self, call: Call) -> Answer:
        """201 for a new resource, 200 for one that was replaced: what is not sent is lost."""
        self._check_parent(call)
        old = self._store.get(self._key(call))
        self._check_etag(call, old)
        properties = self._properties(call, old["properties"] if old else None)
        resource = {
            "id": old["id"] if old else self.id(call),
            "name": old["name"] if old else call.name,
            "type": self._type(),
            "etag": new_etag(),
            "properties": properties,
        }
        self._store.put(self._key(call), resource)
        self._changed(call)
        return Answer(200 if old else 201, self._shown(call, resource))

    def delete(self, call: Call) -> Answer:
        """200, or 204 when there is nothing."""
        self._check_parent(call)
        existed = self._store.delete(self._key(call))
        if existed:
            self._changed(call)
        return Answer(200 if existed else 204)

    def list(self, call: Call) -> Answer:
        """A page, newest first."""
        parent = next(iter(call.names.values())) if call.names else ""
        if parent:
            self._find(call, self._parent, "", parent)
        found = self._store.list(call.workspace, self._kind, parent, skipped(call))
        return page(call, ((number, self._shown(call, resource)) for number, resource in found))

    def stored(self, call: Call) -> Json:
        """The resource as it is stored. Raises ArmError (404)."""
        return self._find(call, self._kind, call.parent, call.name)

    def _check_parent(self, call: Call) -> None:
        if self._parent:
            self._find(call, self._parent, "", call.parent)

    def _find(self, call: Call, kind: str, parent: str, name: str) -> Json:
        resource = self._store.get(Key(call.workspace, kind, parent, name))
        if resource is None:
            raise not_found(kind, name)
        return resource

    def _check_etag(self, call: Call, old: Json | None) -> None:
        if call.etag is None or (old and same_etag(call.etag, old["etag"])):
            return
        message = f"Newer version of resource '{call.name}' exists. Data was not saved"
        raise ArmError(self._conflict, "Conflict", message)

    def _key(self, call: Call) -> Key:
        return Key(call.workspace, self._kind, call.parent, call.name)

    def _type(self) -> str:
        parent = f"{self._parent}/" if self._parent else ""
        return f"{PROVIDER}/{parent}{self._kind}"

    def id(self, call: Call) -> str:
        """The resource id that a call names."""
        parent = f"{self._parent}/{call.parent}/" if self._parent else ""
        return f"{call.workspace}/providers/{PROVIDER}/{parent}{self._kind}/{call.name}"
