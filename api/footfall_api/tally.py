"""What PostgreSQL adds up between the edges of intervals: passages, measured seconds, and counts over longer times.

A `Leg` is one sensor at one station for one stretch of time. All legs of a question are tallied by a few statements,
however many there are. Whole hours come from the sums by the hour, the rest from the minutes (`sources`), of which a
year comes over as a year of intervals because the grouping happens in the database. The time in which minutes are read
is bounded by plain parameters: only so does a server that keeps them in hundreds of chunks leave most of these alone
when it plans. Minutes are grouped in steps first, the common divisor of all intervals from the first edge on: looking
each up among the edges would take longer than reading it.

A minute belongs to the interval it begins in: edges are whole minutes. A span belongs to an interval only if all of
it lies inside, and never to a leg that it leaves. Otherwise it *cuts* the intervals it touches: they cannot have its
number. An hour whose minutes were removed is treated like a span of an hour.

Of excluded time nothing is read. A span (or an hour without minutes) that is partly excluded has no number that could
be given to anybody, at any resolution: so what it covers counts as excluded as a whole. It cuts nothing.
"""

import sys
from array import array
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import gcd
from operator import sub
from types import MappingProxyType
from typing import Any, Final, NamedTuple

from footfall_api.database import Connection
from footfall_api.ranges import FAR_S, Range, common, intervals_of, merged, without
from footfall_api.sources import HOUR_S, cut_hours, hours_of, sources_of
from footfall_api.stations import Installation

Cell = tuple[int, int]
"""Direction and class."""

Exclusions = Mapping[tuple[str, int], Sequence[Range]]
"""Times in which a sensor's counts at a station are not to be believed, by station id and sensor key.

Half-open [start, end) in UTC unix seconds, whole minutes, merged (no two touch) and in order. An open end is any moment
beyond what is asked for. Times up to 31 days before and after what is asked for belong to it too, because a span that
reaches into them may cover what is asked for.
"""

NOTHING_EXCLUDED: Final[Exclusions] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Hidden:
    """What nobody who asks is given: what is not to be believed, and what is not public."""

    unread: Exclusions = field(default_factory=dict)
    """The times of which nothing is read, for whichever of the two reasons."""
    withheld: Exclusions = field(default_factory=dict)
    """Which of these times are not public; of what is to come it says nothing."""
    small_below: int = 0
    """Counts from 1 on and below this are not given where classes are told apart."""


NOTHING_HIDDEN: Final = Hidden()

_LONGEST_SPAN_S: Final = 31 * 86_400


@dataclass(frozen=True, slots=True)
class Leg:
    """A sensor installed in [from_s, to_s), looked at in [window_from_s, window_to_s): UTC unix seconds, whole minutes.

    The window is what is asked for, cut to the installation; it is not empty. What is excluded need not lie within it.
    """

    station: str
    sensor_key: int
    window_from_s: int
    window_to_s: int
    from_s: int | None
    to_s: int | None
    excluded: tuple[Range, ...] = ()
    withheld: tuple[Range, ...] = ()
    """What of the excluded time is not public."""

    @classmethod
    def of(
        cls, station: str, installation: Installation, start_s: int, end_s: int, hidden: Hidden = NOTHING_HIDDEN
    ) -> "Leg | None":
        """The leg of an installation within [start_s, end_s); None if it was not installed then."""
        begin, end = installation.overlap(start_s, end_s)
        if begin >= end:
            return None
        key = (station, installation.sensor_key)
        return cls(
            station,
            installation.sensor_key,
            begin,
            end,
            installation.from_s,
            installation.to_s,
            tuple(hidden.unread.get(key, ())),
            tuple(hidden.withheld.get(key, ())),
        )

    @property
    def window(self) -> Range:
        """What is looked at."""
        return self.window_from_s, self.window_to_s

    @property
    def installed(self) -> Range:
        """When the sensor was installed; an open end is far away."""
        return -FAR_S if self.from_s is None else self.from_s, FAR_S if self.to_s is None else self.to_s

    def believed(self) -> list[Range]:
        """The installed time that is not excluded, in or out of the window."""
        return without([self.installed], self.excluded)


