"""Sum minutes up by the hour: exact however late minutes come, and whenever this is killed.

`dirty_hour` says what there is to do: every writer of minutes puts the hours it touches there, in its own transaction
and with the sensor locked (`footfall_ingest.store.add`). Here, in one short transaction for some of them, the sensors
are locked, the hours leave `dirty_hour`, and what the minutes say *then* takes the place of what the hour tables said.
A writer in the middle of its transaction holds the lock, so its minutes are waited for; one that comes later makes the
hour dirty again.

Before `store.minutes_from` the minutes were removed once they were summed up. What is there arrived later: it is added
to its hour, and removed in the same transaction. A late minute cannot be held against the removed one any more, so the
measured seconds of such an hour end at 3600. Where an hour is cut it has no sums but spans, and they get it.
"""

import argparse
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from footfall_ingest.commands import Connection, connected
from footfall_ingest.pgarray import int2s, int4s, int8s, timestamps
from footfall_ingest.settings import IngestSettings
from footfall_ingest.store import HOUR_S, MINUTE_S

Int64s = npt.NDArray[np.int64]

LAG_S: Final = 120
"""So long after its end an hour is left alone: by then the last reports of an edge that is not behind are in."""

PAGE: Final = 2000
"""Hours that one call sums up unless told otherwise: a second's work or two."""
_BATCH: Final = 250
"""Hours in one transaction. Their sensors' reports wait for it, a few hundredths of a second."""
_WINDOW_S: Final = 7 * 24 * HOUR_S
"""A batch keeps within so much time, so that TimescaleDB looks at one or two chunks and not at all of them."""

_LOCK: Final = 7_306_085_171_258
"""Number of the advisory lock of who sums up; next to that of `footfall_ingest.migrate`."""

Place = tuple[int, int]
"""Key of a sensor, and an hour in UTC unix seconds."""
START: Final[Place] = (0, 0)

_DIRTY = """
    SELECT sensor, extract(epoch FROM hour)::bigint FROM dirty_hour
    WHERE hour < %(before)s AND (sensor, hour) > (%(sensor)s, %(hour)s)
    ORDER BY sensor, hour LIMIT %(limit)s
"""
_WAITING = "SELECT count(*) FROM dirty_hour WHERE hour < %s"

# In the order of their keys, as everyone who locks several sensors does.
_LOCK_SENSORS = "SELECT FROM sensor WHERE key = ANY(%b) ORDER BY key FOR NO KEY UPDATE"

_TAKE = """
    DELETE FROM dirty_hour USING unnest(%b, %b) AS wanted (sensor, hour)
    WHERE dirty_hour.sensor = wanted.sensor AND dirty_hour.hour = wanted.hour
    RETURNING dirty_hour.sensor, extract(epoch FROM dirty_hour.hour)::bigint
"""

# Both read the hours of `run`, each a sensor's consecutive ones: one range of the primary key. The bounds of all runs
# are said once more as plain values, for without them TimescaleDB would plan for every chunk there is.
_MINUTES_WITHIN = """
    WHERE sensor = run.sensor AND minute >= run.first_minute AND minute < run.end_minute
      AND minute >= %(first_minute)s AND minute < %(end_minute)s
"""
_HOURS_WITHIN = """
    WHERE sensor = run.sensor AND bucket >= run.low AND bucket < run.high
      AND bucket >= %(first)s AND bucket < %(end)s
"""
_HOUR = "to_timestamp(minute / 60 * 3600::float8) AS bucket"
_COUNTS = f"""
    WITH run AS MATERIALIZED (
        SELECT * FROM unnest(%(sensor)b, %(low)b, %(high)b, %(low_minute)b, %(high_minute)b)
            AS run (sensor, low, high, first_minute, end_minute)
    ), summed AS MATERIALIZED (
        SELECT run.sensor, minutes.* FROM run, LATERAL (
            SELECT {_HOUR}, direction, class, sum(count)::bigint AS count
            FROM count_minute {_MINUTES_WITHIN} GROUP BY 1, 2, 3
        ) AS minutes
    ), stood AS MATERIALIZED (
        SELECT run.sensor, hours.* FROM run, LATERAL (
            SELECT bucket, direction, class, count FROM count_hour {_HOURS_WITHIN} OFFSET 0
        ) AS hours
    )
    SELECT sensor, extract(epoch FROM bucket)::bigint, direction, class,
        coalesce(summed.count, 0), coalesce(stood.count, 0)
    FROM summed FULL JOIN stood USING (sensor, bucket, direction, class)
"""  # noqa: S608  # constants of this module
_COVERAGE = f"""
    WITH run AS MATERIALIZED (
        SELECT * FROM unnest(%(sensor)b, %(low)b, %(high)b, %(low_minute)b, %(high_minute)b)
            AS run (sensor, low, high, first_minute, end_minute)
    ), summed AS MATERIALIZED (
        SELECT run.sensor, minutes.* FROM run, LATERAL (
            SELECT {_HOUR}, sum(observed_s) AS observed_s, 60 * count(*) AS reported_s
            FROM coverage_minute {_MINUTES_WITHIN} GROUP BY 1
        ) AS minutes
    ), stood AS MATERIALIZED (
        SELECT run.sensor, hours.* FROM run, LATERAL (
            SELECT bucket, observed_s, reported_s FROM coverage_hour {_HOURS_WITHIN} OFFSET 0
        ) AS hours
    )
    SELECT sensor, extract(epoch FROM bucket)::bigint,
        coalesce(summed.observed_s, 0), coalesce(summed.reported_s, 0),
        coalesce(stood.observed_s, 0), coalesce(stood.reported_s, 0)
    FROM summed FULL JOIN stood USING (sensor, bucket)
"""  # noqa: S608  # constants

