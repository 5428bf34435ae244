"""What somebody asks of the counts, checked and with every default filled in, before the counts are read.

The rules of time are those of `times` and `intervals`, what is public those of `publication`. Here are the defaults
(today, by the hour), how much may be asked for at once, and the words of the dimensions.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from enum import StrEnum
from itertools import islice
from math import ceil
from typing import Final
from zoneinfo import ZoneInfo

from footfall_api.intervals import Resolution, day_start, edges_from, interval_of, local_date
from footfall_api.times import TimeRefusedError, parse_time, parse_zone

MAX_INTERVALS: Final = 5_500_000
"""Intervals in one answer, over all its series: ten years of minutes, or of hours for sixty stations."""

PAGE_INTERVALS: Final = 20_000
"""Intervals on one page of JSON, over all its series: more than two years of hours."""

NAMED_AT_MOST: Final = 5
"""So many ids that are not there are answered one by one: looking for similar ones takes time."""

MAX_SERIES: Final = 500
"""Stations and areas in one answer."""

MAX_FEATURES: Final = 10_000
"""Intervals in one GeoJSON, over all its series: each repeats its place, and a map cannot hold more."""

MAX_AHEAD: Final = timedelta(days=367)
"""How far the end may lie ahead: whoever asks for this year on its first day is not refused."""


class Format(StrEnum):
    """How an answer is written."""

    JSON = "json"
    CSV = "csv"
    CSV_DE = "csv-de"
    PARQUET = "parquet"
    GEOJSON = "geojson"


class TableFormat(StrEnum):
    """How what is a table and no series is written."""

    JSON = Format.JSON
    CSV = Format.CSV
    CSV_DE = Format.CSV_DE


class RemarksIn(StrEnum):
    """Where CSV has the remarks on its time, beside the header `Link` that leads to them."""

    LINK = "link"
    COLUMN = "column"


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
    """Counts in [from_s, to_s), which are edges of the resolution in the zone (UTC unix seconds)."""

    stations: tuple[str, ...]
    """Each a series of its own."""
    from_s: int
    to_s: int
    resolution: Resolution
    split: frozenset[Dimension]
    zone: ZoneInfo
    format: Format = Format.JSON
    after_s: int | None = None
    """Where the page before this one ended."""
    areas: tuple[str, ...] = ()
    """Each one series: the sum over its stations."""
    remarks: RemarksIn = RemarksIn.LINK

    @property
    def series(self) -> int:
        """How many series the answer has, before anything is split."""
        return len(self.stations) + len(self.areas)

    @property
    def start_s(self) -> int:
        """Where this page begins."""
        return self.from_s if self.after_s is None else self.after_s

    def pieces(self, intervals: int, first: int | None = None) -> Iterator[list[int]]:
        """The edges from the page's start to the end of the question, cut into lists of so many intervals.

        Each list begins with the edge that ended the one before. The first may be of another length.
        """
        edges = edges_from(self.resolution, self.start_s, self.zone)
        piece, size = [next(edges)], first or intervals
        while piece[-1] < self.to_s:
            for edge in islice(edges, size):
                piece.append(edge)
                if edge >= self.to_s:
                    break
            yield piece
            piece, size = [piece[-1]], intervals


def parse_names(values: Sequence[str] | None) -> tuple[str, ...]:
    """The ids in ``station=markt,kirche`` or in several ``station=``, each once, in the order they are given in."""
    return tuple(dict.fromkeys(word.strip() for value in values or () for word in value.split(",") if word.strip()))


def check_known(parameter: str, asked: Sequence[str], known: Collection[str]) -> None:
    """Refuse ids that are not there.

    Raises:
        QuestionError: it names the first few, each with those most like it, and says how many more there are.
    """
    unknown = [name for name in dict.fromkeys(asked) if name not in known]
    if unknown:
        named = [f"there is no {parameter} '{name}'{nearest(name, known)}" for name in unknown[:NAMED_AT_MOST]]
        if further := len(unknown) - len(named):
            named.append(f"nor are there {further} more of those named")
        raise QuestionError(parameter, "; ".join([*named, f"/api/v1/{parameter}s lists those there are"]))


def nearest(name: str, known: Collection[str]) -> str:
    """`` (did you mean 'markt'?)``, or nothing if no known name is like this one."""
    likely = get_close_matches(name, sorted(known), n=3)
    return f" (did you mean {' or '.join(repr(found) for found in likely)}?)" if likely else ""


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
        QuestionError: a time that cannot be read, or an end not after the start.
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


def check_size(question: Question) -> None:
    """Refuse what is too much for one answer, and say what to ask for instead.

    Raises:
        QuestionError: too many series, or too many intervals for the answer or its format.
    """
    if question.series > MAX_SERIES:
        raise QuestionError(
            "station",
            f"that is {question.series} stations and areas; one answer has {MAX_SERIES} at most: name fewer, or ask "
            "for an area, which is their sum",
        )
    intervals = (question.to_s - question.from_s) // question.resolution.longest_s * max(1, question.series)
    each = f" for each of {question.series} stations and areas" if question.series > 1 else ""
    fewer = ", fewer stations" if question.series > 1 else ""
    if intervals > MAX_INTERVALS:
        raise QuestionError(
            "resolution",
            f"that is more than {MAX_INTERVALS:,} intervals, by {question.resolution}{each}; ask for less time{fewer} "
            "or a coarser resolution",
        )
    if question.format is Format.GEOJSON and intervals > MAX_FEATURES:
        raise QuestionError(
            "format",
            f"that is more than {MAX_FEATURES:,} intervals, by {question.resolution}{each}, which is the most that one "
            f"{Format.GEOJSON} has; ask for less time{fewer} or a coarser resolution, or for {Format.CSV} or "
            f"{Format.PARQUET} and join it with /api/v1/stations",
        )


def parse_timezone(name: str | None, zones: Collection[ZoneInfo]) -> ZoneInfo:
    """The zone of the answer: the one named, else the one that all `zones` of the stations are; UTC without stations.

    Raises:
        QuestionError: there is no such zone, or the stations are in several and none is named.
    """
    keys = sorted({zone.key for zone in zones})
    try:
        if name is not None:
            return parse_zone(name)
    except TimeRefusedError as error:
        raise QuestionError("tz", str(error)) from error
    if len(keys) > 1:
        raise QuestionError(
            "tz",
            f"the stations are in several time zones ({', '.join(keys)}); name the one to answer in, such as {keys[0]}",
        )
    return next(iter(zones), ZoneInfo("UTC"))


def _time(parameter: str, text: str, zone: ZoneInfo) -> datetime:
    try:
        return parse_time(text, zone)
    except TimeRefusedError as error:
        raise QuestionError(parameter, str(error)) from error
