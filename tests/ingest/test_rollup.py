"""Hours are the sums of their minutes, however late minutes come and whatever happens meanwhile."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from footfall_contract import SlotReport
from footfall_demo.broker import Broker
from footfall_demo.ports import free_port
from footfall_ingest import rollup
from footfall_ingest.__main__ import main
from footfall_ingest.flush import write_batch
from footfall_ingest.retry import retry
from footfall_ingest.rollup import Progress, roll_up
from footfall_testing.ingest_process import ingest, settings_for
from footfall_testing.ingest_store import NOON, message, report, stored, wrong_hours
from footfall_testing.waiting import wait_until

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 86_400, UTC)
HOUR = 3600


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


def hours(connection: Connection) -> list[tuple[Any, ...]]:
    """Every sum: sensor, hours after noon, direction (None: the seconds), class, value."""
    query = f"""
        SELECT id, extract(epoch FROM bucket)::bigint / 3600 - {NOON // HOUR}, direction, class, value FROM (
            SELECT sensor, bucket, direction, class, count AS value FROM count_hour
            UNION ALL SELECT sensor, bucket, NULL, reported_s, observed_s FROM coverage_hour
        ) AS sums JOIN sensor ON key = sensor ORDER BY 1, 2, 3 NULLS FIRST, 4
    """
    return connection.execute(query).fetchall()


def dirty(connection: Connection) -> list[tuple[str, int]]:
    """The hours that are to be summed up: sensor, hours after noon."""
    query = f"""
        SELECT id, extract(epoch FROM hour)::bigint / 3600 - {NOON // HOUR}
        FROM dirty_hour JOIN sensor ON key = sensor ORDER BY 1, 2
    """
    return connection.execute(query).fetchall()


def changed(connection: Connection) -> list[tuple[datetime]]:
    """When each hour last changed."""
    return connection.execute("SELECT changed FROM coverage_hour ORDER BY sensor, bucket").fetchall()


def test_an_hour_is_the_sum_of_its_minutes(connection: Connection) -> None:
    """Counts by direction and class, measured seconds and reported minutes; nothing is left to do afterwards."""
    write(
        connection,
        report(slot=60, observed=[60, 30, 0], cells=[(0, 0, 0, 3), (0, 1, 2, 1), (1, 0, 0, 4)]),
        report(seq=1, start=NOON + 3540, slot=60, observed=[60, 60], cells=[(0, 0, 0, 5), (1, 0, 0, 100)]),
    )
    assert dirty(connection) == [("markt-1", 0), ("markt-1", 1)]

    assert roll_up(connection, NOW) == Progress(rolled=2, changed=2)
    assert hours(connection) == [
        ("markt-1", 0, None, 240, 150),
        ("markt-1", 0, 0, 0, 12),
        ("markt-1", 0, 1, 2, 1),
        ("markt-1", 1, None, 60, 60),
        ("markt-1", 1, 0, 0, 100),
    ]
    assert dirty(connection) == []
    assert roll_up(connection, NOW) == Progress()


@pytest.mark.parametrize(("seconds", "rolled"), [(HOUR, 0), (HOUR + rollup.LAG_S - 1, 0), (HOUR + rollup.LAG_S, 1)])
def test_an_hour_that_is_not_over_waits(plain: Connection, seconds: int, rolled: int) -> None:
    """Two minutes after its end, and not before, it is summed up; until then it is dirty."""
    write(plain, report())
    now = datetime.fromtimestamp(NOON + seconds, UTC)

    assert rollup.waiting(plain, now) == rolled
    assert roll_up(plain, now).rolled == rolled
    assert dirty(plain) == [("markt-1", 0)][rolled:]


def test_late_data_changes_its_hour_alone(connection: Connection) -> None:
    """What arrives for an hour that was summed up is in it after the next time; the others' `changed` stays."""
    write(connection, report(seq=0), report(seq=1, start=NOON + HOUR))
    roll_up(connection, NOW)
    before = changed(connection)
    write(connection, report(seq=2, start=NOON + 10, cells=[(0, 0, 0, 4), (0, 1, 0, 2)]))
    assert dirty(connection) == [("markt-1", 0)]

    assert roll_up(connection, NOW) == Progress(rolled=1, changed=1)
    assert hours(connection)[:3] == [
        ("markt-1", 0, None, 60, 20),
        ("markt-1", 0, 0, 0, 5),
        ("markt-1", 0, 1, 0, 2),
    ]
    after = changed(connection)
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_an_hour_changes_only_if_a_sum_does(plain: Connection) -> None:
    """Summing up again what is the same leaves `changed`; a count that differs moves it, were the seconds the same."""
    write(plain, report(seq=0), report(seq=1, start=NOON + HOUR))
    roll_up(plain, NOW)
    before = changed(plain)
    plain.execute("INSERT INTO dirty_hour SELECT sensor, bucket FROM coverage_hour")

    assert roll_up(plain, NOW) == Progress(rolled=2, changed=0)
    assert changed(plain) == before

    plain.execute("INSERT INTO dirty_hour SELECT sensor, bucket FROM coverage_hour")
    plain.execute("UPDATE count_minute SET count = 9 WHERE minute < minute_of(to_timestamp(%s))", [NOON + HOUR])
    assert roll_up(plain, NOW) == Progress(rolled=2, changed=1)
    assert changed(plain)[0] > before[0]
    assert changed(plain)[1:] == before[1:]


def test_what_is_no_longer_there_goes(connection: Connection) -> None:
    """Minutes that a person took away are no longer in the sums; an hour without any has no rows."""
    write(connection, report(seq=0, cells=[(0, 0, 0, 1), (0, 1, 0, 2)]), report(seq=1, start=NOON + HOUR))
    roll_up(connection, NOW)
    connection.execute("INSERT INTO dirty_hour SELECT sensor, bucket FROM coverage_hour")
    connection.execute("DELETE FROM count_minute WHERE direction = 1")
    for table in ("count_minute", "coverage_minute"):
        connection.execute(f"DELETE FROM {table} WHERE minute >= minute_of(to_timestamp(%s))", [NOON + HOUR])

    assert roll_up(connection, NOW) == Progress(rolled=2, changed=2)
    assert hours(connection) == [("markt-1", 0, None, 60, 10), ("markt-1", 0, 0, 0, 1)]


def test_counts_without_seconds_are_summed_up_too(plain: Connection) -> None:
    """No report brings a passage without saying how much of its minute was measured; were it so, it would count."""
    write(plain, report())
    plain.execute("DELETE FROM coverage_minute")

    roll_up(plain, NOW)

    assert hours(plain) == [("markt-1", 0, 0, 0, 1)]
    assert wrong_hours(plain) == []


def test_it_goes_on_where_it_stopped(plain: Connection) -> None:
    """A call does as much as it is told to; with what it returned the next one does the rest, sensor by sensor."""
    names = ("a-1", "b-1", "c-1")
    write(plain, *(report(name, seq, start=NOON + seq * HOUR) for name in names for seq in range(3)))

    first = roll_up(plain, NOW, limit=4)
    assert (first.rolled, dirty(plain)) == (4, [("b-1", 1), ("b-1", 2), ("c-1", 0), ("c-1", 1), ("c-1", 2)])
    assert first.next is not None
    second = roll_up(plain, NOW, limit=4, after=first.next)
    assert second.next is not None
    assert roll_up(plain, NOW, limit=4, after=second.next) == Progress(rolled=1, changed=1)
    assert dirty(plain) == []
    assert wrong_hours(plain) == []


def test_a_backlog_over_years_is_summed_up(connection: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hours far apart and of many sensors, more than fit into a transaction; batches end at weeks."""
    monkeypatch.setattr(rollup, "_BATCH", 7)
    names = [f"s-{number}" for number in range(5)]
    starts = [NOON - 400 * 86_400, *(NOON - 7 * 86_400 + step * HOUR for step in range(12)), NOON - HOUR]
    write(connection, *(report(name, at, start=start) for name in names for at, start in enumerate(starts)))

    assert roll_up(connection, NOW) == Progress(rolled=70, changed=70)
    assert wrong_hours(connection) == []
    assert len(changed(connection)) == 70


def test_a_retry_makes_its_hour_dirty(plain: Connection) -> None:
    """What comes back from quarantine long afterwards is in the hour's sum as well."""
    write(plain, report(seq=0))
    write_batch(plain, [message(report(seq=1, start=NOON + 10), "b")], now=NOW)
    roll_up(plain, NOW)
    plain.execute("INSERT INTO sensor_node SELECT key, 'b', to_timestamp(%s) FROM sensor", [NOON + 10])

    retry(plain, plain.execute("SELECT id FROM quarantine").fetchall()[0][0])

    assert dirty(plain) == [("markt-1", 0)]
    roll_up(plain, NOW)
    assert hours(plain)[-1] == ("markt-1", 0, 0, 0, 2)


# Any sequence of flushes and roll-ups


@contextmanager
def empty(dsn: str) -> Iterator[Connection]:
    """A connection to a store that is empty, and is empty again afterwards."""
    with psycopg.connect(dsn) as connection, connection.transaction(force_rollback=True):
        yield connection


@st.composite
def lives(draw: st.DrawFn) -> list[list[SlotReport] | int]:
    """What happens to a store: batches of reports, in any order of their times, and roll-ups at an hour after noon."""
    slots = [(sensor, minute) for sensor in ("a-1", "b-1") for minute in range(0, 400, 25)]
    arrivals = draw(st.permutations(slots))
    reports = [
        report(
            sensor,
            number,
            start=NOON + 60 * minute,
            slot=60,
            observed=draw(st.lists(st.integers(0, 60), min_size=25, max_size=25)) if draw(st.booleans()) else [60],
            cells=[(0, draw(st.integers(0, 2)), 0, draw(st.integers(1, 5)))] if draw(st.booleans()) else [],
        )
        for number, (sensor, minute) in enumerate(arrivals)
    ]
    steps: list[list[SlotReport] | int] = []
    while reports:
        size = draw(st.integers(1, 8))
        steps.append(reports[:size])
        reports = reports[size:]
        steps += draw(st.lists(st.integers(0, 9), max_size=2))
    return steps


@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(life=lives(), limit=st.sampled_from([1, 3, 100]))
def test_after_anything_each_hour_is_dirty_or_exact(
    any_database: str, life: Sequence[list[SlotReport] | int], limit: int
) -> None:
    """After each step an hour with minutes is dirty or the sum of its minutes; in the end all of them are sums."""
    with empty(any_database) as connection:
        for step in life:
            if isinstance(step, int):
                roll_up(connection, datetime.fromtimestamp(NOON + step * HOUR + 300, UTC), limit=limit)
            else:
                write(connection, *step)
            assert wrong_hours(connection) == []
        roll_up(connection, NOW)

        assert dirty(connection) == []
        assert wrong_hours(connection) == []
        assert sum(row[4] for row in hours(connection) if row[2] is not None) == sum(stored(connection).counts.values())


# At the same time


def waits_for_a_lock(connection: Connection, backend: int) -> bool:
    """Whether the session `backend` waits."""
    return bool(connection.execute("SELECT cardinality(pg_blocking_pids(%s))", [backend]).fetchall()[0][0])


def test_a_flush_that_is_under_way_is_waited_for(any_database: str) -> None:
    """Its minutes are written and not committed: the roll-up waits for them, and they are in the sum."""
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(any_database, autocommit=True) as writer,
        psycopg.connect(any_database, autocommit=True) as summer,
        psycopg.connect(any_database, autocommit=True) as watcher,
    ):
        write(watcher, report(seq=0))
        backend = summer.info.backend_pid
        with writer.transaction():
            write(writer, report(seq=1, start=NOON + 10, cells=[(0, 0, 0, 5)]))
            running = pool.submit(lambda: roll_up(summer, NOW))
            wait_until(lambda: waits_for_a_lock(watcher, backend) or running.done(), what="the roll-up")
        running.result(30)

        assert dirty(watcher) == []
        assert hours(watcher) == [("markt-1", 0, None, 60, 20), ("markt-1", 0, 0, 0, 6)]


def test_a_flush_that_begins_meanwhile_makes_the_hour_dirty_again(any_database: str) -> None:
    """The roll-up has read the minutes and not committed: the flush waits, and its hour is dirty afterwards."""
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(any_database, autocommit=True) as writer,
        psycopg.connect(any_database, autocommit=True) as summer,
        psycopg.connect(any_database, autocommit=True) as watcher,
    ):
        write(watcher, report(seq=0))
        backend = writer.info.backend_pid
        with summer.transaction():
            assert roll_up(summer, NOW).rolled == 1
            running = pool.submit(lambda: write(writer, report(seq=1, start=NOON + 10)))
            wait_until(lambda: waits_for_a_lock(watcher, backend) or running.done(), what="the flush")
        running.result(30)

        assert dirty(watcher) == [("markt-1", 0)]
        assert roll_up(summer, NOW).rolled == 1
        assert hours(watcher)[-1] == ("markt-1", 0, 0, 0, 2)


