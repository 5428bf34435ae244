"""How a count compares with what is usual there, and with the year before: like days with like days.

The likes of a working day are the same weekdays of the weeks before that are no public holidays; those of a public
holiday are the public holidays before it, whatever weekday they fell on. A year before is the same weekday 52 weeks
before, whose date is the nearest; for a public holiday it is the one of the same name.

By the hour, the same hour on the local clock is compared. On the day on which October has 2 o'clock twice, both hours
are compared with the 2 o'clock of other days; as one of those days it goes in with the mean of its two hours.

Differences and ratios stand only where both sides may go in (`Series.why_not`), means only where enough days did.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from statistics import fmean
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer
from footfall_api.summary.days import Calendar
from footfall_api.summary.series import (
    LocalTime,
    Series,
    Skip,
    Skipped,
    local_times,
    tallied,
)

WEEKS: Final = (4, 52)
"""How many weeks before a day are looked at: what is usual lately, and what is usual all year round."""

LEAST_DAYS: Final = 3
"""A mean of fewer days is not given: it would say what happened then, not what is usual."""

YEAR_BACK: Final = timedelta(days=364)
"""52 weeks: the same weekday one or two days from the same date of the year before."""

LOOK_BACK: Final = timedelta(days=7 * 52 + 60)
"""So much before the first day must be known: movable holidays were up to five weeks earlier in the year before."""


@dataclass(frozen=True, slots=True)
class Usual:
    """The mean of like days."""

    mean: float | None
    """None if fewer than `LEAST_DAYS` went in."""
    days: int
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class Before:
    """The like day of the year before."""

    day: date | None
    """None: there was none; a working day's was a holiday, or a holiday did not exist."""
    count: float | None
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class Compared:
    """One interval, beside what is usual."""

    start_s: int
    end_s: int
    answer: Answer
    count: int | None
    why_not: str | None
    """Why it is not compared with anything; None if it is."""
    usual: tuple[Usual, ...]
    """For each of `WEEKS`."""
    before: Before


@dataclass(frozen=True, slots=True)
class Sum:
    """All intervals of the period for which both sides are known."""

    intervals: int
    count: int
    other: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """One direction, class and sensor through the period."""

    series: Series
    values: Sequence[Compared]
    usual: tuple[Sum, ...]
    before: Sum


def difference(count: float | None, other: float | None) -> float | None:
    """How many more than the other; None unless both are known."""
    return None if count is None or other is None else count - other


def ratio(count: float | None, other: float | None) -> float | None:
    """How many times the other; None unless both are known, and where the other is 0."""
    return None if count is None or not other else count / other


@dataclass(frozen=True, slots=True)
class _Known:
    """What a day had at a time: a count, or why it does not go in; and whose sum it is."""

    count: float | None
    why: str | None
    carried: frozenset[str] | None


_NO_SUCH_HOUR: Final = _Known(None, Skip.NO_SUCH_HOUR, None)


class _Past:
    """What one series has by local date and clock."""

    def __init__(self, series: Series, places: Sequence[LocalTime], now_s: int) -> None:
        self.whys = [
            series.why_not(i, now_s) or (Skip.SHORT if place.short else None) for i, place in enumerate(places)
        ]
        self.carried = series.carried
        found: dict[tuple[date, str], list[int]] = {}
        for i, place in enumerate(places):
            found.setdefault((place.day, place.clock), []).append(i)
        self._known = {place: self._joined(series, numbers) for place, numbers in found.items()}

    def _joined(self, series: Series, numbers: Sequence[int]) -> _Known:
        """One value, also where October has two."""
        whys = [self.whys[i] for i in numbers if self.whys[i] is not None]
        if whys:
            return _Known(None, whys[0], None)
        counts = [count for i in numbers if (count := series.counts[i]) is not None]
        return _Known(counts[0] if len(counts) == 1 else fmean(counts), None, series.carried[numbers[0]])

    def at(self, day: date, clock: str, beside: int) -> tuple[float | None, str | None]:
        """What a day had at a time, or why that does not go in beside the interval numbered `beside`."""
        known = self._known.get((day, clock), _NO_SUCH_HOUR)
        if known.why is None and known.carried != self.carried[beside]:
            return None, Skip.OTHER_STATIONS
        return known.count, known.why


