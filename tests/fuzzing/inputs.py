"""What the parsers are fed: good inputs with parts replaced, removed or cut, and plain noise."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

from tests.hostile import STRINGS

TEXT = st.text(st.characters(exclude_categories=()), max_size=20) | st.sampled_from(
    [text for text in STRINGS if len(text) < 300]
)
"""Any text, halves of characters too, and the corpus."""
LEAF = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([-1, 0, 2**31, 2**63, 10**400])
    | st.floats()
    | TEXT
)
JSON: st.SearchStrategy[Any] = st.recursive(
    LEAF,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=10,
)
_BYTES = st.binary(max_size=12) | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every part of a JSON value; the empty one is the whole."""
    inside: list[tuple[Any, Any]] = []
    if isinstance(value, dict | list):
        inside = list(value.items() if isinstance(value, dict) else enumerate(value))
    return [at, *(place for key, part in inside for place in places(part, (*at, key)))]


@st.composite
def changed(draw: st.DrawFn, good: Any) -> Any:
    """A good JSON value but for up to three of its parts."""
    value = copy.deepcopy(good)
    for _ in range(draw(st.integers(1, 3))):
        place = draw(st.sampled_from(places(value)))
        if not place:
            continue
        holder = value
        for key in place[:-1]:
            holder = holder[key]
        if isinstance(holder, dict) and draw(st.booleans()):
            part = holder.pop(place[-1])
            holder[draw(TEXT) if draw(st.booleans()) else place[-1]] = draw(JSON | st.just(part))
        else:
            holder[place[-1]] = draw(JSON)
    return value


@st.composite
def spliced(draw: st.DrawFn, good: bytes) -> bytes:
    """Good bytes with a piece cut out and noise put in its place."""
    start = draw(st.integers(0, len(good)))
    end = draw(st.integers(start, min(len(good), start + 40)) | st.just(len(good)))
    return good[:start] + draw(_BYTES) + good[end:]


def documents(good: Any) -> st.SearchStrategy[bytes]:
    """A JSON document as bytes that are almost good; NaN and the like as Python writes them."""
    written = json.dumps(good).encode()
    return changed(good).map(lambda value: json.dumps(value).encode()) | spliced(written) | _BYTES