_PARTS = """
    SELECT part.sensor, part.starts, part.ends
    FROM unnest(%(sensor)b, %(low)b, %(high)b) AS run (sensor, low, high), cut_hours(%(first)s, %(end)s) AS part
    WHERE part.sensor = run.sensor AND part.hour >= run.low AND part.hour < run.high
"""

_PUT_COUNTS = """
    INSERT INTO count_hour (sensor, bucket, direction, class, count)
    SELECT * FROM unnest(%b, %b, %b, %b, %b)
    ON CONFLICT (sensor, bucket, direction, class) DO UPDATE SET count = excluded.count
"""
# The sums are of the moment at which the sensor's last report came, not of this one: who read the minutes until now has
# the same numbers. Only a person's hand could have changed them since.
_PUT_COVERAGE = """
    INSERT INTO coverage_hour AS stood (sensor, bucket, observed_s, reported_s, changed)
    SELECT summed.*, coalesce((SELECT max(touched) FROM stream WHERE stream.sensor = summed.sensor), now())
    FROM unnest(%b, %b, %b, %b) AS summed (sensor, bucket, observed_s, reported_s)
    ON CONFLICT (sensor, bucket) DO UPDATE
    SET (observed_s, reported_s, changed) = (
        excluded.observed_s, excluded.reported_s,
        CASE WHEN excluded.changed > stood.changed THEN excluded.changed ELSE now() END
    )
"""
# One by one, with plain values: a compressed chunk is then opened where it has such rows and not as a whole. Rows of
# the hour tables go only where minutes went, which nothing but a person's hand does.
_DROP_COUNT = """
    DELETE FROM count_hour
    WHERE sensor = %s AND bucket = %s AND direction = %s AND class = %s
"""
_DROP_COVERAGE = "DELETE FROM coverage_hour WHERE sensor = %s AND bucket = %s"
_DROP_MINUTES = tuple(
    f"DELETE FROM {table} WHERE sensor = %s AND minute >= minute_of(%s) AND minute < minute_of(%s)"  # noqa: S608  # constants
    for table in ("count_minute", "coverage_minute")
)


@dataclass(frozen=True, slots=True)
class Progress:
    """What one call of `roll_up` did. An hour is one of one sensor."""

    rolled: int = 0
    """Hours whose minutes were summed up."""
    changed: int = 0
    """Those of them whose sums were not stored already."""
    next: Place | None = None
    """Where to go on; None: all that was waiting is done."""
    elsewhere: bool = False
    """Someone else is at it; what is left is his."""

    def __add__(self, other: "Progress") -> "Progress":
        return Progress(self.rolled + other.rolled, self.changed + other.changed, other.next, other.elsewhere)


def roll_up(
    connection: Connection, now: datetime, *, limit: int = PAGE, after: Place = START, wait: bool = False
) -> Progress:
    """Sum up `limit` of the hours that ended `LAG_S` before `now`, those behind `after`; commits batch by batch.

    Where someone else is at it nothing is done, unless told to `wait` for its turn.

    Raises:
        psycopg.Error: what was committed stays, the rest is as it was; it may be done again.
    """
    parameters = {"before": _before(now), "sensor": after[0], "hour": _utc(after[1]), "limit": limit}
    rows = connection.execute(_DIRTY, parameters).fetchall()
    found = Progress()
    for sensor, hour in _batches(np.array(rows, np.int64).reshape(-1, 2)):
        with connection.transaction():
            if not _my_turn(connection, wait=wait):
                return found + Progress(elsewhere=True)
            found += _roll_up_batch(connection, sensor, hour)
    return found + Progress(next=rows[-1] if len(rows) == limit else None)


