"""Comparing with what is usual and with the year before: which days are alike, and what is said where they are not."""

from datetime import date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_api.answers import Answer
from footfall_api.intervals import Resolution
from footfall_api.summary.compare import (
    LEAST_DAYS,
    LOOK_BACK,
    Before,
    Compared,
    Comparison,
    Sum,
    Usual,
    compare,
    difference,
    ratio,
)
from footfall_api.summary.days import Calendar
from footfall_api.summary.series import Series
from footfall_testing.series import BEGUN, BERLIN, MEASURED, PARTIAL, SILENT, at, midnight, series

THURINGIA = Calendar("DE-TH")
LATER = at(2028, 6, 1)
DAY = Resolution.DAY


def compared(found: Series, day: date, resolution: Resolution = DAY, *, now_s: int = LATER) -> Comparison:
    (one,) = compare(
        [found], midnight(day), resolution.longest_s, zone=BERLIN, calendar=THURINGIA, now_s=now_s
    )  # fmt: skip
    return one


def by_day(day: date, **rules: object) -> Compared:
    """One day beside what is usual; the rules are those of `series`."""
    found = series(day - LOOK_BACK, day + timedelta(days=1), DAY, **rules)  # type: ignore[arg-type]
    return compared(found, day).values[0]


def test_differences_and_ratios_need_both_sides() -> None:
    """And nothing is a number of times 0."""
    assert (difference(120, 100), ratio(120, 100)) == (20, 1.2)
    assert (difference(120, 0), ratio(120, 0)) == (120, None)
    assert (difference(0, 100), ratio(0, 100)) == (-100, 0)
    assert (difference(None, 100), ratio(None, 100)) == (None, None)
    assert (difference(120, None), ratio(120, None)) == (None, None)


def test_a_working_day_is_compared_with_its_weekday() -> None:
    """The four and the 52 before it, and the one 52 weeks before."""
    day = date(2026, 7, 15)  # a Wednesday; none of the Wednesdays of the year before was a holiday

    value = by_day(day, count=lambda start: (day - start.date()).days if start.weekday() == 2 else 10**6)

    assert value.usual == (Usual(17.5, 4, {}), Usual(7 * 26.5, 52, {}))
    assert value.before == Before(date(2025, 7, 16), 364, {})
    assert (value.count, value.why_not) == (0, None)


def test_holidays_among_the_likes_are_left_out_and_said() -> None:
    """Whit Monday is no Monday; of the four Mondays before 15 June 2026 three are left."""
    value = by_day(date(2026, 6, 15), count=lambda start: 0 if THURINGIA.names(start.date()) else 60)

    assert value.usual[0] == Usual(60.0, 3, {"holiday": 1})
    assert value.usual[1] == Usual(60.0, 50, {"holiday": 2})  # and Easter Monday


def test_a_day_with_too_few_likes_has_no_mean() -> None:
    """Two days would say what happened then, not what is usual."""
    silent = {date(2026, 7, 8): SILENT, date(2026, 7, 1): PARTIAL}

    value = by_day(date(2026, 7, 15), answer=lambda start: silent.get(start.date(), MEASURED))

    assert value.usual[0] == Usual(None, 2, {"missing": 1, "partial": 1})
    assert value.usual[1].days == 50
    assert value.usual[1].mean == 100.0


def test_a_holiday_is_compared_with_holidays() -> None:
    """Whit Monday 2026: the eleven holidays of the 52 weeks before, the two of the four weeks before are too few."""
    value = by_day(
        date(2026, 5, 25),
        count=lambda start: start.month if THURINGIA.names(start.date()) else 10**6,
    )

    assert value.usual[0] == Usual(None, 2, {})  # May Day and Ascension Day
    months = [5, 6, 9, 10, 10, 12, 12, 1, 4, 4, 5, 5]
    months.remove(5)  # Ascension Day 2025 was on 29 May: within 52 weeks; May Day 2025 was not
    assert value.usual[1].days == 12
    assert value.usual[1].mean == pytest.approx((sum(months) + 5) / 12)
    assert value.before == Before(date(2025, 6, 9), 6, {})


