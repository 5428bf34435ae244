"""Old minutes may be removed: their hours stay exact, whatever comes later, and nothing goes that was not summed up."""

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport
from footfall_demo.broker import Broker
from footfall_ingest.flush import write_batch
from footfall_ingest.retention import Removed, remove
from footfall_ingest.rollup import roll_up
from footfall_ingest.settings import IngestSettings
from footfall_testing.ingest_process import ingest, settings_for
from footfall_testing.ingest_store import message, report, stored
from footfall_testing.waiting import wait_until

Connection = psycopg.Connection[Any]

HOUR, DAY = 3600, 86_400
OLD = int(datetime(2020, 3, 5, 12, tzinfo=UTC).timestamp())
"""Twelve hours after a chunk of TimescaleDB begins, and more than 60 days ago whenever this runs."""
NOW = datetime.fromtimestamp(OLD + 90 * DAY, UTC)
"""Minutes are kept for 60 days: those of the first 30 go."""


@pytest.fixture
def connection(any_database: str) -> Iterator[Connection]:
    """A connection to a database with today's schema, on plain PostgreSQL and on TimescaleDB."""
    with psycopg.connect(any_database, autocommit=True) as connection:
        yield connection


@pytest.fixture
def plain(database: str) -> Iterator[Connection]:
    """The same on plain PostgreSQL alone, for what is the same on both."""
    with psycopg.connect(database, autocommit=True) as connection:
        yield connection


def write(connection: Connection, *reports: SlotReport) -> None:
    """Store reports of one batch."""
    outcome = write_batch(connection, [message(one) for one in reports], now=NOW)
    assert outcome.stored == len(reports)


def minute(at: int, seq: int, count: int = 1, sensor: str = "markt-1", observed: int = 60) -> SlotReport:
    """A report of a whole minute, `at` seconds after `OLD`."""
    cells = [(0, 0, 0, count)] if count else []
    return report(sensor, seq, start=OLD + at, slot=60, observed=[observed], cells=cells)


def remove_all(connection: Connection, keep_days: int = 60, now: datetime = NOW) -> Removed:
    """Remove until there is no more to do; what the last step said."""
    while (removed := remove(connection, now, keep_days)).moved:
        pass
    return removed


def hours(connection: Connection) -> dict[tuple[str, int], tuple[int, int]]:
    """Passages and measured seconds by sensor and seconds after `OLD`."""
    query = f"""
        SELECT id, extract(epoch FROM bucket)::bigint - {OLD}, coalesce(sum(count), 0)::bigint,
            coalesce(observed_s, 0)
        FROM coverage_hour FULL JOIN count_hour USING (sensor, bucket) JOIN sensor ON key = sensor
        GROUP BY id, bucket, observed_s
    """
    return {(sensor, at): (count, seconds) for sensor, at, count, seconds in connection.execute(query)}


def minutes(connection: Connection) -> list[int]:
    """The minutes that are kept, in seconds after `OLD`."""
    return sorted(at - OLD for _, at in stored(connection).coverage)


def minutes_from(connection: Connection) -> Any:
    """Where the minutes begin, in seconds after `OLD`."""
    query = f"SELECT (extract(epoch FROM minutes_from) - {OLD})::float8 FROM store"
    return connection.execute(query).fetchall()[0][0]


def test_minutes_go_and_their_hours_stay(connection: Connection) -> None:
    """What is 60 days old goes (on TimescaleDB: the chunks that are), what is younger stays, and all sums do."""
    write(connection, *(minute(day * DAY, seq=day, count=day + 1) for day in range(0, 60, 5)))
    write(connection, *(minute(day * DAY, day, 3, "holz-1") for day in range(0, 60, 5)))
    roll_up(connection, NOW)
    before = hours(connection)
    chunked = connection.execute("SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'").fetchall() == [(1,)]

    removed = remove_all(connection)

    boundary, oldest = (14 * DAY - 12 * HOUR, 15) if chunked else (30 * DAY, 30)
    assert minutes_from(connection) == boundary
    assert removed == Removed(datetime.fromtimestamp(OLD + boundary, UTC), moved=False)
    assert minutes(connection) == sorted([day * DAY for day in range(oldest, 60, 5)] * 2)
    assert min(at - OLD for _, at, _, _ in stored(connection).counts) == oldest * DAY
    assert hours(connection) == before


