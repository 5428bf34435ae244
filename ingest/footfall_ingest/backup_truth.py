"""What a database has counted, as plain sums: by them a backup, what was restored from it, and what is are compared.

The sums are such that none of them ever becomes less while footfall works: passages and measured seconds by sensor and
month, and the numbers of the reports that were received. Late data adds to them. Where old minutes are removed, their
hours take their place here, and the sum stays.

Two databases in which the same numbers were received, and that have the same sums, have counted the same.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg
from pydantic import BaseModel, ConfigDict

from footfall_ingest.store import MINUTE_S

Connection = psycopg.Connection[Any]
Progress = Callable[[str, int, int], None]


class Truth(BaseModel):
    """The sums. A sensor's name is its id; a month is UTC's, as ``2026-03``; a span belongs to the month it begins in.

    A row of a sensor that nobody knows, which no sound database has, belongs to ``#`` and its number.
    """

    model_config = ConfigDict(frozen=True)

    passages: dict[str, dict[str, dict[str, int]]]
    """Passages by sensor, month, and direction and class as ``0/0``."""
    measured_s: dict[str, dict[str, int]]
    """Measured seconds by sensor and month."""
    received: dict[str, dict[str, str]]
    """Numbers of the reports that were received, by sensor and stream; PostgreSQL writes them ``{[0,12),[14,20)}``."""

    @property
    def total(self) -> int:
        """All passages."""
        return sum(
            number for months in self.passages.values() for cells in months.values() for number in cells.values()
        )

    @property
    def sensors(self) -> int:
        """How many sensors have reported."""
        return len(self.passages.keys() | self.measured_s.keys() | self.received.keys())


@dataclass(frozen=True, slots=True)
class Month:
    """A UTC month, as bounds for statements: from the first on, the second not included."""

    low: datetime
    high: datetime

    @property
    def name(self) -> str:
        """As ``2026-03``."""
        return f"{self.low:%Y-%m}"

    @property
    def bounds(self) -> dict[str, Any]:
        """Parameters of a statement: moments, and numbers of minutes."""
        first, beyond = (int(moment.timestamp()) // MINUTE_S for moment in (self.low, self.high))
        return {"low": self.low, "high": self.high, "first": first, "beyond": beyond}


_BOUNDS: Final = """
    SELECT min(first), max(last) FROM (
        SELECT minute_start(min(minute)), minute_start(max(minute)) FROM count_minute
        UNION ALL SELECT minute_start(min(minute)), minute_start(max(minute)) FROM coverage_minute
        UNION ALL SELECT min(bucket), max(bucket) FROM count_hour
        UNION ALL SELECT min(bucket), max(bucket) FROM coverage_hour
        UNION ALL SELECT min(starts), max(starts) FROM count_span
        UNION ALL SELECT min(starts), max(starts) FROM coverage_span
    ) AS part (first, last)
"""

# Minutes before `minutes_from` are of late reports and not in their hours yet: both add up.
_PASSAGES: Final = """
    SELECT coalesce(sensor.id, '#' || part.sensor), direction || '/' || class, sum(count)::bigint
    FROM (
        SELECT sensor, direction, class, count FROM count_minute
        WHERE minute >= %(first)s AND minute < %(beyond)s
        UNION ALL
        SELECT sensor, direction, class, count FROM count_hour
        WHERE bucket >= %(low)s AND bucket < %(high)s AND bucket < (SELECT minutes_from FROM store)
        UNION ALL
        SELECT sensor, direction, class, count FROM count_span
        WHERE starts >= %(low)s AND starts < %(high)s
    ) AS part LEFT JOIN sensor ON key = part.sensor
    GROUP BY 1, 2
"""
# The same for the seconds; but of late ones an hour takes only as many as it lacks.
_MEASURED: Final = """
    SELECT coalesce(sensor.id, '#' || part.sensor), sum(seconds)::bigint
    FROM (
        SELECT sensor, observed_s AS seconds FROM coverage_minute
        WHERE minute >= %(first)s AND minute < %(beyond)s
          AND minute >= (SELECT minute_of(minutes_from) FROM store)
        UNION ALL
        SELECT sensor, least(3600, sum(observed_s)) FROM (
            SELECT sensor, bucket, observed_s FROM coverage_hour
            WHERE bucket >= %(low)s AND bucket < %(high)s AND bucket < (SELECT minutes_from FROM store)
            UNION ALL
            SELECT sensor, minute_start(minute / 60 * 60), observed_s FROM coverage_minute
            WHERE minute >= %(first)s AND minute < %(beyond)s
              AND minute < (SELECT minute_of(minutes_from) FROM store)
        ) AS hour GROUP BY sensor, bucket
        UNION ALL
        SELECT sensor, observed_s FROM coverage_span WHERE starts >= %(low)s AND starts < %(high)s
    ) AS part LEFT JOIN sensor ON key = part.sensor
    GROUP BY 1
"""
_RECEIVED: Final = """
    SELECT sensor.id, stream.stream::text, received::text
    FROM stream JOIN sensor ON key = stream.sensor ORDER BY 1, 2
