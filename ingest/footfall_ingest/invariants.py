"""What holds in every sound database of footfall, whoever writes to it and whatever died: looked for, rule by rule.

The schema refuses some of it by itself. The rest follows from how a flush, the roll-up and the removal of minutes work,
and is broken only by a fault of theirs, by a damaged disk or by somebody's hand. `faults` says what it finds broken,
a sentence for each sensor and rule; which times and sensors are to be looked at is then known.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import psycopg

from footfall_ingest.backup_truth import months
from footfall_ingest.moments import utc
from footfall_ingest.streams import MAX_RANGES

Connection = psycopg.Connection[Any]
Progress = Callable[[str, int, int], None]

WRONG_HOURS: Final = """
    WITH minute AS (
        SELECT sensor, minute_start(minute / 60 * 60) AS hour, direction::int, class::int, sum(count) AS a, 0 AS b
        FROM count_minute WHERE minute >= %(first)s AND minute < %(beyond)s GROUP BY 1, 2, 3, 4
        UNION ALL
        SELECT sensor, minute_start(minute / 60 * 60), -1, -1, sum(observed_s), 60 * count(*)
        FROM coverage_minute WHERE minute >= %(first)s AND minute < %(beyond)s GROUP BY 1, 2
    ), hour AS (
        SELECT sensor, bucket AS hour, direction::int, class::int, count AS a, 0 AS b FROM count_hour
        WHERE bucket >= %(low)s AND bucket < %(high)s
        UNION ALL
        SELECT sensor, bucket, -1, -1, observed_s, reported_s FROM coverage_hour
        WHERE bucket >= %(low)s AND bucket < %(high)s
    )
    SELECT * FROM (
        SELECT sensor, hour, direction, class, minute.a AS minutes, minute.b, hour.a AS hours, hour.b
        FROM minute FULL JOIN hour USING (sensor, hour, direction, class)
        WHERE (minute.a, minute.b) IS DISTINCT FROM (hour.a, hour.b)
    ) AS wrong (sensor, hour, direction, class, minutes, minutes_s, hours, hours_s)
    WHERE hour >= (SELECT minutes_from FROM store) AND NOT EXISTS (
        SELECT FROM dirty_hour AS dirty WHERE dirty.sensor = wrong.sensor AND dirty.hour = wrong.hour
    )
"""
"""Sums by the hour that are not those of their minutes, where both are kept and the hour is not dirty.

Key of the sensor, hour, direction and class (-1: the seconds), what the minutes say, what the hour says. The
parameters are those of `footfall_ingest.backup_truth.Month.bounds`.
"""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A rule about what lies in a month, and the rows that break it: sensor's key, moment."""

    broken: str
    """What is said of so many of a sensor's."""
    rows: str


_WITHIN: Final = {
    "minutes": "minute >= %(first)s AND minute < %(beyond)s",
    "hours": "bucket >= %(low)s AND bucket < %(high)s",
    "spans": "starts >= %(low)s AND starts < %(high)s",
    "wrong_hours": WRONG_HOURS,
}
"""What stands in the place of these names in a rule; the first three say the month."""

_COUNTS: Final = (("count_minute", "minutes", "minute_start(minute)"), ("count_hour", "hours", "bucket"),
    ("count_span", "spans", "starts"))  # fmt: skip
_SECONDS: Final = (("coverage_minute", "minutes", "minute_start(minute)"), ("coverage_hour", "hours", "bucket"),
    ("coverage_span", "spans", "starts"))  # fmt: skip


def _each(select: str, tables: tuple[tuple[str, str, str], ...]) -> str:
    """The same question to several tables."""
    return " UNION ALL ".join(
        select.format(table=table, within=_WITHIN[within], moment=moment) for table, within, moment in tables
    )