def test_the_boundary_never_moves_back(plain: Connection) -> None:
    """Keeping minutes for longer from now on brings none back, and the store remembers where they begin."""
    write(plain, minute(0, 0))
    roll_up(plain, NOW)
    remove_all(plain)

    assert remove(plain, NOW, 80).moved is False
    assert minutes_from(plain) == 30 * DAY


def test_nothing_goes_that_is_not_summed_up(connection: Connection) -> None:
    """One dirty hour before the boundary, and nothing is removed; how many there are is said. Then it works."""
    write(connection, minute(0, 0), minute(DAY, 1), minute(40 * DAY, 2))
    roll_up(connection, NOW)
    write(connection, minute(60, 3))

    assert remove(connection, NOW, 60) == Removed(None, moved=False, dirty=1)
    assert len(minutes(connection)) == 4

    roll_up(connection, NOW)
    assert remove_all(connection).dirty == 0
    assert minutes(connection) == [40 * DAY]
    assert hours(connection)["markt-1", 0] == (2, 120)


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("now() - interval '59 days'", "kept for 60 days at least|before a whole UTC hour"),
        ("date_trunc('hour', now() - interval '59 days', 'UTC')", "kept for 60 days at least"),
        ("'2020-03-05 12:30Z'", "before a whole UTC hour"),
        ("'-infinity'", "before a whole UTC hour"),
        ("NULL", "before a whole UTC hour"),
    ],
)
def test_the_database_refuses_what_is_too_young(plain: Connection, wanted: str, said: str) -> None:
    """Whoever calls it: not within 60 days, only whole hours."""
    with pytest.raises(psycopg.errors.RaiseException, match=said):
        plain.execute(f"SELECT remove_minutes({wanted})")


def test_a_late_minute_adds_to_its_hour(connection: Connection) -> None:
    """However often, and be it as much as the hour had before; the minute itself does not stay."""
    write(connection, minute(0, 0, count=4), minute(40 * DAY, 1))
    roll_up(connection, NOW)
    remove_all(connection)
    changed = "SELECT changed FROM coverage_hour ORDER BY bucket LIMIT 1"
    before = connection.execute(changed).fetchall()

    write(connection, minute(120, 2, count=4))
    write(connection, minute(HOUR, 3, count=9))
    assert len(minutes(connection)) == 3
    roll_up(connection, NOW)
    write(connection, minute(180, 4, count=0, observed=30))
    roll_up(connection, NOW)

    assert hours(connection) == {
        ("markt-1", 0): (8, 150),
        ("markt-1", HOUR): (9, 60),
        ("markt-1", 40 * DAY): (1, 60),
    }
    assert minutes(connection) == [40 * DAY]
    assert connection.execute(changed).fetchall() > before
    assert connection.execute("SELECT count(*) FROM dirty_hour").fetchall() == [(0,)]


def test_a_late_minute_does_not_make_an_hour_longer(plain: Connection) -> None:
    """Whether its seconds were measured before cannot be seen any more: an hour has 3600, and its counts add up."""
    write(plain, report(start=OLD, slot=60, observed=[60] * 60, cells=[(0, 0, 0, 1)]))
    roll_up(plain, NOW)
    remove_all(plain)

    write(plain, minute(0, 1, count=2))
    roll_up(plain, NOW)

    assert hours(plain) == {("markt-1", 0): (3, 3600)}


def install(connection: Connection, *places: tuple[str, int, int | None]) -> None:
    """Hang markt-1 up: station, from, to, in seconds after `OLD`."""
    for station, since, until in places:
        connection.execute(
            "INSERT INTO station VALUES (%s, %s, 'Europe/Berlin', 11.5, 50.9) ON CONFLICT DO NOTHING", [station] * 2
        )
        connection.execute(
            "INSERT INTO installation SELECT key, %s, to_timestamp(%s), to_timestamp(%s), 'part' FROM sensor "
            "WHERE id = 'markt-1'",
            [station, OLD + since, None if until is None else OLD + until],
        )


