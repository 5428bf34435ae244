"""Years of minutes as a place in a city has them, made with numpy and brought in by COPY.

Passages are Poisson numbers around a rate with a daily, weekly and yearly rhythm, so nights have many zeros, of which
there is no row. One minute in a thousand was not measured in full, one hour in a thousand not at all.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import psycopg

MINUTE_S = 60
YEAR_S = 365 * 86_400
BUSIEST = 12.0
"""Passages a minute and direction at the busiest place in its busiest hour."""

# Share of the busiest hour, by hour of the day: nobody walks at four in the morning.
_DAY = np.array(
    [0.02, 0.01, 0.005, 0.003, 0.004, 0.02, 0.08, 0.22, 0.34, 0.42, 0.55, 0.68,
     0.80, 0.83, 0.85, 0.92, 1.00, 0.97, 0.80, 0.55, 0.36, 0.24, 0.13, 0.06]
)  # fmt: skip
_WEEK = np.array([0.85, 0.87, 0.9, 0.95, 1.05, 1.15, 0.55])


@dataclass(frozen=True)
class Minutes:
    """The minutes of one sensor over some time, as columns."""

    count_minute: npt.NDArray[Any]
    """Bucket (UTC unix seconds), direction, count: ascending, without zeros."""
    coverage_minute: npt.NDArray[Any]
    """Bucket, measured seconds."""

    @property
    def rows(self) -> int:
        """Of both."""
        return len(self.count_minute) + len(self.coverage_minute)


def minutes(sensor: int, start: int, end: int, busier: float = 1.0) -> Minutes:
    """What sensor number `sensor` counted from `start` to `end`: the same each time it is asked.

    With `busier` there are so many times as many passages.
    """
    rng = np.random.default_rng([sensor, start])
    bucket = np.arange(start, end, MINUTE_S)
    day = bucket // 86_400
    rate = busier * BUSIEST / (1 + sensor % 7) * _DAY[bucket // 3600 % 24] * _WEEK[(day + 3) % 7]
    rate *= 1 + 0.3 * np.sin((day % 365 - 120) * 2 * np.pi / 365)
    hours = rng.random(len(bucket) // 60 + 1) < 0.001
    observed = np.where(rng.random(len(bucket)) < 0.001, 30, 60)
    observed[np.repeat(hours, 60)[: len(bucket)]] = 0
    outward = 0.6 + 0.8 * (bucket // 3600 % 24) / 24  # in the morning people come, in the evening they go
    counts = rng.poisson(np.stack([rate, rate * outward], axis=1)) * (observed > 0)[:, None]
    at, direction = np.nonzero(counts)
    return Minutes(
        _table(bucket=bucket[at], direction=direction, count=counts[at, direction]),
        _table(bucket=bucket, observed_s=observed),
    )


def _table(**columns: npt.NDArray[Any]) -> npt.NDArray[Any]:
    table = np.empty(len(columns["bucket"]), [(name, np.int64) for name in columns])
    for name, values in columns.items():
        table[name] = values
    return table


def copy(connection: psycopg.Connection[Any], table: str, data: bytes) -> None:
    """Bring rows that `count_rows` or `coverage_rows` made into a table, and do nothing else."""
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT binary)") as target:
        target.write(_HEADER)
        for at in range(0, len(data), _BLOCK):
            target.write(data[at : at + _BLOCK])
        target.write(_TRAILER)


_HEADER = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_TRAILER = b"\xff\xff"
_BLOCK = 1 << 20


def count_rows(sensor: Any, bucket: Any, direction: Any, class_: Any, count: Any) -> bytes:
    """Rows of ``count_minute`` in the binary format of COPY."""
    columns = [(">i4", sensor), (">i4", bucket // MINUTE_S), (">i2", direction), (">i2", class_), (">i4", count)]
    return _rows(columns, len(bucket))


def coverage_rows(sensor: Any, bucket: Any, observed_s: Any) -> bytes:
    """Rows of ``coverage_minute`` in the binary format of COPY."""
    return _rows([(">i4", sensor), (">i4", bucket // MINUTE_S), (">i2", observed_s)], len(bucket))


def _rows(columns: Sequence[tuple[str, Any]], rows: int) -> bytes:
    kinds = [("fields", ">i2")]
    for place, (kind, _) in enumerate(columns):
        kinds += [(f"length{place}", ">i4"), (f"value{place}", kind)]
    table = np.empty(rows, kinds)
    table["fields"] = len(columns)
    for place, (kind, values) in enumerate(columns):
        table[f"length{place}"] = np.dtype(kind).itemsize
        table[f"value{place}"] = values
    return table.tobytes()


def sensors(connection: psycopg.Connection[Any], number: int) -> list[int]:
    """Create so many sensors and a station for each; returns their keys."""
    keys = []
    for place in range(number):
        row = connection.execute(
            "INSERT INTO sensor (id, directions) VALUES (%s, 3) RETURNING key", [f"sensor-{place}"]
        ).fetchone()
        assert row is not None
        keys.append(row[0])
        connection.execute(
            "INSERT INTO station (id, name, timezone, longitude, latitude) VALUES (%s, %s, 'Europe/Berlin', %s, 50.93)",
            [f"station-{place}", f"Station {place}", 11.58 + place / 1000],
        )
        connection.execute(
            "INSERT INTO installation (sensor, station, valid_from, role) VALUES (%s, %s, '2010-01-01 00:00Z', 'part')",
            [row[0], f"station-{place}"],
        )
        connection.execute("INSERT INTO sensor_node (sensor, node) VALUES (%s, 'bench')", [row[0]])
    return keys


def spans(start: int, end: int, days: int) -> Iterator[tuple[int, int]]:
    """Parts of so many days at most."""
    for begin in range(start, end, days * 86_400):
        yield begin, min(begin + days * 86_400, end)


def load(
    connection: psycopg.Connection[Any], keys: Sequence[int], start: int, end: int, busier: float = 1.0
) -> tuple[int, int]:
    """Bring in what all sensors counted from `start` to `end`, in the order of the primary key, in one transaction.

    Both are full hours. The hours are noted as not summed up yet. Returns the rows of counts and of coverage.
    """
    counted = covered = 0
    with connection.transaction():
        for place, key in enumerate(keys):
            found = minutes(place, start, end, busier)
            counts, coverage = found.count_minute, found.coverage_minute
            copy(connection, "count_minute", count_rows(key, counts["bucket"], counts["direction"], 0, counts["count"]))
            copy(connection, "coverage_minute", coverage_rows(key, coverage["bucket"], coverage["observed_s"]))
            counted, covered = counted + len(counts), covered + len(coverage)
        connection.execute(
            "INSERT INTO dirty_hour SELECT sensor, hour FROM unnest(%s::int[]) AS sensor, generate_series("
            "to_timestamp(%s), to_timestamp(%s), interval '1 hour') AS hour ON CONFLICT DO NOTHING",
            [list(keys), start, end - 3600],
        )
    return counted, covered


def size_of(connection: psycopg.Connection[Any], *tables: str) -> int:
    """Bytes that tables take with their indexes, compressed or not."""
    total, hyper = 0, _has_timescale(connection)
    for table in tables:
        query = "SELECT pg_total_relation_size(%s::regclass)"
        if hyper and _is_hypertable(connection, table):
            query = "SELECT hypertable_size(%s::regclass)"
        row = connection.execute(query, [table]).fetchone()
        assert row is not None
        total += row[0]
    return total


def _has_timescale(connection: psycopg.Connection[Any]) -> bool:
    return connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone() is not None


def _is_hypertable(connection: psycopg.Connection[Any], table: str) -> bool:
    query = "SELECT 1 FROM timescaledb_information.hypertables WHERE hypertable_name = %s"
    return connection.execute(query, [table]).fetchone() is not None


def compress(connection: psycopg.Connection[Any], before: int, *tables: str) -> int:
    """Compress the chunks of `tables` that end by `before`, UTC unix seconds, as the policy will do one day.

    A table for which the schema wants no compression stays as it is. Returns how many chunks were compressed; on
    plain PostgreSQL none.
    """
    if not _has_timescale(connection):
        return 0
    rows = connection.execute(
        """
        SELECT format('%%I.%%I', chunk_schema, chunk_name)
        FROM timescaledb_information.chunks AS chunk
        JOIN timescaledb_information.hypertables AS whole USING (hypertable_schema, hypertable_name)
        WHERE hypertable_name = ANY(%s) AND compression_enabled AND NOT is_compressed
            AND coalesce(range_end, minute_start(range_end_integer::integer)) <= to_timestamp(%s)
        ORDER BY range_start, range_start_integer
        """,
        [list(tables), before],
    ).fetchall()
    for (chunk,) in rows:
        connection.execute("SELECT compress_chunk(%s::regclass)", [chunk])
    return len(rows)
