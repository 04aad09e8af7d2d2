"""The strip of event times, and values as text."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.unit.report_documents import DAY, Page, document, finding
from workbench.report import render_html
from workbench.report.markup import el
from workbench.report.strip import ROW, SLOTS, strip
from workbench.report.text import sentence
from workbench.report.values import clean, duration, hour_ranges, moment, number, short_number


def places(figure: str, row: int) -> list[int]:
    """Where the ticks of one row are, read back from the drawing."""
    path = next(a["d"] for a in Page(figure).all("path") if a["class"] == "ticks")
    rows = [part for part in path.split("M") if part]
    for part in rows:
        start, *moves = part.split("m")
        left, top = start.split("v")[0].split()
        if int(top) // ROW == row:
            steps = [int(left)] + [int(move.split()[0]) for move in moves]
            return [sum(steps[: n + 1]) for n in range(len(steps))]
    return []


def test_a_strip_has_a_row_for_every_day_and_a_tick_at_each_time() -> None:
    times = [DAY, DAY + 6 * 3600, DAY + 6 * 3600 + 1, DAY + 2 * 86_400 + 86_399]
    figure = strip(times, 4)
    assert places(figure, 0) == [0, SLOTS // 4]
    assert places(figure, 1) == []
    assert places(figure, 2) == [SLOTS - 1]
    text = Page(figure).text
    assert "Mon 03 Nov Tue 04 Nov Wed 05 Nov 00:00 06:00 12:00 18:00 24:00" in text
    assert "4 event times from 2025-11-03 00:00 to 2025-11-05 23:59 UTC" in text
    assert "in all" not in text


def test_a_short_strip_is_zoomed_and_marks_midnight() -> None:
    figure = strip([DAY - 3600, DAY, DAY + 3600], 99)
    assert places(figure, 0) == [0, 360, SLOTS - 1]
    midnight = next(a["d"] for a in Page(figure).all("path") if a["class"] == "midnight")
    assert midnight == f"M{SLOTS // 2} 0V{ROW}"
    text = Page(figure).text
    assert "23:00 23:30 00:00 00:30 01:00" in text
    assert "99 events in all" in text


def test_strips_of_any_length_end() -> None:
    assert "No event times" in strip([], 0)
    assert places(strip([DAY], 1), 0) == [0]
    long = strip([DAY + n * 86_400 for n in range(400)], 400)
    assert "the newest 31 of 400 days are drawn" in long
    assert places(long, 30) == [0]
    dense = strip([DAY + n for n in range(0, 21 * 86_400, 3)], 604_800)
    assert len(dense) < 150_000


def test_events_that_are_no_times_are_left_out() -> None:
    evidence = {"EventTimes": [DAY, "x", None, float("nan"), -1, 10**30, str(DAY + 60), [1]]}
    assert "2 event times" in render_html(document(findings=[finding(1, evidence=evidence)]))


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.25, "0.25 s"),
        (59.6, "1 min"),
        (61, "1 min 1 s"),
        (300, "5 min"),
        (3_600, "1 h"),
        (3_661, "1 h 1 min"),
        (86_400, "1 d"),
        (86_460, "1 d"),
        (597_000, "6 d 21 h"),
    ],
)
def test_durations_say_their_two_largest_units(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_values_of_all_kinds_become_text() -> None:
    assert [clean(value) for value in (None, "", 0, True, [1, "a"], {"b": None})] == [
        "-",
        "-",
        "0",
        "True",
        '[1, "a"]',
        '{"b": null}',
    ]
    assert clean("x" * 400) == "x" * 300 + "…"
    assert clean("a\tb\u202ec") == "a\\u0009b\\u202ec"
    assert clean("https://a.example HTTP://b") == "hxxps://a.example hxxp://b"
    assert [short_number(value) for value in (0.123456, 12345.6, float("inf"))] == [
        "0.1235",
        "12,346",
        "-",
    ]
    assert [number(value) for value in ("1.5", True, None, "x", 10**400, "nan")] == [
        1.5,
        *[None] * 5,
    ]
    assert moment("2025-11-03T01:00:00+01:00") == datetime(2025, 11, 3, tzinfo=UTC)
    assert moment("2025-11-03") == datetime(2025, 11, 3, tzinfo=UTC)
    assert moment("soon") is None


def test_missing_hours_are_said_as_ranges() -> None:
    assert hour_ranges(["2025010123", "2025010200", "2025010205"]) == (
        "2025-01-01 23 h to 2025-01-02 00 h, 2025-01-02 05 h"
    )
    assert hour_ranges(["9999999999", "x", 7]) == ""
    assert hour_ranges(5) == ""
    many = [f"202501{day:02d}00" for day in range(1, 10)]
    assert hour_ranges(many).endswith("and 3 more")


def test_a_sentence_leaves_out_what_is_not_known() -> None:
    assert sentence({}) == "- contacted -."
    assert sentence(finding(1, evidence={"Events": 1}, first_seen=None)) == (
        "10.1.2.3 contacted c2-1.example:443, 1 time."
    )


def test_markup_escapes_everything_but_markup() -> None:
    made = el("p", "<b>", el("i", "&"), None, cls='"', data_x=None)
    assert made == '<p class="&quot;">&lt;b&gt;<i>&amp;</i></p>'