def test_an_hour_in_which_a_sensor_moved_is_divided(connection: Connection) -> None:
    """On either side there is a span with what its minutes said, and no sum: nobody counts it for the wrong place."""
    for at, count in ((0, 1), (1140, 2), (1200, 4), (3540, 8)):
        write(connection, minute(at, at, count))
    write(connection, minute(HOUR, HOUR, 16), minute(0, 0, 5, "holz-1"))
    install(connection, ("markt", 0, 1200), ("holzmarkt", 1200, None))
    roll_up(connection, NOW)

    remove_all(connection)

    found = stored(connection)
    assert found.spans == {("markt-1", OLD, OLD + 1200, 0, 0): 3, ("markt-1", OLD + 1200, OLD + HOUR, 0, 0): 12}
    assert found.span_coverage == {("markt-1", OLD, OLD + 1200): 120, ("markt-1", OLD + 1200, OLD + HOUR): 120}
    assert hours(connection) == {("markt-1", HOUR): (16, 60), ("holz-1", 0): (5, 60)}

    write(connection, minute(600, 600, 32), minute(HOUR + 60, HOUR + 60, 64))
    roll_up(connection, NOW)

    assert stored(connection).spans["markt-1", OLD, OLD + 1200, 0, 0] == 35
    assert stored(connection).span_coverage["markt-1", OLD, OLD + 1200] == 180
    assert hours(connection) == {("markt-1", HOUR): (80, 120), ("holz-1", 0): (5, 60)}
    assert minutes(connection) == []


@pytest.mark.parametrize("of", ["sensor", "station", "area"])
def test_an_hour_that_is_partly_excluded_is_divided(plain: Connection, of: str) -> None:
    """By a remark on the sensor, on its station, or on an area around it; one that excludes nothing divides nothing."""
    write(plain, minute(0, 0, 1), minute(1200, 1, 2), minute(2400, 2, 4), minute(0, 0, 8, "holz-1"))
    install(plain, ("markt", 0, None))
    plain.execute("INSERT INTO area VALUES ('mitte', 'Mitte', 'Quartier', '{}')")
    plain.execute("INSERT INTO station_area VALUES ('markt', 'mitte')")
    value = {"sensor": "(SELECT key FROM sensor WHERE id = 'markt-1')", "station": "'markt'", "area": "'mitte'"}[of]
    for starts, ends, excludes in ((1200, 2400, True), (600, 660, False)):
        plain.execute(
            f"INSERT INTO remark ({of}, starts, ends, kind, text, excludes) "
            f"VALUES ({value}, to_timestamp(%s), to_timestamp(%s), 'works', '…', %s)",
            [OLD + starts, OLD + ends, excludes],
        )
    roll_up(plain, NOW)

    remove_all(plain)

    assert stored(plain).spans == {
        ("markt-1", OLD, OLD + 1200, 0, 0): 1,
        ("markt-1", OLD + 1200, OLD + 2400, 0, 0): 2,
        ("markt-1", OLD + 2400, OLD + HOUR, 0, 0): 4,
    }
    assert hours(plain) == {("holz-1", 0): (8, 60)}


def test_who_writes_is_not_waited_for_long(database: str) -> None:
    """A transaction that holds a sensor for longer than two seconds goes first; the removal is tried again."""
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(database, autocommit=True) as writer,
        psycopg.connect(database, autocommit=True) as remover,
    ):
        write(writer, minute(0, 0))
        roll_up(writer, NOW)
        with writer.transaction():
            write(writer, minute(40 * DAY, 1))
            running = pool.submit(remove, remover, NOW, 60)
            assert running.result(30) == Removed(None, moved=False, busy=True)
        assert remove(remover, NOW, 60).moved


def test_few_sensors_go_far_at_once_and_many_do_not(plain: Connection) -> None:
    """One step removes the hours of about 2000 sensors, from the first minute there is, and says that there is more."""
    names = [f"s-{number}" for number in range(200)]
    write(plain, *(minute(at, at, 1, name) for name in names for at in (0, 9 * HOUR, 10 * HOUR)))
    roll_up(plain, NOW)

    assert remove(plain, NOW, 60).moved
    assert minutes_from(plain) == 10 * HOUR
    assert set(minutes(plain)) == {10 * HOUR}
    assert remove(plain, NOW, 60).moved
    assert remove(plain, NOW, 60).moved
    assert minutes_from(plain) == 30 * DAY
    assert not remove(plain, NOW, 60).moved


# Any sequence


@contextmanager
def empty(dsn: str) -> Iterator[Connection]:
    """A connection to a store that is empty, and is empty again afterwards."""
    with psycopg.connect(dsn) as connection, connection.transaction(force_rollback=True):
        yield connection


