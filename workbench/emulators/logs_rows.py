"""What the Logs Ingestion API makes of a payload: limits, declared columns, types and times."""

from __future__ import annotations

import gzip
import json
import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

Json = dict[str, Any]

PAYLOAD_BYTES = 1_000_000
"""Of a call, compressed and uncompressed."""
FIELD_BYTES = 65_536
"""Of UTF-8; what is longer is cut without a word."""
OLDEST = timedelta(days=2)
NEWEST = timedelta(days=1)
TIME = "TimeGenerated"

_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")
_DIGITS = re.compile(r"[+-]?[0-9]+")
_BOOLEANS = {"true": True, "false": False}


class Refused(Exception):
    """The service says no: status and the code and message of its `error`."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message


@dataclass(frozen=True)
class Stream:
    """One stream of a data collection rule: the table it feeds and its columns, name -> type."""

    name: str
    table: str
    columns: Mapping[str, str]


def stream(declaration: Mapping[str, Any]) -> Stream:
    """The stream that a file such as `infra/findings-stream.json` declares."""
    columns = {column["name"]: column["type"] for column in declaration["columns"]}
    return Stream(declaration["stream"], declaration["table"], columns)


def read_rows(body: bytes, encoding: str) -> list[Json]:
    """The rows of a payload; `encoding` is the Content-Encoding. Raises Refused (400, 413)."""
    _check_size(body)
    try:
        text = _unpacked(body, encoding).decode()
        rows = json.loads(text, parse_constant=_no_constant)
        json.dumps(rows, ensure_ascii=False).encode()  # lone surrogates are no Unicode
    except (ValueError, RecursionError, zlib.error, EOFError, OSError) as error:
        raise _bad(f"The payload is not valid: {error}") from error
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise _bad("The payload is not a JSON array of objects.")
    return rows


def _check_size(content: bytes) -> None:
    if len(content) > PAYLOAD_BYTES:
        message = f"Maximum allowed content length: {PAYLOAD_BYTES} bytes."
        raise Refused(413, "ContentLengthLimitExceeded", message)


def _unpacked(body: bytes, encoding: str) -> bytes:
    if encoding not in ("", "gzip"):
        raise _bad(f"The content encoding {encoding} is not supported.")
    if not encoding:
        return body
    with gzip.open(BytesIO(body)) as unpacked:
        content = unpacked.read(PAYLOAD_BYTES + 1)
    _check_size(content)
    return content


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _bad(message: str) -> Refused:
    return Refused(400, "InvalidPayload", message)


def stored(row: Mapping[str, Any], to: Stream, received: datetime) -> Json:
    """A row as the table keeps it: declared columns only, typed, with a TimeGenerated."""
    kept = {name: typed(row.get(name), kind) for name, kind in to.columns.items()}
    kept[TIME] = _time_generated(kept.get(TIME), received)
    return kept


def _time_generated(value: Any, received: datetime) -> str:
    """The service replaces a time that it finds too old or too far ahead by its own."""
    moment = datetime.fromisoformat(value) if value else None
    if moment is None or not received - OLDEST <= moment <= received + NEWEST:
        return iso(received)
    return iso(moment)


def typed(value: Any, kind: str) -> Any:
    """A value as its declared type; null when it cannot be. `dynamic` becomes JSON text."""
    convert: Callable[[Any], Any] = _TYPED.get(kind, _text)
    return None if value is None else convert(value)


def _int(value: Any) -> int | None:
    return _whole(value, 31)


def _long(value: Any) -> int | None:
    return _whole(value, 63)


def _whole(value: Any, bits: int) -> int | None:
    number = _real(value)
    if number is None or not number.is_integer():
        return None
    # Not by way of the float where possible: it has 53 bits.
    whole = int(value) if _DIGITS.fullmatch(str(value)) else int(number)
    return whole if -(2**bits) <= whole < 2**bits else None


def _real(value: Any) -> float | None:
    if isinstance(value, bool) or not _NUMBER.fullmatch(str(value)):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else _BOOLEANS.get(str(value).lower())


def _moment(value: Any) -> str | None:
    try:
        moment = datetime.fromisoformat(value)
        return iso(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
    except (TypeError, ValueError, OverflowError):
        return None


def iso(moment: datetime) -> str:
    """A time as the table keeps it: UTC, of constant width, so that text sorts as time."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _text(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode()[:FIELD_BYTES].decode(errors="ignore")


_TYPED: Mapping[str, Callable[[Any], Any]] = {
    "int": _int,
    "long": _long,
    "real": _real,
    "boolean": _boolean,
    "datetime": _moment,
}
