"""What kind of day a date is: a day of the week, or a public holiday, which is like no day of the week.

Which dates are public holidays is known from the library ``holidays``, by country and state. School holidays are not
told apart: they are working days for most people, and they differ from state to state.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from enum import StrEnum
from functools import cache
from typing import Final

from holidays import country_holidays, list_supported_countries

NO_HOLIDAYS: Final = ""
"""The setting of those who do not want to tell public holidays apart."""

_ENGLISH: Final = "en_US"


class DayKind(StrEnum):
    """The days that are alike: those of the week, and the public holidays whatever weekday they fall on."""

    MONDAY = "monday"
    TUESDAY = "tuesday"
    WEDNESDAY = "wednesday"
    THURSDAY = "thursday"
    FRIDAY = "friday"
    SATURDAY = "saturday"
    SUNDAY = "sunday"
    HOLIDAY = "holiday"


_WEEKDAYS: Final = tuple(DayKind)[:7]


class Calendar:
    """The public holidays of a country or of one of its states, such as ``DE-TH``; of none with an empty code."""

    def __init__(self, code: str) -> None:
        check_code(code)
        self.code = code

    def names(self, day: date) -> tuple[str, ...]:
        """The names of the holidays that fall on a date, in the language of the country; empty on any other day."""
        return _holidays(self.code, day.year, None).get(day, ())

    def label(self, day: date, language: str) -> str:
        """The names for people, in English (``en``) where the library has them, else in the country's language."""
        wanted = _ENGLISH if language == "en" else None
        return ", ".join(_holidays(self.code, day.year, wanted).get(day, ()))

    def kind(self, day: date) -> DayKind:
        """What kind of day a date is."""
        return DayKind.HOLIDAY if self.names(day) else _WEEKDAYS[day.weekday()]

    def namesake(self, day: date) -> date | None:
        """The holiday of the same name in the year before; None if there was none, or if `day` is no holiday.

        Of several the first: a day may have two names.
        """
        names = set(self.names(day))
        found = [other for other, given in _holidays(self.code, day.year - 1, None).items() if names & set(given)]
        return min(found, default=None)

    def between(self, first: date, end: date) -> list[date]:
        """The holidays in [first, end), in order."""
        return [day for day in dates(first, end) if self.names(day)]


def dates(first: date, end: date) -> Iterable[date]:
    """The dates in [first, end)."""
    return (first + timedelta(days=n) for n in range((end - first).days))


def check_code(code: str) -> None:
    """Whether public holidays are known for a code such as ``DE-TH`` or ``AT``; an empty one stands for none.

    Raises:
        ValueError: there is no such country or state; the message says what would be right.
    """
    if code == NO_HOLIDAYS:
        return
    country, _, state = code.partition("-")
    known = list_supported_countries()
    if country not in known:
        raise ValueError(
            f"'{code}' is no country whose holidays are known; write country and state as ISO 3166 does: DE-TH"
        )
    if ("-" in code and state not in known[country]) or code != code.strip():
        states = ", ".join(f"{country}-{found}" for found in known[country]) or "none"
        raise ValueError(f"'{code}' is no state whose holidays are known; in {country} there are {states}")


@dataclass(frozen=True, slots=True)
class Holiday:
    """A date with the name of its holiday, for people."""

    day: date
    name: str


def holidays_between(calendar: Calendar, first: date, end: date, language: str) -> list[Holiday]:
    """The holidays in [first, end) with their names."""
    return [Holiday(day, calendar.label(day, language)) for day in calendar.between(first, end)]


@cache
def _holidays(code: str, year: int, language: str | None) -> dict[date, tuple[str, ...]]:
    """The public holidays of one year.

    The language is named always: left out, the library takes that of the process, and names would differ by server.
    """
    if code == NO_HOLIDAYS:
        return {}
    country, _, state = code.partition("-")
    found = country_holidays(country, subdiv=state or None, years=year, expand=False)
    wanted = language if language in found.supported_languages else found.default_language
    found = country_holidays(country, subdiv=state or None, years=year, expand=False, language=wanted)
    return {day: tuple(found.get_list(day)) for day in sorted(found)}
