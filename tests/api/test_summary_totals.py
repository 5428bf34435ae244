"""Totals: sums of what was measured, the gaps beside them, and the best and quietest of what can be told."""

from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from itertools import groupby
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from footfall_api.answers import Answer, State
from footfall_api.intervals import Resolution
from footfall_api.summary.days import Calendar, DayKind
from footfall_api.summary.series import Series
from footfall_api.summary.totals import (
    LEAST_DAYS,
    DayCount,
    Gaps,
    HourCount,
    HourWord,
    KindMean,
    Total,
    gaps,
    totals,
)
from footfall_testing.series import (
    BEGUN,
    BERLIN,
    COARSE,
    MEASURED,
    NOT_INSTALLED,
    NOT_REPORTED,
    PARTIAL,
    SILENT,
    STATION,
    at,
    series,
)

THURINGIA = Calendar("DE-TH")
LATER = at(2028, 6, 1)

Rule = Callable[[datetime], Answer]


def always(_: datetime) -> Answer:
    return MEASURED


def month(
    first: date,
    end: date,
    resolution: Resolution = Resolution.MONTH,
    *,
    hour: Rule = always,
    day: Rule = always,
    now_s: int = LATER,
    **rules: Any,
) -> Sequence[Total]:
    """The totals of [first, end), of hours and days answered by these rules; 10 pass in an hour, 240 in a day."""
    hours = series(first, end, answer=hour, count=rules.get("count", lambda _: 10), carried=rules.get("carried", all_))
    days = series(first, end, Resolution.DAY, answer=day, count=rules.get("of_day", lambda _: 240))
    periods = series(first, end, resolution, count=lambda _: 7000)
    (one,) = totals([periods], [days], [hours], zone=BERLIN, calendar=THURINGIA, now_s=now_s)
    return one.values


def all_(_: datetime) -> frozenset[str] | None:
    return STATION


def test_a_whole_month() -> None:
    """Its sum is the period's own; of equal days and hours the first is named."""
    (july,) = month(date(2026, 7, 1), date(2026, 8, 1))

    assert (july.start_s, july.end_s, july.count, july.answer) == (at(2026, 7, 1), at(2026, 8, 1), 7000, MEASURED)
    assert july.gaps == Gaps(0, 0, 0)
    assert (july.measured_days, july.skipped_days) == (31, {})
    assert july.best_day == july.quietest_day == DayCount(date(2026, 7, 1), 240)
    assert july.peak_hour == HourCount(at(2026, 7, 1), at(2026, 7, 1, 1), 10)
    assert [kind.days for kind in july.kinds] == [4, 4, 5, 5, 5, 4, 4, 0]
    assert july.kinds[0] == KindMean(DayKind.MONDAY, 240.0, 4, {})
    assert july.kinds[7] == KindMean(DayKind.HOLIDAY, None, 0, {})


def test_the_best_the_quietest_and_the_peak() -> None:
    """Among measured days and hours only, however busy or empty a gap looked."""
    odd = {date(2026, 7, 4): PARTIAL, date(2026, 7, 5): PARTIAL}
    counts = {4: 1, 5: 10**6, 11: 900, 12: 30}

    (july,) = month(
        date(2026, 7, 1),
        date(2026, 8, 1),
        day=lambda start: odd.get(start.date(), MEASURED),
        hour=lambda start: odd.get(start.date(), MEASURED),
        of_day=lambda start: counts.get(start.day, 240),
        count=lambda start: 10**6 if start.day == 5 else start.hour * 10 + start.day,
    )

    assert july.best_day == DayCount(date(2026, 7, 11), 900)
    assert july.quietest_day == DayCount(date(2026, 7, 12), 30)
    assert july.peak_hour == HourCount(at(2026, 7, 31, 23), at(2026, 8, 1), 261)
    assert (july.measured_days, july.skipped_days) == (29, {"partial": 2})


def test_means_are_of_measured_days_of_a_kind() -> None:
    """Holidays apart; two are too few."""
    (may,) = month(
        date(2026, 5, 1),
        date(2026, 6, 1),
        day=lambda start: SILENT if start.day in {2, 9, 16} else MEASURED,
        of_day=lambda start: 100 if THURINGIA.names(start.date()) else 300,
    )

    kinds = {kind.kind: kind for kind in may.kinds}
    assert kinds[DayKind.HOLIDAY] == KindMean(DayKind.HOLIDAY, 100.0, 3, {})
    assert kinds[DayKind.MONDAY] == KindMean(DayKind.MONDAY, 300.0, 3, {})
    assert kinds[DayKind.SATURDAY] == KindMean(DayKind.SATURDAY, None, 2, {"missing": 3})


K, G, N = HourWord.KNOWN, HourWord.GAP, HourWord.NOT_INSTALLED


@pytest.mark.parametrize(
    ("hours", "expected"),
    [
        ([], Gaps(0, 0, 0)),
        ([K, K], Gaps(0, 0, 0)),
        ([G], Gaps(1, 1, 0)),
        ([G, G, K, G, K], Gaps(2, 3, 0)),
        ([N, N, G, N, K], Gaps(1, 1, 3)),
        ([G, N, G], Gaps(2, 2, 1)),
    ],
)
def test_gaps_are_stretches_in_a_row(hours: list[HourWord], expected: Gaps) -> None:
    """However long each is; hours without a sensor are none, and end one."""
    assert gaps(hours) == expected


