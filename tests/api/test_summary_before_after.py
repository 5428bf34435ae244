"""Before and after a change: weekday by weekday, with what was left out."""

from dataclasses import replace
from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_api.intervals import Resolution
from footfall_api.summary.before_after import LEAST_DAYS, Both, Change, Side, before_after
from footfall_api.summary.days import Calendar, DayKind
from footfall_api.summary.series import Series
from footfall_testing.series import BERLIN, MEASURED, PARTIAL, SILENT, at, series

THURINGIA = Calendar("DE-TH")
LATER = at(2028, 6, 1)
DAY = Resolution.DAY


def change(old: Series, new: Series, resolution: Resolution = DAY, *, now_s: int = LATER) -> Change:
    (found,) = before_after(
        [old], [new], resolution.longest_s, zone=BERLIN, calendar=THURINGIA, now_s=now_s
    )  # fmt: skip
    return found


def at_place(found: Change, kind: DayKind, clock: str = "") -> Both:
    (value,) = (value for value in found.values if (value.kind, value.clock) == (kind, clock))
    return value


def test_each_weekday_has_its_means() -> None:
    """Four weeks of 100 a day, then four of 130; a week is seven days of that."""
    found = change(
        series(date(2026, 6, 29), date(2026, 7, 27), DAY),
        series(date(2026, 8, 3), date(2026, 8, 31), DAY, count=lambda _: 130),
    )

    assert [value.kind for value in found.values] == list(DayKind)
    assert at_place(found, DayKind.FRIDAY) == Both(
        DayKind.FRIDAY, "", Side(100.0, 4, {}), Side(130.0, 4, {})
    )  # fmt: skip
    assert at_place(found, DayKind.HOLIDAY).before == Side(None, 0, {})
    assert found.weeks == (700.0, 910.0)


def test_a_class_that_one_side_lacks_is_0_there_and_nobody_is_taken_for_another() -> None:
    """Prams before and cyclists after: each class is told of on both sides, pedestrians beside pedestrians."""
    before = series(date(2026, 6, 29), date(2026, 7, 27), DAY)
    after = series(date(2026, 8, 3), date(2026, 8, 31), DAY, answer=lambda s: SILENT if s.day == 3 else MEASURED)
    old = [replace(before, class_="pedestrian"), replace(before, class_="pram")]
    new = [replace(after, class_="pedestrian"), replace(after, class_="cyclist")]
    found = before_after(old, new, DAY.longest_s, zone=BERLIN, calendar=THURINGIA, now_s=LATER)

    assert [one.series.class_ for one in found] == ["pedestrian", "cyclist", "pram"]
    mondays = [at_place(one, DayKind.MONDAY) for one in found]
    assert [(value.before.mean, value.after.mean) for value in mondays] == [(100, 100), (0, 100), (100, 0)]
    assert all(value.after.skipped == {"missing": 1} for value in mondays)


def test_gaps_are_left_out_and_said_and_leave_no_week() -> None:
    """A week with a Monday of which too little is known is no week."""
    gaps = {date(2026, 8, 3): SILENT, date(2026, 8, 10): PARTIAL}
    found = change(
        series(date(2026, 6, 29), date(2026, 7, 27), DAY),
        series(date(2026, 8, 3), date(2026, 8, 31), DAY, answer=lambda start: gaps.get(start.date(), MEASURED)),
    )

    assert at_place(found, DayKind.MONDAY).after == Side(None, 2, {"missing": 1, "partial": 1})
    assert at_place(found, DayKind.TUESDAY).after == Side(100.0, 4, {})
    assert found.weeks is None


