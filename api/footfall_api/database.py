"""The API's way to PostgreSQL: a small pool of connections that cannot write and cannot take long."""

import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from psycopg import AsyncConnection, IsolationLevel, sql
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from footfall_api.settings import DatabaseSettings
from footfall_api.turns import turn

log = logging.getLogger(__name__)

STATEMENT_TIMEOUT_S: Final = 30
"""The longest that one statement may run; a question is answered in pieces that take a fraction of that.

It is no limit for questions, which `gate.ANSWER_S` and the accounts of clients are: it ends what a server that is ill
does not. With much less time the first questions after a restart, when nothing is in memory yet, would fail.
"""

IDLE_TIMEOUT_S: Final = 60
"""The longest that a transaction may wait for us between two statements."""

_CHECK_INTERVAL_S: Final = 5
"""How often the server looks, while it works on a statement, whether we are still there."""

WAIT_FOR_CONNECTION_S: Final = 5
"""How long a request waits for a free connection before it is told to come back later."""

TABLES: Final = (
    "store", "sensor", "stream", "count_minute", "coverage_minute", "count_span", "coverage_span",
    "count_hour", "coverage_hour", "dirty_hour",
    "station", "direction_label", "installation", "area", "station_area", "remark",
    "sensor_node", "node_state", "sensor_state", "quarantine",
)  # fmt: skip
"""What the API reads; `footfall-ingest migrate` makes it."""

Connection = AsyncConnection[TupleRow]
Pool = AsyncConnectionPool[Connection]


def conninfo(settings: DatabaseSettings) -> str:
    """The DSN, with a name by which the database's administrator recognises the API and a limit on connecting."""
    return make_conninfo(
        settings.dsn.get_secret_value(), application_name="footfall-api", connect_timeout=5,
        keepalives_idle=10, keepalives_interval=5, keepalives_count=3, tcp_user_timeout=20_000,
    )  # fmt: skip


def new_pool(settings: DatabaseSettings) -> Pool:
    """A pool, not yet open. It opens without a database too: requests then fail one by one until it is there."""
    return AsyncConnectionPool(
        conninfo(settings),
        min_size=1,
        max_size=settings.pool_size,
        timeout=WAIT_FOR_CONNECTION_S,
        configure=_configure,
        kwargs={"autocommit": True},
        open=False,
        name="footfall-api",
    )


async def _configure(connection: Connection) -> None:
    # Set here, not in the DSN's options: a pooler between us and the server may refuse those.
    for name, value in (
        ("default_transaction_read_only", "on"),
        ("statement_timeout", f"{STATEMENT_TIMEOUT_S}s"),
        ("timezone", "UTC"),
        # Should we stop in the middle of something, the server does not keep a state of the past for us for ever; and
        # should we be gone, it does not work on.
        ("idle_in_transaction_session_timeout", f"{IDLE_TIMEOUT_S}s"),
        ("client_connection_check_interval", f"{_CHECK_INTERVAL_S}s"),
    ):
        await connection.execute(sql.SQL("SET {} = {}").format(sql.Identifier(name), sql.Literal(value)))
    await connection.set_isolation_level(IsolationLevel.REPEATABLE_READ)


@asynccontextmanager
async def snapshot(pool: Pool, *, for_all: bool = False) -> AsyncIterator[Connection]:
    """A connection in a transaction that sees one state of the database throughout.

    So a count and its coverage always belong together, whatever is committed meanwhile. It is one of those that the
    client may have for whom it is read; `for_all`: of nobody's, for others wait for what is read.
    """
    mine = turn()
    async with AsyncExitStack() as held:
        with mine.waiting():
            if not for_all:
                await held.enter_async_context(mine.share())
            connection = await held.enter_async_context(pool.connection())
        with mine.reading():
            async with connection.transaction():
                yield connection


@asynccontextmanager
async def own_snapshot(settings: DatabaseSettings) -> AsyncIterator[Connection]:
    """The same over a connection that is made for it and closed afterwards: for who asks now and then.

    Raises:
        psycopg.Error: the database cannot be reached.
    """
    async with await AsyncConnection.connect(conninfo(settings), autocommit=True) as connection:
        await _configure(connection)
        async with connection.transaction():
            yield connection


async def missing_tables(connection: Connection) -> list[str]:
    """The tables that the API needs and the database does not have."""
    cursor = await connection.execute(
        "SELECT name FROM unnest(%s::text[]) AS name WHERE to_regclass(quote_ident(name)) IS NULL", [list(TABLES)]
    )
    return [row[0] for row in await cursor.fetchall()]


_RIGHTS: Final = """
    SELECT rolsuper, rolcreaterole, rolcreatedb,
           ARRAY(
               SELECT relname::text FROM pg_class
               WHERE relkind IN ('r', 'p') AND relnamespace = current_schema()::regnamespace
                 AND has_table_privilege(pg_class.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')
               ORDER BY relname
           ),
           has_schema_privilege(current_schema(), 'CREATE'),
           pg_has_role(current_user, 'pg_execute_server_program', 'MEMBER')
             OR pg_has_role(current_user, 'pg_write_server_files', 'MEMBER')
             OR pg_has_role(current_user, 'pg_read_server_files', 'MEMBER')
    FROM pg_roles WHERE rolname = current_user
"""


async def rights_beyond_reading(connection: Connection) -> list[str]:
    """What the API's account may do besides reading, in words that follow it; nothing if it is as it should be."""
    row = await (await connection.execute(_RIGHTS)).fetchone()
    assert row is not None
    is_superuser, makes_roles, makes_databases, tables, makes_tables, touches_files = row
    if is_superuser:
        return ["is a superuser, who may do anything on the server"]
    few = ", ".join(tables[:_NAMED]) + (f" and {len(tables) - _NAMED} more" if len(tables) > _NAMED else "")
    found = {
        "may make roles": makes_roles,
        "may make databases": makes_databases,
        "may reach files or programs of the server": touches_files,
        "may make tables": makes_tables,
        f"may write to {few}": bool(tables),
    }
    return [words for words, may in found.items() if may]


_NAMED: Final = 3
"""Tables that are named; the others are counted."""


def pool_figures(pool: Pool) -> dict[str, Any]:
    """How the pool is doing, for the metrics."""
    return dict(pool.get_stats())
