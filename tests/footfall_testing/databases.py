"""Databases for tests: on a real server, of today's schema, each as if it had just been migrated.

To create one and drop it takes half a second, more than most tests take. So a database that a test is through with is
emptied, in some ten milliseconds, and given to the next one, provided that its schema is what it was. Nothing but the
rows of the tables can be left behind then, and `emptied` puts these back.
"""

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import psycopg
from alembic import command
from psycopg import sql

from footfall_ingest import migrate

Connection = psycopg.Connection[Any]


def migrated_to(dsn: str, revision: str) -> None:
    """Bring a database to the schema of an earlier version, or to today's, ``head``, and do nothing beside it."""
    with migrate._transaction(dsn) as connection:
        config = migrate._config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


@dataclass(frozen=True)
class DatabaseServer:
    """A server on which tests make databases of their own; `maintenance` is a DSN that may create them."""

    maintenance: str

    def dsn(self, database: str) -> str:
        """The DSN of another database on the same server."""
        parts = urlsplit(self.maintenance)
        return urlunsplit(parts._replace(path=f"/{database}"))

    def create(self, database: str, template: str | None = None) -> str:
        """Create `database`, as a copy of `template` if one is named; returns its DSN."""
        statement = sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database))
        if template:
            # Copied as files, which takes half as long: nothing waits for the disk here.
            statement += sql.SQL(" TEMPLATE {} STRATEGY FILE_COPY").format(sql.Identifier(template))
        with psycopg.connect(self.maintenance, autocommit=True) as connection:
            connection.execute(statement)
        return self.dsn(database)

    def drop(self, database: str) -> None:
        """Drop `database`, ending whoever is connected to it."""
        with psycopg.connect(self.maintenance, autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(database)))

    def migrated_template(self) -> str:
        """The name of a fresh database with today's schema, to copy from."""
        from footfall_ingest.migrate import migrate

        name = f"footfall_template_{secrets.token_hex(4)}"
        migrate(self.create(name))
        return name

    @contextmanager
    def blank(self) -> Iterator[str]:
        """The DSN of an empty database of a name of its own, dropped afterwards."""
        name = f"footfall_{secrets.token_hex(6)}"
        try:
            yield self.create(name)
        finally:
            self.drop(name)


# What the tests could change besides rows. Settings of the database are kept elsewhere, and shared with no other.
_SCHEMA = """
    SELECT md5(string_agg(line, E'\\n' ORDER BY line)) FROM (
        SELECT format('%s %s %s %s %s', relname, relkind, relowner, relacl, reloptions) FROM pg_class
        WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('%s %s %s %s %s', attrelid::regclass, attname, atttypid, attnotnull, attacl) FROM pg_attribute
        JOIN pg_class ON pg_class.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0
        UNION ALL
        SELECT format('%s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
        WHERE connamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('%s %s %s', md5(pg_get_functiondef(oid)), proname, proacl) FROM pg_proc
        WHERE prokind IN ('f', 'p') AND pronamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('%s %s %s', tgrelid::regclass, tgname, tgenabled) FROM pg_trigger
        JOIN pg_class ON pg_class.oid = tgrelid WHERE relnamespace = 'public'::regnamespace
        UNION ALL
        SELECT format('%s %s', nspname, nspacl) FROM pg_namespace WHERE nspname !~ '^pg_(toast|temp)'
        UNION ALL
        SELECT format('%s %s %s %s', defaclrole, defaclnamespace, defaclobjtype, defaclacl) FROM pg_default_acl
        UNION ALL
        SELECT format('%s %s', setrole, setconfig) FROM pg_db_role_setting JOIN pg_database ON oid = setdatabase
        WHERE datname = current_database()
    ) AS part (line)
"""
_TABLES = "SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
_END_OTHERS = """
    SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""


@dataclass(frozen=True)
class Migrated:
    """A database of today's schema, and what it had when nobody had used it."""

    name: str
    dsn: str
    schema: str
    tables: tuple[str, ...]
    rows: dict[str, list[str]]
    """By table, as JSON; tables without rows are left out."""

    @classmethod
    def found(cls, name: str, dsn: str) -> "Migrated":
        """As it is now."""
        with psycopg.connect(dsn) as connection:
            tables = [table for (table,) in connection.execute(_TABLES)]
            rows = {table: _rows(connection, table) for table in tables}
            return cls(name, dsn, _schema(connection), tuple(tables), {t: r for t, r in rows.items() if r})

    def emptied(self) -> bool:
        """Whether it is again what it was; if not, somebody changed more than rows."""
        try:
            with psycopg.connect(self.dsn) as connection:
                connection.execute(_END_OTHERS)
                if _schema(connection) != self.schema:
                    return False
                self._restore(connection)
        except psycopg.Error:  # it is gone, or was made such that nothing can be done with it
            return False
        return True

    def _restore(self, connection: Connection) -> None:
        used = "SELECT {0} WHERE pg_relation_size({0}::regclass) > 0 OR EXISTS (SELECT FROM {1})"
        question = sql.SQL(" UNION ALL ").join(
            sql.SQL(used).format(sql.Literal(table), sql.Identifier(table)) for table in self.tables
        )
        touched = [table for (table,) in connection.execute(question) if table not in self.rows]
        touched += [table for table in self.rows if _rows(connection, table) != self.rows[table]]
        if not touched:
            return
        names = sql.SQL(", ").join(map(sql.Identifier, touched))
        # Those that refer to them, and have no rows, may be emptied too.
        connection.execute(sql.SQL("TRUNCATE {} RESTART IDENTITY CASCADE").format(names))
        for table, rows in self.rows.items():
            if not _rows(connection, table):
                statement = "INSERT INTO {0} OVERRIDING SYSTEM VALUE SELECT * FROM jsonb_populate_record(NULL::{0}, %s)"
                for row in rows:
                    connection.execute(sql.SQL(statement).format(sql.Identifier(table)), [row])


def _schema(connection: Connection) -> str:
    found: str = connection.execute(_SCHEMA).fetchall()[0][0]
    return found


def _rows(connection: Connection, table: str) -> list[str]:
    query = sql.SQL("SELECT to_jsonb(found) FROM {} AS found ORDER BY 1").format(sql.Identifier(table))
    return [json.dumps(row) for (row,) in connection.execute(query)]


@dataclass
class Pool:
    """Databases of today's schema on one server, for one test at a time each."""

    server: DatabaseServer
    template: str | None = None
    """Copied where there is one. On TimescaleDB there is none: its own workers are connected to each database."""
    free: list[Migrated] = field(default_factory=list)

    @contextmanager
    def database(self) -> Iterator[str]:
        """The DSN of one that nobody else uses, with nothing in it."""
        lent = self.free.pop() if self.free else self._new()
        try:
            yield lent.dsn
        finally:
            if lent.emptied():
                self.free.append(lent)
            else:
                self.server.drop(lent.name)

    def _new(self) -> Migrated:
        name = f"footfall_{secrets.token_hex(6)}"
        dsn = self.server.create(name, self.template)
        if not self.template:
            from footfall_ingest.migrate import migrate

            with psycopg.connect(dsn, autocommit=True) as connection:
                connection.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
            migrate(dsn)
        return Migrated.found(name, dsn)

    def close(self) -> None:
        """Drop them."""
        for each in self.free:
            self.server.drop(each.name)