@dataclass(slots=True)
class LegTally:
    """What one leg has in each of the intervals; lists are as long as there are intervals. Times in seconds."""

    leg: Leg
    observed_s: list[int]
    reported_s: list[int]
    recovered_s: list[int]
    counts: dict[Cell, list[int]] = field(default_factory=dict)
    cuts: dict[int, list[Range]] = field(default_factory=dict)
    """By interval: start and end (UTC unix seconds) of spans with a number that overlap it without lying inside."""
    undivided: set[int] = field(default_factory=set)
    """Intervals with an hour that the installation begins or ends in and of which only the sum is left."""
    excluded: list[Range] = field(default_factory=list)
    """What of the window has no number because of what is excluded or withheld."""

    @property
    def withheld(self) -> list[Range]:
        """What of that is not public. A span that is withheld in part is withheld as a whole."""
        if not self.leg.withheld:
            return []
        beside = without(self.excluded, self.leg.excluded)
        return merged([*common(self.excluded, self.leg.withheld), *beside])

    def cell(self, direction: int, class_: int) -> list[int]:
        """The counts of a direction and class, to be added to."""
        if (direction, class_) not in self.counts:
            self.counts[direction, class_] = [0] * len(self.observed_s)
        return self.counts[direction, class_]


class _Piece(NamedTuple):
    """Some of a leg's time, to be read from one table: the number of the leg, its sensor, and [from_s, to_s)."""

    leg: int
    sensor_key: int
    from_s: int
    to_s: int


