"""What PostgreSQL adds up between the edges of intervals: passages, measured seconds, and counts over longer times.

A `Leg` is one sensor at one station for one stretch of time. All legs of a question are tallied by four statements,
however many there are; the grouping happens in the database, so a year of minutes comes over as a year of hours. Time
is counted in steps: the common divisor of all intervals, from the first edge on. Where all intervals are of one length
the number of the step is that of the interval, else it is looked up among the edges (`width_bucket`). So no long array
goes to the server for the usual question, which took longer than reading a hundred thousand minutes.

A minute belongs to the interval it begins in: edges are whole minutes. A span belongs to an interval only if all of
it lies inside, and never to a leg that it leaves. Otherwise it *cuts* the intervals it touches: they cannot have its
number.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from math import gcd
from typing import Any, Final

from footfall_api.database import Connection
from footfall_api.stations import Installation

Cell = tuple[int, int]
"""Direction and class."""


@dataclass(frozen=True, slots=True)
class Leg:
    """A sensor installed in [from_s, to_s), looked at in [window_from_s, window_to_s): UTC unix seconds, whole minutes.

    The window is what is asked for, cut to the installation; it is not empty.
    """

    sensor_key: int
    window_from_s: int
    window_to_s: int
    from_s: int | None
    to_s: int | None

    @classmethod
    def of(cls, installation: Installation, start_s: int, end_s: int) -> "Leg | None":
        """The leg of an installation within [start_s, end_s); None if it was not installed then."""
        begin, end = installation.overlap(start_s, end_s)
        return cls(installation.sensor_key, begin, end, installation.from_s, installation.to_s) if begin < end else None


@dataclass(slots=True)
class LegTally:
    """What one leg has in each of the intervals; lists are as long as there are intervals. Times in seconds."""

    leg: Leg
    observed_s: list[int]
    reported_s: list[int]
    recovered_s: list[int]
    counts: dict[Cell, list[int]] = field(default_factory=dict)
    cuts: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    """By interval: start and end (UTC unix seconds) of spans with a number that overlap it without lying inside."""


async def tally(connection: Connection, legs: Sequence[Leg], edges_s: Sequence[int]) -> list[LegTally]:
    """What each leg has between the edges, in the order of `legs`.

    The connection should be in one snapshot: four statements look at it.
    """
    size = len(edges_s) - 1
    tallies = [LegTally(leg, [0] * size, [0] * size, [0] * size) for leg in legs]
    if not legs:
        return tallies
    asked = _parameters(legs, edges_s)
    await _add_minute_counts(connection, asked, tallies, size)
    await _add_minute_coverage(connection, asked, tallies)
    if await _add_span_coverage(connection, asked, tallies, size):
        await _add_span_counts(connection, asked, tallies, size)
    return tallies


def _parameters(legs: Sequence[Leg], edges_s: Sequence[int]) -> dict[str, Any]:
    lengths = {after - before for before, after in pairwise(edges_s)}
    step_s = gcd(*lengths)
    return {
        "edges": None if len(lengths) == 1 else [(edge - edges_s[0]) // step_s for edge in edges_s],
        "origin": _moment(edges_s[0]),
        "step": timedelta(seconds=step_s),
        "step_s": step_s,
        "sensors": [leg.sensor_key for leg in legs],
        "froms": [_moment(leg.window_from_s) for leg in legs],
        "tos": [_moment(leg.window_to_s) for leg in legs],
        "installed": [None if leg.from_s is None else _moment(leg.from_s) for leg in legs],
        "removed": [None if leg.to_s is None else _moment(leg.to_s) for leg in legs],
    }


def _moment(instant_s: int) -> datetime:
    return datetime.fromtimestamp(instant_s, UTC)


_LEGS: Final = """
leg AS (
    SELECT * FROM unnest(%(sensors)s::int[], %(froms)s::timestamptz[], %(tos)s::timestamptz[],
                         %(installed)s::timestamptz[], %(removed)s::timestamptz[])
    WITH ORDINALITY AS leg (sensor, window_from, window_to, installed, removed, n)
)
"""


def _interval_of(moment: str) -> str:
    """SQL for the number of the interval that a moment is in; below 0 or too high for one outside of all."""
    step = f"floor(extract(epoch FROM {moment} - %(origin)s) / %(step_s)s)::bigint"
    return f"CASE WHEN %(edges)s::bigint[] IS NULL THEN {step} ELSE width_bucket({step}, %(edges)s::bigint[]) - 1 END"


_MINUTE_COUNTS: Final = f"""
WITH {_LEGS}
SELECT leg.n - 1, {_interval_of("part.bucket")}, part.direction, part.class, sum(part.count)::bigint
FROM leg CROSS JOIN LATERAL (
    SELECT date_bin(%(step)s, c.bucket, %(origin)s) AS bucket, c.direction, c.class, sum(c.count) AS count
    FROM count_minute c
    WHERE c.sensor = leg.sensor AND c.bucket >= leg.window_from AND c.bucket < leg.window_to
    GROUP BY 1, 2, 3
) part
GROUP BY 1, 2, 3, 4
"""  # noqa: S608  # built from constants of this module

_MINUTE_COVERAGE: Final = f"""
WITH {_LEGS}
SELECT leg.n - 1, {_interval_of("part.bucket")}, sum(part.observed_s)::bigint, sum(part.reported_s)::bigint
FROM leg CROSS JOIN LATERAL (
    SELECT date_bin(%(step)s, c.bucket, %(origin)s) AS bucket,
           sum(c.observed_s) AS observed_s, count(*) * 60 AS reported_s
    FROM coverage_minute c
    WHERE c.sensor = leg.sensor AND c.bucket >= leg.window_from AND c.bucket < leg.window_to
    GROUP BY 1
) part
GROUP BY 1, 2
"""  # noqa: S608

_SPANS: Final = f"""
WITH {_LEGS},
span AS (
    SELECT leg.n - 1 AS n, s.sensor, s.starts, s.ends, s.observed_s,
           {_interval_of("s.starts")} AS first,
           {_interval_of("(s.ends - interval '1 microsecond')")} AS last
    FROM leg JOIN coverage_span s ON s.sensor = leg.sensor
    -- No span is longer than 31 days: the first condition lets the index find them by their start.
    WHERE s.starts > leg.window_from - interval '31 days 1 second' AND s.starts < leg.window_to
      AND s.ends > leg.window_from
      AND (leg.installed IS NULL OR s.starts >= leg.installed) AND (leg.removed IS NULL OR s.ends <= leg.removed)
)
"""  # noqa: S608

_SPAN_COVERAGE: Final = f"""
{_SPANS},
known AS (
    SELECT span.*, first <> last AS cuts, extract(epoch FROM ends - starts)::bigint AS length_s,
           observed_s = 0 AND EXISTS (
               SELECT FROM count_span c WHERE (c.sensor, c.starts, c.ends) = (span.sensor, span.starts, span.ends)
           ) AS recovered
    FROM span
)
SELECT n, first, last, cuts,
       CASE WHEN cuts THEN extract(epoch FROM starts)::bigint END,
       CASE WHEN cuts THEN extract(epoch FROM ends)::bigint END,
       sum(observed_s)::bigint, sum(length_s)::bigint,
       coalesce(sum(length_s) FILTER (WHERE recovered), 0)::bigint
