"""HTML by construction: whatever is not `Html` is text and gets escaped.

A template language would need every one of its places to be right; here there is one.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable, Sequence


class Html(str):
    """Markup that this module made."""

    __slots__ = ()


def el(name: str, *children: str | Html | None, **attributes: str | int | float | None) -> Html:
    """An element. Children are text unless they are Html; None is left out.

    Attribute names: `cls` is class, `_` is `-`. Values are escaped like text.
    """
    shown = "".join(
        f' {"class" if key == "cls" else key.replace("_", "-")}="{html.escape(str(value))}"'
        for key, value in attributes.items()
        if value is not None
    )
    inner = "".join(text(child) for child in children if child is not None)
    return Html(f"<{name}{shown}>{inner}</{name}>")


def text(value: str) -> Html:
    """Html as it is, any other text escaped."""
    return value if isinstance(value, Html) else Html(html.escape(value))


_TOGETHER = re.compile(r"(\d{4}-\d\d-\d\d(?: \d\d:\d\d(?::\d\d)?)?|[\d,]+ [A-Z][a-z]+)")


def steady(said: str) -> Html:
    """A sentence whose dates and counted severities do not break across lines."""
    pieces = _TOGETHER.split(said)
    return join(el("span", p, cls="nb") if n % 2 else p for n, p in enumerate(pieces))


def join(parts: Iterable[str]) -> Html:
    """Several pieces as one."""
    return Html("".join(text(part) for part in parts))


def data_table(
    caption: str, heads: Sequence[str], rows: Iterable[Sequence[str]], numeric: Sequence[int] = ()
) -> Html:
    """A captioned table that scrolls by itself when it is too wide; the first cell heads its row.

    `numeric` are the positions of columns that hold numbers.
    """

    def kind(position: int) -> str | None:
        return "num" if position in numeric else None

    head = join(el("th", name, scope="col", cls=kind(n)) for n, name in enumerate(heads))
    body = join(el("tr", el("th", row[0], scope="row"), *_cells(row[1:], numeric)) for row in rows)
    inner = el(
        "table", el("caption", caption), el("thead", el("tr", head)), el("tbody", body), cls="data"
    )
    return el("div", inner, cls="wide", role="region", aria_label=caption, tabindex="0")


def _cells(values: Sequence[str], numeric: Sequence[int]) -> list[Html]:
    return [
        el("td", value, cls="num" if position in numeric else None)
        for position, value in enumerate(values, start=1)
    ]
