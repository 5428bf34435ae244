"""What TimescaleDB makes of the store: hypertables with columns, whenever the extension comes, with equal results."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from footfall_ingest import timescale
from footfall_ingest.__main__ import main
from footfall_ingest.flush import write_batch
from footfall_ingest.migrate import migrate
from footfall_ingest.rollup import Progress, roll_up
from footfall_ingest.settings import StoreSettings
from footfall_testing.ingest_store import NOON, message, report, stored, wrong_hours

Connection = psycopg.Connection[Any]

NOW = datetime.fromtimestamp(NOON + 40 * 86_400, UTC)
DAY = 86_400

TABLES = ["count_hour", "count_minute", "coverage_hour", "coverage_minute"]

_POLICIES = """
    SELECT hypertable_name, config->>'compress_after', schedule_interval = interval '1 day'
    FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression' ORDER BY 1
"""


def policies(days: int) -> list[tuple[str, str, bool]]:
    """What `_POLICIES` is to find: the minutes' are told in minutes."""
    return [(table, str(days * 1440) if "minute" in table else f"{days} days", True) for table in TABLES]


_SEGMENTS = """
    SELECT hypertable::text, segmentby, orderby FROM timescaledb_information.hypertable_columnstore_settings ORDER BY 1
"""
_HYPERTABLES = "SELECT hypertable_name FROM timescaledb_information.hypertables ORDER BY 1"


