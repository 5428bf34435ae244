"""Which schema this program was written for, and whether a database has it.

Apart from `footfall_ingest.migrate`, because the process that receives and stores has to ask, but need not load what
migrates.
"""

from typing import Any

import psycopg

NEWEST = "0009"
"""The last step in ``migrations/versions``."""


class MigrationError(Exception):
    """The schema cannot be brought to, or is not at, the version that this program needs."""


def check(connection: psycopg.Connection[Any]) -> None:
    """Make sure that the schema is the one this program was written for.

    Raises:
        MigrationError: it is not; the message says what to run.
    """
    try:
        with connection.transaction():
            row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    except psycopg.errors.UndefinedTable:
        row = None
    if row is None:
        raise MigrationError("the database has no schema yet: run `footfall-ingest migrate`")
    if row[0] != NEWEST:
        raise MigrationError(
            f"the database's schema is at {row[0]}, this version of footfall needs {NEWEST}: "
            "run `footfall-ingest migrate` of the newer of the two"
        )
