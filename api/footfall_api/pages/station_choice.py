"""What the station page is asked to show: a period of whole days, in which steps, which directions, in which form.

Everything comes from the address and goes back into it. `to` is the last day and part of the period, as people say it;
the API's `to` is the moment at which it ends. What cannot be shown is refused here with what would be right; how fine
the public may look is the API's own rule.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Final
from zoneinfo import ZoneInfo

RESOLUTIONS: Final = {
    "1min": 60,
    "5min": 300,
    "15min": 900,
    "1h": 3600,
    "1d": 86_400,
    "1w": 7 * 86_400,
    "1mo": 30 * 86_400,
}
"""What may be chosen, with about how many seconds it lasts."""
DIRECTIONS: Final = ("split", "sum")
FORMS: Final = ("bars", "lines")
MOST_INTERVALS: Final = 9_000
"""A year by the hour; more would be narrower than any screen."""
MOST_ROWS: Final = 200
"""Rows of the table on one page."""
FIRST_DAY: Final = date(2000, 1, 1)
"""The API answers nothing before."""
DEFAULT_DAYS: Final = 7


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why a choice cannot be shown: the key of the sentence, the field at fault, what the sentence is filled with."""

    key: str
    field: str
    values: Mapping[str, object]
    instead: tuple[str, ...] = ()
    """Resolutions that would be right for the period."""


@dataclass(frozen=True, slots=True)
class Choice:
    """A view of a station. `first` and `last` are local days, both part of it."""

    first: date
    last: date
    resolution: str
    directions: str = "split"
    form: str = "bars"
    page: int = 1
    week_by: str = "1d"
    """By what this week is compared with the last four."""
    chosen_resolution: bool = False
    """Whether somebody chose the resolution; if not it is not repeated in addresses."""
    troubles: tuple[Trouble, ...] = ()

    @property
    def days(self) -> int:
        """How many days the period has."""
        return (self.last - self.first).days + 1

    @property
    def intervals(self) -> int:
        """About how many intervals that is."""
        return max(1, round(self.days * 86_400 / RESOLUTIONS[self.resolution]))

    def query(self, **changed: object) -> dict[str, object]:
        """The words of the address that shows this, or with something `changed`; defaults are left out."""
        words: dict[str, object] = {
            "from_": self.first.isoformat(),
            "to": self.last.isoformat(),
            "resolution": self.resolution if self.chosen_resolution else None,
            "direction": None if self.directions == DIRECTIONS[0] else self.directions,
            "form": None if self.form == FORMS[0] else self.form,
            "week": None if self.week_by == "1d" else self.week_by,
        }
        return words | changed


def read_choice(asked: Mapping[str, str | None], today: date) -> Choice:
    """The view that an address asks for; what is absent or empty is the last seven days, and steps that suit them."""
    asked = {name: text for name, text in asked.items() if text}
    troubles: list[Trouble] = []
    last = _day(asked.get("to"), "to", troubles)
    first = _day(asked.get("from"), "from", troubles)
    if last is None:
        last = today if first is None else max(first, today)
    # The days before the first that is answered are refused below; the calendar itself ends soon after the year 1.
    first = first or max(last, date.min + timedelta(days=DEFAULT_DAYS)) - timedelta(days=DEFAULT_DAYS - 1)
    if not troubles:
        troubles += _order(first, last, today)
    last = max(first, min(last, today)) if not troubles else last
    if troubles:
        first, last = today - timedelta(days=DEFAULT_DAYS - 1), today
    resolution = _one_of(asked.get("resolution"), tuple(RESOLUTIONS), "resolution", troubles)
    choice = Choice(
        first=first,
        last=last,
        resolution=resolution or suitable((last - first).days + 1),
        directions=_one_of(asked.get("direction"), DIRECTIONS, "direction", troubles) or DIRECTIONS[0],
        form=_one_of(asked.get("form"), FORMS, "form", troubles) or FORMS[0],
        page=_page(asked.get("page")),
        week_by=_one_of(asked.get("week"), ("1d", "1h"), "week", troubles) or "1d",
        chosen_resolution=resolution is not None,
    )
    if not troubles and choice.intervals > MOST_INTERVALS:
        values = {"days": choice.days, "values": choice.intervals, "most": MOST_INTERVALS}
        troubles.append(Trouble("station.trouble.too_much", "resolution", values, instead(choice.days)))
    return replace(choice, troubles=tuple(troubles))


