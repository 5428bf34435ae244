"""What is stored about the time of a history, and how the history compares with it.

The same again is known and left alone; another value for the same time is a conflict. Time that was counted otherwise
(a longer or shorter interval, a box that counted live) is a conflict too: its passages would be counted twice.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import psycopg

from footfall_contract.words import Direction, PassageClass
from footfall_ingest.history.intervals import Cell, Interval
from footfall_ingest.judge import utc_text

Connection = psycopg.Connection[Any]

Times = tuple[int, int]
"""Start and end of an interval, UTC seconds."""

_HOUR_S: Final = 3600


@dataclass(frozen=True, slots=True)
class Stored:
    """Measured seconds and counts of one interval; without zeros."""

    observed_s: int
    counts: Mapping[Cell, int]

    @property
    def silent(self) -> bool:
        """Whether it says only that nothing is known."""
        return not self.observed_s and not self.counts

    def __str__(self) -> str:
        parts = [f"{count} {d.name.lower()}/{c.name.lower()}" for (d, c), count in sorted(self.counts.items())]
        if self.silent:
            return "not measured"
        return f"{' + '.join(parts) or '0 passages'} in {self.observed_s} s measured"


def as_stored(interval: Interval) -> Stored:
    """An interval in the form in which it is stored."""
    return Stored(interval.observed_s, {cell: count for cell, count in interval.counts.items() if count})


@dataclass(frozen=True, slots=True)
class Conflict:
    """An interval of a file that is stored with another value, or whose time is stored in another form."""

    interval: Interval
    stored: Stored | None
    """None: what is stored is another part of this time, `times`."""
    times: Times

    def __str__(self) -> str:
        mine = (self.interval.start, self.interval.end)
        if self.stored is None:
            return f"{shown(mine)}: stored is another part of this time, {shown(self.times)}"
        return f"{shown(mine)}: {as_stored(self.interval)} in the file, {self.stored} stored"


def shown(times: Times) -> str:
    """Two times for people, in UTC."""
    return f"{utc_text(times[0])} to {utc_text(times[1])}"


_COVERAGE = """
    SELECT extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint, observed_s::bigint
    FROM coverage_span
    WHERE sensor = %(sensor)s AND starts < %(end)s AND ends > %(start)s AND starts > %(start)s - interval '31 days'
    UNION ALL
    SELECT minute * 60::bigint, minute * 60::bigint + 60, observed_s
    FROM coverage_minute WHERE sensor = %(sensor)s AND minute < %(beyond)s AND minute >= minute_of(%(start)s)
"""
_COUNTS = """
    SELECT extract(epoch FROM starts)::bigint, extract(epoch FROM ends)::bigint, direction, class, count
    FROM count_span
    WHERE sensor = %(sensor)s AND starts < %(end)s AND ends > %(start)s AND starts > %(start)s - interval '31 days'
    UNION ALL
    SELECT minute * 60::bigint, minute * 60::bigint + 60, direction, class, count
    FROM count_minute WHERE sensor = %(sensor)s AND minute < %(beyond)s AND minute >= minute_of(%(start)s)
"""
_REMOVED = """
    SELECT extract(epoch FROM bucket)::bigint FROM coverage_hour, store
    WHERE sensor = %(sensor)s AND observed_s > 0 AND bucket < store.minutes_from
        AND bucket < %(end)s AND bucket > %(start)s - interval '1 hour'
"""


def read(connection: Connection, sensor: str, start: int, end: int) -> dict[Times, Stored]:
    """All that is stored about `sensor` from `start` to `end` (UTC seconds), minutes and spans alike."""
    what = _parameters(connection, sensor, start, end)
    if what is None:
        return {}
    counts: dict[Times, dict[Cell, int]] = {}
    for begin, stop, direction, class_, count in connection.execute(_COUNTS, what):
        counts.setdefault((begin, stop), {})[Direction(direction), PassageClass(class_)] = count
    return {
        (begin, stop): Stored(observed, counts.get((begin, stop), {}))
        for begin, stop, observed in connection.execute(_COVERAGE, what)
    }


def removed_hours(connection: Connection, sensor: str, start: int, end: int) -> set[int]:
    """The hours (their beginning, UTC seconds) that were measured, but whose minutes retention has removed."""
    what = _parameters(connection, sensor, start, end)
    return {hour for (hour,) in connection.execute(_REMOVED, what)} if what else set()


def _parameters(connection: Connection, sensor: str, start: int, end: int) -> dict[str, Any] | None:
    key = connection.execute("SELECT key FROM sensor WHERE id = %s", [sensor]).fetchone()
    if key is None:
        return None
    moments = {"start": datetime.fromtimestamp(start, UTC), "end": datetime.fromtimestamp(end, UTC)}
    return {"sensor": key[0], **moments, "beyond": -(-end // 60)}


def conflicts(
    intervals: Sequence[Interval], found: Mapping[Times, Stored], *, silence_counts: bool = True
) -> Iterator[Conflict]:
    """Where `intervals`, ascending and without overlap, and what is stored contradict each other.

    Holes of the file (line 0) contradict nothing. Unless `silence_counts`, neither does a stored interval that says
    only that nothing is known: then the file knows more.
    """
    said = {(interval.start, interval.end): interval for interval in intervals if interval.line}
    for times, stored in sorted(found.items()):
        if stored.silent and not silence_counts:
            continue
        if (interval := said.get(times)) is not None:
            if as_stored(interval) != stored:
                yield Conflict(interval, stored, times)
            continue
        for touched in _touching(intervals, times):
            if touched.line:
                yield Conflict(touched, None, times)


def new(intervals: Iterable[Interval], found: Mapping[Times, Stored], *, silence_counts: bool = True) -> list[Interval]:
    """The intervals that are not stored yet."""
    taken = sorted(times for times, stored in found.items() if silence_counts or not stored.silent)
    known = set(taken)
    return [
        interval
        for interval in intervals
        # A hole of this file may be where another file brought counts: then there is nothing to fill.
        if (interval.start, interval.end) not in known
        and found.get((interval.start, interval.end)) != as_stored(interval)
        and (interval.line or not _overlaps(taken, interval))
    ]


def _overlaps(taken: Sequence[Times], interval: Interval) -> bool:
    place = bisect_right(taken, (interval.end - 1, interval.end))
    # Stored intervals of one sensor do not overlap, so the last one that starts before the end is the one that counts.
    return place > 0 and taken[place - 1][1] > interval.start


def _touching(intervals: Sequence[Interval], times: Times) -> Iterator[Interval]:
    place = max(0, bisect_right(intervals, times[0], key=lambda interval: interval.start) - 1)
    while place < len(intervals) and intervals[place].start < times[1]:
        if intervals[place].end > times[0]:
            yield intervals[place]
        place += 1
