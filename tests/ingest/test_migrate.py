"""The schema comes into a database once, whoever asks and how often, and nothing runs on another one."""

import subprocess
import sys
import threading
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from footfall_ingest import migrate as migration
from footfall_ingest.migrate import MigrationError, check, migrate
from footfall_testing.waiting import wait_until

TABLES = {
    "store",
    "sensor",
    "sensor_node",
    "stream",
    "count_minute",
    "coverage_minute",
    "count_span",
    "coverage_span",
    "station",
    "direction_label",
    "installation",
    "quarantine",
    "node_state",
    "sensor_state",
    "count_hour",
    "coverage_hour",
    "dirty_hour",
    "area",
    "station_area",
    "remark",
}


def ask(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """The rows of a query on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        return connection.execute(query).fetchall()


def do(dsn: str, statement: str) -> None:
    """Execute a statement on a connection of its own."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def columns(dsn: str) -> list[tuple[Any, ...]]:
    """Every column of our tables, with its type, and whether it may be null."""
    return ask(
        dsn,
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY 1, 2",
    )


def tables(dsn: str) -> set[str]:
    """The names of the tables."""
    return {name for (name,) in ask(dsn, "SELECT tablename FROM pg_tables WHERE schemaname = 'public'")}


def the_check(dsn: str) -> None:
    """`check` on a connection of its own, which stays usable whatever it says."""
    with psycopg.connect(dsn) as connection:
        try:
            check(connection)
        finally:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_an_empty_database_gets_the_whole_schema(blank_database: str) -> None:
    """Every table is there, the store has its one row, and `check` is content."""
    migrate(blank_database)

    assert tables(blank_database) - {"alembic_version"} >= TABLES
    assert ask(blank_database, "SELECT count(*) FROM store") == [(1,)]
    the_check(blank_database)


def test_migrating_again_changes_nothing(blank_database: str) -> None:
    """The second time keeps what is stored, the epoch above all, and every column."""
    migrate(blank_database)
    do(blank_database, "INSERT INTO sensor (id) VALUES ('markt-1')")
    before = columns(blank_database), ask(blank_database, "SELECT epoch, created FROM store")

    migrate(blank_database)

    assert (columns(blank_database), ask(blank_database, "SELECT epoch, created FROM store")) == before
    assert ask(blank_database, "SELECT id FROM sensor") == [("markt-1",)]


def test_threads_may_migrate_at_the_same_time(blank_database: str) -> None:
    """Of several that begin together one does the work, the others wait, and none fails."""
    failures: list[BaseException] = []
    barrier = threading.Barrier(4)

    def work() -> None:
        barrier.wait()
        try:
            migrate(blank_database)
        except BaseException as error:  # noqa: BLE001  # a thread's error would be lost
            failures.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    assert ask(blank_database, "SELECT count(*) FROM store") == [(1,)]
    the_check(blank_database)


def test_processes_may_migrate_at_the_same_time(blank_database: str) -> None:
    """Several machines' processes wait at one lock in the database, then all succeed: one of them did the work."""
    program = "import sys; from footfall_ingest.migrate import migrate; migrate(sys.argv[1])"
    waiting = (
        "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database "
        "WHERE locktype = 'advisory' AND NOT granted AND datname = current_database()"
    )
    with psycopg.connect(blank_database) as holder:
        holder.execute("SELECT pg_advisory_xact_lock(%s)", [migration._LOCK])
        processes = [subprocess.Popen([sys.executable, "-c", program, blank_database]) for _ in range(3)]
        try:
            wait_until(lambda: ask(blank_database, waiting) == [(3,)], timeout=60, what="all wait at the lock")
            assert tables(blank_database) == set()
            holder.rollback()
            ended = [process.wait(60) for process in processes]
        finally:
            for process in processes:
                process.kill()
                process.wait()

    assert ended == [0, 0, 0]
    assert ask(blank_database, "SELECT count(*) FROM store") == [(1,)]
    the_check(blank_database)


def test_a_migration_that_fails_leaves_nothing(blank_database: str) -> None:
    """Where a statement fails, as for a table that is there already, none of the others stays; the cause is said."""
    do(blank_database, "CREATE TABLE station (mine text)")

    with pytest.raises(MigrationError, match='could not be migrated: relation "station" already exists'):
        migrate(blank_database)

    assert tables(blank_database) == {"station"}


def test_a_server_that_is_not_there_is_a_migration_error() -> None:
    """No connection is told in one error of this module, whatever the driver says."""
    with pytest.raises(MigrationError, match="could not be migrated"):
        migrate("postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=5")


def test_a_database_without_unicode_is_refused_with_how_to_make_one(blank_database: str) -> None:
    """Names of streets have no sure place in it."""
    name = conninfo_to_dict(blank_database)["dbname"]
    ascii_only = f"{name}_ascii"
    with psycopg.connect(blank_database, autocommit=True) as connection:
        create = "CREATE DATABASE {} TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'"
        connection.execute(sql.SQL(create).format(sql.Identifier(ascii_only)))
        try:
            with pytest.raises(MigrationError, match=r"keeps text as SQL_ASCII.* ENCODING 'UTF8'"):
                migrate(make_conninfo(blank_database, dbname=ascii_only))
        finally:
            connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(ascii_only)))


