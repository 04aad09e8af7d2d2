"""A hunt's time line made small: a slot is a line of text, not an object of four fields.

An hourly hunt remembers 36 days: 864 slots, 153 kB as objects, too much for one document.

    {"slots": {"2026031004": "3725.5 = 0 0"}, "gaps": ["2026030900 2026031004 1"], "texts": [...]}

A slot is: changed, judged (seconds after the slot's start; `=`: as changed; `-`: never), revision,
and the number of its run's id in `texts` (`-`: none). A gap is: start, end (hour keys), and the
number of its reason. Texts that differ in day, hour and revision only are one text. What does not
fit the form stays an object, so that nothing is lost.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

Json = dict[str, Any]
_SLOT = {"changed", "judged", "run", "revision"}
_GAP = {"start", "end", "reason"}
_MICROSECOND = timedelta(microseconds=1)


def pack(wide: Json) -> Json:
    """A time line as objects -> the same, small."""
    texts: dict[str, int] = {}
    slots = {key: _packed_slot(key, slot, texts) for key, slot in wide.get("slots", {}).items()}
    gaps = [_packed_gap(gap, texts) for gap in wide.get("gaps", ())]
    return {**wide, "slots": slots, "gaps": gaps, "texts": list(texts)}


def unpack(packed: Json) -> Json:
    """The time line as objects. ValueError, KeyError, TypeError ... when it was never packed."""
    texts = packed["texts"]
    slots = {key: _wide_slot(key, slot, texts) for key, slot in packed["slots"].items()}
    gaps = [_wide_gap(gap, texts) for gap in packed["gaps"]]
    rest = {name: value for name, value in packed.items() if name != "texts"}
    return {**rest, "slots": slots, "gaps": gaps}


# --- slots ----------------------------------------------------------------------------------------


def _packed_slot(key: str, slot: Json, texts: dict[str, int]) -> str | Json:
    if set(slot) - _SLOT or "{" in slot.get("run", ""):
        return slot
    changed, judged = (_seconds(key, slot.get(name)) for name in ("changed", "judged"))
    revision = slot.get("revision", -1)
    text = _template(slot.get("run", ""), key, revision)
    number = str(texts.setdefault(text, len(texts))) if text else "-"
    again = "=" if judged == changed and judged != "-" else judged
    return f"{changed} {again} {revision} {number}"


def _wide_slot(key: str, slot: str | Json, texts: list[str]) -> Json:
    if not isinstance(slot, str):
        return slot
    changed, judged, revision, number = slot.split(" ")
    times = {"changed": changed, "judged": changed if judged == "=" else judged}
    wide: Json = {name: _moment(key, text) for name, text in times.items() if text != "-"}
    if number != "-":
        wide["run"] = _filled(texts[int(number)], key, int(revision))
    return {**wide, "revision": int(revision)}


@lru_cache(maxsize=2_000)
def _start(key: str) -> datetime:
    return datetime.strptime(key, "%Y%m%d" if len(key) == 8 else "%Y%m%d%H").replace(tzinfo=UTC)


def _seconds(key: str, moment: str | None) -> str:
    """Seconds after a slot's start, to the microsecond and without a float's noise."""
    if moment is None:
        return "-"
    micros = (datetime.fromisoformat(moment) - _start(key)) // _MICROSECOND
    return f"{Decimal(micros).scaleb(-6).normalize():f}"


@lru_cache(maxsize=2_000)
def _moment(key: str, seconds: str) -> str:
    """Kept: each turn reads the same time lines. Few: a line that changes each turn fills it."""
    whole, _, part = seconds.partition(".")
    return (_start(key) + int(f"{whole}{part:0<6}") * _MICROSECOND).isoformat()


# --- gaps -----------------------------------------------------------------------------------------


def _packed_gap(gap: Json, texts: dict[str, int]) -> str | Json:
    start, end = (datetime.fromisoformat(gap[name]).astimezone(UTC) for name in ("start", "end"))
    whole = all((one.minute, one.second, one.microsecond) == (0, 0, 0) for one in (start, end))
    if set(gap) - _GAP or "{" in gap["reason"] or not whole:
        return gap
    key = f"{start:%Y%m%d%H}"
    text = _template(gap["reason"], key, None)
    return f"{key} {end:%Y%m%d%H} {texts.setdefault(text, len(texts))}"


def _wide_gap(gap: str | Json, texts: list[str]) -> Json:
    if not isinstance(gap, str):
        return gap
    start, end, number = gap.split(" ")
    reason = _filled(texts[int(number)], start, None)
    return {"start": _start(start).isoformat(), "end": _start(end).isoformat(), "reason": reason}


# --- texts ----------------------------------------------------------------------------------------


def _places(key: str, revision: int | None) -> Mapping[str, str]:
    """What stands for day, hour and revision -> what they are, as a run's id writes them."""
    places = {"{day}": key[:8]}
    if len(key) > 8:
        places["-h{hour}"] = f"-h{key[8:]}"
    if revision is not None:
        places["-r{revision}"] = f"-r{revision}"
    return places


def _template(text: str, key: str, revision: int | None) -> str:
    short = text
    for place, value in _places(key, revision).items():
        short = short.replace(value, place)
    return short if _filled(short, key, revision) == text else text


def _filled(text: str, key: str, revision: int | None) -> str:
    for place, value in _places(key, revision).items():
        text = text.replace(place, value)
    return text
