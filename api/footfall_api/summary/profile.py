"""The typical week: what is usual at each hour of each weekday, and how much it varies.

A cell of the week is a kind of day and a time on the local clock. Its values are the counts of all intervals of the
period that lie there and may go in (`Series.why_not`). The hour that March leaves out has no value; the two hours that
October shows as 2 o'clock are two values of the same cell, for each is an hour long.

Median and quartiles, because a street festival must not move them; and none from fewer than `LEAST_VALUES`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import quantiles
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.summary.days import Calendar, DayKind
from footfall_api.summary.series import Series, Skip, Skipped, clocks, local_times, tallied

LEAST_VALUES: Final = 4
"""Fewer values do not say what is usual: with four, each quarter of them has one."""


@dataclass(frozen=True, slots=True)
class Spread:
    """The middle of some values and of their lower and upper halves; a quarter of them lies outside on each side."""

    lower_quartile: float
    median: float
    upper_quartile: float


@dataclass(frozen=True, slots=True)
class Cell:
    """One hour (or day, or quarter of an hour) of the typical week."""

    kind: DayKind
    clock: str
    """``HH:MM`` on the local clock; empty for a whole day."""
    spread: Spread | None
    """None if too few values went in."""
    values: int
    """How many went in."""
    skipped: Skipped
    """How many did not, by reason."""


@dataclass(frozen=True, slots=True)
class Week:
    """The typical week of one direction, class and sensor."""

    series: Series
    cells: Sequence[Cell]
    """Day after day from Monday on, the holidays last; each from midnight to midnight. None is left out."""


def spread(values: Sequence[int]) -> Spread | None:
    """Median and quartiles; None if there are too few values.

    Between two values quartiles are interpolated, both ends being values that occurred (the method of most
    spreadsheets: QUARTILE.INC).
    """
    if len(values) < LEAST_VALUES:
        return None
    return Spread(*quantiles(values, n=4, method="inclusive"))


def typical_weeks(
    series: Sequence[Series], step_s: int, *, zone: ZoneInfo, calendar: Calendar, now_s: int
) -> list[Week]:
    """The typical week of each series; all have the same intervals, `step_s` long but for changes of the clocks."""
    if not series:
        return []
    places = local_times(series[0].edges_s, zone, step_s)
    kinds = {day: calendar.kind(day) for day in {place.day for place in places}}
    return [_week(one, [(kinds[p.day], p.clock, p.short) for p in places], clocks(step_s), now_s) for one in series]


def _week(series: Series, places: Sequence[tuple[DayKind, str, bool]], times: Sequence[str], now_s: int) -> Week:
    counted: dict[tuple[DayKind, str], list[int]] = {(kind, clock): [] for kind in DayKind for clock in times}
    skipped: dict[tuple[DayKind, str], list[str]] = {place: [] for place in counted}
    for i, (kind, clock, short) in enumerate(places):
        why = series.why_not(i, now_s) or (Skip.SHORT if short else None)
        count = series.counts[i]
        if why is None and count is not None:
            counted[kind, clock].append(count)
        else:
            skipped[kind, clock].append(why or str(series.answers[i].state))
    return Week(
        series,
        [
            Cell(kind, clock, spread(values), len(values), tallied(skipped[kind, clock]))
            for (kind, clock), values in counted.items()
        ],
    )
