"""Frozen dataclasses <-> JSON documents, by their type hints; every document has a schema version.

Times are ISO 8601 in UTC. A document of a version that we do not know, or that lacks what it must
have, raises BadInput: it is left alone (quarantined by its reader), never overwritten.
"""

from __future__ import annotations

import types
from collections.abc import Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from shared.errors import BadInput
from shared.model import Json

SCHEMA = 1
T = TypeVar("T")


def encode(document: object) -> Json:
    """A dataclass as a JSON object, with its schema version; defaults are left out."""
    return {"schema": SCHEMA, **_object(document)}


def decode(kind: type[T], body: Json, where: str) -> T:
    """The dataclass that a document holds. BadInput names the document and what is wrong."""
    if body.get("schema") != SCHEMA:
        raise BadInput(
            f"document has schema {body.get('schema')!r}, not {SCHEMA}",
            where=where,
            mend="run the version of Tidehunt that wrote it, or move the document away",
        )
    try:
        return _from_object(kind, {k: v for k, v in body.items() if k != "schema"})
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise BadInput(
            f"document does not hold a {kind.__name__}: {error}",
            where=where,
            mend="move the document away; it is not overwritten",
        ) from error


def _object(document: Any) -> Json:
    kept = {}
    for item in fields(document):
        value = getattr(document, item.name)
        if item.default is MISSING or value != item.default:
            kept[item.name] = _value(value)
    return kept


def _value(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if is_dataclass(value):
        return _object(value)
    if isinstance(value, Mapping):
        return {key: _value(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_value(part) for part in value]
    return value


def _hashable(kind: type) -> Hashable:
    return kind


@cache
def _shape(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return get_origin(hint), get_args(hint)


@cache
def _hints(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _from_object(kind: type[T], body: Mapping[str, Any]) -> T:
    hints = _hints(_hashable(kind))
    unknown = set(body) - set(hints)
    if unknown:
        raise ValueError(f"unknown fields {sorted(unknown)}")
    return kind(**{name: _typed(hints[name], value) for name, value in body.items()})


def _typed(hint: Any, value: Any) -> Any:
    origin, arguments = _shape(hint)
    if origin in (Union, types.UnionType):
        return None if value is None else _typed(arguments[0], value)
    if origin is Literal:
        if value not in arguments:
            raise ValueError(f"{value!r} is not one of {arguments}")
        return value
    if origin is tuple:
        return tuple(_typed(arguments[0], part) for part in value)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {key: _typed(arguments[1], part) for key, part in value.items()}
    return _scalar(hint, value)


def _utc(value: str) -> datetime:
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None:
        raise ValueError(f"{value!r} does not say that it is UTC")
    return moment.astimezone(UTC)


def _scalar(hint: Any, value: Any) -> Any:
    if hint is datetime:
        return _utc(value)
    if isinstance(hint, type) and is_dataclass(hint):
        return _from_object(hint, value)
    if hint is Any:
        return value
    if hint is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{value!r} is no {hint.__name__}")
    return value