def test_holidays_are_no_weekdays_on_either_side() -> None:
    """Easter is before, May Day and Ascension Day are after; they are not among the Fridays and Thursdays."""
    found = change(
        series(date(2026, 3, 30), date(2026, 4, 27), DAY, count=lambda s: 0 if THURINGIA.names(s.date()) else 50),
        series(date(2026, 4, 27), date(2026, 5, 25), DAY, count=lambda s: 0 if THURINGIA.names(s.date()) else 60),
    )

    assert at_place(found, DayKind.FRIDAY) == Both(
        DayKind.FRIDAY, "", Side(50.0, 3, {}), Side(60.0, 3, {})
    )  # fmt: skip
    assert at_place(found, DayKind.HOLIDAY) == Both(
        DayKind.HOLIDAY, "", Side(None, 2, {}), Side(None, 2, {})
    )  # fmt: skip
    assert found.weeks == (350.0, 420.0)


def test_by_the_hour_the_local_clock_counts() -> None:
    """Around both changes of the clocks five o'clock is five o'clock; two o'clock has what there is."""
    spring = change(
        series(date(2026, 3, 2), date(2026, 3, 30), count=lambda start: start.hour),
        series(date(2026, 4, 6), date(2026, 5, 4), count=lambda start: start.hour),
        Resolution.HOUR,
    )
    autumn = change(
        series(date(2026, 9, 28), date(2026, 10, 26), count=lambda start: 10 + 5 * start.fold),
        series(date(2026, 10, 26), date(2026, 11, 23)),
        Resolution.HOUR,
    )

    assert at_place(spring, DayKind.SUNDAY, "05:00").before == Side(5.0, 4, {})
    assert at_place(spring, DayKind.SUNDAY, "02:00").before == Side(2.0, 3, {})
    assert at_place(autumn, DayKind.SUNDAY, "02:00").before == Side((4 * 10 + 15) / 5, 5, {})


def test_only_the_same_stations_carry_both_sides() -> None:
    """Those of the first time after that goes in; a station that came later is no change either."""
    one, both = frozenset({"markt"}), frozenset({"markt", "kirche"})
    found = change(
        series(
            date(2026, 6, 29), date(2026, 7, 27), DAY, carried=lambda s: one if s.date() >= date(2026, 7, 13) else both
        ),
        series(
            date(2026, 8, 3),
            date(2026, 8, 31),
            DAY,
            answer=lambda s: SILENT if s.day == 3 else MEASURED,
            carried=lambda s: one if s.day == 3 or s.day >= 24 else both,
        ),
    )

    assert at_place(found, DayKind.MONDAY).before == Side(None, 2, {"other_stations": 2})
    assert at_place(found, DayKind.MONDAY).after == Side(None, 2, {"missing": 1, "other_stations": 1})


def test_what_is_not_over_does_not_go_in() -> None:
    """Nor is it guessed."""
    found = change(
        series(date(2026, 6, 29), date(2026, 7, 27), DAY),
        series(date(2026, 7, 27), date(2026, 8, 24), DAY),
        now_s=at(2026, 8, 17, 12),
    )

    assert at_place(found, DayKind.SUNDAY).after == Side(100.0, 3, {"open": 1})
    assert at_place(found, DayKind.MONDAY).after == Side(100.0, 3, {"open": 1})


@settings(max_examples=20, deadline=None)
@given(first=st.dates(date(2025, 1, 1), date(2026, 12, 1)), weeks=st.integers(1, 8), seed=st.integers(0, 1000))
def test_every_day_is_accounted_for_and_unchanged_is_unchanged(first: date, weeks: int, seed: int) -> None:
    """The same time on both sides has the same means, of the days that were measured."""
    answers = [MEASURED, MEASURED, MEASURED, PARTIAL, SILENT]

    def answer(start: datetime) -> object:
        return answers[hash((seed, start.toordinal())) % len(answers)]

    one = series(first, first + timedelta(weeks=weeks), DAY, answer=answer, count=lambda s: s.toordinal() % 31)  # type: ignore[arg-type]

    found = change(one, one)

    assert sum(v.before.days + sum(v.before.skipped.values()) for v in found.values) == 7 * weeks
    for value in found.values:
        assert value.before == value.after
        assert (value.before.mean is None) == (value.before.days < LEAST_DAYS)
    assert found.weeks is None or found.weeks[0] == pytest.approx(found.weeks[1])
