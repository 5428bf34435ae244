"""Whole days of counts, written as spans from local midnight to local midnight: years of them in no time."""

from datetime import date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from footfall_testing.city import City

BERLIN = ZoneInfo("Europe/Berlin")


def midnight(day: date) -> datetime:
    """When a day begins in Jena."""
    return datetime.combine(day, time(), BERLIN)


def count_days(city: City, sensor: int, first: date, days: int, count: int, *, without: tuple[date, ...] = ()) -> None:
    """`days` days from `first` on, each with `count` passages in and as many out, wholly measured.

    Days in `without` are not reported.
    """
    for n in range(days):
        day = first + timedelta(days=n)
        if day not in without:
            begin, end = midnight(day), midnight(day + timedelta(days=1))
            seconds = round(end.timestamp() - begin.timestamp())
            city.span(sensor, begin, end, {0: count, 1: count} if count else {}, observed_s=seconds)
