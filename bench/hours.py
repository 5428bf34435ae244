"""Sum the hours of a loaded history up: by the job that does it in operation, or at once where that takes too long."""

from datetime import UTC, datetime
from typing import Any

import psycopg

from footfall_ingest import rollup

_AT_ONCE = """
    INSERT INTO count_hour (sensor, bucket, direction, class, count)
    SELECT sensor, minute_start(minute / 60 * 60), direction, class, sum(count)
    FROM count_minute WHERE minute >= minute_of(%(start)s) AND minute < minute_of(%(end)s) GROUP BY 1, 2, 3, 4;
    INSERT INTO coverage_hour (sensor, bucket, observed_s, reported_s)
    SELECT sensor, minute_start(minute / 60 * 60), sum(observed_s), 60 * count(*)
    FROM coverage_minute WHERE minute >= minute_of(%(start)s) AND minute < minute_of(%(end)s) GROUP BY 1, 2;
    DELETE FROM dirty_hour
"""


def roll_up(connection: psycopg.Connection[Any], *, fast: bool) -> int:
    """Sum up every hour that is noted as dirty; returns how many there were.

    `fast` does it in one statement a table, for hours that were never summed up before and while nobody else writes.
    """
    row = connection.execute("SELECT count(*), min(hour), max(hour) + interval '1 hour' FROM dirty_hour").fetchone()
    assert row is not None
    waiting, start, end = row
    if fast and waiting:
        with connection.transaction():
            for statement in _AT_ONCE.split(";"):
                psycopg.ClientCursor(connection).execute(statement, {"start": start, "end": end})
        return int(waiting)
    now, done = datetime.now(UTC), rollup.Progress(next=rollup.START)
    while done.next is not None:
        done += rollup.roll_up(connection, now, after=done.next, wait=True)
    return done.rolled
