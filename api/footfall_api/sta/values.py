"""The values of the query language: what a literal can be, what a property can hold, and how each is written.

A value is one of ``None``, ``bool``, ``int``, ``float``, ``str``, an aware ``datetime`` in UTC, a ``date``, a ``time``
of day, a ``timedelta``, an `Interval`, a shapely geometry (degrees, longitude first), or JSON (``dict``, ``list``).
"""

import json
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import numpy as np
import shapely
from shapely.geometry.base import BaseGeometry

Value = Any
"""One of the types that this module's docstring names; ``Any``, because shapely ships no types."""

MAX_VERTICES: Final = 1000
"""Points in one geometry of a question: comparing takes time for each."""

TIME: Final = r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:[.,][0-9]+)?)?(?:Z|[-+ ][0-9]{2}:?[0-9]{2})?"
"""How a time begins and ends in a text; a space before an offset is the '+' that a URL turned into one."""

_DURATION: Final = re.compile(
    r"(?P<sign>[-+])?P(?=.)(?:(?P<weeks>\d{1,9})W)?(?:(?P<days>\d{1,9})D)?"
    r"(?:T(?=.)(?:(?P<hours>\d{1,9})H)?(?:(?P<minutes>\d{1,12})M)?(?:(?P<seconds>\d{1,12}(?:\.\d{1,12})?)S)?)?",
    re.IGNORECASE | re.ASCII,
)

_SHAPES: Final = ("POINT", "LINESTRING", "POLYGON", "MULTIPOINT", "MULTILINESTRING", "MULTIPOLYGON")


@dataclass(frozen=True, slots=True)
class Interval:
    """The time from `start` on and before `end`, both aware and in UTC; `end` is not before `start`."""

    start: datetime
    end: datetime


def parse_time(text: str) -> datetime:
    """The instant (aware, UTC) of an ISO 8601 time with an offset; fractions count down to the microsecond.

    Raises:
        ValueError: no offset, or no such day or time of day; the message says what would be right.
    """
    if re.fullmatch(TIME, text, re.IGNORECASE) is None:
        raise ValueError(f"{text} is not a time; write it as 2026-03-01T12:00:00Z or 2026-03-01T12:00:00%2B01:00")
    if text[-1:] not in "Zz" and text[-6:-5] not in "-+ " and text[-5:-4] not in "-+ ":
        raise ValueError(f"the time {text} does not say its offset; write {text}Z for UTC, or {text}%2B01:00")
    try:
        return datetime.fromisoformat(text.replace(" ", "+").upper()).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"there is no time {text}: {error}") from error


def parse_interval(text: str) -> Interval:
    """The interval of two ISO 8601 times with a slash between.

    Raises:
        ValueError: one of them cannot be read, or the end is before the start.
    """
    start, _, end = text.partition("/")
    found = Interval(parse_time(start), parse_time(end))
    if found.end < found.start:
        raise ValueError(f"the interval {text} ends before it starts; write the earlier time first")
    return found


def parse_duration(text: str) -> timedelta:
    """The ISO 8601 duration: weeks, days, hours, minutes and seconds.

    Raises:
        ValueError: not a duration, one of months or years, or one beyond what can be reckoned with.
    """
    parts = _DURATION.fullmatch(text)
    if parts is None:
        raise ValueError(
            f"{text!r} is not a duration of days, hours, minutes and seconds; write it as P1D, PT24H or -PT15M"
            " (months and years have no fixed length)"
        )
    sign = -1 if parts["sign"] == "-" else 1
    whole, _, fraction = (parts["seconds"] or "").partition(".")
    micro = int(f"{fraction[:6]:0<6}")
    numbers = {unit: int(parts[unit] or 0) for unit in ("weeks", "days", "hours", "minutes")}
    try:
        return sign * timedelta(seconds=int(whole or 0), microseconds=micro, **numbers)
    except OverflowError as error:
        raise ValueError(f"the duration {text} is too long") from error


def parse_geometry(text: str) -> BaseGeometry:
    """The shape of a WKT, with or without ``SRID=4326;`` before it.

    Raises:
        ValueError: not such a shape, one that crosses itself, or one of too many points.
    """
    prefix, _, wkt = text.rpartition(";")
    if prefix.replace(" ", "").upper() not in {"", "SRID=4326"}:
        raise ValueError(f"{prefix!r} is not a reference system of this service; write SRID=4326 or leave it out")
    kind = re.match(r"\s*([A-Za-z]*)", wkt)
    if kind is None or kind[1].upper() not in _SHAPES:
        raise ValueError(
            f"{wkt[:40]!r} is not a shape; write WKT such as POINT(11.58 50.92), one of {', '.join(_SHAPES)}"
        )
    if wkt.count(",") >= MAX_VERTICES:
        raise ValueError(f"a shape of more than {MAX_VERTICES} points; simplify it")
    try:
        with np.errstate(all="ignore"):  # a number beyond all bounds: not sound, as is said below
            shape = shapely.from_wkt(wkt)
    except shapely.errors.GEOSException as error:
        raise ValueError(f"{wkt[:40]!r} cannot be read as WKT: {_one_line(error)}") from error
    if not shapely.is_valid(shape):
        raise ValueError(f"the shape {wkt[:40]!r} is not sound: {shapely.is_valid_reason(shape)}")
    return shape


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())


def write(value: Value) -> str:
    """A value as the query language writes it as a literal, coordinates to 15 digits; JSON as JSON."""
    if value is None or isinstance(value, bool | dict | list):
        return json.dumps(value)
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Interval):
        return f"{write(value.start)}/{write(value.end)}"
    if isinstance(value, timedelta):
        return f"duration'{_iso(value)}'"
    if isinstance(value, BaseGeometry):
        return f"geography'{shapely.to_wkt(value, rounding_precision=-1)}'"
    return repr(value)


def _iso(length: timedelta) -> str:
    days, seconds, micro = abs(length).days, abs(length).seconds, abs(length).microseconds
    fraction = f".{micro:06}" if micro else ""
    return f"{'-' if length < timedelta() else ''}P{days}DT{seconds}{fraction}S"


def descend(value: Value, steps: tuple[str | int, ...]) -> Value:
    """What a path inside of a value leads to: into JSON by key or index, into an interval by ``start`` or ``end``.

    Returns ``None`` where there is nothing.
    """
    for step in steps:
        if isinstance(value, dict):
            value = value.get(str(step))
        elif isinstance(value, list) and isinstance(step, int):
            value = value[step] if step < len(value) else None
        elif isinstance(value, Interval) and step in {"start", "end"}:
            value = value.start if step == "start" else value.end
        else:
            return None
    return value
