"""The databases that tests are given: what one test did to its database, the next one does not see."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from footfall_ingest.flush import write_batch
from footfall_testing.databases import Pool
from footfall_testing.ingest_store import NOON, message, report

DIRT = [
    "INSERT INTO sensor (id) VALUES ('markt-1')",
    "UPDATE store SET epoch = gen_random_uuid()",
    "DELETE FROM store",
    "INSERT INTO epoch SELECT gen_random_uuid(), now(), 'a test' FROM store",
    "INSERT INTO area VALUES ('mitte', 'Mitte', 'Quartier', '{}')",
]
CHANGES = [
    "ALTER TABLE station ADD COLUMN height integer",
    "DROP TABLE remark",
    "GRANT SELECT ON quarantine TO PUBLIC",
    "CREATE TABLE mine (id integer)",
    "ALTER TABLE sensor DISABLE TRIGGER note_change",
    "DROP FUNCTION remove_minutes",
    "CREATE OR REPLACE FUNCTION minute_now() RETURNS integer LANGUAGE sql STABLE RETURN 0",
    "CREATE SCHEMA others",
    "ALTER DATABASE {name} SET timezone = 'Europe/Berlin'",
    "UPDATE alembic_version SET version_num = '0001'; ALTER TABLE alembic_version ADD COLUMN more integer",
]


@pytest.fixture
def pool(plain_pool: Pool) -> Iterator[Pool]:
    """A pool without any database yet."""
    found = Pool(plain_pool.server, plain_pool.template)
    yield found
    found.close()


def content(dsn: str) -> dict[str, list[Any]]:
    """Every row of every table."""
    with psycopg.connect(dsn) as connection:
        query = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace"
        return {
            table: connection.execute(f"SELECT {table}::text FROM {table} ORDER BY 1").fetchall()  # type: ignore[arg-type]
            for (table,) in connection.execute(query).fetchall()
        }


def test_the_next_test_finds_nothing_of_the_one_before(pool: Pool) -> None:
    """Rows, changed rows, taken numbers and open connections are gone; the database is the same one."""
    with pool.database() as first:
        fresh = content(first)
    for statement in DIRT:
        with pool.database() as dsn:
            left_open = psycopg.connect(dsn, autocommit=True)
            left_open.execute(statement)
            assert content(dsn) != fresh
        with pool.database() as dsn:
            assert dsn == first
            assert content(dsn) == fresh, statement
        with pytest.raises(psycopg.OperationalError):
            left_open.execute("SELECT 1")
        left_open.close()
    with pool.database() as dsn, psycopg.connect(dsn) as connection:
        assert connection.execute("INSERT INTO sensor (id) VALUES ('markt-1') RETURNING key").fetchall() == [(1,)]


def test_a_database_with_another_schema_is_not_given_again(pool: Pool) -> None:
    """Whatever a test may have changed of the schema, the next one gets one without it."""
    for statement in CHANGES:
        with pool.database() as before, psycopg.connect(before, autocommit=True) as connection:
            connection.execute(statement.format(name=connection.info.dbname))  # type: ignore[arg-type]
        with pool.database() as dsn:
            assert dsn != before, statement


def test_a_flush_is_written_as_into_a_new_one(any_pool: Pool) -> None:
    """On either server a database that was used takes what the first took."""
    now = datetime.fromtimestamp(NOON + 60, UTC)
    for _ in range(2):
        with any_pool.database() as dsn, psycopg.connect(dsn, autocommit=True) as connection:
            assert write_batch(connection, [message(report(cells=[(0, 0, 0, 1)]))], now=now).stored == 1


@pytest.fixture(params=["plain", "timescale"])
def any_pool(request: pytest.FixtureRequest) -> Pool:
    """The pool of either server."""
    found: Pool = request.getfixturevalue(f"{request.param}_pool")
    return found