@pytest.mark.parametrize(
    ("day", "before"),
    [
        (date(2026, 4, 6), date(2025, 4, 21)),  # Easter Monday
        (date(2026, 9, 20), date(2025, 9, 20)),  # Weltkindertag
        (date(2026, 10, 31), date(2025, 10, 31)),  # Reformationstag, a Saturday after a Friday
        (date(2019, 9, 20), None),  # the first Weltkindertag
        (date(2026, 4, 20), None),  # 52 weeks before was Easter Monday
        (date(2026, 4, 7), date(2025, 4, 8)),
        (date(2024, 2, 29), date(2023, 3, 2)),
    ],
)
def test_the_year_before_is_a_like_day(day: date, before: date | None) -> None:
    """The same weekday, or the holiday of the same name; where there is none, that is said by having no date."""
    found = by_day(day, count=lambda start: start.toordinal() % 1000)

    assert found.before.day == before
    assert found.before.count == (None if before is None else before.toordinal() % 1000)


def test_a_gap_a_year_ago_is_said() -> None:
    """The day is named, its count is not."""
    value = by_day(date(2026, 7, 15), answer=lambda start: SILENT if start.date() == date(2025, 7, 16) else MEASURED)

    assert value.before == Before(date(2025, 7, 16), None, {"missing": 1})


@pytest.mark.parametrize(("answer", "why"), [(PARTIAL, "partial"), (SILENT, "missing"), (BEGUN, "incomplete")])
def test_what_was_not_wholly_measured_is_not_compared(answer: Answer, why: str) -> None:
    """What is usual is told all the same."""
    day = date(2026, 7, 15)

    value = by_day(day, answer=lambda start: answer if start.date() == day else MEASURED)

    assert value.why_not == why
    assert value.usual[0].mean == 100.0


def test_hours_are_compared_at_the_same_time_of_the_local_clock() -> None:
    """In summer as in winter: five o'clock is five o'clock."""
    day = date(2026, 4, 1)  # three days after the change of the clocks
    found = series(day - LOOK_BACK, day + timedelta(days=1), count=lambda start: start.hour)

    values = compared(found, day, Resolution.HOUR).values

    assert [value.usual[0].mean for value in values] == [float(hour) for hour in range(24)]
    assert [value.before.count for value in values] == list(range(24))


def test_the_hour_that_is_left_out_is_said_to_be_missing() -> None:
    """On the Sundays after 29 March, two o'clock has one day less to be compared with."""
    day = date(2026, 4, 12)
    found = series(day - LOOK_BACK, day + timedelta(days=1))

    values = compared(found, day, Resolution.HOUR).values

    assert values[2].usual[0] == Usual(100.0, 3, {"no_such_hour": 1})
    assert values[3].usual[0] == Usual(100.0, 4, {})


def test_the_doubled_hour_goes_in_as_one_day() -> None:
    """With the mean of both; and each of both is compared with the one hour of other days."""
    change, after = date(2026, 10, 25), date(2026, 11, 1)
    found = series(change - LOOK_BACK, after + timedelta(days=1), count=lambda start: 10 + 4 * start.fold)

    values = compared(found, change, Resolution.HOUR).values

    later_n = 25 + 6 * 24 + 2
    doubled, later = values[2:4], values[later_n : later_n + 1]
    assert [datetime.fromtimestamp(value.start_s, BERLIN).isoformat() for value in [*doubled, *later]] == [
        "2026-10-25T02:00:00+02:00",
        "2026-10-25T02:00:00+01:00",
        "2026-11-01T02:00:00+01:00",
    ]
    assert [value.usual[0] for value in doubled] == [Usual(10.0, 4, {})] * 2
    assert [value.count for value in doubled] == [10, 14]
    assert later[0].usual[0] == Usual((12 + 10 + 10 + 10) / 4, 4, {})


