"""The rules for what a Sentinel resource may say, each raising ArmError (400)."""

from __future__ import annotations

import re
import uuid
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from workbench.emulators.arm import invalid, timestamp

Json = dict[str, Any]

DESCRIPTION = 5_000
"""Characters, counted as the service's platform counts them: UTF-16 units."""
COMMENT = 30_000
SEVERITIES = ("High", "Medium", "Low", "Informational")
STATUSES = ("New", "Active", "Closed")
REASONS: Mapping[str, tuple[str, ...]] = {
    "Undetermined": (),
    "TruePositive": ("SuspiciousActivity",),
    "BenignPositive": ("SuspiciousButExpected",),
    "FalsePositive": ("IncorrectAlertLogic", "InaccurateData"),
}
"""Classification -> the classificationReasons that fit; where there are any, one is required."""
OWNER = ("objectId", "email", "assignedTo", "userPrincipalName")
OWNER_TYPES = ("Unknown", "User", "Group")
_UUID = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")


def text(properties: Json, name: str, *, required: bool = False, limit: int = 0) -> str | None:
    """A string property, at most `limit` UTF-16 units long, or None."""
    value = properties.get(name)
    if value is None or (required and value == ""):
        if required:
            raise invalid(f"Required property '{name}' is missing.")
        return None
    if not isinstance(value, str):
        raise invalid(f"Property '{name}' must be a string.")
    if limit and len(value.encode("utf-16-le")) // 2 > limit:
        raise invalid(f"Property '{name}' exceeds the maximum of {limit} characters.")
    return value


def choice(
    properties: Json, name: str, values: Collection[str], *, required: bool = False
) -> str | None:
    """A property that is one of some values, or None."""
    value = text(properties, name, required=required)
    if value is not None and value not in values:
        raise invalid(f"'{value}' is not a valid {name}. Valid values: {', '.join(values)}.")
    return value


def moment(properties: Json, name: str) -> str | None:
    """A property that is a date and time, as it was sent, or None."""
    value = text(properties, name)
    try:
        if value is not None:
            datetime.fromisoformat(value)
    except ValueError as error:
        raise invalid(f"Property '{name}' is not a date and time.") from error
    return value


def strings(properties: Json, name: str) -> list[str]:
    """A property that is a list of strings; empty when there is none."""
    value = properties.get(name) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise invalid(f"Property '{name}' must be a list of strings.")
    return value


def incident(sent: Json) -> Json:
    """What an incident says: the writable properties that were sent."""
    title = text(sent, "title", required=True)
    severity = choice(sent, "severity", SEVERITIES, required=True)
    status = choice(sent, "status", STATUSES, required=True)
    return told(
        {
            "title": title,
            "description": text(sent, "description", limit=DESCRIPTION),
            "severity": severity,
            "status": status,
            **classification(sent, status),
            "owner": owner(sent),
            "labels": labels(sent),
            "firstActivityTimeUtc": moment(sent, "firstActivityTimeUtc"),
            "lastActivityTimeUtc": moment(sent, "lastActivityTimeUtc"),
        }
    )


def classification(properties: Json, status: str | None) -> Json:
    """An incident's classification, its reason and comment, as far as they are sent."""
    kind = choice(properties, "classification", REASONS)
    reason = choice(properties, "classificationReason", sum(REASONS.values(), ()))
    if status == "Closed" and kind is None:
        raise invalid("status 'Closed' must have classification.")
    fitting = REASONS.get(kind or "", ())
    if kind and fitting and reason is None:
        raise invalid(f"classification '{kind}' must have classificationReason.")
    if reason is not None and reason not in fitting:
        raise invalid(f"classification '{kind}' does not allow classificationReason '{reason}'.")
    return {
        "classification": kind,
        "classificationReason": reason,
        "classificationComment": text(properties, "classificationComment"),
    }


def labels(properties: Json) -> list[Json]:
    """An incident's labels as they are told: `labelType` is the service's own."""
    value = properties.get("labels") or []
    if not isinstance(value, list) or not all(isinstance(label, dict) for label in value):
        raise invalid("Property 'labels' must be a list of objects.")
    names = [text(label, "labelName", required=True) for label in value]
    return [{"labelName": name, "labelType": "User"} for name in names]


def owner(properties: Json) -> Json:
    """An incident's owner as it is told: all of its fields, null when nobody owns it."""
    value = properties.get("owner") or {}
    if not isinstance(value, dict):
        raise invalid("Property 'owner' must be an object.")
    told: Json = {name: text(value, name) for name in OWNER}
    if told["objectId"] and not _UUID.fullmatch(told["objectId"]):
        raise invalid("Property 'owner.objectId' must be a GUID.")
    kind = choice(value, "ownerType", OWNER_TYPES)
    return told | ({"ownerType": kind} if kind else {})


def author(who: str) -> Json:
    """Who wrote a comment: an application has no mail address."""
    return {"objectId": _object_id(who), "email": None, "userPrincipalName": None, "name": who}


def _user(who: str) -> Json:
    return {"objectId": _object_id(who), "email": None, "name": who}


def _object_id(who: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, who))


def written(who: str, old: Json | None) -> Json:
    """Who wrote a bookmark or a watchlist first and last, and when."""
    now = timestamp()
    return {
        "created": old["created"] if old else now,
        "createdBy": old["createdBy"] if old else _user(who),
        "updated": now,
        "updatedBy": _user(who),
    }


def told(properties: Json) -> Json:
    """Properties without those that are null: the service leaves them out."""
    return {name: value for name, value in properties.items() if value is not None}
