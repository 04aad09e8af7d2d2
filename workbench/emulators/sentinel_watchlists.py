"""Watchlists and their items: uploads as CSV or TSV take a while, then append and never delete."""

from __future__ import annotations

import csv
import json
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from workbench.emulators import sentinel_rules as rules
from workbench.emulators.arm import Answer, ArmError, Call, invalid, new_etag
from workbench.emulators.sentinel_resources import CONFLICT, PROVIDER, Resources
from workbench.emulators.sentinel_store import Key, Store

Json = dict[str, Any]

UPLOAD_BYTES = 3_800_000
LINE_CHARACTERS = 10_240
ROW_BYTES = 10_240
LONG_RUNNING_SINCE = "2024-09-01"
"""Older api-versions answer as if an upload were done at once."""
TENANT = "00000000-0000-0000-0000-000000000000"
_DELIMITERS = {"text/csv": ",", "text/tsv": "\t"}


class Watchlists:
    """Watchlists of all workspaces; an upload takes `seconds`, during which it is in progress."""

    def __init__(
        self,
        store: Store,
        conflict: int = CONFLICT,
        seconds: float = 0.0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._store = store
        self._seconds = seconds
        self._clock = clock
        self.watchlists = Resources(
            store, "Watchlists", self._watchlist, conflict=conflict, shown=self._shown
        )
        self.items = Resources(
            store, "WatchlistItems", self._item, parent="Watchlists", conflict=conflict
        )

    def put(self, call: Call) -> Answer:
        """Create or replace a watchlist and append the rows that it brings."""
        rows = list(_rows(call.body["properties"]))
        answer = self.watchlists.put(call)
        self._append(call, rows)
        return Answer(answer.status, answer.body, self._operation(call))

    def delete(self, call: Call) -> Answer:
        """Delete a watchlist with its items; 409 while an upload is in progress."""
        stored = self._store.get(Key(call.workspace, "Watchlists", "", call.name))
        if stored and self._state(stored) != "Succeeded":
            raise ArmError(409, "Conflict", "The watchlist is being uploaded.")
        self._store.delete_children(call.workspace, "WatchlistItems", call.name)
        answer = self.watchlists.delete(call)
        if answer.status == 200 and call.version[:10] >= LONG_RUNNING_SINCE:
            return Answer(202, None, self._operation(call))
        return answer

    def operation(self, call: Call) -> Answer:
        """How a long-running operation on a watchlist stands; a deleted one has succeeded."""
        stored = self._store.get(Key(call.workspace, "Watchlists", "", call.name))
        status = self._state(stored) if stored else "Succeeded"
        return Answer(200, {"id": call.request.url.path, "name": call.name, "status": status})

    def _watchlist(self, call: Call, old: Json | None) -> Json:
        sent = call.body["properties"]
        return rules.told(
            {
                "watchlistId": old["watchlistId"] if old else str(uuid.uuid4()),
                "displayName": rules.text(sent, "displayName", required=True),
                "provider": rules.text(sent, "provider", required=True),
                "itemsSearchKey": rules.text(sent, "itemsSearchKey", required=True),
                "source": rules.text(sent, "source"),
                "sourceType": rules.choice(sent, "sourceType", ("Local", "AzureStorage")),
                "description": rules.text(sent, "description"),
                "labels": rules.strings(sent, "labels"),
                "watchlistType": "watchlist",
                "watchlistAlias": call.name,
                "isDeleted": False,
                "tenantId": TENANT,
                **rules.written(call.who, old),
                "readyAt": self._clock() + self._seconds,
            }
        )

    def _item(self, call: Call, old: Json | None) -> Json:
        values = call.body["properties"].get("itemsKeyValue")
        if not isinstance(values, dict) or not values:
            raise invalid("Required property 'itemsKeyValue' is missing.")
        _check_row(values)
        return _item_properties(call, call.name, values, old)

    def _append(self, call: Call, rows: list[Json]) -> None:
        """Add rows that are not there yet, whole rows compared."""
        held = self._store.list(call.workspace, "WatchlistItems", call.name)
        known = {_canonical(item["properties"]["itemsKeyValue"]) for _, item in held}
        for row in rows:
            if _canonical(row) not in known:
                known.add(_canonical(row))
                self._add(call, str(uuid.uuid4()), row)

    def _add(self, call: Call, name: str, row: Json) -> None:
        below = f"{call.workspace}/providers/{PROVIDER}/Watchlists/{call.name}"
        item = {
            "id": f"{below}/WatchlistItems/{name}",
            "name": name,
            "type": f"{PROVIDER}/Watchlists/WatchlistItems",
            "etag": new_etag(),
            "properties": _item_properties(call, name, row, None),
        }
        self._store.put(Key(call.workspace, "WatchlistItems", call.name, name), item)

    def _shown(self, call: Call, watchlist: Json) -> Json:
        state = self._state(watchlist)
        upload = "Complete" if state == "Succeeded" else state
        told = {k: v for k, v in watchlist["properties"].items() if k != "readyAt"}
        told |= {"uploadStatus": upload}
        if call.version[:10] >= LONG_RUNNING_SINCE:
            told |= {"provisioningState": state}
        return {**watchlist, "properties": told}

    def _state(self, watchlist: Json) -> str:
        ready = watchlist["properties"]["readyAt"] <= self._clock()
        return "Succeeded" if ready else "InProgress"

    def _operation(self, call: Call) -> dict[str, str]:
        if call.version[:10] < LONG_RUNNING_SINCE:
            return {}
        path = f"{call.workspace}/providers/{PROVIDER}/watchlistOperations/{call.name}"
        url = call.request.url.replace(path=path, query=f"api-version={call.version}")
        return {"Azure-AsyncOperation": str(url)}


def _item_properties(call: Call, name: str, values: Json, old: Json | None) -> Json:
    return {
        "watchlistItemType": "watchlist-item",
        "watchlistItemId": name,
        "tenantId": TENANT,
        "isDeleted": False,
        "itemsKeyValue": values,
        **rules.written(call.who, old),
    }


def _rows(properties: Json) -> Iterator[Json]:
    """The rows that an upload brings; none without `rawContent`. Raises ArmError (400, 413)."""
    content = rules.text(properties, "rawContent")
    if content is None:
        return
    lines = _lines(content, properties.get("numberOfLinesToSkip") or 0)
    delimiter = _DELIMITERS.get(rules.text(properties, "contentType") or "")
    if delimiter is None:
        raise invalid(f"contentType must be one of {', '.join(_DELIMITERS)}.")
    try:
        reader = csv.DictReader(lines, delimiter=delimiter)
        columns, rows = reader.fieldnames or (), list(reader)
    except csv.Error as error:
        raise invalid(f"rawContent is not {properties['contentType']}: {error}") from error
    if properties.get("itemsSearchKey") not in columns:
        raise invalid("itemsSearchKey is not a column of the content.")
    for row in rows:
        values = {column: value or "" for column, value in row.items() if column is not None}
        _check_row(values)
        yield values


def _check_row(values: Json) -> None:
    if len(_canonical(values).encode()) > ROW_BYTES:
        raise invalid(f"A watchlist item has at most {ROW_BYTES} bytes.")


def _lines(content: str, skip: Any) -> list[str]:
    if len(content.encode()) > UPLOAD_BYTES:
        raise ArmError(413, "RequestEntityTooLarge", f"At most {UPLOAD_BYTES} bytes an upload.")
    if not isinstance(skip, int):
        raise invalid("numberOfLinesToSkip must be a number.")
    lines = content.replace("\r\n", "\n").split("\n")[skip:]
    if any(len(line) > LINE_CHARACTERS for line in lines):
        raise invalid(f"A line has at most {LINE_CHARACTERS} characters.")
    return [line + "\n" for line in lines]


def _canonical(values: Json) -> str:
    return json.dumps(values, sort_keys=True, ensure_ascii=False)
