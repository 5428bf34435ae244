"""Rows a second of the write path, against a bare COPY of the same rows into the same tables."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import psycopg

from bench import history, machine, servers
from bench.measure import rates, timed, times_as_fast
from bench.result import Result
from bench.servers import Server
from footfall_contract.report import SlotReport, encode_cbor
from footfall_ingest import store
from footfall_ingest.aggregate import Deltas, MinuteCoverage, MinuteDeltas, SpanCoverage, SpanDeltas
from footfall_ingest.flush import Message, write_batch

TITLE = "writing minutes, counts and coverage, against a bare COPY of the same rows into the same tables"

SENSORS = 60
BEGIN = int(datetime(2025, 1, 6, tzinfo=UTC).timestamp())
CONTESTANTS = ("COPY, binary", "COPY, text", "store.add", "the same again", "write_batch")


@dataclass(frozen=True)
class Size:
    """How many rows are in one transaction, about, and how often each is written."""

    rows: int = 100_000
    rounds: int = 7


TINY = Size(rows=2000, rounds=1)

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Batch:
    """The rows of one transaction, sorted by sensor and minute."""

    minutes: MinuteDeltas
    coverage: MinuteCoverage
    start: int

    @property
    def rows(self) -> int:
        """Of counts and coverage."""
        return len(self.minutes.sensor) + len(self.coverage.sensor)

    @classmethod
    def of(cls, start: int, minutes: int) -> "Batch":
        """So many minutes of all sensors from `start` on, each measured by half so that it can come twice."""
        parts = [history.minutes(sensor, start, start + minutes * 60) for sensor in range(SENSORS)]
        counts = np.concatenate([part.count_minute for part in parts])
        coverage = np.concatenate([part.coverage_minute for part in parts])
        sensor = np.repeat(np.arange(SENSORS), [len(part.count_minute) for part in parts])
        return cls(
            MinuteDeltas(
                sensor, counts["bucket"], counts["direction"], np.zeros(len(sensor), np.int64), counts["count"]
            ),
            MinuteCoverage(np.repeat(np.arange(SENSORS), minutes), coverage["bucket"], np.full(len(coverage), 30)),
            start,
        )


def run(size: Size) -> Result:
    """On plain PostgreSQL, and on TimescaleDB if there is one."""
    result = Result("writing", TITLE, vars(size))
    with servers.workplace() as folder, servers.plain(folder) as server:
        _measure(result, server, size)
    if timescale := servers.timescale():
        _measure(result, timescale, size)
    else:
        result.notes.append(f"Hypertables: SKIPPED, {servers.NO_TIMESCALE}.")
    return result


def _measure(result: Result, server: Server, size: Size) -> None:
    minutes = max(size.rows // SENSORS * 5 // 8, 1)  # of each sensor there are about 1.6 rows a minute
    with server.fresh() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
        result.servers[server.kind] = machine.database(dsn)
        seconds: dict[str, list[float]] = {name: [] for name in CONTESTANTS}
        rows: dict[str, list[int]] = {name: [] for name in CONTESTANTS}
        _warm_up(connection)
        for round_ in range(size.rounds):
            # Each writes minutes that are not there yet; only one writes those of another once more.
            starts = [BEGIN + (round_ * 4 + place) * minutes * 60 for place in range(4)]
            binary, text, ours, flush = (Batch.of(start, minutes) for start in starts)
            for name, batch, write in (
                ("COPY, binary", binary, _copy_binary(connection, binary)),
                ("COPY, text", text, _copy_text(connection, text)),
                ("store.add", ours, _add(connection, ours)),
                ("the same again", ours, _add(connection, ours)),
                ("write_batch", flush, _flush(connection, flush)),
            ):
                seconds[name].append(timed(write) / batch.rows)
                rows[name].append(batch.rows)
            _check(connection, starts, minutes)
    for name, what in (
        ("COPY, binary", "bare COPY, binary, rows made before"),
        ("COPY, text", "bare COPY, text, rows made before"),
        ("store.add", "store.add, new rows"),
        ("the same again", "store.add, rows that exist"),
        ("write_batch", "write_batch: decoded, judged, added, notices read"),
    ):
        result.figure(f"{server.kind}: {what}", "rows/s", rates(1, seconds[name]))
    result.figure(f"{server.kind}: rows in a transaction", "rows", [float(n) for n in rows["store.add"]])
    for name in ("COPY, text", "COPY, binary"):
        ratio = times_as_fast(seconds["store.add"], seconds[name])
        result.at_least(f"{server.kind}: store.add against {name}", ratio, 0.5)
    whole = times_as_fast(seconds["write_batch"], seconds["COPY, text"])
    result.figure(f"{server.kind}: write_batch against COPY, text", "×", whole)


def _warm_up(connection: Connection) -> None:
    """Create the sensors, and let a first small batch of each kind make plans and chunks."""
    store.lock_sensors(connection, _names())
    batch = Batch.of(BEGIN - 3600, 10)
    _add(connection, batch)()
    _copy_text(connection, Batch.of(BEGIN - 1800, 10))()


def _names() -> list[str]:
    return [f"sensor-{number}" for number in range(SENSORS)]


def _keys(connection: Connection) -> Any:
    rows = connection.execute("SELECT id, key FROM sensor").fetchall()
    key = dict(rows)
    return np.array([key[name] for name in _names()])


def _copy_binary(connection: Connection, batch: Batch) -> Callable[[], None]:
    keys, minutes, coverage = _keys(connection), batch.minutes, batch.coverage
    counts = history.count_rows(keys[minutes.sensor], minutes.minute, minutes.direction, minutes.class_, minutes.count)
    measured = history.coverage_rows(keys[coverage.sensor], coverage.minute, coverage.observed_s)

    def copy() -> None:
        with connection.transaction():
            history.copy(connection, "count_minute", counts)
            history.copy(connection, "coverage_minute", measured)

    return copy


def _copy_text(connection: Connection, batch: Batch) -> Callable[[], None]:
    keys, minutes, coverage = _keys(connection), batch.minutes, batch.coverage
    counts = _text(keys[minutes.sensor], minutes.minute, minutes.direction, minutes.class_, minutes.count)
    measured = _text(keys[coverage.sensor], coverage.minute, coverage.observed_s)

    def copy() -> None:
        with connection.transaction():
            for table, text in (("count_minute", counts), ("coverage_minute", measured)):
                with connection.cursor().copy(f"COPY {table} FROM STDIN") as target:
                    target.write(text)

    return copy


def _text(sensor: Any, minute: Any, *columns: Any) -> bytes:
    rows = zip(sensor.tolist(), (minute // 60).tolist(), *(column.tolist() for column in columns), strict=True)
    return "".join("\t".join(map(str, row)) + "\n" for row in rows).encode()


def _add(connection: Connection, batch: Batch) -> Callable[[], None]:
    none = np.zeros(0, np.int64)
    spans = SpanDeltas(none, none, none, none, none, none), SpanCoverage(none, none, none, none)
    deltas = Deltas(batch.minutes, batch.coverage, *spans)

    def add() -> None:
        with connection.transaction():
            store.add(connection, deltas, store.lock_sensors(connection, _names()))

    return add


def _flush(connection: Connection, batch: Batch) -> Callable[[], None]:
    """One report for each sensor, with slots of a minute."""
    minutes, stream = batch.minutes, uuid4()
    slots = len(batch.coverage.minute) // SENSORS
    messages = []
    for sensor, name in enumerate(_names()):
        cells = minutes.sensor == sensor
        index = (minutes.minute[cells] - batch.start) // 60
        report = SlotReport(
            sensor=name,
            stream=stream,
            seq=0,
            start=batch.start,
            slot=60,
            slots=slots,
            observed=(30,) * slots,
            index=tuple(index.tolist()),
            direction=tuple(minutes.direction[cells].tolist()),
            class_=(0,) * len(index),
            count=tuple(minutes.count[cells].tolist()),
        )
        messages.append(Message("bench", name, encode_cbor(report)))
    return lambda: _all_stored(write_batch(connection, messages, now=datetime.now(UTC)).stored)


def _all_stored(stored: int) -> None:
    assert stored == SENSORS, f"{stored} of {SENSORS} reports stored"


def _check(connection: Connection, starts: list[int], minutes: int) -> None:
    """Everybody has written the same number of rows of coverage, and one has written them twice."""
    for place, start in enumerate(starts):
        query = "SELECT count(*), min(observed_s) FROM coverage_minute WHERE minute >= %s AND minute < %s"
        found = connection.execute(query, [start // 60, start // 60 + minutes]).fetchone()
        assert found == (SENSORS * minutes, 60 if place == 2 else 30), found
