"""The one place that asks whether the server has TimescaleDB.

Migrations ask it; nobody else needs to, because the tables have the same names and give the same results either way.
The question is whether the extension is *in the database*, not whether the server could install it: that is the
administrator's decision, taken with ``CREATE EXTENSION timescaledb`` before the first migration.
"""

from sqlalchemy import Connection


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