@dataclass(slots=True)
class _Question:
    """What is asked of the database: the legs, the edges, and which of the time to read from which table."""

    legs: Sequence[Leg]
    edges_s: Sequence[int]
    hours: list[_Piece] = field(default_factory=list)
    minutes: list[_Piece] = field(default_factory=list)
    undivided: list[_Piece] = field(default_factory=list)
    dirty: dict[int, list[Range]] = field(default_factory=dict)
    """By sensor key."""
    steps: dict[str, Any] = field(init=False)
    """The edges for SQL; without a list of them where all intervals are of one length."""

    def __post_init__(self) -> None:
        lengths = set(map(sub, self.edges_s[1:], self.edges_s))
        step_s = gcd(*lengths)
        origin_s = self.edges_s[0]
        self.steps = {
            "edges": None if len(lengths) == 1 else [(edge - origin_s) // step_s for edge in self.edges_s],
            "origin": _moment(origin_s),
            "step_s": step_s,
            "origin_minute": _minute(origin_s),
            "step_minutes": step_s // 60,
        }

    @property
    def every_hour(self) -> bool:
        """Whether each interval is an hour: then there is nothing to group, which would take most of the time."""
        return self.steps["step_s"] == HOUR_S and self.steps["edges"] is None


async def tally(connection: Connection, legs: Sequence[Leg], edges_s: Sequence[int]) -> list[LegTally]:
    """What each leg has between the edges, in the order of `legs`.

    The connection should be in one snapshot: several statements look at it.
    """
    size = len(edges_s) - 1
    tallies = [LegTally(leg, [0] * size, [0] * size, [0] * size) for leg in legs]
    if not legs:
        return tallies
    question = await _question(connection, legs, edges_s)
    await _add_counts(connection, question, tallies)
    await _add_coverage(connection, question, tallies)
    await _add_undivided(connection, question, tallies)
    if await _add_span_coverage(connection, question, tallies):
        await _add_span_counts(connection, question, tallies)
    await _add_excluded(connection, question, tallies)
    return tallies


async def classes_counted(connection: Connection, legs: Sequence[Leg], start_s: int, end_s: int) -> set[int]:
    """The classes that the legs have counts of in [start_s, end_s)."""
    tallies = [LegTally(leg, [0], [0], [0]) for leg in legs]
    if not legs:
        return set()
    question = await _question(connection, legs, [start_s, end_s])
    await _add_counts(connection, question, tallies)
    await _add_span_counts(connection, question, tallies)
    return {class_ for found in tallies for _, class_ in found.counts}


_DIRTY: Final = """
SELECT NULL::int, extract(epoch FROM minutes_from)::bigint FROM store WHERE isfinite(minutes_from)
UNION ALL
SELECT sensor, extract(epoch FROM hour)::bigint FROM dirty_hour
WHERE sensor = ANY(%(sensors)s::int[]) AND hour > %(from)s - interval '1 hour' AND hour < %(to)s
  -- Where no hour is asked for as a whole this matters only if there are no minutes.
  AND (%(whole)s OR hour < (SELECT minutes_from FROM store))
"""


async def _question(connection: Connection, legs: Sequence[Leg], edges_s: Sequence[int]) -> _Question:
    """Find out which hours are dirty, and from that where to read what."""
    cut_by_edges = cut_hours(edges_s)
    asked = {
        "sensors": sorted({leg.sensor_key for leg in legs}),
        "from": _moment(edges_s[0]),
        "to": _moment(edges_s[-1]),
        "whole": bool(without([(edges_s[0], edges_s[-1])], cut_by_edges)),
    }
    minutes_from_s = -FAR_S
    starts: dict[int, list[int]] = {}
    for sensor_key, moment_s in await (await connection.execute(_DIRTY, asked, binary=True)).fetchall():
        if sensor_key is None:
            minutes_from_s = moment_s
        else:
            starts.setdefault(sensor_key, []).append(moment_s)
    question = _Question(legs, edges_s, dirty={key: hours_of(found) for key, found in starts.items()})
    for n, leg in enumerate(legs):
        undivided: list[Range] = []
        for stretch in common(leg.believed(), [leg.window]):
            found = sources_of(stretch, cut_by_edges, question.dirty.get(leg.sensor_key, ()), minutes_from_s)
            question.hours.extend(_Piece(n, leg.sensor_key, *range_) for range_ in found.hours)
            question.minutes.extend(_Piece(n, leg.sensor_key, *range_) for range_ in found.minutes)
            undivided.extend(found.undivided)
        # Several stretches may cut the same hour.
        question.undivided.extend(_Piece(n, leg.sensor_key, *range_) for range_ in merged(undivided))
    return question


def _moment(instant_s: int) -> datetime:
    return datetime.fromtimestamp(instant_s, UTC)


def _minute(instant_s: int) -> int:
    """The number by which the tables of minutes know a whole minute."""
    return instant_s // 60


def _number(moment: str) -> str:
    """SQL for the number of the interval that a moment is in; below 0 or too high for one outside of all."""
    return _numbered(f"floor(date_part('epoch', {moment} - %(origin)s) / %(step_s)s)::bigint")


def _numbered(step: str) -> str:
    """SQL for the number of the interval that a step, counted from the first edge on, is in."""
    return f"CASE WHEN %(edges)s::bigint[] IS NULL THEN {step} ELSE width_bucket({step}, %(edges)s::bigint[]) - 1 END"


@dataclass(frozen=True, slots=True)
class _Fact:
    """What there is to read of each interval: `numbers` to be added up, by `cell`. Columns, joined by commas."""

    cell: str
    numbers: str


_COUNTS: Final = _Fact("direction, class, ", "count")
_COVERAGE: Final = _Fact("", "observed_s, reported_s")


def _read(
    fact: _Fact, table: str, columns: str, *, time: str, kind: str, key: str, number: str = "key", group: str
) -> str:
    """SQL for what a table has in the pieces: a row for each leg and cell, with columns of numbers in it.

    The first has the numbers of intervals, the others what is to be added up there; an interval may occur several
    times. Each is one value, the numbers' 8 bytes one after another: to hand over thousands of rows, or an array,
    takes longer than to read them.
    """
    packed = ", ".join(f"string_agg(int8send({column}), '')" for column in (number, *fact.numbers.split(", ")))
    return f"""
    SELECT leg, {fact.cell}{packed}
    FROM unnest(%(legs)s::int[], %(sensors)s::int[], %(froms)s::{kind}[], %(tos)s::{kind}[])
        AS piece (leg, sensor, starts, ends)
    CROSS JOIN LATERAL (
        SELECT {key}, {columns} FROM {table} c
        WHERE c.sensor = piece.sensor AND {time} >= piece.starts AND {time} < piece.ends
          AND {time} >= %(first)s AND {time} < %(last)s
        {group}
    ) part (key, {fact.cell}{fact.numbers})
    GROUP BY {fact.cell}leg
    """  # noqa: S608  # built from constants of this module


_BY_STEP: Final = {
    "time": "c.minute",
    "kind": "int",
    "key": "(c.minute - %(origin_minute)s) / %(step_minutes)s",
    "number": _numbered("key::bigint"),
}
_BY_INTERVAL: Final = {"time": "c.bucket", "kind": "timestamptz", "key": _number("c.bucket")}
_BY_HOUR: Final = {**_BY_INTERVAL, "group": "OFFSET 0"}
"""Not grouped; OFFSET 0 keeps the planner from joining in another way than piece by piece."""

_MINUTE_COUNTS: Final = _read(
    _COUNTS, "count_minute", "c.direction, c.class, sum(c.count)", **_BY_STEP, group="GROUP BY 1, 2, 3"
)
_MINUTE_COVERAGE: Final = _read(
    _COVERAGE, "coverage_minute", "sum(c.observed_s), count(*) * 60", **_BY_STEP, group="GROUP BY 1"
)
_HOUR_COUNTS: Final = _read(
    _COUNTS, "count_hour", "c.direction, c.class, sum(c.count)::bigint", **_BY_INTERVAL, group="GROUP BY 1, 2, 3"
)
_HOUR_COVERAGE: Final = _read(
    _COVERAGE, "coverage_hour", "sum(c.observed_s), sum(c.reported_s)", **_BY_INTERVAL, group="GROUP BY 1"
)
_SINGLE_HOUR_COUNTS: Final = _read(_COUNTS, "count_hour", "c.direction, c.class, c.count", **_BY_HOUR)
_SINGLE_HOUR_COVERAGE: Final = _read(_COVERAGE, "coverage_hour", "c.observed_s, c.reported_s", **_BY_HOUR)


async def _add_counts(connection: Connection, question: _Question, tallies: Sequence[LegTally]) -> None:
    """Add the passages of hours and minutes."""
    by_hour = _SINGLE_HOUR_COUNTS if question.every_hour else _HOUR_COUNTS
    by_minute = await _rows(connection, _MINUTE_COUNTS, question, question.minutes, at=_minute)
    for rows in (await _rows(connection, by_hour, question, question.hours), by_minute):
        for leg, direction, class_, intervals, counts in rows:
            _add(tallies[leg].cell(direction, class_), intervals, counts)


async def _add_coverage(connection: Connection, question: _Question, tallies: Sequence[LegTally]) -> None:
    """Add the measured and the reported seconds of hours and minutes."""
    by_hour = _SINGLE_HOUR_COVERAGE if question.every_hour else _HOUR_COVERAGE
    by_minute = await _rows(connection, _MINUTE_COVERAGE, question, question.minutes, at=_minute)
    for rows in (await _rows(connection, by_hour, question, question.hours), by_minute):
        for leg, intervals, observed_s, reported_s in rows:
            _add(tallies[leg].observed_s, intervals, observed_s)
            _add(tallies[leg].reported_s, intervals, reported_s)


def _add(sums: list[int], intervals: bytes, numbers: bytes) -> None:
    for interval, number in zip(_unpacked(intervals), _unpacked(numbers), strict=True):
        sums[interval] += number


def _unpacked(numbers: bytes) -> "array[int]":
    found = array("q", numbers)
    if sys.byteorder == "little":
        found.byteswap()
    return found


async def _rows(
    connection: Connection,
    statement: str,
    question: _Question,
    pieces: Sequence[_Piece],
    at: Callable[[int], datetime | int] = _moment,
) -> list[tuple[Any, ...]]:
    """What a statement finds in the pieces, whose times the table has in the form that `at` makes of seconds."""
    if not pieces:
        return []
    asked = {
        **question.steps,
        "legs": [piece.leg for piece in pieces],
        "sensors": [piece.sensor_key for piece in pieces],
        "froms": [at(piece.from_s) for piece in pieces],
        "tos": [at(piece.to_s) for piece in pieces],
        "first": at(min(piece.from_s for piece in pieces)),
        "last": at(max(piece.to_s for piece in pieces)),
    }
    # Not prepared: a plan that is to serve all times looks at all chunks.
    return await (await connection.execute(statement, asked, prepare=False, binary=True)).fetchall()


_UNDIVIDED: Final = """
SELECT leg, extract(epoch FROM c.bucket)::bigint, c.observed_s > 0 OR EXISTS (
    SELECT FROM count_hour counted WHERE (counted.sensor, counted.bucket) = (c.sensor, c.bucket)
    AND counted.bucket >= %(first)s AND counted.bucket < %(last)s
)
FROM unnest(%(legs)s::int[], %(sensors)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[])
    AS piece (leg, sensor, starts, ends)
JOIN coverage_hour c ON c.sensor = piece.sensor AND c.bucket >= piece.starts AND c.bucket < piece.ends
WHERE c.bucket >= %(first)s AND c.bucket < %(last)s
"""


async def _add_undivided(connection: Connection, question: _Question, tallies: Sequence[LegTally]) -> None:
    """Note where there is the sum of an hour of which only a part is asked for."""
    if not question.undivided:
        return
    numbered = {
        (piece.leg, start_s): True
        for piece in question.undivided
        for range_ in common([(piece.from_s, piece.to_s)], question.dirty.get(piece.sensor_key, ()))
        for start_s in range(*range_, HOUR_S)
    }
    for leg, start_s, has_number in await _rows(connection, _UNDIVIDED, question, question.undivided):
        numbered[leg, start_s] = has_number or (leg, start_s) in numbered
    for (leg, start_s), has_number in numbered.items():
        _note_undivided(tallies[leg], (start_s, start_s + HOUR_S), question.edges_s, has_number=has_number)


def _note_undivided(found: LegTally, hour: Range, edges_s: Sequence[int], *, has_number: bool) -> None:
    leg = found.leg
    (seen,) = common([hour], [leg.window])
    touched = intervals_of(seen, edges_s)
    if not has_number:  # the sensor was silent all the time, or nearly: that can be divided
        for i in touched:
            found.reported_s[i] += min(seen[1], edges_s[i + 1]) - max(seen[0], edges_s[i])
    elif common([hour], leg.excluded):
        found.excluded.append(seen)
    elif common([hour], [leg.installed]) == [hour]:
        for i in touched:
            found.cuts.setdefault(i, []).append(hour)
    else:
        found.undivided.update(touched)


_STRETCHES: Final = """
stretch AS (
    SELECT * FROM unnest(%(legs)s::int[], %(sensors)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[],
                         %(begins)s::timestamptz[], %(ends)s::timestamptz[])
    AS stretch (leg, sensor, window_from, window_to, begins, ends)
)
"""

_SPANS: Final = f"""
WITH {_STRETCHES},
span AS (
    SELECT stretch.leg, s.sensor, s.starts, s.ends, s.observed_s,
           {_number("s.starts")} AS first,
           {_number("(s.ends - interval '1 microsecond')")} AS last
    FROM stretch JOIN coverage_span s ON s.sensor = stretch.sensor
    -- No span is longer than 31 days: the first condition lets the index find them by their start.
    WHERE s.starts > stretch.window_from - interval '31 days 1 second' AND s.starts < stretch.window_to
      AND s.ends > stretch.window_from
      AND (stretch.begins IS NULL OR s.starts >= stretch.begins) AND (stretch.ends IS NULL OR s.ends <= stretch.ends)
)
"""  # noqa: S608  # constants

_SPAN_COVERAGE: Final = f"""
{_SPANS},
known AS (
    SELECT span.*, first <> last AS cuts, extract(epoch FROM ends - starts)::bigint AS length_s,
           observed_s = 0 AND EXISTS (
               SELECT FROM count_span c WHERE (c.sensor, c.starts, c.ends) = (span.sensor, span.starts, span.ends)
           ) AS recovered
    FROM span
)
SELECT leg, first, last, cuts,
       CASE WHEN cuts THEN extract(epoch FROM starts)::bigint END,
       CASE WHEN cuts THEN extract(epoch FROM ends)::bigint END,
       sum(observed_s)::bigint, sum(length_s)::bigint,
       coalesce(sum(length_s) FILTER (WHERE recovered), 0)::bigint
FROM known
-- A span that says nothing but that the sensor was silent hides no number from the intervals it cuts.
WHERE NOT cuts OR observed_s > 0 OR recovered
GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608  # constants

_SPAN_COUNTS: Final = f"""
{_SPANS}
SELECT leg, first, c.direction, c.class, sum(c.count)::bigint
FROM span JOIN count_span c ON (c.sensor, c.starts, c.ends) = (span.sensor, span.starts, span.ends)
WHERE first = last
GROUP BY 1, 2, 3, 4
"""  # noqa: S608  # constants


def _stretches(question: _Question) -> dict[str, Any]:
    """The believed time of each leg for SQL: what of it is looked at, and from when to when it is believed."""
    found = [
        (n, leg.sensor_key, seen, believed)
        for n, leg in enumerate(question.legs)
        for believed in leg.believed()
        for seen in common([believed], [leg.window])
    ]
    return {
        **question.steps,
        "legs": [n for n, _, _, _ in found],
        "sensors": [sensor_key for _, sensor_key, _, _ in found],
        "froms": [_moment(seen[0]) for _, _, seen, _ in found],
        "tos": [_moment(seen[1]) for _, _, seen, _ in found],
        "begins": [None if believed[0] == -FAR_S else _moment(believed[0]) for _, _, _, believed in found],
        "ends": [None if believed[1] == FAR_S else _moment(believed[1]) for _, _, _, believed in found],
    }


async def _add_span_coverage(connection: Connection, question: _Question, tallies: Sequence[LegTally]) -> bool:
    """Add what spans cover; False if there are none inside an interval."""
    inside = False
    size = len(question.edges_s) - 1
    cursor = await connection.execute(_SPAN_COVERAGE, _stretches(question), binary=True)
    for leg, first, last, cuts, starts_s, ends_s, observed_s, length_s, recovered_s in await cursor.fetchall():
        found = tallies[leg]
        if cuts:
            for interval in range(max(first, 0), min(last, size - 1) + 1):
                found.cuts.setdefault(interval, []).append((starts_s, ends_s))
            continue
        inside = True
        found.observed_s[first] += observed_s
        found.reported_s[first] += length_s
        found.recovered_s[first] += recovered_s
    return inside


async def _add_span_counts(connection: Connection, question: _Question, tallies: Sequence[LegTally]) -> None:
    cursor = await connection.execute(_SPAN_COUNTS, _stretches(question), binary=True)
    for leg, interval, direction, class_, count in await cursor.fetchall():
        tallies[leg].cell(direction, class_)[interval] += count


_PARTLY_EXCLUDED: Final = """
SELECT bound.leg, extract(epoch FROM s.starts)::bigint, extract(epoch FROM s.ends)::bigint
FROM unnest(%(legs)s::int[], %(sensors)s::int[], %(bounds)s::timestamptz[]) AS bound (leg, sensor, moment)
JOIN coverage_span s ON s.sensor = bound.sensor
WHERE s.starts > bound.moment - interval '31 days 1 second' AND s.starts < bound.moment AND s.ends > bound.moment
  AND (s.observed_s > 0 OR EXISTS (
      SELECT FROM count_span c WHERE (c.sensor, c.starts, c.ends) = (s.sensor, s.starts, s.ends)))
"""


async def _add_excluded(connection: Connection, question: _Question, tallies: Sequence[LegTally]) -> None:
    """Work out what of each leg has no number because of what is excluded, spans that are partly excluded included."""
    near = (question.edges_s[0] - _LONGEST_SPAN_S, question.edges_s[-1] + _LONGEST_SPAN_S)
    bounds = [
        (n, leg.sensor_key, _moment(bound))
        for n, leg in enumerate(question.legs)
        for range_ in leg.excluded
        for bound in range_
        if near[0] < bound < near[1]
    ]
    if bounds:
        legs, sensors, moments = zip(*bounds, strict=True)
        asked = {"legs": list(legs), "sensors": list(sensors), "bounds": list(moments)}
        cursor = await connection.execute(_PARTLY_EXCLUDED, asked, binary=True)
        for n, starts_s, ends_s in await cursor.fetchall():
            if common([(starts_s, ends_s)], [question.legs[n].installed]) == [(starts_s, ends_s)]:
                tallies[n].excluded.append((starts_s, ends_s))
    for found in tallies:
        found.excluded = common(merged([*found.leg.excluded, *found.excluded]), [found.leg.window])
