"""Frozen dataclasses <-> JSON documents, by their type hints; every document has a schema version.

Times are ISO 8601 in UTC. A document of a version that we do not know, or that lacks what it must
have, raises BadInput: it is left alone (quarantined by its reader), never overwritten. A field that
we do not know is a later version's: it is not read, and survives our writes (docs/adr/0007).
"""

from __future__ import annotations

import types
from collections.abc import Callable, Hashable, Mapping
from dataclasses import MISSING, fields, is_dataclass
from datetime import UTC, datetime
from functools import cache, lru_cache, partial
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from shared.errors import BadInput, LaterVersion
from shared.model import Json
from shared.packing import pack, unpack
from shared.timeline import HuntRecord

SCHEMA = 1
"""Of a kind that is as it was at first."""
PACKED = 2
"""Of a time line; 1 was the same as objects, and is still read."""
T = TypeVar("T")
Reader = Callable[[Any], Any]


def encode(document: object) -> Json:
    """A dataclass as a JSON object, with its schema version; defaults are left out."""
    return _document(type(document), _object(document))


def encode_over(body: Json, before: object, after: object) -> Json:
    """`after` as a document, with what `body`, from which `before` was read, has besides."""
    wide, known, new = _unpacked(type(after), body), _object(before), _object(after)
    # What this version wrote, which is nearly all, has nothing besides.
    return _document(type(after), new if wide == known else _carry(wide, known, new))


def newest(kind: type) -> int:
    """The newest schema of a kind that this version reads, and the one that it writes."""
    return PACKED if kind is HuntRecord else SCHEMA


def decode(kind: type[T], body: Json, where: str) -> T:
    """The dataclass that a document holds. BadInput names the document and what is wrong."""
    _check_schema(body.get("schema"), newest(kind), where)
    try:
        return _from_object(kind, _unpacked(kind, body))
    except (LookupError, TypeError, ValueError, AttributeError, ArithmeticError) as error:
        raise BadInput(
            f"document does not hold a {kind.__name__}: {error}",
            where=where,
            mend="move the document away; it is not overwritten",
        ) from error


def _check_schema(version: object, known: int, where: str) -> None:
    if type(version) is not int or not 1 <= version <= known:
        later = type(version) is int and version > known
        raise (LaterVersion if later else BadInput)(
            f"document has schema {str(version)[:40]}, not {known}",
            where=where,
            mend="run the version of Tidehunt that wrote it, or move the document away",
        )


def _document(kind: type, wide: Json) -> Json:
    return {"schema": newest(kind), **(pack(wide) if kind is HuntRecord else wide)}


def _unpacked(kind: type, body: Json) -> Json:
    """A document's fields, as objects whatever its schema."""
    bare = {name: value for name, value in body.items() if name != "schema"}
    return unpack(bare) if kind is HuntRecord and body["schema"] == PACKED else bare


def _carry(body: Json, before: Json, after: Json) -> Json:
    """`after` with what `body` has and `before` has not, at any depth: nobody here knows it."""
    foreign = {name: value for name, value in body.items() if name not in {*before, *after}}
    return {
        **foreign,
        **{name: _carried(body.get(name), before.get(name), new) for name, new in after.items()},
    }


def _carried(body: Any, before: Any, after: Any) -> Any:
    if isinstance(body, dict) and isinstance(after, dict):
        return _carry(body, before if isinstance(before, dict) else {}, after)
    if isinstance(body, list) and isinstance(before, list) and isinstance(after, list):
        # Items that are still there stay as they were written.
        return [body[before.index(item)] if item in before else item for item in after]
    return after


def _object(document: Any) -> Json:
    kept = {}
    for name, default in _defaults(_hashable(type(document))):
        value = getattr(document, name)
        if default is MISSING or value != default:
            kept[name] = _value(value)
    return kept


def _hashable(kind: type) -> Hashable:
    return kind


@cache
def _defaults(kind: Any) -> tuple[tuple[str, Any], ...]:
    return tuple((item.name, item.default) for item in fields(kind))


def _value(value: Any) -> Any:
    kind = type(value)
    return value if kind in _AS_THEY_ARE else _writer(_hashable(kind))(value)


_AS_THEY_ARE = frozenset({str, int, float, bool, type(None)})


@cache
def _writer(kind: Any) -> Callable[[Any], Any]:
    """How a value of this type is written: worked out once, as its reader is."""
    if issubclass(kind, datetime):
        return lambda value: value.isoformat()
    if is_dataclass(kind):
        return _object
    if issubclass(kind, Mapping):
        return lambda value: {key: _value(part) for key, part in value.items()}
    if issubclass(kind, list | tuple):
        return lambda value: [_value(part) for part in value]
    return lambda value: value


def _from_object(kind: type[T], body: Mapping[str, Any]) -> T:
    found: T = _reader(_hashable(kind))(body)
    return found


@cache
def _reader(hint: Any) -> Reader:
    """How a value of this type is read: worked out once, since a turn reads thousands."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        inner = _reader(arguments[0])
        return lambda value: None if value is None else inner(value)
    if origin is Literal:
        return partial(_one_of, arguments)
    if origin is tuple:
        part = _reader(arguments[0])
        return lambda value: tuple([part(one) for one in value])
    if isinstance(origin, type) and issubclass(origin, Mapping):
        held = _reader(arguments[1])
        return lambda value: {key: held(one) for key, one in value.items()}
    return _plain_reader(hint)


def _plain_reader(hint: Any) -> Reader:
    if hint is datetime:
        return _utc
    if isinstance(hint, type) and is_dataclass(hint):
        return _object_reader(hint)
    if hint is Any:
        return lambda value: value
    return lambda value: value if type(value) is hint else _scalar(hint, value)


def _object_reader(kind: type) -> Reader:
    readers = {name: _reader(hint) for name, hint in get_type_hints(kind).items()}

    def read(body: Mapping[str, Any]) -> Any:
        return kind(**{name: readers[name](body[name]) for name in body if name in readers})

    return read


def _one_of(allowed: tuple[Any, ...], value: Any) -> Any:
    if value not in allowed:
        raise ValueError(f"{value!r} is not one of {allowed}")
    return value


@lru_cache(maxsize=2_000)
def _utc(value: str) -> datetime:
    """Kept: a record names the same few times in each of its slots."""
    moment = datetime.fromisoformat(value)
    if moment.utcoffset() is None:
        raise ValueError(f"{value!r} does not say that it is UTC")
    return moment.astimezone(UTC)


def _scalar(hint: Any, value: Any) -> Any:
    if hint is float and isinstance(value, int):
        return float(value)
    if not isinstance(value, hint) or (hint is int and isinstance(value, bool)):
        raise ValueError(f"{value!r} is no {hint.__name__}")
    return value