_ANSWER = f"""
    WITH part AS (
        SELECT sensor, minute_start(minute / 60 * 60) AS hour, count, 0 AS seconds FROM count_minute
        UNION ALL SELECT sensor, minute_start(minute / 60 * 60), 0, observed_s FROM coverage_minute
    ), told AS (
        SELECT sensor, hour, count, seconds FROM part JOIN dirty_hour USING (sensor, hour)
        UNION ALL
        SELECT sensor, bucket, count, 0 FROM count_hour
        WHERE bucket < (SELECT minutes_from FROM store) OR (sensor, bucket) NOT IN (SELECT * FROM dirty_hour)
        UNION ALL
        SELECT sensor, bucket, 0, observed_s FROM coverage_hour
        WHERE bucket < (SELECT minutes_from FROM store) OR (sensor, bucket) NOT IN (SELECT * FROM dirty_hour)
        UNION ALL SELECT sensor, date_trunc('hour', starts, 'UTC'), count, 0 FROM count_span
        UNION ALL SELECT sensor, date_trunc('hour', starts, 'UTC'), 0, observed_s FROM coverage_span
    )
    SELECT id, (extract(epoch FROM hour) - {OLD})::int, sum(count)::int, sum(seconds)::int
    FROM told JOIN sensor ON key = sensor GROUP BY id, hour
"""
"""What a reader finds of each hour, by the rules."""


@settings(
    max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    order=st.permutations(
        [(name, day, at) for name in ("a-1", "b-1") for day in (0, 8, 20) for at in range(0, 7000, 1000)]
    ),
    steps=st.lists(st.sampled_from([40, 70, 75, 85, 90, None]), min_size=4, max_size=8),
    moved_at=st.sampled_from([1200, 3600, 1800 + 8 * DAY]),
)
def test_no_hour_ever_loses_or_gains(
    database: str, order: list[tuple[str, int, int]], steps: list[int | None], moved_at: int
) -> None:
    """Flushes, roll-ups and removals in any order: of each hour a reader always finds what was reported until then."""
    reported: Counter[tuple[str, int]] = Counter()
    with empty(database) as connection:
        connection.execute("INSERT INTO sensor (id) VALUES ('markt-1'), ('a-1')")
        install(connection, ("markt", 0, moved_at), ("holzmarkt", moved_at, None))
        connection.execute("UPDATE installation SET sensor = (SELECT key FROM sensor WHERE id = 'a-1')")
        share = len(order) // len(steps) + 1
        for number, day in enumerate(steps):
            part = order[number * share : (number + 1) * share]
            if part:
                first = number * share
                sent = [
                    minute(d * DAY + at, seq, at % 7 + 1, name) for seq, (name, d, at) in enumerate(part, start=first)
                ]
                write(connection, *sent)
            for name, d, at in part:
                reported[name, d * DAY + at // HOUR * HOUR] += at % 7 + 1
            if day is not None:
                roll_up(connection, NOW)
                remove_all(connection, now=datetime.fromtimestamp(OLD + day * DAY, UTC))
            rows = connection.execute(_ANSWER).fetchall()
            assert {(name, at): count for name, at, count, _ in rows} == dict(reported)


# The process


def test_the_process_removes_by_itself(mosquitto: Broker, database: str, unique: str) -> None:
    """It sums up first; what `keep_minutes_days` does not cover goes; without it everything stays."""
    with psycopg.connect(database, autocommit=True) as connection:
        write(connection, minute(0, 0, 5))
        options: dict[str, Any] = {"store": {"rollup_every_s": 0.05}}
        with ingest(settings_for(mosquitto, database, unique, **options)):
            wait_until(lambda: hours(connection), what="the hour")
        assert minutes(connection) == [0]

        options["store"]["keep_minutes_days"] = 60
        write(connection, minute(60, 1, 6))
        with ingest(settings_for(mosquitto, database, unique, **options)):
            wait_until(lambda: not minutes(connection), what="the minutes to go")
            wait_until(lambda: abs(beyond(connection)) < timedelta(hours=2), what="all the time to go")

        assert hours(connection) == {("markt-1", 0): (11, 120)}


def beyond(connection: psycopg.Connection[Any]) -> timedelta:
    """By how much less than 60 days minutes are kept."""
    return timedelta(days=60) - (datetime.now(UTC) - datetime.fromtimestamp(OLD + minutes_from(connection), UTC))


@pytest.mark.parametrize("days", [-1, 1, 59])
def test_minutes_are_kept_for_ever_or_for_two_months(days: int) -> None:
    """Less than 60 days are refused with a sentence."""
    with pytest.raises(ValueError, match=r"store.keep_minutes_days"):
        IngestSettings(store={"keep_minutes_days": days})