def test_one_sums_up_at_a_time(database: str) -> None:
    """Who finds another at it leaves it to him; who was told to wait takes his turn."""
    with (
        ThreadPoolExecutor(1) as pool,
        psycopg.connect(database, autocommit=True) as one,
        psycopg.connect(database, autocommit=True) as other,
        psycopg.connect(database, autocommit=True) as watcher,
    ):
        write(watcher, report(seq=0), report("holz-1", seq=0))
        with one.transaction():
            assert roll_up(one, NOW, limit=1).rolled == 1
            assert roll_up(other, NOW) == Progress(elsewhere=True)
            backend = other.info.backend_pid
            running = pool.submit(lambda: roll_up(other, NOW, wait=True))
            wait_until(lambda: waits_for_a_lock(watcher, backend) or running.done(), what="the other")
        running.result(30)

        assert dirty(watcher) == []
        assert wrong_hours(watcher) == []


_STATEMENTS = ("_LOCK_SENSORS", "_TAKE", "_COUNTS", "_PUT_COUNTS", "_COVERAGE", "_PUT_COVERAGE")


@pytest.mark.parametrize("statement", _STATEMENTS)
def test_killed_at_any_statement_nothing_is_lost(
    database: str, statement: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection dies after a statement: the hour is as dirty as before, and the next roll-up is exact."""
    with psycopg.connect(database, autocommit=True) as connection:
        write(connection, report(seq=0), report(seq=1, start=NOON + HOUR))
        roll_up(connection, NOW)
        write(connection, report(seq=2, start=NOON + 10))

        class Mortal(psycopg.Connection[Any]):
            def execute(self, query: Any, *words: Any, **options: Any) -> Any:
                done = super().execute(query, *words, **options)
                if query is getattr(rollup, statement):
                    connection.execute("SELECT pg_terminate_backend(%s)", [self.info.backend_pid])
                return done

        with pytest.raises(psycopg.OperationalError), Mortal.connect(database, autocommit=True) as mortal:
            roll_up(mortal, NOW)
        assert dirty(connection) == [("markt-1", 0)]
        assert wrong_hours(connection) == []

        assert roll_up(connection, NOW) == Progress(rolled=1, changed=1)
        assert wrong_hours(connection) == []


# The process and the command


def metrics_at(port: int) -> str:
    """What Prometheus is told."""
    return httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text


def test_the_process_sums_up_by_itself(mosquitto: Broker, database: str, unique: str) -> None:
    """While it receives, hours that are over are summed up, also when the database was away; Prometheus is told."""
    port = free_port()
    with psycopg.connect(database, autocommit=True) as connection:
        write(connection, report(seq=0), report(seq=1, start=NOON + HOUR))
        options: dict[str, Any] = {"store": {"rollup_every_s": 0.05}, "metrics": {"port": port}}
        with ingest(settings_for(mosquitto, database, unique, **options)):
            wait_until(lambda: not dirty(connection), what="the hours to be summed up")
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'"
            )
            write(connection, report(seq=2, start=NOON + 10))
            wait_until(lambda: not dirty(connection), what="the late hour to be summed up")
            told = (
                "footfall_ingest_hourly_sums_total 3.0",
                "footfall_ingest_hourly_sums_waiting 0.0",
                "footfall_ingest_last_rollup_timestamp_seconds 1.",
            )
            # What is waiting is looked up, and told, after what was summed up.
            wait_until(lambda: all(map(metrics_at(port).__contains__, told)), what="the metrics")

        assert wrong_hours(connection) == []


def test_trouble_does_not_stop_the_process(
    mosquitto: Broker, database: str, unique: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A roll-up that fails is logged and counted and tried again, and succeeds once the trouble is gone."""
    port = free_port()
    with psycopg.connect(database, autocommit=True) as connection:
        write(connection, report())
        connection.execute("ALTER TABLE count_hour RENAME TO elsewhere")
        options: dict[str, Any] = {"store": {"rollup_every_s": 0.05}, "metrics": {"port": port}}
        with ingest(settings_for(mosquitto, database, unique, **options)) as running:
            wait_until(lambda: "the upkeep of the store failed" in caplog.text, what="the first failure")
            connection.execute("ALTER TABLE elsewhere RENAME TO count_hour")
            wait_until(lambda: not dirty(connection), what="the hour to be summed up")
            assert running.is_alive()
            metrics = metrics_at(port)

        assert "footfall_ingest_rollup_errors_total 0.0" not in metrics
        assert wrong_hours(connection) == []


def test_the_command_does_all_that_is_waiting(
    database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It says how many hours it summed up, and what is left because it is not over."""
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", database)
    monkeypatch.setattr(rollup, "PAGE", 2)
    now = int(datetime.now(UTC).timestamp())
    with psycopg.connect(database, autocommit=True) as connection:
        write(connection, *(report(seq=seq, start=NOON + seq * HOUR) for seq in range(5)))
        write_batch(connection, [message(report(seq=9, start=now // 10 * 10))], now=datetime.now(UTC))

        assert main(["rollup"]) == 0
        assert main(["rollup"]) == 0

        said = capsys.readouterr()
        assert said.out.splitlines() == [
            "5 hours of sensors were summed up, the sums of 5 are new or different",
            "1 hours of sensors are not over yet, or were reported meanwhile",
            "nothing was waiting: every hour that is over is summed up",
            "1 hours of sensors are not over yet, or were reported meanwhile",
        ]
        assert said.err == ""
        assert wrong_hours(connection) == []