_RULES: Final = (
    _Rule(
        "hours have sums that are not those of their minutes",
        "SELECT DISTINCT sensor, hour FROM ({wrong_hours}) AS wrong",
    ),
    _Rule(
        "minutes have more than 60 measured seconds, or less than none",
        """SELECT sensor, minute_start(minute) FROM coverage_minute
           WHERE {minutes} AND observed_s NOT BETWEEN 0 AND 60""",
    ),
    _Rule(
        "minutes have passages and nothing says for how long they were measured",
        """SELECT sensor, minute_start(minute) FROM (
               SELECT sensor, minute FROM count_minute WHERE {minutes}
               EXCEPT SELECT sensor, minute FROM coverage_minute WHERE {minutes}
           ) AS unmeasured""",
    ),
    _Rule(
        "minutes, hours or spans count less than one passage",
        _each("SELECT sensor, {moment} FROM {table} WHERE {within} AND count < 1", _COUNTS),
    ),
    _Rule(
        "minutes are there although those of that time were removed, and their hour is not to be summed up again",
        """SELECT sensor, minute_start(minute) FROM coverage_minute AS late
           WHERE {minutes} AND minute < (SELECT minute_of(minutes_from) FROM store) AND NOT EXISTS (
               SELECT FROM dirty_hour AS dirty
               WHERE dirty.sensor = late.sensor AND dirty.hour = minute_start(late.minute / 60 * 60)
           )""",
    ),
    _Rule(
        "hours have passages and nothing says for how long they were measured",
        """SELECT sensor, bucket FROM count_hour WHERE {hours}
           EXCEPT SELECT sensor, bucket FROM coverage_hour WHERE {hours}""",
    ),
    _Rule(
        "hours do not begin with an hour, or have seconds that an hour cannot have",
        """SELECT sensor, bucket FROM count_hour WHERE {hours} AND bucket <> date_trunc('hour', bucket, 'UTC')
           UNION ALL
           SELECT sensor, bucket FROM coverage_hour WHERE {hours} AND (
               bucket <> date_trunc('hour', bucket, 'UTC') OR reported_s NOT BETWEEN 60 AND 3600
               OR observed_s NOT BETWEEN 0 AND reported_s
           )""",
    ),
    _Rule(
        "spans have passages and nothing says for how long they were measured",
        """SELECT sensor, starts FROM (
               SELECT sensor, starts, ends FROM count_span WHERE {spans}
               EXCEPT SELECT sensor, starts, ends FROM coverage_span WHERE {spans}
           ) AS unmeasured""",
    ),
    _Rule(
        "spans are longer than 31 days, or more of their seconds were measured than they have",
        # Of an hour that was cut and whose minutes are gone, late reports may say more.
        """SELECT sensor, starts FROM coverage_span WHERE {spans} AND (
               ends > starts + interval '31 days' OR observed_s < 0
               OR observed_s > extract(epoch FROM ends - starts) AND starts >= (SELECT minutes_from FROM store)
           )""",
    ),
    _Rule(
        "minutes, hours or spans are of a sensor that is not known",
        _each(
            "SELECT sensor, {moment} FROM {table} WHERE {within} AND sensor NOT IN (SELECT key FROM sensor)",
            _COUNTS + _SECONDS,
        ),
    ),
    _Rule(
        "minutes, hours or spans have passages in a direction that their sensor is said never to have counted",
        _each(
            """SELECT sensor, {moment} FROM {table} AS part WHERE {within}
               AND EXISTS (SELECT FROM sensor WHERE key = part.sensor AND directions >> direction::int & 1 = 0)""",
            _COUNTS,
        ),
    ),
)
_GROUPED: Final = """
    SELECT coalesce(sensor.id, 'sensor number ' || broken.sensor), count(*), min(at)
    FROM ({rows}) AS broken (sensor, at) LEFT JOIN sensor ON key = broken.sensor GROUP BY 1
"""

_SENTENCES: Final = (
    # The numbers of reports.
    f"""SELECT format('%s: what was received of the stream %s cannot be: %s', id, stream.stream, received)
        FROM stream JOIN sensor ON key = stream.sensor
        WHERE NOT isempty(received) AND (
            lower_inf(received) OR upper_inf(received) OR lower(received) < 0
            OR node IS NOT NULL AND (SELECT count(*) FROM unnest(received)) > {MAX_RANGES}
        )""",  # noqa: S608  # made of constants of this module
    """SELECT format('%s: the report %s of the stream %s is in quarantine (row %s) as one that nothing else was '
                     'counted for, and its number is not marked received', kept.sensor, seq, kept.stream, kept.id)
        FROM quarantine AS kept
        WHERE holds_number AND NOT EXISTS (
            SELECT FROM stream JOIN sensor ON key = stream.sensor
            WHERE sensor.id = kept.sensor AND stream.stream = kept.stream AND received @> kept.seq
        )""",
    # The life of the database.
    """SELECT format('the epoch in force, %s, is not among the epochs that began', epoch) FROM store
        WHERE epoch NOT IN (SELECT epoch FROM epoch)""",
    """SELECT format('the table store has %s rows instead of one', count(*)) FROM store HAVING count(*) <> 1""",
    """SELECT format('minutes were removed before %s, which is no whole hour', minutes_from) FROM store
        WHERE isfinite(minutes_from) AND minutes_from <> date_trunc('hour', minutes_from, 'UTC')""",
    """SELECT format('%s hours are to be summed up that do not begin with an hour, or are of a sensor that is not '
                     'known', count(*))
        FROM dirty_hour WHERE hour <> date_trunc('hour', hour, 'UTC') OR sensor NOT IN (SELECT key FROM sensor)
        HAVING count(*) > 0""",
)

RULES: Final = len(_RULES) + len(_SENTENCES)
"""How many rules there are."""

_WAITING: Final = "SELECT count(*), min(hour) FROM dirty_hour WHERE hour < now() - interval '1 day'"


def faults(connection: Connection, progress: Progress) -> list[str]:
    """A sentence for each sensor and rule that is broken, with how often and since when; none: the database is sound.

    To be right while others write, `connection` is in a repeatable read. Reads all there is, month by month.

    Raises:
        psycopg.Error: what is there cannot be read: that is a fault, too, of the disk or of an index.
    """
    broken: dict[tuple[int, str], tuple[int, datetime]] = {}
    all_months = months(connection)
    for done, month in enumerate(all_months):
        progress("looking for faults, months", done, len(all_months))
        for number, rule in enumerate(_RULES):
            # Not prepared: a plan that is to serve all months would look at all chunks.
            query = _GROUPED.format(rows=rule.rows.format(**_WITHIN))
            rows = connection.execute(query, month.bounds, prepare=False)
            for sensor, times, first in rows:
                before, since = broken.get((number, sensor), (0, first))
                broken[number, sensor] = (before + times, min(since, first))
    said = [
        f"{sensor}: {times} {_RULES[number].broken}, the first at {utc(first)}"
        for (number, sensor), (times, first) in sorted(broken.items())
    ]
    for query in _SENTENCES:
        said += [sentence for (sentence,) in connection.execute(query)]
    return said


def remarks(connection: Connection) -> list[str]:
    """Sentences on what is no fault and should not stay as it is."""
    ((waiting, oldest),) = connection.execute(_WAITING).fetchall()
    if not waiting:
        return []
    said = (
        f"{waiting} hours of sensors wait to be summed up for more than a day, the oldest {utc(oldest)}: answers are "
    )
    return [said + "right and slow until footfall-ingest runs, or `footfall-ingest rollup`"]