@given(hours=st.lists(st.sampled_from(HourWord), max_size=40))
def test_gaps_account_for_every_hour(hours: list[HourWord]) -> None:
    """In any order."""
    found = gaps(hours)

    assert found.hours == hours.count(G)
    assert found.not_installed_hours == hours.count(N)
    assert found.count == sum(word is G for word, _ in groupby(hours))


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (SILENT, Gaps(2, 5, 0)),
        (NOT_REPORTED, Gaps(2, 5, 0)),
        (PARTIAL, Gaps(2, 5, 0)),
        (COARSE, Gaps(0, 0, 0)),  # the days were measured
        (NOT_INSTALLED, Gaps(0, 0, 5)),
        (BEGUN, Gaps(0, 0, 5)),
    ],
)
def test_which_hours_are_gaps(answer: Answer, expected: Gaps) -> None:
    """Two stretches, of three and of two hours, one over midnight."""
    (week,) = month(
        date(2026, 7, 6),
        date(2026, 7, 13),
        Resolution.WEEK,
        hour=lambda start: (
            answer if (start.day, start.hour) in {(7, 4), (7, 5), (7, 6), (9, 23), (10, 0)} else MEASURED
        ),
    )

    assert week.gaps == expected


def test_hours_of_a_longer_count_are_gaps_if_their_day_was_not_measured() -> None:
    """A sum recovered after an outage says how many, not that somebody looked."""
    (week,) = month(
        date(2026, 7, 6),
        date(2026, 7, 13),
        Resolution.WEEK,
        hour=lambda start: COARSE if start.day in {8, 10} else MEASURED,
        day=lambda start: SILENT if start.day == 10 else MEASURED,
    )

    assert week.gaps == Gaps(1, 24, 0)


def test_an_hour_in_which_a_station_came_to_an_area_is_in_no_gap() -> None:
    """It is left out all the same."""
    (day,) = month(
        date(2026, 7, 6),
        date(2026, 7, 7),
        Resolution.DAY,
        count=lambda start: 99 if start.hour == 9 else 10,
        carried=lambda start: None if start.hour == 9 else STATION,
    )

    assert day.gaps == Gaps(0, 0, 1)
    assert day.peak_hour == HourCount(at(2026, 7, 6), at(2026, 7, 6, 1), 10)


def test_what_is_not_over_is_neither_gap_nor_measured_day() -> None:
    """On the 15th at half past noon."""
    (july,) = month(
        date(2026, 7, 1),
        date(2026, 8, 1),
        hour=lambda start: NOT_REPORTED if start.day >= 15 else MEASURED,
        now_s=at(2026, 7, 15, 12, 30),
    )

    assert july.gaps == Gaps(1, 12, 0)
    assert (july.measured_days, july.skipped_days) == (14, {"open": 17})


def test_days_of_the_changes_of_the_clocks_are_measured_days() -> None:
    """And their hours are those there are: the 25th hour can be the peak."""
    (march,) = month(date(2026, 3, 1), date(2026, 4, 1))
    (october,) = month(date(2026, 10, 1), date(2026, 11, 1), count=lambda start: 50 if start.fold else 10)

    assert (march.measured_days, march.gaps) == (31, Gaps(0, 0, 0))
    peak = october.peak_hour
    assert peak is not None
    assert datetime.fromtimestamp(peak.start_s, BERLIN).isoformat() == "2026-10-25T02:00:00+01:00"
    assert october.measured_days == 31


@settings(max_examples=20, deadline=None)
@given(
    resolution=st.sampled_from([Resolution.DAY, Resolution.WEEK, Resolution.MONTH]),
    first=st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    days=st.integers(1, 80),
    seed=st.integers(0, 1000),
)
def test_every_day_and_hour_is_in_one_period(resolution: Resolution, first: date, days: int, seed: int) -> None:
    """Days measured and skipped, and hours in gaps, add up over the periods to what there is."""
    answers = [MEASURED, MEASURED, PARTIAL, SILENT, NOT_INSTALLED]
    periods = series(first, first + timedelta(days=days), resolution)
    start, end = (datetime.fromtimestamp(edge, BERLIN).date() for edge in (periods.edges_s[0], periods.edges_s[-1]))

    def hour_rule(start: datetime) -> Answer:
        return answers[hash((seed, start.toordinal(), start.hour)) % len(answers)]

    def day_rule(start: datetime) -> Answer:
        return answers[hash((seed, start.toordinal())) % len(answers)]

    found = month(start, end, resolution, hour=hour_rule, day=day_rule)
    hours: Series = series(start, end, answer=hour_rule)

    assert len(found) == len(periods.answers)
    assert sum(t.measured_days + sum(t.skipped_days.values()) for t in found) == (end - start).days
    for total in found:
        assert sum(kind.days for kind in total.kinds) == total.measured_days
        assert all((kind.mean is None) == (kind.days < LEAST_DAYS) for kind in total.kinds)
    states = [answer.state for answer in hours.answers]
    assert sum(t.gaps.hours for t in found) == states.count(State.PARTIAL) + hours.answers.count(SILENT)
    assert sum(t.gaps.not_installed_hours for t in found) == hours.answers.count(NOT_INSTALLED)