def waiting(connection: Connection, now: datetime) -> int:
    """How many hours of sensors ended and are still to be summed up."""
    found: int = connection.execute(_WAITING, [_before(now)]).fetchall()[0][0]
    return found


def _before(now: datetime) -> datetime:
    return _utc((int(now.timestamp()) - LAG_S) // HOUR_S * HOUR_S)


def _utc(second: float) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def _my_turn(connection: Connection, *, wait: bool) -> bool:
    """Whether nobody else sums up until the end of this transaction."""
    if wait:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", [_LOCK])
        return True
    found: bool = connection.execute("SELECT pg_try_advisory_xact_lock(%s)", [_LOCK]).fetchall()[0][0]
    return found


def _batches(places: Int64s) -> Iterator[tuple[Int64s, Int64s]]:
    """Sensors and hours of each transaction: near each other in time, a sensor's consecutive hours together."""
    sensor, hour = places.T
    window = hour // _WINDOW_S
    order = np.lexsort((hour, sensor, window))
    sensor, hour, window = sensor[order], hour[order], window[order]
    for part in np.split(np.arange(len(order)), np.flatnonzero(np.diff(window)) + 1):
        for start in range(0, len(part), _BATCH):
            rows = part[start : start + _BATCH]
            yield sensor[rows], hour[rows]


def _roll_up_batch(connection: Connection, sensor: Int64s, hour: Int64s) -> Progress:
    connection.execute(_LOCK_SENSORS, [int4s(np.unique(sensor))])
    # All that follows reads after the lock: each statement sees what was committed before it.
    taken = connection.execute(_TAKE, [int4s(sensor), timestamps(hour)]).fetchall()
    if not taken:
        return Progress()
    (minutes_from,) = connection.execute("SELECT extract(epoch FROM minutes_from)::float8 FROM store").fetchall()[0]
    runs = _runs(np.array(taken, np.int64))
    _divide_cut(connection, runs, minutes_from)
    counted = _put_counts(connection, runs, minutes_from)
    changed = _put_coverage(connection, runs, minutes_from, counted)
    _remove_added(connection, runs, minutes_from)
    return Progress(len(taken), len(changed | counted))


@dataclass(frozen=True, slots=True, eq=False)
class _Runs:
    """Consecutive hours of one sensor each: from `low` to `high`, UTC unix seconds."""

    sensor: Int64s
    low: Int64s
    high: Int64s

    @property
    def parameters(self) -> dict[str, Any]:
        """For the statements that read them."""
        return {
            "sensor": int4s(self.sensor),
            "low": timestamps(self.low),
            "high": timestamps(self.high),
            "low_minute": int4s(self.low // MINUTE_S),
            "high_minute": int4s(self.high // MINUTE_S),
            "first_minute": int(self.low.min()) // MINUTE_S,
            "end_minute": int(self.high.max()) // MINUTE_S,
            "first": _utc(int(self.low.min())),
            "end": _utc(int(self.high.max())),
        }


def _runs(places: Int64s) -> _Runs:
    sensor, hour = places[np.lexsort((places[:, 1], places[:, 0]))].T
    begins = np.concatenate(([True], (np.diff(sensor) != 0) | (np.diff(hour) != HOUR_S)))
    first = np.flatnonzero(begins)
    last = np.concatenate((first[1:], [len(hour)])) - 1
    return _Runs(sensor[first], hour[first], hour[last] + HOUR_S)


def _put_counts(connection: Connection, runs: _Runs, minutes_from: float) -> set[Place]:
    """Store the sums of the counts; returns the hours in which one changed."""
    # Not prepared: a plan that is to serve all times looks at all chunks.
    rows = connection.execute(_COUNTS, runs.parameters, prepare=False, binary=True).fetchall()
    sensor, hour, direction, class_, summed, stood = np.array(rows, np.int64).reshape(-1, 6).T
    count = np.where(hour < minutes_from, stood + summed, summed)
    put = np.flatnonzero((count != stood) & (count > 0))
    if len(put):
        columns = [int4s(sensor[put]), timestamps(hour[put]), int2s(direction[put]), int2s(class_[put])]
        connection.execute(_PUT_COUNTS, [*columns, int8s(count[put])])
    gone = np.flatnonzero((count != stood) & (count == 0))
    if len(gone):
        keys = np.stack([sensor, hour, direction, class_], axis=1)[gone].tolist()
        connection.cursor().executemany(_DROP_COUNT, [(key, _utc(at), *kind) for key, at, *kind in keys])
    return {(key, at) for key, at in np.stack([sensor, hour], axis=1)[count != stood].tolist()}


def _put_coverage(connection: Connection, runs: _Runs, minutes_from: float, counted: set[Place]) -> set[Place]:
    """Store the sums of the seconds, and when they or the counts (those hours are `counted`) changed."""
    rows = connection.execute(_COVERAGE, runs.parameters, prepare=False).fetchall()
    columns = np.array([[int(value) for value in row] for row in rows], np.int64).reshape(-1, 6)
    places, summed, stood = columns[:, :2], columns[:, 2:4], columns[:, 4:]
    late = places[:, 1:] < minutes_from
    seconds = np.where(late, np.minimum(stood + summed, HOUR_S), summed)
    there = seconds[:, 1] > 0
    differs = (seconds != stood).any(axis=1)
    named = np.array([(key, at) in counted for key, at in places.tolist()], np.bool_)
    put = np.flatnonzero(there & (differs | named))
    if len(put):
        sensor, hour, observed_s, reported_s = *places[put].T, *seconds[put].T
        connection.execute(_PUT_COVERAGE, [int4s(sensor), timestamps(hour), int4s(observed_s), int4s(reported_s)])
    gone = np.flatnonzero(~there & differs)
    if len(gone):
        connection.cursor().executemany(_DROP_COVERAGE, [(key, _utc(at)) for key, at in places[gone].tolist()])
    return {(key, at) for key, at in places[differs].tolist()}


def _divide_cut(connection: Connection, runs: _Runs, minutes_from: float) -> None:
    """Make spans of minutes before `minutes_from` in hours that an installation or a remark cuts; see v0005."""
    first, end = int(runs.low.min()), min(int(runs.high.max()), minutes_from)
    if first >= end:
        return
    parameters = {**runs.parameters, "end": _utc(end)}
    for sensor, low, high in connection.execute(_PARTS, parameters).fetchall():
        connection.execute("SELECT minutes_into_span(%s, %s, %s)", [sensor, low, high])
        for statement in _DROP_MINUTES:
            connection.execute(statement, [sensor, low, high], prepare=False)


def _remove_added(connection: Connection, runs: _Runs, minutes_from: float) -> None:
    """Remove the minutes before `minutes_from`, which were added to what their hours had."""
    for sensor, low, high in np.stack([runs.sensor, runs.low, runs.high], axis=1).tolist():
        if low < minutes_from:
            for statement in _DROP_MINUTES:
                connection.execute(statement, [sensor, _utc(low), _utc(min(high, minutes_from))], prepare=False)


# The command line


def add_parser(commands: Any, config: argparse.ArgumentParser) -> None:
    """Add ``rollup`` to the parser's `commands`; it sets `run`."""
    help_text = "sum up by the hour what is waiting; the running process does it by itself"
    parser = commands.add_parser("rollup", parents=[config], help=help_text, description=help_text)
    parser.set_defaults(run=connected(_command))


def _command(connection: Connection, _settings: IngestSettings, _options: argparse.Namespace) -> None:
    now = datetime.now(UTC)
    total = waiting(connection, now)
    done = Progress(next=START)
    while done.next is not None:
        done += roll_up(connection, now, after=done.next, wait=True)
        if sys.stderr.isatty():
            sys.stderr.write(f"\r{done.rolled} of {total} hours")
            sys.stderr.flush()
    if sys.stderr.isatty():
        sys.stderr.write("\n")
    sys.stdout.writelines(f"{line}\n" for line in _said(connection, done))


def _said(connection: Connection, done: Progress) -> Iterator[str]:
    if done.rolled:
        yield f"{done.rolled} hours of sensors were summed up, the sums of {done.changed} are new or different"
    else:
        yield "nothing was waiting: every hour that is over is summed up"
    (left,) = connection.execute("SELECT count(*) FROM dirty_hour").fetchall()[0]
    if left:
        yield f"{left} hours of sensors are not over yet, or were reported meanwhile"