def test_a_newer_schema_is_refused(database: str) -> None:
    """A database that a later version migrated is left as it is."""
    do(database, "UPDATE alembic_version SET version_num = '9999'")
    before = columns(database)

    with pytest.raises(MigrationError, match="migrated by a newer version of footfall"):
        migrate(database)

    assert ask(database, "SELECT version_num FROM alembic_version") == [("9999",)]
    assert columns(database) == before


def test_the_check_says_what_to_run_on_an_empty_database(blank_database: str) -> None:
    """No schema at all, or one whose migration never ended, is told apart from a wrong one."""
    with pytest.raises(MigrationError, match="has no schema yet: run `footfall-ingest migrate`"):
        the_check(blank_database)

    do(blank_database, "CREATE TABLE alembic_version (version_num text)")
    with pytest.raises(MigrationError, match="has no schema yet"):
        the_check(blank_database)


@pytest.mark.parametrize("version", ["0000", "9999"])
def test_the_check_names_both_versions(database: str, version: str) -> None:
    """An older and a newer schema are refused alike, with the version that is there and the one that is needed."""
    (needed,) = ask(database, "SELECT version_num FROM alembic_version")[0]
    do(database, f"UPDATE alembic_version SET version_num = '{version}'")

    with pytest.raises(MigrationError, match=f"is at {version}, this version of footfall needs {needed}"):
        the_check(database)


def test_minutes_and_hours_are_hypertables_on_timescaledb(blank_timescale_database: str) -> None:
    """Chunks of 28 days and of 364, of these four tables and no other; migrating again keeps them."""
    migrate(blank_timescale_database)
    migrate(blank_timescale_database)

    found = ask(
        blank_timescale_database,
        "SELECT hypertable_name, column_name, "
        "coalesce(extract(day FROM time_interval), integer_interval / 1440)::int "
        "FROM timescaledb_information.dimensions WHERE hypertable_schema = 'public' ORDER BY 1",
    )
    assert found == [
        ("count_hour", "bucket", 364),
        ("count_minute", "minute", 28),
        ("coverage_hour", "bucket", 364),
        ("coverage_minute", "minute", 28),
    ]
    the_check(blank_timescale_database)


def test_both_kinds_of_server_have_the_same_tables(database: str, blank_timescale_database: str) -> None:
    """Whoever reads or writes need not know which server it is: same tables, columns, types and primary keys."""
    migrate(blank_timescale_database)
    keys = (
        "SELECT conrelid::regclass::text, pg_get_constraintdef(oid) FROM pg_constraint "
        "WHERE connamespace = 'public'::regnamespace AND contype IN ('p', 'u', 'f', 'x', 'c') ORDER BY 1, 2"
    )

    assert columns(blank_timescale_database) == columns(database)
    assert ask(blank_timescale_database, keys) == ask(database, keys)


def test_the_extension_in_the_database_decides(timescale_server: Any, unique: str) -> None:
    """A server that could have TimescaleDB gets plain tables where the administrator did not install it."""
    name = unique.replace("-", "_")
    dsn = timescale_server.create(name)
    try:
        do(dsn, "DROP EXTENSION IF EXISTS timescaledb")
        migrate(dsn)
        assert tables(dsn) >= TABLES
        assert ask(dsn, "SELECT count(*) FROM pg_extension WHERE extname = 'timescaledb'") == [(0,)]
        the_check(dsn)
    finally:
        timescale_server.drop(name)


@pytest.mark.parametrize(
    ("statement", "violated"),
    [
        ("INSERT INTO store (id) VALUES (true)", psycopg.errors.UniqueViolation),
        ("INSERT INTO store (id) VALUES (false)", psycopg.errors.CheckViolation),
        ("INSERT INTO coverage_minute VALUES (1, minute_now(), 61)", psycopg.errors.CheckViolation),
        ("INSERT INTO coverage_minute VALUES (1, minute_now(), -1)", psycopg.errors.CheckViolation),
        ("INSERT INTO count_minute VALUES (1, minute_now(), 0, 0, 0)", psycopg.errors.CheckViolation),
        ("INSERT INTO count_span VALUES (1, now(), now(), 0, 0, 1)", psycopg.errors.CheckViolation),
    ],
)
def test_the_schema_itself_holds_the_rules(any_database: str, statement: str, violated: type[Exception]) -> None:
    """One epoch, at most 60 s in a minute, no counts of zero, no span of no length: whoever writes."""
    with pytest.raises(violated):
        do(any_database, statement)
