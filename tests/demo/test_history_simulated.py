"""A simulated past: right up to the first live minute, once, and longer on demand."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import pytest

from footfall_demo.city import COUNTERS
from footfall_demo.history_import import CancelledError
from footfall_demo.history_simulated import simulate_history
from footfall_sim.pedestrians import Pedestrians

LIVE_SINCE = datetime(2026, 3, 1, 12, 34, tzinfo=UTC)
SEED = 5


@pytest.fixture
def connection(database: str) -> Iterator[psycopg.Connection]:
    """A connection to a database without any count."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def people() -> dict[str, Pedestrians]:
    """The people at two of the counters."""
    return {counter.sensor: counter.people(SEED) for counter in COUNTERS[:2]}


def simulate(connection: psycopg.Connection, people: dict[str, Pedestrians], days: int) -> int:
    """Write `days` days."""
    since = int(LIVE_SINCE.timestamp())
    return simulate_history(connection, people, seed=SEED, live_since=since, days=days)


def minutes(connection: psycopg.Connection, sensor: str) -> tuple[int, datetime, datetime]:
    """How many minutes of `sensor` are covered, the first and the last of them."""
    [found] = connection.execute(
        "SELECT count(*), min(minute_start(minute)), max(minute_start(minute)) "
        "FROM coverage_minute JOIN sensor ON key = sensor WHERE id = %s",
        [sensor],
    ).fetchall()
    return found


def test_it_ends_where_live_counting_begins(connection: psycopg.Connection, people: dict[str, Pedestrians]) -> None:
    """Every minute of the days before the first live one is covered, none of the live ones; sums are as drawn."""
    assert simulate(connection, people, 2) == 4

    first, last = LIVE_SINCE - timedelta(days=2), LIVE_SINCE - timedelta(minutes=1)
    for sensor, walkers in people.items():
        assert minutes(connection, sensor) == (2880, first, last)
        drawn = walkers.minutes(first, LIVE_SINCE, outages=True)
        stored = connection.execute(
            """
            SELECT direction, sum(count)::int FROM count_minute JOIN sensor ON key = sensor WHERE id = %s
            GROUP BY direction ORDER BY direction
            """,
            [sensor],
        ).fetchall()
        assert stored == [(direction, int(np.sum(drawn.count[:, direction]))) for direction in (0, 1)]
        assert sum(count for _, count in stored) > 5000
    assert connection.execute("SELECT count(*) FROM quarantine").fetchone() == (0,)


def test_a_second_time_nothing_is_written(connection: psycopg.Connection, people: dict[str, Pedestrians]) -> None:
    """What is there is not drawn again; more days make the past longer at its far end and leave the rest as it was."""
    simulate(connection, people, 2)
    before = connection.execute("SELECT * FROM count_minute ORDER BY 1, 2, 3, 4").fetchall()

    assert simulate(connection, people, 2) == 0
    assert simulate(connection, people, 3) == 2
    day_before = LIVE_SINCE - timedelta(days=2)
    after = connection.execute(
        "SELECT * FROM count_minute WHERE minute >= minute_of(%s) ORDER BY 1, 2, 3, 4", [day_before]
    ).fetchall()
    assert after == before
    assert minutes(connection, next(iter(people)))[:2] == (4320, LIVE_SINCE - timedelta(days=3))


def test_a_cut_short_past_is_completed(connection: psycopg.Connection, people: dict[str, Pedestrians]) -> None:
    """When it is stopped after a day, whole days are there, and the next time only the rest is written."""
    since = int(LIVE_SINCE.timestamp())
    with pytest.raises(CancelledError):
        simulate_history(connection, people, seed=SEED, live_since=since, days=3, cancelled=lambda: True)
    assert minutes(connection, next(iter(people)))[0] == 1440

    assert simulate(connection, people, 3) == 4
