"""The one place that asks whether the server has TimescaleDB, and what it does with it.

Migrations ask it; nobody else needs to, because the tables have the same names and give the same results either way.
The question is whether the extension is *in the database*, not whether the server could install it: that is the
administrator's decision, taken with ``CREATE EXTENSION timescaledb``, before the first migration or at any time later.

A migration cannot know that the extension will come, so what a store needs of it is no step of the schema: `arrange`
compares what there is with what there should be, at the end of every migration.

Minutes and hours alike are stored by column once their chunk has been over for `compress_after_days`. A sensor's rows,
which lay scattered among those of all others, then lie together in a fraction of the space. Hours are no exception:
left as they are, those of ten years would take more than all their compressed minutes. Late data is written into
compressed chunks as into any other.
"""

from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import sql
from sqlalchemy import Connection

_OLDEST: Final = (2, 20)
"""The first version whose columnstore has the names that are used here."""


@dataclass(frozen=True, slots=True)
class _Table:
    name: str
    column: str
    """What says the time: `minute`, a number, or `bucket`, a moment."""
    chunk_days: int
    segment_by: str

    def length(self, days: int) -> sql.Composable:
        """So many days in the unit of the column."""
        if self.column == "minute":
            return sql.Literal(days * DAY_MINUTES)
        return sql.SQL("make_interval(days => {})").format(sql.Literal(days))

    @property
    def unit(self) -> sql.SQL:
        """The type of a length."""
        return sql.SQL("bigint" if self.column == "minute" else "interval")


DAY_MINUTES: Final = 1440

_TABLES: Final = (
    _Table("count_minute", "minute", 28, "sensor, direction, class"),
    _Table("coverage_minute", "minute", 28, "sensor"),
    _Table("count_hour", "bucket", 364, "sensor, direction, class"),
    _Table("coverage_hour", "bucket", 364, "sensor"),
)

_UNLIMITED: Final = "timescaledb.max_tuples_decompressed_per_dml_transaction"
"""How many compressed rows a transaction may open. Late data of many sensors opens more than the default, and a flush
that was refused for that would be tried again, and be refused again, for ever."""


def present(connection: Connection) -> bool:
    """Whether the database of `connection` has the timescaledb extension."""
    found = connection.exec_driver_sql("SELECT 1 FROM pg_extension WHERE extname = 'timescaledb'").first()
    return found is not None


def hypertable(connection: Connection, table: str, *, column: str, days: int) -> list[str]:
    """The statements that turn the empty `table` into a hypertable with chunks of `days` days of `column`.

    None on a server without TimescaleDB. The primary key serves every query, so no further index is made.
    """
    if not present(connection):
        return []
    dimension = f"by_range('{column}', INTERVAL '{days} days')"
    return [f"SELECT create_hypertable('{table}', {dimension}, create_default_indexes => false)"]


def arrange(connection: psycopg.Connection[Any], *, compress_after_days: int) -> list[str]:
    """Make of the store what TimescaleDB offers, in the transaction that is open; sentences on what was done.

    Where all is as it should be, and on plain PostgreSQL, nothing is done and nothing said. Tables with data in them
    become hypertables in place; nobody reads or writes them until the transaction ends.
    """
    rows = connection.execute("SELECT extversion FROM pg_extension WHERE extname = 'timescaledb'").fetchall()
    if not rows:
        return []
    said = []
    moved = [table.name for table in _TABLES if _make_hypertable(connection, table)]
    if moved:
        said.append(f"TimescaleDB {rows[0][0]}: {_listed(moved)} are hypertables now")
    if licence(connection) != "timescale":
        said.append(
            "this TimescaleDB runs under the Apache licence, which has no columnstore: nothing is compressed "
            "(timescaledb.license = 'timescale' in the server's configuration, then migrate again)"
        )
    elif tuple(map(int, rows[0][0].split(".")[:2])) < _OLDEST:
        said.append(
            f"TimescaleDB {rows[0][0]} is older than {'.'.join(map(str, _OLDEST))}: nothing is compressed until it is "
            "updated and migrate has run again"
        )
    else:
        if owner := _owner_without_login(connection):
            said.append(
                f'nothing is compressed: TimescaleDB works in the name of the tables\' owner, and the role "{owner}" '
                f'may not log in (ALTER ROLE "{owner}" LOGIN, or deploy/database/accounts.sh, then migrate again)'
            )
        elif changed := [table.name for table in _TABLES if _compress(connection, table, compress_after_days)]:
            said.append(f"{_listed(changed)} are compressed {compress_after_days} days after the end of a chunk")
        said += _unlimited(connection)
    return said


