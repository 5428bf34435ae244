"""Bring a database's schema to this version: forwards only, once, however many ask at the same time."""

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psycopg

logging.getLogger("alembic").setLevel(logging.WARNING)  # its INFO lines, some written at import, are about itself

from alembic import command  # noqa: E402  # after the line above
from alembic.config import Config  # noqa: E402
from alembic.util import CommandError  # noqa: E402
from sqlalchemy import Connection, create_engine  # noqa: E402
from sqlalchemy.exc import DBAPIError  # noqa: E402
from sqlalchemy.pool import NullPool  # noqa: E402

from footfall_ingest import roles, timescale  # noqa: E402
from footfall_ingest.schema import MigrationError, check  # noqa: E402
from footfall_ingest.settings import StoreSettings  # noqa: E402

__all__ = ["MigrationError", "check", "migrate"]

_LOCK = 7_306_085_171_257
"""Number of the advisory lock that migrations hold; any number, as long as nobody else takes it."""

_one_at_a_time = threading.Lock()  # Alembic keeps the running migration in module globals.


def migrate(dsn: str, settings: StoreSettings | None = None) -> list[str]:
    """Create or update the schema in the database `dsn` in one transaction; does nothing where it is up to date.

    What `settings` (default: the defaults) say of the store is put into effect, with what TimescaleDB offers if it is
    there; the roles are granted. Returns sentences on what was done beside the schema or is left to do. A migration
    that runs elsewhere is waited for. Needs the right to create tables.

    Raises:
        MigrationError: no connection, a statement failed, its text is not UTF-8, or a newer program migrated it.
            Nothing was changed.
    """
    try:
        with _one_at_a_time, _transaction(dsn) as connection:
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")
            config = _config()
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
            wanted = settings or StoreSettings()
            below = _driver(connection)
            said = timescale.arrange(below, compress_after_days=wanted.compress_after_days)
            return said + roles.arrange(below)
    except CommandError as error:
        raise MigrationError(f"the database was migrated by a newer version of footfall: {error}") from error
    except DBAPIError as error:
        raise MigrationError(f"the database could not be migrated: {error.orig}") from error
    except psycopg.Error as error:
        raise MigrationError(f"the database could not be migrated: {error}") from error


def _config() -> Config:
    # Without a file name Alembic reads no alembic.ini, whatever folder this runs in.
    config = Config()
    config.set_main_option("script_location", "footfall_ingest:migrations")
    return config


def _driver(connection: Connection) -> psycopg.Connection[Any]:
    """The connection below, in the same transaction."""
    found = connection.connection.driver_connection
    assert isinstance(found, psycopg.Connection)
    return found


@contextmanager
def _transaction(dsn: str) -> Iterator[Connection]:
    # The driver connects by itself, so that every DSN that psycopg understands is understood here.
    engine = create_engine("postgresql+psycopg://", creator=lambda: _connected(dsn), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def _connected(dsn: str) -> psycopg.Connection[Any]:
    connection = psycopg.connect(dsn)
    encoding = connection.info.parameter_status("server_encoding")
    if encoding != "UTF8":
        name = connection.info.dbname
        connection.close()
        raise MigrationError(
            f"the database {name} keeps text as {encoding}, in which a name such as Löbderstraße has no sure place; "
            f"make it anew: CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'"
        )
    return connection