def _day(text: str | None, field: str, troubles: list[Trouble]) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        troubles.append(Trouble("station.trouble.no_date", field, {"text": text[:40]}))
        return None


def _order(first: date, last: date, today: date) -> list[Trouble]:
    if first > today:
        return [Trouble("station.trouble.future", "from", {})]
    if first < FIRST_DAY:
        return [Trouble("station.trouble.too_early", "from", {"year": str(FIRST_DAY.year)})]
    if last < first:
        return [Trouble("station.trouble.order", "to", {})]
    return []


def _one_of(text: str | None, known: Sequence[str], field: str, troubles: list[Trouble]) -> str | None:
    if text is None or text in known:
        return text
    troubles.append(Trouble("station.trouble.unknown", field, {"text": text[:40], "known": ", ".join(known)}))
    return None


def _page(text: str | None) -> int:
    return max(1, min(int(text), 10_000)) if text and text.isascii() and text.isdigit() and len(text) < 6 else 1


def suitable(days: int) -> str:
    """The resolution in which a period of so many days is best looked at first."""
    for most, resolution in ((1, "15min"), (8, "1h"), (400, "1d"), (1100, "1w")):
        if days <= most:
            return resolution
    return "1mo"


def instead(days: int) -> tuple[str, ...]:
    """The resolutions in which a period of so many days can be shown."""
    return tuple(name for name, seconds in RESOLUTIONS.items() if days * 86_400 / seconds <= MOST_INTERVALS)


@dataclass(frozen=True, slots=True)
class Moments:
    """The period for the API: where it begins, and where it ends."""

    from_: str
    to: str


def moments(choice: Choice, now: datetime, zone: ZoneInfo) -> Moments:
    """The period for the API. One that is not over ends with the running minute: what is to come is no gap."""
    end = datetime.combine(choice.last + timedelta(days=1), time(), zone)
    if end > now:
        running = now.astimezone(zone).replace(second=0, microsecond=0)
        begin = datetime.combine(choice.first, time(), zone)
        soon = (running.astimezone(ZoneInfo("UTC")) + timedelta(minutes=1)).astimezone(zone)
        return Moments(choice.first.isoformat(), max(soon, begin + timedelta(minutes=1)).isoformat())
    return Moments(choice.first.isoformat(), (choice.last + timedelta(days=1)).isoformat())


@dataclass(frozen=True, slots=True)
class Quick:
    """A period with a name."""

    key: str
    first: date
    last: date


def quick_periods(today: date) -> tuple[Quick, ...]:
    """The periods that people ask for most."""
    month = today.replace(day=1)
    last_month_end = month - timedelta(days=1)
    year = today.replace(month=1, day=1)
    # The day after this one a year ago; after 29 February comes 1 March.
    tomorrow = today + timedelta(days=1)
    leaps = (today.month, today.day) == (2, 28)
    ago = date(today.year - 1, 3, 1) if leaps else tomorrow.replace(year=tomorrow.year - 1)
    return (
        Quick("today", today, today),
        Quick("yesterday", today - timedelta(days=1), today - timedelta(days=1)),
        Quick("week", today - timedelta(days=6), today),
        Quick("month", month, today),
        Quick("last_month", last_month_end.replace(day=1), last_month_end),
        Quick("year", year, today),
        Quick("last_year", year.replace(year=year.year - 1), year - timedelta(days=1)),
        Quick("twelve", ago, today),
    )