def _owner_without_login(connection: psycopg.Connection[Any]) -> str:
    """The owner of the tables if they may not log in, as after a restore on a server that did not know them."""
    query = """
        SELECT rolname FROM pg_roles WHERE NOT rolcanlogin
        AND oid = (SELECT relowner FROM pg_class WHERE oid = %s::regclass)
    """
    return "".join(name for (name,) in connection.execute(query, [_TABLES[0].name]).fetchall())


def licence(connection: psycopg.Connection[Any]) -> str:
    """``timescale`` for the community edition, ``apache`` for the other."""
    found: str = connection.execute("SELECT current_setting('timescaledb.license')").fetchall()[0][0]
    return found


def _make_hypertable(connection: psycopg.Connection[Any], table: _Table) -> bool:
    """Whether it had to be made one."""
    query = """
        SELECT 1 FROM timescaledb_information.hypertables
        WHERE format('%%I.%%I', hypertable_schema, hypertable_name)::regclass = %s::regclass
    """
    if connection.execute(query, [table.name]).fetchone():
        return False
    statement = """
        SELECT create_hypertable({}::regclass, by_range({}, {}), create_default_indexes => false, migrate_data => true)
    """
    parts = sql.Literal(table.name), sql.Literal(table.column), table.length(table.chunk_days)
    connection.execute(sql.SQL(statement).format(*parts))
    if table.column == "minute":
        connection.execute("SELECT set_integer_now_func(%s::regclass, 'minute_now')", [table.name])
    return True


def _compress(connection: psycopg.Connection[Any], table: _Table, after_days: int) -> bool:
    """Whether anything had to be changed."""
    query = """
        SELECT compression_enabled,
            (SELECT (config->>'compress_after')::{unit} = {after} FROM timescaledb_information.jobs
             WHERE proc_name = 'policy_compression' AND (jobs.hypertable_schema, jobs.hypertable_name)
                = (hypertables.hypertable_schema, hypertables.hypertable_name))
        FROM timescaledb_information.hypertables
        WHERE format('%I.%I', hypertable_schema, hypertable_name)::regclass = {table}::regclass
    """
    after, name = table.length(after_days), sql.Identifier(table.name)
    question = sql.SQL(query).format(unit=table.unit, after=after, table=sql.Literal(table.name))
    ((enabled, as_wanted),) = connection.execute(question).fetchall()
    if not enabled:
        statement = (
            "ALTER TABLE {} SET (timescaledb.enable_columnstore, timescaledb.segmentby = {}, timescaledb.orderby = {})"
        )
        columns = sql.Literal(table.segment_by), sql.Literal(table.column)
        connection.execute(sql.SQL(statement).format(name, *columns))
    if not as_wanted:
        if as_wanted is not None:
            connection.execute("CALL remove_columnstore_policy(%s::regclass)", [table.name])
        # At night, and not while whoever has just migrated is starting everything again.
        policy = """
            CALL add_columnstore_policy({}::regclass, after => {}, schedule_interval => INTERVAL '1 day',
                initial_start => date_trunc('day', now(), 'UTC') + INTERVAL '25 hours')
        """
        connection.execute(sql.SQL(policy).format(sql.Literal(table.name), after))
    return not (enabled and as_wanted)


def _unlimited(connection: psycopg.Connection[Any]) -> list[str]:
    if connection.execute("SELECT current_setting(%s)", [_UNLIMITED]).fetchall() == [("0",)]:
        return []
    database = connection.info.dbname
    statement = sql.SQL("ALTER DATABASE {} SET {} = 0").format(
        sql.Identifier(database), sql.Identifier(*_UNLIMITED.split("."))
    )
    try:
        with connection.transaction():
            connection.execute(statement)
    except psycopg.errors.InsufficientPrivilege:
        return [
            f"late data of many sensors needs what the database's owner has to run: {statement.as_string(connection)}"
        ]
    return []


def _listed(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"