def ask(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def write(connection: Connection, *reports: Any) -> Any:
    """Store reports of one batch."""
    return write_batch(connection, [message(one) for one in reports], now=NOW)


def weeks(number: int, sensor: str = "markt-1") -> list[Any]:
    """A report a day for some weeks, of three minutes each in both directions."""
    return [
        report(sensor, day, start=NOON + day * DAY, slot=60, observed=[60, 60, 60], cells=[(0, 0, 0, 2), (1, 1, 0, 3)])
        for day in range(7 * number)
    ]


def run_policies(connection: Connection) -> None:
    """What TimescaleDB does at night."""
    query = "SELECT job_id FROM timescaledb_information.jobs WHERE proc_name = 'policy_compression'"
    for (job,) in connection.execute(query).fetchall():
        connection.execute("CALL run_job(%s)", [job])


def uncompressed_minutes(connection: Connection) -> list[tuple[Any, ...]]:
    """Chunks of the minutes' tables that are stored by row."""
    query = """
        SELECT hypertable_name, range_start_integer FROM timescaledb_information.chunks
        WHERE hypertable_name IN ('count_minute', 'coverage_minute') AND NOT is_compressed ORDER BY 1, 2
    """
    return connection.execute(query).fetchall()


def compress(connection: Connection) -> int:
    """Compress every chunk there is; how many are compressed now."""
    for table in TABLES:
        connection.execute(
            "SELECT compress_chunk(chunk, if_not_compressed => true) FROM show_chunks(%s::regclass) AS chunk", [table]
        )
    query = "SELECT count(*) FROM timescaledb_information.chunks WHERE is_compressed"
    number: int = connection.execute(query).fetchall()[0][0]
    return number


@pytest.fixture
def compressed(blank_timescale_database: str) -> Iterator[Connection]:
    """A store on TimescaleDB with four weeks of two sensors, summed up and compressed."""
    migrate(blank_timescale_database)
    with psycopg.connect(blank_timescale_database, autocommit=True) as connection:
        write(connection, *weeks(4), *weeks(4, "holz-1"))
        roll_up(connection, NOW)
        assert compress(connection) >= 4
        yield connection


def test_all_is_arranged_and_migrating_again_finds_nothing_to_do(blank_timescale_database: str) -> None:
    """Chunks, columns and the nightly policy for minutes and hours; the second time nothing is said."""
    first = migrate(blank_timescale_database)
    second = migrate(blank_timescale_database)

    assert [line for line in first if "compressed" in line] == [
        "count_minute, coverage_minute, count_hour and coverage_hour are compressed 21 days after the end of a chunk"
    ]
    assert second == []
    assert ask(blank_timescale_database, _HYPERTABLES) == [(table,) for table in TABLES]
    assert ask(blank_timescale_database, _POLICIES) == policies(21)
    assert ask(blank_timescale_database, _SEGMENTS) == [
        ("count_hour", "sensor,direction,class", "bucket"),
        ("count_minute", "sensor,direction,class", "minute"),
        ("coverage_hour", "sensor", "bucket"),
        ("coverage_minute", "sensor", "minute"),
    ]


def test_the_nightly_policy_compresses_what_is_old_and_nothing_else(blank_timescale_database: str) -> None:
    """Minutes whose chunk ended more than the days set ago are stored by column, those of today by row."""
    migrate(blank_timescale_database)
    with psycopg.connect(blank_timescale_database, autocommit=True) as connection:
        write(connection, *weeks(4))
        today = datetime.now(UTC)
        minute = int(today.timestamp()) // 60 * 60 - 600
        write_batch(connection, [message(report("holz-1", 0, start=minute, cells=[(0, 0, 0, 1)]))], now=today)

        run_policies(connection)

        tables = [table for table, _ in uncompressed_minutes(connection)]
        assert tables == ["count_minute", "coverage_minute"]
        assert write(connection, report(seq=99, start=NOON + 600, cells=[(0, 0, 0, 1)])).stored == 1


def test_a_changed_setting_takes_effect_with_the_next_migration(
    blank_timescale_database: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The policy is replaced and that is said; there is one policy for each table as before."""
    migrate(blank_timescale_database)
    monkeypatch.setenv("FOOTFALL_DATABASE__DSN", blank_timescale_database)
    monkeypatch.setenv("FOOTFALL_STORE__COMPRESS_AFTER_DAYS", "90")

    assert main(["migrate"]) == 0

    assert "are compressed 90 days after the end of a chunk" in capsys.readouterr().out
    assert ask(blank_timescale_database, _POLICIES) == policies(90)


def test_a_plain_store_becomes_one_of_timescaledb_in_place(timescale_server: Any, unique: str) -> None:
    """The extension comes, `migrate` runs: every row is what it was, and the store goes on as before."""
    name = unique.replace("-", "_")
    dsn = timescale_server.create(name)
    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("DROP EXTENSION IF EXISTS timescaledb")
            assert migrate(dsn) == []
            write(connection, *weeks(5))
            roll_up(connection, datetime.fromtimestamp(NOON + 10 * DAY, UTC))
            connection.execute("GRANT SELECT ON count_minute TO pg_monitor")
            before = stored(connection), hours(connection), dirty(connection)
        with psycopg.connect(dsn) as connection:
            connection.execute("CREATE EXTENSION timescaledb")

        said = migrate(dsn)

        assert migrate(dsn) == []
        assert said[0].endswith("count_minute, coverage_minute, count_hour and coverage_hour are hypertables now")
        with psycopg.connect(dsn, autocommit=True) as connection:
            assert (stored(connection), hours(connection), dirty(connection)) == before
            assert connection.execute("SELECT has_table_privilege('pg_monitor', 'count_minute', 'SELECT')").fetchone()
            chunks = connection.execute("SELECT count(*) FROM show_chunks('count_minute')").fetchall()
            assert chunks[0][0] >= 2
            run_policies(connection)
            assert uncompressed_minutes(connection) == []
            assert write(connection, report(seq=99, start=NOON + 600)).stored == 1
            roll_up(connection, NOW)
            assert wrong_hours(connection) == []
            assert dirty(connection) == []
    finally:
        timescale_server.drop(name)


def hours(connection: Connection) -> list[tuple[Any, ...]]:
    """Every row of the hour tables."""
    rows = connection.execute("SELECT sensor, bucket, direction, class, count FROM count_hour ORDER BY 1, 2, 3, 4")
    return rows.fetchall() + connection.execute("SELECT * FROM coverage_hour ORDER BY 1, 2").fetchall()


def dirty(connection: Connection) -> list[tuple[Any, ...]]:
    """The hours that are to be summed up."""
    return connection.execute("SELECT sensor, hour FROM dirty_hour ORDER BY 1, 2").fetchall()


def test_late_data_is_added_to_compressed_chunks(compressed: Connection) -> None:
    """Rows that are there grow, new ones come, a report that was received is none; the sums follow."""
    before = stored(compressed)
    again = weeks(1)[2]
    late = report(seq=90, start=NOON + 2 * DAY + 180, cells=[(0, 0, 0, 7)])
    half = report(seq=91, start=NOON + 9 * DAY + 240, observed=[10], cells=[(0, 1, 2, 1)])

    outcome = write(compressed, again, late, half)
    outcome2 = write(compressed, report(seq=92, start=late.start + 10, cells=[(0, 0, 0, 1)]))

    assert (outcome.stored, outcome.duplicate, outcome2.stored) == (2, 1, 1)
    after = stored(compressed)
    assert after.counts == {
        **before.counts,
        ("markt-1", late.start, 0, 0): 8,
        ("markt-1", half.start, 1, 2): 1,
    }
    assert after.coverage == {**before.coverage, ("markt-1", late.start): 20, ("markt-1", half.start): 10}
    assert roll_up(compressed, NOW) == Progress(rolled=2, changed=2)
    assert wrong_hours(compressed) == []


def test_what_is_measured_is_known_of_compressed_chunks(compressed: Connection) -> None:
    """A report that claims seconds which are measured there goes to quarantine, as everywhere."""
    thief = report(seq=80, stream="other", start=NOON + 3 * DAY, slot=60, cells=[(0, 0, 0, 4)])
    span = report(seq=81, stream="other", start=NOON + 4 * DAY, slot=90, observed=[90], cells=[(0, 0, 0, 4)])
    before = stored(compressed)

    outcome = write(compressed, thief, span)

    assert outcome.quarantined == {"second-writer": 2}
    assert stored(compressed).coverage == before.coverage
    assert dirty(compressed) == []


def test_a_flush_may_open_as_many_compressed_rows_as_it_needs(compressed: Connection) -> None:
    """There is no limit in a session of this database: a flush that meets it would be tried again for ever."""
    limit = "SELECT current_setting('timescaledb.max_tuples_decompressed_per_dml_transaction')"

    assert compressed.execute(limit).fetchall() == [("0",)]


def test_sums_go_and_come_on_compressed_chunks(compressed: Connection) -> None:
    """An hour whose minutes were taken away goes from a compressed chunk; one that has others is replaced."""
    (key,) = compressed.execute("SELECT key FROM sensor WHERE id = 'holz-1'").fetchall()[0]
    low, high = (datetime.fromtimestamp(NOON + day * DAY, UTC) for day in (1, 2))
    for table in ("count_minute", "coverage_minute"):
        compressed.execute(
            f"DELETE FROM {table} WHERE sensor = %s AND minute >= minute_of(%s) AND minute < minute_of(%s)",
            [key, low, high],
        )
    compressed.execute("INSERT INTO dirty_hour SELECT sensor, bucket FROM coverage_hour")

    assert roll_up(compressed, NOW) == Progress(rolled=56, changed=1)
    assert wrong_hours(compressed) == []


def test_the_apache_edition_has_hypertables_and_no_columns(
    blank_timescale_database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is compressed, and it is said why; under the other licence the next migration makes up for it."""
    with monkeypatch.context() as apache:
        apache.setattr(timescale, "licence", lambda _: "apache")
        said = migrate(blank_timescale_database)
    policies = ask(blank_timescale_database, _POLICIES)

    assert said[-1].startswith("this TimescaleDB runs under the Apache licence, which has no columnstore")
    assert ask(blank_timescale_database, _HYPERTABLES) == [(table,) for table in TABLES]
    assert policies == []
    assert migrate(blank_timescale_database, StoreSettings(compress_after_days=7)) == [
        "count_minute, coverage_minute, count_hour and coverage_hour are compressed 7 days after the end of a chunk"
    ]
