"""Large batches: minutes that are new come in by COPY, and what is stored is what one by one would have been."""

import random
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
import pytest

from footfall_ingest import store
from footfall_ingest.aggregate import Deltas, MinuteCoverage, MinuteDeltas, SpanCoverage, SpanDeltas
from footfall_ingest.flush import write_batch
from footfall_testing.ingest_store import NOON, message, report

SENSORS = ("markt-1", "markt-2", "johannis-1")
NONE = np.zeros(0, np.int64)

Counts = dict[tuple[int, int, int, int], int]
"""By code of the sensor, minute, direction and class."""
Seconds = dict[tuple[int, int], int]


@pytest.fixture
def connection(any_database: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection to a store on plain PostgreSQL, and to one on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as opened:
        yield opened


def batch(counts: Counts, seconds: Seconds) -> Deltas:
    """The batch that adds these."""
    cells = np.array([(*place, count) for place, count in sorted(counts.items())], np.int64).reshape(-1, 5).T
    covered = np.array([(*place, s) for place, s in sorted(seconds.items())], np.int64).reshape(-1, 3).T
    spans = SpanDeltas(NONE, NONE, NONE, NONE, NONE, NONE), SpanCoverage(NONE, NONE, NONE, NONE)
    return Deltas(MinuteDeltas(*cells), MinuteCoverage(*covered), *spans)


def some(rng: random.Random, share: float) -> tuple[Counts, Seconds]:
    """Counts and seconds of some of two hours' minutes, some of them without passages or not measured."""
    counts: Counts = {}
    seconds: Seconds = {}
    for sensor in range(len(SENSORS)):
        for minute in range(NOON, NOON + 7200, 60):
            if rng.random() < share:
                seconds[sensor, minute] = rng.choice((0, 10, 15))
                for direction in (0, 1):
                    if rng.random() < 0.5:
                        counts[sensor, minute, direction, rng.choice((0, 2))] = rng.randint(1, 5)
    return counts, seconds


def add(connection: psycopg.Connection[Any], counts: Counts, seconds: Seconds) -> None:
    """As a flush does it."""
    with connection.transaction():
        store.add(connection, batch(counts, seconds), store.lock_sensors(connection, SENSORS))


def stored(connection: psycopg.Connection[Any]) -> tuple[Counts, Seconds]:
    """What is stored."""
    code = {name: place for place, name in enumerate(SENSORS)}
    counts = connection.execute(
        "SELECT id, minute * 60::bigint, direction, class, count FROM count_minute JOIN sensor ON key = sensor"
    ).fetchall()
    seconds = connection.execute(
        "SELECT id, minute * 60::bigint, observed_s FROM coverage_minute JOIN sensor ON key = sensor"
    ).fetchall()
    return (
        {(code[name], minute, direction, class_): count for name, minute, direction, class_, count in counts},
        {(code[name], minute): observed for name, minute, observed in seconds},
    )


@contextmanager
def copies(monkeypatch: pytest.MonkeyPatch, tables: list[str]) -> Iterator[None]:
    """Every batch is large enough, and `tables` says where something was brought in by COPY."""
    copy_in = store.copy_in

    def noted(connection: psycopg.Connection[Any], table: str, columns: list[Any]) -> None:
        tables.extend([table] if len(columns[0][2]) else [])
        copy_in(connection, table, columns)

    with monkeypatch.context() as patched:
        patched.setattr(store, "_MANY", 1)
        patched.setattr(store, "copy_in", noted)
        yield


@pytest.mark.parametrize("seed", range(3))
def test_new_and_known_minutes_add_up_alike(
    seed: int, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of batches that are new, partly new and not new at all the sums are stored, also in compressed chunks."""
    rng = random.Random(seed)
    counts: Counts = {}
    seconds: Seconds = {}
    tables: list[str] = []
    with copies(monkeypatch, tables):
        for share in (0.3, 0.5, 1.0):
            more = some(rng, share)
            add(connection, *more)
            for cell, count in more[0].items():
                counts[cell] = counts.get(cell, 0) + count
            for place, observed in more[1].items():
                seconds[place] = seconds.get(place, 0) + observed
            if connection.execute("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").fetchone():
                connection.execute("SELECT compress_chunk(chunk, true) FROM show_chunks('count_minute') AS chunk")
                connection.execute("SELECT compress_chunk(chunk, true) FROM show_chunks('coverage_minute') AS chunk")
            assert stored(connection) == (counts, seconds)
        assert tables == ["count_minute", "coverage_minute"] * 3
        add(connection, *more)
        assert len(tables) == 6, "nothing was new the last time"
    hours = connection.execute("SELECT count(*) FROM dirty_hour").fetchone()
    assert hours == (2 * len(SENSORS),)


def test_what_is_measured_is_found_wherever_it_lies(connection: psycopg.Connection[Any]) -> None:
    """Every wanted minute has the seconds that are stored: next to each other, hours, weeks and months apart."""
    rng = random.Random(7)
    sensors = store.lock_sensors(connection, SENSORS)
    places = [NOON + rng.choice((0, 3600, 40 * 3600, 90 * 86_400)) + 60 * rng.randrange(90) for _ in range(400)]
    kept = {(rng.randrange(3), place): rng.choice((0, 10, 60)) for place in places}
    for (code, place), seconds in kept.items():
        connection.execute(
            "INSERT INTO coverage_minute VALUES (%s, %s, %s)", [int(sensors.keys[code]), place // 60, seconds]
        )
    for share in (1.0, 0.5, 0.02, 0.0):
        wanted = sorted({(code, place) for code in range(3) for place in places if rng.random() < share})
        code, minute = np.array(wanted, np.int64).reshape(-1, 2).T

        found = store.measured(connection, MinuteCoverage(code, minute, np.zeros(len(code), np.int64)), sensors)

        assert found.tolist() == [kept.get(place, -1) for place in wanted]


def test_counts_without_coverage_do_not_stop_it(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts that a person put there without coverage are added to; the batch is neither refused nor stored twice."""
    key = int(store.lock_sensors(connection, SENSORS).keys[0])
    connection.execute("INSERT INTO count_minute VALUES (%s, %s, 0, 0, 7)", [key, NOON // 60 + 1])
    places = [(0, NOON), (0, NOON + 60), (1, NOON)]
    with copies(monkeypatch, []):
        add(connection, {(*place, 0, 0): 1 for place in places}, dict.fromkeys(places, 60))
    counts, seconds = stored(connection)
    assert counts == {(0, NOON, 0, 0): 1, (0, NOON + 60, 0, 0): 8, (1, NOON, 0, 0): 1}
    assert seconds == dict.fromkeys(places, 60)


def test_what_is_left_out_of_a_batch_does_not_shift_the_rest(
    connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A large batch with a second writer in it: the others' minutes are added to or brought in as they should be."""
    now = datetime.fromtimestamp(NOON + 3600, UTC)
    known = [report(sensor, 0, start=NOON, slot=60, observed=[60], cells=[(0, 0, 0, 1)]) for sensor in SENSORS[:2]]
    half = report(SENSORS[1], 1, start=NOON + 60, slot=30, observed=[30], cells=[(0, 0, 0, 2)])
    thief = report(SENSORS[0], 0, stream="other", start=NOON, slot=60, observed=[60, 60], cells=[(0, 0, 0, 9)])
    rest = report(SENSORS[1], 2, start=NOON + 90, slot=30, observed=[30, 30], cells=[(0, 0, 0, 4), (1, 0, 0, 5)])
    with copies(monkeypatch, []):
        write_batch(connection, [message(one) for one in (*known, half)], now=now)

        outcome = write_batch(connection, [message(thief), message(rest)], now=now)

    assert (outcome.stored, outcome.quarantined) == (1, {"second-writer": 1})
    found = dict(connection.execute("SELECT key, array_position(%s, id) - 1 FROM sensor", [list(SENSORS)]).fetchall())
    counts = connection.execute("SELECT sensor, minute - %s, count FROM count_minute ORDER BY 1, 2", [NOON // 60])
    assert [(found[key], at, count) for key, at, count in counts] == [(0, 0, 1), (1, 0, 1), (1, 1, 6), (1, 2, 5)]


def test_a_small_batch_is_not_asked_twice(connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """What a moment brings goes in at once: to ask what of it is new would cost more than it saves."""
    tables: list[str] = []
    with copies(monkeypatch, tables), monkeypatch.context() as patched:
        patched.setattr(store, "_MANY", 1000)
        counts, seconds = some(random.Random(1), 1.0)
        add(connection, counts, seconds)
    assert not tables
    assert stored(connection) == (counts, seconds)
