"""A time line made small: nothing is lost, and the worst one fits into a document."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.documents import decode, encode
from shared.errors import BadInput
from shared.packing import pack, unpack
from shared.schedule import slot_window
from shared.timeline import Gap, HuntRecord, Slot
from tests.unit.house import GUID, START, WORKSPACE

LIMIT = 64_000
RUN_ID = "{}-beaconing-to-rare-destinations-contoso-security-9f589367-h{}-r{}"


def hours(count: int) -> list[datetime]:
    return [START.replace(minute=0) - timedelta(hours=n) for n in range(1, count + 1)]


def an_hourly_hunt(days: int) -> HuntRecord:
    """The worst that it remembers: all late, no revision left, every other slot a gap."""
    slots, gaps = {}, []
    for number, hour in enumerate(hours(24 * days)):
        run = RUN_ID.format(f"{hour:%Y%m%d}", f"{hour:%H}", number % 4)
        late = hour + timedelta(hours=30, seconds=number, microseconds=17 + number)
        slots[f"{hour:%Y%m%d%H}"] = Slot(late, late - timedelta(hours=3), run, number % 4)
        if number % 2:
            gaps.append(Gap(hour, hour + timedelta(hours=1), f"run {run} failed"))
    return HuntRecord(GUID, WORKSPACE, START, START, slots, tuple(reversed(gaps)))


def test_an_hourly_hunt_of_37_days_fits_into_a_document_and_comes_back_whole() -> None:
    record = an_hourly_hunt(37)
    text = json.dumps({**encode(record), "nonce": "f" * 32})
    assert len(text) < LIMIT
    assert decode(HuntRecord, json.loads(text), "x") == record


def test_a_time_line_of_objects_is_still_read() -> None:
    record = an_hourly_hunt(2)
    body = {"schema": 1, **unpack({k: v for k, v in encode(record).items() if k != "schema"})}
    assert "texts" not in body and body["slots"]["2026030923"]["revision"] == 0
    assert decode(HuntRecord, body, "x") == record


times = st.integers(0, 2**62).map(lambda n: START + timedelta(microseconds=n % 10**15))
moments = st.none() | times
keys = times.flatmap(lambda time: st.sampled_from([f"{time:%Y%m%d}", f"{time:%Y%m%d%H}"]))
texts = st.text(max_size=8) | st.sampled_from(
    ["{day}", "20260310-x-h03-r1", "-h{hour}", "{", "-r-1"]
)
slots = st.builds(Slot, moments, moments, texts, st.integers(-1, 5))


@given(st.dictionaries(keys, slots, max_size=4), st.lists(st.tuples(keys, keys, texts), max_size=3))
def test_any_time_line_comes_back_as_it_was(
    known: dict[str, Slot], missed: list[tuple[str, str, str]]
) -> None:
    gaps = tuple(Gap(slot_window(a).start, slot_window(b).end, why) for a, b, why in missed)
    record = HuntRecord(GUID, WORKSPACE, slots=known, gaps=gaps)
    assert decode(HuntRecord, json.loads(json.dumps(encode(record))), "x") == record


def test_what_does_not_fit_the_form_stays_an_object() -> None:
    odd: dict[str, Any] = {"changed": START.isoformat(), "revision": 0, "later": 1}
    gap = {"start": (START + timedelta(minutes=1)).isoformat(), "end": START.isoformat(),
           "reason": "x"}  # fmt: skip
    wide = {"slots": {"20260310": odd}, "gaps": [gap]}
    packed = pack(wide)
    assert packed["slots"] == {"20260310": odd} and packed["gaps"] == [gap]
    assert unpack(packed) == wide


@pytest.mark.parametrize(
    "change",
    [
        {"slots": {"20260310": "1 2 3"}},
        {"slots": {"20260310": "x = 0 -"}},
        {"slots": {"20260310": "1 = 0 7"}},
        {"slots": {"20260310": "1E+999999 = 0 -"}},
        {"slots": {"yesterday": "1 = 0 -"}},
        {"slots": {"20260310": 7}},
        {"gaps": ["2026031000 2026031001"]},
        {"gaps": ["2026031000 2026031001 9"]},
        {"texts": 3, "slots": {"20260310": "1 = 0 0"}},
    ],
)
def test_a_broken_time_line_is_bad_input_and_nothing_else(change: dict[str, Any]) -> None:
    with pytest.raises(BadInput):
        decode(HuntRecord, {**encode(HuntRecord(GUID, WORKSPACE)), **change}, "x")
