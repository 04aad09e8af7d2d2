"""Which folders a day is read from: pure rules, and what they come to over random histories."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import merges
from shared.documents import decode, encode
from shared.timeline import DayRecord, Hour, Left, Merged, Told

DAY = "20260309"
A, B, C = (f"{DAY}{hour}" for hour in ("01", "02", "03"))
END = datetime(2026, 3, 10, tzinfo=UTC)
NOW = END + merges.SETTLED
COPIED = {key: Hour(1, 10, f"f-{key}", f"copy-{key}", f"f-{key}", 1) for key in (A, B)}
MERGED = Merged("merged", {A: f"f-{A}", B: f"f-{B}"})


def day(
    hours: Mapping[str, Hour] = COPIED, merged: Merged | None = None, left: tuple[Left, ...] = ()
) -> DayRecord:
    return DayRecord("w", "t", DAY, hours, merged, left)


def grown(hours: Mapping[str, Hour], key: str) -> dict[str, Hour]:
    """The hours when one of them has changed."""
    hour = hours.get(key, Hour(0, 0, ""))
    return {**hours, key: replace(hour, blobs=hour.blobs + 1, fingerprint=f"{hour.fingerprint}+")}


# --- when a day is merged -----------------------------------------------------------------------


def test_a_settled_day_of_fresh_copies_is_merged_once() -> None:
    assert merges.is_due(day(), {A, B, C}, NOW)
    assert not merges.is_due(day(merged=MERGED), {A, B}, NOW)


@pytest.mark.parametrize(
    ("record", "planned", "now"),
    [
        (day(), {A, B}, NOW - timedelta(seconds=1)),
        (day(), {A}, NOW),
        (day(grown(COPIED, B)), {A, B}, NOW),
        (day(grown(COPIED, C)), {A, B, C}, NOW),
        (day({A: COPIED[A]}), {A}, NOW),
        (day({}), set(), NOW),
    ],
    ids=["too early", "partly read", "a stale copy", "a new hour", "one hour", "nothing"],
)
def test_other_days_are_not(record: DayRecord, planned: set[str], now: datetime) -> None:
    assert not merges.is_due(record, planned, now)


def test_a_day_is_merged_again_when_its_late_hour_has_been_copied() -> None:
    late = grown(COPIED, B)
    changed = day(late, MERGED)
    assert not merges.is_due(changed, {A, B}, NOW)
    copied = merges.after(changed, Told({B: replace(late[B], copy="again")}), NOW)
    assert merges.is_due(copied, {A, B}, NOW)
    assert merges.counting(copied.hours, copied.merged) == (A,)


# --- what a report changes ----------------------------------------------------------------------


def test_a_merged_day_is_pointed_at_and_what_it_replaces_is_left() -> None:
    old = Merged("old", {A: f"f-{A}"})
    after = merges.after(day(merged=old), Told(merged=MERGED), NOW)
    assert (after.merged, after.left) == (MERGED, (Left("old", NOW),))


def test_of_two_merged_days_alike_the_first_stays_and_the_other_is_left() -> None:
    other = replace(MERGED, path="other")
    after = merges.after(day(merged=MERGED), Told(merged=other), NOW)
    assert (after.merged, after.left) == (MERGED, (Left("other", NOW),))


def test_a_merged_day_of_what_an_hour_held_before_does_not_count_for_that_hour() -> None:
    after = merges.after(day(grown(COPIED, B)), Told(merged=MERGED), NOW)
    assert merges.counting(after.hours, after.merged) == (A,)


def test_a_merged_day_of_nothing_that_counts_is_left() -> None:
    foreign = Merged("foreign", {A: "x", C: "y"})
    after = merges.after(day(), Told(merged=foreign), NOW)
    assert (after.merged, after.left) == (None, (Left("foreign", NOW),))


def test_reading_a_report_again_changes_nothing() -> None:
    told = Told({B: Hour(2, 0, f"f-{B}+", "new")}, MERGED, frozenset({f"copy-{A}"}))
    once = merges.after(day(grown(COPIED, B)), told, NOW)
    assert merges.after(once, told, NOW + timedelta(hours=1)) == once
    assert [left.path for left in once.left] == [f"copy-{B}"]


def test_a_copy_that_is_gone_is_made_again_whatever_it_held() -> None:
    fuller = {A: replace(COPIED[A], copy_blobs=9)}
    after = merges.after(day(fuller), Told(lost=frozenset({f"copy-{A}"})), NOW)
    assert not merges.is_fresh(after.hours[A])
    again = merges.after(after, Told({A: Hour(1, 0, f"f-{A}", "new")}), NOW)
    assert again.hours[A].copy == "new"


def test_a_merged_day_that_is_gone_is_forgotten_and_its_hours_stay() -> None:
    after = merges.after(day(merged=MERGED), Told(lost=frozenset({"merged"})), NOW)
    assert (after.merged, after.hours, after.left) == (None, COPIED, ())
    assert merges.is_due(after, {A, B}, NOW)


def test_the_first_of_two_copies_of_the_same_stays() -> None:
    other = Told({A: replace(COPIED[A], copy="other")})
    after = merges.after(day(), other, NOW)
    assert after.hours == COPIED
    assert after.left == (Left("other", NOW),)


def test_a_fresh_copy_is_not_replaced_by_what_an_older_job_tells_late() -> None:
    late = Told({A: Hour(5, 0, "of-long-ago", "late")})
    assert merges.after(day(), late, NOW).hours == COPIED


def test_a_fuller_copy_of_the_same_hour_replaces_one_that_missed_blobs() -> None:
    fuller = Hour(2, 0, f"f-{A}", "fuller")
    assert merges.with_copy(COPIED[A], fuller).copy == "fuller"


# --- what is removed ----------------------------------------------------------------------------


def test_left_folders_are_removed_after_a_while_and_never_one_that_is_used() -> None:
    used = (Left(f"copy-{A}", NOW), Left("merged", NOW))
    left = (Left("old", NOW), Left("young", NOW + timedelta(hours=3)), *used)
    record = day(merged=MERGED, left=left)
    assert merges.removable(record, NOW + timedelta(hours=2)) == ["old"]
    after = merges.after(record, Told(removed=frozenset({"old"})), NOW)
    assert [one.path for one in after.left] == ["young"]


def test_what_is_left_is_bounded() -> None:
    record = day()
    for number in range(200):
        made = Told(merged=Merged(f"m{number}", {}))
        record = merges.after(record, made, NOW + timedelta(minutes=number))
    assert len(record.left) == merges.MOST_LEFT
    assert record.left[-1].path == "m199"


def test_a_full_day_is_a_document_of_half_of_what_is_allowed() -> None:
    place = "x" * 60 + "/" + "w" * 49 + "/" + "t" * 62
    url = f"abfss://tables@{place}/job-20260310000500-0123abcd/"
    hours = {f"{DAY}{n:02}": Hour(999, 10**12, "f" * 24, f"{url}{DAY}{n:02}", "f" * 24, 999)
             for n in range(24)}  # fmt: skip
    left = tuple(Left(f"{url}{DAY}{n:02}", NOW) for n in range(merges.MOST_LEFT))
    full = DayRecord("w" * 300, "t", DAY, hours, Merged(url, dict.fromkeys(hours, "f" * 24)), left)
    document = encode(full)
    assert decode(DayRecord, document, "") == full
    assert len(str(document)) < 40_000


# --- a history ----------------------------------------------------------------------------------

ALIVE = timedelta(hours=1)
EVENTS = st.lists(
    st.tuples(
        st.sampled_from(("change", "plan", "plan", "report", "report", "lose", "replay")),
        st.integers(0, 5),
    ),
    max_size=40,
)


@given(EVENTS)
def test_what_a_plan_names_is_there_and_is_what_the_hour_holds(
    events: list[tuple[str, int]],
) -> None:
    """Jobs that overlap, die and tell late: no plan names a folder of other content, or a removed
    one that a living job may read."""
    world = _World(day({key: Hour(1, 10, f"f-{key}") for key in (A, B)}))
    for what, number in events:
        getattr(world, what)(number)
        world.check()


class _World:
    """A lake of folders, each with what it was made from, and jobs that were planned."""

    def __init__(self, record: DayRecord) -> None:
        self.record, self.now = record, NOW
        self.lake: dict[str, Mapping[str, str]] = {}
        self.plans: list[tuple[datetime, DayRecord]] = []
        self.told: list[Told] = []

    def change(self, number: int) -> None:
        self.record = replace(self.record, hours=grown(self.record.hours, (A, B, C)[number % 3]))

    def plan(self, number: int) -> None:
        """Jobs end within an hour; some die without a report."""
        self.plans.append((self.now, self.record))
        self.now += timedelta(minutes=20 * number)
        ends = self.now - ALIVE
        self.plans = [(at, record) for at, record in self.plans if at > ends]

    def report(self, number: int) -> None:
        """One of the jobs copies what was stale, merges, removes what was left, and says so."""
        if not self.plans:
            return
        at, planned = self.plans.pop(number % len(self.plans))
        name = f"job{len(self.told)}"
        lost = self._named(planned) - self.lake.keys()
        copies = {
            key: Hour(hour.blobs, 0, hour.fingerprint, f"{name}/{key}")
            for key, hour in planned.hours.items()
            if not merges.is_fresh(hour) or hour.copy in lost
        }
        self.lake |= {copy.copy: {key: copy.fingerprint} for key, copy in copies.items()}
        merged = None
        if not lost and merges.is_due(planned, {A, B, C}, NOW):
            of = {key: hour.fingerprint for key, hour in planned.hours.items()}
            merged = Merged(f"{name}/merged", of)
            self.lake[merged.path] = of
        removed = set(merges.removable(planned, at - ALIVE))
        assert not removed & {path for _, other in self.plans for path in self._named(other)}
        self.lake = {path: of for path, of in self.lake.items() if path not in removed}
        self.told.append(Told(copies, merged, frozenset(lost), frozenset(removed)))
        self.record = merges.after(self.record, self.told[-1], self.now)

    def replay(self, number: int) -> None:
        if self.told and number < len(self.told):
            self.record = merges.after(self.record, self.told[number], self.now)

    def lose(self, number: int) -> None:
        """Somebody deletes a folder that is in use."""
        there = sorted(self.lake.keys() & self._named(self.record))
        if there:
            self.lake.pop(there[number % len(there)])

    def check(self) -> None:
        for key, hour in self.record.hours.items():
            if merges.is_fresh(hour) and hour.copy in self.lake:
                assert self.lake[hour.copy][key] == hour.fingerprint
        merged = self.record.merged
        for key in merges.counting(self.record.hours, merged):
            if merged and merged.path in self.lake:
                assert self.lake[merged.path][key] == self.record.hours[key].fingerprint
        assert not {one.path for one in self.record.left} & self._named(self.record)

    def _named(self, record: DayRecord) -> set[str]:
        fresh = {hour.copy for hour in record.hours.values() if merges.is_fresh(hour)}
        return fresh | ({record.merged.path} if record.merged else set())