def test_half_of_the_doubled_hour_is_no_hour_of_that_day() -> None:
    """If one of the two was not measured, the day does not go in."""
    day = date(2026, 11, 1)
    found = series(day - LOOK_BACK, day + timedelta(days=1), answer=lambda start: SILENT if start.fold else MEASURED)

    assert compared(found, day, Resolution.HOUR).values[2].usual[0] == Usual(100.0, 3, {"missing": 1})


def test_sums_of_other_stations_are_not_alike() -> None:
    """An area that got a second station in June is compared with itself since then."""
    both, day = frozenset({"markt", "kirche"}), date(2026, 7, 15)

    value = by_day(day, carried=lambda start: both if start.date() >= date(2026, 6, 20) else frozenset({"markt"}))

    assert value.usual[0] == Usual(100.0, 3, {"other_stations": 1})
    assert value.usual[1] == Usual(100.0, 3, {"other_stations": 49})
    assert value.before == Before(date(2025, 7, 16), None, {"other_stations": 1})


def test_the_sums_are_of_intervals_that_have_both_sides() -> None:
    """A week with half a Tuesday, whose Wednesday had a gap the year before."""
    first = date(2026, 7, 13)
    gaps = {date(2026, 7, 14): PARTIAL, date(2025, 7, 16): SILENT}
    found = series(
        first - LOOK_BACK,
        first + timedelta(days=7),
        DAY,
        answer=lambda start: gaps.get(start.date(), MEASURED),
        count=lambda start: 150 if start.date() >= first else 100,
    )

    comparison = compared(found, first)

    assert len(comparison.values) == 7
    assert comparison.usual == (Sum(6, 900, 600.0), Sum(6, 900, 600.0))
    assert comparison.before == Sum(5, 750, 500.0)


def test_today_is_compared_as_far_as_it_is_over() -> None:
    """The hour that runs is not, and neither is one to come; likes of today are never in the future."""
    day = date(2026, 7, 15)
    found = series(day - LOOK_BACK, day + timedelta(days=1))

    values = compared(found, day, Resolution.HOUR, now_s=at(2026, 7, 15, 12, 30)).values

    assert [value.why_not for value in values] == [None] * 12 + ["open"] * 12


def test_nothing_is_compared_of_nobody() -> None:
    """No series, no comparison."""
    assert compare([], 0, 3600, zone=BERLIN, calendar=THURINGIA, now_s=0) == []


@settings(max_examples=20, deadline=None)
@given(day=st.dates(date(2019, 1, 1), date(2027, 12, 31)), seed=st.integers(0, 1000))
def test_like_days_are_accounted_for_one_by_one(day: date, seed: int) -> None:
    """Against a plain reading of the rule: which days, which of them went in, which not."""
    answers = [MEASURED, MEASURED, MEASURED, PARTIAL, SILENT]

    def answer(start: datetime) -> Answer:
        return answers[hash((seed, start.toordinal())) % len(answers)]

    value = by_day(day, answer=answer, count=lambda start: start.toordinal() % 997)

    is_holiday = bool(THURINGIA.names(day))
    for weeks, usual in zip((4, 52), value.usual, strict=True):
        past = [day - timedelta(days=n) for n in range(1, 7 * weeks + 1)]
        likes = [d for d in past if (bool(THURINGIA.names(d)) if is_holiday else d.weekday() == day.weekday())]
        of_kind = [d for d in likes if bool(THURINGIA.names(d)) == is_holiday]
        good = [d for d in of_kind if answer(datetime(d.year, d.month, d.day, tzinfo=BERLIN)) is MEASURED]
        assert usual.days == len(good)
        assert usual.days + sum(usual.skipped.values()) == len(likes)
        assert usual.skipped.get("holiday", 0) == len(likes) - len(of_kind)
        assert (usual.mean is None) == (len(good) < LEAST_DAYS)
        if usual.mean is not None:
            assert usual.mean == pytest.approx(sum(d.toordinal() % 997 for d in good) / len(good))