def compare(
    series: Sequence[Series],
    from_s: int,
    step_s: int,
    *,
    zone: ZoneInfo,
    calendar: Calendar,
    now_s: int,
) -> list[Comparison]:
    """Compare the intervals of each series from `from_s` on with those before them.

    The series begin `LOOK_BACK` before `from_s`; all have the same intervals, `step_s` long but for changes of the
    clocks. The sum of an area is compared only with sums that the same stations carried.
    """
    if not series:
        return []
    places = local_times(series[0].edges_s, zone, step_s)
    first = next(i for i, start_s in enumerate(series[0].edges_s) if start_s >= from_s)
    likes = _cached(lambda day: _likes(day, calendar))
    return [_compare(one, places, first, likes, _Past(one, places, now_s)) for one in series]


@dataclass(frozen=True, slots=True)
class _Likes:
    """The days that a day is compared with, and how many were left out for being of another kind."""

    windows: tuple[tuple[Sequence[date], int], ...]
    before: date | None


def _likes(day: date, calendar: Calendar) -> _Likes:
    if calendar.names(day):
        windows = [(calendar.between(day - timedelta(weeks=weeks), day), 0) for weeks in WEEKS]
        return _Likes(tuple(windows), calendar.namesake(day))
    same = [[day - timedelta(weeks=n) for n in range(1, weeks + 1)] for weeks in WEEKS]
    alike = [[other for other in found if not calendar.names(other)] for found in same]
    before = day - YEAR_BACK
    return _Likes(
        tuple((found, len(all_) - len(found)) for found, all_ in zip(alike, same, strict=True)),
        None if calendar.names(before) else before,
    )


def _cached(function: Callable[[date], _Likes]) -> Callable[[date], _Likes]:
    known: dict[date, _Likes] = {}

    def look(day: date) -> _Likes:
        if day not in known:
            known[day] = function(day)
        return known[day]

    return look


def _compare(
    series: Series, places: Sequence[LocalTime], first: int, likes: Callable[[date], _Likes], past: _Past
) -> Comparison:
    values = [_value(series, i, places[i], likes(places[i].day), past) for i in range(first, len(places))]
    return Comparison(
        series,
        values,
        tuple(_sum((v, v.usual[n].mean) for v in values) for n in range(len(WEEKS))),
        _sum((v, v.before.count) for v in values),
    )


def _value(series: Series, i: int, place: LocalTime, likes: _Likes, past: _Past) -> Compared:
    usual = tuple(_usual(days, place.clock, others, past, i) for days, others in likes.windows)
    count, why = (None, None) if likes.before is None else past.at(likes.before, place.clock, i)
    before = Before(likes.before, count, tallied([why]))
    return Compared(
        series.edges_s[i], series.edges_s[i + 1], series.answers[i], series.counts[i], past.whys[i], usual, before
    )


def _usual(days: Sequence[date], clock: str, holidays: int, past: _Past, beside: int) -> Usual:
    found = [past.at(day, clock, beside) for day in days]
    counts = [count for count, _ in found if count is not None]
    skipped = tallied([why for _, why in found] + [Skip.HOLIDAY] * holidays)
    return Usual(fmean(counts) if len(counts) >= LEAST_DAYS else None, len(counts), skipped)


def _sum(pairs: Iterator[tuple[Compared, float | None]]) -> Sum:
    both = [(v.count, other) for v, other in pairs if v.why_not is None and v.count is not None and other is not None]
    return Sum(len(both), sum(count for count, _ in both), sum(other for _, other in both))