FROM known
-- A span that says nothing but that the sensor was silent hides no number from the intervals it cuts.
WHERE NOT cuts OR observed_s > 0 OR recovered
GROUP BY 1, 2, 3, 4, 5, 6
"""  # noqa: S608

_SPAN_COUNTS: Final = f"""
{_SPANS}
SELECT n, first, c.direction, c.class, sum(c.count)::bigint
FROM span JOIN count_span c ON (c.sensor, c.starts, c.ends) = (span.sensor, span.starts, span.ends)
WHERE first = last
GROUP BY 1, 2, 3, 4
"""  # noqa: S608


async def _add_minute_counts(
    connection: Connection, asked: dict[str, Any], tallies: Sequence[LegTally], size: int
) -> None:
    _add_counts(await (await connection.execute(_MINUTE_COUNTS, asked, binary=True)).fetchall(), tallies, size)


async def _add_span_counts(
    connection: Connection, asked: dict[str, Any], tallies: Sequence[LegTally], size: int
) -> None:
    _add_counts(await (await connection.execute(_SPAN_COUNTS, asked, binary=True)).fetchall(), tallies, size)


def _add_counts(rows: Sequence[tuple[Any, ...]], tallies: Sequence[LegTally], size: int) -> None:
    for n, interval, direction, class_, count in rows:
        counts = tallies[n].counts
        if (direction, class_) not in counts:
            counts[direction, class_] = [0] * size
        counts[direction, class_][interval] += count


async def _add_minute_coverage(connection: Connection, asked: dict[str, Any], tallies: Sequence[LegTally]) -> None:
    cursor = await connection.execute(_MINUTE_COVERAGE, asked, binary=True)
    for n, interval, observed_s, reported_s in await cursor.fetchall():
        tallies[n].observed_s[interval] = observed_s
        tallies[n].reported_s[interval] = reported_s


async def _add_span_coverage(
    connection: Connection, asked: dict[str, Any], tallies: Sequence[LegTally], size: int
) -> bool:
    """Add what spans cover; False if there are none inside an interval."""
    inside = False
    cursor = await connection.execute(_SPAN_COVERAGE, asked, binary=True)
    for n, first, last, cuts, starts_s, ends_s, observed_s, length_s, recovered_s in await cursor.fetchall():
        found = tallies[n]
        if cuts:
            for interval in range(max(first, 0), min(last, size - 1) + 1):
                found.cuts.setdefault(interval, []).append((starts_s, ends_s))
            continue
        inside = True
        found.observed_s[first] += observed_s
        found.reported_s[first] += length_s
        found.recovered_s[first] += recovered_s
    return inside