"""


def months(connection: Connection) -> list[Month]:
    """The UTC months of all that is stored, one after another."""
    first, last = connection.execute(_BOUNDS).fetchall()[0]
    if first is None:
        return []
    start, end = ((at.year * 12 + at.month - 1) for at in (first.astimezone(UTC), last.astimezone(UTC)))
    return [Month(_month(number), _month(number + 1)) for number in range(start, end + 1)]


def _month(number: int) -> datetime:
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def truth(connection: Connection, progress: Progress) -> Truth:
    """The sums of a database; to be exact while others write, `connection` is in a repeatable read."""
    passages: defaultdict[str, dict[str, dict[str, int]]] = defaultdict(dict)
    measured: defaultdict[str, dict[str, int]] = defaultdict(dict)
    all_months = months(connection)
    for number, month in enumerate(all_months):
        progress("adding up, months", number, len(all_months))
        # Not prepared: a plan that is to serve all months would look at all chunks.
        for sensor, cell, count in connection.execute(_PASSAGES, month.bounds, prepare=False):
            passages[sensor].setdefault(month.name, {})[cell] = count
        for sensor, seconds in connection.execute(_MEASURED, month.bounds, prepare=False):
            measured[sensor][month.name] = seconds
    received: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for sensor, stream, ranges in connection.execute(_RECEIVED):
        received[sensor][stream] = ranges
    return Truth(passages=passages, measured_s=measured, received=received)


@dataclass(frozen=True, slots=True)
class _Shortfall:
    """In which sums of a sensor one side has less than the other."""

    sensor: str
    what: str
    number: int
    """By so much, of all sums together."""
    worst: str
    """The sum in which it is most."""
    has: int
    should: int
    """What that sum is, and what it is on the other side."""
    sums: int


def missing(wanted: Truth, here: Truth) -> list[str]:
    """A sentence for each sensor and kind of sum in which `here` has less than `wanted`, a backup, has."""
    return [
        f"{found.sensor}: {found.number} {found.what} that the backup has are missing, most of them in {found.worst}: "
        f"it has {found.should} and here are {found.has}{_others(found)}"
        for found in _shortfalls(wanted, here)
    ]


def different(wanted: Truth, here: Truth) -> list[str]:
    """A sentence for each sensor and kind of sum in which `here` is not what `wanted`, a backup, has."""
    return missing(wanted, here) + [
        f"{found.sensor}: {found.number} {found.what} are not in the backup, most of them in {found.worst}: "
        f"it has {found.has} and here are {found.should}{_others(found)}"
        for found in _shortfalls(here, wanted)
    ]


def _others(found: _Shortfall) -> str:
    return f" ({found.sums} such sums)" if found.sums > 1 else ""


def _shortfalls(wanted: Truth, here: Truth) -> Iterator[_Shortfall]:
    for sensor in sorted(wanted.passages.keys() | wanted.measured_s.keys() | wanted.received.keys()):
        yield from _shortfall(sensor, "passages", _cells(wanted, sensor), _cells(here, sensor))
        seconds = wanted.measured_s.get(sensor, {}), here.measured_s.get(sensor, {})
        yield from _shortfall(sensor, "measured seconds", *seconds)
        streams, streams_here = wanted.received.get(sensor, {}), here.received.get(sensor, {})
        # By numbers and not by how many there are: what came since does not stand in for what is gone.
        lost = {
            stream: outside(ranges(received), ranges(streams_here.get(stream, "{}")))
            for stream, received in streams.items()
        }
        size = {f"stream {stream}": _size(ranges(received)) for stream, received in streams.items()}
        has = {name: size[name] - lost[name.removeprefix("stream ")] for name in size}
        yield from _shortfall(sensor, "received reports", size, has)


def _shortfall(sensor: str, what: str, wanted: Mapping[str, int], here: Mapping[str, int]) -> Iterator[_Shortfall]:
    less = {name: number - here.get(name, 0) for name, number in wanted.items() if number > here.get(name, 0)}
    if less:
        worst = max(less, key=lambda name: less[name])
        yield _Shortfall(sensor, what, sum(less.values()), worst, here.get(worst, 0), wanted[worst], len(less))


def _cells(found: Truth, sensor: str) -> dict[str, int]:
    return {
        f"{month}, direction and class {cell}": number
        for month, cells in found.passages.get(sensor, {}).items()
        for cell, number in cells.items()
    }


Ranges = list[tuple[int, int]]
"""Half-open, ascending, apart from each other."""

_RANGE: Final = re.compile(r"\[(-?\d+),(-?\d+)\)")


def ranges(multirange: str) -> Ranges:
    """The ranges in PostgreSQL's canonical writing of an ``int8multirange``; those without an end are left out."""
    return [(int(low), int(high)) for low, high in _RANGE.findall(multirange)]


def _size(found: Ranges) -> int:
    return sum(high - low for low, high in found)


def outside(wanted: Ranges, here: Ranges) -> int:
    """How many of the numbers in `wanted` are in none of the ranges of `here`."""
    inside, at = 0, 0
    for low, high in wanted:
        while at and here[at - 1][1] > low:
            at -= 1
        while at < len(here) and here[at][0] < high:
            inside += max(0, min(high, here[at][1]) - max(low, here[at][0]))
            at += 1
    return _size(wanted) - inside
