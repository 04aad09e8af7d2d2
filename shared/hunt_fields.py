"""Readers of a spec's keys: one Spot of YAML -> one checked value. All raise BadInput."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
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
PARAM_CHARS = 200
MOST_SLOTS = 35 * 24
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


def each(spot: Spot, read: Callable[[Spot], str], least: int = 0) -> tuple[str, ...]:
    """A list of different values, `least` of them at least."""
    values: list[str] = []
    for item in spot.items():
        value = read(item)
        if value in values:
            raise item.wrong(f"repeats {value!r}", "remove one of them")
        values.append(value)
    if len(values) < least:
        raise spot.wrong("is empty", "give it a value")
    return tuple(values)


def choices(spot: Spot, options: Iterable[str]) -> tuple[str, ...]:
    """One or more of a few words."""
    known = list(options)
    return each(spot, lambda one: one.choice(known), least=1)


def texts(spot: Spot) -> tuple[str, ...]:
    """Sentences."""
    return each(spot, Spot.text)


def identifiers(spot: Spot) -> tuple[str, ...]:
    """Names of our own: parameters, lists of reference data."""
    return each(spot, lambda one: one.match(contract.IDENTIFIER, "a name of a-z, 0-9 and _"))


def columns(spot: Spot) -> tuple[str, ...]:
    """Names of a finding's columns."""
    return each(spot, column, least=1)


def column(spot: Spot) -> str:
    """The name of a column."""
    return spot.match(_COLUMN, "a column's name")


def techniques(spot: Spot) -> tuple[str, ...]:
    """ATT&CK techniques and sub-techniques."""
    return each(spot, lambda one: one.match(_TECHNIQUE, "a technique, e.g. T1071 or T1071.001"))


def tables(spot: Spot) -> tuple[str, ...]:
    """Exported tables, in lower case as the lake names them."""
    # Sentinel writes CommonSecurityLog, the lake commonsecuritylog: a spec may write either.
    return each(spot, lambda one: _table(one).lower())


def _table(spot: Spot) -> str:
    if not contract.TABLE.fullmatch(spot.text().lower()):
        raise spot.wrong(f"is {spot.text(100)!r}", "write a table's name, e.g. CommonSecurityLog")
    return spot.text()


def severity(spot: Spot) -> Mapping[str, float]:
    """Severity -> lowest score in (0, 1], rising with the severity."""
    bands = {name: score.number(0, 1) for name, score in spot.fields(contract.SEVERITIES).items()}
    ordered = {name: bands[name] for name in contract.SEVERITIES if name in bands}
    scores = list(ordered.values())
    if not scores or scores[0] <= 0 or any(low >= high for low, high in pairwise(scores)):
        mend = "give lowest scores above 0 that rise, e.g. Low: 0.5, Medium: 0.7, High: 0.9"
        raise spot.wrong("has no rising scores", mend)
    return ordered


def schedule(spot: Spot) -> str:
    """A cron expression of five fields that comes about some day."""
    text = spot.text(100)
    try:
        if len(text.split()) != 5:
            raise CronSimError("it must have five fields")
        next(CronSim(text, datetime(2026, 1, 1, tzinfo=UTC)))
    except (CronSimError, StopIteration) as error:
        mend = "write minute, hour, day of month, month, day of week in UTC, e.g. '0 4 * * *'"
        raise spot.wrong(f"is no cron expression: {error or 'it never comes'}", mend) from error
    return text


def catch_up(spot: Spot) -> int | None:
    """How many of the newest slots a hunt judges after an outage; None: all."""
    if isinstance(spot.value, str):
        return {"all": None, "latest": 1}[spot.choice(("all", "latest"))]
    return spot.whole(1, MOST_SLOTS)


def quiet_days(spot: Spot) -> int:
    """Days for which a benign closure keeps a case quiet."""
    return spot.fields(("quiet_days",), ("quiet_days",))["quiet_days"].whole(1, 3650)


def params(spot: Spot) -> tuple[Param, ...]:
    """Parameters: numbers have bounds, text and flags have none."""
    return tuple(_param(name, one) for name, one in spot.mapping().items())


def _param(name: str, spot: Spot) -> Param:
    if not contract.IDENTIFIER.fullmatch(name):
        raise spot.wrong("is no name for a parameter", "use 3 to 48 of a-z, 0-9 and _")
    fields = spot.fields(("default", "min", "max", "description"), ("default",))
    description = optional(fields, "description", Spot.text, "")
    default = fields["default"]
    if type(default.value) not in (int, float):
        return Param(name, _unbounded(fields), description=description)
    for bound in ("min", "max"):
        if bound not in fields:
            raise spot.wrong(f"lacks '{bound}'", f"add a line '{bound}: ...' below it")
    low, high = fields["min"].number(), fields["max"].number()
    if low > high:
        raise fields["min"].wrong(f"is above max {high:g}", "swap them")
    number = default.number(low, high)
    whole = type(default.value) is int
    return Param(name, int(default.value) if whole else number, low, high, description)


def _unbounded(fields: Fields) -> str | bool:
    for bound in ("min", "max"):
        if bound in fields:
            raise fields[bound].wrong("bounds a value that is no number", "remove it")
    default = fields["default"]
    return default.value if isinstance(default.value, bool) else default.text(PARAM_CHARS)


def entity_mappings(spot: Spot) -> tuple[Json, ...]:
    """Entity mappings in the shape of Sentinel's analytics rules."""
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
    return {"identifier": identifier, "columnName": column(fields["columnName"])}
