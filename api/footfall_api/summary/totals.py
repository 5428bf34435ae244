"""What passed in a day, a week, a month, a year or a whole time: sums, the best and the quietest day, the peak hour.

A sum is what was measured, never more: nothing is filled in for the time of a gap. How much of the time was measured,
and how many gaps there are, stands beside it. A gap is a stretch of hours in a row that were not wholly measured
though a sensor hung there; the hours in which none did are counted by themselves, and so are the days left out.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from enum import StrEnum
from itertools import groupby
from statistics import fmean
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.answers import Answer, Reason, State
from footfall_api.summary.days import Calendar, DayKind
from footfall_api.summary.series import Series, Skip, Skipped, local_times, tallied

LEAST_DAYS: Final = 3
"""A mean of fewer days of a kind is not given: it would say what happened then, not what is usual."""

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class DayCount:
    """A local date and its passages."""

    day: date
    count: int


@dataclass(frozen=True, slots=True)
class HourCount:
    """An hour by its beginning (UTC unix seconds), and its passages."""

    start_s: int
    end_s: int
    count: int


@dataclass(frozen=True, slots=True)
class KindMean:
    """The mean day of one kind."""

    kind: DayKind
    mean: float | None
    """None if fewer than `LEAST_DAYS` went in."""
    days: int
    skipped: Skipped


@dataclass(frozen=True, slots=True)
class Gaps:
    """What was not measured, in hours."""

    count: int
    """Stretches in a row."""
    hours: int
    not_installed_hours: int
    """Hours for all or a part of which no sensor was installed; they are in no gap."""


@dataclass(frozen=True, slots=True)
class Total:
    """One period of one series."""

    start_s: int
    end_s: int
    answer: Answer
    count: int | None
    gaps: Gaps
    measured_days: int
    skipped_days: Skipped
    best_day: DayCount | None
    quietest_day: DayCount | None
    peak_hour: HourCount | None
    kinds: Sequence[KindMean]
    """One for each kind of day, holidays last."""


@dataclass(frozen=True, slots=True)
class Totals:
    """The periods of one direction, class and sensor."""

    series: Series
    values: Sequence[Total]


def totals(
    periods: Sequence[Series],
    days: Sequence[Series],
    hours: Sequence[Series],
    *,
    zone: ZoneInfo,
    calendar: Calendar,
    now_s: int,
) -> list[Totals]:
    """The totals of each series by periods, with the same series by the day and by the hour.

    Each period is made of whole days, each day of whole hours. Of equals, the first is the best, the quietest, the
    peak.
    """
    return [_totals(*one, zone=zone, calendar=calendar, now_s=now_s) for one in zip(periods, days, hours, strict=True)]


def _totals(periods: Series, days: Series, hours: Series, *, zone: ZoneInfo, calendar: Calendar, now_s: int) -> Totals:
    dates = [place.day for place in local_times(days.edges_s, zone, _DAY_S)]
    of_days = _Fine(days, [days.why_not(i, now_s) for i in range(len(days.answers))])
    of_hours = _Fine(hours, [hours.why_not(i, now_s) for i in range(len(hours.answers))])
    kinds = [calendar.kind(day) for day in dates]
    return Totals(periods, [_total(periods, i, of_days, of_hours, dates, kinds) for i in range(len(periods.answers))])


@dataclass(frozen=True, slots=True)
class _Fine:
    """A series of shorter intervals, and why which of them may not go in."""

    series: Series
    whys: Sequence[str | None]

    def within(self, start_s: int, end_s: int) -> range:
        """The numbers of the intervals in [start_s, end_s)."""
        return range(bisect_left(self.series.edges_s, start_s), bisect_left(self.series.edges_s, end_s))

    def at(self, instant_s: int) -> int:
        """The number of the interval that an instant is in."""
        return bisect_right(self.series.edges_s, instant_s) - 1

    def counted(self, numbers: Iterable[int]) -> list[tuple[int, int]]:
        """Of these intervals those that may go in: number and count."""
        return [(n, c) for n in numbers if self.whys[n] is None and (c := self.series.counts[n]) is not None]

    def skipped(self, numbers: Iterable[int]) -> Skipped:
        """Why the others may not."""
        return tallied([self.whys[n] for n in numbers])


def _total(  # noqa: PLR0917  # one argument for each of the parts
    periods: Series, i: int, days: _Fine, hours: _Fine, dates: Sequence[date], kinds: Sequence[DayKind]
) -> Total:
    start_s, end_s = periods.edges_s[i], periods.edges_s[i + 1]
    in_days, in_hours = days.within(start_s, end_s), hours.within(start_s, end_s)
    counted = [DayCount(dates[n], count) for n, count in days.counted(in_days)]
    edges_s = hours.series.edges_s
    peaks = [HourCount(edges_s[n], edges_s[n + 1], count) for n, count in hours.counted(in_hours)]
    return Total(
        start_s,
        end_s,
        periods.answers[i],
        periods.counts[i],
        gaps(_words(in_hours, days, hours)),
        len(counted),
        days.skipped(in_days),
        max(counted, key=lambda found: found.count, default=None),
        min(counted, key=lambda found: found.count, default=None),
        max(peaks, key=lambda found: found.count, default=None),
        [_mean(kind, [n for n in in_days if kinds[n] is kind], days) for kind in DayKind],
    )


class HourWord(StrEnum):
    """What an hour is among the gaps."""

    KNOWN = "known"
    GAP = "gap"
    NOT_INSTALLED = "not_installed"


def gaps(hours: Iterable[HourWord]) -> Gaps:
    """The gaps among consecutive hours."""
    runs = [(word, sum(1 for _ in run)) for word, run in groupby(hours)]
    stretches = [length for word, length in runs if word is HourWord.GAP]
    without = sum(length for word, length in runs if word is HourWord.NOT_INSTALLED)
    return Gaps(len(stretches), sum(stretches), without)


def _words(in_hours: Iterable[int], days: _Fine, hours: _Fine) -> Iterator[HourWord]:
    for n in in_hours:
        answer, why = hours.series.answers[n], hours.whys[n]
        if why is None or why is Skip.OPEN:  # an hour that is not over may still be measured to its end
            yield HourWord.KNOWN
        elif why is Skip.INCOMPLETE or answer.reason == Reason.NOT_INSTALLED:
            yield HourWord.NOT_INSTALLED
        elif answer.state is State.COARSE and days.whys[days.at(hours.series.edges_s[n])] is None:
            yield HourWord.KNOWN  # the sensor reports longer times only, and the day was measured
        else:
            yield HourWord.GAP


def _mean(kind: DayKind, numbers: Sequence[int], days: _Fine) -> KindMean:
    counts = [count for _, count in days.counted(numbers)]
    mean = fmean(counts) if len(counts) >= LEAST_DAYS else None
    return KindMean(kind, mean, len(counts), days.skipped(numbers))
