"""The API's account in the database: what it may do is looked at when the API starts, and what it may not is tried."""

import logging
import secrets
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit, urlunsplit

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from footfall_api.database import IDLE_TIMEOUT_S, STATEMENT_TIMEOUT_S, Connection, rights_beyond_reading, snapshot
from footfall_api.settings import ApiSettings, DatabaseSettings
from footfall_testing.city import Api

LogIn = Callable[..., str]


@pytest.fixture
def log_in(database: str) -> Iterator[LogIn]:
    """Makes an account with options of CREATE ROLE and then some statements about it, ``{}``; its DSN."""
    made: list[str] = []

    def make(options: str, *statements: str) -> str:
        name = f"footfall_test_{secrets.token_hex(6)}"
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD 'secret' {options}")  # type: ignore[arg-type]
            made.append(name)
            for statement in statements:
                owner.execute(sql.SQL(statement).format(sql.Identifier(name)))  # type: ignore[arg-type]
        parts = urlsplit(database)
        return urlunsplit(parts._replace(netloc=f"{name}:secret@{parts.hostname}:{parts.port}"))

    yield make
    with psycopg.connect(database, autocommit=True) as owner:
        for name in made:
            owner.execute(f"DROP OWNED BY {name}")  # type: ignore[arg-type]
            owner.execute(f"DROP ROLE {name}")  # type: ignore[arg-type]


def rights(api: Api, dsn: str) -> list[str]:
    """What the account may do besides reading."""

    async def look() -> list[str]:
        connection: Connection
        async with await AsyncConnection.connect(dsn, autocommit=True) as connection:
            return await rights_beyond_reading(connection)

    found: list[str] = api.run(look())
    return found


@pytest.mark.parametrize(
    ("options", "statements", "expected"),
    [
        ("IN ROLE footfall_api", [], []),
        ("IN ROLE footfall_api", ["GRANT UPDATE ON count_minute TO {}"], ["may write to count_minute"]),
        ("IN ROLE footfall_api", ["GRANT TRUNCATE ON station TO {}"], ["may write to station"]),
        ("IN ROLE footfall_api", ["GRANT CREATE ON SCHEMA public TO {}"], ["may make tables"]),
        ("CREATEDB IN ROLE footfall_api", [], ["may make databases"]),
        ("CREATEROLE IN ROLE footfall_api", [], ["may make roles"]),
        ("IN ROLE footfall_api, pg_read_server_files", [], ["may reach files or programs of the server"]),
        ("SUPERUSER", [], ["is a superuser, who may do anything on the server"]),
    ],
)
def test_every_right_beyond_reading_is_found(
    api: Api, log_in: LogIn, options: str, statements: list[str], expected: list[str]
) -> None:
    """Those of its groups too; a member of footfall_api has none."""
    assert rights(api, log_in(options, *statements)) == expected


def test_of_many_tables_some_are_named(api: Api, log_in: LogIn) -> None:
    """A member of footfall_ingest writes to nearly all."""
    (found,) = rights(api, log_in("IN ROLE footfall_ingest"))

    assert found.startswith("may write to area, count_hour, count_minute and ")
    assert found.endswith(" more")


@pytest.mark.parametrize("group", ["footfall_api", "footfall_ingest"])
def test_an_account_that_may_write_is_said_when_the_api_starts(
    log_in: LogIn, caplog: pytest.LogCaptureFixture, group: str
) -> None:
    """With what it should be instead; of one that only reads nothing is said."""
    dsn = log_in(f"IN ROLE {group}")
    with caplog.at_level(logging.WARNING), Api(ApiSettings(database=DatabaseSettings(dsn=dsn))) as api:
        if group == "footfall_ingest":
            api.until(lambda: "a member of footfall_api" in caplog.text, what="the warning")
            assert "may write to" in caplog.text
        else:
            api.until(lambda: api.get("/readyz").status_code == 200, what="the database")
            api.until(lambda: all("look" not in name for name in names(api)), what="the look around")
            assert "footfall_api and of nothing else" not in caplog.text


def names(api: Api) -> list[str]:
    """What the application still has to do."""
    import asyncio

    async def tasks() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks()]

    found: list[str] = api.run(tasks())
    return found


def test_what_the_api_asks_runs_within_bounds(api: Api) -> None:
    """Read only, of one state, and neither long nor for nobody."""

    async def look() -> dict[str, str]:
        async with snapshot(api.app.state.pool) as connection:
            found = {}
            for name in (
                "transaction_read_only", "transaction_isolation", "statement_timeout",
                "idle_in_transaction_session_timeout", "client_connection_check_interval",
            ):  # fmt: skip
                row = await (await connection.execute(f"SHOW {name}")).fetchone()  # type: ignore[arg-type]
                assert row is not None
                found[name] = row[0]
            return found

    assert api.run(look()) == {
        "transaction_read_only": "on",
        "transaction_isolation": "repeatable read",
        "statement_timeout": f"{STATEMENT_TIMEOUT_S}s",
        "idle_in_transaction_session_timeout": f"{IDLE_TIMEOUT_S // 60}min",
        "client_connection_check_interval": "5s",
    }
