"""What somebody asks of a station's counts, checked and with every default filled in, before the database is asked.

The rules of time are those of `times` and `intervals`. Here are the defaults (today, by the hour), the limits (how much
may be asked for at once, and how fine without the operator's token) and the words of the dimensions.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from itertools import islice
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution, day_start, edges_from, interval_of, local_date
from footfall_api.times import TimeRefusedError, parse_time, parse_zone

MAX_INTERVALS: Final = 5_500_000
"""Intervals in one answer: ten years of minutes."""

PAGE_INTERVALS: Final = 20_000
"""Intervals on one page of JSON: more than two years of hours."""

MAX_AHEAD: Final = timedelta(days=367)
"""How far the end may lie ahead: whoever asks for this year on its first day is not refused."""

FINE_WINDOW_S: Final = 24 * 3600
"""How far back anybody may see counts finer than a quarter of an hour."""

_GRACE_S: Final = 60
"""A question for exactly 24 hours takes a moment to arrive."""

FINE: Final = frozenset({Resolution.MINUTE, Resolution.FIVE_MINUTES})


class Format(StrEnum):
    """How an answer is written."""

    JSON = "json"
    CSV = "csv"
    CSV_DE = "csv-de"


class Dimension(StrEnum):
    """What counts can be told apart by."""

    DIRECTION = "direction"
    CLASS = "class"
    SENSOR = "sensor"


class QuestionError(ValueError):
    """A question that cannot be answered as it is; `parameter` is at fault, the message says what would be right."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class TooFineError(QuestionError):
    """A question finer than the public may ask so far back."""


@dataclass(frozen=True, slots=True)
class Question:
    """Counts of one station in [from_s, to_s), which are edges of the resolution in the zone (UTC unix seconds)."""

    station: str
    from_s: int
    to_s: int
    resolution: Resolution
    split: frozenset[Dimension]
    zone: ZoneInfo
    format: Format = Format.JSON
    after_s: int | None = None
    """Where the page before this one ended."""

    @property
    def start_s(self) -> int:
        """Where this page begins."""
        return self.from_s if self.after_s is None else self.after_s

    def pieces(self, intervals: int) -> Iterator[list[int]]:
        """The edges from the page's start to the end of the question, cut into lists of so many intervals.

        Each list begins with the edge that ended the one before.
        """
        edges = edges_from(self.resolution, self.start_s, self.zone)
        piece = [next(edges)]
        while piece[-1] < self.to_s:
            for edge in islice(edges, intervals):
                piece.append(edge)
                if edge >= self.to_s:
                    break
            yield piece
            piece = [piece[-1]]


def parse_split(values: Sequence[str]) -> frozenset[Dimension]:
    """The dimensions in ``split=direction,class`` or in several ``split=``.

    Raises:
        QuestionError: a word that is no dimension.
    """
    words = [word.strip() for value in values for word in value.split(",") if word.strip()]
    for word in words:
        if word not in set(Dimension):
            raise QuestionError(
                "split", f"'{word}' is nothing to split by; there are {', '.join(Dimension)}, joined by commas"
            )
    return frozenset(Dimension(word) for word in words)


def parse_range(
    from_: str | None, to: str | None, resolution: Resolution, zone: ZoneInfo, now: datetime
) -> tuple[int, int]:
    """The first and last edge of what is asked for, in UTC unix seconds; both are edges of the resolution.

    Without `to`: up to now. Without `from_`: from the local midnight before the end. A time inside an interval asks for
    all of it.

    Raises:
        QuestionError: a time that cannot be read, an end not after the start, or more intervals than one answer may
        have.
    """
    start = None if from_ is None else _time("from", from_, zone)
    end = now if to is None else _time("to", to, zone)
    if start is None:
        last_s = int(end.timestamp()) - 1
        start = datetime.fromtimestamp(day_start(local_date(last_s, zone), zone), UTC)
    if end <= start:
        given = f"to ({to})" if to is not None else "now, which stands in for the missing 'to',"
        raise QuestionError(
            "to" if to is not None else "from", f"{given} is not after from ({from_ or start.isoformat()})"
        )
    if end > now + MAX_AHEAD:
        raise QuestionError("to", f"to ({to}) is more than a year ahead; nothing has been counted there")
    start_s, end_s = int(start.timestamp()), ceil(end.timestamp())
    if (end_s - start_s) // resolution.longest_s > MAX_INTERVALS:
        raise QuestionError(
            "resolution",
            f"that is more than {MAX_INTERVALS:,} intervals of {resolution}; ask for less time or a coarser resolution",
        )
    return interval_of(resolution, start_s, zone)[0], interval_of(resolution, end_s - 1, zone)[1]


def parse_after(text: str | None, from_s: int, to_s: int, resolution: Resolution, zone: ZoneInfo) -> int | None:
    """Where the page before ended, as the `next` link gave it.

    Raises:
        QuestionError: not an edge inside of what is asked for.
    """
    if text is None:
        return None
    after_s = int(_time("after", text, zone).timestamp())
    if not from_s < after_s < to_s or interval_of(resolution, after_s, zone)[0] != after_s:
        raise QuestionError("after", f"'{text}' is not a page of this answer; follow the link in 'next' as it is")
    return after_s


def check_fineness(question: Question, now: datetime) -> None:
    """Refuse what only the operator may see.

    Raises:
        TooFineError: intervals finer than a quarter of an hour that began more than 24 hours ago.
    """
    if question.resolution not in FINE:
        return
    oldest_s = int(now.timestamp()) - FINE_WINDOW_S - _GRACE_S
    if question.from_s < interval_of(question.resolution, oldest_s, question.zone)[0]:
        oldest = datetime.fromtimestamp(oldest_s, question.zone).isoformat()
        raise TooFineError(
            "resolution",
            f"counts by {question.resolution} are public for the last 24 hours only (since {oldest}); before that ask "
            f"for {Resolution.QUARTER_HOUR} or coarser, or send the operator's token",
        )


def parse_timezone(name: str | None, default: ZoneInfo) -> ZoneInfo:
    """The zone of the answer: the one named, else the station's.

    Raises:
        QuestionError: there is no such zone.
    """
    try:
        return default if name is None else parse_zone(name)
    except TimeRefusedError as error:
        raise QuestionError("tz", str(error)) from error


def _time(parameter: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        return parse_time(text, zone)
    except TimeRefusedError as error:
        raise QuestionError(parameter, str(error)) from error
