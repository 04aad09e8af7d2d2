"""Values of a document as text, whatever they are: nothing here raises, nothing is markup.

Every value may come from an attacker's log line: `clean` is the only way from a value to text.
"""

from __future__ import annotations

import json
import math
import re
from datetime import UTC, datetime, timedelta
from typing import Any

Json = dict[str, Any]
ABSENT = "-"
_EARLIEST, _LATEST = 0.0, 4_102_444_800.0  # 1970 and 2100, as epoch seconds
_UNITS = ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s"))


def clean(value: object, limit: int = 300) -> str:
    """Any value as one line of visible text; controls and bidi marks show as their code points.

    Links lose their scheme's teeth, since mail programs make links of plain text.
    """
    if value is None or value == "":
        return ABSENT
    if isinstance(value, float):
        return short_number(value)
    text = value if isinstance(value, str) else _as_text(value)
    cut = text[:limit] + ("…" if len(text) > limit else "")
    shown = "".join(char if char.isprintable() else f"\\u{ord(char):04x}" for char in cut)
    return re.sub(r"(?i)\bhttp(s?)://", r"hxxp\1://", shown)


def _as_text(value: object) -> str:
    if isinstance(value, dict | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=str)
    return str(value)


def items(value: object) -> list[Any]:
    """A list, whatever came; a mapping or a scalar where a list belongs gives none."""
    return list(value) if isinstance(value, list | tuple) else []


def table(value: object) -> Json:
    """A mapping with text keys, whatever came."""
    return {str(key): entry for key, entry in value.items()} if isinstance(value, dict) else {}


def number(value: object) -> float | None:
    """A finite number, or None; text that reads as a number counts."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def amount(value: object) -> int:
    """A count: the number itself, or the length of a list or mapping of what was counted."""
    if isinstance(value, list | tuple | dict):
        return len(value)
    return int(number(value) or 0)


def whole(value: object) -> str:
    """A count with thousands separated."""
    return f"{amount(value):,}"


def short_number(value: float) -> str:
    """At most four significant digits, no exponent for the usual sizes."""
    if not math.isfinite(value):
        return ABSENT
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def plural(count: int, noun: str, many: str = "") -> str:
    """ "1 finding", "1,200 findings"."""
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"


def duration(seconds: float) -> str:
    """The two largest units: "4 min 30 s", "6 d 23 h"."""
    if seconds < 10:
        return f"{seconds:.3g} s"
    left = round(seconds)
    parts: list[str] = []
    for size, unit in _UNITS:
        share, left = divmod(left, size)
        if share or parts:
            parts.append(f"{share:,} {unit}" if share else "")
    return " ".join(part for part in parts[:2] if part)


def moment(value: object) -> datetime | None:
    """An ISO time or epoch seconds as UTC, or None."""
    seconds = number(value)
    if seconds is not None:
        fits = _EARLIEST <= seconds < _LATEST
        return datetime.fromtimestamp(seconds, UTC) if fits else None
    try:
        parsed = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return None
    return parsed.replace(tzinfo=UTC) if parsed.tzinfo is None else parsed.astimezone(UTC)


def moments(value: object) -> list[float]:
    """A list of epoch seconds between 1970 and 2100, sorted; what is no such time is left out."""
    times = (number(at) for at in items(value))
    return sorted(at for at in times if at is not None and _EARLIEST <= at < _LATEST)


def when(value: object, form: str = "%Y-%m-%d %H:%M:%S") -> str:
    """A time as UTC text; what is no time comes as it is."""
    parsed = moment(value)
    return parsed.strftime(form) if parsed else clean(value, 40)


def period(value: object) -> str:
    """A `{start, end}` pair: a whole UTC day by its date, else both ends; text as it is."""
    if not isinstance(value, dict):
        return clean(value, 40)
    start, end = moment(value.get("start")), moment(value.get("end"))
    form = "%Y-%m-%d %H:%M"
    if start and end and end - start == timedelta(days=1) and f"{start:%H%M%S}" == "000000":
        return f"{start:%Y-%m-%d}"
    return f"{when(value.get('start'), form)} to {when(value.get('end'), form)}"


def workspace(value: object) -> str:
    """A workspace by its name: the last part of its resource id."""
    return clean(value.rstrip("/").rsplit("/", 1)[-1] if isinstance(value, str) else value, 80)


def words(name: str) -> str:
    """A column's name as words: "DstPortNumber" -> "Dst port number"."""
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_", " ", clean(name, 60))
    return spaced[:1].upper() + spaced[1:].lower()


def hour_ranges(value: object, limit: int = 6) -> str:
    """Hour keys as ranges, "2025-01-02 03 h to 05 h"; a bare count has none to show."""
    hours = sorted({str(key) for key in items(value) if re.fullmatch(r"\d{10}", str(key))})
    ranges: list[list[datetime]] = []
    for key in hours:
        try:
            start = datetime.strptime(key, "%Y%m%d%H").replace(tzinfo=UTC)
        except ValueError:
            continue
        if ranges and (start - ranges[-1][1]).total_seconds() == 3600:
            ranges[-1][1] = start
        else:
            ranges.append([start, start])
    texts = [
        f"{first:%Y-%m-%d %H} h" + (f" to {last:%Y-%m-%d %H} h" if last > first else "")
        for first, last in ranges
    ]
    return ", ".join(texts[:limit]) + (f" and {len(texts) - limit} more" if texts[limit:] else "")
