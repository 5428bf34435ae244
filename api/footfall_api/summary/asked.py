"""What somebody asks of a summary, checked and with every default filled in, before the counts are read."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution, day_start, local_date
from footfall_api.question import QuestionError, parse_range
from footfall_api.summary.compare import LOOK_BACK
from footfall_api.times import TimeRefusedError, parse_time

MAX_READ: Final = 100_000
"""Intervals that are read for one summary: eleven years of hours, nearly three of quarters of an hour."""

MAX_COMPARED: Final = 9_000
"""Intervals in one comparison: a year of hours."""

PROFILE_WEEKS: Final = 52
"""The typical week's period, unless another is asked for: a whole year of each weekday."""


class ProfileResolution(StrEnum):
    """What a typical week can be made of. Nothing here is finer than what is public for all time."""

    QUARTER_HOUR = Resolution.QUARTER_HOUR
    HALF_HOUR = Resolution.HALF_HOUR
    HOUR = Resolution.HOUR
    DAY = Resolution.DAY


class CompareResolution(StrEnum):
    """What can be compared."""

    HOUR = Resolution.HOUR
    DAY = Resolution.DAY


MAX_WEEKS: Final = 104
"""Weeks on each side of a change."""


class TotalsResolution(StrEnum):
    """The periods of totals; `ALL` is the whole time asked for."""

    DAY = Resolution.DAY
    WEEK = Resolution.WEEK
    MONTH = Resolution.MONTH
    YEAR = Resolution.YEAR
    ALL = "all"


@dataclass(frozen=True, slots=True)
class Period:
    """[from_s, to_s) in UTC unix seconds, both ends on edges of what the summary is made of."""

    from_s: int
    to_s: int


def profile_period(
    from_: str | None, to: str | None, resolution: ProfileResolution, zone: ZoneInfo, now: datetime
) -> Period:
    """The period of a typical week, in whole days: the last 52 whole weeks, or up to a time, or since a time.

    Without `to` it ends with the last day that is over; if `from_` is missing too, with the last week that is over.

    Raises:
        QuestionError: a time that cannot be read, an end not after the start, or more than can be read.
    """
    if to is not None:
        end = local_date(_end_s(to, zone, now), zone)
    else:
        today = local_date(int(now.timestamp()), zone)
        end = today - timedelta(days=today.weekday() if from_ is None else 0)
    start = from_ or (end - timedelta(weeks=PROFILE_WEEKS)).isoformat()
    try:
        period = Period(*parse_range(start, end.isoformat(), Resolution.DAY, zone, now))
    except QuestionError as error:
        if error.parameter != "to" or to is not None:
            raise
        raise QuestionError("from", f"from ({from_}) is not before today: no day since then is over yet") from error
    _check(period, Resolution(resolution), MAX_READ)
    return period


def compare_period(
    from_: str | None, to: str | None, resolution: CompareResolution, zone: ZoneInfo, now: datetime
) -> Period:
    """The period to compare, in whole intervals: as of the counts, today up to now.

    Raises:
        QuestionError: a time that cannot be read, an end not after the start, or more than can be compared.
    """
    length = Resolution(resolution)
    period = Period(*parse_range(from_, to, length, zone, now))
    _check(period, length, MAX_COMPARED)
    return period


def compare_read(period: Period, zone: ZoneInfo) -> Period:
    """What is read to compare a period: all that its days may be compared with, and itself."""
    return Period(day_start(local_date(period.from_s, zone) - LOOK_BACK, zone), period.to_s)


def totals_period(
    from_: str | None, to: str | None, resolution: TotalsResolution, zone: ZoneInfo, now: datetime
) -> Period:
    """The period of totals, in whole periods of the resolution (days for the whole): this year up to now.

    Raises:
        QuestionError: a time that cannot be read, an end not after the start, or more than can be read.
    """
    length = Resolution.DAY if resolution is TotalsResolution.ALL else Resolution(resolution)
    if from_ is None:
        last = local_date(_end_s(to, zone, now) - 1, zone)
        from_ = last.replace(month=1, day=1).isoformat()
    period = Period(*parse_range(from_, to, length, zone, now))
    _check(period, Resolution.HOUR, MAX_READ)
    return period


def sides(before: str, after: str | None, weeks: int, zone: ZoneInfo, now: datetime) -> tuple[Period, Period]:
    """So many weeks up to the day `before`, and as many from the day `after` on (None: the same day).

    Raises:
        QuestionError: a time that cannot be read, `after` earlier than `before` or a day that is not over.
    """
    last = _day("before", before, zone)
    first = last if after is None else _day("after", after, zone)
    if first < last:
        raise QuestionError("after", f"after ({after}) is earlier than before ({before})")
    if first >= local_date(int(now.timestamp()), zone):
        raise QuestionError(
            "before" if after is None else "after", f"{first} is not over yet: there is nothing to compare with"
        )
    length = timedelta(weeks=weeks)
    found = [(last - length, last), (first, first + length)]
    old, new = (Period(day_start(begin, zone), day_start(end, zone)) for begin, end in found)
    return old, new


def _day(parameter: str, text: str, zone: ZoneInfo) -> date:
    try:
        return local_date(int(parse_time(text, zone).timestamp()), zone)
    except TimeRefusedError as error:
        raise QuestionError(parameter, str(error)) from error


def _end_s(to: str | None, zone: ZoneInfo, now: datetime) -> int:
    """The end of the local day that contains the last moment before a time (None: before now)."""
    return parse_range(None, to, Resolution.DAY, zone, now)[1]


def _check(period: Period, resolution: Resolution, most: int) -> None:
    if (period.to_s - period.from_s) // resolution.longest_s > most:
        raise QuestionError(
            "resolution",
            f"that is more than {most:,} intervals of {resolution}; ask for less time"
            + ("" if resolution is Resolution.DAY else " or a coarser resolution"),
        )
