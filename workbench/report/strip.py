"""The strip of a finding's event times as inline SVG: one row a day, or one zoomed row if short.

The drawing is stretched to the width of the page, so its labels are text beside it; a tick is one
stroke of a single path, and ticks that share a place are drawn once.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from workbench.report.markup import Html, el, steady
from workbench.report.values import plural

SLOTS = 720
"""Places on one row: two minutes each on a row of a day."""
ROW, TICK = 16, 10
"""Height of a row and of a tick in pixels."""
ROWS = 31
"""Most rows that are drawn: the newest days."""
_SHORT = timedelta(hours=6)


def strip(times: Sequence[float], total: int) -> Html:
    """A figure of sorted epoch seconds; `total` is how many events there were in all."""
    if not times:
        return el("p", "No event times were recorded.", cls="quiet")
    first, last = _utc(times[0]), _utc(times[-1])
    if last - first <= _SHORT:
        rows, labels, marks = _zoomed(times, first, last)
        cuts = _midnights(times[0], times[-1])
    else:
        rows, labels, marks = _days(times, first, last)
        cuts = []
    form = "%Y-%m-%d %H:%M"
    said = f"{plural(len(times), 'event time')} from {first:{form}} to {last:{form}} UTC"
    caption = said if total <= len(times) else f"{said}; {total:,} events in all"
    days = (last.date() - first.date()).days + 1
    if days > ROWS and len(rows) == ROWS:
        caption += f"; the newest {ROWS} of {days} days are drawn"
    return el(
        "figure",
        el(
            "div",
            _beside(labels, "days"),
            _drawing(rows, cuts, caption),
            _beside(marks, "axis"),
            cls="strip",
        ),
        el("figcaption", steady(caption)),
    )


def _utc(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)


def _zoomed(
    times: Sequence[float], first: datetime, last: datetime
) -> tuple[list[list[int]], list[str], list[str]]:
    """One row from the first event to the last."""
    span = max(times[-1] - times[0], 1.0)
    places = sorted({round((at - times[0]) / span * (SLOTS - 1)) for at in times})
    form = "%H:%M:%S" if span < 600 else "%H:%M"
    marks = [(first + timedelta(seconds=span * n / 4)).strftime(form) for n in range(5)]
    label = f"{first:%a %d %b}" if first.date() == last.date() else f"{first:%d}-{last:%d %b}"
    return [places], [label], marks


def _midnights(first: float, last: float) -> list[int]:
    """Where on a zoomed row a UTC day begins."""
    start = int(first // 86_400 + 1) * 86_400
    return [round((at - first) / (last - first) * SLOTS) for at in range(start, int(last), 86_400)]


def _days(
    times: Sequence[float], first: datetime, last: datetime
) -> tuple[list[list[int]], list[str], list[str]]:
    """One row for every day of the span, days without events too."""
    count = min((last.date() - first.date()).days + 1, ROWS)
    midnight = datetime(last.year, last.month, last.day, tzinfo=UTC) - timedelta(days=count - 1)
    places: list[set[int]] = [set() for _ in range(count)]
    for at in times:
        day, seconds = divmod(at - midnight.timestamp(), 86_400)
        if day >= 0:
            places[int(day)].add(int(seconds / 86_400 * SLOTS))
    labels = [f"{midnight + timedelta(days=n):%a %d %b}" for n in range(count)]
    return [sorted(row) for row in places], labels, ["00:00", "06:00", "12:00", "18:00", "24:00"]


def _drawing(rows: Sequence[Sequence[int]], cuts: Sequence[int], label: str) -> Html:
    height = ROW * len(rows)
    lines = "".join(f"M0 {ROW * n + ROW - 0.5}H{SLOTS}" for n in range(len(rows)))
    quarters = "".join(f"M{SLOTS * n // 4} 0V{height}" for n in range(1, 4))
    ticks = "".join(_ticks(row, ROW * n + (ROW - TICK) // 2) for n, row in enumerate(rows))
    stretch = {"fill": "none", "vector_effect": "non-scaling-stroke"}
    return el(
        "svg",
        el("path", d=lines + quarters, cls="grid", **stretch),
        el("path", d="".join(f"M{x} 0V{height}" for x in cuts), cls="midnight", **stretch),
        el("path", d=ticks, cls="ticks", **stretch),
        viewBox=f"0 0 {SLOTS} {height}",
        height=height,
        preserveAspectRatio="none",
        role="img",
        aria_label=label,
    )


def _ticks(places: Sequence[int], top: int) -> str:
    """Strokes down and up in turn, each moved from the last: short even for thousands."""
    if not places:
        return ""
    path, at, down = [f"M{places[0]} {top}v{TICK}"], places[0], True
    for place in places[1:]:
        down = not down
        path.append(f"m{place - at} 0v{TICK if down else -TICK}")
        at = place
    return "".join(path)


def _beside(labels: Sequence[str], place: str) -> Html:
    spans = Html(" ".join(el("span", label) for label in labels))
    return el("div", spans, cls=place, aria_hidden="true")
