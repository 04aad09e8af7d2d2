"""Readers of a spec's keys: one Spot of YAML -> one checked value. All raise BadInput."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from itertools import pairwise
from typing import TypeVar

from cronsim import CronSim, CronSimError

from shared import contract
from shared.hunt_yaml import Spot
from shared.model import Json, Param

TACTICS = (
    "Reconnaissance", "ResourceDevelopment", "InitialAccess", "Execution", "Persistence",
    "PrivilegeEscalation", "DefenseEvasion", "CredentialAccess", "Discovery", "LateralMovement",
    "Collection", "CommandAndControl", "Exfiltration", "Impact", "PreAttack",
    "ImpairProcessControl", "InhibitResponseFunction",
)  # fmt: skip
ENTITY_TYPES = (
    "Account", "AzureResource", "CloudApplication", "DNS", "File", "FileHash", "Host", "IP",
    "MailCluster", "MailMessage", "Mailbox", "Malware", "Process", "RegistryKey", "RegistryValue",
    "SecurityGroup", "SubmissionMail", "URL",
)  # fmt: skip
MAX_ENTITY_MAPPINGS = 10
MAX_FIELD_MAPPINGS = 3
"""Limits of Sentinel's analytics rules."""

_TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?", re.ASCII)
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}", re.ASCII)

T = TypeVar("T")
Fields = Mapping[str, Spot]


def optional(fields: Fields, key: str, read: Callable[[Spot], T], default: T) -> T:
    """What a reader makes of a key, or the default where the spec does not have it."""
    return read(fields[key]) if key in fields else default


def _each(spot: Spot, read: Callable[[Spot], str], least: int = 0) -> tuple[str, ...]:
    values: list[str] = []
    for item in spot.items():
        value = read(item)
        if value in values:
            raise item.wrong(f"repeats {value!r}", "remove one of them")
        values.append(value)
    if len(values) < least:
        raise spot.wrong("is empty", "give it a value")
    return tuple(values)


def _texts(spot: Spot) -> tuple[str, ...]:
    return _each(spot, Spot.text)


def _identifiers(spot: Spot) -> tuple[str, ...]:
    return _each(spot, lambda one: one.match(contract.IDENTIFIER, "a name of a-z, 0-9 and _"))


def _columns(spot: Spot, least: int = 0) -> tuple[str, ...]:
    return _each(spot, _column, least)


def _column(spot: Spot) -> str:
    return spot.match(_COLUMN, "a column's name")


def _techniques(spot: Spot) -> tuple[str, ...]:
    return _each(spot, lambda one: one.match(_TECHNIQUE, "a technique, e.g. T1071 or T1071.001"))


def _tables(spot: Spot) -> tuple[str, ...]:
    # Sentinel writes CommonSecurityLog, the lake commonsecuritylog: a spec may write either.
    return _each(spot, lambda one: _table(one).lower())


def _table(spot: Spot) -> str:
    if not contract.TABLE.fullmatch(spot.text().lower()):
        raise spot.wrong(f"is {spot.text(100)!r}", "write a table's name, e.g. CommonSecurityLog")
    return spot.text()


def _severity(spot: Spot) -> Mapping[str, float]:
    bands = {name: score.number(0, 1) for name, score in spot.fields(contract.SEVERITIES).items()}
    ordered = {name: bands[name] for name in contract.SEVERITIES if name in bands}
    scores = list(ordered.values())
    if not scores or scores[0] <= 0 or any(low >= high for low, high in pairwise(scores)):
        mend = "give lowest scores above 0 that rise, e.g. Low: 0.5, Medium: 0.7, High: 0.9"
        raise spot.wrong("has no rising scores", mend)
    return ordered


def _schedule(spot: Spot) -> str:
    text = spot.text(100)
    try:
        if len(text.split()) != 5:
            raise CronSimError("it must have five fields")
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        mend = "write minute, hour, day of month, month, day of week in UTC, e.g. '0 4 * * *'"
        raise spot.wrong(f"is no cron expression: {error or 'it never comes'}", mend) from error
    return text


def _quiet_days(spot: Spot) -> int:
    return spot.fields(("quiet_days",), ("quiet_days",))["quiet_days"].whole(1, 3650)


def _params(spot: Spot) -> tuple[Param, ...]:
    return tuple(_param(name, one) for name, one in spot.mapping().items())


def _param(name: str, spot: Spot) -> Param:
    if not contract.IDENTIFIER.fullmatch(name):
        raise spot.wrong("is no name for a parameter", "use 3 to 48 of a-z, 0-9 and _")
    fields = spot.fields(("default", "min", "max", "description"), ("default",))
    description = _optional(fields, "description", Spot.text, "")
    default = fields["default"]
    if type(default.value) not in (int, float):
        return Param(name, _word(spot, fields), description=description)
    if not {"min", "max"} <= fields.keys():
        raise spot.wrong("has no bounds", "add min: ... and max: ...")
    low, high = fields["min"].number(), fields["max"].number()
    if low > high:
        raise fields["min"].wrong(f"is above max {high:g}", "swap them")
    value = default.number(low, high)
    return Param(
        name, default.value if type(default.value) is int else value, low, high, description
    )


def _word(spot: Spot, fields: Fields) -> str | bool:
    for bound in ("min", "max"):
        if bound in fields:
            raise fields[bound].wrong("bounds a value that is no number", "remove it")
    default = fields["default"]
    return default.value if isinstance(default.value, bool) else default.text(200)


def _entity_mappings(spot: Spot) -> tuple[Json, ...]:
    return tuple(_entity_mapping(one) for one in spot.items(MAX_ENTITY_MAPPINGS))


def _entity_mapping(spot: Spot) -> Json:
    keys = ("entityType", "fieldMappings")
    fields = spot.fields(keys, keys)
    mappings = [_field_mapping(one) for one in fields["fieldMappings"].items(MAX_FIELD_MAPPINGS)]
    if not mappings:
        raise fields["fieldMappings"].wrong("is empty", "map one identifier at least")
    return {"entityType": fields["entityType"].choice(ENTITY_TYPES), "fieldMappings": mappings}


def _field_mapping(spot: Spot) -> Json:
    keys = ("identifier", "columnName")
    fields = spot.fields(keys, keys)
    identifier = fields["identifier"].match(_COLUMN, "an identifier, e.g. Address")
    return {"identifier": identifier, "columnName": _column(fields["columnName"])}
